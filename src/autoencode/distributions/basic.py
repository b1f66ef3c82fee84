"""The Gaussian and Bernoulli distributions that are evaluated at every training step.

They are the few lines of ``torch.distributions`` that training needs, without its argument checks and
broadcasting, which cost more than the arithmetic at small batch sizes. Anything with the interface of
a torch distribution can still stand where a prior is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from autoencode.randomness import bernoulli, standard_normal
from autoencode.types import Distribution

LOG_2PI = math.log(2 * math.pi)


def sum_event(values: Tensor, event_dims: int) -> Tensor:
    """Sums over the last ``event_dims`` axes, which turns entries into nats per example."""
    return values.sum(dim=tuple(range(-event_dims, 0))) if event_dims else values


def full_precision(values: Tensor) -> Tensor:
    """Converts values to at least float32: bfloat16 is too coarse for densities."""
    return values.float() if values.dtype == torch.bfloat16 else values


class Normal:
    """A Gaussian with diagonal covariance whose last ``event_dims`` axes are one event.

    Args:
        loc: mean, batch shape then event shape.
        log_scale: logarithm of the standard deviation, broadcasts against ``loc``.
        event_dims: how many trailing axes belong to one draw.

    >>> q = Normal(torch.zeros(2, 3), torch.zeros(2, 3))
    >>> q.kl(Normal(torch.zeros(3), torch.zeros(3))).tolist()
    [0.0, 0.0]
    """

    def __init__(self, loc: Tensor, log_scale: Tensor, event_dims: int = 1) -> None:
        self.loc = loc
        self.log_scale = log_scale
        self.event_dims = event_dims

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def scale(self) -> Tensor:
        """Standard deviation."""
        return self.log_scale.exp()

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draws samples of ``sample_shape`` + batch + event, differentiable in both parameters."""
        shape = (*sample_shape, *self.loc.shape)
        # The examples of the batch lie along the last axis before the event.
        axis = len(shape) - self.event_dims - 1
        noise = standard_normal(shape, self.loc, axis if axis >= 0 else None)
        return torch.addcmul(self.loc, noise, self.scale)

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draws samples without gradients."""
        with torch.no_grad():
            return self.rsample(sample_shape)

    def entries(self, value: Tensor, mask: Tensor | None = None) -> Tensor:
        """Computes the log-density of each entry of the event in nats, zero where the mask is false."""
        if mask is not None:  # whatever stands there, NaN most of all
            value = value.masked_fill(~mask, 0.0)
        standardised = (value - self.loc) * (-self.log_scale).exp()
        density = -0.5 * (standardised.square() + LOG_2PI) - self.log_scale
        return density if mask is None else density * mask

    def log_prob(self, value: Tensor, mask: Tensor | None = None) -> Tensor:
        """Computes the log-density in nats, summed over the event (its observed entries if masked)."""
        return sum_event(self.entries(value, mask), self.event_dims)

    def detached(self) -> Normal:
        """Returns this distribution with its parameters held fixed: no gradient reaches them."""
        return Normal(self.loc.detach(), self.log_scale.detach(), self.event_dims)

    def kl(self, prior: Distribution) -> Tensor | None:
        """Computes KL(self || prior) in nats; ``None`` unless the prior is a ``Normal`` as well."""
        entries = self.kl_entries(prior)
        return None if entries is None else sum_event(entries, self.event_dims)

    def kl_entries(self, prior: Distribution) -> Tensor | None:
        """Computes the KL of each entry, batch shape then event shape; ``None`` where ``kl`` is."""
        if isinstance(prior, StandardNormal):
            divergence = 0.5 * (self.loc.square() + (2 * self.log_scale).exp() - 1) - self.log_scale
        elif isinstance(prior, Normal):
            ratio = (2 * (self.log_scale - prior.log_scale)).exp()
            shift = (self.loc - prior.loc) * (-prior.log_scale).exp()
            divergence = 0.5 * (ratio + shift.square() - 1) + prior.log_scale - self.log_scale
        else:
            return None
        return divergence


class StandardNormal(Normal):
    """N(0, I) over events of the given shape, kept apart because its KL is cheaper."""

    def __init__(self, shape: tuple[int, ...], like: Tensor) -> None:
        zeros = like.new_zeros(shape)
        super().__init__(zeros, zeros, len(shape))


class Bernoulli:
    """Independent Bernoulli entries; grey targets in [0, 1] give the cross-entropy.

    Args:
        logits: batch shape then event shape.
        event_dims: how many trailing axes belong to one example.
    """

    def __init__(self, logits: Tensor, event_dims: int) -> None:
        self.logits = logits
        self.event_dims = event_dims

    @property
    def mean(self) -> Tensor:
        return torch.sigmoid(self.logits)

    def entries(self, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """Computes the log-probability of each entry in nats, zero where the mask is false."""
        if mask is not None:
            target = target.masked_fill(~mask, 0.0)
        entropies = F.binary_cross_entropy_with_logits(
            self.logits, target.expand_as(self.logits), reduction="none"
        )
        return -(entropies if mask is None else entropies * mask)

    def log_prob(self, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """Computes the log-probability in nats, summed over the event (or its observed entries)."""
        # A compiler fuses the entries by itself, and better so.
        if mask is not None or not self.event_dims or torch.compiler.is_compiling():
            return sum_event(self.entries(target, mask), self.event_dims)
        target = target.expand_as(self.logits).flatten(-self.event_dims)
        summed: Tensor = _BernoulliSum.apply(self.logits.flatten(-self.event_dims), target)  # type: ignore[no-untyped-call]
        return summed

    def sample(self) -> Tensor:
        """Draws zeros and ones."""
        return bernoulli(self.mean)


class _BernoulliSum(torch.autograd.Function):
    """The log-probability of Bernoulli entries (..., D), summed over D, with its own backward pass.

    This is where a VAE on pixels spends most of its time outside of matrix products. So nothing is
    kept for the way back but what is there already, draws are taken one by one while they are in the
    processor's cache, and there is one logarithm for many entries::

        log p(t) = t l - max(l, 0) - log(1 + e^-|l|)
        sum_d log(1 + e^-|l|) = -log prod_d sigmoid(|l|)
    """

    _FACTORS = 64  # each at least a half, so their product is no less than 2^-64

    @staticmethod
    def forward(logits: Tensor, target: Tensor) -> Tensor:
        size = logits.shape[-1]
        whole = size - size % _BernoulliSum._FACTORS
        sums = []
        for one, seen in zip(_by_draw(logits), _by_draw(target), strict=True):
            room = one.abs().sigmoid_()
            groups = room[..., :whole].unflatten(-1, (-1, _BernoulliSum._FACTORS)).prod(-1)
            total = groups.log_().sum(-1)
            if whole < size:
                total += room[..., whole:].prod(-1).log_()
            torch.clamp_min(one, 0, out=room)
            torch.addcmul(room, one, seen, value=-1, out=room)
            sums.append(total.sub_(room.sum(-1)))
        return torch.cat(sums)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, Tensor | None]:
        logits, target = ctx.saved_tensors
        of_target = slope.unsqueeze(-1) * logits if ctx.needs_input_grad[1] else None
        if not ctx.needs_input_grad[0]:
            return None, of_target
        if torch.is_grad_enabled():  # a gradient of the gradient is asked for
            return slope.unsqueeze(-1) * (target - logits.sigmoid()), of_target
        of_logits = torch.empty_like(logits, memory_format=torch.contiguous_format)
        parts = (_by_draw(part) for part in (logits, target, slope.unsqueeze(-1), of_logits))
        for one, seen, weight, into in zip(*parts, strict=True):
            torch.sigmoid(one, out=into)
            torch.sub(seen, into, out=into).mul_(weight)
        return of_logits, of_target


def _by_draw(x: Tensor) -> Sequence[Tensor]:
    """Splits x (S, B, D) into its draws; into one piece where many small calls would cost more."""
    return x.split(1) if x.device.type == "cpu" and x.dim() > 2 else (x,)
