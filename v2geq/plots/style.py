"""Colours, sizes and settings shared by all figures, and saving.

A colour means a quantity, the fill means the run: pale without V2G, full with it. The colours are
those of Okabe and Ito, which people with colour-blindness tell apart.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.text import Annotation

from v2geq.errors import DataError
from v2geq.files import as_path, make_folder, write_files

Colour = tuple[float, float, float]

COLUMN_MM, PAGE_MM = 89.0, 183.0
"""Widths of one and of two columns of a journal page, mm."""

MM = 1.0 / 25.4

COLOURS = {
    "tso": "#999999",
    "generation": "#E69F00",
    "charge": "#0072B2",
    "discharge": "#009E73",
    "shed": "#D55E00",
    "travel": "#56B4E9",
    "toll": "#332288",
    "waiting": "#CC79A7",
    "degradation": "#F0E442",
    "battery": "#8A6240",
    "pv": "#DDCC77",
    "store": "#9E8FD0",
    "operation": "#7FA65A",
    "benefit": "#5A5A5A",
    "energy": "#999999",
    "scarcity": "#D55E00",
    "loss": "#56B4E9",
    "congestion": "#E69F00",
    "voltage": "#0072B2",
    "reactive": "#CC79A7",
}
"""Colour of every quantity, the same in all figures."""

INK, MUTED, FAINT = "#1A1A1A", "#6E6E6E", "#C8C8C8"
"""Text and totals; secondary text; what is there but carries no number."""

PALE = 0.72
"""Share of white in the colours of runs without V2G."""

STATES = {False: "without V2G", True: "with V2G"}
SHORT_STATES = {False: "no V2G", True: "V2G"}

SETTINGS: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same layout everywhere
    "font.size": 6.5,
    "axes.titlesize": 7.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 4.0,
    "axes.labelsize": 6.5,
    "axes.labelpad": 2.0,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.size": 2.0,
    "ytick.major.size": 2.0,
    "xtick.minor.size": 1.2,
    "ytick.minor.size": 1.2,
    "xtick.major.pad": 2.0,
    "ytick.major.pad": 2.0,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.0,
    "patch.linewidth": 0.5,
    "hatch.linewidth": 0.4,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "legend.handlelength": 1.3,
    "legend.handleheight": 0.9,
    "legend.columnspacing": 1.2,
    "legend.handletextpad": 0.5,
    "figure.facecolor": "white",
    "figure.constrained_layout.h_pad": 0.03,
    "figure.constrained_layout.w_pad": 0.03,
    "savefig.facecolor": "white",
    "savefig.bbox": None,
    "svg.fonttype": "none",
    "svg.hashsalt": "v2geq",
}


def style() -> AbstractContextManager[None]:
    """Context with the figures' settings; the caller's come back after it."""
    settings: Any = SETTINGS  # the type that matplotlib declares is a list of all its keys
    return mpl.rc_context(settings)


SCREEN_DPI = 110


class StudyFigure(Figure):
    """A figure that needs no pyplot: shown by notebooks and saved in the settings of `style`."""

    def _repr_png_(self) -> bytes:
        """A small picture: notebooks keep what they show."""
        from PIL import Image

        drawn, small = io.BytesIO(), io.BytesIO()
        with style():
            self.savefig(drawn, format="png", dpi=SCREEN_DPI)
        with Image.open(drawn) as picture:
            picture.convert("RGB").quantize().save(small, format="png", optimize=True)
        return small.getvalue()


def new_figure(width_mm: float, height_mm: float) -> Figure:
    """Empty figure of the given size in constrained layout."""
    if not 40.0 <= width_mm <= 1000.0:
        raise DataError(
            f"a figure cannot be {width_mm:g} mm wide",
            advice=f"use {COLUMN_MM:g} for one column or {PAGE_MM:g} for two",
        )
    return StudyFigure(figsize=(width_mm * MM, height_mm * MM), layout="constrained")


def is_wide(width_mm: float) -> bool:
    """Whether panels fit side by side."""
    return width_mm >= 130.0


def save(figure: Figure, path: str | Path) -> list[Path]:
    """Write `figure` as SVG (text stays text) and PNG (300 dpi); the files written.

    Parameters
    ----------
    path
        Where to, without a suffix.

    Raises
    ------
    DataError
        Where they cannot be written.
    """
    base = as_path(path)
    svg, png = io.BytesIO(), io.BytesIO()
    make_folder(base.parent)
    with style():
        # without a date equal figures are equal files
        figure.savefig(svg, format="svg", metadata={"Date": None})
        # the layout is settled: solving it again would only cost time
        figure.set_layout_engine("none")
        figure.savefig(png, format="png", dpi=300, pil_kwargs={"compress_level": 4})
    files = {
        base.with_name(base.name + ending): content.getvalue()
        for ending, content in ((".svg", svg), (".png", png))
    }
    write_files(files)
    return list(files)


def mix(colour: str, white: float) -> Colour:
    """`colour` with a share of white."""
    red, green, blue = (c + (1.0 - c) * white for c in to_rgb(colour))
    return red, green, blue


def fill(quantity: str, v2g: bool) -> Colour:
    """Colour of a bar: that of its quantity, pale without V2G."""
    return mix(COLOURS[quantity], 0.0 if v2g else PALE)


def edge(quantity: str) -> Colour:
    """Outline of a bar, a little darker than its colour so that pale ones stay visible."""
    red, green, blue = (0.8 * c for c in to_rgb(COLOURS[quantity]))
    return red, green, blue


def state_handles(states: Iterable[bool]) -> list[Patch]:
    """Legend entries for runs without and with V2G."""
    look: Any = {"edgecolor": INK, "linewidth": 0.5}
    return [
        Patch(facecolor=mix(INK, 0.0 if v2g else PALE), label=STATES[v2g], **look) for v2g in states
    ]


def quantity_handles(names: dict[str, str]) -> list[Patch]:
    """Legend entries of quantities: key of `COLOURS` -> text."""
    return [
        Patch(facecolor=COLOURS[key], edgecolor=edge(key), label=text)
        for key, text in names.items()
    ]


def legend(
    figure: Figure, handles: Sequence[Artist], columns: int, side: str = "upper", **more: Any
) -> None:
    """Legend outside the panels, above or below them."""
    place: Any = f"outside {side} center"
    figure.legend(handles=list(handles), loc=place, ncols=columns, **more)


def number(value: float, digits: int = 0) -> str:
    """`value` with thousands separators and a true minus; never a negative zero."""
    text = f"{round(value, digits) + 0.0:,.{digits}f}"
    return text.replace("-", "−")


def panel_letter(axes: Axes, letter: str, title: str) -> None:
    """Heading of a panel, as 'a  Supply'."""
    axes.set_title(f"{letter}  {title}" if letter else title)


def two_line_title(axes: Axes, title: str, text: str, colour: str = INK) -> None:
    """Title of a panel with two lines of text below it."""
    axes.set_title(title, pad=20)
    above: Any = {"where": "axes fraction", "ha": "left", "linespacing": 1.2}
    words = note(axes, text, (0.0, 1.0), (0, 2), colour=colour, **above)
    # where wider than its panel, that must not shrink for it
    words.set_in_layout(False)


def note(
    axes: Axes,
    text: str,
    at: tuple[float, float],
    offset: tuple[float, float],
    *,
    where: Any = "data",
    ha: Any = "center",
    va: Any = "bottom",
    size: float = 6.0,
    colour: str | Colour = INK,
    **more: Any,
) -> Annotation:
    """Text `offset` points from a place in the coordinates `where`, as `Axes.annotate`."""
    aligned = {"ha": ha, "va": va, "fontsize": size, "color": colour}
    by: Any = "offset points"
    return axes.annotate(text, at, offset, where, by, **aligned, **more)


def quiet(axes: Axes, *sides: str) -> None:
    """Remove spines and their ticks."""
    for side in sides:
        axes.spines[side].set_visible(False)
        if side in ("bottom", "top"):
            axes.tick_params(axis="x", length=0, which="both")
        else:
            axes.tick_params(axis="y", length=0, which="both")
