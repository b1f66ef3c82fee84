"""Pictures of a search for anomalies: scores, p-values, the rows found and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from autoencode.errors import DataError
from autoencode.pictures._cells import FIRST, SECOND, Array, short_name


def scores_figure(scores: Array, threshold: float, pvalues: Array | None = None) -> Figure:
    """Draws histograms of anomaly scores, with the threshold, and of p-values.

    Args:
        scores: (N,) higher is more anomalous.
        threshold: what lies above is called anomalous.
        pvalues: (N,) uniform when no row is anomalous.
    """
    figure = Figure(figsize=(8, 2.8), layout="constrained")
    axes = figure.subplots(1, 1 if pvalues is None else 2, squeeze=False)[0]
    axes[0].hist(scores, bins=min(60, max(10, len(scores) // 10)), color=FIRST["color"])
    if np.isfinite(threshold):
        axes[0].axvline(threshold, color=SECOND["color"], label="threshold")
        axes[0].legend(frameon=False)
    axes[0].set(xlabel="anomaly score", ylabel="rows", yscale="log")
    # Not as powers in mathematical type: text is drawn as it is, since some is other people's.
    axes[0].yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    if pvalues is not None:
        axes[1].hist(pvalues, bins=np.linspace(0, 1, 21), color=FIRST["color"])
        axes[1].axhline(len(pvalues) / 20, color=SECOND["color"], label="if none were anomalous")
        axes[1].legend(frameon=False)
        axes[1].set(xlabel="p-value", ylabel="rows")
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    return figure


def images_figure(images: Array, reconstructions: Array, shares: Array, names: list[str]) -> Figure:
    """Draws images above their reconstructions and maps of what each pixel adds to the score.

    Args:
        images, reconstructions: (N, C, H, W) in [0, 1].
        shares: (N, C, H, W).
        names: of the images.
    """
    n = len(images)
    figure = Figure(figsize=(1.3 * n, 4.2), layout="constrained")
    axes = figure.subplots(3, n, squeeze=False)
    for i in range(n):
        for row, image in enumerate((images[i], reconstructions[i])):
            pixels = np.moveaxis(image, 0, -1).clip(0, 1)
            if pixels.shape[-1] == 1:
                axes[row, i].imshow(pixels[..., 0], cmap="gray", vmin=0, vmax=1)
            else:
                axes[row, i].imshow(pixels[..., :3])
        axes[2, i].imshow(shares[i].sum(0), cmap="magma")
        axes[0, i].set_title(short_name(names[i]), fontsize=8, parse_math=False)
        for row in range(3):
            axes[row, i].set_axis_off()
    return figure


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
