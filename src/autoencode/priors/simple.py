"""Priors without parameters, and priors made of priors."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from autoencode import distributions as densities
from autoencode.distributions.basic import Normal, full_precision
from autoencode.priors.gaussian import Posterior
from autoencode.types import Distribution


class _Anchored(nn.Module):
    """A base of priors without parameters, which knows the device and dtype to draw on."""

    anchor: Tensor

    def __init__(self) -> None:
        super().__init__()
        # No weight, so never saved.
        self.register_buffer("anchor", torch.zeros(()), persistent=False)


class UniformOnSphere(_Anchored):
    """A prior that is uniform on the unit sphere in ``dim`` dimensions."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, posterior: Posterior | None, context: Tensor | None) -> Distribution:
        return densities.UniformSphere(self.dim, self.anchor)


class HyperbolicNormal(_Anchored):
    """The prior N(0, I) wrapped onto a Poincaré ball at its centre.

    Args:
        dim: Z.
        ball: the space.
    """

    def __init__(self, dim: int, ball: densities.PoincareBall) -> None:
        super().__init__()
        self.dim, self.ball = dim, ball

    def forward(self, posterior: Posterior | None, context: Tensor | None) -> Distribution:
        zeros = self.anchor.new_zeros(self.dim)
        return densities.WrappedNormal(zeros, zeros, self.ball)


class UniformCategories(_Anchored):
    """A prior of categorical variables whose categories are equally probable.

    Args:
        n_variables, n_categories: of each latent.
        temperature: of the relaxation that log-densities are of.
    """

    def __init__(self, n_variables: int, n_categories: int, temperature: float) -> None:
        super().__init__()
        self.shape, self.temperature = (n_variables, n_categories), temperature

    def forward(self, posterior: Posterior | None, context: Tensor | None) -> Distribution:
        return densities.UniformCategorical(self.anchor.new_zeros(self.shape), self.temperature)


class PathPrior(nn.Module):
    """The prior that a top-down chain of latents contains.

    Args:
        path: owned by the model, which registers it.
    """

    def __init__(self, path: densities.ancestral.Path) -> None:
        super().__init__()
        self._path = [path]  # in a list, where no module is registered

    def forward(self, posterior: Posterior | None, context: Tensor | None) -> Distribution:
        return densities.Ancestral(self._path[0])


class JoinedPrior(nn.Module):
    """A prior of independent latents that stand side by side, each with a prior of its own.

    Args:
        parts: by the names of the sites.
    """

    def __init__(self, parts: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleDict(dict(parts))

    def forward(self, posterior: Posterior | None, context: Tensor | None) -> Distribution:
        return densities.Joined({name: part(None, context) for name, part in self.parts.items()})


class StackedPrior(nn.Module):
    """A prior of a standard normal u and a Gaussian z whose mean and scale a network makes of u.

    Args:
        top: the prior of u.
        network: u (N, U) to features (N, F).
        features: F.
        dim: width of z.
    """

    def __init__(self, top: nn.Module, network: nn.Module, features: int, dim: int) -> None:
        super().__init__()
        self.top, self.network = top, network
        self.heads = nn.Linear(features, 2 * dim)

    def _below(self, u: Tensor) -> Normal:
        h = self.network(u.reshape(-1, u.shape[-1]))
        loc, log_scale = full_precision(self.heads(h)).reshape(*u.shape[:-1], -1).chunk(2, dim=-1)
        return Normal(loc, log_scale.clamp(-8.0, 8.0))

    def forward(self, posterior: Posterior | None, context: Tensor | None) -> Distribution:
        return densities.Stacked(self.top(None, context), self._below)
