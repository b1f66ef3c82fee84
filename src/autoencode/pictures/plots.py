"""Pictures of a report: reconstructions, loss, latent space, decoded grids and sweeps, samples.

Arrays in, one matplotlib ``Figure`` out. Nothing here touches pyplot, and every call leaves
matplotlib's settings as they were, so a server or a notebook may call from any thread.
Letters: ``N`` examples, ``C`` channels, ``H`` height, ``W`` width, ``F`` features of a flat row,
``R`` rows and ``K`` columns of cells.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike

from autoencode.errors import DataError
from autoencode.files.atomic import write_atomically
from autoencode.pictures._cells import (
    COLUMNS,
    FIRST,
    SECOND,
    Array,
    Extent,
    as_pixels,
    cell_size,
    draw_profiles,
    gap_of,
    in_rows,
    new_figure,
    outer_edges,
    profile_note,
    reconstructed_images,
    reconstructed_rows,
    short_name,
    show,
    tiled,
)
from autoencode.pictures._latent import MAX_CATEGORIES, finite_rows, in_plane, scatter, strip
from autoencode.pictures._style import DPI, styled

__all__ = [
    "COLUMNS",
    "DPI",
    "MAX_CATEGORIES",
    "MAX_POINTS",
    "Array",
    "Extent",
    "grid",
    "latent",
    "loss",
    "png",
    "reconstructions",
    "samples",
    "save",
    "traversals",
    "write_atomically",
]

MAX_POINTS = 10_000


@styled
def reconstructions(
    x: ArrayLike, reconstructed: ArrayLike, labels: ArrayLike | None = None, n: int = 10
) -> Figure:
    """Draws originals and what the model made of them.

    Args:
        x: (N, C, H, W) images in [0, 1], or (N, F) rows, which are drawn as line profiles.
        reconstructed: the same shape as ``x``.
        labels: (N,) what to write above each example.
        n: how many of the first examples to draw at most.

    """
    before, after = np.asarray(x), np.asarray(reconstructed)
    if before.shape != after.shape:
        raise DataError(f"originals {before.shape} and reconstructions {after.shape} must match")
    before, after = _first(before, n), _first(after, n)
    names = None if labels is None else [short_name(v, 12) for v in np.asarray(labels)[:n]]
    draw = reconstructed_images if before.ndim == 4 else reconstructed_rows
    return draw(before, after, names)


@styled
def loss(history: Sequence[Mapping[str, Any]], *, unit: str = "nats per example") -> Figure:
    """Draws training and validation loss against epochs; a panel for each term if there are two.

    Args:
        history: one mapping per epoch: ``epoch``, ``loss``, perhaps ``validation_loss``, terms
            such as ``kl`` and their ``validation_kl``. Missing entries are left out.
        unit: what the loss is measured in, for the axis.

    """
    if not history:
        raise DataError("the history holds no epoch to draw")
    terms = _terms(history)
    panels = ["loss", *terms] if len(terms) > 1 else ["loss"]
    columns = min(3, len(panels))
    rows = math.ceil(len(panels) / columns)
    size = (6.4, 3.8) if columns == 1 else (3.4 * columns, 2.9 * rows + 0.4)
    figure = new_figure(*size, "Loss" if columns == 1 else "Loss and its terms")
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax, name in zip(axes.flat, panels, strict=False):
        _curve(ax, history, name)
        ax.set_ylabel(unit)
        if columns > 1:
            ax.set_title(short_name(name))
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    fullest = max(axes.flat, key=lambda ax: len(ax.lines))
    if fullest.lines:
        fullest.legend(loc="upper right")
    return figure


@styled
def latent(
    z: ArrayLike,
    labels: ArrayLike | None = None,
    explained: Sequence[float] | None = None,
    *,
    title: str = "Latent space",
) -> Figure:
    """Draws where the examples lie in latent space, coloured by label.

    One dimension is a histogram (or a strip for each label), two are drawn as they are and more
    through their first two principal components.

    Args:
        z: (N, Z) latents; (N, ...) is flattened. At most 10 000 are drawn, by a fixed seed.
        labels: (N,) categories (20 at most get a legend) or numbers (a colour bar).
        explained: shares of variance, if the columns of ``z`` are principal components already.
        title: what is drawn.

    """
    points, tags = finite_rows(np.asarray(z), None if labels is None else np.asarray(labels))
    total = len(points)
    order = np.random.default_rng(0).permutation(total)[:MAX_POINTS]  # no class lies on top
    points, tags = points[order], None if tags is None else tags[order]
    if total > MAX_POINTS:
        title += f": {_count(MAX_POINTS)} of {_count(total)} points"
    points, names = in_plane(points, explained)
    figure = new_figure(7.0, 5.2, title)
    ax = figure.subplots()
    ax.set_xlabel(names[0])
    if len(names) > 1:
        ax.set_ylabel(names[1])
        scatter(ax, points, tags)
    elif tags is None:
        ax.hist(points[:, 0], bins=int(np.clip(math.sqrt(total), 10, 60)), color=FIRST["color"])
        ax.set_ylabel("examples")
    else:
        strip(ax, points[:, 0], tags)
    return figure


@styled
def grid(
    decoded: ArrayLike,
    extent: Extent,
    *,
    title: str = "Decoded grid of latents",
    names: tuple[str, str] = ("z0", "z1"),
) -> Figure:
    """Draws what the decoder makes of a regular grid in two latent directions.

    Args:
        decoded: (rows, columns, C, H, W) images in [0, 1], drawn without seams, or
            (rows, columns, F) rows, a line profile in each cell. Row 0 is the top one.
        extent: (x0, x1, y0, y1), the latents at the *centres* of the outermost cells, as
            ``linspace`` gives them; y1 belongs to row 0.
        title: what was decoded.
        names: the two directions.

    """
    cells = np.asarray(decoded)
    if cells.ndim not in (3, 5) or 0 in cells.shape:
        raise DataError(f"a decoded grid has 3 or 5 axes, none of them empty, not {cells.shape}")
    rows, columns = cells.shape[:2]
    edges = outer_edges(extent, rows, columns)
    title = f"{title}, {rows} × {columns}"
    if cells.ndim == 3:
        figure = new_figure(7.0, 5.6, title + profile_note(cells))
        ax = figure.subplots()
        draw_profiles(ax, cells, edges)
    else:
        pixels, note = as_pixels(cells)
        sheet = tiled(pixels, gap=0)
        tall = sheet.shape[0] / sheet.shape[1]
        figure = new_figure(6.4, float(np.clip(5.7 * tall, 1.5, 10.0)) + 0.8, title + note)
        ax = figure.subplots()
        show(ax, sheet, edges)
        width, height = edges[1] - edges[0], edges[3] - edges[2]
        ax.set_aspect(tall * width / height)  # square pixels, whatever the ranges
    ax.set(xlabel=names[0], ylabel=names[1])
    return figure


@styled
def traversals(
    decoded: ArrayLike, names: Sequence[str], ticks: Sequence[str], *, title: str, sweep: str
) -> Figure:
    """Draws what becomes of an example while one latent dimension after the other is swept.

    Args:
        decoded: (R, K, C, H, W) images in [0, 1], or (R, K, F) rows, a line profile in each cell: one
            row for each dimension, K steps of its sweep.
        names: (R,) what to write beside each row.
        ticks: (K,) what to write below each column; an empty text for nothing.
        title: what is drawn.
        sweep: what the columns are.

    """
    cells = np.asarray(decoded)
    if cells.ndim not in (3, 5) or 0 in cells.shape:
        raise DataError(f"sweeps have 3 or 5 axes, none of them empty, not {cells.shape}")
    rows, columns = cells.shape[:2]
    room = 0.2 + 0.07 * max(map(len, names))  # inches for the names
    if cells.ndim == 3:
        figure = new_figure(7.0, 0.7 * rows + 1.0, title + profile_note(cells))
        ax = figure.subplots()
        draw_profiles(ax, cells, (0.0, columns, 0.0, rows))
        middles = np.arange(columns) + 0.5, rows - np.arange(rows) - 0.5
    else:
        pixels, note = as_pixels(cells)
        gap, (width, height) = gap_of(pixels[0]), cell_size(pixels[0])
        size = max(5.0, columns * width + room), rows * height + 0.9
        figure = new_figure(*size, title + note)
        ax = figure.subplots()
        show(ax, tiled(pixels, gap))
        high, wide = pixels.shape[2:4]
        middles = tuple(
            np.arange(count) * (side + gap) + (side - 1) / 2
            for count, side in ((columns, wide), (rows, high))
        )
    ax.set_xticks(middles[0], ticks)
    ax.set_yticks(middles[1], names)
    ax.tick_params(length=0)
    ax.set(xlabel=sweep, ylabel="latent dimension")
    return figure


@styled
def samples(x: ArrayLike, n: int = 64, title: str = "Samples") -> Figure:
    """Draws a near-square sheet of examples.

    Args:
        x: (N, C, H, W) images in [0, 1], or (N, F) rows, a line profile in each cell.
        n: how many of the first examples to draw at most.
        title: what is drawn.

    """
    chosen = _first(np.asarray(x), n)
    columns = math.ceil(math.sqrt(len(chosen)))
    if chosen.ndim != 4:
        cells = in_rows(chosen.reshape(len(chosen), -1).astype(float), columns, np.nan)
        figure = new_figure(max(5.0, columns), 0.7 * len(cells) + 0.6, title + profile_note(cells))
        ax = figure.subplots()
        draw_profiles(ax, cells, (0.0, columns, 0.0, len(cells)))
    else:
        pixels, note = as_pixels(chosen)
        cells = in_rows(pixels, columns, 1.0)
        width, height = cell_size(pixels)
        size = max(5.0, columns * width + 0.2), len(cells) * height + 0.45
        figure = new_figure(*size, title + note)
        ax = figure.subplots()
        show(ax, tiled(cells, gap_of(pixels)))
    ax.set_axis_off()
    return figure


@styled
def png(figure: Figure) -> bytes:
    """Renders a figure as the bytes of a PNG file; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Writes a figure as a PNG file, whole or not at all."""
    write_atomically(path, png(figure))


def _first(x: Array, n: int) -> Array:
    if x.ndim < 2 or len(x) == 0 or n < 1:
        raise DataError(f"nothing to draw: {n} of an array of shape {x.shape}; give (N, ...) rows")
    return x[:n]


def _count(n: int) -> str:
    return f"{n:,}".replace(",", "\u202f")


_NOT_TERMS = {"epoch", "step", "loss", "seconds", "lr_factor"}


def _terms(history: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lists the named terms of the loss, in the order in which they first appear."""
    named = (k for entry in history for k, v in entry.items() if isinstance(v, int | float))
    terms = dict.fromkeys(k.removeprefix("validation_") for k in named)
    return [term for term in terms if term not in _NOT_TERMS]


