"""Remembered training rows, and comparisons of other rows with the nearest of them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from autoencode.types import Array

ROWS = 10_000  # that are remembered; of more, these are drawn
RECALLED = 20  # neighbours that a row is put together from
RIDGE = 0.1  # share of the neighbours' mean squared distance that steadies their weights
CROWD = 300  # remembered rows of which a neighbourhood is a part
SHARE = 0.1  # of the crowd makes a neighbourhood
KEY_BYTES = 16  # of what tells rows apart
COMPARISONS = ("nearest", "recall", "neighbourhood")
_PIECE_NUMBERS = 1_000_000  # float64 numbers of one piece of work, 8 MB: much of it stays in the cache


def row_keys(x: Array) -> list[bytes]:
    """Computes a digest of the values of each row (N, *D), the same whatever dtype they come in."""
    wide = np.ascontiguousarray(x, dtype=np.float32).reshape(len(x), math.prod(x.shape[1:]))
    wide = wide + np.float32(0.0)
    return [hashlib.blake2b(row.data, digest_size=KEY_BYTES).digest() for row in wide]


@dataclass(frozen=True)
class Look:
    """Distances of N rows from a memory, and what each coordinate adds to them.

    Attributes:
        distances: (N,).
        squares: (N, P) what each coordinate adds to the square of that distance; empty unless asked.
    """

    distances: Array
    squares: Array


@dataclass(frozen=True)
class Memory:
    """Training rows in some coordinates, to compare others with.

    Three distances, from the nearest rows to the far:

    - ``nearest``: to the nearest remembered row.
    - ``recall``: to what can be put together from the 20 nearest, with weights that sum to one and
      are found by ridge regression; small on the surface that the rows lie on, also between them.
      Nonlinear Dimensionality Reduction by Locally Linear Embedding (Roweis & Saul, 2000),
      https://doi.org/10.1126/science.290.5500.2323
    - ``neighbourhood``: root mean square distance to the nearest tenth of the rows (of 300 of
      them). A group of anomalies has near neighbours, but not that many.

    A remembered row is compared with the others only: the row with its key is left out.

    Attributes:
        points: (M, P) the remembered rows.
        places: where the row with some key is.

    Example:
        >>> points = np.array([[0.0], [1.0], [3.0]])
        >>> memory = Memory.from_points(points, row_keys(points))
        >>> memory.nearest(points, row_keys(points)).distances.tolist()
        [1.0, 1.0, 2.0]
    """

    points: Array
    places: Mapping[bytes, int] = field(repr=False)

    @classmethod
    def from_points(cls, points: Array, keys: list[bytes], seed: int = 0, rows: int = ROWS) -> Memory:
        """Builds a memory of these rows (N, P), or of some where there are more than ``rows``."""
        order = np.random.default_rng(seed).permutation(len(points))[:rows]
        wide = np.ascontiguousarray(points[order], dtype=np.float64)
        return cls(wide, {keys[row]: place for place, row in enumerate(order)})

    def nearest(self, x: Array, keys: list[bytes], squares: bool = False) -> Look:
        """Compares rows (N, P) with the nearest row of the memory."""
        return self.looks(x, keys, ("nearest",), squares)["nearest"]

    def recall(self, x: Array, keys: list[bytes], squares: bool = False) -> Look:
        """Compares rows (N, P) with what the nearest rows can be put together to."""
        return self.looks(x, keys, ("recall",), squares)["recall"]

    def neighbourhood(self, x: Array, keys: list[bytes], squares: bool = False) -> Look:
        """Compares rows (N, P) with the nearest tenth of the memory."""
        return self.looks(x, keys, ("neighbourhood",), squares)["neighbourhood"]

    def looks(
        self, x: Array, keys: list[bytes], names: Sequence[str] = COMPARISONS, squares: bool = False
    ) -> dict[str, Look]:
        """Compares rows (N, P) in several ways, from one search.

        Args:
            x: the rows.
            keys: what tells them apart (``row_keys``).
            names: some of ``COMPARISONS``.
            squares: whether each distance is shared out among the coordinates.
        """
        known = self.points if set(names) - {"neighbourhood"} else self.points[:CROWD]
        points = torch.from_numpy(known)
        found: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in names}
        rows = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float64))
        own = torch.tensor([self.places.get(key, -1) for key in keys], dtype=torch.long)
        neighbours = crowd(len(points)) if squares and "neighbourhood" in names else RECALLED
        size = max(1, _PIECE_NUMBERS // max(len(points), neighbours * x.shape[1]))
        for piece, places in zip(rows.split(size), own.split(size), strict=True):
            search = _Search.from_rows(piece, points, places)
            for name in names:
                found[name].append(_COMPARE[name](search, squares))
        return {name: _joined(parts, x.shape[1]) for name, parts in found.items()}


def _joined(parts: list[tuple[Tensor, Tensor]], width: int) -> Look:
    distances, squares = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
    return Look(distances, squares.reshape(-1, width))


def crowd(n: int) -> int:
    """Counts how many of n rows make a neighbourhood, where one of the n is the row itself."""
    return max(1, round(SHARE * max(min(n, CROWD) - 1, 1)))


@dataclass(frozen=True)
class _Search:
    """Rows together with their distances from all points.

    Attributes:
        rows: (N, P).
        points: (M, P).
        order: (N, M) squared distances but for the squared length of the row, which is the same along
            a row; infinite between a row and itself.
        lengths: (N, 1) squared lengths of the rows.
    """

    rows: Tensor
    points: Tensor
    order: Tensor
    lengths: Tensor

    @classmethod
    def from_rows(cls, rows: Tensor, points: Tensor, own: Tensor) -> _Search:
        order = torch.addmm(points.square().sum(1), rows, points.T, alpha=-2)
        inside = (own >= 0) & (own < len(points))
        order[inside, own[inside]] = torch.inf
        return cls(rows, points, order, rows.square().sum(1, keepdim=True))

    @cached_property
    def differences(self) -> Tensor:
        """Differences (N, K, P) from the nearest points to the rows, the nearest first."""
        k = min(RECALLED, max(len(self.points) - 1, 1))
        return self.rows[:, None] - self.points[self.nearest(self.order, k)]

    def nearest(self, order: Tensor, k: int) -> Tensor:
        """Finds the numbers (N, k) of the nearest points."""
        # In float32 rounding does not decide between points that are equally near.
        return order.float().topk(k, largest=False).indices


def _near(search: _Search, squares: bool) -> tuple[Tensor, Tensor]:
    parts = search.differences[:, 0].square()
    # A row that is all there is to remember has itself for a neighbour.
    return parts.sum(1).sqrt(), parts if squares else parts[:0]


def _put_together(search: _Search, squares: bool) -> tuple[Tensor, Tensor]:
    differences = search.differences
    parts = (_weights(differences).transpose(1, 2) @ differences).squeeze(1).square()
    return parts.sum(1).sqrt(), parts if squares else parts[:0]


def _around(search: _Search, squares: bool) -> tuple[Tensor, Tensor]:
    order = search.order[:, :CROWD]
    k = crowd(len(search.points))
    near = torch.from_numpy(np.partition(order.numpy(), k - 1, axis=1)[:, :k]) + search.lengths
    near = torch.where(near > 2e-13 * search.lengths, near, 0.0)  # else it is rounding
    # Infinite is a row that is all there is to remember.
    distances = near.nan_to_num(posinf=0.0).mean(1).sqrt()
    if not squares:
        return distances, search.rows[:0]
    who = search.nearest(order, k)
    return distances, (search.rows[:, None] - search.points[who]).square().mean(1)


_COMPARE: Mapping[str, Callable[[_Search, bool], tuple[Tensor, Tensor]]] = {
    "nearest": _near,
    "recall": _put_together,
    "neighbourhood": _around,
}


def _weights(differences: Tensor) -> Tensor:
    """Solves for weights (N, K, 1) that rebuild rows from neighbours at differences (N, K, P).

    They sum to one and make the sum small; ties between them are broken by the ridge.
    """
    gram = differences @ differences.transpose(1, 2)
    k = differences.shape[1]
    ridge = (RIDGE / k) * gram.diagonal(dim1=1, dim2=2).sum(1)
    eye = torch.eye(k, dtype=gram.dtype)
    gram = gram + ridge.clamp_min(1e-100)[:, None, None] * eye
    factor = torch.linalg.cholesky(gram)
    weights = torch.cholesky_solve(gram.new_ones(len(gram), k, 1), factor)
    return weights / weights.sum(1, keepdim=True)


SHARE = 0.1  # of the rows is left out of training


def typical_rows(
    x: Array, keys: list[bytes], seed: int, share: float = SHARE, apart: Array | None = None
) -> Array:
    """Finds all rows but those that stand apart and those that lie farthest from a tenth of the others.

    A network that is wide enough learns a group of anomalies as it learns any rows, and then
    reconstructs them well. Whatever is far from most rows is better left out of its training: with
    clean data that costs little, with contaminated data it gains much (``docs/anomalies.md``).

    Args:
        x: (N, P) rows in comparable units, without gaps.
        keys: what tells them apart (``row_keys``).
        seed: of the rows they are compared with, where there are many.
        share: how many are left out, in [0, 1).
        apart: (N,) which rows are left out in any case.

    Returns:
        Numbers of the rows that are kept, in order.
    """
    far = Memory.from_points(x, keys, seed, CROWD).neighbourhood(x, keys).distances
    left_out = math.floor(share * len(x))
    if apart is not None:
        far = np.where(apart, np.inf, far)
        left_out = max(left_out, int(apart.sum()))
    kept = len(x) - left_out
    return np.sort(np.argsort(far, kind="stable")[:kept])
