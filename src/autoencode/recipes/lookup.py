"""Finds recipes: by name, as functions, as ``module:function``, and in installed packages.

A package offers recipes by entry points of the group ``autoencode.recipes``, each of which names a
function, or a module to import. They are loaded when a name is not known otherwise, never before.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from autoencode.errors import OptionError, nearest
from autoencode.recipes.registry import RECIPES, RecipeInfo, enlist

GROUP = "autoencode.recipes"
#: A recipe's name, ``module:function``, or the function itself.
Named = str | Callable[..., Any]


def recipe_info(recipe: Named) -> RecipeInfo:
    """What is known of a recipe.

    Args:
        recipe: its name, ``module:function``, whose module is imported, or the function itself.

    Raises:
        OptionError: when there is none, with the nearest names.
    """
    if not isinstance(recipe, str):
        return _of_function(recipe)
    if ":" in recipe:
        return _imported(recipe)
    faults: list[str] = []
    found = _listed(recipe, faults)
    if found is None:
        module, _, name = recipe.rpartition(".")
        hint = (
            f"a function of a module is written {module}:{name}" if module else nearest(recipe, RECIPES)
        )
        raise OptionError("; ".join([f"unknown recipe '{recipe}'; {hint}", *faults]))
    return found


def registered(name: str) -> RecipeInfo:
    """The recipe that a file names: it may choose one that is known, but says no code to import.

    Raises:
        OptionError: when there is none, with what to import.
    """
    faults: list[str] = []
    found = _listed(name, faults)
    if found is None:
        message = f"unknown recipe '{name}': it is not registered here"
        if ":" not in name:
            message += f"; import the module that defines it, or say --recipe module:{name}"
        raise OptionError("; ".join([message, *faults]))
    return found


def load_packages() -> list[str]:
    """Loads the recipes of all installed packages; what is wrong with those that cannot be."""
    faults: list[str] = []
    for point in entry_points(group=GROUP):
        _try(point, faults)
    return faults


def _of_function(function: Any) -> RecipeInfo:
    info = getattr(function, "__recipe__", None)
    if not isinstance(info, RecipeInfo):
        name = getattr(function, "__name__", repr(function))
        raise OptionError(
            f"{name} is no recipe; give a recipe's name, or write @autoencode.recipe(source=...) above "
            "the function"
        )
    # A worker process may get the function without the module that decorated it.
    known = RECIPES.get(info.name)
    if known is None or known.function.__qualname__ != function.__qualname__:
        enlist(info)
    return info


def _imported(reference: str) -> RecipeInfo:
    """The recipe of ``module:function``."""
    module_name, _, name = reference.partition(":")
    if not all(part.isidentifier() for part in (*module_name.split("."), name)):
        raise OptionError(f"unknown recipe '{reference}'; give a name, or module:function as mine:tiny")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(f"{error.name}."):
            raise OptionError(
                f"recipe {reference}: there is no module '{module_name}' in {_places()}"
            ) from None
        raise OptionError(f"recipe {reference}: {module_name} fails: {_one_line(error)}") from error
    function = getattr(module, name, None)
    if function is None:
        names = [n for n, value in vars(module).items() if hasattr(value, "__recipe__")]
        known = nearest(name, names) if names else "no recipes are there"
        raise OptionError(f"recipe {reference}: {module_name} has no function '{name}'; {known}")
    return _of_function(function)


def _places() -> str:
    return f"{sys.path[0] or 'the current folder'} or among the installed packages"


def _listed(name: str, faults: list[str]) -> RecipeInfo | None:
    """The recipe of that name, if need be out of an installed package."""
    if name in RECIPES:
        return RECIPES[name]
    points = list(entry_points(group=GROUP))
    for point in points:
        if point.name == name:
            _load(point)
            if point.attr and name not in RECIPES:
                raise OptionError(
                    f"the recipe of {point.value} is called '{point.attr}'; say that name"
                )
    for point in points:
        if name not in RECIPES and not point.attr:  # a module, which may have any
            _try(point, faults)
    return RECIPES.get(name)


def _try(point: EntryPoint, faults: list[str]) -> None:
    try:
        _load(point)
    except OptionError as error:
        faults.append(str(error))


def _load(point: EntryPoint) -> None:
    """Imports what an entry point names.

    Raises:
        OptionError: when it fails or is no recipe, with the package's name.
    """
    package = "an installed package" if point.dist is None else f"the package {point.dist.name}"
    what = f"recipe '{point.name}' of {package} cannot be used"
    try:
        found = point.load()
    except (Exception, SystemExit) as error:
        raise OptionError(f"{what}: {_one_line(error)}; repair or remove the package") from error
    if point.attr and not isinstance(getattr(found, "__recipe__", None), RecipeInfo):
        raise OptionError(f"{what}: {point.value} is not decorated by autoencode.recipe")


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
