"""A Riemannian metric on latents that is spanned by centroids, and the density of its volume."""

from __future__ import annotations

import torch
from torch import Tensor


class InverseMetric:
    """The inverse metric G^-1(z) = sum_i M_i exp(-|z - c_i|^2 / T^2) + r I, large near the centroids.

    Geometry-Aware Hamiltonian Variational Auto-Encoder (Chadebec, Mantoux & Allassonniere, 2020),
    https://arxiv.org/abs/2010.11518

    Args:
        centroids: c, (K, Z).
        matrices: M, (K, Z, Z), positive semidefinite.
        temperature: T, how far a centroid reaches.
        regularization: r, what is left far from all of them.

    >>> metric = InverseMetric(torch.zeros(1, 2), torch.eye(2)[None], 1.0, 0.5)
    >>> metric(torch.zeros(2)).tolist()
    [[1.5, 0.0], [0.0, 1.5]]
    """

    def __init__(
        self, centroids: Tensor, matrices: Tensor, temperature: float, regularization: float
    ) -> None:
        self.centroids, self.matrices = centroids, matrices
        self.temperature, self.regularization = temperature, regularization

    def __call__(self, z: Tensor) -> Tensor:
        """Computes G^-1 at latents (..., Z), positive definite matrices (..., Z, Z)."""
        n, c = z.shape[-1], self.centroids
        apart = z.square().sum(-1, keepdim=True) - 2 * z @ c.mT + c.square().sum(-1)
        reach = (-apart / self.temperature**2).exp()
        spanned: Tensor = (reach @ self.matrices.flatten(1)).unflatten(-1, (n, n))
        return spanned + self.regularization * torch.eye(n, device=z.device, dtype=z.dtype)

    def log_volume(self, z: Tensor) -> Tensor:
        """Computes the logarithm (...) of sqrt(det G^-1(z)) at latents (..., Z)."""
        return log_diagonal(cholesky(self(z)))


def cholesky(matrix: Tensor) -> Tensor:
    """Computes lower Cholesky factors of matrices (..., Z, Z); NaN where not positive definite."""
    factor, fault = torch.linalg.cholesky_ex(matrix)
    return torch.where((fault == 0)[..., None, None], factor, torch.nan)


def log_diagonal(factor: Tensor) -> Tensor:
    """Computes half the log-determinant of a matrix from its Cholesky factor (..., Z, Z)."""
    return factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
