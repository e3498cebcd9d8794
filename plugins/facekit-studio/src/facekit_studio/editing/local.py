"""Local edits: windows of a photo around what an edit changes, filled by a run that sees the photo around them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy import ndimage

from facekit.data.geometry import resize_mask
from facekit.faces.glasses import frame_of_clear_glasses
from facekit.inference.pictures import read_photos, to_pictures
from facekit.inference.pipeline import FacePipeline
from facekit.interfaces import HOLE, Condition, FacekitError, LabelMap
from facekit.sampling.inputs import MASK, SOURCE, SamplingInputs
from facekit_studio.editing.script.anatomy import EYES, GLASSES
from facekit_studio.editing.script.masks import Ids, Pixels, extent_of, grown, square_around

MASK_SIDE = 512
"""Pixels of the face's side at which masks are edited for local edits, which work at the photo's resolution."""

LARGEST_SQUARE = 1024
"""Most pixels of the face's side at which local edits work."""

LARGEST_EXTENT = 0.75
"""Largest extent of a hole, as a share of the square's side: beyond it too little of the face is left to go by."""

CONTEXT = 1.8
"""Side of a window in extents of its hole."""

SMALLEST_WINDOW = 0.2
"""Smallest side of a window, as a share of the square's side."""

MARGIN = 0.08
"""How far a hole reaches beyond what changed, in extents of the change: the old shape's shadows and edges go too."""

SMALLEST_MARGIN, LARGEST_MARGIN = 0.008, 0.03
"""Bounds of the margin, as shares of the square's side."""

FRAME_EDGE = 0.01
"""How far the edge of a frame and its shadow reach over the face behind clear lenses, as a share of the side."""

_STEPS = ImageFilter.GaussianBlur(0.8)
"""Smooths away the steps that pixels of a mask leave in its outlines."""

_NEIGHBOURS = np.ones((3, 3))
"""Pixels of one part touch each other, at a corner at least."""

_BLENDED = 4
"""Pixels round a hole to which blending reaches: as far as a Gaussian of 1 pixel is cut off."""


@dataclass(frozen=True)
class FilledSquare:
    """A square around a face with its holes filled.

    Args:
        image: (L, L, 3) uint8.
        hole: (L, L) bool: the pixels that were made anew.
    """

    image: NDArray[np.uint8]
    hole: Pixels


def fills_holes(inputs: SamplingInputs) -> bool:
    """Return whether a run fills a hole in a photo by a mask: what it needs is a mask, a photo and a hole."""
    return inputs.needed == {MASK, SOURCE, HOLE.name}


class LocalEditor:
    """Fills in what an edit changes, window by window, at the photo's own resolution.

    Args:
        pipeline: a run that fills holes.

    Raises:
        FacekitError: the run needs something else.
    """

    def __init__(self, pipeline: FacePipeline) -> None:
        if not fills_holes(pipeline.inputs):
            raise FacekitError(
                "this run does not fill holes in photos: it needs "
                f"{', '.join(sorted(pipeline.inputs.needed)) or 'noise alone'}",
                where=str(pipeline.run),
                remedy="train one: `facekit run local_edit`",
            )
        self.pipeline = pipeline

    def is_local(self, changed: Pixels) -> bool:
        """Return whether a change (M, M) of the square's mask leaves enough of the face around it."""
        return all(_extent(part) <= LARGEST_EXTENT * changed.shape[0] for part in _parts(_hole_of(changed)))

    def fill(
        self, square: NDArray[np.uint8], mask: Ids, changed: Pixels, *, stays: Pixels | None = None, seed: int = 0
    ) -> FilledSquare:
        """Fill in what changed.

        Args:
            square: the square around the face (L, L, 3), at the photo's resolution.
            mask: its mask after the edit, (M, M).
            changed: where the mask changed, (M, M).
            stays: pixels (M, M) that no hole reaches, however near to a change they are.
            seed: of the noise: other seeds give other teeth.

        Returns:
            the square, and the pixels in which it differs.
        """
        side = square.shape[0]
        wanted = mask_at(mask, side)
        whole = _hole_of(mask_at(changed.astype(np.uint8), side) > 0)
        if stays is not None:
            whole &= mask_at(stays.astype(np.uint8), side) == 0
        image, open_hole = square.copy(), whole.copy()
        # The largest first: what a smaller one sees of it is then filled already.
        for number, part in enumerate(sorted(_parts(whole), key=_extent, reverse=True)):
            rows, columns = _window(part, side)
            own = part[rows, columns]
            made = self._made(image[rows, columns], wanted[rows, columns], open_hole[rows, columns], f"{number}", seed)
            # A pixel of blending hides the edge where the window was resized.
            weight = ndimage.gaussian_filter(own.astype(np.float64), 1.0)[..., None]
            mixed = image[rows, columns] + weight * (made.astype(np.float64) - image[rows, columns])
            image[rows, columns] = np.rint(mixed).astype(np.uint8)
            open_hole &= ~part
        return FilledSquare(image, ndimage.binary_dilation(whole, iterations=_BLENDED))

    def _made(self, window: NDArray[np.uint8], mask: Ids, hole: Pixels, key: str, seed: int) -> NDArray[np.uint8]:
        """Return a window (s, s, 3) with its hole filled."""
        size = self.pipeline.size
        photo = read_photos(Image.fromarray(window), size=size, role=SOURCE).tensor
        ids = torch.from_numpy(mask_at(mask, size).astype(np.int64))[None]
        covered = torch.from_numpy((mask_at(hole.astype(np.uint8), size) > 0)[None, None].astype(np.float32))
        condition = Condition(mask=ids, source_image=photo, extra={HOLE.name: covered})
        made = to_pictures(self.pipeline.generate_for(condition, [key], seed=seed))[0]
        return np.asarray(made.resize((window.shape[1], window.shape[0]), Image.Resampling.BICUBIC))


