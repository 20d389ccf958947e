"""The command that prints the equations."""

from __future__ import annotations


def equations() -> None:
    """Print the equations with symbols, units and places in the code (Markdown)."""
    from v2geq.analysis.equations import equations_page
    from v2geq.data.edit.case import load_case
    from v2geq.equilibrium import solve as solve_case

    coupled = solve_case(load_case("ieee123_sioux_falls"), "island", v2g=True).coupled
    print(equations_page(coupled), end="")
