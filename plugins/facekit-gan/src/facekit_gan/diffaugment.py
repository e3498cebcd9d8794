"""DiffAugment: what discriminators are shown is recoloured, moved and partly hidden (Zhao et al., NeurIPS 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from facekit.interfaces import BuildContext, Condition, Generated

from .moving import background_of, moved
from .options import DiffAugmentOptions, DiffAugmentPart

SHIFT = 1 / 8
"""The largest translation, as a share of the side."""

HIDDEN = 1 / 2
"""The side of the square that cutout hides, as a share of the side."""


@dataclass(frozen=True, kw_only=True)
class DiffAugment:
    """Changes every image, with the published ranges.

    Colour: a brightness in [-0.5, 0.5] is added, saturation is multiplied by [0, 2], contrast by [0.5, 1.5]. All levels
    of a pyramid are changed by the same numbers. Translation moves the mask too, and what comes into the frame is 0 in
    images and background in masks. Cutout sets a square to 0, which may lie partly outside of the frame; masks stay as
    they are under it.

    Args:
        policy: which of the three.
        size: image side in pixels.
        background: the class id of what comes into the frame of a mask.
    """

    policy: tuple[DiffAugmentPart, ...]
    size: int
    background: int

    def draw(self, count: int, random: torch.Generator, *, certain: bool = False) -> Mapping[str, Tensor]:
        """Return brightness, saturation and contrast; shifts (x, y); and the first pixel (x, y) of the square.

        Numbers of all parts are drawn whatever the policy, so that its parts do not change each other's.
        """
        shift, side = int(self.size * SHIFT + 0.5), self._side
        color = torch.rand(count, 3, generator=random)
        translation = torch.randint(-shift, shift + 1, (count, 2), generator=random)
        centre = torch.randint(0, self.size + (1 - side % 2), (count, 2), generator=random)
        found = {"color": color, "translation": translation.float(), "cutout": (centre - side // 2).float()}
        return {name: found[name] for name in self.policy}

    def __call__(
        self, image: Generated, condition: Condition, drawn: Mapping[str, Tensor]
    ) -> tuple[Generated, Condition]:
        """Return images and conditions as the discriminator is shown them; see :class:`Augmentation`."""
        if "color" in drawn:
            image = _recoloured(image, drawn["color"])
        if "translation" in drawn:
            shift = drawn["translation"]
            motion = torch.eye(2, 3, device=shift.device).repeat(len(shift), 1, 1)
            motion[:, :, 2] = -shift
            image, condition = moved(image, condition, motion, background=self.background, whole=True)
        if "cutout" in drawn:
            first = drawn["cutout"]
            image = replace(
                image,
                image=self._partly_hidden(image.image, first),
                pyramid=tuple(self._partly_hidden(level, first) for level in image.pyramid),
            )
        return image, condition

    @property
    def _side(self) -> int:
        return int(self.size * HIDDEN + 0.5)

    def _partly_hidden(self, image: Tensor, first: Tensor) -> Tensor:
        hidden: list[Tensor] = []
        for axis, length in enumerate((image.shape[-1], image.shape[-2])):
            # The middles of the pixels of a level, in pixels of the full size.
            place = (torch.arange(length, device=image.device) + 0.5) * (self.size / length) - 0.5
            start = first[:, axis, None]
            hidden.append((place >= start - 0.5) & (place < start + self._side - 0.5))
        column, row = hidden
        return image * ~(row[:, None, :, None] & column[:, None, None, :])


def _recoloured(image: Generated, drawn: Tensor) -> Generated:
    """Return images in other colours.

    Args:
        image: images.
        drawn: (N, 3) in [0, 1): where in their ranges brightness, saturation and contrast lie.
    """
    brightness, saturation, contrast = (drawn[:, index, None, None, None] for index in range(3))

    def with_saturation(level: Tensor) -> Tensor:
        brighter = level + (brightness - 0.5)
        grey = brighter.mean(1, keepdim=True)
        return (brighter - grey) * (saturation * 2) + grey

    full = with_saturation(image.image)
    # The mean of the full size, so that all levels are changed alike.
    mean = full.mean((1, 2, 3), keepdim=True)

    def with_contrast(level: Tensor) -> Tensor:
        return (level - mean) * (contrast + 0.5) + mean

    return replace(
        image,
        image=with_contrast(full),
        pyramid=tuple(with_contrast(with_saturation(level)) for level in image.pyramid),
    )


def build(options: DiffAugmentOptions, context: BuildContext) -> DiffAugment:
    """Build the augmentation from a recipe's options."""
    return DiffAugment(policy=options.policy, size=context.size, background=background_of(context.label_map))
