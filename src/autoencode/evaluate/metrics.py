"""Figures that every training ends with: reconstruction errors, PCA as yardstick, the ELBO."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from autoencode.data import Examples, Resident
from autoencode.evaluate.case import Case
from autoencode.evaluate.constant import CONSTANT
from autoencode.evaluate.labels import GUESSES
from autoencode.evaluate.measures import Figure, Measure, Result, taken
from autoencode.evaluate.pca import PCA
from autoencode.trained import Trained
from autoencode.types import Column, Output

# float32 sigmoids reach 0 and 1 exactly; a code length of infinity would say nothing.
_PROBABILITY_FLOOR = 1e-6
_SQUARED = "squared units per entry"
_NATS = "nats per example"


def _reconstructed(case: Case) -> dict[str, float | None]:
    """Computes the figures of ``ERRORS``, from one pass over the examples."""
    trained = case.trained
    unit = trained.spec.kind == "unit"
    mean = case.source.mean()
    squares, spread, nats, known, right, guessed = 0.0, 0.0, 0.0, 0, 0, 0
    columns = trained.spec.columns or (Column(""),)
    numeric = torch.tensor([column.numeric for column in columns])
    coded = torch.tensor([column.kind in ("category", "boolean") for column in columns])
    for batch in case.batches():
        guess = trained.model.reconstruct(batch.x, batch.context)
        there = torch.ones_like(batch.x, dtype=torch.bool) if batch.mask is None else batch.mask
        x = batch.x.masked_fill(~there, 0.0)
        counted = there & numeric.to(x.device)
        squares += float(((x - guess).square() * counted).sum())
        spread += float(((x - mean).square() * counted).sum())
        known += int(counted.sum())
        named = there & coded.to(x.device)
        right += int(((guess.round() == x) & named).sum())
        guessed += int(named.sum())
        if unit:
            nats += _cross_entropy(x, guess, there)
    mse = squares / known if known else None
    return {
        "mse": mse,
        "accuracy": right / guessed if guessed else None,
        "psnr": -10 * math.log10(mse) if unit and mse else None,
        "explained_variance": 1 - squares / spread if spread else None,
        "bernoulli_nats": nats / len(case.source) if unit else None,
    }


def _errors(case: Case) -> Result:
    return Result(case.once(_reconstructed))


def _cross_entropy(x: Tensor, guess: Tensor, there: Tensor) -> float:
    p = guess.clamp(_PROBABILITY_FLOOR, 1 - _PROBABILITY_FLOOR)
    return -float(((x * p.log() + (1 - x) * torch.log1p(-p)) * there).sum())


def _pca(case: Case) -> Result:
    trained, train = case.trained, case.train
    assert train is not None  # or there was an obstacle
    width = math.prod(trained.latent_shape)
    fitted = PCA.fit(Resident(train, trained.spec), width)
    pca_mse = fitted.mse(Resident(case.examples, trained.spec))
    mse = case.once(_reconstructed)["mse"]
    ratio = mse / pca_mse if pca_mse and mse is not None else None
    return Result({"pca_mse": pca_mse, "mse_to_pca": ratio}, how=fitted.how)


def _no_pca(case: Case) -> str | None:
    spec, width = case.trained.spec, math.prod(case.trained.latent_shape)
    if case.train is None:
        return "there are no training examples to fit PCA on"
    if spec.mixed:
        return "PCA takes no categories"
    if width >= spec.size:
        return f"a code of {width} numbers is no narrower than the data, of which PCA loses nothing"
    return None


def _elbo(case: Case) -> Result:
    rates: list[Tensor] = []
    distortions: list[Tensor] = []
    for batch in case.seen_batches():
        output = case.trained.model(batch)
        distortions.append(-output.x_dist.log_prob(batch.target, batch.mask).mean(0).cpu().double())
        rates.append(total_kl(output).cpu().double())
    kl, reconstruction = torch.cat(rates), torch.cat(distortions)
    both = kl + reconstruction
    values = {"reconstruction": reconstruction, "kl": kl, "elbo": -both}
    return Result(
        {name: float(each.mean()) for name, each in values.items()},
        {name: standard_error(each) for name, each in values.items()},
        f"{case.seen_in_words}; one draw of z for each of {len(both)} examples",
    )


def total_kl(output: Output) -> Tensor:
    """Computes KL(q(z|x) || p(z)) of all variables together, mean over draws, (B,), in nats."""
    samples, size = output.latent.z.shape[:2]
    kls = [site.kl().expand(samples, size).mean(0) for site in output.latent.sites.values()]
    return torch.stack(kls).sum(0)


def standard_error(values: Tensor) -> float:
    """Computes the standard error of the mean of values (N,); NaN for a single one."""
    return float(values.std()) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def no_posterior(case: Case) -> str | None:
    """Says why a measure of q(z|x) has no meaning, where it has none."""
    if case.stochastic:
        return None
    return f"recipe '{case.trained.recipe.name}' has a deterministic code and no q(z|x)"


ERRORS = Measure(
    "errors",
    (
        Figure(
            "mse",
            _SQUARED,
            "mean squared error of the reconstruction, in the model's units (pixels 0..1); of a "
            "table's numbers and dates",
            "lower",
        ),
        Figure(
            "accuracy",
            "share",
            "right guesses of the known categories and booleans of a mixed table",
            "higher",
        ),
        Figure("psnr", "dB", "10 log10(1 / mse), for data in [0, 1]", "higher"),
        Figure(
            "explained_variance",
            "share",
            "1 - mse / variance of the same examples around their mean",
            "higher",
        ),
        Figure(
            "bernoulli_nats",
            _NATS,
            "cross-entropy of the data under the reconstruction, for data in [0, 1]",
            "lower",
        ),
    ),
    _errors,
    cost="quick",
)
YARDSTICK = Measure(
    "pca",
    (
        Figure(
            "pca_mse",
            _SQUARED,
            "mse of PCA of the same width, fitted on the training examples; a missing value counts as "
            "the mean there",
        ),
        Figure("mse_to_pca", "ratio", "mse / pca_mse: below 1 is better than PCA", "lower"),
    ),
    _pca,
    _no_pca,
    cost="quick",
)
BOUND = Measure(
    "bound",
    (
        Figure("reconstruction", _NATS, "-log p(x|z) at one draw of z; variational models", "lower"),
        Figure("kl", _NATS, "KL(q(z|x) || p(z)); variational models"),
        Figure(
            "elbo",
            _NATS,
            "-(reconstruction + kl), a lower bound on log p(x); variational models",
            "higher",
        ),
    ),
    _elbo,
    no_posterior,
    cost="quick",
    source="Auto-Encoding Variational Bayes (Kingma & Welling, 2013), https://arxiv.org/abs/1312.6114",
)

QUICK = (ERRORS, YARDSTICK, CONSTANT, BOUND, GUESSES)
#: What every training is measured by.
METRICS: Mapping[str, Figure] = {f.name: f for measure in QUICK for f in measure.figures}


def evaluate(
    trained: Trained, examples: Examples, train: Examples | None = None, *, seed: int = 0
) -> dict[str, float | None]:
    """Measures how well a model explains some examples, by what takes one pass over them.

    Args:
        trained: the model.
        examples: raw examples that fit its ``spec``.
        train: the training examples, to fit PCA and column means on; without them there is no
            comparison.
        seed: of the draws of z behind the ELBO.

    Returns:
        A value for every name in ``METRICS``, ``None`` where it has no meaning for this model.
    """
    return quick(Case(trained, examples, train, seed))


def measured(case: Case) -> tuple[dict[str, float | None], dict[str, str]]:
    """Takes the figures of ``METRICS``, whatever fails among them.

    Returns:
        A value for every name in ``METRICS``; and by the name of each measure that failed or would
        have been too dear, why.
    """
    entries = list(taken(QUICK, case, tolerant=True))
    values = {name: value for entry in entries for name, value in entry.values.items()}
    return values, {e.measure.name: e.absent or "" for e in entries if e.left_out}


def quick(case: Case) -> dict[str, float | None]:
    """Computes the values of ``METRICS``."""
    entries = taken(QUICK, case)
    return {name: value for entry in entries for name, value in entry.values.items()}


def described(values: Mapping[str, float | None]) -> list[dict[str, Any]]:
    """Lists the metrics with their units and meanings, those without a value left out."""
    return [
        {"name": name, "value": values[name], "unit": figure.unit, "meaning": figure.meaning}
        for name, figure in METRICS.items()
        if values.get(name) is not None
    ]
