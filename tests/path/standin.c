/* A small stand-in for PATH's shared library: the same entry points, a method of its own.
 *
 * It solves small problems by Newton steps on the natural map, finished by bisection of the step,
 * and returns any termination code on demand (option standin_return). It is written against the
 * public description of the interface, version 5, with dense linear algebra and no care for speed.
 *
 * Compiled with -DLEAVE_OUT_SOLVE it lacks Path_Solve; with -DOLD_VERSION it calls itself 4.7;
 * with -DNO_INTERRUPTS it lacks Interrupt_SetInterface.
 */

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef enum { No, Yes } Flag;

typedef struct {
  void *interface_data;
  void (*problem_size)(void *, int *, int *);
  void (*bounds)(void *, int, double *, double *, double *);
  int (*function_evaluation)(void *, int, double *, double *);
  int (*jacobian_evaluation)(void *, int, double *, int, double *, int *, int *, int *, int *,
                             double *);
  void (*hessian_evaluation)(void);
  void (*start)(void *);
  void (*finish)(void *, double *);
  void (*variable_name)(void *, int, char *, int);
  void (*constraint_name)(void *, int, char *, int);
  void (*basis)(void *, int, int *);
} MCP_Interface;

typedef struct {
  void *output_data;
  void (*print)(void *, int, char *);
  void (*flush)(void *, int);
} Output_Interface;

typedef struct {
  void *interrupt_data;
  void (*set)(void *);
  void (*restore)(void *);
  int (*check)(void *);
} Interrupt_Interface;

typedef struct {
  double residual, distance, steplength, total_time, basis_time, maximum_distance;
  int major_iterations, minor_iterations, crash_iterations, function_evaluations;
  int jacobian_evaluations, gradient_steps, restarts, generate_output, generated_output;
  Flag forward, backtrace, gradient, use_start, use_basics, used_start, used_basics;
} Information;

typedef struct {
  MCP_Interface i;
  int n, nnz, structure_constant, contiguous;
  double *x, *l, *u, *f;
} MCP;

typedef struct {
  double tolerance, seconds;
  int majors, returns, breaks, path;
} Options_Interface;

static Output_Interface output;
static Interrupt_Interface interrupts;
static Options_Interface *current;
static int alive; /* objects created and not destroyed */

static void say(int mode, const char *text) {
  char copy[256];
  snprintf(copy, sizeof copy, "%s", text);
  if (output.print) output.print(output.output_data, mode, copy);
  if (output.flush) output.flush(output.output_data, mode);
}

/* For the tests: sizes and offsets as the compiler sees them, and objects still alive. */
int Standin_Layout(const char *what) {
#define FIELD(s, f) if (!strcmp(what, #s "." #f)) return (int)offsetof(s, f)
#define SIZE(s) if (!strcmp(what, #s)) return (int)sizeof(s)
  SIZE(MCP_Interface); SIZE(Output_Interface); SIZE(Interrupt_Interface); SIZE(Information);
  FIELD(MCP_Interface, interface_data); FIELD(MCP_Interface, problem_size);
  FIELD(MCP_Interface, bounds); FIELD(MCP_Interface, function_evaluation);
  FIELD(MCP_Interface, jacobian_evaluation); FIELD(MCP_Interface, hessian_evaluation);
  FIELD(MCP_Interface, start); FIELD(MCP_Interface, finish);
  FIELD(MCP_Interface, variable_name); FIELD(MCP_Interface, constraint_name);
  FIELD(MCP_Interface, basis);
  FIELD(Output_Interface, output_data); FIELD(Output_Interface, print);
  FIELD(Output_Interface, flush);
  FIELD(Interrupt_Interface, interrupt_data); FIELD(Interrupt_Interface, set);
  FIELD(Interrupt_Interface, restore); FIELD(Interrupt_Interface, check);
  FIELD(Information, residual); FIELD(Information, distance); FIELD(Information, steplength);
  FIELD(Information, total_time); FIELD(Information, basis_time);
  FIELD(Information, maximum_distance); FIELD(Information, major_iterations);
  FIELD(Information, minor_iterations); FIELD(Information, crash_iterations);
  FIELD(Information, function_evaluations); FIELD(Information, jacobian_evaluations);
  FIELD(Information, gradient_steps); FIELD(Information, restarts);
  FIELD(Information, generate_output); FIELD(Information, generated_output);
  FIELD(Information, forward); FIELD(Information, backtrace); FIELD(Information, gradient);
  FIELD(Information, use_start); FIELD(Information, use_basics);
  FIELD(Information, used_start); FIELD(Information, used_basics);
  return -1;
}

int Standin_Alive(void) { return alive; }

char *Path_Version(void) {
#ifdef OLD_VERSION
  return "Path 4.7.04 (stand-in)";
#else
  return "Path 5.0.00 (stand-in)";
#endif
}

