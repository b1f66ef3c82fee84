"""The width of a code, where nobody says it and where it has no option of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from autoencode.errors import OptionError
from autoencode.limits import AtLeast
from autoencode.recipes.registry import RecipeInfo
from autoencode.types import DataSpec

#: The option that sets the width of most codes; estimators call it ``n_components``.
WIDTH = "latent_dim"


def refuse_width(info: RecipeInfo, given: Mapping[str, Any]) -> None:
    """Refuses a width of the code that was given under a name that the recipe does not have.

    Raises:
        OptionError: with the options that set the width of this recipe's code.
    """
    asked = next((name for name in (WIDTH, "n_components") if name in given), None)
    if asked is None or asked in info.options:
        return
    if WIDTH in info.options:
        raise OptionError(f"recipe '{info.name}' has no option '{asked}'; did you mean {WIDTH}?")
    if info.width:
        raise OptionError(
            f"recipe '{info.name}' has no {WIDTH} (n_components); the width of its code is set by "
            f"{info.width}"
        )


def fitted_width(
    info: RecipeInfo, spec: DataSpec, given: Mapping[str, Any], values: Mapping[str, Any]
) -> int | None:
    """Finds the width for data that are narrower than the recipe's code is by default.

    A code that is no narrower than the data reduces nothing. What was asked for stays, and so does the
    code of images, of noisy inputs, which cannot be copied, and of recipes whose code is meant to be
    wide.

    Args:
        info: the recipe; ``widest`` times the numbers of an example is the most that its code has.
        spec: the data.
        given: the options that were given.
        values: all options of the recipe.

    Returns:
        The width; ``None`` where it is what the recipe has by default.

    >>> from autoencode.recipes.registry import RECIPES
    >>> fitted_width(RECIPES["mlp"], DataSpec((8,)), {}, {"latent_dim": 32, "noise": "auto"})
    4
    """
    if info.widest is None or WIDTH in given or spec.layout == "image" or spec.noisy:
        return None
    if values.get("noise", "none") not in ("auto", "none"):
        return None
    limit = info.options[WIDTH].limit
    least = int(limit.low) if isinstance(limit, AtLeast) else 1
    width = max(least, math.ceil(info.widest * numbers_of(spec)))
    return width if width < values[WIDTH] else None


def numbers_of(spec: DataSpec) -> int:
    """Counts the numbers that say what an example is: k - 1 for a column of k states.

    >>> numbers_of(DataSpec((3, 4)))
    12
    """
    if not spec.columns:
        return spec.size
    return sum(max(1, column.n_states - 1) for column in spec.columns)
