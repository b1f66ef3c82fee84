"""The pictures of a report: reconstructions, loss curves, latent space, decoded grids, samples.

Arrays in, one matplotlib ``Figure`` out. Nothing here touches pyplot, and every call leaves
matplotlib's settings as they were, so a server or a notebook may call from any thread.
Letters: ``N`` examples, ``C`` channels, ``H`` height, ``W`` width, ``F`` features of a flat row,
``R`` rows and ``K`` columns of cells.
"""

from __future__ import annotations

import contextlib
import functools
import io
import math
import os
import textwrap
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

from autoencode.errors import DataError, StorageError

Array = NDArray[Any]
Extent = tuple[float, float, float, float]

DPI = 120
MAX_POINTS = 10_000
MAX_CATEGORIES = 20
COLUMNS = 10  # pairs of pictures next to each other

# Blue and vermillion of Okabe and Ito; line styles differ too, for print and for every eye.
_FIRST = {"color": "#0072b2", "linestyle": "-"}
_SECOND = {"color": "#d55e00", "linestyle": (0, (4, 1.5))}
_INK, _GREY, _FAINT = "#333333", "#888888", "#dddddd"
# Paul Tol's "muted" scheme, which colour-blind readers can tell apart; beyond ten it is tab20.
_TEN = (
    *("#332288", "#88ccee", "#117733", "#ddcc77", "#cc6677"),
    *("#aa4499", "#44aa99", "#999933", "#882255", "#888888"),
)
_STYLE: dict[str, Any] = {
    **dict.fromkeys(("figure.dpi", "savefig.dpi"), DPI),
    **dict.fromkeys(("font.size", "axes.labelsize", "figure.labelsize"), 9.0),
    **dict.fromkeys(("xtick.labelsize", "ytick.labelsize", "legend.fontsize"), 8.5),
    **dict.fromkeys(("text.color", "axes.labelcolor"), _INK),
    **dict.fromkeys(("xtick.labelcolor", "ytick.labelcolor"), _INK),
    **dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color"), _GREY),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right", "legend.frameon"), False),
    "figure.titlesize": 11.0,
    "figure.titleweight": "bold",
    "figure.constrained_layout.w_pad": 0.08,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "grid.color": "#ececec",
}
# On top of matplotlib's defaults, so that nobody's matplotlibrc changes a report. Ticks are made
# while drawing, which is why saving wears the style too.
_LOCK = threading.Lock()  # the style is set for the whole process while a figure is drawn
P = ParamSpec("P")
T = TypeVar("T")


def _styled(draw: Callable[P, T]) -> Callable[P, T]:
    @functools.wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> T:
        with _LOCK, matplotlib.style.context(["default", _STYLE]):
            return draw(*args, **kwargs)

    return styled


@_styled
def reconstructions(
    x: ArrayLike, reconstructed: ArrayLike, labels: ArrayLike | None = None, n: int = 10
) -> Figure:
    """Originals and what the model made of them.

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
    names = None if labels is None else [_name(v, 12) for v in np.asarray(labels)[:n]]
    draw = _reconstructed_images if before.ndim == 4 else _reconstructed_rows
    return draw(before, after, names)


@_styled
def loss(history: Sequence[Mapping[str, Any]], *, unit: str = "nats per example") -> Figure:
    """Training and validation loss against epochs; a panel for each term if there are two.

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
    figure = _figure(*size, "Loss" if columns == 1 else "Loss and its terms")
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax, name in zip(axes.flat, panels, strict=False):
        _curve(ax, history, name)
        ax.set_ylabel(unit)
        if columns > 1:
            ax.set_title(name)
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    fullest = max(axes.flat, key=lambda ax: len(ax.lines))
    if fullest.lines:
        fullest.legend(loc="upper right")
    return figure


@_styled
def latent(
    z: ArrayLike,
    labels: ArrayLike | None = None,
    explained: Sequence[float] | None = None,
    *,
    title: str = "Latent space",
) -> Figure:
    """Where the examples lie in latent space, coloured by label.

    One dimension is a histogram (or a strip for each label), two are drawn as they are and more
    through their first two principal components.

    Args:
        z: (N, Z) latents; (N, ...) is flattened. At most 10 000 are drawn, by a fixed seed.
        labels: (N,) categories (20 at most get a legend) or numbers (a colour bar).
        explained: shares of variance, if the columns of ``z`` are principal components already.
        title: what is drawn.

    """
    points, tags = _finite(np.asarray(z), None if labels is None else np.asarray(labels))
    total = len(points)
    order = np.random.default_rng(0).permutation(total)[:MAX_POINTS]  # no class lies on top
    points, tags = points[order], None if tags is None else tags[order]
    if total > MAX_POINTS:
        title += f": {_count(MAX_POINTS)} of {_count(total)} points"
    points, names = _plane(points, explained)
    figure = _figure(7.0, 5.2, title)
    ax = figure.subplots()
    ax.set_xlabel(names[0])
    if len(names) > 1:
        ax.set_ylabel(names[1])
        _scatter(ax, points, tags)
    elif tags is None:
        ax.hist(points[:, 0], bins=int(np.clip(math.sqrt(total), 10, 60)), color=_FIRST["color"])
        ax.set_ylabel("examples")
    else:
        _strip(ax, points[:, 0], tags)
    return figure


