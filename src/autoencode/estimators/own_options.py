"""Parameters of estimators that are more than a value: single options, a loss, rows to validate on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autoencode.data import Examples, apply_spec
from autoencode.data.values.frames import is_frame
from autoencode.errors import DataError, OptionError, nearest
from autoencode.objectives.own_error import OwnError
from autoencode.objectives.terms import NamedTerm
from autoencode.recipes import Named, recipe_info
from autoencode.recipes.registry import PLAN_OPTIONS
from autoencode.types import DataSpec

PREFIX = "options__"
FORGOTTEN = "forgotten"  # what stands for a function that was not saved

Loss = str | OwnError


def single_options(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Names each option as a parameter of its own.

    >>> single_options({"activation": "silu"})
    {'options__activation': 'silu'}
    """
    given = options if isinstance(options, Mapping) else {}  # parameters are judged by ``fit``
    return {f"{PREFIX}{name}": value for name, value in given.items()}


def with_single_options(
    options: Mapping[str, Any] | None, given: Mapping[str, Any], recipes: tuple[Named, ...]
) -> dict[str, Any]:
    """Adds single options to the others.

    Args:
        options: those that there are.
        given: others, by their names without the prefix.
        recipes: one of which is to take them.

    Raises:
        OptionError: for an option that none of the recipes has, with the nearest names.
    """
    known = dict(PLAN_OPTIONS)
    for recipe in recipes:
        known |= recipe_info(recipe).options
    for name in given:
        if name not in known:
            names = " or ".join(f"'{recipe_info(recipe).name}'" for recipe in recipes)
            raise OptionError(f"recipe {names} has no option '{name}'; {nearest(name, known)}")
    return {**(options or {}), **given}


def check_loss(loss: Loss | None) -> None:
    """Refuses what is no loss.

    Raises:
        OptionError: with what a loss may be.
    """
    if isinstance(loss, str) and loss == FORGOTTEN:
        raise OptionError("no file holds a loss of your own; set the estimator's loss to it again")
    if loss is not None and not isinstance(loss, str | NamedTerm) and not callable(loss):
        raise OptionError(
            "loss takes a name, a term of autoencode.objectives or a function (reconstruction, x), "
            f"got {type(loss).__name__}"
        )


def name_of(loss: OwnError) -> str:
    """Names a loss of the user's own, whose code cannot be compared or kept."""
    function = loss.compute if isinstance(loss, NamedTerm) else loss
    kind = function if hasattr(function, "__qualname__") else type(function)
    return f"{kind.__module__}.{kind.__qualname__}"


def rows_to_validate_on(given: Any, spec: DataSpec, pairs: bool) -> Examples | None:
    """Reads the rows of ``validation_data`` as a model with that spec sees them.

    Args:
        given: X, or (X, y); ``None`` for none.
        spec: of the training rows.
        pairs: whether y holds what is to be made of X; it is not looked at otherwise.

    Raises:
        DataError: when they do not fit the training rows.
    """
    if given is None:
        return None
    X, y = given if isinstance(given, tuple) and len(given) == 2 else (given, None)
    part = "validation_data"
    if not pairs:
        return Examples(apply_spec(X, spec, part))
    if y is None or not (is_frame(y) or len(getattr(y, "shape", ())) > 1):
        raise DataError(f"{part}: the clean example of each row is missing; give (X, y)")
    x, target = apply_spec(X, spec, part), apply_spec(y, spec, part)
    if len(x) != len(target):
        raise DataError(
            f"{part}: {len(target)} clean examples for {len(x)} noisy ones; give one for each"
        )
    return Examples(x, target=target)
