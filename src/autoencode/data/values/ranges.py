"""Layout and range of values: how a clean array is stored, and the ``DataSpec`` of its meaning.

What is a picture is said by layout and type, not by range: rows and sequences are measurements,
whatever values they hold. How values are read, first match first; "integers" are whole numbers of any
dtype:

    dtype or values                                          stored    kind   scale
    bool                                                     uint8     unit   1
    rows that are flattened pictures: in [0, 1]              (*)       unit   1
        the same, integers in 0..255, some above 16          uint8     unit   255
    rows and sequences of anything else                      (*)       real   ``standardize``
    uint8 images, all 0 or 1                                 uint8     unit   1
    uint8 images in 0..16 (scikit-learn's digits)            uint8     unit   16
    uint8 images                                             uint8     unit   255
    images, all in [0, 1]                                    float32   unit   1
    images, integers in 0..16 (scikit-learn's digits)        uint8     unit   16
    images, integers in 0..255                               uint8     unit   255
    images, others in [0, 255], some above 16                float32   unit   255
    images of anything else                                  float32   real   ``standardize``

    (*) bytes as uint8 where all are 0 or 1 or a row has 64 of them or more, else as float32; of
        measurements that come finer, float64

Volumes are read as images are. Integers beside gaps are kept as float32. Rows are flattened pictures
when nobody said what they are (``layout``), their values span half of the range of pixels or more, and
neighbours in the picture are alike (``pictures``): 784 columns of MNIST. A notice says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np

from autoencode.data.values.arrays import extremes
from autoencode.data.values.moments import (
    EPS,
    are_constant,
    column_extremes,
    could_be_coarse,
    moments,
    precision_notice,
    robust_moments,
)
from autoencode.data.values.pictures import could_be_picture, picture_shape, some_rows
from autoencode.data.values.zeros import is_mostly_zeros, scaled_by_size, share_of_zeros
from autoencode.errors import OptionError, nearest
from autoencode.files.sparse_rows import Held, SparseRows, as_dense, known_values
from autoencode.types import Array, Column, DataSpec, Kind, Standardize, layout_of

_IN_COLUMNS = ("row", "sequence")  # layouts whose entries have a meaning, and a unit, each of its own
_PIXELS = ("image", "volume")
#: Ways to scale under which a table that is mostly zeros is not centred.
BY_SIZE = ("columns", "unit")
_DIM = 16  # no photograph with levels to 255 is as dark as this throughout
_WIDE_ROW = 64  # bytes; so many are kept as such, four times smaller
_OUTSIDE = "values lie outside 0..1, so that each column is scaled to mean 0 and variance 1"
_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Storage:
    """The way in which an array is kept in memory, and what its values mean.

    Attributes:
        dtype: ``uint8``, ``float32`` or ``float64``.
        kind: as in ``DataSpec``.
        scale: what a unit value is divided by.
        notice: what was guessed, for the user to know.
    """

    dtype: type[np.generic]
    kind: Kind
    scale: float = 1.0
    notice: str | None = None

    def store(self, x: Held) -> Held:
        """Converts values to the stored dtype, contiguous; no copy is made where none is needed."""
        if isinstance(x, SparseRows):
            return x.astype(self.dtype)
        return np.ascontiguousarray(x, dtype=self.dtype)


def choose_storage(
    parts: Sequence[Held], standardize: str = "columns", guessed: bool = True
) -> Storage:
    """Chooses one way to keep all parts of a data set, by the table above.

    Args:
        parts: (N, ...) clean arrays with the same shape of example.
        standardize: see ``spec_for``.
        guessed: whether nobody said what an example is, so that rows may be pictures.
    """
    ends = [extremes(part) for part in parts]

    def looked_at() -> Array:
        rows = parts[0]
        return as_dense(rows[some_rows(len(rows), rows.shape[1])])

    return storage_of(
        Values(
            shape=parts[0].shape[1:],
            dtype=np.result_type(*(part.dtype for part in parts)),
            low=min(low for low, _ in ends),
            high=max(high for _, high in ends),
            gaps=any(have_gaps(part) for part in parts),
            whole=lambda: all(are_whole(known_values(part)) for part in parts),
            rows=looked_at if guessed else None,
        ),
        standardize,
    )


def raw_dtype(source: np.dtype[Any], kind: Kind, shape: tuple[int, ...]) -> type[np.generic]:
    """Chooses what raw values are kept as for a model that is there, whatever the table above says.

    Measurements that come finer than float32 stay so until they are scaled: float32 of a mean far from
    0 would round away what they vary by.

    Args:
        source: the dtype in which they come.
        kind: as in ``DataSpec``.
        shape: of one example.
    """
    if source in (bool, np.uint8):
        return np.uint8
    measured = kind == "real" and layout_of(shape) in _IN_COLUMNS
    return np.float64 if measured and could_be_coarse(source) else np.float32


def have_gaps(x: Held) -> bool:
    """Tells whether values are missing (NaN)."""
    values = known_values(x)
    return values.dtype.kind == "f" and values.size > 0 and bool(np.isnan(values.min()))


def are_whole(x: Array) -> bool:
    """Tells whether all known values are whole numbers."""
    return bool(((x == np.rint(x)) | (x != x)).all())


@dataclass(frozen=True)
class Values:
    """The properties of values by which their meaning is told.

    Attributes:
        shape: shape of one example, as models have it.
        dtype: of all of them.
        low, high: the extremes.
        gaps: whether some are missing.
        whole: whether all are whole numbers; asked only where it matters.
        rows: gives some rows (n, D) to look at, evenly spread; ``None`` where somebody said what they
            are.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    low: float
    high: float
    gaps: bool
    whole: Callable[[], bool]
    rows: Callable[[], Array] | None = None

    @property
    def bytes(self) -> bool:
        return self.dtype in (bool, np.uint8)


