"""Sample grids: the same validation faces again and again, so that progress is seen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from facekit.data import PackedFaces, fixed_batch
from facekit.engine.model import FaceModel
from facekit.engine.precision import Precision
from facekit.engine.run_folder import full_disk_stops
from facekit.engine.tensors import to_float32
from facekit.interfaces import Condition, FaceBatch, LabelMap

GAP = 4
"""Pixels between pictures."""

_PAPER, _INK = (255, 255, 255), (30, 30, 30)


def fixed_faces(packed: PackedFaces, count: int) -> FaceBatch:
    """Return up to ``count`` faces spread over the validation split; over the training split where there is none."""
    rows = packed.splits.get("validation", packed.rows("train"))
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(np.int64))
    return fixed_batch(packed, rows[chosen])


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
        for start in range(0, len(condition.mask), batch):
            with precision.autocast():
                generated = model.generate(_rows(condition, slice(start, start + batch)))
            results.append(to_float32(generated).image.cpu())
    finally:
        model.train(training)
    return torch.cat(results)


def _rows(condition: Condition, rows: slice) -> Condition:
    def part(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor[rows]

    return Condition(
        mask=condition.mask[rows],
        reference_image=part(condition.reference_image),
        reference_mask=part(condition.reference_mask),
        attributes=part(condition.attributes),
        source_image=part(condition.source_image),
    )


def swapped_looks(condition: Condition) -> Condition:
    """Return each geometry in the look of the next face, the last in that of the first."""
    return condition.rolled_reference(-1)


def reference_changes(own: Tensor, swapped: Tensor) -> float:
    """Return how much results change with the reference: the mean absolute difference, 0..2.

    Args:
        own: results (N, 3, H, W) in [-1, 1] in the look of their own photos.
        swapped: results of the same masks in the look of other photos.
    """
    return float((own - swapped).abs().mean())


def save_grid(
    file: Path,
    *,
    faces: FaceBatch,
    own: Tensor,
    swapped: Tensor | None,
    label_map: LabelMap,
    weights: str,
) -> None:
    """Write a sample grid as PNG: one row a face.

    Columns: mask, reference, result, photo; then, with ``swapped``, another face's photo and the mask in its look.

    Args:
        file: where it goes; its folder is made.
        faces: the faces, N of them.
        own: results (N, 3, H, W) in [-1, 1] in the look of the reference.
        swapped: results in the look of the next face; None for models that read no reference.
        label_map: colours the masks.
        weights: which weights painted, for the heading.

    Raises:
        RunFailure: the disk is full.
    """
    masks = [label_map.colourise(mask) for mask in faces.mask.cpu().numpy().astype(np.uint8)]
    columns: list[tuple[str, Iterable[NDArray[np.uint8]]]] = [
        ("mask", masks),
        ("reference", to_pixels(faces.reference_image)),
        (f"result ({weights})", to_pixels(own)),
        ("photo", to_pixels(faces.image)),
    ]
    if swapped is not None:
        columns.append(("other reference", to_pixels(faces.reference_image.roll(-1, 0))))
        columns.append(("result in its look", to_pixels(swapped)))
    with full_disk_stops(file):
        file.parent.mkdir(exist_ok=True)
        beside = file.with_name(f".{file.name}")
        _draw(columns, rows=len(faces), side=faces.image.shape[-1]).save(beside, format="PNG")
        beside.replace(file)


def to_pixels(images: Tensor) -> NDArray[np.uint8]:
    """Return pictures (N, 3, H, W) in [-1, 1] as (N, H, W, 3) uint8, rounded."""
    scaled = (images.detach().cpu().float() + 1) * 127.5
    # NaN has no pixel; black is seen.
    pixels: NDArray[np.uint8] = scaled.nan_to_num(0).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return pixels


def _draw(columns: Sequence[tuple[str, Iterable[NDArray[np.uint8]]]], *, rows: int, side: int) -> Image.Image:
    font = ImageFont.load_default(size=max(9, min(14, side // 9)))
    heading = font.getbbox("Ag")[3] + 2 * GAP

    pitch = side + GAP
    sheet = Image.new("RGB", (len(columns) * pitch + GAP, int(heading) + rows * pitch), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for column, (title, pictures) in enumerate(columns):
        left = GAP + column * pitch
        width = font.getlength(title)
        pen.text((left + max(0, (side - width) / 2), GAP), title, fill=_INK, font=font)
        for row, picture in enumerate(pictures):
            sheet.paste(Image.fromarray(picture), (left, int(heading) + row * pitch))
    return sheet
