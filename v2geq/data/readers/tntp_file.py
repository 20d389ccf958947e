"""Lines, metadata and numbers of a TNTP file; every error names file and line."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from v2geq.data.readers.tables import read_text
from v2geq.errors import DataError, did_you_mean, quoted

_METADATA = re.compile(r"\s*<\s*([^<>]*?)\s*>(.*)")


@dataclass(frozen=True)
class TntpFile:
    """Metadata by name, each with its line, and the rows that hold more than a comment."""

    path: Path
    metadata: dict[str, tuple[int, str]]
    rows: list[tuple[int, str]]

    @classmethod
    def plain(cls, path: str | Path) -> TntpFile:
        """A file without metadata: of nodes or of flows."""
        path = _path(path)
        return cls(path, {}, _lines(path))

    @classmethod
    def read(cls, path: str | Path, what: str) -> TntpFile:
        """A 'network' or 'trip table' (`what`); one in the place of the other is told."""
        path = _path(path)
        lines = _lines(path, keep="<")
        metadata: dict[str, tuple[int, str]] = {}
        rest = iter(lines)
        for line, text in rest:
            found = _METADATA.match(text)
            if not found:
                raise DataError(
                    f"{quoted(text.strip()[:40])} before <END OF METADATA>",
                    where=f"{path}, line {line}",
                    advice=f"a {what} file begins with lines such as <NUMBER OF ZONES> 24",
                )
            key = " ".join(found[1].upper().split())
            if key == "END OF METADATA":
                break
            value = found[2].strip()
            if metadata.get(key, (line, value))[1] != value:
                raise DataError(
                    f"<{key}> says something else than in line {metadata[key][0]}",
                    where=f"{path}, line {line}",
                    advice="keep one of the lines",
                )
            metadata[key] = (line, value)
        else:
            raise DataError(
                "<END OF METADATA> is missing",
                where=str(path),
                advice=f"is this a TNTP {what} file, and complete?",
            )
        is_network = "NUMBER OF LINKS" in metadata
        if is_network != (what == "network") and (is_network or "TOTAL OD FLOW" in metadata):
            raise DataError(
                f"this is a {'network' if is_network else 'trip table'}, not a {what}",
                where=str(path),
                advice="give the network file first, then the trip table",
            )
        return cls(path, metadata, _stripped(list(rest)))

    def error(self, line: int | None, problem: str, advice: str) -> DataError:
        at = f", line {line}" if line else ""
        return DataError(problem, where=f"{self.path}{at}", advice=advice)

    def whole(self, line: int, name: str, text: str) -> int:
        """A whole number of digits only."""
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise self.error(
                line,
                f"{name} = {quoted(text[:40])} is no whole number",
                "write digits only, at most 18",
            )
        return int(text)

    def number(self, line: int, name: str, text: str) -> float:
        """A finite number."""
        try:
            value = math.nan if "_" in text or not text.isascii() else float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.error(line, f"{name} = {quoted(text)} is no number", "write a finite number")
        return value

    def count(self, key: str) -> int:
        """Whole number of the metadata."""
        if key not in self.metadata:
            raise self.error(None, f"<{key}> is missing", did_you_mean(key, self.metadata))
        line, text = self.metadata[key]
        return self.whole(line, f"<{key}>", text.partition("~")[0].rstrip(" \t;"))


def _path(path: Any) -> Path:
    if not isinstance(path, (str, Path)):
        raise DataError(f"{quoted(path)} is not the path of a file")
    return Path(path)


def _lines(path: Path, keep: str = "") -> list[tuple[int, str]]:
    """Numbered lines with content; comments are dropped, but in lines that begin with `keep`."""
    lines = list(enumerate(read_text(path).splitlines(), 1))
    return _stripped(lines, keep)


def _stripped(lines: Sequence[tuple[int, str]], keep: str = "") -> list[tuple[int, str]]:
    out = []
    for line, text in lines:
        if not (keep and text.lstrip().startswith(keep)):
            text = text.partition("~")[0]
        text = text.strip()
        if text and text != ";":
            out.append((line, text))
    return out
