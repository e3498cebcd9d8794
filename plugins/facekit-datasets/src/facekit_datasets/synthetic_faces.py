"""The dataset ``synthetic_faces``: faces drawn when they are read, at the size that is asked for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from pydantic import Field

from facekit.interfaces import DatasetContext, FaceDataset, FaceSample, Finding, LabelMap, PortContext, Ports
from facekit_datasets.label_maps import CELEBAMASK_HQ, MergedMasks, choose_label_map
from facekit_datasets.listed import Listed
from facekit_datasets.options import AttributeNames, CutOptions, dataset_ports, select_attributes
from facekit_datasets.synthetic_attributes import ATTRIBUTE_NAMES

_MOST_IN_A_SPLIT = 10_000_000
_FULL_SIZE = 512
_PROBES, _PROBE_SIZE = 8, 32


class SyntheticFacesOptions(CutOptions):
    """Options of ``synthetic_faces``."""

    seed: int = Field(0, ge=0)
    """Seed of the faces; the same seed draws the same faces."""
    train: int = Field(400, ge=0, le=_MOST_IN_A_SPLIT)
    """Faces to train on."""
    validation: int = Field(50, ge=0, le=_MOST_IN_A_SPLIT)
    """Faces for samples and for choosing."""
    test: int = Field(50, ge=0, le=_MOST_IN_A_SPLIT)
    """Faces to measure on."""
    extra: int = Field(0, ge=0, le=_MOST_IN_A_SPLIT)
    """Faces for training evaluation networks only."""
    attributes: AttributeNames = None
    """Attributes to give, in this order; all that the renderer knows when left out."""
    label_map: str = CELEBAMASK_HQ.name
    """The label map of the masks: `celebamask_hq`, or a merged form of it that a plugin offers, such as
    `celebamask_hq_merged`."""


def ports(options: SyntheticFacesOptions, context: PortContext) -> Ports:
    """Return what the dataset gives."""
    classes = len(choose_label_map(options.label_map, context.label_maps))
    columns = select_attributes(ATTRIBUTE_NAMES, options.attributes, where="attributes")
    return dataset_ports(classes=classes, attributes=len(columns), windows=options.windows)


class SyntheticFaces(Listed):
    """Procedurally drawn faces.

    Each split draws from a range of its own, so a larger training split leaves the test faces as they are.

    Raises:
        FacekitError: an attribute is asked for that the renderer does not know, or a label map that does not fit.
    """

    def __init__(self, options: SyntheticFacesOptions, label_maps: Mapping[str, LabelMap]) -> None:
        self._masks = MergedMasks(choose_label_map(options.label_map, label_maps))
        self._label_map = self._masks.label_map
        self._seed = options.seed
        self._columns = select_attributes(ATTRIBUTE_NAMES, options.attributes, where="synthetic_faces")
        self._attribute_names = tuple(ATTRIBUTE_NAMES[column] for column in self._columns)
        splits: dict[str, range] = {}
        keys: list[str] = []
        self._splits, self._keys = splits, keys
        self._faces: list[int] = []  # the renderer's index of each sample
        for place, split in enumerate(("train", "validation", "test", "extra")):
            if count := getattr(options, split):
                splits[split] = range(len(keys), len(keys) + count)
                keys.extend(f"{split}-{number:05d}" for number in range(count))
                self._faces.extend(range(place * _MOST_IN_A_SPLIT, place * _MOST_IN_A_SPLIT + count))

    def fingerprint(self) -> str:
        """Return a hash of the renderer's version, the options, and a few small faces drawn as a probe.

        The probe tells apart what a version number cannot: numerical libraries that draw differently.
        """
        from facekit_datasets.synthetic import RENDERER_VERSION, draw_face

        counts = {split: len(indices) for split, indices in self._splits.items()}
        names, masks = self._attribute_names, self._masks.identity
        identity = ["synthetic_faces", RENDERER_VERSION, self._seed, counts, names, *masks]
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode())
        for number in range(_PROBES):
            face = draw_face(self._seed, number, _PROBE_SIZE)
            digest.update(face.image.tobytes() + face.mask.tobytes())
        return digest.hexdigest()

    def read(self, index: int, *, size: int | None = None) -> FaceSample:
        """Draw one face at the asked size (512 when None, never below 16): photo and mask (size, size)."""
        import numpy as np

        from facekit_datasets.synthetic import draw_face
        from facekit_datasets.synthetic.render import SMALLEST_SIZE

        face = draw_face(self._seed, self._faces[index], max(size or _FULL_SIZE, SMALLEST_SIZE))
        attributes = np.array([face.attributes[name] for name in self._attribute_names], dtype=bool)
        return FaceSample(face.image, self._masks(face.mask), attributes if len(attributes) else None)

    def check(self, index: int) -> list[Finding]:
        """Return nothing: there are no files that could be wrong."""
        return []

    def check_all(self) -> list[Finding]:
        """Return nothing: there are no files that could be wrong."""
        return []


def create(options: SyntheticFacesOptions, context: DatasetContext) -> FaceDataset:
    """Open the dataset."""
    return options.cut(SyntheticFaces(options, context.label_maps))
