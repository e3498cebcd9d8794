"""The faces that a session begins with, so that there is something to paint on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from facekit.data.geometry import resize_mask, resize_photo
from facekit.inference import FacePipeline
from facekit.interfaces import HOLE, DatasetContext, FaceDataset, FacekitError, LabelMap
from facekit.registry import Registry, UnknownComponent
from facekit.training.open_data import extra_ports, open_dataset
from facekit_studio.editing.alignment import Placement
from facekit_studio.web.faces import Face, slug

MOST_FACES = 12
"""Faces of each label map."""

_SPLITS = ("validation", "test", "train")
"""Where they come from, the first that the data has: rather from photos that the run did not learn."""


def start_faces(
    pipelines: Sequence[FacePipeline],
    *,
    side: int,
    registry: Registry,
    drawn: str | None,
    report: Callable[[str], None],
    count: int = MOST_FACES,
) -> list[Face]:
    """Return faces for each label map of the runs.

    They come from the data of the first run with that label map, where it can be opened and shows whole faces, else
    from a dataset that draws them.

    Args:
        pipelines: the runs.
        side: side of the squares.
        registry: the plugins.
        drawn: the dataset to draw faces with; None for none.
        report: told, in sentences, which data cannot be taken.
        count: how many of each label map.
    """
    faces: list[Face] = []
    done: list[LabelMap] = []
    for pipeline in pipelines:
        label_map = pipeline.label_map
        if label_map in done:
            continue
        done.append(label_map)
        try:
            if HOLE in extra_ports(pipeline.recipe, registry.label_maps):
                raise FacekitError("it holds windows of photos, and no whole faces")
            faces += _some(open_dataset(pipeline.recipe, registry), "data", label_map, side=side, count=count)
            continue
        except (FacekitError, OSError) as error:
            told = error.message if isinstance(error, FacekitError) else error
            report(f"the data of {pipeline.run.name} cannot be taken: {told}")
        dataset = None if drawn is None else _drawing(drawn, registry)
        if dataset is not None:
            faces += _some(dataset, "drawn", label_map, side=side, count=count)
    return _distinct(faces)


def _drawing(name: str, registry: Registry) -> FaceDataset | None:
    """Return a dataset by name, with its default options; None where nobody offers it."""
    try:
        spec = registry.find("dataset", name).spec
    except UnknownComponent:
        return None
    dataset: FaceDataset = spec.build(spec.options(), DatasetContext(registry.label_maps))
    return dataset


def _some(
    dataset: FaceDataset, source: Literal["data", "drawn"], wanted: LabelMap, *, side: int, count: int
) -> Iterator[Face]:
    """Read faces that lie spread over a split, as they are packed for training at this side."""
    table = np.arange(256, dtype=np.uint8)
    if dataset.label_map != wanted:
        try:
            table = wanted.merge_table(dataset.label_map)
        except ValueError:
            return
    splits = dataset.splits()
    split = next((name for name in _SPLITS if len(splits.get(name, ()))), None)
    if split is None:
        return
    members = splits[split]
    for place in np.unique(np.linspace(0, len(members) - 1, count).round().astype(int)):
        index = int(members[int(place)])
        sample = dataset.read(index, size=side)
        key = dataset.keys[index]
        yield Face(
            identity=f"{source}-{slug(key) or index}",
            name=key,
            source=source,
            label_map=wanted,
            photo=b"",
            photo_size=(side, side),
            placement=Placement.whole(side, side),
            aligned=True,
            square=np.ascontiguousarray(resize_photo(sample.image, side)),
            mask=np.ascontiguousarray(table[resize_mask(sample.require_mask(), side)]),
            mask_source=f"the {split} split" if source == "data" else "drawn with the face",
        )


def _distinct(faces: Sequence[Face]) -> list[Face]:
    found: dict[str, Face] = {}
    for face in faces:
        identity, number = face.identity, 2
        while identity in found:
            identity, number = f"{face.identity}-{number}", number + 1
        found[identity] = face if identity == face.identity else replace(face, identity=identity)
    return list(found.values())
