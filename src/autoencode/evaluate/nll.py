"""Negative log-likelihood by importance sampling, with its error and the binarisation it is of.

log p(x) is at least the expectation of the S-sample bound, and near it for large S: the estimate is an
upper bound on -log p(x) in expectation. Numbers of grey, statically and dynamically binarised data are
of different data and cannot be compared; of grey data under a Bernoulli likelihood it is no likelihood
at all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from autoencode.data import Examples, Resident
from autoencode.errors import IncompatibleError, OptionError
from autoencode.evaluate.case import Binarization, Case, Tick, as_seen, silent
from autoencode.evaluate.measures import Figure, Measure, Result
from autoencode.evaluate.metrics import no_posterior
from autoencode.objectives import log_weights
from autoencode.randomness import drawing
from autoencode.trained import Trained
from autoencode.training.processor import tuned
from autoencode.types import Batch

_MOST_ENTRIES = 1 << 22  # of x, or of z where that is more, in one pass through the decoder


@dataclass(frozen=True)
class NLL:
    """The mean of -log p(x) over examples.

    Attributes:
        nats: the mean, nats per example.
        standard_error: of the mean over examples, nats; draws of z are part of it.
        bits_per_dim: the mean in bits for each entry.
        n_samples: draws of z for each example, S.
        n_examples: examples.
        binarization: grey (as they are), static (each example drawn once, from the seed) or dynamic
            (drawn for this evaluation, as in training).
        seed: of the draws.
    """

    nats: float
    standard_error: float
    bits_per_dim: float
    n_samples: int
    n_examples: int
    binarization: Binarization
    seed: int


def nll(
    trained: Trained,
    examples: Examples,
    n_samples: int = 5000,
    *,
    binarization: Binarization = "grey",
    seed: int = 0,
    batch_size: int = 20,
    tick: Tick = silent,
) -> NLL:
    """Estimates -log p(x) of some examples by importance sampling from the posterior.

    Importance Weighted Autoencoders (Burda et al., 2015), section 5, https://arxiv.org/abs/1509.00519

    Args:
        trained: a model with a stochastic code.
        examples: raw examples that fit its ``spec``.
        n_samples: S, draws of z for each; 5000 in most papers.
        binarization: what is done to the examples first; static and dynamic need data in [0, 1]. They
            are the same here, as each example is drawn once; the name says what the model was trained
            on, and goes into the result.
        seed: of the draws.
        batch_size: examples that are computed together.
        tick: told how many examples are done, and of how many.

    Raises:
        IncompatibleError: when the code is deterministic, or values cannot be binarised.
        OptionError: for an unknown binarisation or no samples.

    Example:
        >>> from autoencode import train
        >>> run = train("digits", "vae", epochs=1)
        >>> found = nll(run.trained, run.data.test, 10)
        >>> found.n_examples, found.nats > 0
        (359, True)
    """
    if binarization not in get_args(Binarization):
        raise OptionError(f"unknown binarisation '{binarization}'; use grey, static or dynamic")
    if n_samples < 1:
        raise OptionError(f"the number of samples must be at least 1, got {n_samples}")
    if not trained.stochastic:
        raise IncompatibleError(
            f"recipe '{trained.recipe.name}' has a deterministic code and no log p(x); use vae"
        )
    if binarization != "grey" and trained.spec.kind != "unit":
        raise IncompatibleError("only values in [0, 1] can be binarised; use binarization='grey'")
    source = Resident(examples, trained.spec, trained.device)
    trained.model.eval()
    found: list[Tensor] = []
    noise = drawing(seed, trained.device, trained.model)
    with tuned(trained.device), noise, torch.inference_mode():
        for batch in source.batches(batch_size):
            tick(len(found) * batch_size, len(source))
            found.append(_log_likelihood(trained, as_seen(batch, binarization), n_samples).cpu())
    each = -torch.cat(found).double()
    nats = float(each.mean())
    return NLL(
        nats=nats,
        standard_error=float(each.std()) / math.sqrt(len(each)) if len(each) > 1 else math.nan,
        bits_per_dim=nats / (math.log(2) * trained.spec.size),
        n_samples=n_samples,
        n_examples=len(each),
        binarization=binarization,
        seed=seed,
    )


def _log_likelihood(trained: Trained, batch: Batch, n_samples: int) -> Tensor:
    """Computes the S-sample bound of each example (B,), a chunk of draws at a time."""
    entries = max(trained.spec.size, math.prod(trained.latent_shape))
    at_once = max(1, min(n_samples, _MOST_ENTRIES // (len(batch.x) * entries)))
    total = torch.full((len(batch.x),), -math.inf, dtype=torch.float64, device=batch.x.device)
    for first in range(0, n_samples, at_once):
        output = trained.model(batch, min(at_once, n_samples - first))
        total = torch.logaddexp(total, log_weights(output, batch).double().logsumexp(0))
    return total - math.log(n_samples)


def _measured(case: Case) -> Result:
    seen, examples = case.seen, case.some(case.n_examples)
    binarization: Binarization = seen if seen in ("static", "dynamic") else "grey"
    found = nll(
        case.trained,
        examples,
        case.n_draws,
        binarization=binarization,
        seed=case.seed,
        tick=case.tick,
    )
    mass = case.has_mass
    how = f"{case.seen_in_words}; {found.n_samples} draws of z for each of {found.n_examples} examples"
    if not mass:
        how += "; no bits per entry, as p(x|z) gives a density or a cross-entropy and no probability"
    return Result(
        {"nll": found.nats, "bits_per_dim": found.bits_per_dim if mass else None},
        {"nll": found.standard_error},
        how,
    )


LIKELIHOOD = Measure(
    "nll",
    (
        Figure(
            "nll",
            "nats per example",
            "-log p(x) by importance sampling; in expectation an upper bound, nearer with more draws",
            "lower",
        ),
        Figure(
            "bits_per_dim",
            "bits per entry",
            "nll / (entries ln 2), where p(x|z) gives probabilities: bits to code an entry",
            "lower",
        ),
    ),
    _measured,
    no_posterior,
    cost="long",
    source="Importance Weighted Autoencoders (Burda et al., 2015), https://arxiv.org/abs/1509.00519",
)
