"""Values outside of the range that a model was trained on: taken and told, or of another unit."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np

from autoencode.data.values.arrays import extremes, place
from autoencode.errors import DataError
from autoencode.types import Array, DataSpec

#: What is told of reading new examples, a line each; by default the logger ``autoencode.values``.
Tell = Callable[[str], object]

_ROUNDING = 1e-6  # of the range; as far outside as a float32 on its way through a file may come
_FAR = 1  # of the range; values farther outside, in most examples, are in another unit
_NOISE = 10  # the same of noisy examples: farther outside no noise comes that could be seen behind


def log(line: str) -> None:
    """Tells a line to the logger ``autoencode.values``; unless handlers are set, it comes on stderr."""
    logging.getLogger("autoencode.values").warning(line)


def range_of(spec: DataSpec) -> tuple[float, float]:
    """Returns the lowest and highest raw value of a unit spec."""
    return spec.offset[0], spec.offset[0] + spec.scale[0]


def look_outside(x: Array, spec: DataSpec, part: str, first_row: int, tell: Tell) -> None:
    """Tells of values (N, ...) outside of the range of a unit spec, and refuses another unit.

    A few values a little outside are usual: of rows scaled by the least and the largest training value,
    of pictures that were sharpened. Where most examples have values farther outside than the range is
    wide, they are in another unit (0..255 for a model of 0..1), and whatever came of them would be
    wrong. Of noisy examples nothing is told.

    Raises:
        DataError: most examples are far outside.
    """
    if not x.size:
        return
    low, high = range_of(spec)
    width = high - low
    lowest, highest = extremes(x)
    if not (lowest < low - _ROUNDING * width or highest > high + _ROUNDING * width):
        return
    beyond = np.maximum(low - x, x - high)
    flat = int(np.nanargmax(beyond))
    worst = f"{x.flat[flat]:g} at {_place(flat, x, spec, first_row)}"
    far = beyond > (_NOISE if spec.noisy else _FAR) * width
    if 2 * int(far.reshape(len(x), -1).any(axis=1).sum()) > len(x):
        raise DataError(
            f"{part}: the value {worst} lies outside {low:g}..{high:g}, the range that the model was "
            "trained on, and most examples have such; bring them to its unit"
        )
    n = int((beyond > _ROUNDING * width).sum())
    if not spec.noisy:
        values = "1 value lies" if n == 1 else f"{n} values lie"
        tell(
            f"{part}: {values} outside {low:g}..{high:g}, the range that the model was trained on, the "
            f"farthest {worst}; taken as the nearest within it"
        )


def _place(flat: int, x: Array, spec: DataSpec, first_row: int) -> str:
    index = np.unravel_index(flat, x.shape)
    if spec.columns and x.ndim == 2:
        return f"row {int(index[0]) + first_row}, column '{spec.columns[int(index[1])].name:.40}'"
    return place(index, first_row)
