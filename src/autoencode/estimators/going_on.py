"""Going on with a trained model on further data: in which scaling, from which weights, at what rate.

A network reads and writes standardised values. When the data have moved (another mean, another scale),
the same network in the scaling of the new data is the same function of what has been standardised, and
as right as before; when they are more of the same, its own scaling is the right one to the last digit.
Which of the two it is, is not asked but measured: the one that explains the new rows better.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from autoencode.data import Examples, Resident
from autoencode.data.values.rescaled import is_moved, rescaled
from autoencode.errors import OptionError
from autoencode.evaluate.relative import ERROR, ROWS, relative_error, spread_over
from autoencode.recipes import Recipe
from autoencode.trained import Trained
from autoencode.types import DataSpec

SLOWEST = 0.1  # of the peak rate: what a model that has nothing new to learn goes on at
_UNKNOWN = 0.3  # where the error cannot be told
_HELD_OUT_SHARE, _HELD_OUT = 0.15, 300  # to keep the best weights by
_ENOUGH = 30  # rows from which a scaling of their own can be learned
_FAR = 0.5  # of the scale: what more rows of the same rarely differ by
_WELL_AHEAD = 2 / 3  # of the error: for which what was learned is given up
_MUCH_BETTER = 0.5  # of the error: for which the scaling of all rows so far is given up
_REMEMBERED = 100  # parts of this size, by which the scaling is learned while training goes on in parts

Build = Callable[[DataSpec], Recipe]


def carried(before: Recipe, recipe: Recipe) -> Recipe:
    """Gives a new recipe the weights of a trained one.

    Raises:
        OptionError: when it asks for other networks.
    """
    wanted = recipe.model.state_dict()
    known = {k: v for k, v in before.model.state_dict().items() if k in wanted}
    if {n: t.shape for n, t in known.items()} != {n: t.shape for n, t in wanted.items()}:
        raise OptionError(
            "warm_start goes on with the last model, and the options ask for another; "
            "set warm_start=False"
        )
    recipe.model.load_state_dict(known)
    device = next(before.model.parameters()).device
    recipe.model.to(device)
    return recipe


def scaling_for(before: Trained, examples: Examples, standardize: str, build: Build) -> DataSpec:
    """Chooses the scaling in which a model explains further rows better: its own or that of the rows.

    Args:
        before: the model.
        examples: the rows, raw.
        standardize: how rows are scaled (``data.values.ranges.spec_for``).
        build: a spec to the recipe for it.
    """
    own = rescaled(before.spec, examples.values, standardize)
    if not is_moved(before.spec, own):
        return before.spec
    kept, moved = (_error_in(spec, own, before, examples, build) for spec in (before.spec, own))
    return own if moved < kept else before.spec


def scaling_of_part(
    before: Trained, examples: Examples, standardize: str, build: Build
) -> tuple[DataSpec, int]:
    """Chooses the scaling for one more part of the rows, and counts the rows that it is learned from.

    It follows the mean and variance of all rows so far, a hundred parts of this size at most, and moves
    only when they do. A part may be unlike the others, as when rows are sorted; only where the network
    explains it far better in the part's own scaling have the data themselves moved, and what was before
    is left behind.
    """
    n = len(examples)
    seen = min(int(before.info.get(ROWS, _REMEMBERED * n)), _REMEMBERED * n)
    together = rescaled(before.spec, examples.values, standardize, seen)
    own = rescaled(before.spec, examples.values, standardize)
    if n >= _ENOUGH and is_moved(together, own, _FAR):
        kept, moved = (_error_in(spec, own, before, examples, build) for spec in (together, own))
        if moved < _MUCH_BETTER * min(kept, 1.0):
            return own, n
    return (together if is_moved(before.spec, together) else before.spec), seen + n


def _error_in(
    spec: DataSpec, units: DataSpec, before: Trained, examples: Examples, build: Build
) -> float:
    """Computes the error on rows of a model whose values are scaled as a spec says."""
    there = before if spec is before.spec else Trained(carried(before.recipe, build(spec)))
    error = relative_error(there, examples, units)
    return 1.0 if error is None else error


def pace(before: Trained, recipe: Recipe, examples: Examples) -> float | None:
    """Chooses the factor on the learning rate for going on, from what there is left to learn.

    Args:
        before: the model as it was.
        recipe: the one that goes on from it.
        examples: the rows to go on with.

    Returns:
        From 0.1, where the rows are explained as well as those before were, to nearly 1; ``None`` where
        they are explained no better than by their mean, so that there is nothing to go on from.
    """
    error = relative_error(Trained(recipe), examples)
    if error is None:
        return _UNKNOWN
    if error >= 1:
        return None
    known = min(float(before.info.get(ERROR, 0.0)), error)
    return max(SLOWEST, math.sqrt((error - known) / (1 - known)))


def starts_better(fresh: Recipe, recipe: Recipe, examples: Examples) -> bool:
    """Tells whether a fresh model begins well ahead of one that goes on, as it may at PCA.

    Args:
        fresh: a new recipe, which is set to its start.
        recipe: the one that goes on.
        examples: the rows to train on.
    """
    few = spread_over(examples)
    source = Resident(few, fresh.spec, next(fresh.model.parameters()).device)
    if not fresh.model.start_at_lines(lambda n: next(source.batches(n))):
        return False
    new, old = (relative_error(Trained(one), few) for one in (fresh, recipe))
    return None not in (new, old) and new < _WELL_AHEAD * old  # type: ignore[operator]


def gently(recipe: Recipe, factor: float, n: int, asked: dict[str, Any]) -> Recipe:
    """Gives a recipe a plan under which it cannot become worse: a lower rate, the best weights kept.

    Args:
        recipe: with the weights it goes on from.
        factor: on the learning rate.
        n: how many rows there are.
        asked: options that the user gave, which stand.
    """
    plan = recipe.plan
    share = max(plan.validation, min(_HELD_OUT_SHARE, _HELD_OUT / n))
    figures: dict[str, Any] = {"lr": plan.lr * factor, "keep": "best", "validation": share}
    figures = {name: value for name, value in figures.items() if name not in asked}
    return recipe.with_plan(mean_start=False, data_start=False, **figures)
