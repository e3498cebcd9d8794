"""From a recipe's dataset to packed faces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from facekit.data.cache import find_prepared, prepare
from facekit.data.extras import check_mirror
from facekit.data.parallel import ProgressCallback
from facekit.data.reference import ReferenceAugmentation
from facekit.data.sampling import steps_for_epochs
from facekit.data.store import PackedFaces
from facekit.interfaces import (
    ATTRIBUTES,
    IMAGE,
    MASK,
    NO_LABELS,
    DatasetContext,
    FaceBatch,
    FaceDataset,
    FacekitError,
    LabelClass,
    LabelMap,
    MirrorsExtra,
    Port,
    PortContext,
)
from facekit.recipe.resolved import ResolvedRecipe
from facekit.registry import Registry
from facekit.training.run.folder import RunFolder

if TYPE_CHECKING:
    from facekit.data.loader import FaceLoader


def open_dataset(recipe: ResolvedRecipe, registry: Registry) -> FaceDataset:
    """Return the dataset of a recipe. Whatever its plugin raises comes through."""
    spec = recipe.dataset.component.spec
    dataset: FaceDataset = spec.build(recipe.dataset.options, DatasetContext(registry.label_maps))
    return dataset


def find_data(recipe: ResolvedRecipe, registry: Registry) -> PackedFaces | None:
    """Return the faces of a recipe where they are packed already, else None. Raises as :func:`open_dataset`."""
    return find_prepared(
        open_dataset(recipe, registry),
        size=recipe.data.size,
        cache=recipe.data.cache,
        name=recipe.dataset.component.spec.name,
    )


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


def extra_ports(recipe: ResolvedRecipe, label_maps: Mapping[str, LabelMap]) -> tuple[Port, ...]:
    """Return the ports of a recipe's dataset beside image, mask and attributes: those of its further arrays."""
    fields = {IMAGE.name, MASK.name, ATTRIBUTES.name}
    gives = recipe.dataset.ports(PortContext(recipe.data.size, label_maps)).gives
    return tuple(port for port in gives if port.name not in fields)


def shape_of(port: Port, recipe: ResolvedRecipe) -> tuple[int, ...]:
    """Return the shape of a dataset's port for one sample.

    Raises:
        FacekitError: nothing in the recipe says what number a dimension is.
    """
    settled = {"size": recipe.data.size, **recipe.dimensions}
    for side in port.shape[1:]:
        if isinstance(side, str) and side not in settled:
            raise FacekitError(
                f"the dataset gives `{port.name}` of shape ({', '.join(map(str, port.shape))}), and nothing in the "
                f"recipe says what number {side!r} is",
                where="data",
                remedy="write the number in the port of the dataset",
            )
    return tuple(settled[side] if isinstance(side, str) else side for side in port.shape[1:])


def open_data(recipe: ResolvedRecipe, registry: Registry, progress: ProgressCallback | None = None) -> PackedFaces:
    """Return the packed faces of a recipe at its size; they are packed first where that was not done yet.

    Raises:
        FacekitError: the dataset cannot be read, the recipe's references cannot be drawn from its photos, its further
            arrays cannot be mirrored with the photos, or they are not what its ports promise.
        RunFailure: the disk is full.
    """
    dataset = open_dataset(recipe, registry)
    ports = extra_ports(recipe, registry.label_maps)
    # Packing may take an hour, so what can be known before is said before.
    ReferenceAugmentation(**dict(recipe.data.reference)).check(dataset.label_map)
    if recipe.data.mirror:
        check_mirror((port.name for port in ports), can_mirror=isinstance(dataset, MirrorsExtra))
    packed = prepare(
        dataset,
        size=recipe.data.size,
        cache=recipe.data.cache,
        name=recipe.dataset.component.spec.name,
        progress=progress,
    )
    for port in ports:
        wanted, found = shape_of(port, recipe), packed.extra.get(port.name)
        if found is None or found.shape[1:] != wanted:
            held = "none" if found is None else f"arrays of shape {found.shape[1:]}"
            raise FacekitError(
                f"the ports of the dataset give `{port.name}` of shape {wanted}, and the packed samples hold {held}",
                where=str(packed.folder),
                remedy="correct the ports or read() of the dataset; its fingerprint() must change with what it gives",
            )
    return packed


def faces_of_run(
    run: Path, recipe: ResolvedRecipe, registry: Registry, *, split: str, batch: int
) -> Iterator[FaceBatch]:
    """Yield the faces of a split of the data that a run was trained on, as they are, on the CPU.

    Raises:
        FacekitError: as :func:`open_data`, there is no such split, or the data is not what the run was trained on.
    """
    from facekit.data.loader import fixed_batch  # which import torch
    from facekit.training.lockfile import check_data

    packed = open_data(recipe, registry)
    check_data(RunFolder(run), packed.fingerprint)
    rows = packed.rows(split)
    yield from (fixed_batch(packed, rows[start : start + batch]) for start in range(0, len(rows), batch))


def open_loader(recipe: ResolvedRecipe, packed: PackedFaces, *, rank: int, world_size: int, pixels: bool) -> FaceLoader:
    """Return what gives a run its faces. A player that is updated several times a step sees other faces each time.

    Args:
        pixels: give batches of pixels, which a GPU fetches and unpacks by itself.
    """
    from facekit.data.loader import FaceLoader  # which imports torch; listing and planning do without

    settings = recipe.train
    rounds = max((settings.turns.get(player, 1) for player in recipe.players), default=1)
    return FaceLoader(
        packed,
        packed.rows("train"),
        batch=settings.batch,
        seed=settings.seed,
        mirror=recipe.data.mirror,
        reference=ReferenceAugmentation(**dict(recipe.data.reference)),
        workers=recipe.data.workers,
        accumulate=settings.accumulate * rounds,
        rank=rank,
        world_size=world_size,
        pixels=pixels,
    )


def steps_of(recipe: ResolvedRecipe, loader: FaceLoader, *, world_size: int) -> int:
    """Return the steps of a run, from its steps or its epochs."""
    settings = recipe.train
    return settings.steps or steps_for_epochs(
        settings.epochs or 0,
        len(loader.rows),
        settings.batch,
        accumulate=loader.accumulate,
        world_size=world_size,
    )
