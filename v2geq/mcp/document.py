"""Programs as plain data, for files: labels, matrices and curves as formulas; no code.

What is read is stated again, so it passes the same checks as what a user states. Scales are not
kept: they are taken anew from the scenario, so that no file can make a residual look small.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp

from v2geq.errors import DataError
from v2geq.mcp.curves import Curve, Linear, Quadratic
from v2geq.mcp.expression import Expression
from v2geq.mcp.market import Market
from v2geq.mcp.program import Program
from v2geq.mcp.statement import Scales
from v2geq.mcp.terms import CournotRevenue, Variable

LARGEST = 10_000_000
"""Rows or columns from which a matrix is damage; they take memory even where they are empty."""
_VARIABLE = ("unit", "lower", "upper", "reach", "start", "meaning")
_ROWS = ("unit", "rhs", "start", "meaning")
_MARKET = ("unit", "lower", "start", "pinned", "meaning")
_DAMAGED = (TypeError, ValueError, LookupError, AttributeError, OverflowError)


def program_to_document(program: Program) -> dict[str, Any]:
    """The statement of a player as plain data.

    Raises
    ------
    DataError
        A curve that is Python code.
    """
    return {
        "player": program.player,
        "title": program.title,
        "variables": [
            {**_head(v), **{k: _plain(getattr(v, k)) for k in _VARIABLE}} for v in program.variables
        ],
        "constraints": [
            {
                **_head(c),
                **{k: _plain(getattr(c, k)) for k in _ROWS},
                "equality": c.equality,
                "terms": {v.name: _plain(m) for v, m in c.terms.items()},
                "rivals": {key: _plain(m) for key, m in c.rivals.items()},
            }
            for c in program.constraints
        ],
        "linear": {v.name: _plain(c) for v, c in program.linear.items()},
        "margins": {v.name: _plain(c) for v, c in program.margins.items()},
        "curves": [
            {
                "variable": term.variable.name,
                **_curve(term.variable, term.curve),
                "rivals": list(term.rivals) if isinstance(term, CournotRevenue) else None,
            }
            for term in program.nonlinear
        ],
        "products": [
            {"variable": x.variable.name, "rival": x.rival, "price": _plain(x.matrix)}
            for x in program.products
        ],
        "offers": [
            {
                "market": o.market,
                "terms": {v.name: _plain(c) for v, c in o.terms.items()},
                "constant": _plain(o.constant),
                "at": None if o.at is None else [list(label) for label in o.at],
            }
            for o in program.offers
        ],
        "markets": [
            {**_head(m), **{k: _plain(getattr(m, k)) for k in _MARKET}} for m in program.markets
        ],
        "replaced": [list(part) for part in program.replaced],
        "terms": dict(program.terms),
    }


def program_from_document(document: Mapping[str, Any], scales: Scales) -> Program:
    """Inverse of `program_to_document`, with the scales of a scenario.

    Raises
    ------
    DataError
        Data that are damaged, or that could not be stated.
    """
    try:
        return _program(document, scales)
    except _DAMAGED as error:
        raise DataError(f"a player's statement is damaged ({error!r})") from error


def _program(document: Mapping[str, Any], scales: Scales) -> Program:
    p = Program(document["player"], scales, title=str(document["title"]))
    for v in document["variables"]:
        p.variable(*_names(v), **{k: _array(v[k]) for k in _VARIABLE})
    for c in document["constraints"]:
        state = p.equality if c["equality"] is True else p.at_least
        state(
            *_names(c),
            terms={
                **{p[name]: _array(m) for name, m in c["terms"].items()},
                **{str(key): _array(m) for key, m in c["rivals"].items()},
            },
            **{k: _array(c[k]) for k in _ROWS},
        )
    for name, cost in document["linear"].items():
        p.cost(p[name], _array(cost))
    for name, margin in document["margins"].items():
        p.margin(p[name], _array(margin))
    for curve in document["curves"]:
        _restate(p, curve)
    for x in document["products"]:
        p.cost(p[x["variable"]], _array(x["price"]), times=str(x["rival"]))
    for o in document["offers"]:
        at = None if o["at"] is None else [tuple(map(str, label)) for label in o["at"]]
        terms = {p[name]: _array(c) for name, c in o["terms"].items()}
        p.sell(str(o["market"]), terms, constant=_array(o["constant"]), at=at)
    for m in document["markets"]:
        name, dims, labels = _names(m)
        rest = {k: _array(m[k]) for k in _MARKET}
        p.add(Market(name, dims=dims, labels=labels, **rest))
    for player, dimension, labels in document["replaced"]:
        p.replaced.append((str(player), str(dimension), tuple(map(str, labels))))
    p.terms = {str(k): str(v) for k, v in document["terms"].items()}
    return p


def _restate(p: Program, curve: Mapping[str, Any]) -> None:
    variable, kind = p[curve["variable"]], curve["kind"]
    price: Any
    if kind == "quadratic":
        price = Quadratic(_array(curve["linear"]), _array(curve["quadratic"]))
    elif kind == "linear":
        price = Linear(_array(curve["intercept"]), _array(curve["slope"]))
    else:
        price = str(curve["text"])
    if curve["rivals"] is None:
        p.cost(variable, price)
    else:
        p.cournot_revenue(variable, price, [str(key) for key in curve["rivals"]])


def _curve(variable: Variable, curve: Curve) -> dict[str, Any]:
    if isinstance(curve, Quadratic):
        return {
            "kind": "quadratic",
            "linear": _plain(curve.linear),
            "quadratic": _plain(curve.quadratic),
        }
    if isinstance(curve, Linear):
        return {
            "kind": "linear",
            "intercept": _plain(curve.intercept),
            "slope": _plain(curve.slope),
        }
    if isinstance(curve, Expression) and not curve.parameters:
        return {"kind": "formula", "text": curve.text}
    raise DataError(
        f"the curve of {variable.key} is Python code, which a file does not hold",
        advice="write it as a formula in x, or save what you need of eq.data",
    )


def _head(part: Any) -> dict[str, Any]:
    return {
        "name": part.name,
        "dims": list(part.dims),
        "labels": [list(label) for label in part.labels],
    }


def _names(part: Mapping[str, Any]) -> tuple[str, tuple[str, ...], tuple[tuple[str, ...], ...]]:
    dims = tuple(map(str, part["dims"]))
    return str(part["name"]), dims, tuple(tuple(map(str, label)) for label in part["labels"])


def _plain(value: Any) -> Any:
    """Numbers, lists and tables of a coefficient; a sparse matrix as its entries."""
    if sp.issparse(value):
        entries = sp.coo_array(value)
        return {
            "shape": list(entries.shape),
            "row": entries.row.tolist(),
            "column": entries.col.tolist(),
            "data": entries.data.tolist(),
        }
    if isinstance(value, Mapping):
        return {"table": [[_key(k), float(c)] for k, c in value.items()]}
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value


def _key(label: Any) -> list[str]:
    return list(map(str, label)) if isinstance(label, tuple) else [str(label)]


def _array(value: Any) -> Any:
    """Inverse of `_plain`."""
    if isinstance(value, Mapping):
        if "table" in value:
            return {tuple(map(str, label)): float(c) for label, c in value["table"]}
        shape = tuple(value["shape"])
        if max(shape) > LARGEST:
            raise ValueError(f"a matrix of shape {shape}")
        entries = (value["data"], (value["row"], value["column"]))
        return sp.csr_array(sp.coo_array(entries, shape=shape))
    return np.array(value) if isinstance(value, list) else value
