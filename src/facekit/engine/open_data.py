"""From a recipe's dataset to packed faces."""

from __future__ import annotations

from facekit.data import PackedFaces, ProgressCallback, check_reference, prepare
from facekit.interfaces import NO_LABELS, DatasetContext, FaceDataset, FacekitError, LabelClass, LabelMap
from facekit.recipe.resolved import ResolvedRecipe
from facekit.registry import Registry


def open_dataset(recipe: ResolvedRecipe, registry: Registry) -> FaceDataset:
    """Return the dataset of a recipe. Whatever its plugin raises comes through."""
    spec = recipe.dataset.component.spec
    dataset: FaceDataset = spec.build(recipe.dataset.options, DatasetContext(registry.label_maps))
    return dataset


def labels_of(recipe: ResolvedRecipe, registry: Registry) -> tuple[LabelMap, tuple[str, ...]]:
    """Return the label map and the attribute names of a recipe's data.

    Where the data cannot be opened, the dimensions of the recipe say how many classes and attributes there are: the
    label map is then one of the plugins' with as many classes, or a made-up one, and the attributes have made-up names.
    """
    try:
        dataset = open_dataset(recipe, registry)
        return dataset.label_map, tuple(dataset.attribute_names)
    except FacekitError:
        names = tuple(f"attribute_{index}" for index in range(recipe.dimensions.get("attributes", 0)))
        classes = recipe.dimensions.get("classes", 0)
        if not classes:
            return NO_LABELS, names
        fitting = [label_map for label_map in registry.label_maps.values() if len(label_map) == classes]
        made_up = LabelMap(
            "unknown", tuple(LabelClass(f"class_{index}", (index, index, index)) for index in range(classes))
        )
        return (fitting[0] if fitting else made_up), names


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
