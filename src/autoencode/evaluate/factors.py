"""Information of each dimension of a code on each known factor, in nats, and its gaps.

Letters: ``N`` examples, ``D`` dimensions of the code, ``F`` factors. Everything here is exact
arithmetic on the examples that are given: nothing is drawn.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autoencode.data.raw import Factors
from autoencode.errors import DataError
from autoencode.types import Array

BINS = 20
_MOST_POINTS = 4000  # of an axis over which a posterior is integrated, but for its widened ends
_FEWEST_POINTS = 200
_TAIL = 6  # standard deviations
_CHUNK = 1 << 22  # densities that are held together

Floats = NDArray[np.float64]
Known = Factors | ArrayLike


def checked(codes: ArrayLike, factors: Known) -> tuple[Floats, NDArray[np.int64]]:
    """Checks codes and factors: (N, D) float64, and (N, F) numbered in the order of their values.

    Raises:
        DataError: when they do not fit together, are no numbers, or a factor never varies.
    """
    z = np.asarray(codes, dtype=np.float64)
    named = factors.names if isinstance(factors, Factors) else None
    values = np.asarray(factors.values if isinstance(factors, Factors) else factors)
    if values.ndim != 2 or z.ndim < 2 or len(z) != len(values) or not z.size or not values.size:
        raise DataError(
            f"codes {z.shape} and factors {values.shape} must be (N, D) and (N, F), "
            "a row for each example"
        )
    z = z.reshape(len(z), -1)
    if not np.isfinite(z).all():
        raise DataError("codes are not finite; the model has diverged")
    numbers = np.stack([np.unique(column, return_inverse=True)[1] for column in values.T], axis=1)
    constant = np.flatnonzero(numbers.max(axis=0) == 0)
    if len(constant):
        name = named[constant[0]] if named else f"number {constant[0]}"
        raise DataError(f"factor {name} has one value in these examples; leave it out")
    return z, numbers.astype(np.int64)


def entropies(factors: Known) -> Floats:
    """Computes the entropy (F,) of each factor among the examples, in nats.

    >>> entropies([[0, 0], [0, 1], [1, 0], [1, 1]]).round(4).tolist()
    [0.6931, 0.6931]
    """
    values = np.asarray(factors.values if isinstance(factors, Factors) else factors)
    return np.array([_entropy(np.unique(column, return_counts=True)[1]) for column in values.T])


def _entropy(counts: Array) -> float:
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log(p)).sum())


def mutual_information(codes: ArrayLike, factors: Known, bins: int = BINS) -> Floats:
    """Computes I(z_j; v_k) from the histogram of each dimension, (D, F) nats.

    As in disentanglement_lib: each dimension is cut into ``bins`` of one width between its least and
    its greatest value. Of noise, N examples seem to say about (bins - 1) (values - 1) / (2 N) nats.

    Args:
        codes: (N, D), the mean of q(z|x) for a variational model.
        factors: (N, F).
        bins: of each dimension.

    Raises:
        DataError: see ``checked``.
    """
    z, numbers = checked(codes, factors)
    low, high = z.min(axis=0), z.max(axis=0)
    share = (z - low) / np.where(high > low, high - low, 1.0)
    cells = np.minimum((share * bins).astype(np.int64), bins - 1)
    found = np.empty((z.shape[1], numbers.shape[1]))
    for j, k in np.ndindex(*found.shape):
        n_values = int(numbers[:, k].max()) + 1
        joint = np.bincount(cells[:, j] * n_values + numbers[:, k], minlength=bins * n_values)
        joint = joint.reshape(bins, n_values)
        parts = _entropy(joint.sum(1)) + _entropy(joint.sum(0))
        found[j, k] = max(0.0, parts - _entropy(joint.ravel()))
    return found


def posterior_information(loc: ArrayLike, scale: ArrayLike, factors: Known) -> Floats:
    """Computes I(z_j; v_k) under the examples' posteriors q(z|x) = N(loc, scale²), (D, F) nats.

    The definition of the paper of the MIG (``mig``): q(z_j|v_k) is the mean of the posteriors of all
    examples with that value. The paper draws from it; here its density is integrated along an axis, two
    points to the narrowest standard deviation. Those below 1/2000 of the axis are widened to that.

    Args:
        loc: (N, D) means.
        scale: (N, D) standard deviations.
        factors: (N, F).

    Raises:
        DataError: see ``checked``; or scales that are not positive.
    """
    z, numbers = checked(loc, factors)
    widths = np.asarray(scale, dtype=np.float64).reshape(len(z), -1)
    if widths.shape != z.shape or not (np.isfinite(widths) & (widths > 0)).all():
        raise DataError(f"scales must be positive and of the shape of the means, {z.shape}")
    columns = [np.eye(int(column.max()) + 1)[column] for column in numbers.T]
    ends = np.cumsum([0, *(column.shape[1] for column in columns)])
    one_hot = np.concatenate(columns, axis=1)
    shares = one_hot.mean(axis=0)
    found = np.empty((z.shape[1], len(columns)))
    for j in range(z.shape[1]):
        densities, step = _conditional_densities(z[:, j], widths[:, j], one_hot)
        for k, (first, last) in enumerate(itertools.pairwise(ends)):
            found[j, k] = _divergence(densities[first:last], shares[first:last]) * step
    return found


def _conditional_densities(loc: Floats, scale: Floats, one_hot: Floats) -> tuple[Floats, float]:
    """Computes q(z_j|v) (V, G) of every value of every factor at G points, and their distance."""
    span = float((loc + _TAIL * scale).max() - (loc - _TAIL * scale).min())
    scale = np.maximum(scale, 2 * span / _MOST_POINTS)
    low, high = float((loc - _TAIL * scale).min()), float((loc + _TAIL * scale).max())
    n = max(_FEWEST_POINTS, math.ceil(2 * (high - low) / float(scale.min())))
    points, step = np.linspace(low, high, n, retstep=True)
    total = np.zeros((one_hot.shape[1], n))
    size = max(1, _CHUNK // n)
    for first in range(0, len(loc), size):
        rows = slice(first, first + size)
        narrow = scale[rows, None]
        density = np.exp(-0.5 * ((points - loc[rows, None]) / narrow) ** 2) / narrow
        total += one_hot[rows].T @ density
    return total / (math.sqrt(2 * math.pi) * one_hot.sum(axis=0)[:, None]), float(step)


def _divergence(densities: Floats, shares: Floats) -> float:
    """Sums p(v) q(z|v) log(q(z|v) / q(z)) over values v and points z."""
    aggregate = np.broadcast_to(shares @ densities, densities.shape)
    there = (densities > 0) & (aggregate > 0)  # the least numbers underflow when they are weighed
    logs = np.log(densities, out=np.zeros_like(densities), where=there)
    logs -= np.log(aggregate, out=np.zeros_like(densities), where=there)
    return max(0.0, float((shares[:, None] * densities * logs).sum()))


def gaps(information: Floats, factors: Known) -> Floats:
    """Computes how much more the best dimension says of each factor than the next, (F,), as a share.

    Args:
        information: (D, F) nats.
        factors: (N, F), whose entropy is the whole.
    """
    best = np.sort(np.concatenate([information, np.zeros((2, information.shape[1]))]), axis=0)
    return np.asarray((best[-1] - best[-2]) / entropies(factors))


def mig(codes: ArrayLike, factors: Known, bins: int = BINS) -> float:
    """Computes the mutual information gap, 0 to 1: whether each factor is in one dimension alone.

    Isolating Sources of Disentanglement in Variational Autoencoders (Chen et al., 2018), section 4,
    https://arxiv.org/abs/1802.04942

    This is disentanglement_lib's estimate from a histogram of codes; ``posterior_mig`` is the paper's.

    Args:
        codes: (N, D).
        factors: (N, F); the paper leaves the shape of sprites out.
        bins: of each dimension.

    Raises:
        DataError: see ``checked``.

    Example:
        >>> factors = np.indices((4, 5)).reshape(2, -1).T
        >>> round(mig(factors, factors), 4)  # each dimension is a factor
        1.0
        >>> mig(np.repeat(factors, 2, axis=1), factors)  # two dimensions say the same
        0.0
    """
    return float(gaps(mutual_information(codes, factors, bins), factors).mean())


def posterior_mig(loc: ArrayLike, scale: ArrayLike, factors: Known) -> float:
    """Computes the mutual information gap of q(z|x), 0 to 1, as its paper defines it; see ``mig``.

    Args:
        loc: (N, D) means of the posteriors.
        scale: (N, D) standard deviations.
        factors: (N, F).

    Raises:
        DataError: see ``posterior_information``.
    """
    return float(gaps(posterior_information(loc, scale, factors), factors).mean())


def modularity(codes: ArrayLike, factors: Known, bins: int = BINS) -> float:
    """Measures whether each dimension is about one factor only, 0 to 1.

    Learning Deep Disentangled Embeddings With the F-Statistic Loss (Ridgeway & Mozer, 2018), section 3,
    https://arxiv.org/abs/1802.05312

    The mean over dimensions of 1 - sum of the squared information about all but the best factor / (that
    about the best, squared, times F - 1). Dimensions without any information are left out.

    Args:
        codes: (N, D).
        factors: (N, F), at least two.
        bins: of each dimension.

    Raises:
        DataError: see ``checked``; or there is one factor only.

    Example:
        >>> factors = np.indices((4, 5)).reshape(2, -1).T
        >>> modularity(np.repeat(factors, 2, axis=1), factors)
        1.0
    """
    squares = mutual_information(codes, factors, bins) ** 2
    if squares.shape[1] < 2:
        raise DataError("modularity compares factors and there is one only")
    best = squares.max(axis=1)
    told = best > 0
    if not told.any():
        return 0.0
    others = (squares.sum(axis=1) - best)[told]
    return float((1 - others / (best[told] * (squares.shape[1] - 1))).mean())
