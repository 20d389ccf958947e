"""Formulas given as text, read into postfix programs: a small language, within limits.

Numbers, names, ``+ - * / **``, brackets and a few functions of one argument; nothing else is read,
so no text can run anything, and none is large enough to take time or memory. Subtraction and
division are read as additions and products, so that there are few instructions. Numbers are
doubles from the start, what holds numbers alone is worked out at once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import lru_cache
from typing import NoReturn

import numpy as np

from v2geq.errors import DataError, quoted

FUNCTIONS = ("exp", "log", "sqrt")

#: limits: characters; numbers, names and operators; brackets and powers within each other
LONGEST, MOST_TOKENS, DEEPEST = 1000, 400, 40
#: largest constant exponent, of either sign
LARGEST_POWER = 1000.0

# instructions: push a number or the value of a name, or replace the top one or two of the stack
NUMBER, NAME, ADD, MULTIPLY, POWER, RAISE, EXP, LOG, ABS, MAX = range(10)
Instruction = tuple[int, float | str]
#: instructions in postfix order; POWER has its constant exponent with it, RAISE both on the stack
Code = tuple[Instruction, ...]

_TOKEN = re.compile(
    r"\s+|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<word>[A-Za-z_]\w*)"
    r"|(?P<sign>\*\*|[-+*/(),])",
    re.ASCII,
)


@lru_cache(maxsize=512)
def parse(text: str, names: tuple[str, ...], where: str = "", *, own: bool = False) -> Code:
    """Read `text`, an expression in `names`.

    Parameters
    ----------
    own
        The text was put together by this package from expressions already read: it may be longer,
        and ``max(a, b)`` is known.

    Raises
    ------
    DataError
        Text that is too long or nested too deeply, unknown names or characters, what is not one
        expression, constants that are not finite real numbers.
    """
    return _Parser(text, names, where, own).code()


class _Parser:
    """Recursive descent; each rule returns the code of what it has read."""

    def __init__(self, text: str, names: tuple[str, ...], where: str, own: bool) -> None:
        self.text, self.names, self.where = text, names, where
        self.functions = (*FUNCTIONS, "max") if own else FUNCTIONS
        self.deepest = 2 * DEEPEST if own else DEEPEST
        self.depth = self.next = 0
        if not text.strip():
            raise DataError("the expression is empty", where=where)
        if len(text) > LONGEST and not own:
            self._refuse(
                f"the expression {quoted(text)} has {len(text):,} characters",
                f"use at most {LONGEST:,}",
            )
        # (kind, token, position); the last stands for the end
        self.tokens = [*self._tokens(own), ("end", "", len(text))]
        if len(self.tokens) > MOST_TOKENS and not own:
            self._refuse(
                f"the expression {quoted(text)} is too long",
                f"use at most {MOST_TOKENS} numbers, names and operators",
            )

    def code(self) -> Code:
        out = self._sum()
        if self.tokens[self.next][0] != "end":
            self._unexpected("an operator")
        return out

    # -- text -------------------------------------------------------------------------------------

    def _tokens(self, own: bool) -> list[tuple[str, str, int]]:
        found, at = [], 0
        while at < len(self.text):
            match = _TOKEN.match(self.text, at)
            if match is None or (match[0] == "," and not own):
                self._refuse(
                    f"character {self.text[at]!r} is not allowed in the expression "
                    f"{quoted(self.text)}",
                    "use + - * / ** and brackets",
                )
            if match.lastgroup == "word" and match[0] not in (*self.names, *self.functions):
                self._refuse(
                    f"{quoted(match[0])} is not known in the expression {quoted(self.text)}",
                    f"use {', '.join(self.names)} and {', '.join(FUNCTIONS)}",
                )
            if match.lastgroup is not None:
                found.append((match.lastgroup, match[0], at))
            at = match.end()
        return found

    def _take(self, *signs: str) -> str:
        """The next token if it is one of `signs`, else nothing."""
        kind, token, _ = self.tokens[self.next]
        if kind != "sign" or token not in signs:
            return ""
        self.next += 1
        return token

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            self._unexpected(f"an operator or {sign!r}")

    def _unexpected(self, wanted: str) -> NoReturn:
        kind, token, at = self.tokens[self.next]
        here = "it ends" if kind == "end" else f"{quoted(token)} stands at character {at + 1}"
        self._refuse(
            f"{quoted(self.text)} is not an expression: {here} where {wanted} is needed",
            "check brackets and operators",
        )

    def _refuse(self, problem: str, advice: str) -> NoReturn:
        raise DataError(problem, where=self.where, advice=advice)

    # -- grammar ----------------------------------------------------------------------------------

    def _sum(self) -> Code:
        out = self._product()
        while sign := self._take("+", "-"):
            other = self._product()
            out = self._apply(ADD, out, other if sign == "+" else self._negative(other))
        return out

    def _product(self) -> Code:
        out = self._signed()
        while sign := self._take("*", "/"):
            other = self._signed()
            out = self._apply(MULTIPLY, out, other if sign == "*" else self._power(other, -1.0))
        return out

    def _signed(self) -> Code:
        negative = False
        while sign := self._take("+", "-"):
            negative ^= sign == "-"
        self.depth += 1
        if self.depth > self.deepest:
            self._refuse(
                f"the expression {quoted(self.text)} is nested too deeply",
                f"use at most {DEEPEST} brackets or powers within each other",
            )
        out = self._raised()
        self.depth -= 1
        return self._negative(out) if negative else out

    def _raised(self) -> Code:
        out = self._atom()
        if not self._take("**"):
            return out
        exponent = self._signed()
        constant = _constant(exponent)
        return self._apply(RAISE, out, exponent) if constant is None else self._power(out, constant)

    def _atom(self) -> Code:
        kind, token, _ = self.tokens[self.next]
        if kind == "number":
            self.next += 1
            return self._number(float(token))
        if kind == "word":
            self.next += 1
            return self._word(token)
        if self._take("("):
            out = self._sum()
            self._expect(")")
            return out
        self._unexpected("a number, a name or '('")

    def _word(self, word: str) -> Code:
        called = self.tokens[self.next][1] == "("
        if word in self.names:
            if called:
                self._refuse(
                    f"{word!r} is no function in the expression {quoted(self.text)}",
                    "write products with *",
                )
            return ((NAME, word),)
        if not called:
            self._refuse(
                f"the function {word!r} has no argument in the expression {quoted(self.text)}",
                f"write {word}(...)",
            )
        self._expect("(")
        first = self._sum()
        if word == "max":
            self._expect(",")
            first = self._apply(MAX, first, self._sum())
        self._expect(")")
        if word == "sqrt":
            return self._power(first, 0.5)
        return first if word == "max" else self._apply(EXP if word == "exp" else LOG, first)

    # -- instructions -----------------------------------------------------------------------------

    def _apply(self, what: int, *parts: Code) -> Code:
        numbers = [_constant(part) for part in parts]
        if any(n is None for n in numbers):
            return (*(i for part in parts for i in part), (what, 0.0))
        return self._number(_WORKED_OUT[what](*numbers))

    def _power(self, base: Code, exponent: float) -> Code:
        if abs(exponent) > LARGEST_POWER:
            self._refuse(
                f"the expression {quoted(self.text)} has the exponent {exponent:g}",
                f"use exponents between {-LARGEST_POWER:g} and {LARGEST_POWER:g}",
            )
        if exponent in (0.0, 1.0):
            return base if exponent else self._number(1.0)
        number = _constant(base)
        if number is None:
            if exponent == 0.5 and base[-1] == (POWER, 2.0):
                return (*base[:-1], (ABS, 0.0))  # smooth but for a kink, unlike roots near zero
            return (*base, (POWER, exponent))
        with np.errstate(all="ignore"):
            return self._number(float(np.float64(number) ** exponent))

    def _negative(self, part: Code) -> Code:
        return self._apply(MULTIPLY, self._number(-1.0), part)

    def _number(self, value: float) -> Code:
        if not math.isfinite(value):
            self._refuse(
                f"a constant of {quoted(self.text)} is not a real number, or too large",
                "check divisions by zero, and roots and logarithms of negative numbers",
            )
        return ((NUMBER, value),)


def _constant(part: Code) -> float | None:
    """The number a code consists of."""
    return float(part[0][1]) if len(part) == 1 and part[0][0] == NUMBER else None


def _quiet(function: np.ufunc) -> Callable[..., float]:
    def worked_out(*numbers: float) -> float:
        with np.errstate(all="ignore"):
            return float(function(*numbers))

    return worked_out


_WORKED_OUT = {
    what: _quiet(function)
    for what, function in (
        (ADD, np.add),
        (MULTIPLY, np.multiply),
        (EXP, np.exp),
        (LOG, np.log),
        (MAX, np.maximum),
    )
}
