"""Signals as lines over time: a panel for each channel, the original beside the reconstruction.

Nothing here draws. Letters: ``N`` signals, ``T`` steps, ``C`` channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from autoencode.pictures.column_errors import ColumnErrors, channel_names
from autoencode.types import Array, DataSpec

MOST_SIGNALS = 4
MOST_CHANNELS = 6
_MOST_SWEPT = 3  # channels of a sweep, those that move most
_MOST_POINTS = 400  # of a line; of more steps the least and the largest of each stretch are kept


@dataclass(frozen=True, eq=False)
class Panel:
    """One channel of one signal.

    Attributes:
        name: what is drawn.
        lines: one or two lines, each (steps, values); NaN where there is a gap.
        low, high: ends of the scale of values.
        n_steps: how long the signal is.
    """

    name: str
    lines: tuple[tuple[Array, Array], ...]
    low: float
    high: float
    n_steps: int

    @property
    def paths(self) -> list[str]:
        """The lines as paths of an SVG of 300 x 100."""
        return [svg_path(self, i, 300, 100) for i in range(len(self.lines))]


@dataclass(frozen=True)
class Signals:
    """A few signals, a row of panels for each.

    Attributes:
        names: of the signals.
        panels: of each signal its channels, those of the largest error first.
        lines: what the lines are, one or two.
        n_channels: how many there are in all.
        title: what is drawn.
    """

    form: ClassVar[str] = "signals"
    names: tuple[str, ...]
    panels: tuple[tuple[Panel, ...], ...]
    lines: tuple[str, ...]
    n_channels: int
    title: str


def compare_signals(
    spec: DataSpec, x: Array, made: Array, errors: ColumnErrors, names: Sequence[str]
) -> Signals:
    """Puts signals (N, T, C) beside their reconstructions, the worst channels first.

    Args:
        spec: of the signals.
        x: the originals in the data's own units; NaN for a gap.
        made: the reconstructions.
        errors: of all channels, which give their order.
        names: (N,) of the signals.
    """
    channels = [column.place for column in errors.columns[:MOST_CHANNELS]]
    return _signals(
        spec, (x, made), channels, names, ("original", "reconstruction"), "Signals over time"
    )


def drawn_signals(spec: DataSpec, drawn: Array, title: str) -> Signals:
    """Makes panels of drawn signals (N, T, C), a few of them."""
    names = [f"example {i + 1}" for i in range(min(MOST_SIGNALS, len(drawn)))]
    channels = list(range(min(MOST_CHANNELS, drawn.shape[2])))
    return _signals(spec, (drawn,), channels, names, ("value",), title)


def swept_signals(
    spec: DataSpec, decoded: Array, names: Sequence[str], ends: tuple[str, str], title: str
) -> Signals:
    """Makes panels of signals while one dimension of their code after the other is swept.

    Args:
        spec: of the signals.
        decoded: (R, K, T, C) what is decoded at each step.
        names: (R,) of the dimensions.
        ends: names of the first and the last step, which are drawn.
        title: what is drawn.
    """
    known = channel_names(spec)
    spread = decoded.std(axis=(0, 1, 2)) + np.finfo(np.float32).tiny
    panels = []
    for first, last in zip(decoded[:, 0], decoded[:, -1], strict=True):
        moved = np.abs(last - first).max(axis=0) / spread
        order = np.argsort(-moved, kind="stable")[:_MOST_SWEPT]
        panels.append(tuple(panel(known[c], first[:, c], last[:, c]) for c in order.tolist()))
    return Signals(tuple(names), tuple(panels), ends, spec.shape[-1], title)


def _signals(
    spec: DataSpec,
    parts: tuple[Array, ...],
    channels: list[int],
    names: Sequence[str],
    lines: tuple[str, ...],
    title: str,
) -> Signals:
    known = channel_names(spec)
    panels = tuple(
        tuple(panel(known[c], *(part[i, :, c] for part in parts)) for c in channels)
        for i in range(len(names))
    )
    return Signals(tuple(names), panels, lines, spec.shape[-1], title)


def panel(name: str, *lines: Array) -> Panel:
    """Makes a panel of one or two lines (T,).

    Example:
        >>> one = panel("pulse", np.array([1.0, 3.0, 2.0]))
        >>> one.low, one.high, one.n_steps
        (1.0, 3.0, 3)
    """
    whole = [np.asarray(line, float) for line in lines]
    finite = np.concatenate([line[np.isfinite(line)] for line in whole])
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if low == high:
        low, high = low - 0.5, high + 0.5
    return Panel(name, tuple(thinned(line) for line in whole), low, high, len(whole[0]))


def thinned(line: Array, most: int = _MOST_POINTS) -> tuple[Array, Array]:
    """Thins a line (T,) out to about ``most`` points without losing a peak: their steps and values.

    Of each stretch the least and the largest value stay; a gap stays a gap.

    Example:
        >>> line = np.zeros(1000)
        >>> line[123] = 7.0
        >>> steps, values = thinned(line, 20)
        >>> len(steps) <= 20, int(steps[values.argmax()])
        (True, 123)
    """
    steps = np.arange(len(line))
    if len(line) <= most:
        return steps, line
    kept: list[int] = []
    for stretch in np.array_split(steps, most // 2):
        there = stretch[np.isfinite(line[stretch])]
        if len(there) < len(stretch):
            kept.append(int(stretch[~np.isfinite(line[stretch])][0]))
        if len(there):
            kept += [int(there[line[there].argmin()]), int(there[line[there].argmax()])]
    chosen = np.array(sorted(set(kept)))
    return chosen, line[chosen]


def svg_path(one: Panel, line: int, width: float, height: float) -> str:
    """Writes a line of a panel as the path of an SVG of this size.

    Example:
        >>> svg_path(panel("", np.array([0.0, 1.0, np.nan, 0.0])), 0, 30, 10)
        'M0 10L10 0M30 10'
    """
    steps, values = one.lines[line]
    across = steps * (width / max(1, one.n_steps - 1))
    up = height * (1 - (values - one.low) / (one.high - one.low))
    parts, pen_up = [], True
    for x, y in zip(across.tolist(), up.tolist(), strict=True):
        if not np.isfinite(y):
            pen_up = True
            continue
        parts.append(f"{'M' if pen_up else 'L'}{x:.4g} {y:.4g}")
        pen_up = False
    return "".join(parts)
