"""Hamiltonian Monte Carlo: draws from a density that is known up to its normalising constant."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from autoencode.randomness import normal_entries, uniform_entries

LogDensity = Callable[[Tensor], Tensor]


def hamiltonian_monte_carlo(
    log_density: LogDensity, start: Tensor, n_moves: int, n_steps: int, step_size: float
) -> Tensor:
    """Moves Markov chains ``n_moves`` times in a way that leaves a density invariant.

    MCMC Using Hamiltonian Dynamics (Neal, 2011), https://arxiv.org/abs/1206.1901

    Args:
        log_density: points (N, Z) to log-densities (N,), up to a constant.
        start: (N, Z) where the chains begin.
        n_moves: proposals; those that gain too much energy are turned down.
        n_steps: leapfrog steps of each.
        step_size: of a step.

    Returns:
        Where the chains are in the end, (N, Z).
    """
    with torch.inference_mode(False), torch.enable_grad():
        z = start.detach().clone()
        value, slope = _value_and_slope(log_density, z)
        for _ in range(n_moves):
            momentum = normal_entries(z)
            energy = value - 0.5 * momentum.square().sum(-1)
            new, new_value, new_slope = z, value, slope
            for _ in range(n_steps):
                momentum = momentum + 0.5 * step_size * new_slope
                new = new + step_size * momentum
                new_value, new_slope = _value_and_slope(log_density, new)
                momentum = momentum + 0.5 * step_size * new_slope
            gain = new_value - 0.5 * momentum.square().sum(-1) - energy
            taken = uniform_entries(gain).log() < gain
            z = torch.where(taken[:, None], new, z)
            slope = torch.where(taken[:, None], new_slope, slope)
            value = torch.where(taken, new_value, value)
        return z


def _value_and_slope(log_density: LogDensity, z: Tensor) -> tuple[Tensor, Tensor]:
    at = z.detach().requires_grad_()
    value = log_density(at)
    (slope,) = torch.autograd.grad(value.sum(), at)
    return value.detach(), slope
