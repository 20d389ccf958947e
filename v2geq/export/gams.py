"""A complementarity problem as a GAMS model: written to a file, or solved through gamspy.

Each block becomes a variable and an equation over a set of its labels, the linear part sparse
parameters, the nonlinear part the formulas of the curves. GAMS itself and gamspy are optional.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from importlib import import_module
from operator import add, mul, truediv
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import scipy.sparse as sp

from v2geq.arrays import FloatArray, IntArray
from v2geq.errors import ConvergenceError, DataError
from v2geq.files import as_path, write_files
from v2geq.mcp import parse as language
from v2geq.mcp.assemble import MCP
from v2geq.mcp.block import Block
from v2geq.mcp.curves import Formula
from v2geq.mcp.terms import CournotRevenue, SeparableCost

GAMSPY = "1.29.1"
"""Version of gamspy this module is tested with."""
SYMBOL_LENGTH, LABEL_LENGTH, TEXT_LENGTH = 63, 63, 255
"""Limits of GAMS on identifiers, set elements and explanatory texts."""
TOLERANCE = 1e-9
"""Convergence tolerance given to PATH, which works in the scaled units of the problem."""

# -- names -----------------------------------------------------------------------------------------


class _Names:
    """Unique GAMS names; GAMS does not tell upper from lower case."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, wanted: str, limit: int) -> str:
        """`wanted`, shortened or numbered where it is too long or taken."""
        name, k = wanted[:limit], 1
        while name.casefold() in self._taken:
            k += 1
            name = f"{wanted[: limit - len(str(k)) - 1]}_{k}"
        self._taken.add(name.casefold())
        return name


def _identifier(text: str) -> str:
    """ASCII letters, digits and underscores only. The callers' prefixes keep reserved words out."""
    return re.sub(r"[^A-Za-z0-9_]", "_", text)


def _plain(text: str) -> str:
    """`text` without what no quoted GAMS string can hold: control characters, both quotes."""
    text = "".join(c if c.isprintable() else " " for c in text).strip()
    return text.replace('"', "'") if "'" in text else text


def _quoted(text: str, limit: int = TEXT_LENGTH) -> str:
    text = _plain(text)[:limit]
    return f'"{text}"' if "'" in text else f"'{text}'"


def _number(value: float) -> str:
    """The shortest text that reads back as the same double."""
    if np.isinf(value):
        return "+inf" if value > 0 else "-inf"
    return repr(float(value))


# -- the model, whatever it is written in ----------------------------------------------------------


@dataclass(frozen=True)
class _Set:
    """The labels of one or several blocks."""

    name: str
    elements: tuple[str, ...]
    texts: tuple[str, ...]
    alias: str


@dataclass(frozen=True)
class _Linear:
    """Entries of F's linear part that lead from one block to the rows of another."""

    name: str
    column: Block
    matrix: sp.csr_array
    diagonal: bool
    """Whether both blocks share their labels and each entry meets its own label only."""


@dataclass(frozen=True)
class _Nonlinear:
    """A nonlinear addition to some rows of a block."""

    subset: str
    """Name of the set of those rows; empty where it is all of them."""
    positions: IntArray
    gradient: Any
    """sympy expression in the variable, `total` and the parameters."""
    variable: str
    rivals: tuple[Block, ...]
    parameters: Mapping[str, tuple[str, FloatArray]]
    """Formula's own name -> (GAMS name, values at `positions`)."""


@dataclass
class _Rows:
    """A block with the set it runs over and the terms of its equation."""

    block: Block
    set: _Set
    variable: str
    equation: str
    constant_name: str
    constant: FloatArray
    linear: list[_Linear] = field(default_factory=list)
    nonlinear: list[_Nonlinear] = field(default_factory=list)