@dataclass(frozen=True)
class SeenThrough:
    """An edit that takes clear glasses off: their frame goes, and the face that is seen through them stays.

    Args:
        wanted: the mask after the edit, without the eyes that were drawn where the glasses hid them from the mask only.
        changed: what is filled in: the frame.
        stays: what is not: the face behind the lenses.
    """

    wanted: Ids
    changed: Pixels
    stays: Pixels


def without_frame(
    square: NDArray[np.uint8], before: Ids, wanted: Ids, changed: Pixels, label_map: LabelMap
) -> SeenThrough | None:
    """Return how clear glasses are taken off a photo; None where an edit does something else, or they are not clear.

    Args:
        square: the square around the face (L, L, 3).
        before: its mask (M, M).
        wanted: its mask after the edit, (M, M).
        changed: what the edit changes, (M, M).
        label_map: of the masks.
    """
    if not {GLASSES, "skin"} <= set(label_map.names):
        return None
    glasses = before == label_map.id_of(GLASSES)
    if not (glasses & changed).any() or (wanted == label_map.id_of(GLASSES)).any():
        return None
    side = before.shape[0]
    image = np.asarray(Image.fromarray(square).resize((side, side), Image.Resampling.BICUBIC))
    frame = frame_of_clear_glasses(image, before, label_map)
    if frame is None:
        return None
    eyes = [label_map.id_of(name) for name in EYES if name in label_map.names]
    drawn = np.isin(wanted, eyes) & glasses
    seen = (glasses & ~frame) | (np.isin(before, eyes) & (before == wanted))
    return SeenThrough(
        wanted=np.where(drawn, np.uint8(label_map.id_of("skin")), wanted),
        changed=(changed & ~glasses) | frame,
        stays=ndimage.binary_erosion(seen, iterations=max(1, round(FRAME_EDGE * side))),
    )


def mask_at(mask: Ids, side: int) -> Ids:
    """Return class ids (M, M) at another side: by the nearest pixel where it gets smaller, with smooth outlines where
    it gets larger."""
    if side <= mask.shape[0]:
        return resize_mask(mask, side)
    best = np.zeros((side, side), dtype=np.uint8)
    found = np.zeros((side, side), dtype=np.uint8)
    for identity in np.unique(mask):
        plane = Image.fromarray(((mask == identity) * 255).astype(np.uint8))
        share = np.asarray(plane.filter(_STEPS).resize((side, side), Image.Resampling.BICUBIC))
        found[share > best] = identity
        best = np.maximum(best, share)
    return found


def _hole_of(changed: Pixels) -> Pixels:
    """Return the hole of a change: each of its parts, and a margin around it."""
    hole = np.zeros_like(changed)
    side = changed.shape[0]
    labels, _ = ndimage.label(changed, structure=_NEIGHBOURS)
    for number, place in enumerate(ndimage.find_objects(labels), start=1):
        extent = max(span.stop - span.start for span in place)
        margin = float(np.clip(MARGIN * extent, SMALLEST_MARGIN * side, LARGEST_MARGIN * side))
        # No further than the margin reaches: an edit can leave hundreds of specks.
        reach = math.ceil(margin)
        around = tuple(slice(max(0, span.start - reach), span.stop + reach) for span in place)
        hole[around] |= grown(labels[around] == number, margin)
    return hole


def _parts(shape: Pixels) -> list[Pixels]:
    """Return the connected parts of a shape."""
    labels, count = ndimage.label(shape, structure=_NEIGHBOURS)
    return [labels == number for number in range(1, count + 1)]


def _extent(part: Pixels) -> int:
    """Return the larger side of a part's bounding box in pixels; 0 for nothing."""
    box = extent_of(part)
    return 0 if box is None else max(box.height, box.width)


def _window(part: Pixels, side: int) -> tuple[slice, slice]:
    """Return the rows and columns of a square window around a part, within a square."""
    box = extent_of(part)
    assert box is not None  # a part has pixels
    square = square_around(box, side, context=CONTEXT, smallest=SMALLEST_WINDOW)
    top, left, length = int(square.top), int(square.left), int(square.side)
    return slice(top, top + length), slice(left, left + length)