int Path_CheckLicense(int n, int nnz) {
  const char *licence = getenv("PATH_LICENSE_STRING");
  if (licence && !strcmp(licence, "stand-in")) return 1;
  return n <= 300 && nnz <= 2000;
}

void Output_SetInterface(Output_Interface *o) { output = *o; }

#ifndef NO_INTERRUPTS
void Interrupt_SetInterface(Interrupt_Interface *i) { interrupts = *i; }
#endif

Options_Interface *Options_Create(void) {
  alive++;
  return calloc(1, sizeof(Options_Interface));
}

void Options_Destroy(Options_Interface *o) {
  alive--;
  free(o);
  current = NULL;
}

void Path_AddOptions(Options_Interface *o) { o->path = 1; }

void Options_Default(Options_Interface *o) {
  o->tolerance = 1e-6;
  o->seconds = 1e20;
  o->majors = 500;
  o->returns = 0;
  o->breaks = 0;
  current = o;
}

void Options_Set(Options_Interface *o, const char *line) {
  char name[100] = "", value[100] = "", told[256];
  sscanf(line, "%99s %99s", name, value);
  if (!strcmp(name, "convergence_tolerance")) o->tolerance = atof(value);
  else if (!strcmp(name, "major_iteration_limit")) o->majors = atoi(value);
  else if (!strcmp(name, "time_limit")) o->seconds = atof(value);
  else if (!strcmp(name, "standin_return")) o->returns = atoi(value);
  else if (!strcmp(name, "standin_break")) o->breaks = atoi(value);
  else {
    snprintf(told, sizeof told, "option %s = %s is not known\n", name, value);
    say(1, told);
  }
}

MCP *MCP_Create(int n, int nnz) {
  MCP *m = calloc(1, sizeof *m);
  alive++;
  m->n = n;
  m->nnz = nnz;
  m->x = calloc(4 * (size_t)n, sizeof(double));
  m->l = m->x + n;
  m->u = m->l + n;
  m->f = m->u + n;
  return m;
}

void MCP_Destroy(MCP *m) {
  alive--;
  free(m->x);
  free(m);
}

void MCP_SetInterface(MCP *m, MCP_Interface *i) { m->i = *i; }
double *MCP_GetX(MCP *m) { return m->x; }
void MCP_Jacobian_Structure_Constant(MCP *m, Flag b) { m->structure_constant = b; }
void MCP_Jacobian_Data_Contiguous(MCP *m, Flag b) { m->contiguous = b; }

static double mid(double l, double v, double u) { return v < l ? l : v > u ? u : v; }

static double norm(const MCP *m, const double *x, const double *f) {
  double s = 0.0;
  for (int k = 0; k < m->n; k++) {
    double r = x[k] - mid(m->l[k], x[k] - f[k], m->u[k]);
    s += r * r;
  }
  return sqrt(s);
}

/* Solve the dense n x n system in place by elimination with row exchanges; 0 where it is singular. */
static int eliminate(int n, double *a, double *b) {
  for (int k = 0; k < n; k++) {
    int p = k;
    for (int r = k + 1; r < n; r++)
      if (fabs(a[r * n + k]) > fabs(a[p * n + k])) p = r;
    if (fabs(a[p * n + k]) < 1e-14) return 0;
    for (int c = 0; c < n; c++) {
      double t = a[k * n + c];
      a[k * n + c] = a[p * n + c];
      a[p * n + c] = t;
    }
    double t = b[k];
    b[k] = b[p];
    b[p] = t;
    for (int r = k + 1; r < n; r++) {
      double w = a[r * n + k] / a[k * n + k];
      if (w == 0.0) continue;
      for (int c = k; c < n; c++) a[r * n + c] -= w * a[k * n + c];
      b[r] -= w * b[k];
    }
  }
  for (int k = n - 1; k >= 0; k--) {
    for (int c = k + 1; c < n; c++) b[k] -= a[k * n + c] * b[c];
    b[k] /= a[k * n + k];
  }
  return 1;
}

#ifndef LEAVE_OUT_SOLVE
static int broken(const char *what) {
  char told[256];
  snprintf(told, sizeof told, "stand-in: %s\n", what);
  say(1, told);
  return 10;
}

