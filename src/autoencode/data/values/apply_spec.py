"""New examples in the layout and range that a model was trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from autoencode.data.values.arrays import as_array, extremes, place
from autoencode.data.values.frames import encode, is_frame
from autoencode.data.values.layouts import channels_last
from autoencode.data.values.ranges import raw_dtype
from autoencode.errors import DataError
from autoencode.types import Array, DataSpec

_ROUNDING = 1e-6  # of the range; as far outside as a float32 on its way through a file may come
_NOISE = 10  # of the range; farther outside no noise comes that anything could be seen behind


def apply_spec(x: Any, spec: DataSpec, part: str = "data") -> Array:
    """Brings new examples to the layout and range that a spec expects.

    Example:
        >>> apply_spec(np.zeros((5, 784)), DataSpec((1, 28, 28))).shape
        (5, 1, 28, 28)

    Args:
        x: (N, ...) anything array-like: in the spec's shape, flat, without the axis of a single
            channel (or of a single feature), or with channels last.
        spec: what the model was trained on.
        part: what to call the data in an error message.

    Returns:
        (N, *D) raw values for ``spec.to_model``: uint8, float32, or float64 of measurements.

    Raises:
        DataError: the examples do not fit.
    """
    if spec.columns and is_frame(x):
        x = encode(x, spec.columns, part)
    given = as_array(x, part, spec.gaps)
    fitted = to_spec(given, spec, part)
    if scaled_up(spec, given.dtype):
        _refuse_scaled(given, _range(spec)[1], part)
    return fitted


def to_spec(given: Array, spec: DataSpec, part: str, first_row: int = 0) -> Array:
    """Brings clean rows to a spec as ``apply_spec`` does; they may begin at ``first_row`` of more.

    Whether values are in 0..1 that should reach to 255 is not looked at: all of them must say so.
    """
    array = to_shape(given, spec, part)
    if spec.kind == "unit":
        _refuse_outside(given, spec, part, first_row)
        if given.dtype.kind == "f" and not spec.noisy:
            array = array.clip(*_range(spec))  # of what rounding left outside
    return np.ascontiguousarray(array, dtype=raw_dtype(given.dtype, spec.kind, spec.shape))


def scaled_up(spec: DataSpec, dtype: np.dtype[Any]) -> bool:
    """Tells whether a spec reaches to 255, so that fractions of 1 could be mistaken for its values."""
    return spec.kind == "unit" and _range(spec)[1] > 1 and dtype.kind == "f"


def are_fractions(x: Array) -> bool:
    """Tells whether values lie in 0..1 and not only at its ends."""
    return bool(extremes(x)[1] <= 1 and ((x != np.rint(x)) & ~np.isnan(x)).any())


def to_shape(x: Array, spec: DataSpec, part: str = "data") -> Array:
    """Brings examples to the shape (N, *D) that a model has, whatever their values.

    Raises:
        DataError: they do not fit.
    """
    shape = x.shape[1:]
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


def _range(spec: DataSpec) -> tuple[float, float]:
    """Returns the lowest and highest raw value of a unit spec."""
    return spec.offset[0], spec.offset[0] + spec.scale[0]


def _refuse_outside(x: Array, spec: DataSpec, part: str, first_row: int) -> None:
    """Refuses values that lie outside the range of a unit spec by more than rounding."""
    if not x.size:
        return
    low, high = _range(spec)
    slack = (_NOISE if spec.noisy else _ROUNDING) * (high - low)
    lowest, highest = extremes(x)
    if lowest < low - slack:
        flat = int(np.argmax(x == lowest))
    elif highest > high + slack:
        flat = int(np.argmax(x == highest))
    else:
        return
    where = place(np.unravel_index(flat, x.shape), first_row)
    raise DataError(
        f"{part}: the value {x.flat[flat]:g} at {where} lies outside {low:g}..{high:g}, "
        "the range that the model was trained on"
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
