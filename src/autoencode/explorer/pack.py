"""Arrays as compact bytes that a page can hold, and what the page needs to read them back."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autoencode.types import Array

_LEVEL = 9  # of gzip
_KEPT_BITS = 15  # of the 23 of a float32's fraction: a relative error of at most 2^-16


@dataclass(eq=False)
class Packed:
    """Chunks of bytes, each an array that was compressed with gzip.

    Attributes:
        chunks: the compressed bytes, in the order of their numbers.
    """

    chunks: list[bytes] = field(default_factory=list)

    def add(self, values: Array) -> dict[str, Any]:
        """Adds an array as it is: uint8, uint16, uint32, or float32 rounded to five digits.

        Returns:
            What the page reads it by: the chunk's number, dtype and shape.
        """
        values = np.ascontiguousarray(values)
        name = values.dtype.name
        if name == "float32":
            content = _planes(_rounded(values))
        elif name in ("uint8", "uint16", "uint32"):
            content = values.astype(values.dtype.newbyteorder("<")).tobytes()
        else:
            raise TypeError(f"a page holds uint8, uint16, uint32 and float32, no {name}")
        return {**self.add_bytes(content), "dtype": name, "shape": list(values.shape)}

    def add_quantised(self, values: Array) -> dict[str, Any]:
        """Adds numbers (N, K) as uint16 between the least and the largest value of each column.

        Returns:
            As ``add``, with ``low`` and ``step`` (K,): ``value = low + step * number``.
        """
        low = values.min(axis=0).astype(np.float64)
        step = (values.max(axis=0) - low) / 65535
        whole = np.where(step > 0, step, 1.0)
        numbers = np.rint((values - low) / whole).clip(0, 65535).astype(np.uint16)
        return {**self.add(numbers), "low": low.tolist(), "step": step.tolist()}

    def add_bytes(self, content: bytes) -> dict[str, Any]:
        """Adds bytes as they are, and gives the chunk's number and their length."""
        # Without a time the same data make the same page.
        return self.add_compressed(gzip.compress(content, _LEVEL, mtime=0), len(content))

    def add_compressed(self, content: bytes, n_bytes: int) -> dict[str, Any]:
        """Adds bytes that gzip has compressed already, of which there are ``n_bytes`` without it."""
        self.chunks.append(content)
        return {"chunk": len(self.chunks) - 1, "bytes": n_bytes}


def _rounded(values: Array) -> Array:
    """Rounds float32 to fewer bits, whose last byte then is mostly zero and takes no room."""
    drop = 23 - _KEPT_BITS
    bits = values.view(np.uint32)
    with np.errstate(over="ignore"):
        nearest = (bits + np.uint32(1 << (drop - 1))) & ~np.uint32((1 << drop) - 1)
    rounded: Array = nearest.view(np.float32)
    return np.where(np.isfinite(values) & np.isfinite(rounded), rounded, values)


def _planes(values: Array) -> bytes:
    """Writes the lowest bytes of all float32, then the next ones: alike bytes stand together."""
    return values.astype("<f4").reshape(-1).view(np.uint8).reshape(-1, 4).T.tobytes()
