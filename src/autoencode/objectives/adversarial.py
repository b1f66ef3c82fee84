"""Adversarial losses: critics that tell real from fake, and terms that fool them.

A critic is a module that gives one logit for each row: high for the real, low for the fake. It belongs
to an ``Update`` of its own, whose forward pass reaches no other module, and to the recipe's
``helpers``.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoencode.objectives.discrepancies import prior_draws
from autoencode.objectives.schedule import Constant, WeightSchedule
from autoencode.objectives.terms import ANY, NATS, NamedTerm
from autoencode.parallel import batch_sum, batch_weight
from autoencode.randomness import permuted
from autoencode.types import Batch, Losses, Model, Output, Progress

# The real ones first, then one or more kinds of fakes.
Kinds = Callable[[Model, Batch], tuple[Tensor, ...]]


def codes_and_prior(model: Model, batch: Batch) -> tuple[Tensor, Tensor]:
    """Returns draws from the prior (real) and codes of the batch (fake), each (b, *Z)."""
    z = model(batch).latent.z[0]
    return prior_draws(model, len(z)), z


def codes_and_permuted(model: Model, batch: Batch) -> tuple[Tensor, Tensor]:
    """Returns codes (real) and codes with each dimension shuffled by itself (fake), each (b, Z)."""
    z = model(batch).latent.z[0]
    return z, permuted(z.detach())


class Discriminator:
    """The critic's objective: minus the log-likelihood of telling real from fake, nats per example.

    Generative Adversarial Networks (Goodfellow et al., 2014), https://arxiv.org/abs/1406.2661. With
    ``hinge`` the loss is max(0, 1 - D(real)) + max(0, 1 + D(fake)) of the logits D instead: Geometric
    GAN (Lim & Ye, 2017), https://arxiv.org/abs/1705.02894

    Args:
        critic: what the update moves.
        kinds: the real and the fakes of a batch.
        name: of the loss.
        hinge: which loss.
        weight: of the loss, or its schedule; while it is zero nothing moves.
    """

    unit = NATS

    def __init__(
        self,
        critic: nn.Module,
        kinds: Kinds,
        name: str = "critic",
        hinge: bool = False,
        weight: float | WeightSchedule = 1.0,
    ) -> None:
        self.critic, self.kinds, self.name, self.hinge = critic, kinds, name, hinge
        self.weight = weight if callable(weight) else Constant(float(weight))

    def __call__(self, model: Model, batch: Batch, progress: Progress) -> Losses:
        real, *fakes = self.kinds(model, batch)
        loss = self._telling(self.critic(real.detach()))
        for fake in fakes:
            loss = loss + self._telling(-self.critic(fake.detach()))
        return Losses(self.weight(progress) * loss, {self.name: loss.detach()})

    def _telling(self, logits: Tensor) -> Tensor:
        """Computes the loss of logits that should be high."""
        return (F.relu(1 - logits) if self.hinge else F.softplus(-logits)).mean()

    def check(self, output: Output) -> None:
        """Accepts any output with a latent."""


def fooling(critic: nn.Module, unit: str = NATS) -> NamedTerm:
    """Makes the term -log of the critic's probability that codes come from the prior.

    Args:
        critic: gives a logit for each code; frozen while the model's side takes its turn.
        unit: of the terms beside it; the weight has what is needed to make it that.
    """

    def compute(model: Model, batch: Batch, output: Output, progress: Progress) -> Tensor:
        return F.softplus(-critic(output.latent.z[0])).squeeze(-1)

    return NamedTerm(compute, unit=unit)


def density_ratio(critic: nn.Module) -> NamedTerm:
    """Makes the term of the critic's logit, at best log q(z) - log prod_j q(z_j).

    Its mean over codes is their total correlation: Disentangling by Factorising (Kim & Mnih, 2018),
    https://arxiv.org/abs/1802.05983
    """

    def compute(model: Model, batch: Batch, output: Output, progress: Progress) -> Tensor:
        logits: Tensor = critic(output.latent.z[0])
        return logits.squeeze(-1)

    return NamedTerm(compute, needs_sites=True)


class ImageCritic(nn.Module):
    """A critic that gives features of x and one logit of whether x is real.

    Args:
        body: x (B, *D) to features (B, F).
        features: F.
    """

    def __init__(self, body: nn.Module, features: int) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Linear(features, 1)

    def forward(self, x: Tensor) -> Tensor:
        logit: Tensor = self.head(self.body(x))
        return logit


class PatchCritic(nn.Module):
    """A critic that gives a logit for each patch of an image, high for real ones: (B, 1, H', W').

    Image-to-Image Translation with Conditional Adversarial Networks (Isola et al., 2017),
    https://arxiv.org/abs/1611.07004

    Args:
        body: x (B, C, H, W) to a map of features (B, channels, H', W').
        channels: of that map.
    """

    def __init__(self, body: nn.Module, channels: int) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Conv2d(channels, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(x))
        return logits


def raising_logits(critic: nn.Module) -> NamedTerm:
    """Makes the term -D(x_hat), the critic's mean logit of a reconstruction (of the hinge loss)."""

    def compute(model: Model, batch: Batch, output: Output, progress: Progress) -> Tensor:
        logits: Tensor = critic(output.x_dist.mean[0])
        return -logits.flatten(1).mean(1)

    return NamedTerm(compute, unit=ANY)


