"""Small HTML cards for notebooks, and the log on a terminal."""

from __future__ import annotations

import logging
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


def log_to_stderr() -> None:
    """Write the package's log to the standard error, as plain lines."""
    log = logging.getLogger("v2geq")
    if not log.handlers:
        log.addHandler(logging.StreamHandler())
    log.setLevel(logging.INFO)
