"""The picture of what makes a row anomalous."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from matplotlib.figure import Figure

from autoencode.errors import DataError
from autoencode.evaluate._cells import FIRST, Array

MOST_ROWS = 12


class Shares(Protocol):
    """What each entry adds to the score of N rows."""

    @property
    def shares(self) -> Array: ...
    @property
    def scores(self) -> Array: ...
    def top(self, row: int, n: int = 5) -> list[tuple[str, float]]: ...


def shares_figure(
    explanation: Shares, n_features: int = 10, names: Sequence[str] | None = None
) -> Figure:
    """Bars of the entries that add most to each row's score; for images a map of all pixels.

    Args:
        explanation: of at most 12 rows.
        n_features: bars of a row.
        names: of the rows; their numbers by default.

    Raises:
        DataError: there are more rows.
    """
    n = len(explanation.scores)
    if n > MOST_ROWS:
        raise DataError(f"{n} rows are too many for one picture; choose at most {MOST_ROWS}")
    wide = min(n, 3)
    high = -(-n // wide)
    figure = Figure(figsize=(3.4 * wide, 2.6 * high), layout="constrained")
    for row in range(n):
        axes = figure.add_subplot(high, wide, row + 1)
        axes.set_title(
            f"{names[row] if names else f'row {row}'}: score {explanation.scores[row]:.3g}", fontsize=9
        )
        if explanation.shares.ndim > 2:
            _map(axes, explanation.shares[row])
        else:
            _bars(axes, explanation.top(row, n_features))
    return figure


def _map(axes: Any, shares: Array) -> None:
    """The pixels of one image, channels summed."""
    pixels = shares.sum(0) if shares.ndim == 3 else np.atleast_2d(shares)
    axes.imshow(pixels, cmap="magma")
    axes.set_axis_off()


def _bars(axes: Any, top: list[tuple[str, float]]) -> None:
    names = [name for name, _ in top][::-1]
    axes.barh(range(len(top)), [share for _, share in top][::-1], color=FIRST["color"])
    axes.set_yticks(range(len(top)), names, fontsize=8)
    axes.tick_params(axis="x", labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
