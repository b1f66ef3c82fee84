"""A metric on latents that is learned with the model."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from autoencode.distributions import InverseMetric
from autoencode.distributions.basic import full_precision

_MAX_LOG = 8.0  # of a diagonal entry; what is beyond it is no metric that float32 can hold


class LearnedMetric(nn.Module):
    """The inverse metric sum_i L_i L_i^T exp(-|z - c_i|^2 / T^2) + r I, learned from training examples.

    Geometry-Aware Hamiltonian Variational Auto-Encoder (Chadebec, Mantoux & Allassonniere, 2020),
    https://arxiv.org/abs/2010.11518. The centroids c_i are the codes of the examples, the lower
    triangular L_i what a network makes of them. The paper takes all training examples; here they are up
    to K of them, and their codes are computed anew whenever the metric is asked for.

    Args:
        network: examples (N, *D) to features (N, F).
        features: F.
        latent_dim: width of z.
        shape: D.
        n_examples: K.
        temperature: T.
        regularization: r.
    """

    examples: Tensor
    there: Tensor

    def __init__(
        self,
        network: nn.Module,
        features: int,
        latent_dim: int,
        shape: tuple[int, ...],
        n_examples: int = 200,
        temperature: float = 1.5,
        regularization: float = 0.01,
    ) -> None:
        super().__init__()
        self.network, self.latent_dim = network, latent_dim
        self.temperature, self.regularization = temperature, regularization
        self.heads = nn.Linear(features, latent_dim * (latent_dim + 1) // 2)
        self.register_buffer("examples", torch.zeros(n_examples, *shape))
        # 1 for each example that is there; there may be fewer than K to train on.
        self.register_buffer("there", torch.ones(n_examples))

    @property
    def n_examples(self) -> int:
        return len(self.examples)

    def start_at(self, x: Tensor) -> None:
        """Takes the examples x (up to K, *D) that span the metric."""
        with torch.no_grad():
            self.examples[: len(x)] = x
            self.there[:] = 0
            self.there[: len(x)] = 1

    def factors(self, x: Tensor) -> Tensor:
        """Computes L of examples (N, *D): lower triangular with a positive diagonal, (N, Z, Z)."""
        n = self.latent_dim
        heads = full_precision(self.heads(self.network(x)))
        diagonal = heads[:, :n].clamp(-_MAX_LOG, _MAX_LOG).exp()
        row, column = torch.tril_indices(n, n, -1, device=x.device)
        lower = heads.new_zeros(x.shape[0], n, n)
        lower[:, row, column] = heads[:, n:]
        return lower + torch.diag_embed(diagonal)

    def forward(self, codes: Callable[[Tensor], Tensor]) -> InverseMetric:
        """Makes the metric from the current parameters.

        Args:
            codes: examples (N, *D) to their codes (N, Z).
        """
        factors = self.factors(self.examples) * self.there[:, None, None]
        matrices = factors @ factors.mT
        return InverseMetric(codes(self.examples), matrices, self.temperature, self.regularization)
