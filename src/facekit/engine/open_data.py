"""From a recipe's dataset to packed faces."""

from __future__ import annotations

from facekit.data import PackedFaces, ProgressCallback, check_reference, prepare
from facekit.interfaces import DatasetContext, FaceDataset
from facekit.recipe.resolved import ResolvedRecipe
from facekit.registry import Registry


def open_dataset(recipe: ResolvedRecipe, registry: Registry) -> FaceDataset:
    """Return the dataset of a recipe. Whatever its plugin raises comes through."""
    spec = recipe.dataset.component.spec
    dataset: FaceDataset = spec.build(recipe.dataset.options, DatasetContext(registry.label_maps))
    return dataset


def open_data(recipe: ResolvedRecipe, registry: Registry, progress: ProgressCallback | None = None) -> PackedFaces:
    """Return the packed faces of a recipe at its size; they are packed first where that was not done yet.

    Raises:
        FacekitError: the dataset cannot be read, or the recipe's references cannot be drawn from its photos.
        RunFailure: the disk is full.
    """
    dataset = open_dataset(recipe, registry)
    check_reference(recipe.data.reference, dataset.label_map)  # packing may take an hour
    return prepare(
        dataset,
        size=recipe.data.size,
        cache=recipe.data.cache,
        name=recipe.dataset.component.spec.name,
        progress=progress,
    )
