"""Drawing of examples in cells, as pictures or as line profiles, and what all plots share.

Private to ``plots``, whose docstring explains the letters of the shapes.
"""

from __future__ import annotations

import math
import textwrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from autoencode.console import printable

Array = NDArray[Any]
Extent = tuple[float, float, float, float]

COLUMNS = 10  # pairs of pictures next to each other

# Blue and vermillion of Okabe and Ito; line styles differ too, for print and for every eye.
FIRST = {"color": "#0072b2", "linestyle": "-"}
SECOND = {"color": "#d55e00", "linestyle": (0, (4, 1.5))}
_FAINT = "#dddddd"


def new_figure(width: float, height: float, title: str) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    text = textwrap.fill(
        printable(title), max(20, int(width * 10))
    )  # about as many letters fit on a line
    figure.suptitle(text, x=0.012, ha="left")
    return figure


def short_name(value: Any, width: int = 24) -> str:
    text = f"{value:g}" if isinstance(value, float | np.floating) else printable(str(value))
    return text if len(text) <= width else text[: width - 1] + "…"


def as_pixels(x: Array) -> tuple[Array, str]:
    """Turns (..., C, H, W) into grey (..., H, W) or colour (..., H, W, 3) in [0, 1], and a note."""
    x = np.clip(np.nan_to_num(x.astype(np.float32)), 0, 1)
    channels = x.shape[-3]
    if channels == 3:
        return np.moveaxis(x, -3, -1), ""
    note = "" if channels == 1 else f" (mean over {channels} channels)"
    return x.mean(-3), note


def tiled(pixels: Array, gap: int) -> Array:
    """Tiles (R, K, H, W) or (R, K, H, W, 3) to one picture, with white gaps between the cells."""
    rows, columns, height, width = pixels.shape[:4]
    colour = [(0, 0)] * (pixels.ndim - 4)
    padded = np.pad(pixels, [(0, 0)] * 2 + [(0, gap)] * 2 + colour, constant_values=1.0)
    tall, wide = rows * (height + gap), columns * (width + gap)
    sheet = padded.swapaxes(1, 2).reshape(tall, wide, *pixels.shape[4:])
    return sheet[: tall - gap, : wide - gap]


def in_rows(x: Array, columns: int, value: float) -> Array:
    """Arranges (N, ...) as (rows, columns, ...), the last row filled up with ``value``."""
    missing = [(0, -len(x) % columns)] + [(0, 0)] * (x.ndim - 1)
    full = np.pad(x, missing, constant_values=value)
    return full.reshape(-1, columns, *x.shape[1:])


def gap_of(pixels: Array) -> int:
    return max(1, round(0.06 * int(pixels.shape[2])))


def cell_size(pixels: Array) -> tuple[float, float]:
    """Computes width and height in inches at which one of (N, H, W, ...) is drawn."""
    high, wide = pixels.shape[1:3]
    scale = (0.75 if max(high, wide) <= 64 else 1.25) / max(high, wide)
    return scale * wide, scale * high


def show(ax: Axes, sheet: Array, extent: Extent | None = None) -> None:
    ax.imshow(sheet, cmap="gray", vmin=0, vmax=1, extent=extent)
    ax.spines[:].set_visible(False)


def reconstructed_images(before: Array, after: Array, names: list[str] | None) -> Figure:
    (top, note), (bottom, _) = as_pixels(before), as_pixels(after)
    columns = min(COLUMNS, len(top))
    pairs = np.stack([in_rows(top, columns, 1.0), in_rows(bottom, columns, 1.0)], axis=1)
    width, height = cell_size(top)
    room = 0.1 if names is None else 0.3  # inches for the labels
    size = max(5.0, columns * width + 1.2), len(pairs) * (2 * height + room) + 0.35
    figure = new_figure(*size, f"Originals (top) and reconstructions (bottom){note}")
    gap = gap_of(top)
    high, wide = top.shape[1] + gap, top.shape[2] + gap
    for i, ax in enumerate(figure.subplots(len(pairs), 1, squeeze=False)[:, 0]):
        show(ax, tiled(pairs[i], gap))
        middle = (high - gap - 1) / 2
        ax.set_yticks([middle, high + middle], ["original", "reconstruction"])
        here = [] if names is None else names[i * columns : (i + 1) * columns]
        ax.set_xticks([k * wide + (wide - gap - 1) / 2 for k in range(len(here))], here)
        ax.tick_params(length=0, labeltop=True, labelbottom=False)
    return figure


def reconstructed_rows(before: Array, after: Array, names: list[str] | None) -> Figure:
    before, after = before.reshape(len(before), -1), after.reshape(len(after), -1)
    columns = min(5, len(before))
    rows = math.ceil(len(before) / columns)
    size = max(5.0, 1.7 * columns + 1.2), 1.5 * rows + 0.7
    figure = new_figure(*size, "Originals (solid) and reconstructions (dashed)")
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    marker = "o" if before.shape[1] <= 20 else None
    for i, ax in enumerate(axes.flat):
        if i >= len(before):
            ax.set_axis_off()
            continue
        ax.plot(before[i], **FIRST, marker=marker, markersize=3, label="original")
        ax.plot(after[i], **SECOND, marker=marker, markersize=3, label="reconstruction")
        ax.set_title("" if names is None else names[i])
        ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    figure.supxlabel("feature")
    figure.supylabel("value")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right upper")
    return figure


def _range(cells: Array) -> tuple[float, float]:
    finite = cells[np.isfinite(cells)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)


def profile_note(cells: Array) -> str:
    low, high = _range(cells)
    return f" (each cell: {cells.shape[2]} features, {low:.3g} to {high:.3g})"


def draw_profiles(ax: Axes, cells: Array, edges: Extent) -> None:
    """Draws each row of (R, K, F) as a line inside its own cell; all share one scale."""
    cells = np.repeat(cells, 2, axis=2) if cells.shape[2] == 1 else cells  # one value: a dash
    rows, columns, features = cells.shape
    x0, x1, y0, y1 = edges
    low, high = _range(cells)
    width, height = (x1 - x0) / columns, (y1 - y0) / rows
    across = 0.1 + 0.8 * np.linspace(0, 1, features)
    up = 0.1 + 0.8 * (cells - low) / ((high - low) or 1.0)
    x = x0 + width * (np.arange(columns)[None, :, None] + across)
    y = y1 - height * (np.arange(rows)[:, None, None] + 1 - up)
    lines = np.stack(np.broadcast_arrays(x, y), axis=-1).reshape(-1, features, 2)
    ax.vlines(x0 + width * np.arange(columns + 1), y0, y1, color=_FAINT, linewidth=0.6)
    ax.hlines(y0 + height * np.arange(rows + 1), x0, x1, color=_FAINT, linewidth=0.6)
    ax.add_collection(LineCollection(list(lines), color=FIRST["color"], linewidth=1.1))
    ax.set(xlim=(x0, x1), ylim=(y0, y1))
    ax.spines[:].set_visible(False)


def outer_edges(extent: Extent, rows: int, columns: int) -> Extent:
    """Moves from the centres of the outermost cells to the outer edges of the grid."""
    x0, x1, y0, y1 = extent
    half_x = (x1 - x0) / (2 * (columns - 1)) if columns > 1 and x1 > x0 else 0.5
    half_y = (y1 - y0) / (2 * (rows - 1)) if rows > 1 and y1 > y0 else 0.5
    return x0 - half_x, x1 + half_x, y0 - half_y, y1 + half_y