static int newton(MCP *m, Information *info) {
  int n = m->n, bad;
  void *id = m->i.interface_data;
  int *col = calloc(2 * (size_t)n + m->nnz, sizeof(int)), *len = col + n, *row = len + n;
  double *data = calloc((size_t)m->nnz, sizeof(double));
  double *a = calloc((size_t)n * n, sizeof(double));
  double *d = calloc(3 * (size_t)n, sizeof(double)), *y = d + n, *g = y + n;
  double tiny = 1.0;
  int code = 3;
  clock_t begin = clock();

  bad = m->i.function_evaluation(id, n, m->x, m->f);
  info->function_evaluations++;
  if (bad) code = 8;
  for (int major = 0; !bad && major <= current->majors; major++) {
    char told[256], name[400], longest[200];
    double residual = norm(m, m->x, m->f);
    int worst = 0;
    for (int k = 1; k < n; k++)
      if (fabs(m->f[k]) > fabs(m->f[worst])) worst = k;
    memset(name, '#', sizeof name);
    m->i.variable_name(id, worst + 1, name, 12);
    if (!memchr(name, 0, 12) || name[12] != '#') { code = broken("a name overran its buffer"); break; }
    m->i.constraint_name(id, worst + 1, longest, sizeof longest);
    snprintf(told, sizeof told, "%3d %.4e (%s)\n", major, residual, longest);
    say(1, told);
    info->residual = residual;
    info->major_iterations = major;
    if (interrupts.check && interrupts.check(interrupts.interrupt_data) > 0) { code = 6; break; }
    if (residual <= current->tolerance) { code = 1; break; }
    if ((double)(clock() - begin) / CLOCKS_PER_SEC > current->seconds) { code = 5; break; }
    if (tiny < 1e-9) { code = 2; break; }
    if (major == current->majors) break;

    int nnz = m->nnz, want = major % 2; /* both with and without F */
    bad = m->i.jacobian_evaluation(id, n, m->x, want, m->f, &nnz, col, len, row, data);
    info->jacobian_evaluations++;
    if (bad) { code = 8; break; }
    if (nnz > m->nnz) { code = broken("more nonzeros than announced"); break; }
    memset(a, 0, sizeof(double) * (size_t)n * n);
    int next = 1;
    for (int c = 0; c < n; c++) {
      if (col[c] != next) { code = broken("columns are not contiguous from one"); goto end; }
      next += len[c];
      for (int k = col[c] - 1; k < col[c] - 1 + len[c]; k++) {
        if (row[k] < 1 || row[k] > n) { code = broken("a row is not in 1..n"); goto end; }
        a[(row[k] - 1) * n + c] += data[k];
      }
    }
    if (next != nnz + 1) { code = broken("the nonzeros do not add up"); break; }
    for (int k = 0; k < n; k++) {
      double trial = m->x[k] - m->f[k];
      if (trial < m->l[k] || trial > m->u[k] || m->l[k] == m->u[k]) {
        memset(a + k * n, 0, sizeof(double) * (size_t)n);
        a[k * n + k] = 1.0;
        d[k] = mid(m->l[k], trial, m->u[k]) - m->x[k];
      } else {
        d[k] = -m->f[k];
        a[k * n + k] += 1e-9; /* multipliers need not be unique */
      }
    }
    if (!eliminate(n, a, d)) { code = 2; break; }
    double step = 1.0, reached = residual;
    for (; step > 1e-12; step *= 0.5) {
      for (int k = 0; k < n; k++) y[k] = mid(m->l[k], m->x[k] + step * d[k], m->u[k]);
      bad = m->i.function_evaluation(id, n, y, g);
      info->function_evaluations++;
      if (bad) {
        if (interrupts.check && interrupts.check(interrupts.interrupt_data) > 0) break;
        continue;
      }
      reached = norm(m, y, g);
      if (reached < (1.0 - 1e-4 * step) * residual) break;
    }
    tiny = step;
    if (!bad) {
      memcpy(m->x, y, sizeof(double) * (size_t)n);
      memcpy(m->f, g, sizeof(double) * (size_t)n);
    }
    bad = 0;
  }
end:
  info->total_time = (double)(clock() - begin) / CLOCKS_PER_SEC;
  free(col); free(data); free(a); free(d);
  return code;
}

int Path_Solve(MCP *m, Information *info) {
  int n = 0, nnz = 0, code;
  if (m->i.hessian_evaluation || m->i.start || m->i.finish || m->i.basis)
    return broken("a slot that should be null is not");
  if (info->use_start != Yes || info->use_basics != No || info->generate_output != 1)
    return broken("the information is laid out in another way");
  if (!current || !current->path) return broken("options were not set up");
  if (!m->structure_constant || !m->contiguous) return broken("the Jacobian's flags are not set");
  m->i.problem_size(m->i.interface_data, &n, &nnz);
  if (n != m->n || nnz > m->nnz) return broken("the size is another one than at creation");
  for (int k = 0; k < n; k++) { m->l[k] = -1e20; m->u[k] = 1e20; }
  m->i.bounds(m->i.interface_data, n, m->x, m->l, m->u);
  for (int k = 0; k < n; k++)
    if (!(m->l[k] <= m->u[k]) || m->l[k] < -1e20 || m->u[k] > 1e20) return 7;
  say(1, "Path 5.0.00 (stand-in)\n");
  say(2, "a line of the status file\n");
  if (interrupts.set) interrupts.set(interrupts.interrupt_data);
  code = current->returns && current->breaks == 0 ? current->returns : newton(m, info);
  if (interrupts.restore) interrupts.restore(interrupts.interrupt_data);
  info->used_start = Yes;
  info->generated_output = 1;
  return current->returns ? current->returns : code;
}
#endif
