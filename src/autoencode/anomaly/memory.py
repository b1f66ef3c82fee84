"""What training rows are remembered, and how a row compares with the nearest of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from autoencode.data.raw import Array

ROWS = 10_000  # that are remembered; of more, these are drawn
RECALLED = 20  # neighbours that a row is put together from
RIDGE = 0.1  # share of the neighbours' mean squared distance that steadies their weights
CROWD = 1_000  # remembered rows of which a neighbourhood is a part
SHARE = 0.1  # of the crowd makes a neighbourhood
_PIECE_NUMBERS = 4_000_000  # float64 numbers of one piece of work, 32 MB


def row_keys(x: Array) -> list[bytes]:
    """What tells rows (N, *D) apart, whatever dtype they come in."""
    wide = np.ascontiguousarray(x, dtype=np.float32).reshape(len(x), -1) + np.float32(0.0)
    return [row.tobytes() for row in wide]


@dataclass(frozen=True)
class Look:
    """How N rows compare with a memory.

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
    - ``neighbourhood``: root mean square distance to the nearest tenth of the rows (of 1 000 of
      them). A group of anomalies has near neighbours, but not that many.

    A remembered row is compared with the others only: the row with its key is left out.

    Attributes:
        points: (M, P) the remembered rows.
        places: where the row with some key is.

    Example:
        >>> points = np.array([[0.0], [1.0], [3.0]])
        >>> memory = Memory.of(points, row_keys(points))
        >>> memory.nearest(points, row_keys(points)).distances.tolist()
        [1.0, 1.0, 2.0]
    """

    points: Array
    places: Mapping[bytes, int] = field(repr=False)

    @classmethod
    def of(cls, points: Array, keys: list[bytes], seed: int = 0, rows: int = ROWS) -> Memory:
        """A memory of these rows (N, P), or of some of them where there are more than ``rows``."""
        order = np.random.default_rng(seed).permutation(len(points))[:rows]
        wide = np.ascontiguousarray(points[order], dtype=np.float64)
        return cls(wide, {keys[row]: place for place, row in enumerate(order)})

    def nearest(self, x: Array, keys: list[bytes], squares: bool = False) -> Look:
        """Rows (N, P) beside the nearest of the memory."""
        return self.nearest_and_recall(x, keys, squares)[0]

    def recall(self, x: Array, keys: list[bytes], squares: bool = False) -> Look:
        """Rows (N, P) beside what is put together from the nearest."""
        return self.nearest_and_recall(x, keys, squares)[1]

    def neighbourhood(self, x: Array, keys: list[bytes], squares: bool = False) -> Look:
        """Rows (N, P) beside the nearest tenth of the memory."""
        crowd = torch.from_numpy(self.points[:CROWD])
        k = max(1, round(SHARE * max(len(crowd) - 1, 1)))
        distances, parts = [], [np.zeros((0, x.shape[1]))]
        for rows, own in self._pieces(x, keys, len(crowd) + (k * x.shape[1] if squares else 0)):
            near, who = _nearest(rows, crowd, torch.where(own < len(crowd), own, -1), k)
            distances.append(near.mean(1).sqrt().numpy())
            if squares:
                parts.append((rows[:, None] - crowd[who]).square().mean(1).numpy())
        return Look(np.concatenate(distances), np.concatenate(parts))

    def nearest_and_recall(
        self, x: Array, keys: list[bytes], squares: bool = False
    ) -> tuple[Look, Look]:
        """Both from one search."""
        points = torch.from_numpy(self.points)
        k = min(RECALLED, max(len(points) - 1, 1))
        found: list[list[Tensor]] = []
        for rows, own in self._pieces(x, keys, max(len(points), k * x.shape[1])):
            _, who = _nearest(rows, points, own, k)
            differences = rows[:, None] - points[who]
            first = differences[:, 0].square()
            rest = (differences * _weights(differences)).sum(1).square()
            found.append([first.sum(1).sqrt(), rest.sum(1).sqrt(), *([first, rest] if squares else [])])
        near, put, *parts = (torch.cat(piece).numpy() for piece in zip(*found, strict=True))
        none = np.zeros((0, x.shape[1]))
        first_parts, rest_parts = parts or (none, none)
        return Look(near, first_parts), Look(put, rest_parts)

    def _pieces(self, x: Array, keys: list[bytes], wide: int) -> list[tuple[Tensor, Tensor]]:
        """Rows and the places (-1 for none) they have in the memory, some at a time."""
        rows = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float64))
        own = torch.tensor([self.places.get(key, -1) for key in keys], dtype=torch.long)
        size = max(1, _PIECE_NUMBERS // wide)
        return list(zip(rows.split(size), own.split(size), strict=True))


def _nearest(rows: Tensor, points: Tensor, own: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Squared distances to the k nearest points and which they are, (N, k) each."""
    lengths = points.square().sum(1)
    order = torch.addmm(lengths, rows, points.T, alpha=-2)  # without |x|², the same along a row
    inside = own >= 0
    order[inside, own[inside]] = torch.inf
    # In float32 rounding does not decide between points that are equally near.
    who = order.float().topk(k, largest=False).indices
    own_lengths = rows.square().sum(1, keepdim=True)
    near = order.gather(1, who) + own_lengths
    near = torch.where(near > 1e-13 * (own_lengths + lengths[who]), near, 0.0)  # else it is rounding
    # Infinite is a row that is all there is to remember.
    return near.nan_to_num(posinf=0.0), who


def _weights(differences: Tensor) -> Tensor:
    """Weights (N, K, 1) that put rows together from their neighbours, given (N, K, P) differences.

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