class _Model:
    """Sets, names and terms of a problem. Blocks without entries are left out."""

    def __init__(self, mcp: MCP) -> None:
        self.mcp = mcp
        self.names = _Names()
        self.sets: dict[tuple[tuple[str, ...], ...], _Set] = {}
        self.rows: list[_Rows] = []
        for block in mcp.blocks:
            if len(block):
                base = _identifier(block.name)
                self.rows.append(
                    _Rows(
                        block,
                        self._set(block),
                        self._name(f"x_{base}"),
                        self._name(f"f_{base}"),
                        self._name(f"q_{base}"),
                        mcp.constant[block.slice],
                    )
                )
        self.by_name = {r.block.name: r for r in self.rows}
        for row in self.rows:
            self._linear(row)
        for program in mcp.programs:
            for composite in program.composites:
                raise DataError(
                    f"the cost of {composite.variable.key} by what others do is not written out: "
                    "GAMS gets no cost of a trip's whole time",
                    advice="leave cost_of_time out to export the problem",
                )
            for cost in program.nonlinear:
                if len(cost.variable):
                    self._nonlinear(self.by_name[cost.variable.key], cost)

    def _name(self, wanted: str) -> str:
        return self.names.take(wanted, SYMBOL_LENGTH)

    def _set(self, block: Block) -> _Set:
        if block.labels not in self.sets:
            base = _identifier("_".join(block.dims) or "single")
            name = self._name(f"i_{base}")
            taken = _Names()
            full = [_plain(".".join(label)) or "all" for label in block.labels]
            short = tuple(taken.take(text, LABEL_LENGTH) for text in full)
            texts = tuple("" if a == b else b for a, b in zip(short, full, strict=True))
            self.sets[block.labels] = _Set(name, short, texts, self._name(f"j{name[1:]}"))
        return self.sets[block.labels]

    def _linear(self, row: _Rows) -> None:
        across = sp.csr_array(self.mcp.matrix[row.block.slice])
        for k, column in enumerate(self.rows):
            matrix = sp.csr_array(across[:, column.block.slice])
            matrix.eliminate_zeros()
            if matrix.nnz == 0:
                continue
            own = matrix.tocoo()
            diagonal = row.set is column.set and bool((own.row == own.col).all())
            name = self._name(f"a_{self.rows.index(row) + 1}_{k + 1}")
            row.linear.append(_Linear(name, column.block, matrix, diagonal))

    def _nonlinear(self, row: _Rows, cost: SeparableCost | CournotRevenue) -> None:
        formulas: Callable[[int], list[Formula]] | None = getattr(cost.curve, "formulas", None)
        if formulas is None:
            raise DataError(
                f"the curve of {row.block.name}, {type(cost.curve).__name__}, is not written out",
                advice="give it a method formulas, see v2geq.mcp.curves.Written",
            )
        rivals = tuple(self.by_name[key].block for key in cost.rivals)
        if any(r.labels != row.block.labels for r in rivals):
            raise ValueError(f"rivals of {row.block.name} have other labels")
        covered = np.zeros(len(row.block), dtype=int)
        for formula in formulas(len(row.block)):
            covered[formula.positions] += 1
            number = sum(len(r.nonlinear) for r in self.rows) + 1
            shape = formula.positions.shape
            parameters = {
                name: (self._name(f"c{number}_{_identifier(name)}"), np.broadcast_to(values, shape))
                for name, values in formula.parameters.items()
            }
            every = len(formula.positions) == len(row.block)
            row.nonlinear.append(
                _Nonlinear(
                    "" if every else self._name(f"s{number}_{row.set.name[2:]}"),
                    formula.positions,
                    _gradient(formula, isinstance(cost, CournotRevenue)),
                    formula.variable,
                    rivals,
                    parameters,
                )
            )
        if (covered != 1).any():
            raise ValueError(f"the formulas of {row.block.name} do not cover each entry once")


_TOTAL = "total_"


