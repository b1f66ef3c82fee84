"""Lines and numbers for the person who watches."""

from __future__ import annotations

import contextlib
import sys
from typing import Any


def note(message: str) -> None:
    """One line for the person who watches; never on stdout, which is for results.

    Nobody listening is no reason to lose a run.
    """
    with contextlib.suppress(OSError):
        print(message, file=sys.stderr, flush=True)


def number(value: Any) -> str:
    """A number as people read it."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
    return str(value)
