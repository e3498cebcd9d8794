"""Moving images, their pyramids and maps, and the masks of their conditions in one and the same way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from facekit.interfaces import Condition, FacekitError, Generated, LabelMap

BACKGROUND = "background"
"""The name of the class that what comes into the frame belongs to; the first class where there is none of it."""


def background_of(label_map: LabelMap) -> int:
    """Return the class id of what comes into the frame."""
    return label_map.names.index(BACKGROUND) if BACKGROUND in label_map.names else 0


def moved(
    image: Generated, condition: Condition, motion: Tensor, *, background: int, whole: bool
) -> tuple[Generated, Condition]:
    """Return images and what lies over them, moved. What comes into the frame is 0 in images and maps.

    Images and maps of real numbers are interpolated between pixels, masks and maps of class ids are taken from the
    nearest one. All can be differentiated any number of times with respect to the images.

    Args:
        image: images (N, 3, H, W), a pyramid of any sizes, maps (N, C, h, w) of real numbers or (N, h, w) of class ids.
        condition: their condition; its mask and its source image move, its reference does not.
        motion: (N, 2, 3) leads from a place in the result to one in the image, both in pixels (x, y) from its centre.
        background: the class id of what comes into the frame of a mask.
        whole: the motion is one of whole pixels, so that nothing needs to be interpolated at the full size.

    Raises:
        FacekitError: a map, or something that the discriminator reads of the condition, has no place in the image.
    """
    size = (image.image.shape[-2], image.image.shape[-1])
    if condition.extra:
        raise FacekitError(
            f"the discriminator reads {', '.join(condition.extra)} of the condition, and nobody knows how that moves "
            "with an image",
            remedy="take what moves images out of train.augment.policy (leave `color` and `cutout`)",
        )

    def of(tensor: Tensor, name: str) -> Tensor:
        if not tensor.is_floating_point() and tensor.dim() == 3:
            return _nearest(tensor, motion, size, fill=background)
        if tensor.is_floating_point() and tensor.dim() == 4:
            same = whole and tensor.shape[-2:] == image.image.shape[-2:]
            return _interpolated(tensor, motion, size, whole=same)
        raise FacekitError(
            f"`{name}` of shape {tuple(tensor.shape)} is judged beside the image, and nobody knows how it moves",
            remedy="maps that move are (N, C, h, w), or class ids (N, h, w); else take what moves images out of "
            "train.augment.policy",
        )

    new_image = replace(
        image,
        image=of(image.image, "image"),
        pyramid=tuple(of(level, "pyramid") for level in image.pyramid),
        maps={name: of(tensor, name) for name, tensor in image.maps.items()},
    )
    mask, source = condition.mask, condition.source_image
    return new_image, replace(
        condition,
        mask=None if mask is None else of(mask, "mask"),
        source_image=None if source is None else of(source, "source_image"),
    )


def _places(motion: Tensor, size: tuple[int, int], level: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return where the pixels of a level come from: x and y (N, h w) in its pixels.

    From the centre everything is exact: a motion that does nothing leads each pixel to itself.
    """
    (height, width), device = level, motion.device
    x = torch.arange(width, device=device, dtype=torch.float32) - (width - 1) / 2
    y = torch.arange(height, device=device, dtype=torch.float32) - (height - 1) / 2
    x, y = x.repeat(height), y.repeat_interleave(width)
    matrix = motion[:, :, :, None]
    from_x = matrix[:, 0, 0] * x + matrix[:, 0, 1] * y + matrix[:, 0, 2] * (width / size[1]) + (width - 1) / 2
    from_y = matrix[:, 1, 0] * x + matrix[:, 1, 1] * y + matrix[:, 1, 2] * (height / size[0]) + (height - 1) / 2
    return from_x, from_y


def _taken(flat: Tensor, x: Tensor, y: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return the pixels (N, C, h w) at whole places, and whether each place lies in the frame (N, 1, h w)."""
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    place = (y.clamp(0, height - 1) * width + x.clamp(0, width - 1)).long()
    return flat.gather(2, place[:, None].expand(-1, flat.shape[1], -1)), inside[:, None]


def _nearest(ids: Tensor, motion: Tensor, size: tuple[int, int], *, fill: int) -> Tensor:
    height, width = ids.shape[-2:]
    x, y = _places(motion, size, (height, width))
    found, inside = _taken(ids.flatten(1)[:, None], x.round(), y.round(), height, width)
    return torch.where(inside, found, fill)[:, 0].view_as(ids)


def _interpolated(image: Tensor, motion: Tensor, size: tuple[int, int], *, whole: bool) -> Tensor:
    height, width = image.shape[-2:]
    x, y = _places(motion, size, (height, width))
    flat = image.flatten(2)
    total: Tensor | None = None
    # By torch's gather rather than its grid_sample, whose gradient cannot be differentiated, as penalties must.
    for corner_x, corner_y, weight in _corners(x, y, whole=whole):
        found, inside = _taken(flat, corner_x, corner_y, height, width)
        share = found * (inside if weight is None else inside * weight[:, None])
        total = share if total is None else total + share
    assert total is not None
    return total.view_as(image)


def _corners(x: Tensor, y: Tensor, *, whole: bool) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    """Yield the whole places around places, with their weights (N, h w)."""
    if whole:
        yield x.round(), y.round(), None
        return
    left, top = x.floor(), y.floor()
    right_share, bottom_share = x - left, y - top
    for step_x, share_x in ((0, 1 - right_share), (1, right_share)):
        for step_y, share_y in ((0, 1 - bottom_share), (1, bottom_share)):
            yield left + step_x, top + step_y, share_x * share_y
