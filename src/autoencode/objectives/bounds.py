"""Bounds on the log-likelihood that need several samples of z, and their gradient estimators.

All of them take M groups of K draws of z. With the weights ``w = p(x, z) / q(z|x)`` the bound is the
mean over groups of ``log mean_k w``: M = K = 1 is the ELBO, M = 1 the importance-weighted bound.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from autoencode.errors import IncompatibleError
from autoencode.objectives.terms import NATS
from autoencode.types import Batch, HasDetached, Losses, Model, Output, Progress


def log_weights(output: Output, batch: Batch, path_only: bool = False) -> Tensor:
    """Computes log p(x, z) - log q(z|x) of every draw, (S, B), nats.

    Args:
        output: of a model.
        batch: what it was given.
        path_only: let gradients reach q's parameters through the draws alone.
    """
    log_weight = output.x_dist.log_prob(batch.target, batch.mask)
    for site in output.latent.sites.values():
        log_weight = log_weight - (site.path_log_ratio() if path_only else site.log_ratio())
    return log_weight


def grouped_bound(log_weight: Tensor, n_groups: int) -> Tensor:
    """Computes the bound of each group, (M, B), from the log-weights (M * K, B) of all draws."""
    grouped = log_weight.unflatten(0, (n_groups, -1))
    return torch.logsumexp(grouped, dim=1) - math.log(grouped.shape[1])


def n_grown(n_samples: int, growth: float, progress: Progress) -> int:
    """Computes the number of draws at a point of training, which grows from 1 to K over a share of it.

    Each doubling takes as long. Few draws say early as well where to go as many do, at a fraction of
    the cost. Where there are no gradients (validation) it is K.

    >>> [n_grown(50, 0.8, Progress(step, 100)) for step in (0, 40, 80, 99)]
    [1, 7, 50, 50]
    """
    if not growth or not torch.is_grad_enabled():
        return n_samples
    return round(math.exp(math.log(n_samples) * min(1.0, progress.fraction / growth)))


class ImportanceWeighted:
    """Minus the K-sample bound log 1/K sum_k p(x, z_k) / q(z_k|x), nats per example.

    Importance Weighted Autoencoders (Burda et al., 2015), https://arxiv.org/abs/1509.00519. With
    K = 1 it is the ELBO (with a sampled KL); it grows with K towards log p(x).

    The mean over M such bounds, and the bound mixed with the ELBO of the same draws, are MIWAE and
    CIWAE of Tighter Variational Bounds are Not Necessarily Better (Rainforth et al., 2018),
    https://arxiv.org/abs/1802.04537

    Args:
        n_samples: K.
        n_groups: M.
        elbo_share: share of the ELBO in what is minimised, 0 to 1.
        growth: share of training over which K grows from 1 to ``n_samples``, 0 to 1.
        name: of the bound among the losses.
    """

    unit = NATS

    def __init__(
        self,
        n_samples: int = 5,
        n_groups: int = 1,
        elbo_share: float = 0.0,
        growth: float = 0.0,
        name: str = "bound",
    ) -> None:
        _check_numbers(n_samples, n_groups, elbo_share, growth)
        self.n_samples, self.n_groups = n_samples, n_groups
        self.elbo_share, self.growth, self.name = elbo_share, growth, name

    def __call__(self, model: Model, batch: Batch, progress: Progress) -> Losses:
        n_draws = self.n_groups * n_grown(self.n_samples, self.growth, progress)
        log_weight = log_weights(model(batch, n_samples=n_draws), batch)
        return Losses(*_mixed(log_weight, self.n_groups, self.elbo_share, self.name))

    def check(self, output: Output) -> None:
        """Raises ``IncompatibleError`` for a deterministic bottleneck, where the bound is empty."""
        _check_sites(output, "ImportanceWeighted")


class DoublyReparameterized:
    """The importance-weighted objective with a gradient of lower variance for the encoder.

    Doubly Reparameterized Gradient Estimators for Monte Carlo Objectives (Tucker et al., 2018),
    https://arxiv.org/abs/1810.04152. The plain gradient of q's parameters drowns in noise as K grows;
    this one has the same expectation, and its signal-to-noise ratio grows with K. Decoder and prior get
    the plain gradient; the ELBO's share sticks the landing. There must be one stochastic variable.

    Args:
        n_samples, n_groups, elbo_share, growth: as in ``ImportanceWeighted``.
    """

    unit = NATS

    def __init__(
        self, n_samples: int = 5, n_groups: int = 1, elbo_share: float = 0.0, growth: float = 0.0
    ) -> None:
        _check_numbers(n_samples, n_groups, elbo_share, growth)
        self.n_samples, self.n_groups = n_samples, n_groups
        self.elbo_share, self.growth = elbo_share, growth

    def __call__(self, model: Model, batch: Batch, progress: Progress) -> Losses:
        n_draws = self.n_groups * n_grown(self.n_samples, self.growth, progress)
        output = model(batch, n_samples=n_draws)
        log_weight = log_weights(output, batch, path_only=True)
        value, terms = _mixed(log_weight.detach(), self.n_groups, self.elbo_share, "bound")
        share = log_weight.detach().unflatten(0, (self.n_groups, -1)).softmax(1).flatten(0, 1)
        # How much each draw counts for the decoder, and for the encoder.
        each, beta = self.n_groups / n_draws, self.elbo_share
        generative = beta * each + (1 - beta) * share
        inference = beta * each + (1 - beta) * share.square()
        (site,) = output.latent.sites.values()
        if site.z.requires_grad:
            ratio = inference / generative.clamp_min(torch.finfo(share.dtype).tiny)
            site.z.register_hook(lambda gradient: gradient * _over_event(ratio, gradient))
        surrogate = -(generative * log_weight).sum(0).mean() / self.n_groups
        # The value of the bound with the gradient of the surrogate.
        return Losses(surrogate - (surrogate.detach() - value), terms)

    def check(self, output: Output) -> None:
        """Raises ``IncompatibleError`` unless there is one variable, whose posterior can be fixed."""
        _check_sites(output, "DoublyReparameterized")
        if len(output.latent.sites) > 1:
            raise IncompatibleError(
                "the doubly reparameterised gradient is for one stochastic variable and this model has "
                f"{len(output.latent.sites)}; use gradient=standard"
            )
        _check_detached(output)


class StickingTheLanding:
    """Minus the ELBO with the path derivative, whose noise vanishes where q is the true posterior.

    Sticking the Landing: Simple, Lower-Variance Gradient Estimators for Variational Inference
    (Roeder et al., 2017), https://arxiv.org/abs/1703.09194. Unbiased for the ELBO; for the bound of
    several samples together it is not, which is what ``DoublyReparameterized`` is for.

    Args:
        n_samples: draws of z for each example, averaged.
    """

    unit = NATS

    def __init__(self, n_samples: int = 1) -> None:
        _check_numbers(n_samples, 1)
        self.n_samples = n_samples

    def __call__(self, model: Model, batch: Batch, progress: Progress) -> Losses:
        output = model(batch, n_samples=self.n_samples)
        loss = -log_weights(output, batch, path_only=True).mean()
        return Losses(loss, {"bound": loss.detach()})

    def check(self, output: Output) -> None:
        """Raises ``IncompatibleError`` unless every posterior can be held fixed."""
        _check_sites(output, "StickingTheLanding")
        _check_detached(output)


def _over_event(share: Tensor, like: Tensor) -> Tensor:
    return share.reshape(*share.shape, *(1,) * (like.dim() - share.dim()))


def _mixed(
    log_weight: Tensor, n_groups: int, elbo_share: float, name: str
) -> tuple[Tensor, dict[str, Tensor]]:
    """Mixes the bound of log-weights (S, B) with the ELBO of the same draws; returns loss and terms."""
    loss = -grouped_bound(log_weight, n_groups).mean()
    terms = {name: loss.detach()}
    if elbo_share:
        negative_elbo = -log_weight.mean()
        terms["negative_elbo"] = negative_elbo.detach()
        loss = elbo_share * negative_elbo + (1 - elbo_share) * loss
    return loss, terms


def _check_numbers(n_samples: int, n_groups: int, elbo_share: float = 0.0, growth: float = 0.0) -> None:
    if n_samples < 1:
        raise IncompatibleError(f"the bound needs at least one sample, got K = {n_samples}")
    if n_groups < 1:
        raise IncompatibleError(f"the bound needs at least one group, got M = {n_groups}")
    if not 0 <= elbo_share <= 1:
        raise IncompatibleError(f"the share of the ELBO must lie in [0, 1], got {elbo_share}")
    if not 0 <= growth <= 1:
        raise IncompatibleError(f"growth is a share of training, 0 to 1, got {growth}")


def _check_sites(output: Output, name: str) -> None:
    if not output.latent.sites:
        raise IncompatibleError(
            f"{name} needs a stochastic bottleneck and this one is deterministic; "
            "use DiagonalGaussian, or WeightedSum with reconstruction alone"
        )


def _check_detached(output: Output) -> None:
    for site in output.latent.sites.values():
        if not isinstance(site.posterior, HasDetached):
            raise IncompatibleError(
                f"{type(site.posterior).__name__} has no path derivative; use gradient=standard"
            )
