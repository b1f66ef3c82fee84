"""Figures of what pages show as tables and panels: cells, bars, histograms, signals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from autoencode.console import printable
from autoencode.pictures._cells import FIRST, SECOND, new_figure, outer_edges
from autoencode.pictures._style import styled
from autoencode.pictures.cell_text import brief
from autoencode.pictures.column_errors import ColumnErrors
from autoencode.pictures.compared_rows import Cell, ComparedRows
from autoencode.pictures.histograms import Draws, Histogram
from autoencode.pictures.planes import Plane
from autoencode.pictures.signal_panels import Panel, Signals
from autoencode.pictures.sweeps import Sweeps

View = ColumnErrors | ComparedRows | Draws | Signals | Sweeps

_SHADES = ("#ffffff", "#fcebd8", "#f9d5ac", "#f3b57d")  # as on pages
_MADE = "#8a3800"  # of reconstructions; read on every shade
_MOST_BARS = 20
_MOST_LINES = 40
_MOST_SWEPT = 2  # columns of a dimension
_MOST_PANELS = 12  # of signals; pages have more of both
_NAME = 26  # letters


def figure_of(view: View) -> Figure:
    """Draws what a page shows as a table or as panels."""
    if isinstance(view, ColumnErrors):
        return bars_figure(view)
    if isinstance(view, ComparedRows):
        return cells_figure(view)
    if isinstance(view, Draws):
        return draws_figure(view)
    if isinstance(view, Sweeps):
        return sweeps_figure(view)
    return signals_figure(view)


@styled
def bars_figure(errors: ColumnErrors) -> Figure:
    """Draws a bar for the error of each of the worst columns."""
    shown = errors.columns[:_MOST_BARS]
    figure = new_figure(7.5, 0.3 * len(shown) + 1.2, errors.title)
    ax = figure.subplots()
    ax.barh(range(len(shown)), [one.bar / 100 for one in shown], color=FIRST["color"], height=0.6)
    for i, one in enumerate(shown):
        ax.text(one.bar / 100 + 0.01, i, one.words, va="center", in_layout=False, fontsize=7.5)
    ax.set_yticks(range(len(shown)), [_short(one.name) for one in shown])
    ax.invert_yaxis()
    ax.set(xlim=(0, 2.1), xlabel="error (1: a constant guess)")
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1])
    return figure


@styled
def cells_figure(rows: ComparedRows) -> Figure:
    """Draws rows and their reconstructions as cells, a line for each of the worst columns."""
    lines, n = rows.in_view, len(rows.rows)
    title = "Values (top) and reconstructions (below), ▲▼ in standard deviations of the column"
    if len(lines) < rows.n_columns:
        title += f": the {len(lines)} worst of {rows.n_columns} columns"
    figure = new_figure(2.0 + 1.25 * n, 0.42 * len(lines) + 1.0, title)
    ax = figure.subplots()
    for line, k in enumerate(lines):
        for r, cell in enumerate(rows.cells[k]):
            _draw_cell(ax, r, line, cell)
    ax.set(xlim=(0, n), ylim=(len(lines), 0))
    ax.set_xticks(np.arange(n) + 0.5, [_short(name, 14) for name in rows.rows])
    ax.set_yticks(np.arange(len(lines)) + 0.5, [_short(rows.columns[k].name) for k in lines])
    ax.tick_params(length=0, labeltop=True, labelbottom=False)
    ax.spines[:].set_visible(False)
    return figure


def _draw_cell(ax: Axes, x: int, y: int, cell: Cell) -> None:
    ax.add_patch(
        Rectangle(
            (x + 0.02, y + 0.05), 0.96, 0.9, color=_SHADES[cell.level], linewidth=0, in_layout=False
        )
    )
    made = f"{_short(cell.made, 14)} {cell.mark}".rstrip()
    small: dict[str, Any] = {"va": "center", "fontsize": 7.5, "in_layout": False}
    slope = "italic" if cell.gap else "normal"
    ax.text(x + 0.07, y + 0.3, _short(cell.value, 18), style=slope, **small)
    ax.text(x + 0.07, y + 0.7, made, color=_MADE, **small)


@styled
def rows_figure(columns: Sequence[str], values: Sequence[Sequence[str]], title: str) -> Figure:
    """Draws rows of a table in words, a line for each column.

    Args:
        columns: (D,) names.
        values: of each column the texts of the rows.
        title: what is drawn.
    """
    shown = min(len(columns), _MOST_LINES)
    if shown < len(columns):
        title += f": {shown} of {len(columns)} columns"
    n = len(values[0]) if values else 0
    figure = new_figure(2.0 + 1.1 * n, 0.26 * shown + 0.9, title)
    ax = figure.subplots()
    for y, texts in enumerate(values[:shown]):
        ax.axhline(y, color="#dddddd", linewidth=0.6)
        for x, text in enumerate(texts):
            ax.text(x + 0.05, y + 0.5, _short(text, 16), va="center", in_layout=False, fontsize=7.5)
    ax.set(xlim=(0, n), ylim=(shown, 0))
    ax.set_xticks(np.arange(n) + 0.5, [str(i + 1) for i in range(n)])
    ax.set_yticks(np.arange(shown) + 0.5, [_short(name) for name in columns[:shown]])
    ax.tick_params(length=0, labeltop=True, labelbottom=False)
    ax.spines[:].set_visible(False)
    return figure


@styled
def draws_figure(draws: Draws) -> Figure:
    """Draws histograms of real and of drawn values, a panel for each column that fits worst."""
    figure, axes = _panels(len(draws.in_view), "Real (filled) and drawn (line) values of the columns")
    for ax, one in zip(axes, draws.in_view, strict=False):
        _draw_histogram(ax, one)
    return figure


def _draw_histogram(ax: Axes, one: Histogram) -> None:
    places = np.arange(len(one.real))
    ax.bar(places, one.real, width=0.9, color=FIRST["color"], alpha=0.55)
    ax.hlines(one.drawn, places - 0.45, places + 0.45, color=SECOND["color"], linewidth=1.8)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    labels = [_short(label, 12) for label in one.labels]
    crowded = one.each and sum(map(len, labels)) > 24
    look = {"rotation": 30, "ha": "right", "fontsize": 7} if crowded else {"fontsize": 7.5}
    ax.set_xticks(places if one.each else [0, len(places) - 1], labels, **look)
    ax.set_title(f"{_short(one.name)}: {one.overlap:.0%} in common", fontsize=8)


@styled
def signals_figure(signals: Signals) -> Figure:
    """Draws signals as lines over time, a row of panels for each and a panel for each channel."""
    rows = list(zip(signals.names, signals.panels, strict=True))
    if signals.panels:
        rows = rows[: max(1, _MOST_PANELS // len(signals.panels[0]))]
    panels = [(name, one) for name, row in rows for one in row]
    wide = len(signals.panels[0]) if signals.panels else 1
    columns = 2 if wide == 1 else wide if wide <= 4 else 3  # a row of panels for each signal
    title = signals.title
    if len(signals.lines) > 1:
        title += f": {signals.lines[0]} (solid) and {signals.lines[1]} (dashed)"
    figure, axes = _panels(len(panels), title, columns)
    for ax, (name, one) in zip(axes, panels, strict=False):
        _draw_panel(ax, one)
        whole = name if signals.n_channels == 1 else f"{name}, {one.name}"
        ax.set_title(_short(whole, 34), fontsize=8.5)
    return figure


@styled
def sweeps_figure(sweeps: Sweeps) -> Figure:
    """Draws the values of the columns that each swept dimension moves most, a line for each column."""
    lines = [
        (name if i == 0 else "", column)
        for name, columns in zip(sweeps.names, sweeps.columns, strict=True)
        for i, column in enumerate(columns[:_MOST_SWEPT] or (None,))
    ]
    n = len(sweeps.ticks)
    figure = new_figure(3.2 + 1.0 * n, 0.26 * len(lines) + 1.1, sweeps.title)
    ax = figure.subplots()
    for y, (name, column) in enumerate(lines):
        if name and y:
            ax.axhline(y, color="#cccccc", linewidth=0.8)
        if column is None:
            ax.text(
                0.07,
                y + 0.5,
                "moves no column by much",
                va="center",
                in_layout=False,
                fontsize=7.5,
                style="italic",
            )
            continue
        for x, (value, level) in enumerate(zip(column.values, column.levels, strict=True)):
            ax.add_patch(
                Rectangle(
                    (x + 0.02, y + 0.05), 0.96, 0.9, color=_SHADES[level], linewidth=0, in_layout=False
                )
            )
            ax.text(x + 0.07, y + 0.5, _short(value, 14), va="center", in_layout=False, fontsize=7.5)
    names = [f"{name}   {_short(column.name) if column else ''}" for name, column in lines]
    ax.set_yticks(np.arange(len(lines)) + 0.5, names)
    ax.set_xticks(np.arange(n) + 0.5, sweeps.ticks)
    ax.set(xlim=(0, n), ylim=(len(lines), 0), xlabel=sweeps.across)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return figure


@styled
def planes_figure(maps: Sequence[Plane], extent: tuple[float, float, float, float]) -> Figure:
    """Draws what the columns of a table are over a plane of codes, a map for each column.

    Args:
        maps: of the columns.
        extent: (x0, x1, y0, y1), the codes at the centres of the outermost cells.
    """
    title = "Decoded grid of latents: the columns that vary most"
    figure, axes = _panels(len(maps), title, height=2.5)
    for ax, one in zip(axes, maps, strict=True):
        edges = outer_edges(extent, *one.values.shape)
        top = len(one.labels) - 1 if one.named else 1
        shades = matplotlib.colormaps["viridis"].resampled(top + 1) if one.named else "viridis"
        low, high = (-0.5, top + 0.5) if one.named else (0, 1)
        shown = ax.imshow(one.values, cmap=shades, extent=edges, vmin=low, vmax=high, aspect="auto")
        bar = figure.colorbar(shown, ax=ax, location="bottom", shrink=0.9)
        ends = range(top + 1) if one.named else (0, 1)
        bar.set_ticks(list(ends)[: len(one.labels)], labels=[_short(label, 12) for label in one.labels])
        bar.ax.tick_params(length=0, labelsize=6.5, rotation=0 if len(one.labels) <= 3 else 30)
        ax.set_title(_short(one.name), fontsize=8.5)
        ax.set(xlabel="z0", ylabel="z1")
    return figure


def _draw_panel(ax: Axes, one: Panel) -> None:
    looks: tuple[dict[str, Any], ...] = (FIRST, SECOND)
    for (steps, values), look in zip(one.lines, looks, strict=False):
        ax.plot(steps, values, **look, linewidth=1.1)
    room = 0.05 * (one.high - one.low)
    ax.set(xlim=(0, max(1, one.n_steps - 1)), ylim=(one.low - room, one.high + room))
    ax.tick_params(labelsize=7.5)


def _panels(n: int, title: str, columns: int = 3, height: float = 1.5) -> tuple[Figure, list[Any]]:
    """Makes a figure of n panels, row by row."""
    columns = max(1, min(columns, n))
    rows = math.ceil(max(n, 1) / columns)
    wide = {1: 6.4, 2: 3.8}.get(columns, 2.8)
    figure = new_figure(wide * columns, height * rows + 0.6, title)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for ax in axes[n:]:
        ax.set_axis_off()
    return figure, axes[:n]


def _short(text: str, most: int = _NAME) -> str:
    return brief(printable(text), most)
