"""Scatter plots of codes: which points to draw, in which plane and in which colours.

Private to ``plots``, whose docstring explains the letters of the shapes; ``Z`` is a latent's size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from autoencode.errors import DataError
from autoencode.pictures._cells import FIRST, Array, short_name

MAX_CATEGORIES = 20

# Paul Tol's "muted" scheme, which colour-blind readers can tell apart; beyond ten it is tab20.
_TEN = (
    *("#332288", "#88ccee", "#117733", "#ddcc77", "#cc6677"),
    *("#aa4499", "#44aa99", "#999933", "#882255", "#888888"),
)


class _Groups(NamedTuple):
    """Labels as categories: the number of each example's category, and names and colours of all."""

    codes: Array
    names: list[str]
    colours: list[Any]


def finite_rows(z: Array, labels: Array | None) -> tuple[Array, Array | None]:
    if z.size == 0 or (labels is not None and len(labels) != len(z)):
        size = "no" if labels is None else len(labels)
        raise DataError(f"cannot draw latents of shape {z.shape} with {size} labels; give (N, Z)")
    rows = z.reshape(len(z), -1).astype(float)
    keep = np.isfinite(rows).all(axis=1)
    if not keep.any():
        raise DataError("no latent is finite; the model has diverged")
    return rows[keep], None if labels is None else labels[keep]


def in_plane(z: Array, explained: Sequence[float] | None) -> tuple[Array, list[str]]:
    """Brings codes (N, Z) to at most two dimensions, and names the axes."""
    dims = z.shape[1]
    if explained is None and dims <= 2:
        return z, [f"z{i}" for i in range(dims)]
    shares = explained
    if shares is None:
        z, shares = _principal(z)
    names = [f"PC {i + 1} of z ({100 * s:.0f} % of variance)" for i, s in enumerate(shares[:2])]
    return z[:, : len(names)], names


def _principal(z: Array) -> tuple[Array, Sequence[float]]:
    """Computes the first two principal components (N, 2) and the variance shares they explain."""
    rows = min(len(z), max(500, 4_000_000 // z.shape[1]))  # keeps very wide latents affordable
    centred = z - z[:rows].mean(axis=0)
    _, spread, axes = np.linalg.svd(centred[:rows], full_matrices=False)
    share = spread**2 / (np.sum(spread**2) or 1.0)
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    if len(axes) < 2:  # a single example has no second direction
        return np.pad(centred @ axes.T, [(0, 0), (0, 1)]), [float(share[0]), 0.0]
    return centred @ axes[:2].T, [float(s) for s in share[:2]]


def _groups(labels: Array) -> _Groups | None:
    """Groups labels that are few enough or words; gives ``None`` for numbers on a scale."""
    labels = labels.astype(str) if labels.dtype == object else labels
    known, codes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    if len(known) > MAX_CATEGORIES:
        if np.issubdtype(labels.dtype, np.number):
            return None
        common = known[np.argsort(-sizes, kind="stable")[: MAX_CATEGORIES - 1]]
        return _groups(np.where(np.isin(labels, common), labels, "other"))
    palette = _TEN if len(known) <= len(_TEN) else matplotlib.color_sequences["tab20"]
    return _Groups(codes, [short_name(v) for v in known], list(palette[: len(known)]))


def scatter(ax: Axes, points: Array, labels: Array | None) -> None:
    look: dict[str, Any] = {
        "s": float(np.clip(400 / math.sqrt(len(points)), 3, 36)),
        "linewidths": 0,
        "rasterized": True,
    }
    x, y = points[:, 0], points[:, 1]
    groups = None if labels is None else _groups(labels)
    if groups is not None:
        ax.scatter(x, y, c=[groups.colours[k] for k in groups.codes], **look)
        _legend(ax, groups)
    elif labels is not None:
        shown = ax.scatter(x, y, c=labels.astype(float), cmap="viridis", **look)
        ax.figure.colorbar(shown, ax=ax, label="label")
    else:
        ax.scatter(x, y, color=FIRST["color"], **look)


def _legend(ax: Axes, groups: _Groups) -> None:
    dots = [
        Line2D([], [], marker="o", linestyle="", markersize=6, color=colour, label=name)
        for colour, name in zip(groups.colours, groups.names, strict=True)
    ]
    ax.legend(handles=dots, title="label", loc="center left", bbox_to_anchor=(1.01, 0.5))


def strip(ax: Axes, z: Array, labels: Array) -> None:
    """Draws one latent dimension against the label: jittered dots per category, or plain numbers."""
    groups = _groups(labels)
    ax.set_ylabel("label")
    if groups is None:
        scatter(ax, np.stack([z, labels.astype(float)], axis=1), None)
        return
    jitter = np.random.default_rng(0).uniform(-0.3, 0.3, len(z))
    scatter(ax, np.stack([z, groups.codes + jitter], axis=1), labels)
    ax.set_yticks([])  # the legend names the rows, in the same order
    ax.invert_yaxis()