def _curve(ax: Axes, history: Sequence[Mapping[str, Any]], name: str) -> None:
    epochs = np.array([entry.get("epoch", i + 1) for i, entry in enumerate(history)], float)
    drawn: list[Array] = []
    for key, label, look in (
        (name, "training", FIRST),
        (f"validation_{name}", "validation", SECOND),
    ):
        values = np.array([_number(entry.get(key)) for entry in history])
        there = np.isfinite(values)  # validation may come every few epochs
        if there.any():
            marker = "o" if there.sum() <= 20 else None
            ax.plot(epochs[there], values[there], **look, marker=marker, markersize=4, label=label)
            drawn.append(values[there])
    ax.set_xlabel("epoch")
    ax.grid(True)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    if len(history) == 1:
        ax.set_xlim(epochs[0] - 0.5, epochs[0] + 0.5)
    if drawn:
        _log_if_wide(ax, np.concatenate(drawn))


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _log_if_wide(ax: Axes, values: Array) -> None:
    """Makes an axis logarithmic where the largest value is over twenty times the smallest."""
    low, high = values.min(), values.max()
    if low <= 0 or high <= 20 * low:
        return
    ax.set_yscale("log")
    subs = (1.0, 2.0, 5.0) if high < 1000 * low else (1.0,)
    ax.yaxis.set_major_locator(LogLocator(subs=subs))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_locator(NullLocator())
