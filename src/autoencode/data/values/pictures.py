"""Rows that are flattened pictures, told from tables by how alike neighbours in the grid are.

A table of as many columns as a picture has pixels, in the range that pixels have, is no picture: what
tells them apart is that in a picture the pixel below is about as near as the pixel beside. Four mean
squared differences are compared, over some rows, after the mean of each column and of each row was
taken off: of entries side by side (H), of entries one line apart (V), of entries half a line apart in
the order of the row (L), and of any two (A, twice the variance). Rows are pictures when

    H < 0.8 A    not in tables of unrelated columns: 0.9 to 1.2
    V < 0.8 A    not where only columns that follow each other are alike: 0.9 to 1.2
    V < 0.8 L    not in windows of a series and in spectra, where what is farther away differs more:
                 1.1 to 4
    L - A < (A - V) / 2    not in series with the period of a line, which turn over half a line on

Measured: MNIST has 0.28, 0.27, 0.27 and 1.00, binarised by draws 0.44, ten of its rows 0.29, every
second pixel of every second line 0.69, with noise of 0.3 (of the range) 0.69, shuffled 1.01; crops of
photographs (16 to 32 wide, grey and colour) have 0.2 to 0.4. Made tables of 144 to 3072 columns
(factors, one-hot and rare words, auto-regressions, random walks, periods of 12 and 24, spectra; 4 to
300 rows) all fail in one of the four. Digits of 8 x 8 have 0.86 and cannot be told from a table for
sure, so that a side has at least 12 pixels. Noise of half the range (0.83) hides a picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from autoencode.types import Array

ROWS = 256  # are looked at
SMALLEST = 12  # pixels along a side
_WIDEST = 2.0  # times as long as high, or as high as long
_ALIKE = 0.8  # of the difference of others
_TURNED = 0.5  # of how alike lines are
_ENTRIES = 1 << 20  # are looked at, at most


def some_rows(n: int, width: int) -> Array:
    """Chooses numbers of rows to look at, evenly spread over all n of them."""
    return np.unique(np.linspace(0, n - 1, min(n, ROWS, max(2, _ENTRIES // width))).astype(np.int64))


def could_be_picture(width: int) -> bool:
    """Tells whether so many entries fill a picture, grey or in three colours, of usual proportions."""
    return next(_grids(width), None) is not None


def picture_shape(rows: Array) -> tuple[int, ...] | None:
    """Finds the picture that rows are when they are looked at as one.

    Args:
        rows: (N, D) some rows, NaN where a value is missing.

    Returns:
        (height, width), or (channels, height, width) with channels first or last as they lie;
        ``None`` where neighbours are no more alike than others.

    Example:
        >>> y, x = np.mgrid[:20, :16]
        >>> rows = [np.exp(-((y - i) ** 2 + (x - j) ** 2) / 9).ravel() for i, j in [(4, 5), (13, 9)]]
        >>> others = np.random.default_rng(0).permutation(320)
        >>> picture_shape(np.stack(rows)), picture_shape(np.stack(rows)[:, others])
        ((20, 16), None)
    """
    x = rows.astype(np.float64)
    known = ~np.isnan(x)
    x = x - np.where(known, x, 0.0).sum(0) / np.maximum(known.sum(0), 1)
    x = x - np.where(known, x, 0.0).sum(1, keepdims=True) / np.maximum(known.sum(1, keepdims=True), 1)
    any_two = 2 * _mean_square(x)
    if not any_two > 0:
        return None
    found = {shape: _contrast(_channels_first(x, shape), any_two) for shape in _grids(x.shape[1])}
    best = min(found, key=found.__getitem__, default=None)
    return best if best is not None and found[best] < _ALIKE else None


def _grids(width: int) -> Iterator[tuple[int, ...]]:
    """Lists the shapes that pictures of so many entries can have."""
    for channels in (1, 3):
        if width % channels:
            continue
        pixels = width // channels
        low = max(SMALLEST, math.ceil(math.sqrt(pixels / _WIDEST)))
        for height in range(low, math.floor(math.sqrt(pixels * _WIDEST)) + 1):
            wide = pixels // height
            if pixels % height or wide < SMALLEST:
                continue
            if channels == 1:
                yield height, wide
            else:
                yield channels, height, wide
                yield height, wide, channels


def _channels_first(x: Array, shape: tuple[int, ...]) -> Array:
    """Arranges rows (N, D) as pictures (N, C, H, W)."""
    grid = x.reshape(len(x), *shape)
    if len(shape) == 2:
        return grid[:, None]
    return grid if shape[0] == 3 else np.moveaxis(grid, -1, 1)


def _contrast(grid: Array, any_two: float) -> float:
    """Computes how much neighbours of pictures (N, C, H, W) differ, as a share of what others do."""
    half = grid.shape[-1] // 2
    line = grid.reshape(*grid.shape[:2], -1)
    beside = _mean_square(np.diff(grid, axis=-1))
    below = _mean_square(np.diff(grid, axis=-2))
    apart = _mean_square(line[..., half:] - line[..., :-half])
    series = below >= _ALIKE * apart or apart - any_two >= _TURNED * (any_two - below)
    return math.inf if series else max(beside, below) / any_two


def _mean_square(x: Array) -> float:
    """Computes the mean square of known values."""
    known = ~np.isnan(x)
    return float(np.where(known, np.square(x), 0.0).sum() / max(int(known.sum()), 1))
