"""Denoising: the encoder sees a corrupted x, the target stays clean.

Extracting and Composing Robust Features with Denoising Autoencoders (Vincent et al., 2008),
https://www.cs.toronto.edu/~larocheh/publications/icml-2008-denoising-autoencoders.pdf
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from autoencode.randomness import normal_like, uniform_like
from autoencode.types import Batch, Losses, Model, Objective, Output, Progress

Corruption = Callable[[Tensor, float], Tensor]


def gaussian(x: Tensor, level: float) -> Tensor:
    """Adds Gaussian noise of standard deviation ``level``."""
    return x + level * normal_like(x)


def masking(x: Tensor, level: float) -> Tensor:
    """Sets a share ``level`` of the entries to zero."""
    return x * (uniform_like(x) >= level)


def salt_and_pepper(x: Tensor, level: float) -> Tensor:
    """Sets a share ``level`` of the entries to 0 or 1, each as often."""
    u = uniform_like(x)
    return torch.where(u < level / 2, 0.0, torch.where(u < level, 1.0, x))


def missing(x: Tensor, level: float) -> Tensor:
    """Hides a share ``level`` of the entries: they become NaN, as what was never observed."""
    return torch.where(uniform_like(x) < level, torch.nan, x)


CORRUPTIONS: dict[str, Corruption] = {
    "gaussian": gaussian,
    "masking": masking,
    "salt_and_pepper": salt_and_pepper,
    "missing": missing,
}


class Corrupted:
    """An objective that is asked to explain the clean target from a corrupted x.

    Args:
        objective: any objective.
        corruption: ``(x, level) -> x``; one of ``CORRUPTIONS`` or the user's own.
        level: its strength.
    """

    def __init__(self, objective: Objective, corruption: Corruption, level: float) -> None:
        self.objective = objective
        self.corruption = corruption
        self.level = level
        self.unit = objective.unit

    def __call__(self, model: Model, batch: Batch, progress: Progress) -> Losses:
        noisy = replace(batch, x=self.corruption(batch.x, self.level))
        return self.objective(model, noisy, progress)

    def check(self, output: Output) -> None:
        """What the wrapped objective asks for."""
        self.objective.check(output)