def _gradient(formula: Formula, cournot: bool) -> Any:
    """Marginal cost: the first derivative, or the loss of Cournot revenue at total sales."""
    import sympy

    names = {n: sympy.Symbol(n, real=True) for n in (formula.variable, *formula.parameters)}
    x = names[formula.variable]

    def read(text: str) -> Any:
        return _symbolic(language.parse(text, tuple(names), own=True), names)

    first = read(formula.first) if formula.first else sympy.diff(read(formula.value), x)
    if not cournot:
        return first
    total = sympy.Symbol(_TOTAL, real=True)
    return -read(formula.value).subs(x, total) - first.subs(x, total) * x


def _symbolic(code: language.Code, names: Mapping[str, Any]) -> Any:
    """sympy expression of a formula; numbers stay doubles, so that powers of them stay small."""
    import sympy

    def number(value: float) -> Any:
        small = abs(value) <= 1000.0 and value.is_integer()
        return sympy.Integer(int(value)) if small else sympy.Float(value)

    one = {language.EXP: sympy.exp, language.LOG: sympy.log, language.ABS: sympy.Abs}
    two = {language.ADD: add, language.MULTIPLY: mul, language.RAISE: pow, language.MAX: sympy.Max}
    stack: list[Any] = []
    for what, operand in code:
        if what == language.NUMBER:
            stack.append(number(float(operand)))
        elif what == language.NAME:
            stack.append(names[str(operand)])
        elif what == language.POWER:
            stack.append(stack.pop() ** number(float(operand)))
        elif what in two:
            right, left = stack.pop(), stack.pop()
            stack.append(two[what](left, right))
        else:
            stack.append(one[what](stack.pop()))
    return stack.pop()


# -- expressions -----------------------------------------------------------------------------------


Number = Callable[[float], Any]
Call = Callable[[str, Sequence[Any]], Any]


def _write(e: Any, leaf: Mapping[str, Any], number: Number, call: Call) -> Any:
    """A sympy expression in another language: text, or objects of gamspy.

    `leaf` gives its symbols, `number` its numbers, `call` functions of GAMS by name.
    """
    if e.is_Symbol:
        return leaf[e.name]
    if e.is_number:
        return number(float(e))

    def write(e: Any) -> Any:
        return _write(e, leaf, number, call)

    if e.is_Add:
        # what is added first, so that a sum seldom begins with a minus
        terms = sorted(e.args, key=lambda a: bool(a.could_extract_minus_sign()))
        out = write(terms[0])
        for a in terms[1:]:
            out = out - write(-a) if a.could_extract_minus_sign() else out + write(a)
        return out
    if e.is_Mul:
        below = [a for a in e.args if a.is_Pow and a.exp.is_number and a.exp < 0]
        above = [a for a in e.args if a not in below]
        top = reduce(mul, map(write, above)) if above else number(1.0)
        return reduce(truediv, (write(a.base ** (-a.exp)) for a in below), top)
    if e.is_Pow:
        base = write(e.base)
        if e.exp.is_number:
            exponent = float(e.exp)
            if exponent < 0:
                return number(1.0) / write(e.base ** (-e.exp))
            if exponent == 0.5:
                return call("sqrt", [base])
            # x**y of GAMS is exp(y log x); whole powers hold for x <= 0 too
            if exponent.is_integer():
                return (
                    call("sqr", [base]) if exponent == 2 else call("power", [base, int(exponent)])
                )
        return base ** write(e.exp)
    name = {"exp": "exp", "log": "log", "Max": "max"}.get(e.func.__name__)
    if name is None:
        raise DataError(f"{e.func.__name__} has no counterpart in GAMS", advice=f"rewrite {e}")
    return call(name, list(map(write, e.args)))


