"""Clear and tinted glasses, distinguished by the image behind the lenses. Masks have one class for both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from scipy import ndimage

from facekit.faces.colour import lab_colours
from facekit.interfaces import LabelMap

if TYPE_CHECKING:
    from numpy.typing import NDArray

TINTED_VERSION = 1
"""Version of what counts as tinted; part of the fingerprint of data whose attributes are read off by it."""

_GLASSES, _NOSE, _SKIN = "eye_g", "nose", "skin"
_EYES, _BROWS = ("l_eye", "r_eye", "eye"), ("l_brow", "r_brow", "brow")
_SIDE = 256
"""Photos and masks are looked at with at most this many pixels a side."""

# As shares of the side of the image.
_WORN = 0.1  # how far from the nose glasses are at most: those on the forehead or in the hair are 0.33 away and more
_THINNEST = 0.036  # half the height of a lens: less is a frame seen from the side

_FRAME = 0.4  # of half the height of a lens: what lies nearer to the rim may be the frame
_FEWEST = 20  # pixels of skin or lens that are enough

# What of a lens counts as skin seen through it, in CIE Lab beside the skin around: lightness within the range of most
# of that skin and a little more, colour within a distance.
_DARKER, _LIGHTER, _COLOUR = 5.0, 15.0, 14.0

# The frame of clear glasses, as shares of half the height of a lens: the rim that is all frame, how far in a frame
# reaches, and how far around the lens the skin lies that a frame is distinguished from by its colour in CIE Lab.
_RIM, _INNERMOST, _AROUND, _UNLIKE = 0.12, 0.5, 0.8, 14.0

# Chosen on the 51 photos with glasses of the project's 900 of CelebAMask-HQ.
_SKIN_SHARE, _LIGHTNESS, _BLACK = 0.25, 0.6, 0.3


@dataclass(frozen=True, slots=True)
class Lenses:
    """How lenses look beside the skin around them.

    Args:
        skin: share of the lenses that looks like that skin, in [0, 1].
        lightness: their median lightness (CIE L*) as a share of that of the skin.
    """

    skin: float
    lightness: float

    @property
    def tinted(self) -> bool:
        """Whether they are dark and hide the skin behind them."""
        return self.lightness < _BLACK or (self.skin < _SKIN_SHARE and self.lightness < _LIGHTNESS)


def lenses_of(image: NDArray[np.uint8], mask: NDArray[np.uint8], label_map: LabelMap) -> Lenses | None:
    """Return how the lenses of worn glasses look beside the skin around them.

    The rims, where frames are, and the eyes are left out of the lenses. The skin is that at the height of the glasses
    and a little below, so that the light on a face does not matter.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: class ids (h, w), of the image's aspect.
        label_map: what they mean, by CelebAMask-HQ's names.

    Returns:
        None where that cannot be seen: there are no glasses, they are pushed up or seen from the side, or no skin is
        near.
    """
    if not {_GLASSES, _NOSE, _SKIN} <= set(label_map.names) or not (mask == label_map.id_of(_GLASSES)).any():
        return None
    pixels, ids = _at_one_size(image, mask)
    side = max(ids.shape)
    glasses, nose = (ids == label_map.id_of(name) for name in (_GLASSES, _NOSE))
    eyes = np.isin(ids, [label_map.id_of(name) for name in _EYES if name in label_map.names])
    lens = ndimage.binary_fill_holes(glasses)
    if not nose.any() or ndimage.distance_transform_edt(~lens)[nose].min() > _WORN * side:
        return None
    depth = ndimage.distance_transform_edt(lens)
    if depth.max() < _THINNEST * side:
        return None
    rows = np.flatnonzero(glasses.any(1))
    top, height = rows[0], rows[-1] + 1 - rows[0]
    skin = nose | (ids == label_map.id_of(_SKIN))
    skin[: max(0, int(top - 0.3 * height))] = skin[int(top + 2 * height) :] = False
    inside = (depth > _FRAME * depth.max()) & ~ndimage.binary_dilation(eyes, iterations=max(1, side // 170))
    if min(skin.sum(), inside.sum()) < _FEWEST:
        return None
    return _compare(lab_colours(pixels[inside]), lab_colours(pixels[skin]))


def tinted_glasses(image: NDArray[np.uint8], mask: NDArray[np.uint8], label_map: LabelMap) -> bool:
    """Return whether a face wears tinted glasses: lenses that are dark beside the skin and hide it.

    Arguments as of :func:`lenses_of`. Where that sees no lenses, glasses are not called tinted. Of 51 images with
    glasses labelled by eye, 50 were classified correctly; the other has lenses of a light tint that hide nothing.
    Lenses that are no darker than a dark skin are missed.
    """
    lenses = lenses_of(image, mask, label_map)
    return lenses is not None and lenses.tinted


def frame_of_clear_glasses(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], label_map: LabelMap
) -> NDArray[np.bool_] | None:
    """Return which pixels of clear glasses are their frame; the others show the face behind the lenses.

    The frame is the rim, and what is connected to it and unlike the skin around the glasses; the middle of a lens is no
    frame, and neither are eyes and brows.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: class ids (H, W).
        label_map: what they mean, by CelebAMask-HQ's names.

    Returns:
        (H, W) bool; None where there are no clear glasses, or where :func:`lenses_of` sees no lenses.
    """
    lenses = lenses_of(image, mask, label_map)
    if lenses is None or lenses.tinted:
        return None
    glasses, nose, skin = (mask == label_map.id_of(name) for name in (_GLASSES, _NOSE, _SKIN))
    seen = np.isin(mask, [label_map.id_of(name) for name in (*_EYES, *_BROWS) if name in label_map.names])
    lens = ndimage.binary_fill_holes(glasses | (seen & ndimage.binary_dilation(glasses, iterations=3)))
    depth = ndimage.distance_transform_edt(lens)
    around = (skin | nose) & (ndimage.distance_transform_edt(~lens) < _AROUND * depth.max())
    lab = lab_colours(image)
    lightness, *colour = np.median(lab[around], axis=0)
    # A frame is darker than the skin, of another colour, or, where it shines, much lighter.
    brightness = np.where(
        lab[..., 0] < lightness, 0.7 * (lightness - lab[..., 0]), 0.3 * (lab[..., 0] - lightness - 10)
    )
    unlike = np.hypot(np.hypot(*np.moveaxis(lab[..., 1:] - colour, -1, 0)), np.maximum(brightness, 0)) > _UNLIKE
    rim = lens & (depth <= max(_RIM * depth.max(), 1.0))
    # The outlines of eyes and brows in masks are rough: the outermost pixels may be frame.
    face = ndimage.binary_erosion(seen, iterations=2)
    parts, _ = ndimage.label((lens & unlike & (depth <= _INNERMOST * depth.max()) & ~face) | rim)
    frame: NDArray[np.bool_] = np.isin(parts, np.unique(parts[rim]))
    return frame


def _compare(lens: NDArray[np.float64], skin: NDArray[np.float64]) -> Lenses:
    low, high = np.percentile(skin[:, 0], [5, 95])
    lightness, *colour = np.median(skin, axis=0)
    near = np.hypot(*(lens[:, 1:] - colour).T) < _COLOUR
    like = near & (lens[:, 0] > low - _DARKER) & (lens[:, 0] < high + _LIGHTER)
    return Lenses(float(like.mean()), float(np.median(lens[:, 0]) / max(lightness, 1.0)))


def _at_one_size(image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return image and mask at the mask's size, or smaller."""
    share = min(1.0, _SIDE / max(mask.shape))
    height, width = (max(1, round(length * share)) for length in mask.shape)
    rows, columns = (
        ((np.arange(count) + 0.5) * length / count).astype(int)
        for count, length in ((height, mask.shape[0]), (width, mask.shape[1]))
    )
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BOX)
    return np.asarray(resized), mask[rows[:, None], columns]
