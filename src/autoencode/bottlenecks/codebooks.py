"""Codebooks: vectors that stand for those nearest to them, and how they come to be where they are."""

from __future__ import annotations

import contextlib
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoencode.parallel import batch_sum, global_batch
from autoencode.randomness import uniform

_POINTS_FOR_A_CENTRE = 32
_EPS = 1e-5


def exact(points: Tensor) -> contextlib.AbstractContextManager[object]:
    """Keeps the products of a block from being rounded to bfloat16, which could change a code."""
    kind = points.device.type
    if kind == "meta":  # no device, no such arithmetic
        return contextlib.nullcontext()
    return torch.autocast(kind, enabled=False)


@torch.no_grad()
def nearest(points: Tensor, vectors: Tensor) -> Tensor:
    """Finds the number (...) of the vector (K, D) that is nearest to each point (..., D)."""
    with exact(points):
        flat, vectors = points.reshape(-1, points.shape[-1]).float(), vectors.float()
        # |p|² is the same for all of them.
        distances = torch.addmm(vectors.square().sum(1), flat, vectors.T, alpha=-2)
    return distances.argmin(1).view(points.shape[:-1])


def totals(points: Tensor, codes: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Computes how many points (N, D) have each code, (K,), and the sums of those points, (K, D)."""
    chosen = F.one_hot(codes, k).to(points.dtype)  # a matrix: sums in a fixed order on every device
    with exact(points):
        return chosen.sum(0), chosen.T @ points


@torch.no_grad()
def kmeans(points: Tensor, k: int, iterations: int = 10) -> Tensor:
    """Finds k centres of points (N, D), by k-means++ and Lloyd's iterations.

    Where there are fewer points than centres, some centres are the same.
    """
    points = points[:: math.ceil(len(points) / (_POINTS_FOR_A_CENTRE * k))]
    draws = uniform((k,), points)
    picked = [points[min(int(draws[0] * len(points)), len(points) - 1)]]
    gaps = (points - picked[0]).square().sum(1)
    for draw in draws[1:]:
        # The farther from all centres so far, the likelier; anywhere when every point is one.
        reach = (gaps if bool(gaps.any()) else torch.ones_like(gaps)).cumsum(0)
        index = int(torch.searchsorted(reach, draw * reach[-1], right=True))
        picked.append(points[min(index, len(points) - 1)])
        gaps = gaps.minimum((points - picked[-1]).square().sum(1))
    centres = torch.stack(picked)
    for _ in range(iterations):
        counts, sums = totals(points, nearest(points, centres), k)
        centres = torch.where(counts[:, None] > 0, sums / counts.clamp_min(1)[:, None], centres)
    return centres


class MovingCodebook(nn.Module):
    """A codebook whose vectors follow the running mean of the points that choose them; no gradient.

    Neural Discrete Representation Learning (van den Oord et al., 2017), appendix A.1,
    https://arxiv.org/abs/1711.00937. They start at the k-means centres of the first batch, and one that
    is hardly used moves to a random vector of the batch, as in Jukebox (Dhariwal et al., 2020),
    https://arxiv.org/abs/2005.00341. Counts and sums are those of the whole batch.

    Args:
        n_codes: K.
        dim: width of a vector.
        decay: of the running means, in [0, 1).
        revive_below: a code is moved when it is chosen less than this share of what each would be
            if all were chosen alike; 0 leaves them.
    """

    learned = False
    vectors: Tensor
    counts: Tensor
    sums: Tensor
    started: Tensor

    def __init__(self, n_codes: int, dim: int, decay: float = 0.99, revive_below: float = 0.1) -> None:
        super().__init__()
        self.decay, self.revive_below = decay, revive_below
        self.register_buffer("vectors", torch.randn(n_codes, dim) / math.sqrt(dim))
        self.register_buffer("counts", torch.zeros(n_codes))
        self.register_buffer("sums", torch.zeros(n_codes, dim))
        self.register_buffer("started", torch.zeros(()))

    @torch.no_grad()
    def start(self, points: Tensor) -> None:
        """Takes its first vectors from the first batch (B, P, D)."""
        if bool(self.started):
            return
        whole = global_batch(points.detach()).flatten(0, 1).to(self.vectors)
        self.vectors.copy_(kmeans(whole, len(self.vectors)))
        self.counts.fill_(len(whole) / len(self.vectors))
        self.sums.copy_(self.vectors * self.counts[:, None])
        self.started.fill_(1.0)

    @torch.no_grad()
    def follow(self, points: Tensor, codes: Tensor) -> None:
        """Moves the vectors towards the points (B, P, D) that chose their codes (B, P)."""
        flat = points.detach().flatten(0, 1).to(self.vectors)
        counts, sums = totals(flat, codes.flatten(), len(self.vectors))
        self.counts.lerp_(batch_sum(counts), 1 - self.decay)
        self.sums.lerp_(batch_sum(sums), 1 - self.decay)
        n, k = self.counts.sum(), len(self.counts)
        smooth = (self.counts + _EPS) / (n + k * _EPS) * n  # Laplace's, so that none divides by 0
        self.vectors.copy_(self.sums / smooth[:, None])
        share = n / k
        dead = self.counts < self.revive_below * share
        if bool(dead.any()):
            self._revive(dead, share, points)

    def _revive(self, dead: Tensor, share: Tensor, points: Tensor) -> None:
        whole = global_batch(points.detach()).flatten(0, 1).to(self.vectors)
        chosen = (uniform((len(dead),), self.vectors) * len(whole)).long().clamp_max(len(whole) - 1)
        fresh = whole[chosen]
        self.vectors.copy_(torch.where(dead[:, None], fresh, self.vectors))
        self.counts.copy_(torch.where(dead, share, self.counts))
        self.sums.copy_(torch.where(dead[:, None], fresh * share, self.sums))


class LearnedCodebook(nn.Module):
    """A codebook of parameters that follow the gradient of the ``codebook`` penalty.

    Args:
        n_codes: K.
        dim: width of a vector.
    """

    learned = True

    def __init__(self, n_codes: int, dim: int) -> None:
        super().__init__()
        self.vectors = nn.Parameter((2 * torch.rand(n_codes, dim) - 1) / n_codes)


class LinearCodebook(nn.Module):
    """A codebook that is a linear map of fixed random vectors, so that all codes move together.

    Addressing Representation Collapse in Vector Quantized Models with One Linear Layer (Zhu et al.,
    2024), https://arxiv.org/abs/2411.02038

    Args:
        n_codes: K.
        dim: width of a vector.
    """

    learned = True
    basis: Tensor

    def __init__(self, n_codes: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("basis", torch.randn(n_codes, dim) / math.sqrt(dim))
        self.map = nn.Linear(dim, dim, bias=False)

    @property
    def vectors(self) -> Tensor:
        """The codebook as it is now, (K, D)."""
        made: Tensor = self.map(self.basis)
        return made
