"""Masks and photos as people have them, to the tensors a model takes, and results back to what people gave.

Pictures that are not square are cropped to the square in their middle, as in training. Masks are resized by the nearest
pixel, photos antialiased.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from facekit.data.geometry import middle_square, resize_mask, resize_photo
from facekit.interfaces import FacekitError, LabelMap
from facekit.interfaces.image_files import rgb_pixels, upright

MaskInput = Image.Image | Tensor | Sequence[Image.Image]
"""One mask or several: indexed or greyscale pictures of class ids, or integers (H, W) or (N, H, W)."""

PhotoInput = Image.Image | Tensor | Sequence[Image.Image]
"""One photo or several: pictures, or a tensor (3, H, W) or (N, 3, H, W), float in [-1, 1] or uint8."""

PhotoOutput = Image.Image | list[Image.Image] | Tensor
"""As many results as were asked for, in the form that the photos had."""

_MASK_MODES = ("P", "L", "1", "I;16", "I")
_ROUNDING = 1e-3
"""How far beyond [-1, 1] a photo may be: resizing antialiased overshoots, and so do others' pictures."""


@dataclass(frozen=True)
class Batch:
    """Pictures at the model's size.

    Args:
        tensor: (N, S, S) class ids, int64, or (N, 3, S, S) photos, float32 in [-1, 1]; where they were given.
        sizes: (height, width) that each picture had.
        names: what to call each picture in messages.
        single: one picture was given, rather than a batch or list of them.
    """

    tensor: Tensor
    sizes: tuple[tuple[int, int], ...]
    names: tuple[str, ...]
    single: bool

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def joined(cls, batches: Sequence[Batch]) -> Batch:
        """Return the pictures of several batches as one."""
        return cls(
            torch.cat([batch.tensor for batch in batches]),
            tuple(chain.from_iterable(batch.sizes for batch in batches)),
            tuple(chain.from_iterable(batch.names for batch in batches)),
            single=False,
        )


def read_masks(value: MaskInput, *, size: int, label_map: LabelMap, role: str, given: LabelMap | None = None) -> Batch:
    """Return masks at the model's size.

    Args:
        value: see :data:`MaskInput`. Pictures are turned as their EXIF orientation says, as photos are.
        size: the model's picture side.
        label_map: what the ids mean in the end.
        role: what to call them: ``mask`` or ``reference_mask``.
        given: the finer label map that the masks are in, of which ``label_map`` is a merged form; None where they are
            in ``label_map`` itself.

    Raises:
        FacekitError: naming the picture: it has several channels, is a JPEG, or holds ids outside the label map.
        TypeError: ``value`` is something else.
        ValueError: ``label_map`` is no merged form of ``given``.
    """
    given = label_map if given is None else given
    if isinstance(value, Tensor):
        if value.is_floating_point() or value.is_complex():
            raise FacekitError(
                f"a mask holds class ids, which are integers, not {value.dtype}", where=role, remedy="use .long()"
            )
        if value.dim() not in (2, 3) or value.numel() == 0:
            raise FacekitError(
                f"a tensor of the shape {tuple(value.shape)} is no mask",
                where=role,
                remedy="give class ids (H, W) or (N, H, W); a one-hot mask becomes ids by .argmax(1)",
            )
        single = value.dim() == 2
        arrays = list(value.detach().long().reshape(-1, *value.shape[-2:]))
        names = _names(arrays, role=role, single=single)
    else:
        pictures, single = _pictures(value, role=role)
        names = _names(pictures, role=role, single=single)
        arrays = [_ids_of_picture(picture, name=name) for picture, name in zip(pictures, names, strict=True)]
    masks: list[Tensor] = []
    for ids, name in zip(arrays, names, strict=True):
        low, high = (int(bound) for bound in ids.aminmax())
        if low < 0 or high >= len(given):
            wrong = [number for number in ids.unique().tolist() if not 0 <= number < len(given)]
            shown = ", ".join(map(str, wrong[:5])) + (", ..." if len(wrong) > 5 else "")
            merged = f"; masks of {given.of} are merged where --label-map {given.of} says so" if given.of else ""
            raise FacekitError(
                f"the mask holds the class ids {shown}; those of {given.name} are 0 to {len(given) - 1}",
                where=name,
                remedy=f"pixels must be class ids, neither colours nor grey levels{merged}",
            )
        height, width = ids.shape
        if (height, width) != (size, size):
            nearest = resize_mask(np.arange(height * width).reshape(height, width), size)
            ids = ids.flatten()[torch.from_numpy(nearest).to(ids.device)]
        masks.append(ids)
    tensor = torch.stack(masks)
    if given != label_map:
        tensor = torch.from_numpy(label_map.merge_table(given).astype(np.int64)).to(tensor.device)[tensor]
    return Batch(tensor, tuple((ids.shape[0], ids.shape[1]) for ids in arrays), names, single)


