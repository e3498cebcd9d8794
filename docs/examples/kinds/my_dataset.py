"""A plugin for facekit in one file.

    facekit run my_dataset.yaml --plugin-file my_dataset.py

Importing it must not import torch: what needs it is imported inside the factories.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from facekit.interfaces import IMAGE, MASK, DatasetContext, LabelClass, LabelMap, Options, PortContext, Ports
from facekit.registry import ComponentSpec, hookimpl
from pydantic import Field


class ShapesOptions(Options):
    """Options of the dataset."""

    train: int = Field(400, ge=0, le=1_000_000)
    """Faces in the split ``train``."""
    validation: int = Field(50, ge=0, le=1_000_000)
    """Faces in the split ``validation``."""
    test: int = Field(50, ge=0, le=1_000_000)
    """Faces in the split ``test``."""
    seed: int = Field(0, ge=0)
    """Another seed draws other faces."""


LABEL_MAP = LabelMap(
    name="my_dataset",
    classes=(
        LabelClass("background", (40, 40, 48)),
        LabelClass("skin", (240, 200, 170)),
        LabelClass("eyes", (60, 120, 220)),
        LabelClass("mouth", (220, 80, 90)),
    ),
    description="The four parts of a face made of ovals.",
)


def shapes_ports(options: ShapesOptions, context: PortContext) -> Ports:
    """Gives photos and masks of four classes."""
    return Ports(gives=(IMAGE, replace(MASK, classes=len(LABEL_MAP))))


SHAPES = ComponentSpec(
    interface_version=1,
    kind="dataset",
    id="my_dataset/shapes",
    summary="Faces made of ovals, drawn when they are read.",
    options=ShapesOptions,
    factory="my_dataset:build_dataset",
    ports=shapes_ports,
    example={"train": 400},
)


def build_dataset(options: ShapesOptions, context: DatasetContext) -> Any:
    """Open the dataset."""
    import hashlib
    from collections.abc import Sequence

    import numpy as np
    from facekit.interfaces import FaceSample, Finding

    class Shapes:
        """Draws a face for each index; see ``facekit.interfaces.FaceDataset``."""

        version = 1  # of the drawing: raise it when the faces change, so that packed copies are made again
        attribute_names: tuple[str, ...] = ()
        full_size = 256

        def __init__(self, options: ShapesOptions) -> None:
            self.options = options
            self.label_map: LabelMap = LABEL_MAP

        @property
        def keys(self) -> Sequence[str]:
            """One name a face."""
            return [f"{index:06d}" for index in range(self.options.train + self.options.validation + self.options.test)]

        def splits(self) -> dict[str, Sequence[int]]:
            """Return the faces of each split."""
            first, second = self.options.train, self.options.train + self.options.validation
            return {
                "train": range(first),
                "validation": range(first, second),
                "test": range(second, second + self.options.test),
            }

        def fingerprint(self) -> str:
            """Return a hash of all that the images follow from."""
            return hashlib.sha256(f"{self.version} {self.options.model_dump_json()}".encode()).hexdigest()

        def read(self, index: int, *, size: int | None = None) -> FaceSample:
            """Draw one face at the asked size."""
            side = max(size or self.full_size, 8)
            random = np.random.default_rng((self.options.seed, index))
            back, skin, eyes, mouth = random.integers(20, 236, (4, 3))
            x, y = np.meshgrid((np.arange(side) + 0.5) / side, (np.arange(side) + 0.5) / side)
            middle, width, tall = random.uniform(0.45, 0.55), random.uniform(0.25, 0.35), random.uniform(0.33, 0.43)
            apart, level = random.uniform(0.1, 0.14), random.uniform(0.4, 0.45)
            mask = np.zeros((side, side), np.uint8)
            mask[((x - middle) / width) ** 2 + ((y - 0.5) / tall) ** 2 <= 1] = 1
            for eye in (middle - apart, middle + apart):
                mask[((x - eye) / 0.06) ** 2 + ((y - level) / 0.035) ** 2 <= 1] = 2
            mask[((x - middle) / 0.11) ** 2 + ((y - 0.68) / random.uniform(0.02, 0.06)) ** 2 <= 1] = 3
            image = np.array([back, skin, eyes, mouth], np.uint8)[mask]
            return FaceSample(image, mask, None)

        def check(self, index: int) -> list[Finding]:
            """Return nothing: there are no files that could be wrong."""
            return []

        def check_all(self) -> list[Finding]:
            """Return nothing: there are no files that could be wrong."""
            return []

    return Shapes(options)


@hookimpl
def facekit_components() -> list[ComponentSpec]:
    """Offer the components."""
    return [SHAPES]


@hookimpl
def facekit_label_maps() -> list[LabelMap]:
    """Offer the classes of the dataset's masks."""
    return [LABEL_MAP]
