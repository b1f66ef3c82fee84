"""The scaling of a spec, learned again from further examples of the same kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from autoencode.data.values.moments import column_extremes
from autoencode.data.values.ranges import center_and_variance, is_scaled_by_size, standardized
from autoencode.files.sparse_rows import Held, SparseRows
from autoencode.types import Array, Column, DataSpec


def rescaled(spec: DataSpec, x: Held, standardize: str, n_before: int = 0) -> DataSpec:
    """Learns the offset and scale of a spec from further examples; all else of it stays.

    Examples that were seen before count by what the spec says of them: the mean and variance of all
    together follow from those of either part. A scale of exactly 1 is that of an entry that has not
    varied yet.

    Args:
        spec: of the examples before.
        x: (N, *D) further ones, as they are stored.
        standardize: how they are scaled (``ranges.spec_for``).
        n_before: how many examples stand behind the spec's scaling; 0 to learn from ``x`` alone.

    Returns:
        The spec; the same one where its values have a range of their own (pixels) or are not scaled.

    Example:
        >>> from autoencode.types import DataSpec
        >>> spec = DataSpec((1,), "real", offset=(1.0,), scale=(2.0,))
        >>> two = rescaled(spec, np.array([[3.0], [5.0]]), "columns", n_before=2)
        >>> two.offset, [round(s * s, 6) for s in two.scale]
        ((2.5,), [4.75])
    """
    if spec.kind == "unit" or standardize == "none":
        return spec
    center, variance = _of(x, standardize, spec.columns)
    if n_before:
        before = np.broadcast_to(np.asarray(spec.offset), center.shape)
        scale = np.broadcast_to(np.asarray(spec.scale), center.shape)
        share = len(x) / (n_before + len(x))
        moved = center - before
        between = share * (1 - share) * moved**2
        merged = (1 - share) * np.where(scale == 1.0, 0.0, scale**2) + share * variance + between
        if is_scaled_by_size(x, standardize, spec.columns):
            # A size is that of what is not zero: it stays where all is zero now, or was before.
            stays = (before == 0) & (center == 0)
            merged = np.where(stays & (scale == 1.0), variance, merged)
            merged = np.where(stays & (variance == 0), scale**2, merged)
        center, variance = before + share * moved, merged
    plain = np.array([not c.numeric and c.kind != "count" for c in spec.columns], bool)
    if plain.any():
        center, variance = np.where(plain, 0.0, center), np.where(plain, 1.0, variance)
    learned, _ = standardized(spec.shape, center, variance, variance == 0, standardize)
    return replace(spec, offset=learned.offset, scale=learned.scale)


def _of(x: Held, standardize: str, columns: Sequence[Column]) -> tuple[Array, Array]:
    """Computes centre and variance (D,) of examples, exactly 0 where an entry is the same in all."""
    center, variance = center_and_variance(x, standardize, columns)
    low, high = column_extremes(x if isinstance(x, SparseRows) else x.reshape(len(x), -1))
    same = (low == high) | (np.isnan(low) if x.dtype.kind == "f" else False)
    first = np.nan_to_num(low.astype(np.float64))
    return np.where(same, first, center), np.where(same, 0.0, variance)


def is_moved(one: DataSpec, other: DataSpec, by: float = 0.01) -> bool:
    """Tells whether two scalings differ by more than a share of the scale, in any entry."""
    scale, offset = np.asarray(one.scale), np.asarray(one.offset)
    wider = np.abs(np.asarray(other.scale) / scale - 1).max()
    farther = (np.abs(np.asarray(other.offset) - offset) / scale).max()
    return bool(max(wider, farther) > by)