class _Text:
    """GAMS source; every compound is bracketed."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text

    def __add__(self, other: _Text) -> _Text:
        return _Text(f"({self} + {other})")

    def __sub__(self, other: _Text) -> _Text:
        return _Text(f"({self} - {other})")

    def __mul__(self, other: _Text) -> _Text:
        return _Text(f"({self}*{other})")

    def __truediv__(self, other: _Text) -> _Text:
        return _Text(f"({self}/{other})")

    def __pow__(self, other: _Text) -> _Text:
        return _Text(f"({self}**{other})")


def _number_text(value: float) -> _Text:
    return _Text(f"({_number(value)})" if value < 0 else _number(value))


def _call_text(name: str, arguments: Sequence[Any]) -> _Text:
    return _Text(f"{name}({', '.join(map(str, arguments))})")


# -- the file --------------------------------------------------------------------------------------


def to_gams(mcp: MCP, path: str | Path, *, name: str = "v2geq") -> None:
    """Write a problem as a self-contained GAMS model file.

    Parameters
    ----------
    mcp
        The problem, as assembled; paths and data are those it holds now.
    path
        File to write; an existing one is replaced.
    name
        Name of the GAMS model and of the result file ``<name>.gdx`` that running it leaves.

    Notes
    -----
    A block ``owner.quantity`` is the variable ``x_owner_quantity``, paired with the equation
    ``f_owner_quantity``. Equations are ``=e=`` where all variables of the block are free, ``=g=``
    where all have a lower bound only, and ``=n=`` elsewhere: there the bounds decide the sign.
    Numbers are written so that they read back as the same doubles. Curves continued below zero
    are written with ``max(x, 0)``, so the map is the same everywhere, not only at solutions.
    Labels longer than 63 characters are shortened; the whole label is the element's text.

    Raises
    ------
    DataError
        A curve that cannot be written out, or a file that cannot be written.
    """
    text = gams_text(mcp, name=name)
    write_files({as_path(path): text.encode()})


def gams_text(mcp: MCP, *, name: str = "v2geq") -> str:
    """The text `to_gams` writes."""
    model = _Model(mcp)
    title = model._name(f"m_{_identifier(name)}")
    lines = [*_header(model, name)]
    lines += [line for s in model.sets.values() for line in _set_lines(model, s)]
    for row in model.rows:
        lines += ["", f"* {_plain(row.block.name)}: {_plain(row.block.meaning)}"]
        lines += _variable_lines(mcp, row) + _data_lines(model, row)
    lines += ["", "* equations"]
    for row in model.rows:
        lines += _equation_lines(model, row)
    pairs = [f"    {r.equation}.{r.variable}" for r in model.rows]
    return "\n".join(
        [
            *lines,
            "",
            f"model {title} /",
            *_listed(pairs),
            "/;",
            "option mcp = path;",
            f"{title}.scaleopt = 1;",
            f"{title}.optfile = 2;",
            f"solve {title} using mcp;",
            f"execute_unload {_quoted(name + '.gdx')};",
            "",
        ]
    )


def _header(model: _Model, name: str) -> Iterator[str]:
    yield f"$title {_plain(name)[:80]}"
    # comments need no quotes, but a $ in the first column would be a command
    yield f"* Mixed complementarity problem, {model.mcp.n} variables, written by v2geq."
    yield "* x_<block> is paired with f_<block>: f = 0 inside, >= 0 at lower, <= 0 at upper bounds."
    yield "* Solving leaves all levels in the GDX file named at the end."
    yield "$offdigit"
    yield "$onecho > path.op2"
    yield f"convergence_tolerance {TOLERANCE!r}"
    yield "$offecho"


def _set_lines(model: _Model, s: _Set) -> Iterator[str]:
    yield ""
    used = [r.block.name for r in model.rows if r.set is s]
    yield f"set {s.name} {_quoted('labels of ' + ', '.join(used))} /"
    elements = [
        f"    {_quoted(e)} {_quoted(t)}" if t else f"    {_quoted(e)}"
        for e, t in zip(s.elements, s.texts, strict=True)
    ]
    yield from _listed(elements)
    yield "/;"
    yield f"alias ({s.name}, {s.alias});"


def _listed(items: Iterable[str]) -> list[str]:
    items = list(items)
    return [item + "," for item in items[:-1]] + items[-1:]


def _variable_lines(mcp: MCP, row: _Rows) -> list[str]:
    b, s = row.block, row.set
    at = range(b.start, b.stop)
    data = [
        f"    {_quoted(e)}.(lo {_number(mcp.lower[k])}, up {_number(mcp.upper[k])}, "
        f"l {_number(float(np.clip(mcp.start[k], mcp.lower[k], mcp.upper[k])))}, "
        f"scale {_number(mcp.scale[k])})"
        for e, k in zip(s.elements, at, strict=True)
    ]
    scales = [
        f"    {_quoted(e)}.scale {_number(mcp.row_scale[k])}"
        for e, k in zip(s.elements, at, strict=True)
    ]
    return [
        f"variable {row.variable}({s.name}) {_quoted(f'{b.name}, {b.unit}: {b.meaning}')} /",
        *_listed(data),
        "/;",
        f"equation {row.equation}({s.name}) {_quoted(f'row of {b.name}, {b.row_unit}')} /",
        *_listed(scales),
        "/;",
    ]


def _parameter_lines(
    name: str, domain: Sequence[str], text: str, data: Iterable[tuple[tuple[str, ...], float]]
) -> list[str]:
    rows = [f"    {'.'.join(_quoted(k) for k in key)} {_number(v)}" for key, v in data if v != 0.0]
    head = f"parameter {name}({', '.join(domain)}) {_quoted(text)}"
    return [f"{head} /", *_listed(rows), "/;"]


def _data_lines(model: _Model, row: _Rows) -> list[str]:
    lines: list[str] = []
    s, name = row.set, row.block.name
    if row.constant.any():
        data = zip(((e,) for e in s.elements), row.constant, strict=True)
        lines += _parameter_lines(row.constant_name, [s.name], f"constant of {name}", data)
    for term in row.linear:
        if _unit(term) is not None:
            continue
        of = model.by_name[term.column.name].set
        coo = term.matrix.tocoo()
        where = zip(coo.row, coo.col, coo.data, strict=True)
        text = f"{term.column.name} in the row of {name}"
        if term.diagonal:
            one = [((s.elements[i],), v) for i, _, v in where]
            lines += _parameter_lines(term.name, [s.name], text, one)
        else:
            two = [((s.elements[i], of.elements[j]), v) for i, j, v in where]
            lines += _parameter_lines(term.name, [s.name, of.name], text, two)
    for cost in row.nonlinear:
        elements = [s.elements[k] for k in cost.positions]
        if cost.subset:
            lines.append(f"set {cost.subset}({s.name}) {_quoted('some of ' + name)} /")
            lines += [*_listed(f"    {_quoted(e)}" for e in elements), "/;"]
        for own, (gams, values) in cost.parameters.items():
            if _constant(values) is None:
                pairs = zip(((e,) for e in elements), values, strict=True)
                lines += _parameter_lines(gams, [s.name], f"{own} of {name}", pairs)
    return lines


def _unit(term: _Linear) -> float | None:
    """1 or -1 where a term is plus or minus the other block, entry by entry."""
    data = term.matrix.data
    whole = term.diagonal and len(data) == term.matrix.shape[0]
    return float(data[0]) if whole and abs(data[0]) == 1.0 and (data == data[0]).all() else None


def _constant(values: FloatArray) -> float | None:
    """The value all entries share, written in place of a parameter."""
    return float(values[0]) if (values == values[0]).all() else None


def _relation(mcp: MCP, block: Block) -> str:
    low, high = np.isfinite(mcp.lower[block.slice]), np.isfinite(mcp.upper[block.slice])
    if not low.any() and not high.any():
        return "=e="
    return "=g=" if low.all() and not high.any() else "=n="


def _equation_lines(model: _Model, row: _Rows) -> list[str]:
    s = row.set
    parts = [f"+ {row.constant_name}({s.name})"] if row.constant.any() else []
    for term in row.linear:
        other = model.by_name[term.column.name]
        unit = _unit(term)
        if unit is not None:
            parts.append(f"{'+' if unit > 0 else '-'} {other.variable}({s.name})")
        elif term.diagonal:
            parts.append(f"+ {term.name}({s.name})*{other.variable}({s.name})")
        else:
            j = other.set.alias
            parts.append(f"+ sum({j}, {term.name}({s.name}, {j})*{other.variable}({j}))")
    for cost in row.nonlinear:
        own = f"{row.variable}({s.name})"
        rivals = [f"{model.by_name[r.name].variable}({s.name})" for r in cost.rivals]
        leaf = {cost.variable: _Text(own), _TOTAL: _Text(f"({' + '.join([own, *rivals])})")}
        for key, (gams, values) in cost.parameters.items():
            fixed = _constant(values)
            leaf[key] = _Text(f"{gams}({s.name})") if fixed is None else _number_text(fixed)
        written = _write(cost.gradient, leaf, _number_text, _call_text)
        parts.append(f"+ ({written})$({cost.subset}({s.name}))" if cost.subset else f"+ {written}")
    body = [f"    {p}" for p in parts or [f"0*{row.variable}({s.name})"]]
    head = f"{row.equation}({s.name}).."
    return [head, *body, f"    {_relation(model.mcp, row.block)} 0;"]


# -- gamspy ----------------------------------------------------------------------------------------


def solve_with_gamspy(
    mcp: MCP, *, tolerance: float = TOLERANCE, output: TextIO | None = None
) -> FloatArray:
    """Solve a problem with PATH through gamspy, for comparison with this package's own solvers.

    Parameters
    ----------
    mcp
        The problem; the demonstration licence that comes with gamspy takes up to 1000 rows.
    tolerance
        Convergence tolerance of PATH, in the scaled units of the problem.
    output
        Where GAMS writes its log, for example ``sys.stdout``.

    Returns
    -------
    FloatArray
        (n,) levels, within the bounds. Check them with `v2geq.solvers.protocol.scaled_residual`.

    Raises
    ------
    DataError
        gamspy is missing, or a curve cannot be written out.
    ConvergenceError
        GAMS could not run the model (its message is in the text), or PATH did not solve it.
    """
    try:
        # by name: type checkers then need not have it
        gp: Any = import_module("gamspy")
    except ImportError as error:
        raise DataError(
            "solving with GAMS needs the package gamspy", advice="pip install 'v2geq[gams]'"
        ) from error
    refused = (gp.exceptions.FatalError, gp.exceptions.GamspyException, OSError)
    model = _Model(mcp)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        try:
            container = gp.Container(working_directory=folder)
        except refused as error:
            raise ConvergenceError(f"GAMS does not start: {error}") from error
        try:
            return _solve(gp, container, model, tolerance, output)
        except refused as error:
            raise ConvergenceError(f"GAMS could not solve the model: {error}") from error
        finally:
            container.close()


def _solve(
    gp: Any, container: Any, model: _Model, tolerance: float, output: TextIO | None
) -> FloatArray:
    """Build the model in scaled units, solve it, read the levels."""
    import pandas as pd

    mcp = model.mcp
    # PATH's tolerance is absolute: x / scale and F / row_scale are of order one
    column, row_scale = mcp.scale, mcp.row_scale
    sets = {id(s): gp.Set(container, s.name, records=list(s.elements)) for s in model.sets.values()}
    aliases = {
        id(s): gp.Alias(container, s.alias, alias_with=sets[id(s)]) for s in model.sets.values()
    }
    variables = {}
    columns = ["i", "level", "marginal", "lower", "upper", "scale"]
    for r in model.rows:
        at = r.block.slice
        low, high = mcp.lower[at] / column[at], mcp.upper[at] / column[at]
        start = np.clip(mcp.start[at] / column[at], low, high)
        entries = zip(r.set.elements, start, low, high, strict=True)
        variables[r.block.name] = gp.Variable(
            container,
            r.variable,
            "free",
            domain=[sets[id(r.set)]],
            records=pd.DataFrame(
                [(e, x, 0.0, lo, up, 1.0) for e, x, lo, up in entries], columns=columns
            ),
        )

    def by_label(label: str, block: Block, values: FloatArray) -> Any:
        """A number, or a parameter over the labels of a block where they differ."""
        fixed = _constant(values)
        if fixed is not None:
            return gp.Number(fixed)
        over = model.by_name[block.name].set
        return given(model._name(label), values, over.elements, sets[id(over)])

    def given(name: str, values: FloatArray, elements: Sequence[str], domain: Any) -> Any:
        """A parameter over a set."""
        records = list(zip(elements, values.tolist(), strict=True))
        return gp.Parameter(container, name, domain=[domain], records=records)[domain]

    def call(name: str, arguments: Sequence[Any]) -> Any:
        return getattr(gp.math, "Max" if name == "max" else name)(*arguments)

    def unscaled(block: Block, i: Any) -> Any:
        return by_label("c_scale", block, column[block.slice]) * variables[block.name][i]

    matches = {}
    for r in model.rows:
        i, size = sets[id(r.set)], row_scale[r.block.slice]
        total: Any = gp.Number(0)
        if r.constant.any():
            total = total + given(r.constant_name, r.constant / size, r.set.elements, i)
        for term in r.linear:
            other = model.by_name[term.column.name]
            coo = term.matrix.tocoo()
            values = coo.data * column[term.column.slice][coo.col] / size[coo.row]
            if term.diagonal:
                elements = [r.set.elements[k] for k in coo.row]
                fixed = _constant(values) if len(values) == len(r.block) else None
                factor = given(term.name, values, elements, i) if fixed is None else fixed
                total = total + factor * variables[other.block.name][i]
                continue
            j = aliases[id(other.set)]
            keys = zip(coo.row, coo.col, values.tolist(), strict=True)
            a = gp.Parameter(
                container,
                term.name,
                domain=[i, sets[id(other.set)]],
                records=[(r.set.elements[p], other.set.elements[q], v) for p, q, v in keys],
            )
            total = total + gp.Sum(j, a[i, j] * variables[other.block.name][j])
        for cost in r.nonlinear:
            elements = [r.set.elements[k] for k in cost.positions]
            own = unscaled(r.block, i)
            everyone = reduce(add, (unscaled(rival, i) for rival in cost.rivals), own)
            leaf = {cost.variable: own, _TOTAL: everyone}
            for key, (name, values) in cost.parameters.items():
                fixed = _constant(values)
                leaf[key] = given(name, values, elements, i) if fixed is None else gp.Number(fixed)
            written = _write(cost.gradient, leaf, gp.Number, call)
            written = written / by_label("c_row", r.block, size)
            if cost.subset:
                some = gp.Set(container, cost.subset, domain=[i], records=elements)
                written = written.where[some[i]]
            total = total + written
        # bounds decide the sign of a nonbinding row, whatever they are
        equation = gp.Equation(container, r.equation, "nonbinding", domain=[i])
        equation[i] = total == gp.Number(0)
        matches[equation] = variables[r.block.name]
    problem = gp.Model(container, model._name("m_v2geq"), problem="MCP", matches=matches)
    problem.solve(solver="path", solver_options={"convergence_tolerance": tolerance}, output=output)
    if problem.status not in (gp.ModelStatus.OptimalGlobal, gp.ModelStatus.OptimalLocal):
        raise ConvergenceError(
            f"PATH ended with {problem.status.name} ({problem.solve_status.name})"
        )
    z = np.empty(mcp.n)
    for r in model.rows:
        records = variables[r.block.name].records
        levels = dict(zip(records.iloc[:, 0].astype(str), records["level"], strict=True))
        z[r.block.slice] = [levels[e] for e in r.set.elements]
    inside: FloatArray = np.clip(z * column, mcp.lower, mcp.upper)
    return inside
