"""What is seriously wrong with a model that was trained whole, to be told in Python as warnings."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from autoencode.data import Examples, Resident
from autoencode.errors import DoctorWarning
from autoencode.evaluate.pca import PCA
from autoencode.evaluate.relative import spread_over
from autoencode.objectives import Corrupted, WeightedSum
from autoencode.trained import Trained
from autoencode.training import Diagnosis
from autoencode.types import Array

#: Rules of the doctor that are told as warnings, beside ``worse_than_pca``.
SERIOUS = ("posterior_collapse", "overfitting", "saturated_outputs", "range_mismatch")

_EARLY_STEPS = 200  # as the doctor's rules
_FEW_ROWS, _MOST_ROWS, _MOST_COLUMNS = 20, 2000, 512
_WORSE, _SURE = 1.1, 2.0  # times PCA's error; standard errors of the difference
_RESTRAINED = 3.0  # times PCA's error, for objectives that are about more than it
_OVER = 1.2  # times the error on training rows
_COLLAPSED = 2.0  # times PCA's error: else there is nothing that a code could hold


def tell(
    trained: Trained, history: Sequence[Mapping[str, Any]], train: Examples, held_out: Examples | None
) -> None:
    """Warns of what is seriously wrong with a model, one ``DoctorWarning`` for each finding.

    Nothing is said of trainings of fewer than 200 steps, or without the doctor.

    Args:
        trained: the model.
        history: one entry for each epoch, the last with the diagnoses that stand.
        train: the rows that it was trained on.
        held_out: others, where there are.
    """
    if not trained.recipe.plan.doctor or not history or history[-1]["step"] < _EARLY_STEPS:
        return
    standing = [d for d in history[-1].get("diagnoses", ()) if d["rule"] in SERIOUS]
    beside = _beside_pca(trained, train, held_out)
    found = [(d["rule"], d["message"], d["suggestion"]) for d in standing]
    if beside is not None:
        collapsed = any(rule == "posterior_collapse" for rule, _, _ in found)
        if collapsed and beside.ratio < _COLLAPSED:
            found = [one for one in found if one[0] != "posterior_collapse"]
        worse = worse_than_pca(trained, beside)
        if worse is not None and not collapsed:
            found.append((worse.rule, worse.message, worse.suggestion))
    for rule, message, suggestion in found:
        warnings.warn(DoctorWarning(rule, message, suggestion), stacklevel=4)


class Beside:
    """Squared errors of rows by a model and by PCA of the same width, in units of the variance.

    Args:
        model, pca: (N,) summed over entries.
        varied: what is to be explained, the mean over rows.
        width: of the code.
        trained_on: whether the rows are those that both learned from.
        learned: the model's error on those.
    """

    def __init__(
        self, model: Array, pca: Array, varied: float, width: int, trained_on: bool, learned: float
    ) -> None:
        self.model, self.pca = model.mean() / varied, pca.mean() / varied
        self.ratio = float(self.model / max(self.pca, 1e-6))
        gaps = model - pca
        self.sure = bool(gaps.mean() > _SURE * gaps.std() / math.sqrt(len(gaps)))
        self.width, self.trained_on, self.learned = width, trained_on, learned


def worse_than_pca(trained: Trained, beside: Beside) -> Diagnosis | None:
    """Finds a model whose error is surely above that of PCA with a code of the same width.

    A model whose objective is about more than the error (a KL term, sparseness) may be above.
    """
    recipe = trained.recipe
    objective = recipe.updates[0].objective
    restrained = not isinstance(objective, WeightedSum) or len(objective.terms) > 1
    if not beside.sure or beside.ratio < (_RESTRAINED if restrained else _WORSE):
        return None
    rows = "training" if beside.trained_on else "held-out"
    cure = "recipe=linear"
    if restrained and float(recipe.options.get("beta", 1.0)) > 1:
        cure = "beta=1"
    elif not beside.trained_on and beside.model > _OVER * beside.learned and not recipe.plan.keeps_best:
        cure = "keep=best, validation=0.2"
    return Diagnosis(
        "worse_than_pca",
        f"worse than PCA: the squared error of {rows} rows is {beside.model:.3g} of their variance, "
        f"and PCA of {beside.width} components leaves {beside.pca:.3g}",
        cure,
        epoch=0,
    )


def _beside_pca(trained: Trained, train: Examples, held_out: Examples | None) -> Beside | None:
    """Measures a model beside PCA; ``None`` where they cannot be compared, or not in a moment."""
    spec, width = trained.spec, math.prod(trained.latent_shape)
    objective = trained.recipe.updates[0].objective
    noisy = isinstance(objective, Corrupted) or train.held_target is not None
    if spec.mixed or spec.context_dim or noisy or spec.size > _MOST_COLUMNS or spec.gaps:
        return None
    few = spread_over(train, _MOST_ROWS)
    if width >= min(spec.size, len(few) // 2) or trained.recipe.options.get("n_codes"):
        return None
    trained_on = held_out is None or len(held_out) < _FEW_ROWS
    rows = spread_over(few if held_out is None or trained_on else held_out)
    if len(rows) < _FEW_ROWS:
        return None
    pca = PCA.fit(Resident(few, spec), width)
    axes, mean = pca.axes.numpy(), pca.mean.numpy()
    x = _seen(trained, rows.x) - mean
    by_pca = np.square(x - (x @ axes.T) @ axes).sum(1)
    varied = float(np.square(x).sum(1).mean())
    if not varied > 0:
        return None
    by_model = _squares(trained, rows)
    own = _seen(trained, few.x)
    learned = float(_squares(trained, few).mean() / np.square(own - mean).sum(1).mean())
    return Beside(by_model, by_pca, varied, width, trained_on, learned)


def _squares(trained: Trained, rows: Examples) -> Array:
    """Computes the squared error (N,) of reconstructing rows, as the model sees them."""
    found = _seen(trained, trained.reconstruct(rows)) - _seen(trained, rows.x)
    return np.asarray(np.square(found).sum(1))


def _seen(trained: Trained, x: Array) -> Array:
    spec = trained.spec
    rows: Array = (x.reshape(len(x), -1) - np.asarray(spec.offset)) / np.asarray(spec.scale)
    return rows
