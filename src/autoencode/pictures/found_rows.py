"""Rows that were found anomalous, and why: what a page shows of them. Nothing here draws but pixels."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.image import imsave

from autoencode.anomaly import Explanation, Judgement, expected_rows
from autoencode.pictures.cell_text import (
    GAP,
    Value,
    decimals_for,
    entry_columns,
    in_words,
    number_in_words,
    one_column,
)
from autoencode.pictures.column_errors import ColumnError, channel_names
from autoencode.pictures.compared_rows import difference
from autoencode.pictures.signal_panels import Panel, panel
from autoencode.types import Array, DataSpec

_REASONS, _LEAST = 5, 0.01  # of a row, and the share of its score that counts
_COMPARED = 20_000  # rows of all, that those that were found are compared with
_MOST_CELLS = 100  # of a row that is shown whole
_MOST_CHANNELS = 3
_MOST_PIXELS = 256  # along an axis; of larger pictures every other one, or fewer
_RARE = 0.02  # of all rows; a category that so few have is marked
LEVELS = (1.0, 2.0, 4.0)  # spreads from which a value is marked, and shaded darker and darker


@dataclass(frozen=True)
class Reason:
    """What one entry, or channel, adds to the score of a row.

    Attributes:
        name: of the entry.
        value, expected: in words; what the model expected in its place.
        gap: whether the value is not known.
        mark, level: how far it is from that, or from the middle of all rows where that is farther, see
            ``compared_rows.Cell``; rare for a category of few rows, new for one that training lacked.
        usual: what the other rows have there, in words.
        bar: its share of the score in per cent.
    """

    name: str
    value: str
    expected: str
    gap: bool
    mark: str
    level: int
    usual: str
    bar: int


@dataclass(frozen=True)
class Entry:
    """One value of a row that is shown whole."""

    name: str
    value: str
    gap: bool = False
    mark: str = ""
    level: int = 0


@dataclass(frozen=True)
class FoundRow:
    """A row with its score and what makes it up.

    Attributes:
        name: of the row.
        score: higher is more anomalous.
        pvalue: ``None`` where no row was held out.
        flagged: whether it is called anomalous.
        entry: what its entries are called, column or channel.
        reasons: those that add most, first.
        cells: of a table the whole row, as far as it is not too long.
        n_cells: how many entries it has in all.
        panels: of a signal the channels that add most, original and expected.
        pictures: of an image it, its reconstruction and what each pixel adds, each with ``data``
            (PNG in base64), ``alt`` and ``caption``.
    """

    name: str
    score: float
    pvalue: float | None
    flagged: bool
    entry: str = "column"
    reasons: tuple[Reason, ...] = ()
    cells: tuple[Entry, ...] = ()
    n_cells: int = 0
    panels: tuple[Panel, ...] = ()
    pictures: tuple[Mapping[str, str], ...] = ()


def found_rows(
    spec: DataSpec,
    judgement: Judgement,
    explanation: Explanation,
    rows: Array,
    names: Sequence[str],
    given: Sequence[Mapping[str, Any]] | None = None,
) -> tuple[FoundRow, ...]:
    """Says of rows what makes them anomalous, in the data's own terms.

    Args:
        spec: of the rows.
        judgement: of all rows.
        explanation: of the rows that are told, in their order.
        rows: (M,) their numbers.
        names: (M,) what they are called.
        given: (M,) of a table the rows as the file has them, all of its columns.
    """
    x = np.asarray(judgement.x[rows], np.float64)
    expected = expected_rows(spec, judgement.reconstructed(rows)).reshape(x.shape)
    pairs = zip(explanation.shares, explanation.scores, strict=True)
    of_score = [shares / (score or 1.0) for shares, score in pairs]
    if spec.layout == "row":
        some = np.linspace(0, len(judgement) - 1, min(_COMPARED, len(judgement))).astype(int)
        table = _Table(spec, np.asarray(judgement.x[some], np.float64), x, expected)
    found = []
    for r, (row, shares) in enumerate(zip(rows.tolist(), of_score, strict=True)):
        more: dict[str, Any]
        if spec.layout == "row":
            more = table.row(r, shares, {} if given is None else given[r])
        elif spec.layout == "sequence":
            more = _signal(spec, x[r], expected[r], shares)
        else:
            more = {"pictures": _pictures(spec, x[r], expected[r], shares, names[r])}
        pvalue = None if judgement.pvalues is None else float(judgement.pvalues[row])
        found.append(
            FoundRow(names[r], float(judgement.scores[row]), pvalue, bool(judgement.flags[row]), **more)
        )
    return tuple(found)


class _Table:
    """Rows (M, D) of a table that were found, and all rows (N, D), or some, to compare them with."""

    def __init__(self, spec: DataSpec, every: Array, x: Array, expected: Array) -> None:
        self.spec, self.every, self.x, self.expected = spec, every, x, expected
        self.columns = [
            ColumnError(column.name, column.kind, i, len(every), None, spread=_spread(every[:, i]))
            for i, column in enumerate(entry_columns(spec))
        ]
        known = [column[np.isfinite(column)] for column in every.T]
        self.middles = [float(np.median(values)) if values.size else 0.0 for values in known]
        self.own = in_words(spec, x, every)
        self.told = in_words(spec, expected, every, made=True)

    def row(self, r: int, shares: Array, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Tells of the r-th row that was found."""
        entries = []
        for i, column in enumerate(self.columns):
            value, expected = float(self.x[r, i]), float(self.expected[r, i])
            mark, level = self._difference(column, value, expected)
            words, gap = self.own[i][r], bool(np.isnan(value))
            if gap and raw.get(column.name) is not None:  # of a value that training lacked
                words, gap, mark, level = str(raw[column.name]), False, "new", 3
            entries.append(Entry(column.name, words, gap, mark, level))
        order = [
            i for i in np.argsort(-shares, kind="stable")[:_REASONS].tolist() if shares[i] >= _LEAST
        ]
        reasons = tuple(
            Reason(
                *(entries[i].name, entries[i].value, self.told[i][r], entries[i].gap),
                *(
                    entries[i].mark,
                    entries[i].level,
                    self._usual(i, self.x[r, i]),
                    round(100 * shares[i]),
                ),
            )
            for i in order
        )
        cells = {entry.name: entry for entry in entries}
        whole = [cells.get(name) or Entry(name, *_given(value)) for name, value in raw.items()]
        whole = whole or entries
        return {"reasons": reasons, "cells": tuple(whole[:_MOST_CELLS]), "n_cells": len(whole)}

    def _difference(self, column: ColumnError, value: float, expected: float) -> tuple[str, int]:
        """Marks a value that is far from what is expected, or from what the column has usually.

        A model may well reconstruct a value that no other row has.
        """
        if column.kind in ("category", "boolean"):
            rare = (self.every[:, column.place] == value).mean() < _RARE
            found = difference(column, expected, value)
            return ("rare", 2) if rare and not found[1] and np.isfinite(value) else found
        middle = self.middles[column.place]
        far = max(expected, middle, key=lambda other: abs(value - other))
        return difference(column, far, value, LEVELS)

    def _usual(self, i: int, value: float) -> str:
        """Says what all rows have in a column, beside one of its values."""
        column = self.every[:, i]
        if np.isnan(value):
            return f"a gap in {np.isnan(column).sum()} of {len(column)}"
        if self.columns[i].kind in ("category", "boolean"):
            return f"the same in {(column == value).sum()} of {len(column)}"
        ends_of = np.nanquantile(column, [0.05, 0.95], method="nearest")
        ends = in_words(one_column(self.spec, i), ends_of[:, None], column[:, None])
        return f"90 % from {ends[0][0]} to {ends[0][1]}"


