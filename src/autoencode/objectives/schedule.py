"""Weights that move while training goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from autoencode.types import Progress

WeightSchedule = Callable[[Progress], float]


@dataclass(frozen=True)
class Constant:
    """The same weight throughout."""

    value: float

    def __call__(self, progress: Progress) -> float:
        return self.value


@dataclass(frozen=True)
class Linear:
    """From ``start`` to ``end`` over the first ``until`` of training, then ``end``.

    >>> Linear(0.0, 1.0, until=0.5)(Progress(step=25, n_steps=100))
    0.5
    """

    start: float
    end: float
    until: float = 1.0

    def __call__(self, progress: Progress) -> float:
        share = min(1.0, progress.fraction / self.until) if self.until > 0 else 1.0
        return self.start + share * (self.end - self.start)
