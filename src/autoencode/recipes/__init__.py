"""Named autoencoders: functions that put the parts together, with their published settings."""

from autoencode.recipes.built import Recipe
from autoencode.recipes.catalogue import build
from autoencode.recipes.lookup import Named, recipe_info
from autoencode.recipes.options import Option
from autoencode.recipes.registry import RECIPES, Facts, RecipeInfo, ScheduleName, recipe

__all__ = [
    "RECIPES",
    "Facts",
    "Named",
    "Option",
    "Recipe",
    "RecipeInfo",
    "ScheduleName",
    "build",
    "recipe",
    "recipe_info",
]
