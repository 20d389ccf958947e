"""Small HTML cards for notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape


def card(
    title: str, rows: Mapping[str, object], *, note: str = "", good: bool | None = None
) -> str:
    """A titled two-column table; `good` colours a mark beside the title green or red."""
    mark = ""
    if good is not None:
        colour, sign = ("#009e73", "&#10003;") if good else ("#d55e00", "&#10007;")
        mark = f' <span style="color:{colour}">{sign}</span>'
    cells = "".join(
        f'<tr><td style="text-align:left">{escape(str(k))}</td>'
        f'<td style="text-align:left">{escape(str(v))}</td></tr>'
        for k, v in rows.items()
    )
    tail = f"<p>{escape(note)}</p>" if note else ""
    return f"<div><b>{escape(title)}</b>{mark}<table>{cells}</table>{tail}</div>"
