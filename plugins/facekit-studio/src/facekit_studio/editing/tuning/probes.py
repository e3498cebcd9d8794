"""What must come out of a tuned generator as before: other masks of the face, and other styles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from facekit.interfaces import Style

OTHER_MASKS = 6
"""Other masks: warped ones with strange parts in them."""

LARGEST_WARP = 0.04
"""How far a warped mask moves at most, in sides of the square: brows, lips and outlines move so far in edits."""

WARP_PLACES = 5
"""Places each way between which the warp is interpolated."""

STRANGE_PARTS = 2
"""Ellipses of some class that are put into each mask, as glasses, hair or an open mouth are in edits."""

MARGIN = 0.02
"""How far around a changed pixel the face is as untuned, in sides of the square."""

_RECOLOURED = ((2, 0, 1), (1, 2, 0))
"""Orders of the photo's colour channels that make another style of it."""

_DARKER = 0.8
"""Factor on those colours, so that brightness differs, too."""


@dataclass(frozen=True, eq=False)
class Probe:
    """One input of the generator, and what is to come out.

    Args:
        mask: class ids (1, S, S).
        style: the style.
        tuned: whether the style is the photo's, so that the change of its code applies.
        target: the image (1, 3, S, S) that is to come out.
    """

    mask: Tensor
    style: Style
    tuned: bool
    target: Tensor


def other_masks(mask: Tensor, classes: int, random: torch.Generator) -> list[Tensor]:
    """Return other masks (1, S, S) of the face: warped smoothly, with ellipses of any class in them.

    Args:
        mask: the photo's class ids (1, S, S), on the CPU.
        classes: classes of the label map.
        random: draws them.
    """
    size = mask.shape[-1]
    centres = (torch.arange(size) + 0.5) / size
    rows, columns = torch.meshgrid(centres, centres, indexing="ij")
    place = torch.stack([columns, rows], dim=-1)[None] * 2 - 1
    found = []
    for _ in range(OTHER_MASKS):
        coarse = torch.randn((1, 2, WARP_PLACES, WARP_PLACES), generator=random)
        way = F.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=False)
        way = way / way.abs().amax() * 2 * LARGEST_WARP
        grid = place + way.permute(0, 2, 3, 1)
        planes = F.grid_sample(mask[:, None].float(), grid, mode="nearest", padding_mode="border", align_corners=False)
        other = planes[:, 0].round().long()
        for _ in range(STRANGE_PARTS):
            identity = int(torch.randint(classes, (1,), generator=random))
            left, top, across, down = torch.rand(4, generator=random).tolist()
            x, y = 0.2 + 0.6 * left, 0.25 + 0.55 * top
            wide, high = 0.03 + 0.09 * across, 0.03 + 0.09 * down
            inside = ((columns - x) / wide).square() + ((rows - y) / high).square() < 1
            other = torch.where(inside[None], torch.full_like(other, identity), other)
        found.append(other)
    return found


def other_styles(
    style: Style,
    image: Tensor,
    encode: Callable[[Tensor], Style],
    random: torch.Generator,
) -> list[Style]:
    """Return other styles: those of the photo in other colours, and the photo's with its regions' codes exchanged.

    Args:
        style: the photo's style.
        image: the photo (1, 3, S, S) in [-1, 1].
        encode: gives the style of a photo with the same mask.
        random: draws the order of the codes.
    """
    others = [encode(image[:, list(order)] * _DARKER) for order in _RECOLOURED]
    if style.axis == "regions":
        order_of_codes = torch.randperm(style.code.shape[1], generator=random).to(style.code.device)
        others.append(replace(style, code=style.code[:, order_of_codes]))
    return others


def kept_apart(before: Tensor, image: Tensor, mask: Tensor, other: Tensor) -> Tensor:
    """Return the image that another mask is to give: as before where it differs from the photo's, and around that; the
    photo elsewhere.

    Args:
        before: (1, 3, S, S) that it gave before tuning.
        image: the photo (1, 3, S, S).
        mask: the photo's class ids (1, S, S).
        other: those of the other mask.
    """
    reach = max(1, round(MARGIN * mask.shape[-1]))
    differs = (mask != other)[:, None].float()
    return torch.where(F.max_pool2d(differs, 2 * reach + 1, 1, reach) > 0, before, image)
