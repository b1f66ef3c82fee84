"""Information in a stochastic code: active units, mutual information, distance from its prior.

The aggregate posterior q(z) is the mean of q(z|x) over N examples, all of them at once:

    E[KL(q(z|x) || p(z))]  =  I(x; z)  +  KL(q(z) || p(z))
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from autoencode.bottlenecks.flow import FlowSample
from autoencode.data import Resident
from autoencode.distributions import PowerSpherical, RelaxedCategorical, VonMisesFisher
from autoencode.distributions.basic import LOG_2PI, Normal
from autoencode.errors import IncompatibleError
from autoencode.evaluate.case import Case, as_seen
from autoencode.evaluate.measures import Figure, Measure, Result, Section
from autoencode.evaluate.metrics import no_posterior, standard_error
from autoencode.objectives.discrepancies import kernel
from autoencode.randomness import drawing
from autoencode.trained.trained import CHUNK
from autoencode.types import Distribution, Site

ACTIVE = 0.01  # variance over the examples of a unit's posterior mean
MOST = 10_000  # examples behind the aggregate posterior
MMD_ROWS = 2_000
_DRAWS = 16  # where a posterior's mean has to be drawn
_PIECE_NUMBERS = 1 << 22
_HOFFMAN = (
    "ELBO Surgery: Yet Another Way to Carve up the Variational Evidence Lower Bound (Hoffman & "
    "Johnson, 2016), http://approximateinference.org/accepted/HoffmanJohnson2016.pdf"
)
_BURDA = "Importance Weighted Autoencoders (Burda et al., 2015), https://arxiv.org/abs/1509.00519"

Sites = Mapping[str, Site]


# Active units


def variances_of_means(case: Case) -> Tensor:
    """Computes the variance over the examples of each unit's posterior mean E[z|x], (U,), float64.

    Where that mean has to be drawn (flows, hierarchies), it is the covariance of two independent
    estimates of it, which has the same expectation.
    """
    sums, n = torch.zeros(3, 1, dtype=torch.float64), 0
    for batch in case.seen_batches():
        sites = _units(case.trained.model(batch).latent.sites)
        if not all(_exact(site) for site in sites):
            sites = _units(case.trained.model(batch, _DRAWS).latent.sites)
        pairs = [_two_means(site) for site in sites]
        a, b = (torch.cat([pair[i] for pair in pairs], 1).cpu().double() for i in (0, 1))
        sums, n = sums + torch.stack([a.sum(0), b.sum(0), (a * b).sum(0)]), n + len(a)
    first, second, both = (sums / n).unbind()
    return both - first * second


def _units(sites: Sites) -> list[Site]:
    """Picks the variables whose units have variance 1 under a standard prior."""
    others = (RelaxedCategorical, VonMisesFisher, PowerSpherical)
    found = [site for site in sites.values() if not isinstance(site.posterior, others)]
    if not found:
        raise IncompatibleError("its threshold is for codes of variance 1, no spheres or categories")
    return found


def _exact(site: Site) -> bool:
    """Tells whether the mean of q(z|x) is known."""
    return not isinstance(site.posterior, FlowSample) and site.posterior.mean.dim() == site.z.dim() - 1


def _two_means(site: Site) -> tuple[Tensor, Tensor]:
    """Gives the posterior mean (B, U) of examples twice, from different draws unless it is known."""
    if _exact(site):
        mean = site.posterior.mean.flatten(1)
        return mean, mean
    values = site.z if isinstance(site.posterior, FlowSample) else site.posterior.mean
    first, second = (half.mean(0).flatten(1) for half in values.chunk(2))
    return first, second


def _active(case: Case) -> Result:
    variances = variances_of_means(case)
    active = int((variances > ACTIVE).sum())
    how = f"variance over {len(case.examples)} examples above {ACTIVE}"
    return Result({"active_units": active, "units": len(variances)}, how=how)


# Mutual information and the aggregate posterior


def drawn_sites(case: Case) -> list[Sites]:
    """Draws one z for each of at most ``MOST`` examples, a batch of sites at a time."""
    spec, device = case.trained.spec, case.trained.device
    found: list[Sites] = []
    with drawing(case.seed, device, case.trained.model):
        for batch in Resident(case.some(MOST), spec, device).batches(CHUNK):
            found.append(case.trained.model(as_seen(batch, case.seen)).latent.sites)
    return found


def log_conditional_and_aggregate(pieces: Sequence[Sites], case: Case) -> tuple[Tensor, Tensor]:
    """Computes log q(z_i|x_i) and log q(z_i) = log 1/N sum_j q(z_i|x_j), both (N,), float64.

    Args:
        pieces: independent variables of consecutive examples, one draw of each.
        case: told of progress.

    Raises:
        IncompatibleError: for variables that depend on each other, or posteriors without a density.
    """
    for site in pieces[0].values():
        if site.posterior.mean.dim() != site.z.dim() - 1:
            raise IncompatibleError(
                "its latents depend on each other, so that q(z) has no such estimate"
            )
    n = sum(len(next(iter(sites.values())).z[0]) for sites in pieces)
    own: list[Tensor] = []
    aggregate: list[Tensor] = []
    done = 0
    for sites in pieces:
        width = sum(site.z[0, 0].numel() for site in sites.values())
        size = max(1, _PIECE_NUMBERS // max(n, CHUNK * width))
        n_rows = len(next(iter(sites.values())).z[0])
        for first in range(0, n_rows, size):
            rows = slice(first, first + size)
            case.tick(done, n)
            draws = {name: site.z[0, rows] for name, site in sites.items()}
            every = torch.cat([_log_densities(draws, others) for others in pieces], dim=1)
            own.append(every.diagonal(done))
            aggregate.append(every.logsumexp(1) - math.log(n))
            done += len(every)
    return torch.cat(own), torch.cat(aggregate)


def _log_densities(draws: Mapping[str, Tensor], sites: Sites) -> Tensor:
    """Computes log q(z_i|x_j) of draws (M, *Z) of each variable under N posteriors, (M, N), float64."""
    each = [log_density_pairs(draws[name], site.posterior) for name, site in sites.items()]
    return torch.stack(each).sum(0)


def log_density_pairs(z: Tensor, posterior: Distribution) -> Tensor:
    """Computes log-densities (M, N) of draws z (M, *Z) under N posteriors, float64 on the CPU."""
    if not isinstance(posterior, Normal):
        return posterior.log_prob(z.unsqueeze(1)).cpu().double()
    z = z.flatten(1).cpu().double()
    loc = posterior.loc.flatten(1).cpu().double()
    log_scale = posterior.log_scale.expand_as(posterior.loc).flatten(1).cpu().double()
    precision = (-2 * log_scale).exp()
    constant = (loc.square() * precision + 2 * log_scale + LOG_2PI).sum(1)
    squares = z.square() @ precision.T - 2 * z @ (loc * precision).T
    return -0.5 * (squares + constant)


def _aggregate(case: Case) -> tuple[Tensor, Tensor]:
    return log_conditional_and_aggregate(case.once(drawn_sites), case)


def _information(case: Case) -> Result:
    own, aggregate = case.once(_aggregate)
    each = own - aggregate
    limit = math.log(len(each))
    how = f"of {len(each)} examples, so at most log {len(each)} = {limit:.2f} nats"
    if _saturated(case):
        how += "; that is nearly reached, and of more examples it would be more"
    values = {"mutual_information": float(each.mean()), "information_limit": limit}
    return Result(values, {"mutual_information": standard_error(each)}, how)


def _saturated(case: Case) -> bool:
    """Tells whether hardly any two codes could be taken for each other."""
    own, aggregate = case.once(_aggregate)
    return float((own - aggregate).mean()) > math.log(len(own)) - 1


def _gap(case: Case) -> Result:
    pieces = case.once(drawn_sites)
    log_prior = []
    for sites in pieces:
        for site in sites.values():
            if site.prior.mean.dim() != site.z.dim() - 2:
                raise IncompatibleError("its prior is another one for each example")
        parts = [site.prior.log_prob(site.z[0]).cpu().double() for site in sites.values()]
        log_prior.append(torch.stack(parts).sum(0))
    each = case.once(_aggregate)[1] - torch.cat(log_prior)
    how = f"q(z) is the mean of q(z|x) over {len(each)} examples"
    if _saturated(case):
        how += ", which hardly overlap; of more examples it would be less"
    return Result({"aggregate_kl": float(each.mean())}, {"aggregate_kl": standard_error(each)}, how)


# Codes and draws from the prior


def mean_kernel(a: Tensor, b: Tensor, same: bool = False) -> float:
    """Averages ``kernel`` over all pairs of a (N, Z) and b (M, Z), a bounded number at a time.

    Args:
        a, b: two samples.
        same: they are one sample, of which no point is paired with itself.
    """
    size = max(1, _PIECE_NUMBERS // (len(b) * a.shape[1]))
    total = sum(float(kernel(rows, b).sum(dtype=torch.float64)) for rows in a.split(size))
    if not same:
        return total / (len(a) * len(b))
    own = float(kernel(a[:1], a[:1])) * len(a)
    return (total - own) / (len(a) * (len(a) - 1))


def mmd(a: Tensor, b: Tensor) -> float:
    """Estimates the squared maximum mean discrepancy of two samples; unbiased, it may lie below 0."""
    return mean_kernel(a, a, same=True) + mean_kernel(b, b, same=True) - 2 * mean_kernel(a, b)


def _discrepancy(case: Case) -> Result:
    model, n = case.trained.model, min(len(case.examples), MMD_ROWS)
    codes = []
    for batch in Resident(case.some(n), case.trained.spec, case.trained.device).batches(CHUNK):
        codes.append(model(as_seen(batch, case.seen)).latent.z[0].flatten(1).cpu())
    first, second = (model.sample_latent(n).flatten(1).cpu() for _ in range(2))
    # The kernel's scales are for draws of variance 1, and a code may have any.
    mean, scale = first.mean(0), first.std(0).clamp_min(1e-6 * float(first.std().clamp_min(1e-6)))
    seen, one, other = ((x - mean) / scale for x in (torch.cat(codes), first, second))
    how = (
        f"{n} codes and {n} draws, standardised by the draws; two samples of the prior differ by "
        f"{mmd(one, other):.2g}"
    )
    return Result({"prior_mmd": mmd(seen, other)}, how=how)


def _no_prior(case: Case) -> str | None:
    if case.trained.model.prior is None:
        return "the model has no prior to compare its codes with"
    return "one example has no discrepancy" if len(case.examples) < 2 else None


LATENT = Section(
    "Latent",
    (
        Measure(
            "active",
            (
                Figure("active_units", "units", "whose posterior mean varies over the examples"),
                Figure("units", "units", "of the code, active or not"),
            ),
            _active,
            no_posterior,
            source=_BURDA,
        ),
        Measure(
            "information",
            (
                Figure(
                    "mutual_information", "nats per example", "I(x; z) of the examples and their codes"
                ),
                Figure("information_limit", "nats per example", "log N, the most that I(x; z) can be"),
            ),
            _information,
            no_posterior,
            source=_HOFFMAN,
        ),
        Measure(
            "aggregate",
            (
                Figure(
                    "aggregate_kl",
                    "nats per example",
                    "KL(q(z) || p(z)), by which the prior misses the codes; kl - mutual_information",
                    "lower",
                ),
            ),
            _gap,
            no_posterior,
            source=_HOFFMAN,
        ),
        Measure(
            "mmd",
            (
                Figure(
                    "prior_mmd",
                    "squared discrepancy",
                    "maximum mean discrepancy between codes and draws from the prior, 0 if equal",
                    "lower",
                ),
            ),
            _discrepancy,
            _no_prior,
            source="A Kernel Two-Sample Test (Gretton et al., 2012), "
            "https://jmlr.org/papers/v13/gretton12a.html",
        ),
    ),
)
