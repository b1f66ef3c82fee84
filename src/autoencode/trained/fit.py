"""Trains a recipe on data."""

from __future__ import annotations

from typing import Any

import torch

from autoencode.data import Data, Examples, source_of
from autoencode.errors import TrainingError
from autoencode.models.blending import ROWS
from autoencode.randomness import seeded
from autoencode.recipes import Recipe
from autoencode.training import EpochRecord, Keeper, Observer, TrainingState, fit
from autoencode.types import Pass, Source

# What to do about a training that diverged.
LOWER_RATE = "try a lower learning rate"


def fit_recipe(
    recipe: Recipe,
    data: Data,
    seed: int,
    device: Any,
    observer: Observer | None = None,
    keeper: Keeper | None = None,
    state: TrainingState | None = None,
    *,
    warm: bool = False,
) -> list[EpochRecord]:
    """Trains a recipe on the training part of some data, watching its validation part.

    Args:
        recipe, data, seed, device, observer, keeper, state: as for ``training.fit``.
        warm: whether the model has been trained before, so that it starts as it is.
    """
    examples, held_out = data.split(recipe.plan.validation, seed)
    source = source_of(examples, recipe.spec, device)
    recipe.check_data(source)
    records = fit(
        recipe.model,
        recipe.updates,
        source,
        recipe.plan,
        validation=None if held_out is None else source_of(held_out, recipe.spec, device),
        seed=seed,
        device=device,
        observer=observer,
        keeper=keeper,
        resume=state,
        helpers=recipe.helpers,
        warm=warm,
    )
    _blend(recipe, source, held_out, seed, device, anew=not warm)
    # The loss of the last step says nothing of the weights that this step left.
    if not all(bool(p.isfinite().all()) for p in recipe.model.parameters()):
        raise TrainingError(f"training diverged: weights are not finite; {LOWER_RATE}")
    return records


def _blend(
    recipe: Recipe, source: Source, held_out: Examples | None, seed: int, device: Any, *, anew: bool
) -> None:
    """Blends what the model's network has learned with what stands beside it, where there is such."""
    blend = getattr(recipe.model, "blend", None)
    if blend is None:
        return
    beside = None
    if held_out is not None:
        beside = next(source_of(held_out, recipe.spec, device).batches(ROWS)).to(device)
    with seeded(seed, torch.device(device), recipe.model):
        blend(lambda n: next(source.shuffled(Pass(seed, 0, n))).to(device), beside, anew)
