"""The objective for examples whose class is known for only some of them."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

from autoencode.errors import IncompatibleError
from autoencode.objectives.terms import NATS
from autoencode.types import Batch, Losses, Model, Output, Progress


class Guesses(Model, Protocol):
    """A model that guesses the class y of its examples."""

    def class_log_probs(self, x: Tensor) -> Tensor:
        """Computes log q(y|x) (B, C), nats."""

    def given(self, x: Tensor, y: Tensor) -> Output:
        """Computes p(x|y,z) at one draw of z for each of the classes y (S, B, C)."""


class SemiSupervised:
    """The semi-supervised objective: bounds on log p(x, y) or log p(x), and -log q(y|x).

    Semi-supervised Learning with Deep Generative Models (Kingma et al., 2014), model M2,
    https://arxiv.org/abs/1406.5298, equations 6, 7 and 9. With one draw of z for each class::

        -L(x, y) = reconstruction(y) + KL(q(z|x,y) || p(z)) - log p(y)
        -U(x)    = sum over y of q(y|x) (-L(x, y)) - entropy of q(y|x)

    What is minimised is the mean over all examples of one or the other, plus alpha times the mean over
    the labelled ones of -log q(y|x): the paper's objective, whose alpha is ours times N, divided by the
    number of examples N. The classes are summed over, none is drawn. All of them are equally probable.

    The terms it tells are ``reconstruction`` and ``kl`` (of z), means over q(y|x) or at the known
    class; ``label``, which is KL(q(y|x) || p(y)) or -log p(y); and ``classification``, -log q(y|x).

    Args:
        alpha: weight of the classification.
        labelled: share of the training examples whose class is known, above 0. Each of them counts
            1 / labelled times, so that batches with few of them give the mean in expectation.

    Raises:
        IncompatibleError: when no example is labelled.
    """

    unit = NATS

    def __init__(self, alpha: float, labelled: float) -> None:
        if not 0 < labelled <= 1:
            raise IncompatibleError(f"the labelled share must lie in (0, 1], got {labelled}")
        self.alpha, self.labelled = alpha, labelled

    def __call__(self, model: Model, batch: Batch, progress: Progress) -> Losses:
        guesses: Guesses = model  # type: ignore[assignment]  # or ``check`` refuses it
        log_q = guesses.class_log_probs(batch.x)
        size, n_classes = log_q.shape
        context = log_q.new_full(log_q.shape, math.nan) if batch.context is None else batch.context
        known = ~context.isnan()
        every = torch.eye(n_classes, device=log_q.device, dtype=log_q.dtype)
        output = guesses.given(batch.x, every.unsqueeze(1).expand(-1, size, -1))
        # (B, C): how much each class counts, and what it costs.
        shares = torch.where(known, context, log_q.exp())
        errors = -output.x_dist.log_prob(batch.target, batch.mask).T
        (site,) = output.latent.sites.values()
        divergences = site.kl().T
        # Of a known class nothing is left to guess: its own entropy is 0.
        entropies = -(torch.where(known, 0.0, log_q.exp()) * log_q).sum(1)
        terms = {
            "reconstruction": (shares * errors).sum(1).mean(),
            "kl": (shares * divergences).sum(1).mean(),
            "label": (math.log(n_classes) - entropies).mean(),
            "classification": -(torch.where(known, context, 0.0) * log_q).sum(1).mean() / self.labelled,
        }
        bound = terms["reconstruction"] + terms["kl"] + terms["label"]
        total = bound + self.alpha * terms["classification"]
        return Losses(total, {name: value.detach() for name, value in terms.items()})

    def weights(self, progress: Progress) -> dict[str, float]:
        """Returns the weight of each term."""
        return {"reconstruction": 1.0, "kl": 1.0, "label": 1.0, "classification": self.alpha}

    def check(self, output: Output) -> None:
        """Raises ``IncompatibleError`` for a model that does not guess classes."""
        if set(output.latent.sites) != {"y", "z"}:
            raise IncompatibleError(
                "this objective needs a model that guesses classes; use SemiSupervisedAutoencoder, or "
                "the recipe m2_vae"
            )
