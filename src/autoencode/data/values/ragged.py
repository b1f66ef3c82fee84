"""Sequences of different lengths: a list of arrays as one array, NaN where a shorter one has ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from autoencode.errors import DataError
from autoencode.types import Array


def is_ragged(source: Any) -> bool:
    """Tells whether this is a list of arrays (steps,) or (steps, features) of different lengths.

    >>> (
    ...     is_ragged([np.zeros(3), np.zeros(5)]),
    ...     is_ragged([np.zeros(3), np.zeros(3)]),
    ...     is_ragged([[1], []]),
    ... )
    (True, False, False)
    """
    if not isinstance(source, list | tuple) or len(source) < 2:
        return False
    if not all(isinstance(one, np.ndarray | torch.Tensor) and one.ndim in (1, 2) for one in source):
        return False
    return len({len(one) for one in source}) > 1 and len({one.shape[1:] for one in source}) == 1


def padded(source: Sequence[Any], steps: int | None = None, part: str = "data") -> Array:
    """Makes sequences one array, NaN where a shorter one has ended.

    Args:
        source: arrays or tensors (steps,) or (steps, features).
        steps: how many there shall be; as many as the longest has by default.
        part: what to call the data in an error message.

    Returns:
        (N, steps) or (N, steps, features) floating point, float32 unless one comes finer.

    Raises:
        DataError: a sequence is longer, has other features, or none is given.

    Example:
        >>> padded([np.array([1.0, 2.0]), np.array([3.0])]).tolist()
        [[1.0, 2.0], [3.0, nan]]
    """
    rows = [np.asarray(one.detach().cpu() if isinstance(one, torch.Tensor) else one) for one in source]
    if not rows or any(row.ndim == 0 or row.dtype.kind not in "biuf" for row in rows):
        raise DataError(f"{part}: expected a list of arrays of numbers, one for each sequence")
    longest = max(map(len, rows))
    steps = longest if steps is None else steps
    if longest > steps:
        first = next(i for i, row in enumerate(rows) if len(row) > steps)
        raise DataError(
            f"{part}: sequence {first} has {len(rows[first])} steps, and the longest in training had "
            f"{steps}; cut it, or train with it"
        )
    widths = {row.shape[1:] for row in rows}
    if len(widths) > 1:
        raise DataError(f"{part}: sequences have steps of shapes {sorted(widths)}; give all the same")
    dtype = np.result_type(np.float32, *{row.dtype for row in rows})
    made = np.full((len(rows), steps, *widths.pop()), np.nan, dtype)
    for line, row in zip(made, rows, strict=True):
        line[: len(row)] = row
    return made


def notice_of(source: Sequence[Any]) -> str:
    """Says what such a list was taken for."""
    lengths = [len(one) for one in source]
    return (
        f"taken for {len(lengths)} sequences of {min(lengths)} to {max(lengths)} steps, filled up with "
        "NaN at the end (a list of arrays)"
    )
