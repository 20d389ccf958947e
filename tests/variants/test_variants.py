"""Figures of 137 variants of the shipped cases against those kept in variants.csv."""

from __future__ import annotations

import csv

import pytest
from variants import FILE, NAMES, Variant, row, variants

with FILE.open(newline="") as _file:
    KEPT = {line["variant"]: line for line in csv.DictReader(_file)}


def test_every_variant_is_kept_once() -> None:
    keys = [v.key for v in variants()]
    assert len(set(keys)) == len(keys) >= 76
    assert set(KEPT) == set(keys)


@pytest.mark.slow
@pytest.mark.parametrize("variant", list(variants()), ids=lambda v: v.key)
def test_figures_are_those_kept(variant: Variant) -> None:
    kept, found = KEPT[variant.key], row(variant)
    assert found["outcome"] == kept["outcome"]
    if found["outcome"] == "certified":
        size = abs(float(kept["social_cost"]))
        for name in NAMES:
            expected = pytest.approx(float(kept[name]), rel=1e-7, abs=1e-13 * size, nan_ok=True)
            assert float(found[name]) == expected, name
