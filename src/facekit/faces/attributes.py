"""Attributes that a mask shows: from which share of the image's area on a class stands for an attribute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from facekit.interfaces import LabelMap

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ShownAttribute = Literal["Eyeglasses", "Mouth_Slightly_Open", "Wearing_Earrings", "Wearing_Hat", "Wearing_Necklace"]
"""CelebA's attributes that a class of a mask shows."""

SHOWN_BY: Mapping[ShownAttribute, str] = {
    "Eyeglasses": "eye_g",
    "Mouth_Slightly_Open": "mouth",
    "Wearing_Earrings": "ear_r",
    "Wearing_Hat": "hat",
    "Wearing_Necklace": "neck_l",
}
"""The class of CelebAMask-HQ that shows each of these attributes."""

TINTED_GLASSES = "Tinted_Glasses"
"""The attribute of faces that wear glasses whose lenses hide what is behind them (:func:`tinted_glasses`)."""

VISIBLE_MOUTH = 0.001
"""Share of the image's area from which on a person sees that a mouth is open, in photos of 512 pixels.

72 masks of CelebAMask-HQ with a small mouth were labelled by eye: 4 of 14 below 0.1 % looked open, and 56 of 58 from
0.1 % to 0.35 %. A classifier that looks at 128 pixels agrees best with labels from 0.4 % on."""


def shows(mask: NDArray[np.uint8], label_map: LabelMap, attribute: ShownAttribute, area: float) -> bool:
    """Return whether a mask shows an attribute: its class covers more than a share of the image.

    Args:
        mask: class ids (H, W).
        label_map: what they mean.
        attribute: the attribute.
        area: share of all pixels, in [0, 1); 0 takes a single pixel.

    Raises:
        KeyError: the label map does not have the class that shows it.
    """
    return int((mask == label_map.id_of(SHOWN_BY[attribute])).sum()) > area * mask.size
