"""Terms that look at the code as a whole: its capacity, its independence, its distance to the prior.

Each is a function that makes a ``NamedTerm``. Those that couple the examples of a batch take the whole
batch, whatever the number of processes (``parallel.global_batch``). In shapes, ``b`` is this process's
part of a batch of ``B``.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from autoencode.distributions.basic import LOG_2PI, Normal
from autoencode.objectives.schedule import Constant, WeightSchedule
from autoencode.objectives.terms import NamedTerm
from autoencode.parallel import current_share, global_batch
from autoencode.types import Batch, Model, Output, Progress, Site


def _as_schedule(value: float | WeightSchedule) -> WeightSchedule:
    return value if callable(value) else Constant(float(value))


def _rows(values: Tensor, output: Output) -> Tensor:
    """Averages values (B,) or (S, B) over samples, for each example of the whole batch, (B,)."""
    samples, size = output.latent.z.shape[:2]
    return global_batch(values.expand(samples, size).mean(0))


def kl_of(site: str) -> NamedTerm:
    """Makes the term KL(q || p) of one of several stochastic variables."""

    def compute(model: Model, batch: Batch, output: Output, progress: Progress) -> Tensor:
        return output.latent.sites[site].kl()

    return NamedTerm(compute, needs_sites=True)


def capacity(limit: float | WeightSchedule, site: str | None = None) -> NamedTerm:
    """Makes the term |KL - C|, which holds the code's information at C nats; C may grow.

    Understanding disentangling in beta-VAE (Burgess et al., 2018), https://arxiv.org/abs/1804.03599

    Args:
        limit: C in nats, or its schedule.
        site: the name of the stochastic variable; all of them together by default.
    """
    schedule = _as_schedule(limit)

    def compute(model: Model, batch: Batch, output: Output, progress: Progress) -> Tensor:
        sites = output.latent.sites
        chosen = sites.values() if site is None else [sites[site]]
        # The sign hangs on the mean over the whole batch, not on that of one example.
        total = sum((_rows(s.kl(), output) for s in chosen), start=torch.zeros(()))
        return (total.mean() - schedule(progress)).abs()

    return NamedTerm(compute, needs_sites=True)


def free_bits(nats: float) -> NamedTerm:
    """Makes the KL term without pressure below ``nats`` for each latent dimension.

    Improving Variational Inference with Inverse Autoregressive Flow (Kingma et al., 2016), section 6,
    https://arxiv.org/abs/1606.04934. The KL of a dimension is averaged over the batch before it is
    compared; a variable whose KL has no closed form counts as one dimension.
    """

    def compute(model: Model, batch: Batch, output: Output, progress: Progress) -> Tensor:
        total = output.latent.z.new_zeros(())
        for site in output.latent.sites.values():
            entries = _kl_entries(site)
            if entries is None:
                total = total + _rows(site.kl(), output).mean().clamp_min(nats)
            else:
                wide = entries.expand(site.z.shape).mean(0)
                total = total + global_batch(wide).mean(0).clamp_min(nats).sum()
        return total

    return NamedTerm(compute, needs_sites=True)


def _kl_entries(site: Site) -> Tensor | None:
    entries = getattr(site.posterior, "kl_entries", None)
    found: Tensor | None = None if entries is None else entries(site.prior)
    return found


def aggregate_log_densities(
    z: Tensor, q: Normal, n_train: int, stratified: bool = False
) -> tuple[Tensor, Tensor]:
    """Estimates log q(z) and log prod_j q(z_j) of the aggregate posterior from one batch.

    Args:
        z: (S, b, Z) draws of this process's examples.
        q: their posteriors, batch shape (b,).
        n_train: number of training examples, N.
        stratified: minibatch stratified sampling; else minibatch weighted sampling.

    Returns:
        Both (S, b), nats.
    """
    loc, log_scale = global_batch(q.loc), global_batch(q.log_scale.expand_as(q.loc))
    standardised = (z.unsqueeze(2) - loc) * (-log_scale).exp()
    density = -0.5 * (standardised.square() + LOG_2PI) - log_scale  # (S, b, B, Z)
    n_batch = len(loc)
    if stratified and n_batch > 1:
        weights = _own_rows(_stratified_log_weights(n_batch, n_train, z))
        joint = (density.sum(-1) + weights).logsumexp(2)
        marginals = (density + weights[..., None]).logsumexp(2).sum(-1)
        return joint, marginals
    log_pairs = math.log(n_batch * n_train)
    joint = density.sum(-1).logsumexp(2) - log_pairs
    return joint, (density.logsumexp(2) - log_pairs).sum(-1)


def _stratified_log_weights(n_batch: int, n_train: int, like: Tensor) -> Tensor:
    """Computes the log-weights (B, B) with which examples of a batch stand for the data.

    Row i is for the draw of example i, which surely belongs to the data (1/N); one neighbour takes what
    is missing to one, so that the estimate is exact in expectation.
    """
    n_train, rest = max(n_train, n_batch), n_batch - 1
    weights = like.new_full((n_batch, n_batch), 1 / rest)
    rows = torch.arange(n_batch, device=like.device)
    weights[rows, rows] = 1 / n_train
    weights[rows, (rows + 1) % n_batch] = (n_train - rest) / (n_train * rest)
    return weights.log()


def _own_rows(whole: Tensor) -> Tensor:
    """Selects this process's rows of a (B, ...) tensor that is the same on all."""
    share = current_share()
    return whole if share is None else share.of(whole)


