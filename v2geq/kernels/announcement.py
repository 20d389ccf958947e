"""One line in the log where functions are compiled: it takes seconds, and looks like a hang."""

from __future__ import annotations

import logging
import threading
from typing import Protocol

from v2geq.progress import remark


class Once(Protocol):
    """What only one of those who share it can take: a lock of threads or of processes."""

    def acquire(self, block: bool = ..., /) -> bool: ...


_turn: Once = threading.Lock()
_warned = threading.Lock()


def share(turn: Once) -> None:
    """Let only one of several processes that share `turn` tell."""
    global _turn
    _turn = turn


def tell(text: str) -> None:
    """Log the text, unless something was told before; a line under way shows it in any case."""
    remark(text)
    if _turn.acquire(False):
        logging.getLogger("v2geq").info(text)


def warn(text: str) -> None:
    """Log the text, unless something was warned of before."""
    if _warned.acquire(False):
        logging.getLogger("v2geq").warning(text)