def storage_of(values: Values, standardize: str) -> Storage:
    """Chooses how values are kept, by the table above."""
    columns = layout_of(values.shape) in _IN_COLUMNS
    if values.dtype == bool:
        found = Storage(np.uint8, "unit")
    elif columns:
        return _measurements(values, standardize)
    else:
        found = _pixels(values)
    if standardize == "none" or (standardize == "all_columns" and columns):
        return Storage(found.dtype, "real")
    return found


def _measurements(values: Values, standardize: str) -> Storage:
    """Chooses how rows and sequences are kept: as measurements, but for flattened pictures."""
    wide = layout_of(values.shape) == "row" and values.shape[0] >= _WIDE_ROW
    narrow = values.bytes and not (wide or values.high <= 1)
    measured = Storage(np.float32 if narrow else raw_dtype(values.dtype, "real", values.shape), "real")
    if standardize in ("none", "all_columns"):
        return measured
    shares = _shares(values)
    if standardize == "unit":
        return shares or replace(measured, notice=_OUTSIDE)
    if not shares or values.rows is None or layout_of(values.shape) != "row":
        return measured
    if values.high - values.low < shares.scale / 2 or not could_be_picture(values.shape[0]):
        return measured
    picture = picture_shape(values.rows())
    return replace(shares, notice=_taken_as_pictures(picture, shares.scale)) if picture else measured


def _shares(values: Values) -> Storage | None:
    """Chooses how rows are kept as values in [0, 1]; ``None`` where they are something else."""
    if values.low < 0 or values.high > 255:
        return None
    if values.high <= 1:
        return Storage(np.uint8 if values.bytes else np.float32, "unit")
    if values.high <= _DIM or not values.whole():
        return None
    stored = np.float32 if values.gaps else np.uint8
    return Storage(stored, "unit", 255.0, None if values.bytes else _taken_as_pixels(255))


def _pixels(values: Values) -> Storage:
    """Chooses how images are kept: in [0, 1] where their range is that of pixels."""
    if values.low < 0 or values.high > 255:
        return Storage(np.float32, "real")
    if values.high <= 1:
        return Storage(np.uint8 if values.bytes else np.float32, "unit")
    integers = values.bytes or values.whole()
    if not integers and values.high <= _DIM:
        return Storage(np.float32, "real")
    scale = 255 if values.high > _DIM else _DIM
    told = values.bytes and scale == 255
    stored = np.uint8 if integers and not values.gaps else np.float32
    return Storage(stored, "unit", float(scale), None if told else _taken_as_pixels(scale))


def _taken_as_pixels(scale: int) -> str:
    return f"values 0..{scale} taken as pixels and divided by {scale}"


def _taken_as_pictures(shape: tuple[int, ...], scale: float) -> str:
    levels = "values in 0..1 left as they are" if scale == 1 else f"values divided by {scale:g}"
    return (
        f"{math.prod(shape)} columns taken as flattened pictures of {' x '.join(map(str, shape))}, "
        f"{levels}; layout='row' takes them as measurements, each scaled by itself"
    )