def balanced(
    term: NamedTerm, beside: NamedTerm, weights: Callable[[Model], Tensor], most: float = 1e4
) -> NamedTerm:
    """Scales a term so that its gradient at some weights is as long as that of another term.

    Taming Transformers for High-Resolution Image Synthesis (Esser et al., 2021), equation 7,
    https://arxiv.org/abs/2012.09841. The factor is a number: no gradient goes through it. Where there
    are no gradients, outside of training, the term is zero.

    Args:
        term: what is scaled.
        beside: the term that it is measured by.
        weights: the weights of a model at which gradients are taken: its last layer's.
        most: the largest factor.
    """

    def compute(model: Model, batch: Batch, output: Output, progress: Progress) -> Tensor:
        value = term(model, batch, output, progress).mean()
        at = weights(model)
        if not (torch.is_grad_enabled() and at.requires_grad):
            return torch.zeros_like(value)
        other = beside(model, batch, output, progress).mean()
        factor = _slope(other, at) / (_slope(value, at) + 1e-4)
        return factor.clamp_max(most).detach() * value

    return NamedTerm(compute, unit=term.unit)


def _slope(value: Tensor, at: Tensor) -> Tensor:
    """Computes the length of the gradient of a mean over the whole batch."""
    (gradient,) = torch.autograd.grad(value, at, retain_graph=True)
    weight = batch_weight()  # a mean over no rows has no gradient
    mine = gradient * weight if weight else torch.zeros_like(gradient)
    length: Tensor = torch.linalg.vector_norm(batch_sum(mine))
    return length


def feature_error(critic: ImageCritic) -> NamedTerm:
    """Makes the term -log N(f(x); f(x_hat), I) without its constant, f the critic's features; nats.

    Autoencoding beyond pixels using a learned similarity metric (Larsen et al., 2015),
    https://arxiv.org/abs/1512.09300, where it stands in the place of log p(x|z).
    """

    def compute(model: Model, batch: Batch, output: Output, progress: Progress) -> Tensor:
        real, fake = critic.body(batch.target), critic.body(output.x_dist.mean[0])
        error: Tensor = 0.5 * (real - fake).square().sum(-1)
        return error

    return NamedTerm(compute)


def passing_for_real(critic: nn.Module) -> NamedTerm:
    """Makes the term log(1 - D(x_hat)) + log(1 - D(x_p)) of reconstructions and samples."""

    def compute(model: Model, batch: Batch, output: Output, progress: Progress) -> Tensor:
        made = sampled(model, batch)
        logits = critic(output.x_dist.mean[0]), critic(made)
        return -(F.softplus(logits[0]) + F.softplus(logits[1])).squeeze(-1)

    return NamedTerm(compute)


def examples_and_made(model: Model, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Returns examples (real), their reconstructions and samples (both fake), each (b, *D)."""
    return batch.target, model(batch).x_dist.mean[0], sampled(model, batch)


def examples_and_reconstructions(model: Model, batch: Batch) -> tuple[Tensor, Tensor]:
    """Returns examples (real) and their reconstructions (fake), each (b, *D), without gradients."""
    with torch.no_grad():
        return batch.target, model(batch).x_dist.mean[0]


def sampled(model: Model, batch: Batch) -> Tensor:
    """Decodes draws from the prior, one for each example, into means of p(x|z), with gradients."""
    z = prior_draws(model, len(batch.x))
    mean: Tensor = model.decode(z, batch.context).mean  # type: ignore[attr-defined]
    return mean
