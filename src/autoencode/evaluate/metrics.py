"""Test metrics, each with its unit and meaning."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from autoencode.data import Examples, Resident
from autoencode.evaluate.constant import Constant
from autoencode.evaluate.pca import PCA
from autoencode.randomness import seeded
from autoencode.trained import Trained
from autoencode.training.tuning import tuned

_CHUNK = 1000
# float32 sigmoids reach 0 and 1 exactly; a code length of infinity would say nothing.
_PROBABILITY_FLOOR = 1e-6


@dataclass(frozen=True)
class MetricInfo:
    """A metric's unit and what it means."""

    unit: str
    meaning: str


METRICS: Mapping[str, MetricInfo] = {
    "mse": MetricInfo(
        "squared units per entry",
        "mean squared error of the reconstruction, in the model's units (pixels 0..1); of a table's "
        "numbers and dates",
    ),
    "accuracy": MetricInfo(
        "share", "right guesses of the known categories and booleans of a mixed table"
    ),
    "psnr": MetricInfo("dB", "10 log10(1 / mse), for data in [0, 1]"),
    "explained_variance": MetricInfo(
        "share", "1 - mse / variance of the same examples around their mean"
    ),
    "pca_mse": MetricInfo(
        "squared units per entry",
        "mse of PCA of the same width, fitted on the training examples; a missing value counts as the "
        "mean there",
    ),
    "mse_to_pca": MetricInfo("ratio", "mse / pca_mse: below 1 is better than PCA"),
    "mean_mse": MetricInfo(
        "squared units per entry",
        "mse of guessing each column's mean over the training examples; tables with gaps or categories",
    ),
    "mode_accuracy": MetricInfo(
        "share",
        "accuracy of guessing each column's most frequent value in the training examples; mixed tables",
    ),
    "bernoulli_nats": MetricInfo(
        "nats per example",
        "cross-entropy of the data under the reconstruction, for data in [0, 1]",
    ),
    "reconstruction": MetricInfo(
        "nats per example", "-log p(x|z) at one draw of z; variational models"
    ),
    "kl": MetricInfo("nats per example", "KL(q(z|x) || p(z)); variational models"),
    "elbo": MetricInfo(
        "nats per example", "-(reconstruction + kl), a lower bound on log p(x); variational models"
    ),
}


def evaluate(
    trained: Trained, examples: Examples, train: Examples | None = None, *, seed: int = 0
) -> dict[str, float | None]:
    """How well a model explains some examples.

    Args:
        trained: the model.
        examples: raw examples that fit its ``spec``.
        train: the training examples, to fit PCA and column means on; without them there is no
            comparison.
        seed: of the draws of z behind the ELBO.

    Returns:
        A value for every name in ``METRICS``, ``None`` where it has no meaning for this model.
    """
    source = Resident(examples, trained.spec, trained.device)
    values: dict[str, float | None] = dict.fromkeys(METRICS)
    with tuned(trained.device), seeded(seed, trained.device), torch.inference_mode():
        trained.model.eval()
        values |= _errors(trained, source)
        values |= _elbo(trained, source)
        if train is not None:
            values |= _yardsticks(trained, source, Resident(train, trained.spec), values["mse"])
    return values


def _yardsticks(
    trained: Trained, source: Resident, train: Resident, mse: float | None
) -> dict[str, float | None]:
    """What is reached without a network."""
    spec = trained.spec
    values: dict[str, float | None] = {}
    if spec.gaps or spec.mixed:
        constant = Constant.fit(train, spec)
        values["mean_mse"], values["mode_accuracy"] = constant.errors(source)
    width = math.prod(trained.latent_shape)
    if width < spec.size and not spec.mixed:
        pca_mse = PCA.fit(train, width).mse(source)
        values["pca_mse"] = pca_mse
        if mse is not None and pca_mse:
            values["mse_to_pca"] = mse / pca_mse
    return values


def _errors(trained: Trained, source: Resident) -> dict[str, float | None]:
    spec = trained.spec
    unit = spec.kind == "unit"
    mean = source.mean()
    squares, spread, nats, known, right, guessed = 0.0, 0.0, 0.0, 0, 0, 0
    numeric = torch.tensor([column.numeric for column in spec.columns] or [True])
    coded = torch.tensor([column.kind in ("category", "boolean") for column in spec.columns] or [False])
    for batch in source.batches(_CHUNK):
        guess = trained.model.reconstruct(batch.x, batch.context)
        there = torch.ones_like(batch.x, dtype=torch.bool) if batch.mask is None else batch.mask
        x = batch.x.masked_fill(~there, 0.0)
        counted = there & (numeric.to(x.device) if spec.columns else True)
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
        "bernoulli_nats": nats / len(source) if unit else None,
    }


def _cross_entropy(x: torch.Tensor, guess: torch.Tensor, there: torch.Tensor) -> float:
    p = guess.clamp(_PROBABILITY_FLOOR, 1 - _PROBABILITY_FLOOR)
    return -float(((x * p.log() + (1 - x) * torch.log1p(-p)) * there).sum())


def _elbo(trained: Trained, source: Resident) -> dict[str, float | None]:
    reconstruction, kl = 0.0, 0.0
    for batch in source.batches(_CHUNK):
        output = trained.model(batch)
        if not output.latent.sites:
            return {}
        reconstruction -= float(output.x_dist.log_prob(batch.target, batch.mask).sum())
        kl += sum(float(site.kl().sum()) for site in output.latent.sites.values())
    n = len(source)
    return {
        "reconstruction": reconstruction / n,
        "kl": kl / n,
        "elbo": -(reconstruction + kl) / n,
    }


def described(values: Mapping[str, float | None]) -> list[dict[str, Any]]:
    """The metrics with their units and meanings, those without a value left out."""
    return [
        {"name": name, "value": values[name], "unit": info.unit, "meaning": info.meaning}
        for name, info in METRICS.items()
        if values.get(name) is not None
    ]
