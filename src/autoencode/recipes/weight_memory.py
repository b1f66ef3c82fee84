"""Refuses models that no memory can hold, before any of it is claimed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from autoencode.errors import InputError, OptionError
from autoencode.files.free_memory import available_memory, human
from autoencode.randomness import building
from autoencode.recipes.built import Recipe
from autoencode.recipes.registry import RecipeInfo
from autoencode.types import DataSpec

_WIDE = 1 << 16  # entries of an example from which on its default model is weighed too
_COPIES = 4  # weights, their gradients, and two moments of the optimiser
_MANY_TIMES = 8  # the default; up to there a recipe is what it is meant to be
_OVERFLOWS = ("overflow", "too large", "too big", "exceeds", "out of memory", "allocate")


def refuse_too_large(
    info: RecipeInfo, spec: DataSpec, call: Mapping[str, Any], values: Mapping[str, Any]
) -> None:
    """Builds a recipe without memory, where an option or an example is unusually large, and weighs it.

    Args:
        info: the recipe.
        spec: the data.
        call: the function's arguments.
        values: the options by name.

    Raises:
        OptionError: when its weights would not fit into the free memory, with the largest option.
    """
    name = _largest(info, values)
    if torch.get_default_device().type == "meta" or (name is None and spec.size < _WIDE):
        return
    what = f"examples of {spec.size} values make a model that is too large"
    if name is not None:
        what = f"option {name}: {values[name]!s:.60} makes a model that is too large"
    try:
        with building(0), torch.device("meta"):
            made = info.function(spec, **call)
        if not isinstance(made, Recipe):
            return  # ``build`` says so
        n_numbers, n_bytes = _weighed(made)
    except InputError:
        raise
    except (RuntimeError, MemoryError, OverflowError, TypeError) as error:
        if any(word in str(error) for word in _OVERFLOWS):
            raise OptionError(f"{what}; use a smaller one") from None
        return  # a recipe that cannot be built without memory: it is built as it is
    free = available_memory()
    needed = n_bytes * _COPIES
    if free is not None and needed > free:
        raise OptionError(
            f"{what}: {_count(n_numbers)} parameters, which take {human(needed)} with gradients and "
            f"optimiser, and {human(free)} are free; use a smaller one"
        )


def _count(n: int) -> str:
    """A number of parameters for people.

    >>> _count(125_000), _count(10**18)
    ('125 000', '1.0e+18')
    """
    return f"{n:,}".replace(",", " ") if n < 10**15 else f"{n:.1e}"


def _largest(info: RecipeInfo, values: Mapping[str, Any]) -> str | None:
    """The option that is the most times its default, if it is many times."""
    times = {name: _size(values[name]) / _size(option.default) for name, option in info.options.items()}
    name = max(times, key=times.__getitem__, default=None)
    return name if name is not None and times[name] > _MANY_TIMES else None


def _size(value: Any) -> int:
    numbers = value if isinstance(value, tuple) else (value,)
    return max((n for n in numbers if type(n) is int), default=0) or 1


def _weighed(recipe: Recipe) -> tuple[int, int]:
    """Counts the weights of a recipe and their bytes."""
    modules = (recipe.model, *recipe.helpers.values())
    tensors = [t for module in modules for t in (*module.parameters(), *module.buffers())]
    return sum(t.numel() for t in tensors), sum(t.numel() * t.element_size() for t in tensors)
