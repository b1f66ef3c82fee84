"""Gaussian priors: the standard normal one, and one fitted to codes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from autoencode.distributions import basic as distributions
from autoencode.errors import DataError
from autoencode.randomness import standard_normal
from autoencode.types import Distribution

MAX_FULL = 2048

Posterior = Callable[[Tensor], Distribution]


class StandardNormal(nn.Module):
    """The standard normal prior N(0, I).

    Args:
        shape: shape of one latent.
    """

    anchor: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        # Tells the device and dtype to draw on; no weight, so never saved.
        self.register_buffer("anchor", torch.zeros(()), persistent=False)
        self.shape = shape

    def forward(self, posterior: Posterior | None, context: Tensor | None) -> Distribution:
        return distributions.StandardNormal(self.shape, self.anchor)


class FittedGaussian(nn.Module):
    """A Gaussian prior fitted to training codes; its covariance is full up to ``MAX_FULL`` units.

    Lets a plain autoencoder generate, as far as its codes are Gaussian (they need not be, see
    ``examples/generation_limits.py``). From Variational to Deterministic Autoencoders (Ghosh et al.,
    2020), https://arxiv.org/abs/1903.12436, studies priors fitted after training.

    Args:
        shape: shape of one latent.
    """

    kind = "gaussian"
    loc: Tensor
    factor: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        size = int(torch.Size(shape).numel())
        self.shape = shape
        # The covariance of a large feature map would be larger than any model.
        self.full = size <= MAX_FULL
        self.register_buffer("loc", torch.zeros(size))
        self.register_buffer("factor", torch.eye(size) if self.full else torch.ones(size))

    def fit(self, z: Tensor, seed: int = 0) -> FittedGaussian:
        """Takes mean and covariance from codes (N, *Z); needs at least two."""
        if len(z) < 2:
            raise DataError(f"a Gaussian prior needs at least 2 codes, got {len(z)}")
        flat = z.flatten(1).double()
        self.loc.copy_(flat.mean(0))
        variances = flat.var(0)
        # A code unit that never moves (a dead ReLU) has no variance; the ridge keeps the factor
        # defined and is far below anything the decoder can see.
        ridge = 1e-6 * variances.mean().clamp_min(1e-12)
        if self.full:
            covariance = torch.cov(flat.T).reshape(len(variances), len(variances))
            covariance.diagonal().add_(ridge)
            self.factor.copy_(torch.linalg.cholesky(covariance))
        else:
            self.factor.copy_((variances + ridge).sqrt())
        return self

    def forward(self, posterior: Posterior | None, context: Tensor | None) -> Distribution:
        if self.full:
            gaussian: Distribution = FullNormal(self.loc, scale_tril=self.factor, validate_args=False)
        else:
            gaussian = distributions.Normal(self.loc, self.factor.log())
        return Reshaped(gaussian, self.shape)


class FullNormal(torch.distributions.MultivariateNormal):
    """A Gaussian with a full covariance that is drawn with the noise of the call."""

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws (*sample_shape, Z), differentiable in both parameters."""
        noise = standard_normal((*sample_shape, *self.loc.shape), self.loc)
        drawn: Tensor = self.loc + (self.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)
        return drawn


class Reshaped:
    """A distribution over vectors seen as one over latents of another shape."""

    def __init__(self, base: Distribution, shape: tuple[int, ...]) -> None:
        self._base = base
        self._shape = shape

    @property
    def mean(self) -> Tensor:
        return self._base.mean.reshape(self._shape)

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        return self._base.rsample(sample_shape).reshape(*sample_shape, *self._shape)

    def log_prob(self, value: Tensor) -> Tensor:
        return self._base.log_prob(value.flatten(-len(self._shape)))
