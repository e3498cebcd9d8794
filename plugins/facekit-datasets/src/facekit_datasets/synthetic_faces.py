"""The dataset ``synthetic_faces``: faces drawn when they are read, at the size that is asked for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import AfterValidator, Field

from facekit.interfaces import DatasetContext, FaceDataset, FaceSample, Finding, LabelMap, Options, PortContext, Ports
from facekit_datasets.label_maps import CELEBAMASK_HQ, MergedMasks, choose_label_map
from facekit_datasets.ports import dataset_ports
from facekit_datasets.splitting import refuse_repeats, select_attributes
from facekit_datasets.synthetic_attributes import ATTRIBUTE_NAMES
from facekit_datasets.windows import WindowOptions, cut_windows, window_ports

_MOST_IN_A_SPLIT = 10_000_000
_FULL_SIZE = 512
_PROBES, _PROBE_SIZE = 8, 32


class SyntheticFacesOptions(Options):
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
    attributes: Annotated[tuple[str, ...] | None, AfterValidator(refuse_repeats)] = None
    """Attributes to give, in this order; all that the renderer knows when left out."""
    label_map: str = CELEBAMASK_HQ.name
    """The label map of the masks: `celebamask_hq`, or a merged form of it that a plugin offers, such as
    `celebamask_hq_merged`."""
    windows: WindowOptions | None = None
    """Give windows of the photos with holes in them, for models that fill in a part of a photo; see
    :class:`~facekit_datasets.windows.WindowOptions`. Whole faces when left out."""


def ports(options: SyntheticFacesOptions, context: PortContext) -> Ports:
    """Return what the dataset gives."""
    classes = len(choose_label_map(options.label_map, context.label_maps))
    columns = select_attributes(ATTRIBUTE_NAMES, options.attributes, where="attributes")
    return window_ports(dataset_ports(classes=classes, attributes=len(columns)), options.windows)


class SyntheticFaces:
    """Procedurally drawn faces.

    Each split draws from a range of its own, so a larger training split leaves the test faces as they are.

    Raises:
        FacekitError: an attribute is asked for that the renderer does not know, or a label map that does not fit.
    """

    def __init__(self, options: SyntheticFacesOptions, label_maps: Mapping[str, LabelMap]) -> None:
        self._masks = MergedMasks(choose_label_map(options.label_map, label_maps))
        self._seed = options.seed
        self._columns = select_attributes(ATTRIBUTE_NAMES, options.attributes, where="synthetic_faces")
        self._attribute_names = tuple(ATTRIBUTE_NAMES[column] for column in self._columns)
        self._splits: dict[str, range] = {}
        self._keys: list[str] = []
        self._faces: list[int] = []  # the renderer's index of each sample
        counts = {
            "train": options.train,
            "validation": options.validation,
            "test": options.test,
            "extra": options.extra,
        }
        for place, (split, count) in enumerate(counts.items()):
            if count:
                self._splits[split] = range(len(self._keys), len(self._keys) + count)
                self._keys.extend(f"{split}-{number:05d}" for number in range(count))
                self._faces.extend(range(place * _MOST_IN_A_SPLIT, place * _MOST_IN_A_SPLIT + count))

    @property
    def label_map(self) -> LabelMap:
        """The label map of the options."""
        return self._masks.label_map

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """The chosen attributes."""
        return self._attribute_names

    @property
    def keys(self) -> Sequence[str]:
        """``train-00000`` and so on."""
        return self._keys

    def splits(self) -> dict[str, Sequence[int]]:
        """Return the sample indices of each split that is not empty."""
        return dict(self._splits)

    def fingerprint(self) -> str:
        """Return a hash of the renderer's version, the options, and a few small faces drawn as a probe.

        The probe tells apart what a version number cannot: numerical libraries that draw differently.
        """
        from facekit_datasets.synthetic import RENDERER_VERSION, draw_face

        counts = {split: len(indices) for split, indices in self._splits.items()}
        identity = [
            "synthetic_faces",
            RENDERER_VERSION,
            self._seed,
            counts,
            self._attribute_names,
            *self._masks.identity,
        ]
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
    return cut_windows(SyntheticFaces(options, context.label_maps), options.windows)
