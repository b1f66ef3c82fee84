"""Single lines on stderr, and numbers formatted for people."""

from __future__ import annotations

import contextlib
import sys
from typing import Any


def note(message: str) -> None:
    """Prints one line on stderr for the person who watches (stdout is for results).

    Nobody listening is no reason to lose a run.
    """
    with contextlib.suppress(OSError):
        print(message, file=sys.stderr, flush=True)


def number(value: Any) -> str:
    """Formats a number for people."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
    return str(value)
