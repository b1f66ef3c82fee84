"""PCA, the yardstick of every autoencoder of the same width."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from autoencode.data import Resident
from autoencode.types import Array, Batch

_CHUNK = 512


@dataclass(frozen=True)
class PCA:
    """Principal axes of examples as a model sees them.

    Attributes:
        mean: (D,) flat.
        axes: (width, D) orthonormal rows, largest variance first.
    """

    mean: Tensor
    axes: Tensor

    @classmethod
    def fit(cls, train: Resident, width: int) -> PCA:
        """The first ``width`` axes, from one pass over the data (its covariance, in float64).

        Missing values (NaN) count as the mean of what is known.
        """
        mean = train.mean().flatten().cpu().double()
        covariance = torch.zeros(len(mean), len(mean), dtype=torch.float64)
        for batch in train.batches(_CHUNK):
            centred = _centred(batch, mean)
            covariance.addmm_(centred.T, centred)
        axes = torch.linalg.eigh(covariance).eigenvectors.T.flip(0)[:width]
        return cls(mean.float(), axes.float())

    def transform(self, source: Resident) -> Array:
        """Coordinates (N, width) of the examples along the axes."""
        pieces = [_centred(b, self.mean) @ self.axes.T for b in source.batches(_CHUNK)]
        coordinates: Array = torch.cat(pieces).numpy()
        return coordinates

    def mse(self, source: Resident) -> float:
        """Mean squared error per known entry of reconstructing the examples."""
        total, known = 0.0, 0
        for batch in source.batches(_CHUNK):
            centred = _centred(batch, self.mean)
            rest = centred - (centred @ self.axes.T) @ self.axes
            if batch.mask is not None:
                rest = rest * batch.mask.flatten(1).cpu()
            total += float(rest.square().sum(dtype=torch.float64))
            known += rest.numel() if batch.mask is None else int(batch.mask.sum())
        return total / known


def _centred(batch: Batch, mean: Tensor) -> Tensor:
    """Examples (B, D) less the mean, in its dtype; what is missing is at the mean."""
    return (batch.x.flatten(1).cpu().to(mean.dtype) - mean).nan_to_num(nan=0.0)
