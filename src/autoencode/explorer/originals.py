"""Originals and reconstructions as a page shows them: pixels, rows of columns, lines of signals."""

from __future__ import annotations

from typing import Any

import numpy as np

from autoencode.explorer.pack import Packed
from autoencode.trained.exported import outer
from autoencode.types import Array, DataSpec

_MOST, _BYTES = 10_000, 8 << 20  # originals in a page, and what they take before compression


def n_held(spec: DataSpec) -> int:
    """Counts the originals that a page holds unless something else is asked for.

    >>> n_held(DataSpec((1, 28, 28))), n_held(DataSpec((3, 256, 256)))
    (10000, 42)
    """
    each = spec.size if _pictured(spec) else 4 * spec.size
    return min(_MOST, max(1, _BYTES // each))


def describe(spec: DataSpec, values: Array) -> dict[str, Any]:
    """Describes for a page what an example is.

    Args:
        spec: of the data.
        values: (M, *D) originals as they are stored, from which the range is found.
    """
    low, high = _range(spec, values)
    return {
        "layout": spec.layout,
        "shape": list(spec.shape),
        "low": low,
        "high": high,
        "columns": [
            {"name": column.name, "kind": column.kind, "categories": list(column.categories)}
            for column in spec.columns
        ],
    }


def add_values(packed: Packed, spec: DataSpec, values: Array, facts: dict[str, Any]) -> dict[str, Any]:
    """Adds examples (M, *D) as they are stored, as described: pixels as bytes, else float32.

    Of a table there are the user's own numbers: counts, places of categories, days since 1970. Bytes
    stand for ``low + (high - low) * byte / 255``, exact where the data were bytes themselves.
    """
    if spec.columns and len(values):
        values = outer(values, spec)
    rows = values.reshape(len(values), spec.size)
    if not _pictured(spec):
        return packed.add(rows.astype(np.float32))
    span = (facts["high"] - facts["low"]) or 1.0
    with np.errstate(invalid="ignore"):
        numbers = np.rint((rows.astype(np.float64) - facts["low"]) * (255 / span))
    return packed.add(np.nan_to_num(numbers).clip(0, 255).astype(np.uint8))


def errors(spec: DataSpec, before: Array, after: Array) -> Array:
    """Computes the mean squared error per known entry (N,), in the model's units.

    Of a column of categories or booleans an entry counts 1 where it is wrong.

    Args:
        spec: of the data.
        before, after: (N, *D) in the data's own units, NaN where a value is missing.
    """
    shape = (len(before), spec.size)
    given, made = (part.reshape(shape).astype(np.float64) for part in (before, after))
    scale = np.array(spec.scale, dtype=np.float64)
    squares = np.square((made - given) / scale)
    for i, column in enumerate(spec.columns):
        if column.kind in ("category", "boolean"):
            wrong = np.rint(made[:, i]) != np.rint(given[:, i])
            squares[:, i] = np.where(np.isnan(given[:, i]), np.nan, wrong)
    known = ~np.isnan(squares)
    sums = np.where(known, squares, 0.0).sum(axis=1)
    mean: Array = sums / np.maximum(known.sum(axis=1), 1)
    return mean


def _pictured(spec: DataSpec) -> bool:
    """Whether an example is shown as pixels, so that 256 shades are enough."""
    return spec.layout in ("image", "volume")


def _range(spec: DataSpec, values: Array) -> tuple[float, float]:
    """Finds what is black and what is white; of measurements the least and the largest value."""
    if spec.kind == "unit" and len(spec.scale) == 1 and len(spec.offset) == 1:
        return float(spec.offset[0]), float(spec.offset[0] + spec.scale[0])
    known = values[np.isfinite(values)]
    return (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
