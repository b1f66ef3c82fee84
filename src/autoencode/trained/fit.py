"""Trains a recipe on data."""

from __future__ import annotations

from typing import Any

from autoencode.data import Data, source_of
from autoencode.errors import TrainingError
from autoencode.recipes import Recipe
from autoencode.training import EpochRecord, Keeper, Observer, TrainingState, fit

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
    # The loss of the last step says nothing of the weights that this step left.
    if not all(bool(p.isfinite().all()) for p in recipe.model.parameters()):
        raise TrainingError(f"training diverged: weights are not finite; {LOWER_RATE}")
    return records
