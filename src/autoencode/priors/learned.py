"""Priors that are learned together with the model."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from autoencode.distributions import NormalMixture
from autoencode.distributions.basic import Normal
from autoencode.errors import IncompatibleError
from autoencode.priors.gaussian import Posterior
from autoencode.types import Distribution


class MixtureOfGaussians(nn.Module):
    """A learned prior of K Gaussians with diagonal covariances and their weights.

    The baseline of VAE with a VampPrior (Tomczak & Welling, 2017), https://arxiv.org/abs/1705.07120

    Args:
        dim: Z.
        n_components: K.
    """

    def __init__(self, dim: int, n_components: int) -> None:
        super().__init__()
        self.loc = nn.Parameter(torch.randn(n_components, dim))
        self.log_scale = nn.Parameter(torch.zeros(n_components, dim))
        self.logits = nn.Parameter(torch.zeros(n_components))

    def forward(self, posterior: Posterior | None, context: Tensor | None) -> Distribution:
        return NormalMixture(Normal(self.loc, self.log_scale.clamp(-8.0, 8.0)), self.logits)


class Vamp(nn.Module):
    """The VampPrior: the mean of the model's own posteriors at K learned pseudo-inputs.

    VAE with a VampPrior (Tomczak & Welling, 2017), https://arxiv.org/abs/1705.07120. The pseudo-inputs
    start at training examples (``start_at``).

    Args:
        shape: D of the data.
        n_components: K.
        unit: keep the pseudo-inputs in [0, 1].
    """

    def __init__(self, shape: tuple[int, ...], n_components: int, unit: bool) -> None:
        super().__init__()
        self.unit = unit
        start = torch.randn(n_components, *shape)
        self.inputs = nn.Parameter(0.5 + 0.1 * start if unit else start)

    def forward(self, posterior: Posterior | None, context: Tensor | None) -> Distribution:
        if posterior is None or context is not None:
            raise IncompatibleError(
                "a VampPrior needs a bottleneck with a posterior of its own and no context; "
                "use MixtureOfGaussians"
            )
        mixed = posterior(self.inputs.clamp(0, 1) if self.unit else self.inputs)
        if not isinstance(mixed, Normal):
            raise IncompatibleError("a VampPrior needs a diagonal Gaussian posterior")
        return NormalMixture(mixed)

    @property
    def n_examples(self) -> int:
        """Number of training examples that ``start_at`` takes."""
        return len(self.inputs)

    def start_at(self, x: Tensor) -> None:
        """Makes the examples x (up to K, *D) the first pseudo-inputs."""
        with torch.no_grad():
            self.inputs[: len(x)] = x
