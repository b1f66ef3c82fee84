"""Bottlenecks whose codes are categories or a class."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoencode.distributions import OneHotCategorical, RelaxedCategorical
from autoencode.distributions.basic import full_precision
from autoencode.errors import IncompatibleError
from autoencode.types import Distribution, Latent, Site


class GumbelSoftmax(nn.Module):
    """A bottleneck of V categorical variables; z is V relaxed one-hot vectors of C, side by side.

    Categorical Reparameterization with Gumbel-Softmax (Jang et al., 2016),
    https://arxiv.org/abs/1611.01144

    Args:
        features: width of the encoder's output.
        n_variables: V.
        n_categories: C, at least 2.
        temperature: of the relaxation, above 0.
    """

    def __init__(
        self, features: int, n_variables: int, n_categories: int, temperature: float = 0.67
    ) -> None:
        super().__init__()
        if n_categories < 2:
            raise IncompatibleError(f"a choice needs at least 2 categories, got {n_categories}")
        if not temperature > 0:
            raise IncompatibleError(f"the temperature must be above 0, got {temperature}")
        self.shape, self.temperature = (n_variables, n_categories), temperature
        self.heads = nn.Linear(features, n_variables * n_categories)

    def posterior(self, h: Tensor) -> RelaxedCategorical:
        """Computes q(z|x) of features (B, F)."""
        logits = full_precision(self.heads(h)).unflatten(-1, self.shape)
        return RelaxedCategorical(logits, self.temperature)

    def forward(self, h: Tensor, prior: Distribution | None, n_samples: int = 1) -> Latent:
        if prior is None:
            raise IncompatibleError("a categorical bottleneck needs a prior; pass UniformCategories")
        q = self.posterior(h)
        z = q.rsample(torch.Size((n_samples,)))
        codes = z.unflatten(-1, self.shape).argmax(-1)
        return Latent(z, sites={"z": Site(z, q, prior)}, codes=codes)

    @property
    def n_codes(self) -> int:
        """Number of values that each integer of the code can take, C."""
        return self.shape[1]

    def books(self, count: int) -> list[int]:
        """Numbers the codebook of each of an example's ``count`` integers: every one has its own."""
        return list(range(count))

    def embed(self, h: Tensor) -> Tensor:
        """Finds the most probable categories, one-hot, (B, V * C)."""
        logits = self.posterior(h).logits
        return F.one_hot(logits.argmax(-1), self.shape[1]).to(logits.dtype).flatten(1)


class Guess(nn.Module):
    """The class y of an example as a latent variable: known, or inferred from features by q(y|x).

    Its prior p(y) makes all classes equally probable.

    Args:
        features: width of what a network makes of x.
        n_classes: C.
    """

    def __init__(self, features: int, n_classes: int) -> None:
        super().__init__()
        self.n_classes = n_classes
        self.head = nn.Linear(features, n_classes)

    def log_probs(self, h: Tensor) -> Tensor:
        """Computes log q(y|x) of features (B, F) for each class, (B, C), nats."""
        return full_precision(self.head(h)).log_softmax(-1)

    def most_likely(self, h: Tensor, known: Tensor | None) -> Tensor:
        """Returns the class, one-hot (B, C): ``known`` (B, C) where not NaN, else the likeliest."""
        logits = self.log_probs(h)
        best = F.one_hot(logits.argmax(-1), self.n_classes).to(logits.dtype)
        return best if known is None else torch.where(known.isnan(), best, known)

    def forward(self, h: Tensor, known: Tensor | None, n_samples: int = 1) -> Site:
        """Draws the class, one-hot (S, B, C), where it is not known."""
        logits = self.log_probs(h)
        if known is not None:
            logits = torch.where(known.isnan(), logits, known.log())
        q = OneHotCategorical(logits)
        return Site(q.rsample(torch.Size((n_samples,))), q, self.prior(logits))

    def prior(self, like: Tensor) -> OneHotCategorical:
        """Returns the prior p(y)."""
        return OneHotCategorical(like.new_zeros(self.n_classes))
