"""Layout and range of values: how a clean array is stored, and the ``DataSpec`` of its meaning.

How values are read, first match first; "integers" are whole numbers of any dtype:

    dtype or values                                          stored    kind   scale
    bool                                                     uint8     unit   1
    uint8, all 0 or 1                                        uint8     unit   1
    uint8 rows of fewer than 64                              float32   real   ``standardize``
    uint8 images in 0..16 (scikit-learn's digits)            uint8     unit   16
    uint8                                                    uint8     unit   255
    all in [0, 1]                                            float32   unit   1
    images, integers in 0..16 (scikit-learn's digits)        uint8     unit   16
    images, integers in 0..255                               uint8     unit   255
    images, others in [0, 255], some above 16                float32   unit   255
    rows of k*k >= 64 integers in 0..255, some above 16      uint8     unit   255
    anything else                                            float32   real   ``standardize``

Volumes are read as images are. Sequences are measurements, never pixels: bool, bytes of 0 and 1 and
what lies in [0, 1] are unit, all else is real.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np

from autoencode.data.values.arrays import extremes
from autoencode.errors import OptionError, nearest
from autoencode.types import Array, Column, DataSpec, Kind, Standardize, layout_of

_IN_COLUMNS = ("row", "sequence")  # layouts whose entries have a meaning, and a unit, each of its own
_PIXELS = ("image", "volume")
_DIM = 16  # no photograph with levels to 255 is as dark as this throughout
_SMALLEST_IMAGE = 64  # pixels; a shorter row of small integers is more likely a table of counts
_TINY = float(np.finfo(np.float32).tiny)
_EPS = float(np.finfo(np.float32).eps)
_CHUNK_ENTRIES = 1 << 18  # small enough to stay in the cache


@dataclass(frozen=True)
class Storage:
    """The way in which an array is kept in memory, and what its values mean.

    Attributes:
        dtype: ``uint8`` or ``float32``.
        kind: as in ``DataSpec``.
        scale: what a unit value is divided by.
        notice: what was guessed, for the user to know.
    """

    dtype: type[np.uint8] | type[np.float32]
    kind: Kind
    scale: float = 1.0
    notice: str | None = None

    def store(self, x: Array) -> Array:
        """Converts the array to the stored dtype, contiguous; no copy is made where none is needed."""
        return np.ascontiguousarray(x, dtype=self.dtype)


def choose_storage(parts: Sequence[Array], standardize: str = "columns") -> Storage:
    """Chooses one way to keep all parts of a data set, by the table above.

    Args:
        parts: (N, ...) clean arrays with the same shape of example.
        standardize: see ``spec_for``.
    """
    return as_columns(_choose_storage(parts), parts[0].shape[1:], standardize)


def as_columns(storage: Storage, shape: tuple[int, ...], standardize: str) -> Storage:
    """Chooses how values are kept where ``standardize`` says not to interpret their range."""
    if standardize == "none" or (standardize == "all_columns" and layout_of(shape) in _IN_COLUMNS):
        return Storage(storage.dtype, "real")
    return storage


def _choose_storage(parts: Sequence[Array]) -> Storage:
    if all(part.dtype == bool for part in parts):
        return Storage(np.uint8, "unit")
    return storage_of(
        Values(
            shape=parts[0].shape[1:],
            bytes=all(part.dtype in (bool, np.uint8) for part in parts),
            low=min(extremes(part)[0] for part in parts),
            high=max(extremes(part)[1] for part in parts),
            whole=lambda: all(bool((part == np.rint(part)).all()) for part in parts),
        )
    )


@dataclass(frozen=True)
class Values:
    """The properties of values by which their meaning is told.

    Attributes:
        shape: shape of one example, as models have it.
        bytes: whether all are uint8 or bool.
        low, high: the extremes.
        whole: whether all are whole numbers; asked only where it matters.
    """

    shape: tuple[int, ...]
    bytes: bool
    low: float
    high: float
    whole: Callable[[], bool]


def storage_of(values: Values) -> Storage:
    """Chooses how values other than bool are kept, by the table above."""
    if values.bytes:
        return _bytes(values)
    if values.low >= 0 and values.high <= 1:
        return Storage(np.float32, "unit")
    if values.low >= 0 and values.high <= 255:
        return _pixels(values) or Storage(np.float32, "real")
    return Storage(np.float32, "real")


def _pixels(values: Values) -> Storage | None:
    """Chooses how values in [0, 255] are kept if they are pixels, ``None`` if they are not."""
    layout, high = layout_of(values.shape), values.high
    images = layout in _PIXELS
    if not images and not (layout == "row" and high > _DIM and _could_be_image(values.shape[0])):
        return None
    integers = values.whole()
    if not integers and not (images and high > _DIM):
        return None
    scale = 255 if high > _DIM else _DIM
    stored = np.uint8 if integers else np.float32
    return Storage(stored, "unit", float(scale), _taken_as_pixels(scale))


def _bytes(values: Values) -> Storage:
    """How bytes are kept: pixels, but for short rows (a table of counts) and sequences."""
    if values.high <= 1:
        return Storage(np.uint8, "unit")
    layout = layout_of(values.shape)
    if layout == "sequence" or (layout == "row" and values.shape[0] < _SMALLEST_IMAGE):
        return Storage(np.float32, "real")
    if layout in _PIXELS and values.high <= _DIM:
        return Storage(np.uint8, "unit", float(_DIM), _taken_as_pixels(_DIM))
    return Storage(np.uint8, "unit", 255.0)


def _taken_as_pixels(scale: int) -> str:
    return f"values 0..{scale} taken as pixels and divided by {scale}"


def _could_be_image(width: int) -> bool:
    return width >= _SMALLEST_IMAGE and math.isqrt(width) ** 2 == width


def spec_for(
    x: Array,
    storage: Storage,
    standardize: str,
    source: Array,
    columns: tuple[Column, ...] = (),
) -> tuple[DataSpec, list[str]]:
    """Makes the ``DataSpec`` of the training examples, and notices about them.

    Args:
        x: (N, *D) training examples as they are stored.
        storage: how that was decided.
        standardize: what becomes of ``real`` values. ``columns``: each column of a table gets mean
            0 and variance 1, each feature of sequences too (over all steps together), images and
            volumes one mean and variance for all pixels; ``all_columns``: the same, also where the
            values of a table or of sequences lie in [0, 1] or look like pixels; ``robust``: as
            ``columns`` with median and interquartile range, which no outlier moves
            (``robust_moments``);
            ``global``: each entry its own mean but all share one scale, which leaves principal
            subspaces as they are; ``none``: nothing, and values that look like pixels are taken as
            they are too.
        source: (N, *D) the same examples as the user gave them, finer perhaps than stored.
        columns: of a table; only numbers among them are scaled.
    """
    check_standardize(standardize)
    notices = [storage.notice] if storage.notice else []
    low, high = extremes(x)
    if low == high:
        notices.append(nothing_to_learn(low))
    gaps = bool(np.isnan(x).any()) if x.dtype.kind == "f" else False
    if storage.kind == "unit":
        return DataSpec(
            x.shape[1:], "unit", scale=(storage.scale,), columns=columns, gaps=gaps
        ), notices
    mean, variance = center_and_variance(x, standardize)
    constant = np.zeros(len(mean), bool)
    if layout_of(x.shape[1:]) == "row" and standardize in ("columns", "all_columns", "robust"):
        lows, highs = _column_extremes(x)
        constant = lows == highs
    coded = np.array([not c.numeric and c.kind != "count" for c in columns] or [False] * len(mean))
    mean, variance = np.where(coded, 0.0, mean), np.where(coded, 1.0, variance)
    spec, more = standardized(x.shape[1:], mean, variance, constant & ~coded, standardize)
    spec = replace(spec, columns=columns, gaps=gaps)
    rows = source.reshape(len(source), -1)
    if could_be_coarse(source.dtype):
        more = precision_notice(*_column_extremes(rows)) + more
    return spec, notices + more


def check_standardize(name: str) -> None:
    """Refuses an unknown way to scale.

    Raises:
        OptionError: with the ways that there are.
    """
    if name not in get_args(Standardize):
        raise OptionError(f"unknown standardize {name!r}; {nearest(name, get_args(Standardize))}")


def nothing_to_learn(value: float) -> str:
    """Makes the notice that all values are the same."""
    return f"all values are {value:g}: there is nothing to learn from them"


def standardized(
    shape: tuple[int, ...], mean: Array, variance: Array, constant: Array, standardize: str
) -> tuple[DataSpec, list[str]]:
    """Makes the spec of ``real`` examples, and notices.

    Args:
        shape: of one example.
        mean, variance: (D,) of each entry over the examples.
        constant: (D,) true for entries that never change.
        standardize: see ``spec_for``.
    """
    if standardize == "none":
        return DataSpec(shape, "real"), []
    if standardize == "global":
        scale = _usable(np.sqrt(variance.mean(keepdims=True)))
        return DataSpec(shape, "real", _tuple(mean), _tuple(scale)), []
    if layout_of(shape) == "sequence":
        return DataSpec(shape, "real", *_by_feature(shape, mean, variance)), []
    if layout_of(shape) in _PIXELS:
        spread = np.sqrt(variance.mean(keepdims=True) + mean.var(keepdims=True))
        offset = mean.mean(keepdims=True)
        return DataSpec(shape, "real", _tuple(offset), _tuple(_usable(spread))), []
    scale = np.where(constant, 1.0, _usable(np.sqrt(variance)))
    notices = []
    if n_constant := int(constant.sum()):
        noun = "column is" if n_constant == 1 else "columns are"
        notices.append(f"{n_constant} {noun} constant and not scaled")
    return DataSpec(shape, "real", _tuple(mean), _tuple(scale)), notices


def _by_feature(
    shape: tuple[int, ...], mean: Array, variance: Array
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Offset and scale of sequences (T, F): one of each feature for all steps, repeated for each."""
    mean, variance = mean.reshape(shape), variance.reshape(shape)
    offset = mean.mean(axis=0)
    spread = np.sqrt(variance.mean(axis=0) + mean.var(axis=0))
    # What float32 rounds to is no spread.
    scale = np.where(spread > _EPS * np.abs(offset), _usable(spread), 1.0)
    return _tuple(np.tile(offset, shape[0])), _tuple(np.tile(scale, shape[0]))


