"""Tails, conformal p-values and the Benjamini-Hochberg procedure: from scores to probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from autoencode.errors import DataError, OptionError
from autoencode.types import Array

FALSE_ALARMS = 0.01  # of clean rows, where nothing else is asked for
_GRID = 1e-290  # a slope over less overflows


@dataclass(frozen=True)
class Tail:
    """Tail of some reference values: a function that says how far out in it a value lies.

    Inside their range it is minus the logarithm of the share of reference values above, between which
    it is interpolated; beyond, the logarithm of the distance goes on, so that it never stands still.
    It is continuous, does not fall as the value rises, and is 0 at the least reference value.

    Attributes:
        values: (K,) the distinct reference values in order.
        heights: (K,) minus the logarithm of the share of them above.
        middle, width: the median, and from there to the 90 % quantile.

    Example:
        >>> tail = Tail.from_scores(np.arange(100.0))
        >>> tail(np.array([0.0, 89.1, 1000.0])).round(2).tolist()
        [0.0, 2.83, 7.14]
    """

    values: Array
    heights: Array
    middle: float
    width: float

    @classmethod
    def from_scores(cls, reference: ArrayLike) -> Tail:
        """Builds the tail of reference values (N,)."""
        ordered = np.sort(np.asarray(reference, np.float64))
        middle, high = np.quantile(ordered, [0.5, 0.9])
        # Values that differ by rounding are one value; a step between them would be a cliff.
        largest = max(abs(float(ordered[0])), abs(float(ordered[-1])))
        grid = max(1e-7 * abs(float(middle)), 1e-10 * largest, _GRID)
        ordered = np.round(ordered / grid) * grid
        values, first = np.unique(ordered, return_index=True)
        heights = np.log(len(ordered) + 1) - np.log(len(ordered) + 1 - first)
        # Values that are all but the same must not make every other one infinitely far.
        least = 1e-6 * max(abs(float(middle)), abs(float(ordered[-1])), 1e-6)
        return cls(values, heights, float(middle), max(float(high - middle), least))

    def inverse(self, height: float) -> float:
        """Finds the least value that lies at least that high, up to rounding."""
        low, high = float(self.values[0]), float(self.values[-1])
        step = max(high - low, self.width)
        while self(np.array([high]))[0] < height:
            low, high, step = high, high + step, 2 * step
        while low < (middle := 0.5 * (low + high)) < high:
            low, high = (low, middle) if self(np.array([middle]))[0] >= height else (middle, high)
        return high

    def __call__(self, x: Array) -> Array:
        beyond = np.log1p(np.maximum((x - self.middle) / self.width, 0.0))
        height: Array = np.interp(x, self.values, self.heights) + beyond
        return height


def fence(heights: ArrayLike, level: float = FALSE_ALARMS) -> float:
    """Finds the height that a share ``level`` of clean rows exceeds, judged by the bulk of the rows.

    Heights are minus logarithms of tails, so they fall off exponentially whatever the data are: the
    line through the upper quartile and the upper tenth is followed to the level. What lies above the
    upper tenth has no say, so that anomalies among the rows move the fence outward only as far as they
    push these two.

    Args:
        heights: (N,) of the rows that are usual (``Tail``), or means of several.
        level: below 0.1.

    Example:
        >>> heights = -np.log(np.linspace(1, 0, 1000, endpoint=False))
        >>> round(float((heights > fence(heights)).mean()), 3)
        0.01
    """
    quarter, tenth = np.quantile(np.asarray(heights, np.float64), [0.75, 0.9])
    return float(quarter + (tenth - quarter) * np.log(0.25 / level) / np.log(0.25 / 0.1))


def none_stands_out(heights: ArrayLike, level: float = FALSE_ALARMS) -> bool:
    """Tells whether no row comes near the fence, though as many clean rows would have to.

    Anomalies that are many and leave no gap lift the upper quartile and the upper tenth, and with
    them the fence, beyond every row. Of 250 clean rows five lie above the fence of twice the level.
    """
    usual = np.asarray(heights, np.float64)
    return len(usual) >= 5 / (2 * level) and not bool((usual > fence(usual, 2 * level)).any())


def conformal_pvalues(scores: ArrayLike, calibration: ArrayLike) -> Array:
    """Computes the chance that a row like those of the calibration would be at least as anomalous.

    p = (1 + the number of calibration scores that are at least as high) / (1 + their number).

    When a row is exchangeable with the calibration rows, P(p <= t) <= t for every t, however good the
    score is and however the data are distributed. Needs that no calibration row took part in what
    makes the scores.

    Testing for Outliers with Conformal p-values (Bates, Candès, Lei, Romano & Sesia, 2023),
    https://arxiv.org/abs/2104.08279

    Args:
        scores: (N,) higher is more anomalous.
        calibration: (M,) scores of rows that were held out.

    Returns:
        (N,) p-values in [1 / (M + 1), 1].

    Raises:
        DataError: there is no calibration score.

    Example:
        >>> conformal_pvalues([0.0, 3.5, 9.0], [1.0, 2.0, 3.0, 4.0]).tolist()
        [1.0, 0.4, 0.2]
    """
    ordered = np.sort(np.asarray(calibration, np.float64))
    if not len(ordered):
        raise DataError("there are no calibration scores; hold some rows out")
    higher = len(ordered) - np.searchsorted(ordered, np.asarray(scores, np.float64), side="left")
    p: Array = (1.0 + higher) / (1.0 + len(ordered))
    return p


def null_pvalues(heights: ArrayLike, calibration: ArrayLike, limit: float) -> Array:
    """Estimates p-values by the clean rows of a calibration that may hold anomalies.

    An empirical null: only calibration heights up to the limit are taken for those of clean rows, and
    a share ``FALSE_ALARMS`` of clean rows is taken to lie beyond it. The upper fifth is followed by an
    exponential tail, of the mean that the heights up to the limit and those cut off there make
    likeliest, so p-values do not end at 1 / (1 + M). There is no guarantee for them, as there is for
    ``conformal_pvalues``: they hold as far as heights fall off exponentially.

    Large-Scale Simultaneous Hypothesis Testing: The Choice of a Null Hypothesis (Efron, 2004),
    https://doi.org/10.1198/016214504000000089

    Args:
        heights: (N,) minus logarithms of tails, higher is more anomalous.
        calibration: (M,) heights of rows that were held out.
        limit: the height that a share ``FALSE_ALARMS`` of clean rows exceeds.

    Returns:
        (N,) p-values in (0, 1].

    Raises:
        DataError: no calibration height lies below the limit.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> calibration = np.append(rng.exponential(size=900), np.full(100, 40.0))
        >>> null_pvalues([3.0, 40.0], calibration, -np.log(0.01)).round(3).tolist()
        [0.049, 0.0]
    """
    ordered = np.sort(np.asarray(calibration, np.float64))
    ordered = ordered[ordered <= limit]
    if not len(ordered):
        raise DataError("there are no calibration scores of clean rows; hold some rows out")
    beyond = FALSE_ALARMS / (1 - FALSE_ALARMS) * len(ordered)
    start = float(np.quantile(ordered, 0.8))
    given = np.asarray(heights, np.float64)
    higher = len(ordered) - np.searchsorted(ordered, np.minimum(given, start), side="left")
    p: Array = (1 + higher + beyond) / (1 + len(ordered) + beyond)
    over = ordered[ordered > start] - start
    if len(over):
        mean = (over.sum() + beyond * (limit - start)) / len(over)
        p = p * np.exp(-np.maximum(given - start, 0) / mean)
    return p


def benjamini_hochberg(pvalues: ArrayLike, fdr: float) -> Array:
    """Chooses hypotheses to reject so that on average at most a share ``fdr`` of them is true.

    It holds for independent p-values, and for conformal ones that share a calibration set (Bates et
    al., 2023, Theorem 2).

    Controlling the False Discovery Rate: A Practical and Powerful Approach to Multiple Testing
    (Benjamini & Hochberg, 1995), https://doi.org/10.1111/j.2517-6161.1995.tb02031.x

    Args:
        pvalues: (N,).
        fdr: the expected share of false discoveries, in (0, 1).

    Returns:
        (N,) true where rejected.

    Raises:
        OptionError: when ``fdr`` lies elsewhere.

    Example:
        >>> benjamini_hochberg([0.001, 0.2, 0.02, 0.9], 0.05).tolist()
        [True, False, True, False]
    """
    if not 0 < fdr < 1:
        raise OptionError(f"fdr must lie in (0, 1), got {fdr}")
    p: Any = np.asarray(pvalues, np.float64)
    if not len(p):
        return np.zeros(0, bool)
    ordered = np.sort(p)
    passed = ordered <= fdr * np.arange(1, len(p) + 1) / len(p)
    if not passed.any():
        return np.zeros(len(p), bool)
    rejected: Array = p <= ordered[np.flatnonzero(passed)[-1]]
    return rejected