def _given(value: Any) -> Value:
    """Writes a value of a column that the model does not see."""
    gap = value is None or value != value
    return Value(GAP if gap else f"{value:.6g}" if isinstance(value, float) else str(value), gap)


def _spread(x: Array) -> float:
    """Measures the spread of a column (N,), which those far out among its rows do not widen."""
    known = x[np.isfinite(x)]
    if not known.size:
        return 1.0
    quarter, three = np.quantile(known, [0.25, 0.75])
    return float((three - quarter) / 1.349 or known.std() or 1.0)


def _signal(spec: DataSpec, x: Array, expected: Array, shares: Array) -> dict[str, Any]:
    """Tells of a signal (T, C) which channels add most, and where."""
    names, by_channel = channel_names(spec), shares.sum(axis=0)
    order = np.argsort(-by_channel, kind="stable")[:_MOST_CHANNELS].tolist()
    reasons = []
    for c in order:
        if by_channel[c] < _LEAST:
            continue
        step, places = int(shares[:, c].argmax()), decimals_for(_spread(x[:, c]))
        gap = bool(np.isnan(x[step, c]))
        value, told = (number_in_words(float(part[step, c]), places) for part in (x, expected))
        at = f"{GAP if gap else value} at step {step}"
        reasons.append(Reason(names[c], at, told, False, "", 0, "", round(100 * by_channel[c])))
    panels = tuple(panel(names[c], x[:, c], expected[:, c]) for c in order)
    return {"entry": "channel", "reasons": tuple(reasons), "panels": panels}


def _pictures(
    spec: DataSpec, x: Array, expected: Array, shares: Array, name: str
) -> tuple[Mapping[str, str], ...]:
    """Makes pictures of an image (C, H, W), or of the slice of a volume that adds most."""
    if x.ndim > 3:
        depth = int(shares.sum(axis=tuple(i for i in range(shares.ndim) if i != 1)).argmax())
        x, expected, shares = (part[:, depth] for part in (x, expected, shares))
    scale = (x, expected) if spec.kind == "real" else None
    parts = (
        (_pixels(spec, x, scale), "original", "gray"),
        (_pixels(spec, expected, scale), "reconstruction", "gray"),
        (shares.sum(axis=0), "what each pixel adds", "magma"),
    )
    return tuple(
        {"data": _png(pixels, colours), "alt": f"{name}: {what}", "caption": what}
        for pixels, what, colours in parts
    )


def _pixels(spec: DataSpec, x: Array, scale: tuple[Array, ...] | None) -> Array:
    """Brings an image (C, H, W) into [0, 1]: grey (H, W), or colours (H, W, 3)."""
    if scale is None:
        low, high = float(spec.offset[0]), float(spec.offset[0] + spec.scale[0])
    else:
        low, high = (float(pick(scale)) for pick in (np.nanmin, np.nanmax))
    seen = np.nan_to_num((x - low) / ((high - low) or 1.0)).clip(0, 1)
    return np.moveaxis(seen, 0, -1) if len(seen) == 3 else seen.mean(axis=0)


def _png(pixels: Array, colours: str) -> str:
    step = -(-max(pixels.shape[:2]) // _MOST_PIXELS)
    buffer = io.BytesIO()
    # What a pixel adds has a scale of its own, grey values have that of the data.
    low, high = (0, 1) if colours == "gray" else (None, None)
    options: dict[str, Any] = {
        "cmap": colours,
        "vmin": low,
        "vmax": high,
        "metadata": {"Software": None},
    }
    imsave(buffer, pixels[::step, ::step], format="png", **options)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