def total_correlation(stratified: bool = False, site: str = "z") -> NamedTerm:
    """Makes the term KL(q(z) || prod_j q(z_j)): how far latent dimensions are from independent.

    Isolating Sources of Disentanglement in Variational Autoencoders (Chen et al., 2018),
    https://arxiv.org/abs/1802.04942

    Args:
        stratified: use minibatch stratified sampling in place of weighted sampling, which adds a
            constant to the value, up to log(B N) for each latent dimension but one, and nothing to its
            gradient.
        site: the name of the stochastic variable, whose posterior is a diagonal Gaussian.
    """

    def compute(model: Model, batch: Batch, output: Output, progress: Progress) -> Tensor:
        q = _gaussian(output, site)
        z = output.latent.sites[site].z
        joint, marginals = aggregate_log_densities(z, q, progress.n_train, stratified)
        return joint - marginals

    return NamedTerm(compute, needs_sites=True, demand=_asks_gaussian(site))


def dip(off_diagonal: float, diagonal: float, total: bool, site: str = "z") -> NamedTerm:
    """Makes the term that measures how far the codes' covariance is from the identity.

    Variational Inference of Disentangled Latent Concepts from Unlabeled Observations (Kumar et al.,
    2017), https://arxiv.org/abs/1711.00848

    Args:
        off_diagonal: weight of the squared covariances.
        diagonal: weight of the squares of the variances minus 1.
        total: the covariance of z itself, which has the posteriors' variances in it (DIP-VAE-II); else
            that of the posterior's mean (DIP-VAE-I).
        site: the name of the stochastic variable, whose posterior is a diagonal Gaussian.
    """

    def compute(model: Model, batch: Batch, output: Output, progress: Progress) -> Tensor:
        q = _gaussian(output, site)
        mean = global_batch(q.loc)
        centred = mean - mean.mean(0)
        covariance = centred.T @ centred / len(mean)
        if total:
            variances = global_batch((2 * q.log_scale).exp().expand_as(q.loc)).mean(0)
            covariance = covariance + variances.diag()
        variances = covariance.diagonal()
        squares = covariance.square().sum() - variances.square().sum()
        return off_diagonal * squares + diagonal * (variances - 1).square().sum()

    return NamedTerm(compute, needs_sites=True, demand=_asks_gaussian(site))


def _gaussian(output: Output, site: str) -> Normal:
    """Returns the posterior of a site that was checked to be a diagonal Gaussian."""
    q = output.latent.sites[site].posterior
    assert isinstance(q, Normal)  # or the objective would have been refused
    return q


def _asks_gaussian(site: str) -> Callable[[Output], str | None]:
    """Makes the check that a site of an output has a diagonal Gaussian posterior."""

    def demand(output: Output) -> str | None:
        sites = output.latent.sites
        if site not in sites:
            return f"needs the stochastic variable '{site}' and there are {', '.join(sites)}; name one"
        if isinstance(sites[site].posterior, Normal):
            return None
        kind = type(sites[site].posterior).__name__
        return f"needs a diagonal Gaussian posterior and this one is {kind}; use DiagonalGaussian"

    return demand
