"""A plugin for facekit in one file: a segmenter that tells light pixels from dark ones.

    facekit edit RUN photo.jpg --aligned --script script.yaml -o result.png --segmenter brightness \
        --plugin-file my_segmenter.py

A real one loads a network; `facekit run evaluators/segmenter` trains such a one.
"""

from __future__ import annotations

from typing import Any

from facekit.interfaces import BuildContext, LabelClass, LabelMap, Options
from facekit.registry import ComponentSpec, hookimpl
from pydantic import Field

LABEL_MAP = LabelMap("light_and_dark", (LabelClass("dark", (30, 30, 40)), LabelClass("light", (240, 230, 210))))


class BrightnessOptions(Options):
    """Options of the segmenter."""

    level: float = Field(0.0, ge=-1, le=1)
    """From this brightness on a pixel is light; images are in [-1, 1]."""


BRIGHTNESS = ComponentSpec(
    interface_version=1,
    kind="segmenter",
    id="my_segmenter/brightness",
    summary="Tells light pixels from dark ones.",
    options=BrightnessOptions,
    factory="my_segmenter:build_segmenter",
)


def build_segmenter(options: BrightnessOptions, context: BuildContext) -> Any:
    """Build the segmenter."""
    import torch
    from torch import Tensor

    class Brightness:
        """See ``facekit.interfaces.Segmenter``."""

        label_map = LABEL_MAP
        provenance = f"brightness at {options.level}"

        def __call__(self, image: Tensor) -> Tensor:
            """Return logits (N, 2, H, W) of photos (N, 3, H, W)."""
            light = image.mean(1) - options.level
            return torch.stack([-light, light], dim=1)

    return Brightness()


@hookimpl
def facekit_components() -> list[ComponentSpec]:
    """Offer the component."""
    return [BRIGHTNESS]


@hookimpl
def facekit_label_maps() -> list[LabelMap]:
    """Offer its classes."""
    return [LABEL_MAP]
