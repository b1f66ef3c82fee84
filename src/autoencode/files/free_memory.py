"""Checks that what is to be loaded fits into the free memory."""

from __future__ import annotations

import os
from pathlib import Path

from autoencode.errors import DataError

# Deflate cannot pack more tightly than this, so a header that claims more than its compressed
# bytes could ever hold is wrong before a single byte is unpacked.
DEFLATE_RATIO = 1032

# Reading in pieces keeps a false claim from allocating everything at once.
CHUNK = 1 << 20


def available_memory() -> int | None:
    """Measures the bytes that can be used without swapping, ``None`` where the system does not say."""
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


def require_memory(n_bytes: int, what: str) -> None:
    """Refuses what cannot fit into memory, in words, before the system raises ``MemoryError``."""
    available = available_memory()
    if available is not None and n_bytes > available:
        raise DataError(
            f"{what}: needs {human(n_bytes)} of memory and {human(available)} are free; "
            "use fewer rows or a smaller dtype"
        )


def human(n_bytes: int) -> str:
    """Formats a number of bytes for people.

    >>> human(47_040_016)
    '47.0 MB'
    """
    if n_bytes < 1000:
        return f"{n_bytes} bytes"
    size = float(n_bytes)
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 1000:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} TB"
