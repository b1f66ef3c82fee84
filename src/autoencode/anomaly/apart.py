"""Rows that stand apart: found by a gap in how far out rows lie, whatever their share is."""

from __future__ import annotations

import numpy as np

from autoencode.anomaly.groups import find_group
from autoencode.anomaly.memory import CROWD, Memory
from autoencode.types import Array

EVIDENT = 13.0  # nats by which a gap must be likelier than none; clean rows seldom reach 11
FROM_CORE = 20.0  # the same of distances from a core that was chosen for being near
LEAST, MOST = 0.02, 0.28  # shares of the rows that may stand apart; what is fewer, the tail shows
GROUP = 0.16  # the most of them where they lie as near each other as the others do
_FEWEST = 40  # rows in which a gap can be told
_BELOW = 0.1  # of the rows: those below a gap, from which the usual spacing is taken
_FARTHER = 1.5  # times as far as the lower quartile lies below the median, a gap lies above it
_INSIDE = 0.1  # of the rows beyond a gap: as many may lie inside it
_INSIDES = (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89)
_CORE = 0.7  # of the rows
_SHRINK = 0.1  # of the core's correlations towards none
_CONSTANT = 0.5  # share of one value above which a column does not vary
_COMPARED = 2_000  # rows of which near distances are compared


