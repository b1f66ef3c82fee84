"""Priors that are fitted to the codes of a model after it was trained.

From Variational to Deterministic Autoencoders (Ghosh et al., 2020), https://arxiv.org/abs/1903.12436,
shows how much a model's samples gain by them.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor, nn

from autoencode.distributions import Autoregressive, FlowDensity, Inverse, UniformSphere
from autoencode.distributions import basic as distributions
from autoencode.errors import DataError, IncompatibleError, own_warnings
from autoencode.priors.gaussian import MAX_FULL, Posterior, Reshaped
from autoencode.randomness import choices, normal_entries
from autoencode.types import Distribution

_LEAST, _MOST = 10, 50  # Gaussians of a mixture
_CODES_FOR_EACH = 20  # of the numbers that a Gaussian has
_MAPS, _HIDDEN = 4, 64


def _flat_size(shape: tuple[int, ...]) -> int:
    return int(torch.Size(shape).numel())


class FittedMixture(nn.Module):
    """A prior that is a mixture of Gaussians with full covariances, fitted to codes.

    Args:
        shape: shape of one latent.
        n_components: how many Gaussians; by default as many as leave 20 codes for each of their numbers
            (mean and covariance), 10 to 50.
    """

    kind = "mixture"
    loc: Tensor
    factor: Tensor
    log_weights: Tensor

    def __init__(self, shape: tuple[int, ...], n_components: int | None = None) -> None:
        super().__init__()
        if n_components is not None and n_components < 1:
            raise IncompatibleError(f"a mixture has at least 1 Gaussian, got {n_components}")
        size = _flat_size(shape)
        if size > MAX_FULL:
            raise IncompatibleError(
                f"a mixture of full covariances takes codes of up to {MAX_FULL} entries, got {size}; "
                "use gaussian or maf"
            )
        self.shape = shape
        self._wanted = n_components
        k = n_components or _LEAST
        self.register_buffer("loc", torch.zeros(k, size))
        self.register_buffer("factor", torch.eye(size).repeat(k, 1, 1))
        self.register_buffer("log_weights", torch.zeros(k).log_softmax(0))

    @property
    def n_components(self) -> int:
        """Number of Gaussians, which fitting chooses where none was given."""
        return len(self.loc)

    def _components_for(self, n: int, size: int) -> int:
        numbers = size * (size + 3) // 2
        return self._wanted or min(max(n // (_CODES_FOR_EACH * numbers), _LEAST), _MOST)

    def fit(self, z: Tensor, seed: int = 0) -> FittedMixture:
        """Fits the mixture to codes (N, *Z) by scikit-learn's expectation maximisation."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        flat = z.flatten(1).double().cpu().numpy()
        k = self._components_for(*flat.shape)
        if len(flat) < 2 * k:
            raise DataError(f"a mixture of {k} Gaussians needs at least {2 * k} codes, got {len(flat)}")
        # In units of the codes, which may be of any size and anywhere; float32 then does, in half the
        # time.
        centre, size = flat.mean(0), float(flat.std()) or 1.0
        units = ((flat - centre) / size).astype(np.float32)
        with own_warnings():  # some clusters need no more than what 100 turns find
            warnings.simplefilter("ignore", ConvergenceWarning)
            found = GaussianMixture(k, reg_covar=1e-4, random_state=seed).fit(units)
        covariances = torch.from_numpy(found.covariances_).double()
        self.loc = self.loc.new_tensor(centre + size * found.means_)
        self.factor = (size * torch.linalg.cholesky(covariances)).to(self.factor)
        self.log_weights = torch.from_numpy(found.weights_).log().to(self.log_weights)
        return self

    def forward(self, posterior: Posterior | None, context: Tensor | None) -> Distribution:
        components = torch.distributions.MultivariateNormal(
            self.loc, scale_tril=self.factor, validate_args=False
        )
        return Reshaped(_FullMixture(components, self.log_weights), self.shape)


