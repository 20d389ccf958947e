"""Reads exported GAMS models and evaluates their equations, without GAMS and without the writer."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

_STRING = r"(?:'[^']*'|\"[^\"]*\")"
_KEY = re.compile(rf"{_STRING}(?:\.{_STRING})*")
_FUNCTIONS = {
    "sqr": lambda a: a * a,
    "power": lambda a, n: a**n,
    "sqrt": math.sqrt,
    "exp": math.exp,
    "log": math.log,
    "max": max,
}


def _keys(text: str) -> tuple[str, ...]:
    return tuple(part[1:-1] for part in re.findall(_STRING, text))


class GamsModel:
    """Sets, parameters, variable data and equations of an exported file."""

    def __init__(self, path: Path) -> None:
        self.text = path.read_text(encoding="utf-8")
        lines = [line for line in self.text.splitlines() if line and line[0] not in "*$"]
        source = "\n".join(lines)
        self.sets: dict[str, list[str]] = {}
        self.parents: dict[str, str] = {}
        self.parameters: dict[str, dict[tuple[str, ...], float]] = {}
        self.data: dict[str, dict[str, dict[str, float]]] = {}
        self.domain: dict[str, str] = {}
        self.alias: dict[str, str] = {}
        pattern = (
            rf"^(set|parameter|variable|equation) (\w+)(?:\(([\w, ]+)\))? {_STRING} /\n(.*?)\n/;"
        )
        for kind, name, domain, body in re.findall(pattern, source, re.S | re.M):
            rows = [line.strip().rstrip(",") for line in body.splitlines()]
            if kind == "set":
                self.sets[name] = [_keys(_KEY.match(r).group())[0] for r in rows]
            elif kind == "parameter":
                keys = [_KEY.match(r).group() for r in rows]
                self.parameters[name] = {
                    _keys(k): float(r[len(k) :]) for k, r in zip(keys, rows, strict=True)
                }
            else:
                self.domain[name] = domain
                self.data[name] = {}
                for r in rows:
                    k = _KEY.match(r).group()
                    fields = re.findall(r"(lo|up|l|scale) ([-+\w.]+)", r[len(k) :])
                    self.data[name][_keys(k)[0]] = {f: float(v) for f, v in fields}
        for own, other in re.findall(r"^alias \((\w+), (\w+)\);", source, re.M):
            self.alias[other] = own
        self.equations = {
            name: ([p.strip() for p in body.splitlines()], relation)
            for name, body, relation in re.findall(
                r"^(\w+)\(\w+\)\.\.\n(.*?)\n    (=[gen]=) 0;", source, re.S | re.M
            )
        }
        listed = re.search(r"^model \w+ /\n(.*?)\n/;", source, re.S | re.M).group(1)
        self.pairs = [tuple(p.strip().rstrip(",").split(".")) for p in listed.splitlines()]

    def column(self, field: str) -> np.ndarray:
        """lo, up, l or scale of all variables, in order."""
        return np.array([d[field] for _, x in self.pairs for d in self.data[x].values()])

    def row_scale(self) -> np.ndarray:
        return np.array([d["scale"] for f, _ in self.pairs for d in self.data[f].values()])

    def evaluate(self, z: np.ndarray) -> np.ndarray:
        """All equations' left-hand sides at levels z, in the order of the model's pairs."""
        level: dict[str, dict[tuple[str, ...], float]] = {}
        at = 0
        for _, x in self.pairs:
            elements = self.sets[self.domain[x]]
            level[x] = {(e,): float(z[at + k]) for k, e in enumerate(elements)}
            at += len(elements)

        def look(name: str, *key: str) -> float:
            if name in level:
                return level[name][key]
            return self.parameters[name].get(key, 0.0)

        out = []
        for f, _ in self.pairs:
            parts, _ = self.equations[f]
            out += [
                sum(self._part(p, self.domain[f], e, look) for p in parts)
                for e in self.sets[self.domain[f]]
            ]
        return np.array(out)

    def _part(self, text: str, index: str, element: str, look: object) -> float:
        within = re.fullmatch(r"(.*)\$\((\w+)\(\w+\)\)", text)
        if within:
            if element not in self.sets[within.group(2)]:
                return 0.0
            text = within.group(1)
        total = re.fullmatch(r"\+ sum\((\w+), (.*)\)", text)
        if total:
            j, body = total.groups()
            return sum(
                self._value(body, {index: element, j: other}, look)
                for other in self.sets[self.alias[j]]
            )
        return self._value(text, {index: element}, look)

    def _value(self, text: str, bound: dict[str, str], look: object) -> float:
        def symbol(match: re.Match[str]) -> str:
            keys = [bound[k] for k in match.group(2).split(", ")]
            return f"look({match.group(1)!r}, {', '.join(map(repr, keys))})"

        names = "|".join(bound)
        code = re.sub(rf"(\w+)\(((?:{names})(?:, (?:{names}))*)\)", symbol, text)
        return float(eval(code, {"__builtins__": {}}, {**_FUNCTIONS, "look": look}))