def read_photos(value: PhotoInput, *, size: int, role: str) -> Batch:
    """Return photos at the model's size.

    Args:
        value: see :data:`PhotoInput`. Pictures are turned as their EXIF orientation says; transparency is dropped.
        size: the model's picture side.
        role: what to call them: ``reference``.

    Raises:
        FacekitError: naming the picture: it is outside [-1, 1], not finite, of a shape that is no photo's, or of a mode
            that has no 8 bits a channel (grey of 16 bits is scaled).
        TypeError: ``value`` is something else.
    """
    if not isinstance(value, Tensor):
        pictures, single = _pictures(value, role=role)
        names = _names(pictures, role=role, single=single)
        pixels = [rgb_pixels(picture, name=name) for picture, name in zip(pictures, names, strict=True)]
        tensor = torch.from_numpy(np.stack([resize_photo(photo, size) for photo in pixels])).permute(0, 3, 1, 2)
        return Batch(_to_float(tensor), tuple((photo.shape[0], photo.shape[1]) for photo in pixels), names, single)
    if value.dim() not in (3, 4) or value.shape[-3] != 3 or value.numel() == 0:
        raise FacekitError(
            f"a tensor of the shape {tuple(value.shape)} is no photo",
            where=role,
            remedy="give (3, H, W) or (N, 3, H, W), with channels before height and width",
        )
    if value.dtype != torch.uint8 and not value.is_floating_point():
        raise FacekitError(f"a photo is float in [-1, 1] or uint8, not {value.dtype}", where=role)
    single = value.dim() == 3
    height, width = value.shape[-2:]
    stack = value.detach().reshape(-1, 3, height, width)
    names = _names(list(stack), role=role, single=single)
    if stack.dtype == torch.uint8:
        if (height, width) != (size, size):
            resized = [resize_photo(photo, size) for photo in stack.permute(0, 2, 3, 1).cpu().numpy()]
            stack = torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).to(value.device)
        tensor = _to_float(stack)
    else:
        tensor = stack.float()
        for photo, name in zip(tensor, names, strict=True):
            if not bool((photo.abs() <= 1 + _ROUNDING).all()):
                low, high = photo.aminmax()
                raise FacekitError(
                    f"the photo goes from {low:g} to {high:g}; a float photo is in [-1, 1]",
                    where=name,
                    remedy="give uint8 for 0 to 255, or x * 2 - 1 for [0, 1]",
                )
        if (height, width) != (size, size):
            box = middle_square(width, height)
            top, left, side = int(box.top), int(box.left), int(box.side)
            square = tensor[:, :, top : top + side, left : left + side]
            tensor = F.interpolate(square, size=(size, size), mode="bicubic", antialias=True, align_corners=False)
            tensor = tensor.clamp(-1, 1)
    return Batch(tensor, ((height, width),) * len(names), names, single)


def to_pictures(images: Tensor) -> list[Image.Image]:
    """Return photos (N, 3, H, W) in [-1, 1] as pictures of 8 bits."""
    pixels = to_bytes(images).permute(0, 2, 3, 1).cpu().numpy()
    return [Image.fromarray(photo) for photo in pixels]


def to_bytes(images: Tensor) -> Tensor:
    """Return photos in [-1, 1] as uint8, rounded to the nearest of 256 levels."""
    return ((images.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def in_the_form_of(
    inputs: tuple[PhotoInput | None, PhotoInput | None, MaskInput | None], images: Tensor, *, single: bool
) -> PhotoOutput:
    """Return images in the form of the first input that is given: reference, source, mask."""
    *photos, mask = inputs
    photo = next((each for each in photos if each is not None), None)
    given = mask if photo is None else photo
    if not isinstance(given, Tensor):
        pictures = to_pictures(images)
        return pictures[0] if single else pictures
    if photo is not None:
        images = to_bytes(images) if given.dtype == torch.uint8 else images.to(given.dtype)
    images = images.to(given.device)
    return images[0] if single else images


def _to_float(pixels: Tensor) -> Tensor:
    return pixels.float() / 127.5 - 1


def _pictures(value: object, *, role: str) -> tuple[list[Image.Image], bool]:
    if isinstance(value, Image.Image):
        return [value], True
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        if not value:
            raise FacekitError("there is no picture in the list", where=role)
        if all(isinstance(entry, Image.Image) for entry in value):
            return list(cast("Sequence[Image.Image]", value)), False
    raise TypeError(f"{role} must be a PIL image, a list of them or a tensor, not {type(value).__name__}")


def _names(pictures: Sequence[object], *, role: str, single: bool) -> tuple[str, ...]:
    names = [role if single else f"{role}[{index}]" for index in range(len(pictures))]
    files = [getattr(picture, "filename", "") for picture in pictures]
    return tuple(f"{name} ({file})" if file else name for name, file in zip(names, files, strict=True))


def _ids_of_picture(picture: Image.Image, *, name: str) -> Tensor:
    if picture.format in ("JPEG", "MPO"):
        raise FacekitError(
            "the mask is a JPEG; its lossy compression changes class ids along every edge",
            where=name,
            remedy="save masks as PNG, from the original annotation",
        )
    if picture.mode not in _MASK_MODES:
        raise FacekitError(
            f"the mask has several channels (mode {picture.mode}); it must hold one class id a pixel",
            where=name,
            remedy="save it as an indexed or greyscale PNG; the colours of a mask are for people only",
        )
    return torch.from_numpy(np.asarray(upright(picture)).astype(np.int64))