@_styled
def grid(
    decoded: ArrayLike,
    extent: Extent,
    *,
    title: str = "Decoded grid of latents",
    names: tuple[str, str] = ("z0", "z1"),
) -> Figure:
    """What the decoder makes of a regular grid in two latent directions.

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
    edges = _edges(extent, rows, columns)
    title = f"{title}, {rows} × {columns}"
    if cells.ndim == 3:
        figure = _figure(7.0, 5.6, title + _profile_note(cells))
        ax = figure.subplots()
        _profiles(ax, cells, edges)
    else:
        pixels, note = _pixels(cells)
        sheet = _sheet(pixels, gap=0)
        tall = sheet.shape[0] / sheet.shape[1]
        figure = _figure(6.4, float(np.clip(5.7 * tall, 1.5, 10.0)) + 0.8, title + note)
        ax = figure.subplots()
        _show(ax, sheet, edges)
        width, height = edges[1] - edges[0], edges[3] - edges[2]
        ax.set_aspect(tall * width / height)  # square pixels, whatever the ranges
    ax.set(xlabel=names[0], ylabel=names[1])
    return figure


@_styled
def samples(x: ArrayLike, n: int = 64, title: str = "Samples") -> Figure:
    """A near-square sheet of examples.

    Args:
        x: (N, C, H, W) images in [0, 1], or (N, F) rows, a line profile in each cell.
        n: how many of the first examples to draw at most.
        title: what is drawn.

    """
    chosen = _first(np.asarray(x), n)
    columns = math.ceil(math.sqrt(len(chosen)))
    if chosen.ndim != 4:
        cells = _fill(chosen.reshape(len(chosen), -1).astype(float), columns, np.nan)
        figure = _figure(max(5.0, columns), 0.7 * len(cells) + 0.6, title + _profile_note(cells))
        ax = figure.subplots()
        _profiles(ax, cells, (0.0, columns, 0.0, len(cells)))
    else:
        pixels, note = _pixels(chosen)
        cells = _fill(pixels, columns, 1.0)
        width, height = _cell(pixels)
        size = max(5.0, columns * width + 0.2), len(cells) * height + 0.45
        figure = _figure(*size, title + note)
        ax = figure.subplots()
        _show(ax, _sheet(cells, _gap(pixels)))
    ax.set_axis_off()
    return figure


@_styled
def png(figure: Figure) -> bytes:
    """The figure as the bytes of a PNG file; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write the figure as a PNG file, whole or not at all."""
    write_atomically(path, png(figure))


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file through a temporary one beside it, so that no reader ever sees half of it."""
    target = Path(path)
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        part.write_bytes(content)
        part.replace(target)
    except OSError as error:
        reason = error.strerror or error
        raise StorageError(f"cannot write {target}: {reason}; choose another place") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _figure(width: float, height: float, title: str) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    text = textwrap.fill(title, max(20, int(width * 10)))  # about as many letters fit on a line
    figure.suptitle(text, x=0.012, ha="left")
    return figure


def _first(x: Array, n: int) -> Array:
    if x.ndim < 2 or len(x) == 0 or n < 1:
        raise DataError(f"nothing to draw: {n} of an array of shape {x.shape}; give (N, ...) rows")
    return x[:n]


def _count(n: int) -> str:
    return f"{n:,}".replace(",", "\u202f")


def _name(value: Any, width: int = 24) -> str:
    text = f"{value:g}" if isinstance(value, float | np.floating) else str(value)
    return text if len(text) <= width else text[: width - 1] + "…"


def _pixels(x: Array) -> tuple[Array, str]:
    """(..., C, H, W) as grey (..., H, W) or colour (..., H, W, 3) in [0, 1], and a note."""
    x = np.clip(np.nan_to_num(x.astype(np.float32)), 0, 1)
    channels = x.shape[-3]
    if channels == 3:
        return np.moveaxis(x, -3, -1), ""
    note = "" if channels == 1 else f" (mean over {channels} channels)"
    return x.mean(-3), note


