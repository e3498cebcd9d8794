"""A plugin for facekit in one file.

    facekit run my_augmentation.yaml --plugin-file my_augmentation.py

Importing it must not import torch: what needs it is imported inside the factories.
"""

from __future__ import annotations

from typing import Any

from facekit.interfaces import BuildContext, Options
from facekit.registry import ComponentSpec, hookimpl
from pydantic import Field


class LightOptions(Options):
    """Options of the augmentation."""

    strength: float = Field(0.3, gt=0, le=1)
    """The largest brightness that is added, in images from -1 to 1."""


LIGHT = ComponentSpec(
    interface_version=1,
    kind="augmentation",
    id="my_augmentation/light",
    summary="Lightens and darkens what discriminators are shown.",
    options=LightOptions,
    factory="my_augmentation:build_augmentation",
    example={"strength": 0.3},
)


def build_augmentation(options: LightOptions, context: BuildContext) -> Any:
    """Build the augmentation."""
    import dataclasses
    from collections.abc import Mapping

    import torch
    from facekit.interfaces import Condition, Generated
    from torch import Tensor

    class Light:
        """Adds a brightness to each image. What moves images would move `condition.mask` with them."""

        def __init__(self, strength: float) -> None:
            self.strength = strength

        def draw(self, count: int, random: torch.Generator, *, certain: bool = False) -> Mapping[str, Tensor]:
            """Return what happens to each sample, drawn from `random` alone."""
            return {"added": (torch.rand(count, generator=random) * 2 - 1) * self.strength}

        def __call__(
            self, image: Generated, condition: Condition, drawn: Mapping[str, Tensor]
        ) -> tuple[Generated, Condition]:
            """Return images and conditions as the discriminator is shown them."""
            added = drawn["added"][:, None, None, None]
            levels = tuple(level + added for level in image.pyramid)
            return dataclasses.replace(image, image=image.image + added, pyramid=levels), condition

    return Light(options.strength)


@hookimpl
def facekit_components() -> list[ComponentSpec]:
    """Offer the components."""
    return [LIGHT]
