"""A recipe whose reconstruction is judged by an error of the user's own."""

from __future__ import annotations

from dataclasses import replace

import torch

from autoencode.errors import IncompatibleError
from autoencode.objectives.own_error import OwnError, with_error
from autoencode.objectives.terms import NamedTerm
from autoencode.randomness import seeded
from autoencode.recipes.built import Recipe
from autoencode.types import Progress

_CURE = "use a recipe whose loss is a plain sum (mlp, vae), or leave the loss out"


def with_loss(recipe: Recipe, loss: OwnError) -> Recipe:
    """Puts a loss in the place of a recipe's reconstruction term; its other terms stay.

    Args:
        recipe: as it was built.
        loss: a term of ``objectives``, or ``(reconstruction, x) -> errors`` of examples or entries.

    Raises:
        IncompatibleError: where the recipe has no such term, or units differ, or the loss does not
            depend on the reconstruction.
        OptionError: where a function gives something else than errors.

    Example:
        >>> from autoencode import DataSpec, build
        >>> recipe = with_loss(build("mlp_small", DataSpec((30,))), lambda made, x: (made - x).abs())
        >>> sorted(recipe.updates[0].objective.terms)
        ['own_loss']
    """
    if recipe.spec.mixed and not isinstance(loss, NamedTerm):
        raise IncompatibleError(
            "categories and counts have no difference that a loss of your own could be given; leave "
            "the loss out, or drop such columns"
        )
    updates, n_changed = [], 0
    for update in recipe.updates:
        objective = with_error(update.objective, loss)
        n_changed += objective is not None
        updates.append(update if objective is None else replace(update, objective=objective))
    if not n_changed:
        raise IncompatibleError(
            f"the loss of recipe '{recipe.name}' has no reconstruction term that another could "
            f"replace; {_CURE}"
        )
    made = replace(recipe, updates=tuple(updates)).check()
    _refuse_blind(made)
    return made


def _refuse_blind(recipe: Recipe) -> None:
    """Tries the objectives on two examples; refuses a loss that no weight of the decoder moves."""
    model = recipe.model
    device = next(model.parameters()).device
    weights = [p for p in model.decoder.parameters() if p.requires_grad]
    batch = recipe.spec.batch(
        torch.linspace(0, 1, 2 * recipe.spec.size).reshape(2, *recipe.spec.shape).to(device)
    )
    moved = not weights
    for update in recipe.updates:
        with seeded(0, device, model):
            total = update.objective(model, batch, Progress(1)).total
        if weights and total.requires_grad:
            found = torch.autograd.grad(total, weights, allow_unused=True)
            moved = moved or any(one is not None and bool(one.any()) for one in found)
    if not moved:
        raise IncompatibleError(
            "the loss does not depend on the reconstruction, so nothing would be learned of x; give "
            "one that compares reconstruction and x"
        )
