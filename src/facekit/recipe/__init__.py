"""Recipes: YAML with places, inheritance, overrides, and the torch-free stages of validation."""

from facekit.recipe.dump import dump_document
from facekit.recipe.layers import shipped_folder
from facekit.recipe.library import ShippedRecipe, copy_recipe, find_recipe, shipped_recipes
from facekit.recipe.problems import Problem, RecipeError
from facekit.recipe.reading import Origin, dump_recipe, read_recipe, recipe_from_document, recipe_origins
from facekit.recipe.resolved import (
    ComponentChoice,
    LossChoice,
    Mark,
    ModelChoice,
    NetworkChoice,
    Notice,
    ResolvedRecipe,
    networks_of,
)
from facekit.recipe.schema import recipe_schema
from facekit.recipe.settings import DataSettings, TrainSettings

__all__ = [
    "ComponentChoice",
    "DataSettings",
    "LossChoice",
    "Mark",
    "ModelChoice",
    "NetworkChoice",
    "Notice",
    "Origin",
    "Problem",
    "RecipeError",
    "ResolvedRecipe",
    "ShippedRecipe",
    "TrainSettings",
    "copy_recipe",
    "dump_document",
    "dump_recipe",
    "find_recipe",
    "networks_of",
    "read_recipe",
    "recipe_from_document",
    "recipe_origins",
    "recipe_schema",
    "shipped_folder",
    "shipped_recipes",
]
