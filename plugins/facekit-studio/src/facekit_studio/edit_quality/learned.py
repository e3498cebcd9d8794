"""Whether runs have learned from the photos whose edits are measured: then the figures say nothing of new photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from facekit.faces.copies import KnownPhotos, thumbnail
from facekit.inference import FacePipeline
from facekit.interfaces import CutFromPhotos, FaceDataset, FacekitError
from facekit.registry import Registry
from facekit.training.open_data import find_data, open_dataset
from facekit.training.run.folder import RunFolder
from facekit_studio.edit_quality.faces import Face
from facekit_studio.editing import PhotoEditor

TRAIN = "train"
"""The split that runs learn from."""

_READ_SIDE = 64
"""Pixels at which photos are read for their thumbnails."""


@dataclass(frozen=True)
class Learned:
    """What is known of one run and of some photos.

    Args:
        run: the run's name.
        training_photos: how many photos it learned from; 0 where they could not be looked at.
        found: the photos that it learned from, by name, and what its own data calls each.
        unknown: why that is not known; empty where it is.
    """

    run: str
    training_photos: int = 0
    found: Mapping[str, str] = field(default_factory=dict)
    unknown: str = ""

    def among(self, photos: Sequence[Face]) -> Learned:
        """Return the same for some of the photos."""
        keys = {face.key for face in photos}
        found = {key: own for key, own in self.found.items() if key in keys}
        return Learned(self.run, self.training_photos, found, self.unknown)

    def note(self, photos: int) -> str:
        """Return what people should know of it beside the figures of some photos; empty where all is well."""
        if self.unknown:
            return f"it is not known whether {self.run} has learned from these photos: {self.unknown}"
        if self.found:
            return f"{self.run} has learned from {len(self.found)} of these {photos} photos: it may know them by heart"
        return ""

    def document(self) -> dict[str, object]:
        """Return it as JSON data."""
        known = {"training_photos": self.training_photos, "found": dict(self.found)}
        return {"run": self.run, **({"unknown": self.unknown} if self.unknown else known)}


def learned_photos(editor: PhotoEditor, photos: Sequence[Face], *, registry: Registry) -> tuple[Learned, ...]:
    """Return which of some photos the run, and the run for edits of a part beside it, have learned from.

    Photos are told by their thumbnails, in whatever size, encoding, tone or mirroring; see
    :class:`facekit.faces.KnownPhotos`. What weights learned from that a run began with is not looked at.
    """
    thumbnails = np.stack([thumbnail(face.image) for face in photos])
    runs = [editor.pipeline] if editor.beside is None else [editor.pipeline, editor.beside]
    return tuple(_learned(pipeline, photos, thumbnails, registry=registry) for pipeline in runs)


def refuse_learned(found: Sequence[Learned], photos: int) -> None:
    """Check that no run has learned from the photos.

    Raises:
        FacekitError: one has; the message names the first such photo.
    """
    for each in found:
        if each.found:
            key, own = next(iter(each.found.items()))
            called = "" if own == key else f", which its data calls {own!r}"
            raise FacekitError(
                f"{each.run} has learned from {len(each.found)} of these {photos} photos, {key!r} first{called}: what "
                "its edits show of them says nothing of new photos",
                where="--split",
                remedy="measure photos that it has not learned from, by the options of the data (--set train=..., "
                "--set test=...); --allow-learned measures these all the same and says so",
            )


def _learned(
    pipeline: FacePipeline, photos: Sequence[Face], thumbnails: NDArray[np.uint8], *, registry: Registry
) -> Learned:
    name = pipeline.run.resolve().name
    try:
        keys, known = _training_photos(pipeline, registry)
    except FacekitError as error:
        where = "" if error.where is None else f" ({error.where})"
        return Learned(name, unknown=f"its training photos cannot be read: {error.message}{where}")
    found: dict[str, str] = {}
    for row, own in KnownPhotos(known).copies(thumbnails):
        found.setdefault(photos[row].key, keys[own])
    return Learned(name, len(keys), found)


def _training_photos(pipeline: FacePipeline, registry: Registry) -> tuple[list[str], NDArray[np.uint8]]:
    """Return the names and thumbnails (M, 32, 32, 3) of the photos that a run learned from.

    Raises:
        FacekitError: its data is not there, cannot be read, or is not what it learned from any more.
    """
    recipe = pipeline.recipe
    dataset = open_dataset(recipe, registry)
    packed = find_data(recipe, registry)
    recorded = RunFolder(pipeline.run).read_lock().get("data_fingerprint")
    if packed is not None and recorded is not None and packed.fingerprint != recorded:
        raise FacekitError("the data is not what it learned from any more", where=str(pipeline.run))
    if packed is not None and not isinstance(dataset, CutFromPhotos):
        rows = packed.splits.get(TRAIN, np.zeros(0, np.int64))
        return [packed.keys[int(row)] for row in rows], _stacked([thumbnail(packed.images[int(row)]) for row in rows])
    photos: FaceDataset = dataset.photos if isinstance(dataset, CutFromPhotos) else dataset
    indices = [int(index) for index in photos.splits().get(TRAIN, ())]
    small = [thumbnail(photos.read(index, size=_READ_SIDE).image) for index in indices]
    return [photos.keys[index] for index in indices], _stacked(small)


def _stacked(thumbnails: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    return np.stack(thumbnails) if thumbnails else np.zeros((0, 32, 32, 3), np.uint8)
