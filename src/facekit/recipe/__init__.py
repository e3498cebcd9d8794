"""Recipes: YAML with places, inheritance, overrides, and the torch-free rungs of the validation ladder."""

from facekit.recipe.lock import dump_document
from facekit.recipe.problems import Problem, RecipeError
from facekit.recipe.reading import dump_recipe, read_recipe, recipe_from_document
from facekit.recipe.resolved import ComponentChoice, LossChoice, Mark, ModelChoice, ResolvedRecipe
from facekit.recipe.settings import DataSettings, Slot, TrainSettings

__all__ = [
    "ComponentChoice",
    "DataSettings",
    "LossChoice",
    "Mark",
    "ModelChoice",
    "Problem",
    "RecipeError",
    "ResolvedRecipe",
    "Slot",
    "TrainSettings",
    "dump_document",
    "dump_recipe",
    "read_recipe",
    "recipe_from_document",
]
