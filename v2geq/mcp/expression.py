"""User-given scalar functions as text: value and derivatives by sympy, conditions checked."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from v2geq.arrays import FloatArray
from v2geq.errors import DataError
from v2geq.mcp.curves import Formula

FUNCTIONS = ("exp", "log", "sqrt")
_TOKEN = re.compile(
    r"[A-Za-z_]\w*|\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|\*\*|[-+*/()]|\S"
)


@dataclass(frozen=True, eq=False)
class Expression:
    """A scalar function given as text, applied elementwise.

    Attributes
    ----------
    text : the expression; variable : its argument
    parameters : named arrays, one value per entry of the argument
    where : origin, for messages
    """

    text: str
    variable: str
    parameters: Mapping[str, FloatArray]
    where: str
    functions: tuple[Callable[..., FloatArray], ...]

    @staticmethod
    def parse(
        text: str, *, variable: str, parameters: Mapping[str, FloatArray], where: str
    ) -> Expression:
        """Read `text`, an expression in `variable` and `parameters` with + - * / ** exp log sqrt.

        Raises
        ------
        DataError
            Unknown names or characters, or text that is not one expression.
        """
        import sympy

        names = (variable, *parameters)
        parsed = parse_tree(text, names, where)
        symbols = {name: sympy.Symbol(name, real=True) for name in names}
        x = symbols[variable]
        forms = (parsed, sympy.diff(parsed, x), sympy.diff(parsed, x, 2))
        order = [symbols[name] for name in names]
        functions = tuple(sympy.lambdify(order, f, modules="numpy") for f in forms)
        return Expression(text, variable, dict(parameters), where, functions)

    def _evaluate(self, which: int, x: FloatArray) -> FloatArray:
        out = self.functions[which](x, *self.parameters.values())
        return np.broadcast_to(np.asarray(out, dtype=float), x.shape).copy()

    def value(self, x: FloatArray) -> FloatArray:
        return self._evaluate(0, x)

    def first(self, x: FloatArray) -> FloatArray:
        return self._evaluate(1, x)

    def second(self, x: FloatArray) -> FloatArray:
        return self._evaluate(2, x)

    def integral(self, x: FloatArray) -> FloatArray:
        """Integral from 0 to x, by Gauss-Legendre quadrature with 40 nodes."""
        nodes, weights = np.polynomial.legendre.leggauss(40)
        total = np.zeros_like(x)
        for node, weight in zip(nodes, weights, strict=True):
            total += weight * self.value(0.5 * x * (1.0 + node))
        return 0.5 * x * total

    def formulas(self, n: int) -> list[Formula]:
        """The text itself; its derivative is left to the reader of the formula."""
        return [Formula(np.arange(n), self.variable, self.parameters, self.text)]

    def _samples(self, low: FloatArray, high: FloatArray) -> list[FloatArray]:
        return [low + t * (high - low) for t in np.linspace(0.0, 1.0, 201)]

    def check_convex(self, low: float, high: float) -> None:
        """Raise DataError unless finite and convex on [low, high] (checked on 201 points)."""
        for x in self._samples(np.array([low]), np.array([high])):
            self._require_finite(x)
            if (self.second(x) < -1e-12 * (1.0 + np.abs(self.first(x)))).any():
                raise DataError(
                    f"the cost {self.text!r} is not convex at {self.variable} = {x[0]:g} kW",
                    where=self.where,
                    advice="give a cost whose second derivative is >= 0 on [min_kw, max_kw]",
                )

    def check_inverse_demand(self, high: FloatArray) -> None:
        """Raise DataError unless finite, decreasing and 2 phi' + q |phi''| <= 0 on [0, high]."""
        for q in self._samples(np.zeros_like(high), high):
            self._require_finite(q)
            first, second = self.first(q), self.second(q)
            bad = (first >= 0) | (2.0 * first + q * np.abs(second) > 1e-12 * np.abs(first))
            if bad.any():
                at = float(q[np.argmax(bad)])
                raise DataError(
                    f"the inverse demand {self.text!r} breaks 2 phi' + q |phi''| <= 0 at "
                    f"q = {at:g} kW, so the sellers' profit may not be concave",
                    where=self.where,
                    advice="give a decreasing price with less curvature, or a smaller "
                    "market.demand_range",
                )

    def _require_finite(self, x: FloatArray) -> None:
        with np.errstate(all="ignore"):
            values = [self._evaluate(k, x) for k in range(3)]
        if not all(np.isfinite(v).all() for v in values):
            at = float(x[np.argmin(np.all([np.isfinite(v) for v in values], axis=0))])
            raise DataError(
                f"{self.text!r} or a derivative is not finite at {self.variable} = {at:g}",
                where=self.where,
                advice="give a function that is twice differentiable on the whole range",
            )


def parse_tree(text: str, names: tuple[str, ...], where: str) -> Any:
    """sympy expression of `text` in real symbols `names`; raises as `Expression.parse`."""
    _check_tokens(text, names, where)
    import sympy

    symbols = {name: sympy.Symbol(name, real=True) for name in names}
    try:
        # only the names, numbers and operators let through above reach the parser
        parsed = sympy.sympify(text, locals=symbols, rational=False)
    except (sympy.SympifyError, TypeError, SyntaxError) as error:
        raise DataError(
            f"{text!r} is not an expression", where=where, advice="check brackets and operators"
        ) from error
    if not isinstance(parsed, sympy.Expr):
        raise DataError(f"{text!r} is not a scalar expression", where=where)
    if parsed.has(sympy.I, sympy.zoo, sympy.nan, sympy.oo, -sympy.oo):
        raise DataError(
            f"{text!r} is not a real number anywhere",
            where=where,
            advice="check divisions by zero, and roots and logarithms of negative numbers",
        )
    return parsed


def _check_tokens(text: str, names: tuple[str, ...], where: str) -> None:
    if not text.strip():
        raise DataError("the expression is empty", where=where)
    for token in _TOKEN.findall(text):
        word = token[0].isalpha() or token[0] == "_"
        if word and (token not in names + FUNCTIONS or keyword.iskeyword(token)):
            raise DataError(
                f"{token!r} is not known in the expression {text!r}",
                where=where,
                advice=f"use {', '.join(names)} and {', '.join(FUNCTIONS)}",
            )
        if (
            not word
            and token not in ("+", "-", "*", "/", "**", "(", ")")
            and not token[0].isdigit()
        ):
            if token[0] == "." and len(token) > 1:
                continue
            raise DataError(
                f"character {token!r} is not allowed in the expression {text!r}",
                where=where,
                advice="use + - * / ** and brackets",
            )
