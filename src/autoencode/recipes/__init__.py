"""Named autoencoders: short functions that put the parts together, with their published figures."""

from autoencode.recipes.catalogue import RECIPES, RecipeInfo, build, recipe_info
from autoencode.recipes.options import Option
from autoencode.recipes.recipe import Recipe

__all__ = ["RECIPES", "Option", "Recipe", "RecipeInfo", "build", "recipe_info"]