def gap(distances: Array, most: float = MOST) -> tuple[float, float]:
    """Finds the gap that sets some of N distances apart from the others.

    On a scale of logarithms the tail of usual distances falls off at some rate: rows per unit and
    per row that lies beyond. In a gap this rate is lower than below it, and lower than beyond it, where
    the rows that stand apart are. For each possible gap the likelihood of rows that come at separate
    rates is compared with that of one rate, on both sides (Poisson counts); the side that shows it less
    counts. A heavy tail has a low rate, but no rate that rises again. Besides, a gap lies farther above
    the median than the lower quartile lies below it.

    Args:
        distances: (N,) not below 0. Their unit does not matter.
        most: the largest share that may stand apart.

    Returns:
        The evidence of the clearest gap in nats, and the distance in its middle; 0 and infinity where
        rows are too few.
    """
    n = len(distances)
    below = max(20, int(_BELOW * n))
    fewest, largest = max(5, int(np.ceil(LEAST * n))), min(int(most * n), n - below - 2)
    if n < _FEWEST or largest < fewest:
        return 0.0, np.inf
    s = np.log(np.maximum(np.sort(distances), 1e-6 * np.max(distances) + 1e-300))
    sums = np.concatenate([[0.0], np.cumsum(s)])
    different = np.concatenate([[1], np.cumsum(np.diff(s) > 1e-6)])
    best, where = 0.0, np.inf
    for inside in _INSIDES:
        beyond = np.arange(fewest, largest + 1)
        beyond = beyond[(inside <= _INSIDE * beyond) & (n - beyond - 1 - inside >= below)]
        if not len(beyond):
            break
        high = n - beyond  # the first row beyond, the last below, and where the usual spacing begins
        low = high - 1 - inside
        start = low - below
        in_gap = sums[high] - sums[low + 1] - inside * s[low] + beyond * (s[high] - s[low])
        at_usual = (
            sums[low + 1] - sums[start + 1] - below * s[start] + (n - 1 - low) * (s[low] - s[start])
        )
        at_top = sums[n] - sums[high] - beyond * s[high]
        clear = np.minimum(
            _rises(inside, in_gap, below, at_usual), _rises(inside, in_gap, beyond, at_top)
        )
        # Between values that come often, as counts do, a gap is no wonder.
        many = different[low] - different[start] >= below / 2
        middle = 0.5 * (s[low] + s[high])
        far = middle - s[n // 2] >= _FARTHER * (s[n // 2] - s[n // 4])
        clear = np.where(many & far, clear, 0.0)
        i = int(np.argmax(clear))
        if clear[i] > best:
            best, where = float(clear[i]), float(np.exp(middle[i]))
    return best, where


def gap_of(distances: Array, most: float = MOST, evident: float = EVIDENT) -> float:
    """Finds the distance above which some of N stand apart; infinity where no gap is evident."""
    clear, where = gap(distances, most)
    return where if clear > evident else np.inf


def rows_apart(x: Array, keys: list[bytes], seed: int) -> Array:
    """Finds rows that stand apart from the core of all, before any model: (N,) true or false.

    The core are the rows nearest to half of the others; rows are measured by the Mahalanobis distance
    from it, in the manner of the concentration steps of Fast-MCD (Rousseeuw & Van Driessen, 1999,
    https://doi.org/10.1080/00401706.1999.10485670), with a shrunk covariance. A group of anomalies
    whose members lie near each other, which no comparison with near rows can see, lies far from the
    core; in heavy tails, where single rows lie as far, the tree of near rows shows it (``find_group``).
    More than ``GROUP`` of the rows are found only where they do not lie near each other: a cluster of
    that size is one of the kinds of rows that there are.

    Args:
        x: (N, P) rows in comparable units, without gaps.
        keys: what tells them apart (``row_keys``).
        seed: of the rows they are compared with, where there are many.
    """
    nobody = np.zeros(len(x), bool)
    if len(x) < max(_FEWEST, 2 * x.shape[1]):
        return nobody
    far, varied = _from_core(x, seed)
    if not varied.any():
        return nobody
    apart = find_group(x[:, varied], far, seed)
    if not apart.any():
        return _beyond_gap(x, far, keys, seed)
    rest = np.flatnonzero(~apart)
    far, _ = _from_core(x[rest], seed)
    apart[rest] = _beyond_gap(x[rest], far, [keys[row] for row in rest], seed)
    return apart


def _beyond_gap(x: Array, far: Array, keys: list[bytes], seed: int) -> Array:
    """Finds the rows (N,) whose distances from the core lie beyond a gap."""
    apart: Array = far > gap_of(far, evident=FROM_CORE)
    if apart.mean() <= GROUP or _scattered(x, keys, apart, seed):
        return apart
    beyond: Array = far > gap_of(far, GROUP, FROM_CORE)
    return beyond


def _from_core(x: Array, seed: int) -> tuple[Array, Array]:
    """Computes the distance (N,) of rows from the core, and which columns (P,) vary in it."""
    core = x[np.argsort(_to_half(x, seed), kind="stable")[: int(_CORE * len(x))]]
    # What is the same in most rows, as a flag is, sets the others apart and is no gap.
    varied = np.array([np.unique(c, return_counts=True)[1].max() <= _CONSTANT * len(c) for c in core.T])
    x, core = x[:, varied], core[:, varied]
    mean = core.mean(0)
    spread = np.maximum(core.std(0), 0.05 * x.std(0)) + 1e-12
    unit = (core - mean) / spread
    covariance = (1 - _SHRINK) * (unit.T @ unit) / len(unit) + _SHRINK * np.eye(len(mean))
    whiten = np.linalg.inv(np.linalg.cholesky(covariance))
    far: Array = np.sqrt((((x - mean) / spread @ whiten.T) ** 2).sum(1))
    return far, varied


def _to_half(x: Array, seed: int) -> Array:
    """Computes the mean squared distance (N,) of rows (N, P) to the nearer half of a crowd of them."""
    crowd = x[np.random.default_rng(seed).permutation(len(x))[:CROWD]]
    half, lengths = len(crowd) // 2, (crowd**2).sum(1)
    parts = []
    for piece in np.array_split(x, len(x) // 10_000 + 1):
        squares = (piece**2).sum(1, keepdims=True) + lengths - 2 * piece @ crowd.T
        parts.append(np.partition(squares, half - 1, axis=1)[:, :half].mean(1))
    return np.concatenate(parts)


def _scattered(x: Array, keys: list[bytes], apart: Array, seed: int) -> bool:
    """Tells whether rows that stand apart lie farther from each other than the others do."""
    few = np.random.default_rng([seed, 2]).permutation(len(x))[:_COMPARED]
    x, keys, apart = x[few], [keys[row] for row in few], apart[few]
    near = Memory.from_points(x, keys, seed).nearest(x, keys).distances
    return bool(np.median(near[apart]) > 1.5 * np.quantile(near[~apart], 0.75))


def _rises(first: int, in_first: Array, second: int | Array, in_second: Array) -> Array:
    """Compares two rates of events with one: log likelihood ratio, 0 where the second is not higher."""
    a, b = np.maximum(in_first, 1e-300), np.maximum(in_second, 1e-300)
    both = (first + second) / (a + b)
    ratio = second * np.log(second / b / both) + (first * np.log(first / a / both) if first else 0.0)
    clear: Array = np.where(first / a < second / b, ratio, 0.0)
    return clear