def center_and_variance(x: Array, standardize: str) -> tuple[Array, Array]:
    """Computes what real examples (N, *D) are scaled by, each (D,): mean and variance, or robust ones.

    Images have one robust centre and scale for all pixels, sequences one of each feature.
    """
    if standardize != "robust":
        return moments(x)
    width = x.shape[-1] if layout_of(x.shape[1:]) in _IN_COLUMNS else 1  # of what is scaled apart
    center, scale = robust_moments(x.reshape(-1, width))
    repeats = math.prod(x.shape[1:]) // width
    return np.tile(center, repeats), np.tile(scale**2, repeats)


def moments(x: Array) -> tuple[Array, Array]:
    """Computes mean and variance over known values of the examples, each (D,), in float64.

    Args:
        x: (N, *D).
    """
    rows = x.reshape(len(x), -1)
    step = max(1, _CHUNK_ENTRIES // rows.shape[1])
    chunks = [slice(start, start + step) for start in range(0, len(rows), step)]
    known: Any = len(rows)
    add: Any = np.sum
    if x.dtype.kind == "f" and np.isnan(rows).any():
        known = np.maximum(1, sum((~np.isnan(rows[chunk])).sum(axis=0) for chunk in chunks))
        add = np.nansum
    total = sum(add(rows[chunk], axis=0, dtype=np.float64) for chunk in chunks)
    mean = np.asarray(total / known)
    squares = sum(add(np.square(rows[chunk] - mean), axis=0) for chunk in chunks)
    return mean, np.asarray(squares / known)


def _column_extremes(x: Array) -> tuple[Array, Array]:
    """Finds the lowest and highest known value (D,) of each entry."""
    if x.dtype.kind != "f":
        return x.min(axis=0), x.max(axis=0)
    return np.fmin.reduce(x, axis=0), np.fmax.reduce(x, axis=0)


def _usable(scale: Array) -> Array:
    """Replaces scales that are too small for float32 to divide by with 1."""
    return np.where(scale < _TINY, 1.0, scale)


def _tuple(values: Array) -> tuple[float, ...]:
    return tuple(values.tolist())


def could_be_coarse(dtype: np.dtype[Any]) -> bool:
    """Tells whether values of this dtype may be finer than float32."""
    return dtype.itemsize > 2 and dtype != np.float32


def precision_notice(low: Array, high: Array) -> list[str]:
    """Warns of values such as dates and identifiers, whose differences are lost in float32.

    Args:
        low, high: (D,) the extremes of each entry.
    """
    low, high = low.astype(np.float64), high.astype(np.float64)
    steps = _EPS * np.maximum(np.abs(low), np.abs(high))  # between neighbours in float32
    coarse = (steps > 1e-3 * (high - low)) & (high > low)
    if not coarse.any():
        return []
    return [
        f"{int(coarse.sum())} of {coarse.size} entries vary too little for their size to be exact "
        f"in float32 (first: {int(coarse.argmax())}); subtract their mean first"
    ]


# Ranges between two quantiles, and how wide they are in N(0, 1): its standard deviations.
_RANGES = ((0.25, 1.3489795), (0.1, 2.5631031), (0.05, 3.2897073), (0.01, 4.6526957))


_FROM_MEAN_DEVIATION = 1.2533141  # the mean distance to the median of N(0, 1) is 1 over this


def column_quantiles(x: Array, levels: Array) -> Array:
    """Computes quantiles (Q, D) of the known values of columns (N, D), linear between values.

    Args:
        x: the columns.
        levels: (Q,) in [0, 1], rising.

    Example:
        >>> column_quantiles(np.array([[0.0, 5.0], [1.0, np.nan], [2.0, 7.0]]), np.array([0.25, 0.5]))
        array([[0.5, 5.5],
               [1. , 6. ]])
    """
    ordered: Any = np.sort(x, axis=0)  # NaN last
    last = np.maximum(len(x) - np.isnan(x).sum(0), 1) - 1 if x.dtype.kind == "f" else len(x) - 1
    places = np.multiply.outer(levels, np.broadcast_to(last, x.shape[1:]))
    below = np.floor(places).astype(np.int64)
    low = np.take_along_axis(ordered, below, axis=0).astype(np.float64)
    high = np.take_along_axis(ordered, np.minimum(below + 1, last), axis=0).astype(np.float64)
    found = low + (places - below) * (high - low)
    return np.asarray(np.maximum.accumulate(found, axis=0))  # rounding must not break the order


def robust_moments(x: Array) -> tuple[Array, Array]:
    """Computes the median and the robust standard deviation of each column, (D,) each.

    The latter is the interquartile range over that of N(0, 1). Where half of the values or more are
    the same the range is nothing, and a wider one takes its place: between the tenths, the twentieths,
    the hundredths, and at last the mean distance to the median, which alone an outlier does move.

    Args:
        x: (N, D), NaN where a value is missing.

    Returns:
        Centre and scale; the scale is 0 where all values are the same.

    Example:
        >>> center, scale = robust_moments(np.array([[-1.0], [0.0], [0.0], [1.0], [1e30]]))
        >>> center, scale.round(3)
        (array([0.]), array([0.741]))
    """
    levels = [0.5, *(level for low, _ in _RANGES for level in (low, 1 - low))]
    ordered = np.sort(levels)
    found = column_quantiles(x, ordered)
    center, *ends = (found[int(place)] for place in np.searchsorted(ordered, levels))
    scale = np.zeros_like(center)
    for (low, high), (_, width) in zip(zip(ends[::2], ends[1::2], strict=True), _RANGES, strict=True):
        scale = np.where(scale > 0, scale, (high - low) / width)
    return center, np.where(scale > 0, scale, _mean_deviation(x, center))


def _mean_deviation(x: Array, center: Array) -> Array:
    """Estimates the standard deviation of nearly constant columns from their mean deviation."""
    far = np.abs(x - center)
    known = ~np.isnan(far)
    mean = np.where(known, far, 0.0).sum(0) / np.maximum(known.sum(0), 1)
    return np.asarray(_FROM_MEAN_DEVIATION * mean)
