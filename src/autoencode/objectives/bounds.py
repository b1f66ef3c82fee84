"""Bounds on the log-likelihood that need several samples of z together."""

from __future__ import annotations

import math

import torch

from autoencode.errors import IncompatibleError
from autoencode.objectives.terms import NATS
from autoencode.types import Batch, Losses, Model, Output, Progress


class ImportanceWeighted:
    """Minus the K-sample bound log 1/K sum_k p(x, z_k) / q(z_k|x), nats per example.

    Importance Weighted Autoencoders (Burda et al., 2015), https://arxiv.org/abs/1509.00519. With
    K = 1 it is the ELBO (with a sampled KL); it grows with K towards log p(x).

    Args:
        n_samples: K.
    """

    unit = NATS

    def __init__(self, n_samples: int = 5) -> None:
        if n_samples < 1:
            raise IncompatibleError(f"the bound needs at least one sample, got K = {n_samples}")
        self.n_samples = n_samples

    def __call__(self, model: Model, batch: Batch, progress: Progress) -> Losses:
        output = model(batch, n_samples=self.n_samples)
        log_weight = output.x_dist.log_prob(batch.target, batch.mask)
        for site in output.latent.sites.values():
            log_weight = log_weight - site.log_ratio()
        bound = torch.logsumexp(log_weight, dim=0) - math.log(self.n_samples)
        loss = -bound.mean()
        return Losses(loss, {"bound": loss.detach()})

    def check(self, output: Output) -> None:
        """Raises ``IncompatibleError`` for a deterministic bottleneck, where the bound is empty."""
        if not output.latent.sites:
            raise IncompatibleError(
                "ImportanceWeighted needs a stochastic bottleneck and this one is deterministic; "
                "use DiagonalGaussian, or WeightedSum with reconstruction alone"
            )