class _FullMixture:
    """The mixture of Gaussians with full covariances."""

    def __init__(self, components: torch.distributions.MultivariateNormal, log_weights: Tensor) -> None:
        self.components, self.log_weights = components, log_weights

    @property
    def mean(self) -> Tensor:
        return self.log_weights.exp() @ self.components.mean

    def log_prob(self, value: Tensor) -> Tensor:
        each: Tensor = self.components.log_prob(value.unsqueeze(-2))
        return (each + self.log_weights).logsumexp(-1)

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        n = sample_shape.numel()
        chosen = choices(self.log_weights.exp(), n, replacement=True)
        factor, loc = self.components.scale_tril[chosen], self.components.mean[chosen]
        noise = normal_entries(loc)
        drawn = loc + (factor @ noise[..., None]).squeeze(-1)
        return drawn.reshape(*sample_shape, loc.shape[-1])


class FittedSphere(nn.Module):
    """A prior of uniform directions, at the mean distance of the codes from their mean.

    Args:
        shape: shape of one latent.
    """

    kind = "sphere"
    loc: Tensor
    radius: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("loc", torch.zeros(_flat_size(shape)))
        self.register_buffer("radius", torch.ones(()))

    def fit(self, z: Tensor, seed: int = 0) -> FittedSphere:
        """Takes centre and radius from codes (N, *Z)."""
        flat = z.flatten(1).double()
        self.loc.copy_(flat.mean(0))
        self.radius.copy_((flat - flat.mean(0)).norm(dim=1).mean())
        return self

    def forward(self, posterior: Posterior | None, context: Tensor | None) -> Distribution:
        return Reshaped(_Moved(self.loc, self.radius), self.shape)


class _Moved:
    """The uniform distribution on a sphere of any centre and radius."""

    def __init__(self, loc: Tensor, radius: Tensor) -> None:
        self._loc, self._radius = loc, radius
        self._unit = UniformSphere(len(loc), loc)

    @property
    def mean(self) -> Tensor:
        return self._loc

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        return self._loc + self._radius * self._unit.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Computes the log-density on the sphere, taken at the direction of each value."""
        return self._unit.log_prob(value) - (len(self._loc) - 1) * self._radius.log()


class FittedFlow(nn.Module):
    """A prior that is a chain of autoregressive maps from codes to noise, trained by likelihood.

    Masked Autoregressive Flow for Density Estimation (Papamakarios et al., 2017),
    https://arxiv.org/abs/1705.07057; with ``inverse`` the maps of Improving Variational Inference with
    Inverse Autoregressive Flow (Kingma et al., 2016), https://arxiv.org/abs/1606.04934, which sample in
    one pass and are slow to train.

    Args:
        shape: shape of one latent.
        inverse: use each map backwards.
    """

    loc: Tensor
    scale: Tensor

    def __init__(self, shape: tuple[int, ...], inverse: bool = False) -> None:
        super().__init__()
        size = _flat_size(shape)
        self.shape, self.kind = shape, "iaf" if inverse else "maf"
        maps = [Autoregressive(size, _HIDDEN, reverse=bool(i % 2)) for i in range(_MAPS)]
        self.flows = nn.ModuleList([Inverse(m) for m in maps] if inverse else maps)
        self.register_buffer("loc", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))

    def fit(self, z: Tensor, seed: int = 0) -> FittedFlow:
        """Takes mean and scale from codes (N, *Z); the maps are trained afterwards."""
        flat = z.flatten(1).double()
        self.loc.copy_(flat.mean(0))
        self.scale.copy_(flat.std(0).clamp_min(1e-3 * float(flat.std().clamp_min(1e-6))))
        return self

    def forward(self, posterior: Posterior | None, context: Tensor | None) -> Distribution:
        base = distributions.StandardNormal((len(self.loc),), self.loc)
        return Reshaped(_Scaled(FlowDensity(list(self.flows), base), self.loc, self.scale), self.shape)


class _Scaled:
    """A density of codes, made of one of standardised codes."""

    def __init__(self, base: Distribution, loc: Tensor, scale: Tensor) -> None:
        self._base, self._loc, self._scale = base, loc, scale

    @property
    def mean(self) -> Tensor:
        return self._loc + self._scale * self._base.mean

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        return self._loc + self._scale * self._base.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        return self._base.log_prob((value - self._loc) / self._scale) - self._scale.log().sum()
