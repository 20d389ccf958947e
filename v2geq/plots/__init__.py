"""Figures of equilibria, alone and beside each other, and the tables behind them.

Functions return a matplotlib `Figure` and leave the global settings of matplotlib alone; `save`
writes one as SVG and PNG. Numbers of a figure come from `v2geq.plots.tables`.
"""

from v2geq.plots.runs import load_runs
from v2geq.plots.style import COLUMN_MM, PAGE_MM, save

__all__ = ["COLUMN_MM", "PAGE_MM", "load_runs", "save"]
