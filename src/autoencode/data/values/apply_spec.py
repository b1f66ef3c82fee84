"""New examples in the layout and range that a model was trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from autoencode.data.values.arrays import as_array, extremes
from autoencode.data.values.frames import encode, is_frame
from autoencode.data.values.layouts import channels_last
from autoencode.data.values.outside import Tell, log, look_outside, range_of
from autoencode.data.values.ragged import padded
from autoencode.data.values.ranges import raw_dtype
from autoencode.data.values.vocabulary import Unseen, unseen_notices
from autoencode.errors import DataError
from autoencode.files.sparse_rows import SparseRows
from autoencode.types import Array, DataSpec


def apply_spec(
    x: Any,
    spec: DataSpec,
    part: str = "data",
    tell: Tell = log,
    unseen: list[Unseen] | None = None,
) -> Any:
    """Brings new examples to the layout and range that a spec expects.

    One odd value stops nothing: what lies outside of the range of pixels is taken as the nearest value
    within (``look_outside``), and a category that was never seen as none of those that are known
    (``spec.handle_unknown``); both are told in a line.

    Example:
        >>> apply_spec(np.zeros((5, 784)), DataSpec((1, 28, 28))).shape
        (5, 1, 28, 28)

    Args:
        x: (N, ...) anything array-like: in the spec's shape, flat, without the axis of a single
            channel (or of a single feature), or with channels last; where the spec says that they are
            last, so they are here.
        spec: what the model was trained on.
        part: what to call the data in an error message.
        tell: given what the user should know, a line each; by default to the logger
            ``autoencode.values``.
        unseen: a list for categories that were never seen, where somebody asks which they are.

    Returns:
        (N, *D) raw values for ``spec.to_model``: uint8, float32, or float64 of measurements. Rows of a
        ``scipy.sparse`` matrix stay ``SparseRows``.

    Raises:
        DataError: the examples do not fit.
    """
    if spec.columns and is_frame(x):
        found: list[Unseen] = []
        x = encode(x, spec.columns, part, found if spec.handle_unknown == "ignore" else None)
        for line in unseen_notices(found):
            tell(line)
        if unseen is not None:
            unseen += found
    if spec.ragged and isinstance(x, list | tuple):
        x = padded(x, (spec.given_shape or spec.shape)[0], part)
    given = as_array(x, part, spec.gaps)
    if isinstance(given, SparseRows):
        if spec.layout == "row":
            return _sparse_to_spec(given, spec, part, tell)
        given = given.dense()
    fitted = to_spec(given, spec, part, tell=tell)
    if scaled_up(spec, given.dtype):
        _refuse_scaled(given, range_of(spec)[1], part)
    return fitted


def to_spec(given: Array, spec: DataSpec, part: str, first_row: int = 0, tell: Tell = log) -> Array:
    """Brings clean rows to a spec as ``apply_spec`` does; they may begin at ``first_row`` of more.

    Whether values are in 0..1 that should reach to 255 is not looked at: all of them must say so.
    """
    array = to_shape(given, spec, part)
    if spec.kind == "unit":
        look_outside(given, spec, part, first_row, tell)
        if not spec.noisy:
            array = _within(array, *range_of(spec))
    return np.ascontiguousarray(array, dtype=raw_dtype(given.dtype, spec.kind, spec.shape))


def _within(x: Array, low: float, high: float) -> Array:
    """Takes values outside of a range as the nearest within, where the type has such values at all."""
    if x.dtype.kind == "b" or (x.dtype == np.uint8 and low <= 0 and high >= 255):
        return x
    return x.clip(low, high)


def _sparse_to_spec(given: SparseRows, spec: DataSpec, part: str, tell: Tell) -> SparseRows:
    """Brings sparse rows to a spec of rows; those out of its range are looked at as arrays are."""
    to_shape(np.empty((0, given.shape[1])), spec, part)
    if spec.kind == "unit":
        low, high = extremes(given)
        outside = low < range_of(spec)[0] or high > range_of(spec)[1]
        if outside or scaled_up(spec, given.dtype):
            dense = apply_spec(given.dense(), spec, part, tell)
            return SparseRows(type(given.matrix)(dense))
    return given.astype(raw_dtype(given.dtype, spec.kind, spec.shape))


def scaled_up(spec: DataSpec, dtype: np.dtype[Any]) -> bool:
    """Tells whether a spec reaches to 255, so that fractions of 1 could be mistaken for its values."""
    return spec.kind == "unit" and range_of(spec)[1] > 1 and dtype.kind == "f"


def are_fractions(x: Array) -> bool:
    """Tells whether values lie in 0..1 and not only at its ends."""
    return bool(extremes(x)[1] <= 1 and ((x != np.rint(x)) & ~np.isnan(x)).any())


def to_shape(x: Array, spec: DataSpec, part: str = "data") -> Array:
    """Brings examples to the shape (N, *D) that a model has, whatever their values.

    Raises:
        DataError: they do not fit.
    """
    shape = x.shape[1:]
    if spec.channels == "last" and len(shape) > 2 and (shape[-1], *shape[:-1]) == spec.shape:
        return np.moveaxis(x, -1, 1)
    if shape == spec.shape:
        return x
    if channels_last(shape, spec.shape):
        return np.moveaxis(x, -1, 1)
    same_but_ones = _without_ones(shape) == _without_ones(spec.shape)
    if math.prod(shape) == spec.size and (min(len(shape), len(spec.shape)) == 1 or same_but_ones):
        return x.reshape(len(x), *spec.shape)
    hint = "; for a single example give x[None]" if x.size == spec.size else ""
    raise DataError(
        f"{part}: expected {spec.size} values per example ({times(spec.shape)}), "
        f"got {math.prod(shape)} ({times(shape)}){hint}"
    )


def _refuse_scaled(x: Array, high: float, part: str) -> None:
    """Refuses fractions of 1 where pixels to 255 are expected: they would all be black."""
    if are_fractions(x):
        raise fractions_error(high, part)


def fractions_error(high: float, part: str) -> DataError:
    """Makes the error for values in 0..1 where a model expects pixels."""
    return DataError(
        f"{part}: values are in 0..1, the model was trained on 0..{high:g}; multiply them by {high:g}"
    )


def _without_ones(shape: Sequence[int]) -> list[int]:
    return [length for length in shape if length != 1]


def times(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
