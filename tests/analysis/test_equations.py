"""The page of equations is what the blocks say now."""

from __future__ import annotations

from pathlib import Path

import v2geq as vg
from v2geq.analysis.equations import equations_page

PAGE = Path(__file__).parents[2] / "notebooks" / "equations.md"


def test_page_is_up_to_date() -> None:
    """Regenerate with: python -m v2geq equations > notebooks/equations.md."""
    coupled = vg.solve(vg.load_case("ieee123_sioux_falls"), "island", v2g=True).coupled
    page = equations_page(coupled)
    assert page == PAGE.read_text(encoding="utf-8")
    for block in coupled.mcp.blocks:
        name = block.name.rpartition(".")[2]
        assert f"`{name}`" in page, name
