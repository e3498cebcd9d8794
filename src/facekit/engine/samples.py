"""Sample grids: the same validation faces again and again, so that progress is seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facekit.data import PackedFaces, fixed_batch
from facekit.engine.model import FaceModel
from facekit.engine.precision import Precision
from facekit.engine.run_folder import full_disk_stops
from facekit.engine.tensors import map_tensors, to_float32
from facekit.figures.sheet import draw_sheet
from facekit.interfaces import Condition

MOST_ATTRIBUTES = 8
"""Attributes that are shown in a grid; the first ones of the data."""


@dataclass(frozen=True)
class Painted:
    """What a model makes of the fixed faces.

    Args:
        own: results (N, 3, H, W) in [-1, 1] in the look of their own photos, on the CPU.
        swapped: the same masks in the look of the next face; None for models that read no reference.
        change: how much results change with the reference: the mean absolute difference of the two, 0..2.
        flipped: for models that change attributes, the photos with one attribute turned to its opposite, by its name.
    """

    own: Tensor
    swapped: Tensor | None = None
    change: float = 0.0
    flipped: Mapping[str, Tensor] = field(default_factory=dict)


class FixedFaces:
    """Faces of the validation split that are painted again and again, unaugmented.

    Args:
        packed: the packed faces.
        count: how many, spread over the validation split; over the training split where there is none.
        precision: where and how they are painted.
        changes_attributes: the model gives photos other attributes, and reads no reference.
    """

    def __init__(
        self, packed: PackedFaces, count: int, precision: Precision, *, changes_attributes: bool = False
    ) -> None:
        rows = packed.splits.get("validation", packed.rows("train"))
        chosen = np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(np.int64))
        self.faces = precision.place_batch(fixed_batch(packed, rows[chosen]))
        self._label_map = packed.label_map
        self.changes_attributes = changes_attributes
        self._attribute_names = packed.attribute_names

    def paint(self, model: FaceModel, precision: Precision, *, batch: int) -> Painted:
        """Paint each face in its own look and in that of the next face, the last in that of the first.

        Models that change attributes paint each photo as it is, and with each of its attributes turned to its opposite.

        Args:
            model: the networks; their mode is put back.
            precision: how they compute.
            batch: pictures painted at once.
        """
        condition = self.faces.condition
        own = paint(model, condition, precision, batch=batch)
        if self.changes_attributes:
            return Painted(own, flipped=self._flip(model, precision, batch=batch))
        swapped = paint(model, condition.rolled_reference(-1), precision, batch=batch)
        change = float((own - swapped).abs().mean())
        # A generator may read the reference without a style encoder; one that does not paints the same twice.
        reads_reference = len(self.faces) > 1 and (model.slot("style_encoder") is not None or change > 0)
        return Painted(own, swapped if reads_reference else None, change)

    def _flip(self, model: FaceModel, precision: Precision, *, batch: int) -> dict[str, Tensor]:
        condition = self.faces.condition
        assert condition.attributes is not None
        flipped = {}
        for index, name in enumerate(self._attribute_names[:MOST_ATTRIBUTES]):
            wanted = condition.attributes.clone()
            wanted[:, index] = 1 - wanted[:, index]
            flipped[name] = paint(model, condition.with_attributes(wanted), precision, batch=batch)
        return flipped

    def save_grid(self, file: Path, painted: Painted, *, weights: str) -> None:
        """Write a sample grid as PNG: one row a face.

        Columns: mask, reference, result, photo; then, for models that read a reference, another face's photo and the
        mask in its look. For models that change attributes: photo, result with its own attributes, and with each
        attribute turned to its opposite.

        Args:
            file: where it goes; its folder is made.
            painted: what the model made of the faces.
            weights: which weights painted, for the heading.

        Raises:
            RunFailure: the disk is full.
        """
        with full_disk_stops(file):
            file.parent.mkdir(exist_ok=True)
            beside = file.with_name(f".{file.name}")
            columns = self._columns(painted, weights)
            draw_sheet(columns, rows=len(self.faces), side=self.faces.image.shape[-1]).save(beside, format="PNG")
            beside.replace(file)

    def _columns(self, painted: Painted, weights: str) -> list[tuple[str, Iterable[NDArray[np.uint8]]]]:
        faces = self.faces
        if self.changes_attributes:
            return [
                ("photo", to_pixels(faces.image)),
                (f"result ({weights})", to_pixels(painted.own)),
                *((name, to_pixels(images)) for name, images in painted.flipped.items()),
            ]
        masks = [self._label_map.colourise(mask) for mask in faces.mask.cpu().numpy().astype(np.uint8)]
        columns: list[tuple[str, Iterable[NDArray[np.uint8]]]] = [
            ("mask", masks),
            ("reference", to_pixels(faces.reference_image)),
            (f"result ({weights})", to_pixels(painted.own)),
            ("photo", to_pixels(faces.image)),
        ]
        if painted.swapped is not None:
            columns.append(("other reference", to_pixels(faces.reference_image.roll(-1, 0))))
            columns.append(("result in its look", to_pixels(painted.swapped)))
        return columns


@torch.no_grad()
def paint(model: FaceModel, condition: Condition, precision: Precision, *, batch: int) -> Tensor:
    """Return the results (N, 3, H, W) of a model in evaluation mode, float32 in [-1, 1] on the CPU.

    Args:
        model: the networks; their mode is put back.
        condition: geometry and looks, N of them, on the device of the model.
        precision: how the model computes.
        batch: pictures painted at once.
    """
    training = model.training
    model.eval()
    try:
        results = []
        # Photos without masks have a source, masks need none.
        count = len(next(tensor for tensor in (condition.mask, condition.source_image) if tensor is not None))
        for start in range(0, count, batch):
            part = map_tensors(condition, itemgetter(slice(start, start + batch)))
            with precision.autocast():
                generated = model.generate(part)
            results.append(to_float32(generated).image.cpu())
    finally:
        model.train(training)
    return torch.cat(results)


def to_pixels(images: Tensor) -> NDArray[np.uint8]:
    """Return pictures (N, 3, H, W) in [-1, 1] as (N, H, W, 3) uint8, rounded."""
    scaled = (images.detach().cpu().float() + 1) * 127.5
    # NaN has no pixel; black is seen.
    pixels: NDArray[np.uint8] = scaled.nan_to_num(0).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return pixels
