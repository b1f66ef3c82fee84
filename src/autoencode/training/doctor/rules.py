"""The rules of the training doctor: one function for each fault.

A rule takes a ``Checkup`` and gives a ``Finding``, or ``None`` where the fault is not there. The
thresholds, and what they were measured on, are explained in ``docs/doctor.md``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

from autoencode.training.doctor.checkup import Checkup, is_bernoulli
from autoencode.types import Site


class Finding(NamedTuple):
    """A fault: one line with the figure that shows it, and one change to try."""

    message: str
    suggestion: str


# Training that has just begun looks like most faults.
_EARLY_SHARE, _EARLY_STEPS = 0.3, 200
_OUTSIDE = 1e-3  # share of target entries
_SATURATED, _WRONG, _STUCK = 1e-3, 0.5, 0.02
_LITTLE_KL = 0.1  # nats
_GREY = 0.5  # share of targets that are neither 0 nor 1
_OF_VARIANCE = 0.05  # of the data's variance: the error that a code is to be worth its KL for
_ACTIVE_VARIANCE = 0.01
_ACTIVE_SPREAD = 0.01
_UNUSED_SHARE, _UNUSED_SHARE_PLAIN = 0.5, 0.25
_DEAD_SHARE = 0.5
_DEAD_CODES, _DRAWS_FOR_A_CODE = 0.5, 5
_NEAR, _MIXED = 0.02, 10.0
_RISE_OF_FALL, _RISE = 0.1, 0.05
_WINDOW, _JUMPS, _JUMP, _AS_MUCH = 10, 3, 0.02, 0.8
_LOST, _LEAST_LOST, _FELL, _PATIENCE = 0.1, 1e-3, 0.02, 3


def early(c: Checkup) -> bool:
    """Tells whether it is too soon to judge what training has made of the model."""
    return c.progress.step < _EARLY_STEPS or c.progress.fraction < _EARLY_SHARE


def range_mismatch(c: Checkup) -> Finding | None:
    """Finds targets that the output cannot reach, or that fill next to nothing of its range."""
    low, high = c.reach
    target = _observed(c, c.batch.target)
    if not target.numel() or (math.isinf(low) and math.isinf(high)):
        return None
    slack = 0.01 * (high - low) if math.isfinite(high - low) else 0.01
    outside = float(((target < low - slack) | (target > high + slack)).float().mean())
    least, most = float(target.min()), float(target.max())
    span = f"the data run from {least:.4g} to {most:.4g}"
    if outside > _OUTSIDE:
        reach = f"the output reaches {low:.3g} to {high:.3g}"
        return Finding(
            f"{span} and {reach}: {outside:.1%} of the entries lie outside",
            _remedy_of_range(c, least, most),
        )
    if (low, high) == (0.0, 1.0) and least >= 0 and 0 < most <= 1 / 128:
        return Finding(f"{span} and the output from 0 to 1", f"multiply the data by {1 / most:.4g}")
    return None


def _remedy_of_range(c: Checkup, least: float, most: float) -> str:
    if c.reach[0] > -0.01 and c.reach[1] < 0.99:  # a sigmoid of a sigmoid
        return "leave out the decoder's last activation, the likelihood has its own"
    if least >= 0 and 1 < most <= 255:
        return f"divide the data by {255 if most > 100 else most:.4g}"
    if c.reach == (0.0, 1.0) and least >= -1.01 and most <= 1.01:
        return "map the data to 0..1 with (x + 1) / 2"
    return "likelihood=gaussian" if is_bernoulli(c.output.x_dist) else "output=identity"


def saturated_outputs(c: Checkup) -> Finding | None:
    """Finds outputs that are wrong and at their bound, where gradients vanish."""
    low, high = c.reach
    if early(c) or math.isinf(low) or math.isinf(high):
        return None
    mean, target = _observed(c, c.output.x_dist.mean[0]), _observed(c, c.batch.target)
    wrong = (target - mean).abs() > _WRONG * (high - low)
    if float(wrong.float().mean()) <= _STUCK:  # as nearly always
        return None
    stuck = (mean - low).minimum(high - mean) < _SATURATED * (high - low)
    within = (target >= low) & (target <= high)
    share = float((wrong & stuck & within).float().mean())
    if share <= _STUCK:
        return None
    return Finding(
        f"{share:.1%} of the outputs stand at {low:.3g} or {high:.3g} where the data are "
        "at the other side",
        f"lr={c.plan.lr / 10:.3g}" if c.plan.mean_start else "mean_start=true",
    )


def posterior_collapse(c: Checkup) -> Finding | None:
    """Finds a stochastic code that carries no information about its example.

    KL(q(z|x) || p(z)), averaged over examples, bounds the information that z holds of x.
    """
    kl = _kl(c)
    if early(c) or kl is None or kl >= _LITTLE_KL:
        return None
    active, width = _active(c)
    weight = c.weights.get("kl")
    cure = "grow the KL weight from 0: kl=Linear(0.0, 1.0, until=0.5)"
    if weight is not None and weight > 1:
        cure = "beta=1"
    elif (share := _share_of_width(c)) is not None and not c.moving:
        cure = f"beta={(1.0 if weight is None else weight) * _OF_VARIANCE * share:.2g}"
    elif weight is not None and not c.moving and weight > 0:
        cure = f"beta={weight / 10:.3g}"
    return Finding(
        f"the posterior has collapsed: KL {kl:.2g} nats per example, {active} of {width} "
        f"latent {_parts(_latents(c))} vary",
        cure,
    )


def _share_of_width(c: Checkup) -> float | None:
    """Computes the data's variance over that of p(x|z), where the latter is wider for good.

    A Gaussian of fixed scale is, on data that vary by less, and a Bernoulli whose targets are grey: a
    code gains in proportion to that share, and the KL term has to be weighed by it.
    """
    target = _observed(c, c.batch.target)
    variance = float(c.batch.target.flatten(1).var(0).nanmean())
    if is_bernoulli(c.output.x_dist):
        grey = float(((target > 0) & (target < 1)).float().mean()) > _GREY
        mean = float(target.mean())
        share = variance / max(mean * (1 - mean), 1e-6)
        return share if grey and share < 1 else None
    inner = getattr(c.output.x_dist, "base_dist", c.output.x_dist)
    log_scale = getattr(inner, "log_scale", None)
    fixed = isinstance(log_scale, Tensor) and bool((log_scale == 0).all())
    return variance if fixed and 0 < variance < 1 else None


def unused_dimensions(c: Checkup) -> Finding | None:
    """Finds latent dimensions whose code is the same for every example.

    The ELBO prunes what it does not need, so a variational model may leave half of them.
    """
    stochastic = bool(c.output.latent.sites)
    active, width = _active(c)
    most = _UNUSED_SHARE if stochastic else _UNUSED_SHARE_PLAIN
    unused = width - active
    kl = _kl(c)
    collapsed = kl is not None and kl < _LITTLE_KL  # which is more than a wide code
    if early(c) or collapsed or unused <= most * width:
        return None
    why = "; a variational model leaves what it does not need" if stochastic else ""
    # Where nothing is left, a narrower code is no remedy.
    cure = _narrower(c, active) if active else f"lr={c.plan.lr / 2:.3g}"
    parts = _parts(_latents(c))
    return Finding(f"{unused} of {width} latent {parts} are unused{why}", cure)


def _narrower(c: Checkup, active: int) -> str:
    """Suggests a narrower code where ``active`` dimensions would do."""
    if len(c.output.latent.sites) > 1:
        used = _active_entries(c)
        worst = max(used, key=lambda name: int((~used[name]).sum()))
        n, width = int(used[worst].sum()), used[worst].numel()
        parts = _parts([c.output.latent.sites[worst].z])
        return f"a narrower {worst}, of which {n} of {width} {parts} vary"
    name = "channels ending in " if c.output.latent.z.dim() > 3 else "latent_dim="
    return f"{name}{active + math.ceil(active / 4)}"


def dead_units(c: Checkup) -> Finding | None:
    """Finds hidden units whose output is the same for every example."""
    hidden = [layer for layer in c.layers if not layer.name.startswith("bottleneck.")]
    worst = max(hidden, key=lambda layer: layer.dead / layer.units, default=None)
    if early(c) or worst is None or worst.dead <= _DEAD_SHARE * worst.units:
        return None
    one_sided = worst.floor == 0.0 and worst.kind != "LeakyReLU"
    return Finding(
        f"{worst.dead} of {worst.units} units of {worst.name} ({worst.kind}) are the same for "
        "every example",
        "activation=leaky_relu" if one_sided else f"lr={c.plan.lr / 2:.3g}",
    )


def dead_codes(c: Checkup) -> Finding | None:
    """Finds entries of a codebook that no example uses."""
    codes = c.output.latent.codes
    if codes is None or early(c):
        return None
    used = codes.unique()
    size = c.n_codes or int(used.max()) + 1
    if codes.numel() < _DRAWS_FOR_A_CODE * size or len(used) >= (1 - _DEAD_CODES) * size:
        return None
    return Finding(
        f"{size - len(used)} of {size} codes are used by none of {codes.numel()} entries",
        f"a codebook of {max(2, 2 * len(used))}",
    )


def kl_scale(c: Checkup) -> Finding | None:
    """Finds a KL term whose weight mixes a mean on one side and a sum on the other."""
    kl, weight = _kl(c), _kl_weight(c)
    if kl is None or weight is None:
        return None
    name, factor = _mean_term(c)
    summed = c.losses["kl"] / kl if kl > 1e-4 else 1.0
    if factor == 1.0 and abs(summed - 1) < _NEAR:
        return _telltale(c, weight)
    beta = weight * summed * factor
    if 1 / _MIXED < beta < _MIXED:
        return None
    what = f"'{name}' is a mean over {c.size} entries" if name else "the KL term is not a sum"
    return Finding(
        f"{what}, so the KL weight of {weight:.3g} means {beta:.3g} in nats",
        f"sum both terms, or weight kl by {weight / beta:.3g}",
    )


def _telltale(c: Checkup, weight: float) -> Finding | None:
    """Finds a KL weight that equals a size of the data or batch, one over it, or a ratio."""
    if c.moving or 1 / _MIXED < weight < _MIXED or weight <= 0:
        return None
    size, batch, n = c.size, c.plan.batch_size, c.progress.n_train
    origins = {
        "one over the entries of an example": 1 / size,
        "one over the batch size": 1 / batch,
        "one over the number of examples": 1 / n,
        "the share of a batch in the data": batch / n,
        "the entries of an example": float(size),
        "the batch size": float(batch),
    }
    for origin, value in origins.items():
        if abs(weight / value - 1) < _NEAR:
            return Finding(
                f"the KL weight {weight:.3g} is {origin}, and both terms are sums in nats already",
                "beta=1",
            )
    return None


def overfitting(c: Checkup) -> Finding | None:
    """Finds a validation loss that rises while the training loss still falls."""
    held_out = [r.validation["loss"] for r in c.history if "loss" in r.validation]
    if c.plan.keeps_best or c.blended:  # what is learned by heart is not what is left, or counts less
        return None
    if not c.alone or c.moving or early(c) or len(held_out) < len(c.history) or len(held_out) < 4:
        return None
    best = min(range(len(held_out)), key=held_out.__getitem__)
    now = min(held_out[-_PATIENCE:])
    lost, won = now - held_out[best], max(held_out) - held_out[best]
    trained, at_best = c.history[-1].losses["loss"], c.history[best].losses["loss"]
    falls = at_best - trained > _FELL * abs(at_best)
    # A loss above zero may also be judged by its own size: most of what is won is won at once.
    much = lost > _LOST * won or (lost > _LOST * held_out[best] > 0 and lost > _LEAST_LOST * won)
    if len(held_out) - 1 - best < _PATIENCE or not falls or not much:
        return None
    return Finding(
        f"overfitting: validation was best in epoch {best + 1} ({held_out[best]:.4g}) and is "
        f"{now:.4g} now, while the training loss fell on",
        "keep=best",
    )


def rate_too_high(c: Checkup) -> Finding | None:
    """Finds a training loss that climbs back, or that goes up about as much as down."""
    losses = [record.losses["loss"] for record in c.history if "loss" in record.losses]
    if not c.alone or c.moving or len(losses) < 2:
        return None
    best, last = min(losses[:-1]), losses[-1]
    rise, fall = last - best, max(losses) - best
    half = f"lr={c.plan.lr / 2:.3g}"
    if rise > _RISE * abs(best) and rise > _RISE_OF_FALL * fall:
        return Finding(f"the training loss rose from {best:.4g} to {last:.4g}", half)
    changes = [b - a for a, b in itertools.pairwise(losses[-_WINDOW - 1 :])]
    up, down = sum(d for d in changes if d > 0), -sum(d for d in changes if d < 0)
    jumps = sum(d > _JUMP * abs(last) for d in changes)
    if len(changes) < _WINDOW or jumps < _JUMPS or up < _AS_MUCH * down:
        return None
    return Finding(
        f"the training loss rose by more than {_JUMP:.0%} in {jumps} of the last {_WINDOW} epochs "
        "and gets nowhere",
        half,
    )


Rule = Callable[[Checkup], Finding | None]
#: Every rule, in the order in which findings are told.
RULES: tuple[Rule, ...] = (
    range_mismatch,
    kl_scale,
    rate_too_high,
    posterior_collapse,
    dead_codes,
    unused_dimensions,
    dead_units,
    saturated_outputs,
    overfitting,
)


def _observed(c: Checkup, values: Tensor) -> Tensor:
    """Selects the entries of (B, *D) values that were observed, flat."""
    return values.flatten() if c.batch.mask is None else values[c.batch.mask.expand_as(values)]


def _kl(c: Checkup) -> float | None:
    """Computes the KL of all sites in nats per example, ``None`` for a deterministic code."""
    sites = c.output.latent.sites.values()
    return sum(float(site.kl().mean()) for site in sites) if sites else None


def _latents(c: Checkup) -> list[Tensor]:
    """Lists all latents (S, B, *Z)."""
    return [site.z for site in c.output.latent.sites.values()] or [c.output.latent.z]


def _parts(latents: Sequence[Tensor]) -> str:
    """Names what ``_active`` counts: channels of a map, else dimensions."""
    return "channels" if any(z.dim() > 3 for z in latents) else "dimensions"


def _active(c: Checkup) -> tuple[int, int]:
    """Counts the latent dimensions (channels of a map) that vary over examples, and all of them."""
    flags = _active_entries(c).values()
    return sum(int(flag.sum()) for flag in flags), sum(flag.numel() for flag in flags)


def _active_entries(c: Checkup) -> dict[str, Tensor]:
    """Finds which dimensions of each latent vary over examples."""
    sites = c.output.latent.sites
    if sites:
        spreads = {name: _spread(_mean_of(site)) for name, site in sites.items()}
        return {name: spread.square() > _ACTIVE_VARIANCE for name, spread in spreads.items()}
    spread = _spread(c.output.latent.z[0])
    return {"z": spread > _ACTIVE_SPREAD * spread.max()}


def _mean_of(site: Site) -> Tensor:
    """Computes the mean of q(z|x), (B, *Z)."""
    mean = site.posterior.mean
    return mean[0] if mean.dim() == site.z.dim() else mean


def _spread(z: Tensor) -> Tensor:
    """Computes the standard deviation over examples of (B, *Z), the largest in each channel."""
    deviation = z.std(0, correction=0)
    return deviation.flatten(1).amax(1) if deviation.dim() > 1 else deviation


def _kl_weight(c: Checkup) -> float | None:
    """Finds the weight of the term named kl: as the objective says, else solved from its total."""
    if "kl" not in c.losses:
        return None
    if c.weights:
        return c.weights.get("kl")
    # Where the KL term is largest, the total says most of its weight; it is gone in a collapse.
    entries = [c.losses, *(record.losses for record in c.history)]
    solved = [_solved(entry) for entry in sorted(entries, key=lambda entry: -entry.get("kl", 0.0))]
    known = [weight for weight in solved if weight is not None]
    return known[0] if known and abs(known[-1] - known[0]) <= _NEAR * abs(known[0]) else None


def _solved(losses: Mapping[str, float]) -> float | None:
    """Solves a total of two terms for the weight of kl, where float32 is precise enough."""
    others = [value for name, value in losses.items() if name not in ("loss", "kl")]
    weighted = losses["loss"] - sum(others)
    if len(others) != 1 or "kl" not in losses or abs(weighted) < 1e-3 * abs(others[0]):
        return None
    return weighted / losses["kl"]


def _mean_term(c: Checkup) -> tuple[str | None, float]:
    """Finds the term that is a mean over entries, and the factor that makes it nats."""
    x_dist, target = c.output.x_dist, c.batch.target
    squares = float((_observed(c, x_dist.mean[0]) - _observed(c, target)).square().mean())
    entropy = float(-x_dist.log_prob(target, c.batch.mask).mean()) / c.size
    # A unit Gaussian has half of the squared error in its log-density.
    for known, factor in ((squares, c.size / 2), (entropy, float(c.size))):
        for name, value in c.losses.items():
            if name not in ("loss", "kl") and known and abs(value / known - 1) < _NEAR:
                return name, factor
    return None, 1.0
