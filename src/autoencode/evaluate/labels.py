"""Accuracy of a model that guesses labels."""

from __future__ import annotations

import numpy as np
import torch

from autoencode.data import known_labels
from autoencode.evaluate.case import Case
from autoencode.evaluate.measures import Figure, Measure, Result
from autoencode.models import SemiSupervisedAutoencoder


def _guessed(case: Case) -> Result:
    model = case.trained.model
    assert isinstance(model, SemiSupervisedAutoencoder)  # or there was an obstacle
    guesses = [model.class_log_probs(batch.x).argmax(1).cpu() for batch in case.batches()]
    names, known = known_labels(case.examples.labels)
    classes = np.array(case.trained.spec.classes)[torch.cat(guesses).numpy()]
    right = (classes == names)[known]
    _, counts = np.unique(names[known], return_counts=True)
    n = len(right)
    how = f"{n} examples, whose labels it was not told; the most frequent has {counts.max() / n:.3f}"
    rate = float(right.mean())
    return Result({"label_accuracy": rate}, {"label_accuracy": (rate * (1 - rate) / n) ** 0.5}, how)


def _no_guesses(case: Case) -> str | None:
    if not isinstance(case.trained.model, SemiSupervisedAutoencoder):
        return f"recipe '{case.trained.recipe.name}' guesses no labels"
    if case.examples.labels is None or not known_labels(case.examples.labels)[1].any():
        return "the examples have no labels"
    return None


GUESSES = Measure(
    "guesses",
    (
        Figure(
            "label_accuracy",
            "share",
            "right guesses of labels that the model is not told; models that guess them (m2_vae)",
            "higher",
        ),
    ),
    _guessed,
    _no_guesses,
    cost="quick",
    source="Semi-supervised Learning with Deep Generative Models (Kingma et al., 2014), "
    "https://arxiv.org/abs/1406.5298",
)