def _sheet(pixels: Array, gap: int) -> Array:
    """(R, K, H, W) or (R, K, H, W, 3) as one picture, with white gaps between the cells."""
    rows, columns, height, width = pixels.shape[:4]
    colour = [(0, 0)] * (pixels.ndim - 4)
    padded = np.pad(pixels, [(0, 0)] * 2 + [(0, gap)] * 2 + colour, constant_values=1.0)
    tall, wide = rows * (height + gap), columns * (width + gap)
    sheet = padded.swapaxes(1, 2).reshape(tall, wide, *pixels.shape[4:])
    return sheet[: tall - gap, : wide - gap]


def _fill(x: Array, columns: int, value: float) -> Array:
    """(N, ...) as (rows, columns, ...), the last row filled up with ``value``."""
    missing = [(0, -len(x) % columns)] + [(0, 0)] * (x.ndim - 1)
    full = np.pad(x, missing, constant_values=value)
    return full.reshape(-1, columns, *x.shape[1:])


def _gap(pixels: Array) -> int:
    return max(1, round(0.06 * int(pixels.shape[2])))


def _cell(pixels: Array) -> tuple[float, float]:
    """Width and height in inches at which one of (N, H, W, ...) is drawn."""
    high, wide = pixels.shape[1:3]
    scale = (0.75 if max(high, wide) <= 64 else 1.25) / max(high, wide)
    return scale * wide, scale * high


def _show(ax: Axes, sheet: Array, extent: Extent | None = None) -> None:
    ax.imshow(sheet, cmap="gray", vmin=0, vmax=1, extent=extent)
    ax.spines[:].set_visible(False)


def _reconstructed_images(before: Array, after: Array, names: list[str] | None) -> Figure:
    (top, note), (bottom, _) = _pixels(before), _pixels(after)
    columns = min(COLUMNS, len(top))
    pairs = np.stack([_fill(top, columns, 1.0), _fill(bottom, columns, 1.0)], axis=1)
    width, height = _cell(top)
    room = 0.1 if names is None else 0.3  # inches for the labels
    size = max(5.0, columns * width + 1.2), len(pairs) * (2 * height + room) + 0.35
    figure = _figure(*size, f"Originals (top) and reconstructions (bottom){note}")
    gap = _gap(top)
    high, wide = top.shape[1] + gap, top.shape[2] + gap
    for i, ax in enumerate(figure.subplots(len(pairs), 1, squeeze=False)[:, 0]):
        _show(ax, _sheet(pairs[i], gap))
        middle = (high - gap - 1) / 2
        ax.set_yticks([middle, high + middle], ["original", "reconstruction"])
        here = [] if names is None else names[i * columns : (i + 1) * columns]
        ax.set_xticks([k * wide + (wide - gap - 1) / 2 for k in range(len(here))], here)
        ax.tick_params(length=0, labeltop=True, labelbottom=False)
    return figure


def _reconstructed_rows(before: Array, after: Array, names: list[str] | None) -> Figure:
    before, after = before.reshape(len(before), -1), after.reshape(len(after), -1)
    columns = min(5, len(before))
    rows = math.ceil(len(before) / columns)
    size = max(5.0, 1.7 * columns + 1.2), 1.5 * rows + 0.7
    figure = _figure(*size, "Originals (solid) and reconstructions (dashed)")
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    marker = "o" if before.shape[1] <= 20 else None
    for i, ax in enumerate(axes.flat):
        if i >= len(before):
            ax.set_axis_off()
            continue
        ax.plot(before[i], **_FIRST, marker=marker, markersize=3, label="original")
        ax.plot(after[i], **_SECOND, marker=marker, markersize=3, label="reconstruction")
        ax.set_title("" if names is None else names[i])
        ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    figure.supxlabel("feature")
    figure.supylabel("value")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right upper")
    return figure


def _range(cells: Array) -> tuple[float, float]:
    finite = cells[np.isfinite(cells)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)


def _profile_note(cells: Array) -> str:
    low, high = _range(cells)
    return f" (each cell: {cells.shape[2]} features, {low:.3g} to {high:.3g})"


def _profiles(ax: Axes, cells: Array, edges: Extent) -> None:
    """Draw each row of (R, K, F) as a line inside its own cell; all share one scale."""
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
    ax.add_collection(LineCollection(list(lines), color=_FIRST["color"], linewidth=1.1))
    ax.set(xlim=(x0, x1), ylim=(y0, y1))
    ax.spines[:].set_visible(False)


def _edges(extent: Extent, rows: int, columns: int) -> Extent:
    """From the centres of the outermost cells to the outer edges of the grid."""
    x0, x1, y0, y1 = extent
    half_x = (x1 - x0) / (2 * (columns - 1)) if columns > 1 and x1 > x0 else 0.5
    half_y = (y1 - y0) / (2 * (rows - 1)) if rows > 1 and y1 > y0 else 0.5
    return x0 - half_x, x1 + half_x, y0 - half_y, y1 + half_y


_NOT_TERMS = {"epoch", "step", "loss", "seconds", "lr", "grad_norm", "examples_per_second"}


