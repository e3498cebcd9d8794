"""Where the pixels go: squares, sizes and mirrors, the same for a photo and its mask.

Images that are not square are cropped to the square in their middle. Photos are resized antialiased (Lanczos), masks
by the nearest pixel; both sample the same box, pixel centre by pixel centre, so that they stay aligned to within half a
pixel of the coarser of the two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Box(NamedTuple):
    """A square part of an image, in its pixels; fractions of pixels are meant."""

    left: float
    top: float
    side: float


def middle_square(width: int, height: int) -> Box:
    """Return the largest square in the middle of an image."""
    side = min(width, height)
    return Box((width - side) / 2, (height - side) / 2, side)


def same_aspect(first: tuple[int, ...], second: tuple[int, ...]) -> bool:
    """Whether two (height, width, ...) shapes have one aspect, to within a pixel of rounding."""
    return abs(first[1] * second[0] - second[1] * first[0]) <= max(first[0], first[1], second[0], second[1])


def resize_photo(
    image: NDArray[np.uint8],
    size: int,
    box: Box | None = None,
    *,
    resample: Image.Resampling = Image.Resampling.LANCZOS,
) -> NDArray[np.uint8]:
    """Return the box of a photo (H, W, 3) uint8, by default its middle square, at (size, size, 3).

    The support of Pillow's filters grows with the reduction, so none of them aliases.
    """
    height, width = image.shape[:2]
    box = middle_square(width, height) if box is None else box
    if (height, width) == (size, size) and box == (0, 0, size):
        return image
    edges = (box.left, box.top, box.left + box.side, box.top + box.side)
    return np.asarray(Image.fromarray(image).resize((size, size), resample, box=edges))


def resize_mask(mask: NDArray[Any], size: int, box: Box | None = None) -> NDArray[Any]:
    """Return a mask (h, w) of class ids at (size, size), each pixel the id of the nearest one in the box, which is in
    pixels of the mask; by default the middle square."""
    height, width = mask.shape
    box = middle_square(width, height) if box is None else box
    if (height, width) == (size, size) and box == (0, 0, size):
        return mask
    centres = (np.arange(size) + 0.5) * (box.side / size)
    rows = np.clip(np.floor(box.top + centres).astype(np.intp), 0, height - 1)
    columns = np.clip(np.floor(box.left + centres).astype(np.intp), 0, width - 1)
    return mask[rows[:, None], columns[None, :]]


def mirror_photo(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a photo (H, W, 3) with left and right changed over; a view."""
    return image[:, ::-1]


def mirror_mask(mask: NDArray[np.uint8], table: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a mask (H, W) with left and right changed over, in the image and, by the label map's ``mirror_table()``,
    in its classes."""
    return table[mask[:, ::-1]]
