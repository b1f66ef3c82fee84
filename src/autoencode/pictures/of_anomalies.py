"""Pictures of a search for anomalies: scores, p-values, and bars of what makes them up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from autoencode.errors import DataError
from autoencode.pictures._cells import FIRST, SECOND, Array, short_name


def scores_figure(scores: Array, threshold: float) -> Figure:
    """Draws a histogram of anomaly scores, with the threshold.

    Args:
        scores: (N,) higher is more anomalous.
        threshold: what lies above is called anomalous.
    """
    figure, ax = _histogram()
    ax.hist(scores, bins=min(60, max(10, len(scores) // 10)), color=FIRST["color"])
    if np.isfinite(threshold):
        ax.axvline(threshold, color=SECOND["color"], label="threshold")
        ax.legend(frameon=False)
    ax.set(xlabel="anomaly score", ylabel="rows", yscale="log")
    # Not as powers in mathematical type: text is drawn as it is, since some is other people's.
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    return figure


def pvalues_figure(pvalues: Array) -> Figure:
    """Draws a histogram of p-values (N,), which are uniform when no row is anomalous."""
    figure, ax = _histogram()
    ax.hist(pvalues, bins=np.linspace(0, 1, 21), color=FIRST["color"])
    ax.axhline(len(pvalues) / 20, color=SECOND["color"], label="if none were anomalous")
    ax.legend(frameon=False)
    ax.set(xlabel="p-value", ylabel="rows")
    return figure


def _histogram() -> tuple[Figure, Any]:
    """Makes a figure that can be read on a phone as it is."""
    figure = Figure(figsize=(4.4, 2.8), layout="constrained")
    ax = figure.subplots()
    ax.spines[["top", "right"]].set_visible(False)
    return figure, ax


MOST_ROWS = 12


class Shares(Protocol):
    """Shares of the scores of N rows among their entries."""

    @property
    def shares(self) -> Array: ...
    @property
    def scores(self) -> Array: ...
    def top(self, row: int, n: int = 5) -> list[tuple[str, float]]: ...


def shares_figure(
    explanation: Shares, n_features: int = 10, names: Sequence[str] | None = None
) -> Figure:
    """Draws bars of the entries that add most to each row's score; for images a map of all pixels.

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
        name = short_name(names[row]) if names else f"row {row}"
        title = f"{name}: score {explanation.scores[row]:.3g}"
        axes.set_title(title, fontsize=9, parse_math=False)
        if explanation.shares.ndim > 2:
            _map(axes, explanation.shares[row])
        else:
            _bars(axes, explanation.top(row, n_features))
    return figure


def _map(axes: Any, shares: Array) -> None:
    """The pixels of one image, channels summed, those of a volume along its depth too."""
    pixels = shares.sum(tuple(range(shares.ndim - 2)))
    axes.imshow(pixels, cmap="magma")
    axes.set_axis_off()


def _bars(axes: Any, top: list[tuple[str, float]]) -> None:
    names = [short_name(name) for name, _ in top][::-1]
    axes.barh(range(len(top)), [share for _, share in top][::-1], color=FIRST["color"])
    axes.set_yticks(range(len(top)), names, fontsize=8, parse_math=False)
    axes.tick_params(axis="x", labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