def _terms(history: Sequence[Mapping[str, Any]]) -> list[str]:
    """The named terms of the loss, in the order in which they first appear."""
    named = (k for entry in history for k, v in entry.items() if isinstance(v, int | float))
    terms = dict.fromkeys(k.removeprefix("validation_") for k in named)
    return [term for term in terms if term not in _NOT_TERMS]


def _curve(ax: Axes, history: Sequence[Mapping[str, Any]], name: str) -> None:
    epochs = np.array([entry.get("epoch", i + 1) for i, entry in enumerate(history)], float)
    drawn: list[Array] = []
    for key, label, look in (
        (name, "training", _FIRST),
        (f"validation_{name}", "validation", _SECOND),
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
    """A logarithmic axis where the largest value is more than twenty times the smallest."""
    low, high = values.min(), values.max()
    if low <= 0 or high <= 20 * low:
        return
    ax.set_yscale("log")
    subs = (1.0, 2.0, 5.0) if high < 1000 * low else (1.0,)
    ax.yaxis.set_major_locator(LogLocator(subs=subs))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_locator(NullLocator())


class _Groups(NamedTuple):
    """Labels as categories: the number of each example's one; the names and colours of all."""

    codes: Array
    names: list[str]
    colours: list[Any]


def _finite(z: Array, labels: Array | None) -> tuple[Array, Array | None]:
    if z.size == 0 or (labels is not None and len(labels) != len(z)):
        size = "no" if labels is None else len(labels)
        raise DataError(f"cannot draw latents of shape {z.shape} with {size} labels; give (N, Z)")
    rows = z.reshape(len(z), -1).astype(float)
    keep = np.isfinite(rows).all(axis=1)
    if not keep.any():
        raise DataError("no latent is finite; the model has diverged")
    return rows[keep], None if labels is None else labels[keep]


def _plane(z: Array, explained: Sequence[float] | None) -> tuple[Array, list[str]]:
    """(N, Z) latents in at most two dimensions, and the names of the axes."""
    dims = z.shape[1]
    if explained is None and dims <= 2:
        return z, [f"z{i}" for i in range(dims)]
    shares = explained
    if shares is None:
        z, shares = _principal(z)
    names = [f"PC {i + 1} of z ({100 * s:.0f} % of variance)" for i, s in enumerate(shares[:2])]
    return z[:, : len(names)], names


def _principal(z: Array) -> tuple[Array, Sequence[float]]:
    """The first two principal components (N, 2) and the shares of variance that they explain."""
    rows = min(len(z), max(500, 4_000_000 // z.shape[1]))  # keeps very wide latents affordable
    centred = z - z[:rows].mean(axis=0)
    _, spread, axes = np.linalg.svd(centred[:rows], full_matrices=False)
    share = spread**2 / (np.sum(spread**2) or 1.0)
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    if len(axes) < 2:  # a single example has no second direction
        return np.pad(centred @ axes.T, [(0, 0), (0, 1)]), [float(share[0]), 0.0]
    return centred @ axes[:2].T, [float(s) for s in share[:2]]


def _groups(labels: Array) -> _Groups | None:
    """Categories if there are few enough or they are words; ``None`` for numbers on a scale."""
    labels = labels.astype(str) if labels.dtype == object else labels
    known, codes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    if len(known) > MAX_CATEGORIES:
        if np.issubdtype(labels.dtype, np.number):
            return None
        common = known[np.argsort(-sizes, kind="stable")[: MAX_CATEGORIES - 1]]
        return _groups(np.where(np.isin(labels, common), labels, "other"))
    palette = _TEN if len(known) <= len(_TEN) else matplotlib.color_sequences["tab20"]
    return _Groups(codes, [_name(v) for v in known], list(palette[: len(known)]))


def _scatter(ax: Axes, points: Array, labels: Array | None) -> None:
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
        ax.scatter(x, y, color=_FIRST["color"], **look)


def _legend(ax: Axes, groups: _Groups) -> None:
    dots = [
        Line2D([], [], marker="o", linestyle="", markersize=6, color=colour, label=name)
        for colour, name in zip(groups.colours, groups.names, strict=True)
    ]
    ax.legend(handles=dots, title="label", loc="center left", bbox_to_anchor=(1.01, 0.5))


def _strip(ax: Axes, z: Array, labels: Array) -> None:
    """One latent dimension against the label: jittered dots per category, or plain numbers."""
    groups = _groups(labels)
    ax.set_ylabel("label")
    if groups is None:
        _scatter(ax, np.stack([z, labels.astype(float)], axis=1), None)
        return
    jitter = np.random.default_rng(0).uniform(-0.3, 0.3, len(z))
    _scatter(ax, np.stack([z, groups.codes + jitter], axis=1), labels)
    ax.set_yticks([])  # the legend names the rows, in the same order
    ax.invert_yaxis()