def spec_for(
    x: Held,
    storage: Storage,
    standardize: str,
    source: Held,
    columns: tuple[Column, ...] = (),
) -> tuple[DataSpec, list[str]]:
    """Makes the ``DataSpec`` of the training examples, and notices about them.

    Args:
        x: (N, *D) training examples as they are stored.
        storage: how that was decided.
        standardize: what becomes of ``real`` values. ``columns``: each column of a table gets mean
            0 and variance 1, each feature of sequences too (over all steps together), images and
            volumes one mean and variance for all pixels; ``all_columns``: the same, and no rows are
            taken as flattened pictures or, where they are bool, as they are; ``robust``: as
            ``columns`` with median and interquartile range, which no outlier moves
            (``robust_moments``); ``unit``: rows and sequences in [0, 1] (or whole numbers to 255)
            are probabilities or brightnesses, read as pixels are and not scaled, all else as
            ``columns``; ``global``: each entry its own mean but all share one scale, which leaves
            principal subspaces as they are; ``none``: nothing, and values that look like pixels are
            taken as they are too. Wide tables that are mostly zeros are scaled as ``zeros`` says under
            ``columns`` and ``unit``.
        source: (N, *D) the same examples as the user gave them, finer perhaps than stored.
        columns: of a table; only numbers among them are scaled.
    """
    check_standardize(standardize)
    notices = [storage.notice] if storage.notice else []
    low, high = extremes(x)
    if low == high:
        notices.append(nothing_to_learn(low))
    gaps = have_gaps(x)
    if storage.kind == "unit":
        return DataSpec(
            x.shape[1:], "unit", scale=(storage.scale,), columns=columns, gaps=gaps
        ), notices
    mean, variance = center_and_variance(x, standardize, columns)
    constant = np.zeros(len(mean), bool)
    if layout_of(x.shape[1:]) == "row" and standardize not in ("global", "none"):
        lows, highs = column_extremes(x)
        constant = are_constant(lows, highs)
        mean = np.where(constant, lows, mean)  # what a sum is rounded to is no difference
    coded = np.array([not c.numeric and c.kind != "count" for c in columns] or [False] * len(mean))
    mean, variance = np.where(coded, 0.0, mean), np.where(coded, 1.0, variance)
    spec, more = standardized(x.shape[1:], mean, variance, constant & ~coded, standardize)
    spec = replace(spec, columns=columns, gaps=gaps)
    if is_scaled_by_size(x, standardize, columns):
        more = [taken_as_sizes(share_of_zeros(x), mean), *more]
    if could_be_coarse(source.dtype):
        rows = source if isinstance(source, SparseRows) else source.reshape(len(source), -1)
        more = precision_notice(*column_extremes(rows)) + more
    return spec, notices + more


def is_scaled_by_size(x: Held, standardize: str, columns: Sequence[Column] = ()) -> bool:
    """Tells whether rows are scaled as tables are that are mostly zeros (``values.zeros``)."""
    plain = all(column.numeric for column in columns)
    return standardize in BY_SIZE and plain and is_mostly_zeros(x)


def taken_as_sizes(share: float, mean: Array) -> str:
    """Makes the notice that a table is scaled as one that is mostly zeros."""
    still = int((mean == 0).sum())
    return (
        f"{share:.1%} of the values are zero: {still} of {len(mean)} columns are not "
        "centred and share one scale; standardize='all_columns' gives each mean 0 and variance 1"
    )


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
    scale = np.where(spread > EPS * np.abs(offset), _usable(spread), 1.0)
    return _tuple(np.tile(offset, shape[0])), _tuple(np.tile(scale, shape[0]))


def center_and_variance(
    x: Held, standardize: str, columns: Sequence[Column] = ()
) -> tuple[Array, Array]:
    """Computes what real examples (N, *D) are scaled by, each (D,): mean and variance, or robust ones.

    Images have one robust centre and scale for all pixels, sequences one of each feature, tables that
    are mostly zeros what ``zeros.scaled_by_size`` finds.
    """
    if is_scaled_by_size(x, standardize, columns):
        return scaled_by_size(x)
    if standardize != "robust":
        return moments(x)
    if isinstance(x, SparseRows):
        x = x.dense()
    width = x.shape[-1] if layout_of(x.shape[1:]) in _IN_COLUMNS else 1  # of what is scaled apart
    center, scale = robust_moments(x.reshape(-1, width))
    repeats = math.prod(x.shape[1:]) // width
    return np.tile(center, repeats), np.tile(scale**2, repeats)


def _usable(scale: Array) -> Array:
    """Replaces scales that are too small for float32 to divide by with 1."""
    return np.where(scale < _TINY, 1.0, scale)


def _tuple(values: Array) -> tuple[float, ...]:
    return tuple(values.tolist())
