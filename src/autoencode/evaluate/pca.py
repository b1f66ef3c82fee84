"""PCA, the yardstick of every autoencoder of the same width.

Up to 4 096 columns the axes are exact, from the covariance. Beyond that the covariance would not fit
(100 000 columns: 80 GB), and the axes come from randomised subspace iteration [1]_. Its error is never
below the optimum on the rows it learns from; ``MOST_ENTRIES`` and ``MOST_WORK`` bound what it takes.

.. [1] Finding Structure with Randomness (Halko, Martinsson & Tropp, 2011),
   https://arxiv.org/abs/0909.4061
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autoencode.data import Resident
from autoencode.evaluate.measures import TooDear
from autoencode.types import Array, Batch

#: Columns up to which axes are exact: a covariance of 134 MB.
EXACT_COLUMNS = 4096
#: Entries of a block of directions (D, width + 10); three such are held at once, 400 MB of float32.
MOST_ENTRIES = 1 << 25
#: Multiplications and additions that finding the axes may take, some minute of one core.
MOST_WORK = 1e12

_CHUNK = 512
_CHUNK_ENTRIES = 1 << 22  # of rows that are brought together, 16 MB of float32
_MORE = 10  # directions beside those that are asked for
_PASSES = 8
_GAINED = 1e-4  # of the variance: a pass that gains less is the last


@dataclass(frozen=True)
class PCA:
    """Principal axes of examples, as a model sees these.

    Attributes:
        mean: (D,) flat.
        axes: (width, D) orthonormal rows, largest variance first; fewer where more than 4 096 columns
            have fewer rows.
        n: how many examples they are learned from.
        exact: whether they are exact, or found by randomised subspace iteration.
    """

    mean: Tensor
    axes: Tensor
    n: int = 0
    exact: bool = True

    @classmethod
    def fit(cls, train: Resident, width: int) -> PCA:
        """Finds the first ``width`` axes.

        Missing values (NaN) count as the mean of what is known. Where all rows would take more than
        ``MOST_WORK``, the axes are learned from as many of them as do not, chosen at random.

        Raises:
            TooDear: when the axes would take more than ``MOST_ENTRIES``, or too few rows could be used.
        """
        mean = train.mean().flatten().cpu().double()
        if len(mean) > EXACT_COLUMNS:
            return _iterated(train, mean.float(), width)
        rows = _affordable(len(train), 2 * len(mean) ** 2, len(mean))
        covariance = torch.zeros(len(mean), len(mean), dtype=torch.float64)
        for batch in _batches(train, rows, len(mean)):
            centred = _centred(batch, mean)
            covariance.addmm_(centred.T, centred)
        axes = torch.linalg.eigh(covariance).eigenvectors.T.flip(0)[:width]
        return cls(mean.float(), axes.float(), len(train) if rows is None else len(rows))

    @property
    def how(self) -> str:
        """What a reader must know to compare."""
        way = "" if self.exact else " by randomised subspace iteration"
        return f"{len(self.axes)} components, fitted on {self.n} training examples{way}"

    def transform(self, source: Resident) -> Array:
        """Computes coordinates (N, width) of the examples along the axes."""
        batches = _batches(source, None, len(self.mean))
        pieces = [_centred(batch, self.mean) @ self.axes.T for batch in batches]
        coordinates: Array = torch.cat(pieces).numpy()
        return coordinates

    def mse(self, source: Resident) -> float:
        """Computes the mean squared error per known entry of reconstructing the examples."""
        total, known = 0.0, 0
        for batch in _batches(source, None, len(self.mean)):
            centred = _centred(batch, self.mean)
            rest = centred - (centred @ self.axes.T) @ self.axes
            if batch.mask is not None:
                rest = rest * batch.mask.flatten(1).cpu()
            total += float(rest.square().sum(dtype=torch.float64))
            known += rest.numel() if batch.mask is None else int(batch.mask.sum())
        return total / known


def _iterated(train: Resident, mean: Tensor, width: int) -> PCA:
    """The axes by subspace iteration: each pass multiplies a block of directions by the covariance.

    It ends when a pass gains less than 1 in 10 000 of the variance that is explained.
    """
    size, block = len(mean), min(width + _MORE, len(train))
    if size * block > MOST_ENTRIES:
        raise TooDear(
            f"PCA of {width} components of {size} columns would take more than "
            f"{MOST_ENTRIES * 12 / 1e6:.0f} MB"
        )
    rows = _affordable(len(train), 4 * size * block * _PASSES, 2 * block)
    random = torch.Generator().manual_seed(0)
    axes = torch.linalg.qr(torch.randn(size, block, generator=random)).Q
    before = 0.0
    for _ in range(_PASSES):
        # Rayleigh and Ritz: within the directions there are, those of the largest variance.
        image, inner = torch.zeros_like(axes), torch.zeros(block, block, dtype=torch.float64)
        for batch in _batches(train, rows, size):
            centred = _centred(batch, mean)
            along = centred @ axes
            image.addmm_(centred.T, along)
            inner.addmm_(along.double().T, along.double())
        explained = float(inner.trace())
        axes = torch.linalg.qr(image).Q
        if explained - before <= _GAINED * explained:
            break
        before = explained
    inner = torch.zeros(block, block, dtype=torch.float64)
    for batch in _batches(train, rows, size):
        along = (_centred(batch, mean) @ axes).double()
        inner.addmm_(along.T, along)
    turn = torch.linalg.eigh(inner).eigenvectors.flip(1)[:, :width].float()
    return PCA(mean, (axes @ turn).T, len(train) if rows is None else len(rows), exact=False)


def _affordable(n: int, work_of_a_row: int, least: int) -> Tensor | None:
    """The numbers of the rows to learn from, ``None`` for all n.

    Raises:
        TooDear: when fewer than ``least`` of the n rows can be afforded.
    """
    most = int(MOST_WORK // work_of_a_row)
    if n <= most:
        return None
    if most < min(n, least):
        raise TooDear(f"PCA could be fitted on no more than {most} of {n} examples in reasonable time")
    return torch.from_numpy(np.sort(np.random.default_rng(0).permutation(n)[:most]))


def _batches(source: Resident, rows: Tensor | None, size: int) -> Iterator[Batch]:
    """The examples in order, or those with these numbers: as many together as memory allows."""
    n = max(1, min(_CHUNK, _CHUNK_ENTRIES // size))
    if rows is None:
        yield from source.batches(n)
        return
    for some in rows.to(source.device).split(n):
        yield source.batch(some)


def _centred(batch: Batch, mean: Tensor) -> Tensor:
    """Subtracts the mean from examples (B, D), in its dtype; what is missing is put at the mean."""
    return (batch.x.flatten(1).cpu().to(mean.dtype) - mean).nan_to_num(nan=0.0)
