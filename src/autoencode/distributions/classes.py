"""The distribution of a class as a one-hot vector."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from autoencode.distributions.relaxed import gumbel
from autoencode.types import Distribution


class OneHotCategorical:
    """A distribution over C classes; draws are one-hot vectors without a gradient.

    Args:
        logits: (..., C); minus infinity for a class that is impossible.

    >>> q = OneHotCategorical(torch.tensor([[2.0, 2.0], [0.0, -torch.inf]]))
    >>> [round(v, 4) for v in q.kl(OneHotCategorical(torch.zeros(2))).tolist()]
    [0.0, 0.6931]
    """

    def __init__(self, logits: Tensor) -> None:
        self.log_probs = logits.log_softmax(-1)

    @property
    def mean(self) -> Tensor:
        """Probabilities of the classes, (..., C)."""
        return self.log_probs.exp()

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draws one-hot vectors (*sample_shape, ..., C)."""
        shape = (*sample_shape, *self.log_probs.shape)
        noisy = self.log_probs + gumbel(shape, self.log_probs, len(shape) - 2)
        return F.one_hot(noisy.argmax(-1), shape[-1]).to(noisy.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        """Computes the log-probability of one-hot vectors (..., C), nats."""
        return torch.where(value > 0.5, self.log_probs, 0.0).sum(-1)

    def detached(self) -> OneHotCategorical:
        """Returns this distribution with its probabilities held fixed."""
        return OneHotCategorical(self.log_probs.detach())

    def kl(self, prior: Distribution) -> Tensor | None:
        """Computes KL(self || prior) in nats; ``None`` unless the prior is of this class too."""
        if not isinstance(prior, OneHotCategorical):
            return None
        # What is impossible adds nothing, and 0 times infinity would be no number.
        own = self.log_probs.clamp_min(torch.finfo(self.log_probs.dtype).min)
        return (self.mean * (own - prior.log_probs)).sum(-1)
