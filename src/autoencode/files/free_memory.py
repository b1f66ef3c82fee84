"""Checks that what is to be loaded fits into the free memory."""

from __future__ import annotations

import os
import re
from pathlib import Path

from autoencode.errors import DataError, OptionError

VARIABLE = "AUTOENCODE_MEMORY"
SHARE = 0.8  # of what the machine could give is taken at most, where nothing else is said

# Deflate cannot pack more tightly than this, so a header that claims more than its compressed
# bytes could ever hold is wrong before a single byte is unpacked.
DEFLATE_RATIO = 1032

# Reading in pieces keeps a false claim from allocating everything at once.
CHUNK = 1 << 20

_REMEDY = "use fewer rows or a smaller dtype"
_UNITS = ("", "K", "M", "G", "T")
_SIZE = re.compile(
    r"(?i)(?P<number>\d{1,12}(\.\d{1,12})?)\s*(?P<unit>[KMGT]?)(?P<binary>i?)(bytes?|B)?"
)


def available_memory() -> int | None:
    """Measures the bytes that may still be taken, ``None`` where nothing tells.

    That is what ``AUTOENCODE_MEMORY`` allows the process (``2GB``, say, in all), less what it holds
    already; without it four fifths of what the machine could give without swapping.

    Raises:
        OptionError: the variable is no size.
    """
    free = _of_the_machine()
    allowed = _allowed()
    if allowed is None:
        return None if free is None else int(free * SHARE)
    left = max(0, allowed - _held())
    return left if free is None else min(left, free)


def _of_the_machine() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _allowed() -> int | None:
    """What the user allows the process to hold, ``None`` for no word of that."""
    given = os.environ.get(VARIABLE, "").strip()
    if not given:
        return None
    found = _SIZE.fullmatch(given)
    if found is None:
        raise OptionError(f"{VARIABLE} is {given[:40]!r}, which is no size; write 2GB or 500MB, say")
    binary = 1024 if found["binary"] else 1000
    return int(float(found["number"]) * binary ** _UNITS.index((found["unit"] or "").upper()))


def _held() -> int:
    """The bytes of memory that the process holds, 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError, IndexError):
        return 0


def require_memory(n_bytes: int, what: str, remedy: str = _REMEDY) -> None:
    """Refuses what cannot fit into memory, in words, before any of it is taken.

    Args:
        n_bytes: that would be taken.
        what: what needs them, for the message.
        remedy: the end of the message.

    Raises:
        DataError: it does not fit into ``available_memory``.
    """
    available = available_memory()
    if available is not None and n_bytes > available:
        raise DataError(
            f"{what}: needs {human(n_bytes)} of memory and {human(available)} are free"
            f"{_why()}; {remedy}"
        )


def require_memory_to_learn(n_values: int, item_bytes: int, what: str) -> None:
    """Refuses values that do not fit into memory as they are stored, as models see them, and parted.

    Args:
        n_values: how many there are.
        item_bytes: of each, as it is stored; bytes stay bytes, all else becomes floats of four.
        what: what they are, for the message.

    Raises:
        DataError: they do not fit.
    """
    kept = 1 if item_bytes == 1 else 4
    require_memory(n_values * (item_bytes + 2 * kept), what)


def _why() -> str:
    return f" (of {VARIABLE}={os.environ[VARIABLE].strip()})" if _allowed() is not None else ""


def human(n_bytes: int) -> str:
    """Formats a number of bytes for people.

    >>> human(47_040_016)
    '47.0 MB'
    """
    if n_bytes < 1000:
        return f"{n_bytes} bytes"
    size = float(n_bytes)
    for unit in ("kB", "MB", "GB", "TB"):
        size /= 1000
        if size < 1000:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} PB" if size < 1e6 else f"{size / 1000:.1e} PB"
