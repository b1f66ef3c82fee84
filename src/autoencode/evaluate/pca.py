"""PCA, the yardstick of every autoencoder of the same width."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from autoencode.data import Resident
from autoencode.data.raw import Array

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
        """The first ``width`` axes, from one pass over the data (its covariance, in float64)."""
        mean = train.mean().flatten().cpu().double()
        covariance = torch.zeros(len(mean), len(mean), dtype=torch.float64)
        for batch in train.batches(_CHUNK):
            centred = batch.x.flatten(1).cpu().double() - mean
            covariance.addmm_(centred.T, centred)
        axes = torch.linalg.eigh(covariance).eigenvectors.T.flip(0)[:width]
        return cls(mean.float(), axes.float())

    def transform(self, source: Resident) -> Array:
        """Coordinates (N, width) of the examples along the axes."""
        pieces = [(b.x.flatten(1).cpu() - self.mean) @ self.axes.T for b in source.batches(_CHUNK)]
        coordinates: Array = torch.cat(pieces).numpy()
        return coordinates

    def mse(self, source: Resident) -> float:
        """Mean squared error per entry of reconstructing the examples."""
        total = 0.0
        for batch in source.batches(_CHUNK):
            centred = batch.x.flatten(1).cpu() - self.mean
            rest = centred - (centred @ self.axes.T) @ self.axes
            total += float(rest.square().sum(dtype=torch.float64))
        return total / (len(source) * len(self.mean))
