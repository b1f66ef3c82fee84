"""Relaxed categorical distributions, whose draws can be differentiated."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from autoencode.randomness import standard_normal
from autoencode.types import Distribution

_SQRT_2 = math.sqrt(2.0)


def gumbel(shape: tuple[int, ...], like: Tensor, axis: int) -> Tensor:
    """Draws samples from the standard Gumbel distribution.

    Args:
        shape: of the result.
        like: dtype and device.
        axis: along which the examples of the batch lie; negative where none do.
    """
    normal = standard_normal(shape, like, axis if axis >= 0 else None)
    # A uniform number from a normal one, so that all noise has one source.
    u = 0.5 * torch.erfc(normal / _SQRT_2)
    tiny = torch.finfo(u.dtype).tiny
    return -torch.log(-torch.log(u.clamp(tiny, 1 - 1e-7)))


class RelaxedCategorical:
    """V categorical variables of C categories; draws are points of the simplex near its corners.

    Categorical Reparameterization with Gumbel-Softmax (Jang et al., 2016),
    https://arxiv.org/abs/1611.01144; The Concrete Distribution (Maddison et al., 2016),
    https://arxiv.org/abs/1611.00712. ``kl`` is that of the categories themselves, ``log_prob`` the
    density of the relaxed draws.

    Args:
        logits: (..., V, C).
        temperature: of the relaxation; draws are corners at 0.
    """

    def __init__(self, logits: Tensor, temperature: float) -> None:
        self.logits = logits.log_softmax(-1)
        self.temperature = temperature

    @property
    def mean(self) -> Tensor:
        """Probabilities of the categories, (..., V * C)."""
        return self.logits.exp().flatten(-2)

    def detached(self) -> RelaxedCategorical:
        """Returns this distribution with its parameters held fixed."""
        return RelaxedCategorical(self.logits.detach(), self.temperature)

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draws samples (*sample_shape, ..., V * C)."""
        shape = (*sample_shape, *self.logits.shape)
        noise = gumbel(shape, self.logits, len(shape) - 3)
        return ((self.logits + noise) / self.temperature).softmax(-1).flatten(-2)

    def log_prob(self, value: Tensor) -> Tensor:
        """Computes the log-density of relaxed draws (..., V * C) on the simplices, nats."""
        n = self.logits.shape[-1]
        log_value: Tensor = value.unflatten(-1, self.logits.shape[-2:]).clamp_min(1e-30).log()
        score = self.logits - self.temperature * log_value
        constant = math.lgamma(n) + (n - 1) * math.log(self.temperature)
        each = score.sum(-1) - n * score.logsumexp(-1) - log_value.sum(-1) + constant
        return each.sum(-1)

    def kl(self, prior: Distribution) -> Tensor | None:
        """Computes the KL of the categories to uniform ones, nats; ``None`` against anything else."""
        if not isinstance(prior, UniformCategorical):
            return None
        entries: Tensor = self.logits.exp() * self.logits
        return (entries.sum(-1) + math.log(self.logits.shape[-1])).sum(-1)


class UniformCategorical(RelaxedCategorical):
    """V categorical variables whose categories are equally probable; draws are corners."""

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draws one-hot vectors (*sample_shape, V * C)."""
        relaxed = super().rsample(sample_shape).unflatten(-1, self.logits.shape[-2:])
        return F.one_hot(relaxed.argmax(-1), relaxed.shape[-1]).to(relaxed.dtype).flatten(-2)
