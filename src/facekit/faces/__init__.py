"""What masks and photos of faces show, computed from pixels alone.

Datasets, metrics and edits must decide such things alike, so they are decided here. Importing this package does not
import torch, and nothing else before it is used: the names below are looked up in their modules when first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facekit.faces.attributes import SHOWN_BY, TINTED_GLASSES, VISIBLE_MOUTH, ShownAttribute, shows
    from facekit.faces.colour import D65, LUMA, SRGB_TO_XYZ, lab_colours, luminance
    from facekit.faces.copies import THUMBNAIL_SIDE, KnownPhotos, pattern_distances, thumbnail
    from facekit.faces.glasses import TINTED_VERSION, Lenses, frame_of_clear_glasses, lenses_of, tinted_glasses
    from facekit.faces.sides import SIDES_VERSION, exchange_sides, exchanged_sides

_HOMES = {
    "attributes": ("SHOWN_BY", "TINTED_GLASSES", "VISIBLE_MOUTH", "ShownAttribute", "shows"),
    "colour": ("D65", "LUMA", "SRGB_TO_XYZ", "lab_colours", "luminance"),
    "copies": ("THUMBNAIL_SIDE", "KnownPhotos", "pattern_distances", "thumbnail"),
    "glasses": ("TINTED_VERSION", "Lenses", "frame_of_clear_glasses", "lenses_of", "tinted_glasses"),
    "sides": ("SIDES_VERSION", "exchange_sides", "exchanged_sides"),
}

__all__ = [
    "D65",
    "LUMA",
    "SHOWN_BY",
    "SIDES_VERSION",
    "SRGB_TO_XYZ",
    "THUMBNAIL_SIDE",
    "TINTED_GLASSES",
    "TINTED_VERSION",
    "VISIBLE_MOUTH",
    "KnownPhotos",
    "Lenses",
    "ShownAttribute",
    "exchange_sides",
    "exchanged_sides",
    "frame_of_clear_glasses",
    "lab_colours",
    "lenses_of",
    "luminance",
    "pattern_distances",
    "shows",
    "thumbnail",
    "tinted_glasses",
]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"facekit.faces.{home}"), name)
    raise AttributeError(f"module 'facekit.faces' has no attribute {name!r}")
