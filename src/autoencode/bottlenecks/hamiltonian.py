"""Bottlenecks whose draws follow p(x, z) by Hamiltonian dynamics.

A draw z_0 of a Gaussian gets a random momentum, and both move along the energy -log p(x, z) + kinetic
energy by leapfrog steps, which keep the volume and can be gone back. So the density of where they end
is known but for the slope of the energy, and that needs the decoder, which the model lends
(``ModelAccess``).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from autoencode.bottlenecks.flow import FlowSample
from autoencode.bottlenecks.gaussian import DiagonalGaussian
from autoencode.bottlenecks.metric import LearnedMetric
from autoencode.distributions import InverseMetric, cholesky, log_diagonal
from autoencode.errors import IncompatibleError
from autoencode.randomness import standard_normal
from autoencode.types import Distribution, Latent, ModelAccess, Site

Energy = Callable[[Tensor], Tensor]
Tempering = Literal["none", "quadratic"]


class Hamiltonian(nn.Module):
    """A bottleneck whose z is a draw of q(z_0|x), moved by K leapfrog steps.

    Hamiltonian Variational Auto-Encoder (Caterini, Doucet & Sejdinovic, 2018),
    https://arxiv.org/abs/1805.11328. Momenta start hot, at 1 / beta_0, and are cooled after each step
    by the paper's fixed, quadratic tempering. A step size for each dimension, and beta_0, are learned.

    The site's log-density is that of z_K and the last momentum less the log-density N(0, I) of the
    latter: its log-ratio with the prior makes exact bounds, and exact weights of importance sampling,
    over both together.

    Args:
        base: q(z_0|x).
        latent_dim: width of z.
        n_steps: K.
        step_size: at the start, in (0, ``most``).
        most: no step grows beyond it.
        tempering: quadratic, or none.
        temperature: 1 / beta_0 at the start, above 1.
    """

    asks_model = True

    def __init__(
        self,
        base: DiagonalGaussian,
        latent_dim: int,
        n_steps: int = 5,
        step_size: float = 0.05,
        most: float = 0.5,
        tempering: Tempering = "quadratic",
        temperature: float = 2.0,
    ) -> None:
        super().__init__()
        if not 0 <= step_size < most:
            raise IncompatibleError(f"the step size must lie in [0, {most}), got {step_size}")
        if not temperature > 1:
            raise IncompatibleError(f"momenta start at a temperature above 1, got {temperature}")
        self.base, self.n_steps, self.most, self.tempering = base, n_steps, most, tempering
        share = step_size / most
        raw = math.log(share / (1 - share)) if share else -math.inf
        self.raw_step = nn.Parameter(torch.full((latent_dim,), raw))
        if tempering == "quadratic":
            self.raw_beta = nn.Parameter(torch.tensor(-math.log(temperature - 1)))

    @property
    def step_size(self) -> Tensor:
        """Step size of each dimension, (Z,)."""
        return self.most * torch.sigmoid(self.raw_step)

    def coolings(self) -> list[Tensor]:
        """Computes the factors of the momenta: one before the first step, then one after each."""
        if self.tempering == "none":
            return [torch.ones_like(self.raw_step[0])] * (self.n_steps + 1)
        return quadratic_tempering(torch.sigmoid(self.raw_beta).sqrt(), self.n_steps)

    def _move(self, z: Tensor, momentum: Tensor, energy: Energy) -> tuple[Tensor, Tensor]:
        """Moves latents and momenta (S, B, Z) of temperature 1 by tempered steps."""

        def step(z: Tensor, momentum: Tensor) -> tuple[Tensor, Tensor]:
            return leapfrog(z, momentum, energy, self.step_size)

        return _tempered(z, momentum, self.coolings(), step)

    def forward(
        self, h: Tensor, prior: Distribution | None, n_samples: int = 1, lent: ModelAccess | None = None
    ) -> Latent:
        energy = _energy(lent)
        q = self.base.posterior(h)
        start = q.rsample(torch.Size((n_samples,)))
        first = standard_normal(tuple(start.shape), start, 1)
        z, last = self._move(start, first, energy)
        # Heat and coolings multiply to 1, so that the volume is kept; the constants of both momenta
        # cancel.
        momenta = 0.5 * (last.square() - first.square()).sum(-1)
        return _moved(z, FlowSample(z, q.log_prob(start) + momenta, q.loc), prior)

    def embed(self, h: Tensor, lent: ModelAccess | None = None) -> Tensor:
        """Moves the mean of q(z_0|x) from rest, (B, Z)."""
        start = self.base.embed(h).unsqueeze(0)
        return self._move(start, torch.zeros_like(start), _energy(lent))[0].squeeze(0)


class RiemannianHamiltonian(nn.Module):
    """A bottleneck whose z is a draw of q(z_0|x), moved by K steps along a learned metric.

    Geometry-Aware Hamiltonian Variational Auto-Encoder (Chadebec, Mantoux & Allassonniere, 2020),
    https://arxiv.org/abs/2010.11518. Momenta are drawn from N(0, G(z_0)), and steps are those of the
    generalised leapfrog, whose equations are solved by some turns of a fixed-point iteration: its
    volume is kept as far as they are solved.

    Args:
        base: q(z_0|x).
        metric: G^-1.
        n_steps: K.
        step_size: of each.
        temperature: 1 / beta_0 of the quadratic tempering.
        n_turns: of the fixed-point iteration.
    """

    asks_model = True

    def __init__(
        self,
        base: DiagonalGaussian,
        metric: LearnedMetric,
        n_steps: int = 3,
        step_size: float = 0.01,
        temperature: float = 2.0,
        n_turns: int = 3,
    ) -> None:
        super().__init__()
        self.base, self.metric = base, metric
        self.n_steps, self.step_size, self.n_turns = n_steps, step_size, n_turns
        self.temperature = temperature

    def inverse_metric(self, features: Callable[[Tensor], Tensor]) -> InverseMetric:
        """Computes the inverse metric G^-1 from the current parameters.

        Args:
            features: examples (N, *D) to the encoder's features (N, F).
        """
        return self.metric(lambda x: self.base.embed(features(x)))  # type: ignore[no-any-return]

    def _move(
        self, z: Tensor, momentum: Tensor, energy: Energy, inverse: InverseMetric
    ) -> tuple[Tensor, Tensor]:
        def step(z: Tensor, momentum: Tensor) -> tuple[Tensor, Tensor]:
            return generalised_leapfrog(z, momentum, energy, inverse, self.step_size, self.n_turns)

        root = torch.tensor(self.temperature, device=z.device, dtype=z.dtype).rsqrt()
        return _tempered(z, momentum, quadratic_tempering(root, self.n_steps), step)

    def forward(
        self, h: Tensor, prior: Distribution | None, n_samples: int = 1, lent: ModelAccess | None = None
    ) -> Latent:
        energy = _energy(lent)
        assert lent is not None
        inverse = self.inverse_metric(lent.features)
        q = self.base.posterior(h)
        start = q.rsample(torch.Size((n_samples,)))
        noise = standard_normal(tuple(start.shape), start, 1)
        factor = cholesky(inverse(start))
        # G = F^-T F^-1, of which F^-T is a square root.
        first = torch.linalg.solve_triangular(factor.mT, noise.unsqueeze(-1), upper=True).squeeze(-1)
        z, last = self._move(start, first, energy, inverse)
        log_first = log_diagonal(factor) - 0.5 * noise.square().sum(-1)
        momenta = log_first - _log_momentum(last, inverse(z))
        return _moved(z, FlowSample(z, q.log_prob(start) + momenta, q.loc), prior)

    def embed(self, h: Tensor, lent: ModelAccess | None = None) -> Tensor:
        """Moves the mean of q(z_0|x) from rest, (B, Z)."""
        energy = _energy(lent)
        assert lent is not None
        start = self.base.embed(h).unsqueeze(0)
        inverse = self.inverse_metric(lent.features)
        return self._move(start, torch.zeros_like(start), energy, inverse)[0].squeeze(0)

    @property
    def n_examples(self) -> int:
        """Number of training examples that ``start_at`` takes."""
        return self.metric.n_examples

    def start_at(self, x: Tensor) -> None:
        """Takes the examples x (up to K, *D) that span the metric."""
        self.metric.start_at(x)


def quadratic_tempering(root_beta: Tensor, n_steps: int) -> list[Tensor]:
    """Computes the factors of momenta at the start and after each step; their product is 1.

    Args:
        root_beta: square root of beta_0, in (0, 1].
        n_steps: K.

    >>> [round(float(f), 4) for f in quadratic_tempering(torch.tensor(0.5), 2)]
    [2.0, 0.875, 0.5714]
    """
    heats = [(1 - 1 / root_beta) * (k / n_steps) ** 2 + 1 / root_beta for k in range(n_steps + 1)]
    return [heats[0], *(after / before for before, after in itertools.pairwise(heats))]


def _tempered(
    z: Tensor,
    momentum: Tensor,
    factors: list[Tensor],
    step: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
) -> tuple[Tensor, Tensor]:
    """Moves z and momentum by steps; momentum is heated before the first and cooled after each."""
    heat, *coolings = factors
    momentum = heat * momentum
    for cooling in coolings:
        z, momentum = step(z, momentum)
        momentum = cooling * momentum
    return z, momentum


def leapfrog(
    z: Tensor, momentum: Tensor, energy: Energy, step_size: Tensor | float
) -> tuple[Tensor, Tensor]:
    """Takes one leapfrog step along energy(z) + |momentum|^2 / 2; reversible and volume-preserving.

    Args:
        z, momentum: (..., Z).
        energy: (..., Z) to (...).
        step_size: of each dimension or of all.
    """
    momentum = momentum - 0.5 * step_size * _slope(energy, z)
    z = z + step_size * momentum
    return z, momentum - 0.5 * step_size * _slope(energy, z)


def generalised_leapfrog(
    z: Tensor,
    momentum: Tensor,
    energy: Energy,
    inverse: InverseMetric,
    step_size: float,
    n_turns: int,
) -> tuple[Tensor, Tensor]:
    """Takes one step along energy(z) + (log det G(z) + momentum G^-1(z) momentum) / 2.

    Riemann manifold Langevin and Hamiltonian Monte Carlo methods (Girolami & Calderhead, 2011),
    https://doi.org/10.1111/j.1467-9868.2010.00765.x

    Args:
        z, momentum: (..., Z).
        energy: (..., Z) to (...).
        inverse: G^-1.
        step_size: of all dimensions.
        n_turns: of the fixed-point iterations that solve the two implicit equations.
    """
    half = 0.5 * step_size

    def kinetic(at: Tensor, moving: Tensor) -> Tensor:
        return -_log_momentum(moving, inverse(at))

    before = momentum - half * _slope(energy, z)
    momentum = before
    for _ in range(n_turns):
        momentum = before - half * _slope(lambda at, m=momentum: kinetic(at, m), z)  # type: ignore[misc]
    velocity = _times(inverse(z), momentum)
    new = z
    for _ in range(n_turns):
        new = z + half * (velocity + _times(inverse(new), momentum))
    after = momentum - half * _slope(lambda at: energy(at) + kinetic(at, momentum), new)
    return new, after


def _log_momentum(momentum: Tensor, inverse: Tensor) -> Tensor:
    """Computes log N(momentum; 0, G) up to its constant, from G^-1 (..., Z, Z)."""
    square = (momentum * _times(inverse, momentum)).sum(-1)
    return log_diagonal(cholesky(inverse)) - 0.5 * square


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    return (matrix @ vector.unsqueeze(-1)).squeeze(-1)


def _slope(energy: Energy, z: Tensor) -> Tensor:
    """Computes the gradient of the energy at z, differentiable where gradients are on.

    Raises:
        IncompatibleError: inside ``torch.export``, which traces no gradients.
    """
    if torch.compiler.is_exporting():
        raise IncompatibleError(
            "a Hamiltonian code follows the gradient of log p(x|z), which torch.export cannot trace; "
            "export the decoder alone, or use another recipe (vae)"
        )
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        # A tensor of its own: what else the energy hangs on (a momentum) may come from z, and is held.
        at = z.clone() if again and z.requires_grad else z.detach().requires_grad_()
        (slope,) = torch.autograd.grad(energy(at).sum(), at, create_graph=again)
    return slope


def _energy(lent: ModelAccess | None) -> Energy:
    """Makes the function -log p(x, z) of latents (S, B, Z) under N(0, I), up to a constant.

    Whatever prior a model gets after training: its posterior is the one that was trained.
    """
    if lent is None:
        raise IncompatibleError(
            "a Hamiltonian posterior needs the decoder; use it inside an AutoencoderModule"
        )
    return lambda z: 0.5 * z.square().sum(-1) - lent.log_likelihood(z)


def _moved(z: Tensor, posterior: FlowSample, prior: Distribution | None) -> Latent:
    if prior is None:
        raise IncompatibleError(
            "a Hamiltonian posterior needs a prior; pass prior=StandardNormal((latent_dim,))"
        )
    return Latent(z, sites={"z": Site(z, posterior, prior)})
