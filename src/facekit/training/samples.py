"""Sample grids: the same validation faces again and again, so that progress is seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facekit.data.loader import fixed_batch
from facekit.data.store import PackedFaces
from facekit.figures.sheet import draw_sheet
from facekit.interfaces import Condition, FaceBatch, map_tensors
from facekit.sampling.inputs import ATTRIBUTES, MASK, REFERENCE, SOURCE, SamplingInputs
from facekit.sampling.noise import noise_for_keys
from facekit.training.networks import FaceModel
from facekit.training.precision import Precision
from facekit.training.run.folder import full_disk_stops

MOST_ATTRIBUTES = 8
"""Attributes that are shown in a grid; the first ones of the data."""

OTHER_NOISE = 3
"""Further images of each face that are shown of models that start from noise."""


@dataclass(frozen=True)
class Sampled:
    """What a model makes of the fixed faces, images (N, 3, H, W) in [-1, 1] on the CPU.

    Args:
        shuffled: the same in the style of the next face; None for models that read no reference.
        change: how much results change with the reference: the mean absolute difference of the two, 0..2.
        flipped: for models that read attributes, with one attribute turned to its opposite, by its name.
        other_noise: for models that start from noise, the same condition with other noise.
    """

    own: Tensor
    shuffled: Tensor | None = None
    change: float = 0.0
    flipped: Mapping[str, Tensor] = field(default_factory=dict)
    other_noise: Sequence[Tensor] = ()


class FixedFaces:
    """Faces of the validation split that are generated again and again, unaugmented.

    Args:
        count: how many, spread over the validation split; over the training split where there is none.
    """

    def __init__(
        self, packed: PackedFaces, count: int, precision: Precision, inputs: SamplingInputs, *, seed: int = 0
    ) -> None:
        rows = packed.splits.get("validation", packed.rows("train"))
        chosen = np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(np.int64))
        self._precision = precision
        self._inputs = inputs
        self._seed = seed
        self.faces = precision.place_batch(self._with_noise(fixed_batch(packed, rows[chosen]), 0))
        self._label_map = packed.label_map
        self._attribute_names = packed.attribute_names

    @property
    def reads_reference(self) -> bool:
        """Whether the model is given a reference."""
        return self._inputs.reads(REFERENCE)

    def generate(self, model: FaceModel, precision: Precision, *, batch: int) -> Sampled:
        """Generate each face from its own condition; then, by what the model reads, in the style of the next face (the
        last in that of the first), with each attribute turned to its opposite, and with other noise.

        Args:
            model: the networks; their mode is put back.
        """
        condition, inputs = self.faces.condition, self._inputs
        own = sample_in_batches(model, condition, precision, batch=batch)
        shuffled, change = None, 0.0
        if inputs.reads(REFERENCE) and len(self.faces) > 1:
            shuffled = sample_in_batches(model, condition.rolled_reference(-1), precision, batch=batch)
            change = float((own - shuffled).abs().mean())
        flipped = {}
        for index, name in enumerate(self._attribute_names[:MOST_ATTRIBUTES] if inputs.reads(ATTRIBUTES) else ()):
            assert condition.attributes is not None
            wanted = condition.attributes.clone()
            wanted[:, index] = 1 - wanted[:, index]
            flipped[name] = sample_in_batches(model, condition.with_(attributes=wanted), precision, batch=batch)
        other = []
        for draw in range(1, 1 + OTHER_NOISE) if inputs.noise else ():
            drawn = precision.place_batch(self._with_noise(self.faces, draw)).condition
            other.append(sample_in_batches(model, drawn, precision, batch=batch))
        return Sampled(own, shuffled, change, flipped, other)

    def _with_noise(self, faces: FaceBatch, draw: int) -> FaceBatch:
        keys = [f"{key}/{draw}" for key in faces.keys]
        return replace(faces, extra={**faces.extra, **noise_for_keys(self._inputs.noise, keys, self._seed)})

    def save_grid(self, file: Path, sampled: Sampled, *, weights: str) -> None:
        """Write a sample grid as PNG, one row a face, into a folder that is made.

        Columns, by what the model reads: mask, reference, result, photo; another face's photo and the result in its
        style; the result with each attribute turned to its opposite; results from other noise.

        Raises:
            RunFailure: the disk is full.
        """
        faces, inputs = self.faces, self._inputs
        photo = ("photo", to_pixels(faces.image))
        columns: list[tuple[str, Iterable[NDArray[np.uint8]]]] = []
        if inputs.reads(MASK) and faces.mask is not None:
            masks = faces.mask.cpu().numpy().astype(np.uint8)
            columns.append(("mask", [self._label_map.colourise(mask) for mask in masks]))
        if inputs.reads(REFERENCE) and faces.reference is not None:
            columns.append(("reference", to_pixels(faces.reference.image)))
        columns += [photo] if inputs.reads(SOURCE) else []
        columns.append((f"result ({weights})", to_pixels(sampled.own)))
        columns += [photo] if inputs.reads(MASK) and not inputs.reads(SOURCE) else []
        if sampled.shuffled is not None and faces.reference is not None:
            columns.append(("other reference", to_pixels(faces.reference.image.roll(-1, 0))))
            columns.append(("result in its style", to_pixels(sampled.shuffled)))
        columns += [(name, to_pixels(images)) for name, images in sampled.flipped.items()]
        columns += [(f"other noise {draw}", to_pixels(images)) for draw, images in enumerate(sampled.other_noise, 1)]
        with full_disk_stops(file):
            file.parent.mkdir(exist_ok=True)
            beside = file.with_name(f".{file.name}")
            draw_sheet(columns, rows=len(faces), side=faces.image.shape[-1]).save(beside, format="PNG")
            beside.replace(file)


@torch.no_grad()
def sample_in_batches(model: FaceModel, condition: Condition, precision: Precision, *, batch: int) -> Tensor:
    """Return the images (N, 3, H, W) of a model in evaluation mode, float32 in [-1, 1] on the CPU.

    Args:
        model: the networks; their mode is put back.
        condition: what is wanted, N of them, on the device of the model.
    """
    training = model.training
    model.eval()
    try:
        results = []
        for start in range(0, len(condition), batch):
            part = map_tensors(condition, itemgetter(slice(start, start + batch)))
            with precision.autocast():
                generated = model.generate(part)
            results.append(generated.image.float().cpu())
    finally:
        model.train(training)
    return torch.cat(results)


def to_pixels(images: Tensor) -> NDArray[np.uint8]:
    """Return pictures (N, 3, H, W) in [-1, 1] as (N, H, W, 3) uint8, rounded."""
    scaled = (images.detach().cpu().float() + 1) * 127.5
    # NaN has no pixel; black is seen.
    pixels: NDArray[np.uint8] = scaled.nan_to_num(0).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return pixels


DEAD_BELOW = 0.02
"""Mean absolute difference (range 0..2) below which a result does not visibly change with the reference."""

PATIENCE_FROM, PATIENCE = 0.1, 0.1
"""Shares of all steps: when the watch starts, and for how long the difference must stay low before it warns."""

CHANGES_WITH_REFERENCE = "changes_with_reference"
"""Name of the number in logs."""


class ReferenceWatch:
    """Warns once when the result has not changed with the reference for long."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._low_since: int | None = None
        self._warned = False

    def see(self, step: int, change: float) -> str | None:
        """Take in a measurement after ``step`` updates; return the warning when it is time for it."""
        if change >= DEAD_BELOW or step < PATIENCE_FROM * self._steps:
            self._low_since = None
            return None
        if self._low_since is None:
            self._low_since = step
        if self._warned or step - self._low_since < PATIENCE * self._steps:
            return None
        self._warned = True
        return (
            f"the result does not change with the reference: {CHANGES_WITH_REFERENCE} is {change:.4f} (of 0..2), and "
            f"below {DEAD_BELOW} since step {self._low_since}. If the losses jumped within the first steps, their rate "
            "was too high: raise train.schedule.warmup_steps, or lower train.optimiser.lr_scale.style_encoder. Else "
            "try an initialisation that lets the style through, a colour or style loss, or a larger lr_scale"
        )

    def state(self) -> dict[str, Any]:
        """Return what it remembers, as JSON data."""
        return {"low_since": self._low_since, "warned": self._warned}

    def load_state(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`state` returned."""
        self._low_since, self._warned = state["low_since"], state["warned"]


def measures_at(step: int, *, log_every: int, least: int = 50) -> bool:
    """Return whether the change is measured at the log line after ``step`` updates: at lines ``least`` steps apart."""
    return step % (log_every * -(-least // log_every)) == 0
