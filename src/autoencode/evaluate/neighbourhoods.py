"""Comparisons of two samples of points, as Gaussians and by the neighbourhoods of their points."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from autoencode.errors import DataError

MANIFOLD, DENSITY = 3, 5  # neighbours, as in the two papers
_PIECE_NUMBERS = 1 << 22


def moments(points: Tensor) -> tuple[Tensor, Tensor]:
    """Computes mean (F,) and covariance (F, F) of points (N, F), float64."""
    wide = points.double()
    mean = wide.mean(0)
    centred = wide - mean
    return mean, centred.T @ centred / max(len(wide) - 1, 1)


def frechet_distance(a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor]) -> float:
    """Computes the squared Fréchet (2-Wasserstein) distance of Gaussians by mean and covariance.

    GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium (Heusel et al.,
    2017), https://arxiv.org/abs/1706.08500: |m - m'|² + tr(C + C' - 2 (C C')^½).

    >>> one = torch.eye(1)
    >>> round(frechet_distance((torch.zeros(1), one), (torch.ones(1), 4 * one)), 6)
    2.0
    """
    (mean_a, cov_a), (mean_b, cov_b) = a, b
    # tr (C C')^½ is the sum of the singular values of C^½ C'^½, which no rounding makes negative.
    root = torch.linalg.svdvals(_root(cov_a) @ _root(cov_b)).sum()
    shift = (mean_a.double() - mean_b.double()).square().sum()
    found = shift + cov_a.double().trace() + cov_b.double().trace() - 2 * root
    return max(0.0, float(found))


def _root(covariance: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance.double())
    root: Tensor = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    return root


@dataclass(frozen=True)
class Neighbourhoods:
    """Precision, recall, density and coverage: how samples lie among real points.

    Attributes:
        precision: share of samples inside some real point's ball, whose radius is the distance to its
            third neighbour.
        recall: share of real points inside some sample's ball.
        density: real balls (to the fifth neighbour) around a sample, over 5; 1 if samples are as dense.
        coverage: share of real balls (to the fifth neighbour) that hold a sample.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def neighbourhoods(
    real: Tensor, samples: Tensor, manifold: int = MANIFOLD, density: int = DENSITY
) -> Neighbourhoods:
    """Computes precision, recall, density and coverage of samples (M, F) among real points (N, F).

    Improved Precision and Recall Metric for Assessing Generative Models (Kynkäänniemi et al., 2019),
    https://arxiv.org/abs/1904.06991; Reliable Fidelity and Diversity Metrics for Generative Models
    (Naeem et al., 2020), https://arxiv.org/abs/2002.09797.

    Args:
        real, samples: points; more than the number of neighbours of each.
        manifold: neighbours behind precision and recall.
        density: neighbours behind density and coverage.

    Raises:
        DataError: for fewer points.
    """
    most = max(manifold, density)
    for name, points in (("real points", real), ("samples", samples)):
        if len(points) <= most:
            raise DataError(f"{len(points)} {name} have no {most} neighbours each; give more")
    real, samples = real.double(), samples.double()
    wide, dense = radii(real, (manifold, density))
    (reach,) = radii(samples, (manifold,))
    n = len(real)
    inside, crowd = 0, 0
    recalled, covered = (torch.zeros(n, dtype=torch.bool) for _ in range(2))
    size = max(1, _PIECE_NUMBERS // n)
    for rows, own in zip(samples.split(size), reach.split(size), strict=True):
        squares = _squares(rows, real)
        inside += int((squares <= wide).any(1).sum())
        in_dense = squares <= dense
        crowd += int(in_dense.sum())
        covered |= in_dense.any(0)
        recalled |= (squares <= own[:, None]).any(0)
    m = len(samples)
    return Neighbourhoods(
        inside / m,
        float(recalled.double().mean()),
        crowd / (density * m),
        float(covered.double().mean()),
    )


def radii(points: Tensor, ks: tuple[int, ...]) -> list[Tensor]:
    """Computes squared distances (N,) of points (N, F) from their k-th neighbours, for each k."""
    size = max(1, _PIECE_NUMBERS // len(points))
    found = []
    for first in range(0, len(points), size):
        squares = _squares(points[first : first + size], points)
        rows = torch.arange(len(squares))
        squares[rows, rows + first] = torch.inf  # a point is no neighbour of itself
        found.append(squares.topk(max(ks), largest=False).values)
    near = torch.cat(found)
    return [near[:, k - 1].clone() for k in ks]


def _squares(a: Tensor, b: Tensor) -> Tensor:
    """Computes the squared distances (N, M) of all pairs of float64 points."""
    lengths = a.square().sum(1, keepdim=True) + b.square().sum(1)
    return torch.addmm(lengths, a, b.T, alpha=-2).clamp_min_(0)
