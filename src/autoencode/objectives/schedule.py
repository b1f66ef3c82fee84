"""Schedules of weights that change during training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from autoencode.types import Progress

WeightSchedule = Callable[[Progress], float]


@dataclass(frozen=True)
class Constant:
    """A schedule with the same weight throughout."""

    value: float

    def __call__(self, progress: Progress) -> float:
        return self.value


@dataclass(frozen=True)
class Linear:
    """A schedule from ``start`` to ``end`` over the first ``until`` of training, then ``end``.

    >>> Linear(0.0, 1.0, until=0.5)(Progress(step=25, n_steps=100))
    0.5
    """

    start: float
    end: float
    until: float = 1.0

    def __call__(self, progress: Progress) -> float:
        share = min(1.0, progress.fraction / self.until) if self.until > 0 else 1.0
        return self.start + share * (self.end - self.start)


@dataclass(frozen=True)
class After:
    """A schedule that is zero over the first ``start`` of training, then ``value``.

    >>> weight = After(0.25, 0.8)
    >>> weight(Progress(24, 100)), weight(Progress(25, 100))
    (0.0, 0.8)
    """

    start: float
    value: float

    def __call__(self, progress: Progress) -> float:
        return self.value if progress.fraction >= self.start else 0.0


@dataclass(frozen=True)
class Cyclical:
    """A schedule of ``cycles`` rises from ``start`` to ``end``, each over a share ``rise`` of a cycle.

    Cyclical Annealing Schedule: A Simple Approach to Mitigating KL Vanishing (Fu et al., 2019),
    https://arxiv.org/abs/1903.10145

    >>> weight = Cyclical(0.0, 1.0, cycles=4)
    >>> [weight(Progress(step, 400)) for step in (0, 25, 50, 99, 100)]
    [0.0, 0.5, 1.0, 1.0, 0.0]
    """

    start: float
    end: float
    cycles: int = 4
    rise: float = 0.5

    def __call__(self, progress: Progress) -> float:
        if progress.fraction >= 1.0:
            return self.end
        within = progress.fraction * self.cycles % 1.0
        share = min(1.0, within / self.rise) if self.rise > 0 else 1.0
        return self.start + share * (self.end - self.start)
