"""The meaning of values in a store: the table of ``ranges``, without holding them in memory.

One pass for the range, which ends as soon as nothing more can change (with bytes: in the first block
of nearly all images), and a second one for mean and variance where values are to be standardised.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from autoencode.data.disk.store import Store
from autoencode.data.disk.stored import Stored
from autoencode.data.values.arrays import refuse_unusable
from autoencode.data.values.layouts import Arrangement, arrangement
from autoencode.data.values.moments import are_constant, could_be_coarse, precision_notice
from autoencode.data.values.pictures import some_rows
from autoencode.data.values.ranges import (
    BY_SIZE,
    Storage,
    Values,
    are_whole,
    center_and_variance,
    check_standardize,
    nothing_to_learn,
    standardized,
    storage_of,
    taken_as_sizes,
)
from autoencode.data.values.zeros import are_mostly_zeros, scaled_by_size_in_blocks
from autoencode.types import Array, Channels, DataSpec, Layout

_BLOCK_BYTES = 1 << 20  # small enough to stay in the cache
_DIM = 16  # bytes above this are pixels to 255 whatever else there is
_ROW_SPREAD = 128  # of bytes; what rows that are pictures span at least


def survey(
    store: Store,
    without: Array,
    standardize: str,
    layout: Layout | None = None,
    channels: Channels | None = None,
) -> tuple[Storage, DataSpec, list[str]]:
    """Finds how a store's values are kept, what a model must know of them, and notices.

    Args:
        store: all examples.
        without: rows that are not for training; they count for the range alone.
        standardize: as in ``ranges.spec_for``.
        layout, channels: what an example is, and where its channels are; guessed when ``None``.

    Raises:
        DataError: a value cannot be learned from.
    """
    check_standardize(standardize)
    arranged = arrangement(store.shape, layout, channels)
    examples = Stored(store, store.dtype, without, layout=layout, channels=channels)
    values = _values(examples, arranged)
    storage = storage_of(values, standardize)
    notices = [
        *arranged.notices(len(store) - len(without)),
        *([storage.notice] if storage.notice else []),
    ]
    low, high = np.array([values.low, values.high]).astype(storage.dtype)  # as they are kept
    given: dict[str, Any] = {"given_shape": arranged.given_shape, "given_dtype": str(store.dtype)}
    given["channels"] = arranged.told
    if low == high:
        notices.append(nothing_to_learn(values.low))
    if storage.kind == "unit":
        spec = DataSpec(values.shape, "unit", scale=(storage.scale,))
        return storage, replace(spec, **given), notices
    examples = replace(examples, dtype=np.dtype(storage.dtype))
    moments = _Moments(examples)
    mean, variance = moments.mean, moments.variance
    if standardize == "robust":  # quantiles ask for all values at once; some rows are enough
        mean, variance = center_and_variance(examples.bounded().x, standardize)
    by_size = []
    if arranged.layout == "row" and standardize in BY_SIZE:
        share = moments.zeros / (moments.n * len(mean))
        if are_mostly_zeros(share, len(mean)):
            mean, variance = _by_size(examples)
            by_size = [taken_as_sizes(share, mean)]
    constant = are_constant(moments.low, moments.high)
    if arranged.layout == "row" and standardize not in ("global", "none"):
        mean = np.where(constant, moments.low, mean)
    spec, more = standardized(values.shape, mean, variance, constant, standardize)
    if could_be_coarse(store.dtype):
        more = precision_notice(moments.source_low, moments.source_high) + more
    return storage, replace(spec, **given), notices + by_size + more


def blocks(store: Store) -> list[tuple[int, int]]:
    """Splits all rows into stretches that fit into the processor's cache where the store allows."""
    rows = max(1, _BLOCK_BYTES // (math.prod(store.shape) * store.dtype.itemsize))
    bounds = store.bounds(rows).tolist()
    return list(itertools.pairwise(bounds))


def _values(examples: Stored, arranged: Arrangement) -> Values:
    """Finds the properties of a store's values, of all its rows."""
    store = examples.store
    as_bytes = store.dtype in (bool, np.uint8)
    enough = _ROW_SPREAD if arranged.layout == "row" else 1
    low, high, whole = math.inf, -math.inf, True
    for start, stop in blocks(store):
        block = store.read(start, stop)
        refuse_unusable(block, f"{store.name}, rows {start} to {stop - 1}", start)
        low, high = min(low, float(block.min())), max(high, float(block.max()))
        settled = high - low >= enough and high > _DIM
        if as_bytes and (settled or (store.dtype == bool and low < high)):
            break
        whole = whole and (as_bytes or are_whole(block))

    def looked_at() -> Array:
        return examples.take(some_rows(len(examples), math.prod(examples.shape))).x

    rows = looked_at if arranged.guessed else None
    return Values(arranged.shape, store.dtype, low, high, False, lambda: whole, rows)


def _by_size(examples: Stored) -> tuple[Array, Array]:
    """Computes what a table that is mostly zeros is scaled by, see ``zeros``."""

    def read() -> Iterator[Array]:
        for start, stop in blocks(examples.store):
            rows = examples.read(start, stop)
            yield rows.reshape(len(rows), -1)

    return scaled_by_size_in_blocks(len(examples), math.prod(examples.shape), read)


class _Moments:
    """Mean, variance and extremes of each entry, (D,), merged block by block in float64.

    Merging: Updating Formulae and a Pairwise Algorithm for Computing Sample Variances (Chan, Golub
    & LeVeque, 1979).
    """

    def __init__(self, examples: Stored) -> None:
        width = math.prod(examples.shape)
        self.n, self.mean, self._squares = 0, np.zeros(width), np.zeros(width)
        self.zeros = 0
        self.low, self.high = np.full(width, np.inf), np.full(width, -np.inf)
        self.source_low, self.source_high = self.low, self.high
        for start, stop in blocks(examples.store):
            source = examples.raw(start, stop)
            if len(source):
                self._add(source.reshape(len(source), -1), examples.dtype)

    @property
    def variance(self) -> Array:
        return self._squares / self.n

    def _add(self, source: Array, dtype: np.dtype[Any]) -> None:
        rows = source.astype(dtype, copy=False)
        mean = rows.mean(axis=0, dtype=np.float64)
        step, n = mean - self.mean, self.n + len(rows)
        self._squares += np.square(rows - mean).sum(axis=0) + step**2 * (self.n * len(rows) / n)
        self.mean += step * (len(rows) / n)
        self.zeros += rows.size - int(np.count_nonzero(rows))
        self.n = n
        self.low, self.high = np.minimum(self.low, rows.min(0)), np.maximum(self.high, rows.max(0))
        self.source_low = np.minimum(self.source_low, source.min(axis=0))
        self.source_high = np.maximum(self.source_high, source.max(axis=0))
