"""Measures of how good samples are: distances from real examples in a named feature space."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from autoencode.data.values.apply_spec import to_shape
from autoencode.errors import IncompatibleError
from autoencode.evaluate.case import Case
from autoencode.evaluate.measures import Figure, Measure, Result, Section
from autoencode.evaluate.neighbourhoods import (
    DENSITY,
    MANIFOLD,
    frechet_distance,
    moments,
    neighbourhoods,
)

MOST = 10_000  # real examples, and as many samples


class Compared(NamedTuple):
    """Features of real examples, of as many samples, and of training examples if those are others."""

    real: Tensor
    samples: Tensor
    train: Tensor | None


def features(case: Case) -> Compared:
    """Computes the features of real, sampled and training examples, standardised by the real ones.

    Samples of a conditional model have the labels of the real examples. There are as many training
    examples as real ones, or all there are.
    """
    real = case.some(MOST)
    raw = case.features_of(real.x)
    labels = real.labels if case.trained.spec.classes else None
    trained = case.trained
    # Means of pixels as the model has them, not rounded to the types of pictures.
    drawn = trained.sample(len(real), case.seed, labels=labels, mean=not trained.draws)
    made = case.features_of(to_shape(drawn, trained.spec))
    others = None
    if case.train is not None and case.held_out:
        rows = case.rows(len(case.train), len(real))
        others = case.space.standardized(case.features_of(case.train.x[rows]), raw)
    return Compared(case.space.standardized(raw, raw), case.space.standardized(made, raw), others)


def _distance(case: Case) -> Result:
    real, made, others = case.once(features)
    here = moments(real)
    values: dict[str, float | None] = {"fid": frechet_distance(here, moments(made))}
    if others is not None:
        values["fid_train"] = frechet_distance(here, moments(others))
    how = _how(case, real)
    if len(real) <= real.shape[1]:
        how += f"; fewer examples than the {real.shape[1]} features, so it is far too high"
    return Result(values, how=how)


def _around(case: Case) -> Result:
    real, made, others = case.once(features)
    found = neighbourhoods(real, made)
    how = f"{MANIFOLD} and {DENSITY} neighbours; {_how(case, real)}"
    if others is not None and len(others) > DENSITY:
        best = neighbourhoods(real, others)
        how += (
            f"; training examples reach precision {best.precision:.3f}, recall {best.recall:.3f}, "
            f"density {best.density:.3f}, coverage {best.coverage:.3f}"
        )
    return Result(vars(found), how=how)


def _how(case: Case, real: Tensor) -> str:
    prior = getattr(case.trained.model.prior, "kind", None)
    drawn = "the prior" if prior is None else f"a prior fitted to the codes ({prior})"
    return f"{len(real)} samples from {drawn}, as many real examples, features {case.space.name}"


def _no_samples(case: Case) -> str | None:
    if case.trained.model.prior is None:
        return "the model has no prior to sample from"
    if len(case.examples) <= DENSITY:
        return f"{len(case.examples)} examples are too few to compare samples with"
    try:
        _ = case.space
    except IncompatibleError as error:
        return str(error)
    return None


SAMPLES = Section(
    "Samples",
    (
        Measure(
            "fid",
            (
                Figure(
                    "fid",
                    "squared distance",
                    "Fréchet distance between the features of samples and of real examples",
                    "lower",
                ),
                Figure(
                    "fid_train",
                    "squared distance",
                    "the same of training examples: the least to expect",
                ),
            ),
            _distance,
            _no_samples,
            cost="long",
            source="GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium "
            "(Heusel et al., 2017), https://arxiv.org/abs/1706.08500",
        ),
        Measure(
            "precision_recall",
            (
                Figure("precision", "share", "of samples that lie among real examples", "higher"),
                Figure("recall", "share", "of real examples that lie among samples", "higher"),
                Figure("density", "ratio", "real neighbourhoods around a sample, 1 if equal", "higher"),
                Figure("coverage", "share", "of real neighbourhoods that hold a sample", "higher"),
            ),
            _around,
            _no_samples,
            cost="long",
            source="Improved Precision and Recall Metric (Kynkäänniemi et al., 2019), "
            "https://arxiv.org/abs/1904.06991; Reliable Fidelity and Diversity Metrics (Naeem et al., "
            "2020), https://arxiv.org/abs/2002.09797",
        ),
    ),
)
