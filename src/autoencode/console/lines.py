"""Single lines on stderr, and numbers formatted for people."""

from __future__ import annotations

import contextlib
import re
import sys
from typing import Any

MOST_BYTES = 400  # of a line for a person
_GAP = " ... "
# What a terminal obeys instead of showing it: controls (C0, DEL, C1, also as bytes that are no text),
# ends of lines, and marks that turn the direction of text.
_OBEYED = re.compile(
    "[\x00-\x1f\x7f-\x9f\udc80-\udc9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)


def printable(text: str) -> str:
    """Writes out what a terminal or a browser would obey, so that it shows it as one line.

    Names in files are other people's text. Everything that a person sees goes through here: lines on
    stderr and stdout, cells of tables, pages.

    >>> printable("a\\x1b[2Jb\\n")
    'a\\\\x1b[2Jb\\\\n'
    """
    return _OBEYED.sub(_written_out, text)


def _written_out(found: re.Match[str]) -> str:
    char = found.group()
    if "\udc80" <= char <= "\udc9f":  # a byte of a file's name
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode()


def shortened(text: str, most: int = MOST_BYTES) -> str:
    """Leaves out the middle of a text that has more bytes than ``most``; what to do stands at its end.

    >>> shortened("a" * 20 + "b" * 20, 15)
    'aaaaaa ... bbbb'
    """
    content = text.encode(errors="surrogateescape")
    if len(content) <= most:
        return text
    room = most - len(_GAP)
    tail = room * 2 // 5
    parts = content[: room - tail], content[len(content) - tail :]
    head, end = (part.decode(errors="ignore") for part in parts)
    return f"{head}{_GAP}{end}"


def note(message: str) -> None:
    """Prints one line on stderr for the person who watches (stdout is for results).

    Nobody listening is no reason to lose a run.
    """
    with contextlib.suppress(OSError):
        print(shortened(printable(message)), file=sys.stderr, flush=True)


def number(value: Any) -> str:
    """Formats a number for people."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
    return str(value)
