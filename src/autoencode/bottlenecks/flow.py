"""A Gaussian posterior transformed by normalising flows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from autoencode.bottlenecks.gaussian import DiagonalGaussian
from autoencode.errors import IncompatibleError
from autoencode.types import Distribution, Latent, Site


class FlowSample:
    """A posterior that knows the log-density of its own draws, and of nothing else.

    Args:
        z: (S, B, Z) the draws.
        log_density: (S, B) at them, nats.
        mean: (B, Z) some deterministic z for each example.
    """

    def __init__(self, z: Tensor, log_density: Tensor, mean: Tensor) -> None:
        self._z, self._log_density, self._mean = z, log_density, mean

    @property
    def mean(self) -> Tensor:
        return self._mean

    def log_prob(self, value: Tensor) -> Tensor:
        """Returns the log-density of the draws that this posterior was made with.

        Raises:
            IncompatibleError: for anything else, whose way back through the flow is not known.
        """
        if value is not self._z:
            raise IncompatibleError("a flow posterior knows the density of its own draws only")
        return self._log_density

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Returns the draws that this posterior was made with; it has no others."""
        return self._z


class FlowPosterior(nn.Module):
    """A bottleneck with z = f_T(... f_1(z_0)), z_0 Gaussian; the maps see the features.

    Variational Inference with Normalizing Flows (Rezende & Mohamed, 2015),
    https://arxiv.org/abs/1505.05770

    Args:
        base: q(z_0|x).
        flows: maps ``(z, h) -> (z, log_det)``, in order.
    """

    def __init__(self, base: DiagonalGaussian, flows: Sequence[nn.Module]) -> None:
        super().__init__()
        self.base = base
        self.flows = nn.ModuleList(flows)

    def _bend(self, z: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        total = z.new_zeros(z.shape[:-1])
        for flow in self.flows:
            z, log_det = flow(z, h)
            total = total + log_det
        return z, total

    def forward(self, h: Tensor, prior: Distribution | None, n_samples: int = 1) -> Latent:
        if prior is None:
            raise IncompatibleError("a flow posterior needs a prior; pass StandardNormal((dim,))")
        q = self.base.posterior(h)
        start = q.rsample(torch.Size((n_samples,)))
        z, log_det = self._bend(start, h)
        posterior = FlowSample(z, q.log_prob(start) - log_det, q.loc)
        return Latent(z, sites={"z": Site(z, posterior, prior)})

    def embed(self, h: Tensor) -> Tensor:
        """Takes the base's mean through the flow, (B, Z)."""
        return self._bend(self.base.embed(h), h)[0]
