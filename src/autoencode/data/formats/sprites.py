"""Sprites: small drawn pictures whose every factor is known, the same bytes everywhere.

One white shape on black, in the manner of dSprites (Matthey et al., 2017,
https://github.com/google-deepmind/dsprites-dataset), and every combination of five factors once:

========  ======  ==================================================
factor    values  meaning
========  ======  ==================================================
shape          3  square, ellipse (2 : 1), heart; of one area
scale          6  0.5 to 1, of the sides; the area is 100 pixels at 1
rotation      10  0, 9, ... 81 degrees, counter-clockwise
x             16  a step is a pixel to the right
y             16  a step is a pixel down
========  ======  ==================================================

A square looks the same after a quarter turn and an ellipse after half a turn. Over a full turn, as in
dSprites, one image would have up to four rotations, and no code could tell them apart. Here all turn
by less than a quarter, so that no image occurs twice. What is left is that a square turned by 81
degrees is as near to one turned by 0 as to one turned by 72: its rotation is a circle.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from autoencode.data.raw import Factors

SIZE = 32
SHAPES = ("square", "ellipse", "heart")
SCALES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
DEGREES = tuple(range(0, 90, 9))
PLACES = 16
COUNTS = {
    "shape": len(SHAPES),
    "scale": len(SCALES),
    "rotation": len(DEGREES),
    "x": PLACES,
    "y": PLACES,
}
N = math.prod(COUNTS.values())

_STAMP = SIZE - PLACES + 1  # sides of the window that a shape is drawn in, before it is put in place
_FINE = 8  # points each way in a pixel, of which the share inside the shape is its grey value
_AREA = 100.0
_HEART_AREA, _HEART_CENTRE = 3.66197, 0.29348  # of the curve below, and how high its centroid lies

Floats = NDArray[np.float64]


def grid() -> tuple[NDArray[np.uint8], Factors]:
    """Draws all 46 080 images; returns them and the factors that each was made from.

    Example:
        >>> x, factors = grid()
        >>> x.shape, factors.names
        ((46080, 1, 32, 32), ('shape', 'scale', 'rotation', 'x', 'y'))

    Returns:
        (N, 1, 32, 32) images, and the factors as numbers of their values, in the order of the table
        above: the last changes fastest.
    """
    stamps = _stamps()
    images = np.zeros((*stamps.shape[:3], PLACES, PLACES, SIZE, SIZE), np.uint8)
    for x, y in np.ndindex(PLACES, PLACES):
        images[:, :, :, x, y, y : y + _STAMP, x : x + _STAMP] = stamps
    numbers = np.indices(tuple(COUNTS.values())).reshape(len(COUNTS), N).T
    factors = Factors(np.ascontiguousarray(numbers), tuple(COUNTS), unordered=("shape",))
    return images.reshape(N, 1, SIZE, SIZE), factors


def _stamps() -> NDArray[np.uint8]:
    """Draws every shape, scale and rotation in a small window, (3, 6, 10, 17, 17)."""
    inside = (outline() <= 0).reshape(-1, _STAMP, _FINE, _STAMP, _FINE).sum((2, 4))
    grey: NDArray[np.uint8] = ((inside * 255 + _FINE**2 // 2) // _FINE**2).astype(np.uint8)
    return grey.reshape(len(SHAPES), len(SCALES), len(DEGREES), _STAMP, _STAMP)


def outline() -> Floats:
    """Evaluates each shape's curve on a fine grid, (180, 136, 136); not above zero is inside.

    None is so near to zero that another machine's rounding could put it on the other side.
    """
    at = (np.arange(_STAMP * _FINE) + 0.5) / _FINE - _STAMP / 2
    right, up = at[None, :], -at[:, None]
    drawn = []
    for shape in SHAPES:
        for scale in SCALES:
            for degrees in DEGREES:
                turn = math.radians(degrees)
                u = (math.cos(turn) * right + math.sin(turn) * up) / scale
                v = (math.cos(turn) * up - math.sin(turn) * right) / scale
                drawn.append(_CURVES[shape](u, v))
    return np.stack(drawn)


def _square(u: Floats, v: Floats) -> Floats:
    return np.maximum(np.abs(u), np.abs(v)) - math.sqrt(_AREA) / 2


def _ellipse(u: Floats, v: Floats) -> Floats:
    return u**2 / 4 + v**2 - _AREA / (2 * math.pi)


def _heart(u: Floats, v: Floats) -> Floats:
    unit = math.sqrt(_AREA / _HEART_AREA)
    u, v = u / unit, v / unit + _HEART_CENTRE
    return (u**2 + v**2 - 1) ** 3 - u**2 * v**3


_CURVES = {"square": _square, "ellipse": _ellipse, "heart": _heart}
