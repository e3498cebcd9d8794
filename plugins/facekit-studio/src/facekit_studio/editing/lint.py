"""What looks wrong in a mask before an image is generated from it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import ndimage

from facekit.faces.sides import exchanged_sides
from facekit.interfaces import LabelMap
from facekit_studio.editing.script.masks import Ids, grown, pixels_of

HOLE_SHARE = 0.002
"""Smallest hole that is told, as a share of the picture."""

_SKIN, _INSIDE = "skin", ("l_eye", "r_eye", "eye", "nose", "mouth", "u_lip", "l_lip")
_NEAR_SKIN = 0.03
_ONE_CLASS = 0.9  # of what lies around a hole


@dataclass(frozen=True)
class MaskFinding:
    """Something that looks wrong.

    Args:
        level: ``error`` for masks that no image can be generated from; ``warning`` for what is probably not meant.
        message: what it is.
        remedy: what to do.
        region: the class it is about; empty for the whole mask.
    """

    level: Literal["error", "warning"]
    message: str
    remedy: str
    region: str = ""


def lint_mask(mask: Ids, label_map: LabelMap, *, seen: Collection[str] | None = None) -> list[MaskFinding]:
    """Return what looks wrong in a mask.

    Args:
        mask: class ids (H, W).
        label_map: what they mean. Checks about parts of a face look at classes of CelebAMask-HQ's names.
        seen: the classes that training masks showed, where that is known.
    """
    unknown = sorted({int(value) for value in np.unique(mask)} - set(range(len(label_map))))
    if unknown:
        shown = ", ".join(map(str, unknown[:5]))
        return [
            MaskFinding(
                "error",
                f"the ids {shown} are outside {label_map.name}, whose ids are 0 to {len(label_map) - 1}",
                "pixels must be class ids, neither colours nor grey levels",
            )
        ]
    return [
        *_sides(mask, label_map),
        *_outside_the_skin(mask, label_map),
        *_holes(mask, label_map),
        *_never_seen(mask, label_map, seen),
    ]


def _sides(mask: Ids, label_map: LabelMap) -> list[MaskFinding]:
    """Left parts belong to the person's left: they lie on the right of the picture."""
    return [
        MaskFinding(
            "warning",
            f"{left} and {right} are on each other's side: left and right are the person's own, so {left} belongs on "
            "the right of the picture",
            f"exchange {left} and {right}",
            left,
        )
        for left, right in exchanged_sides(mask, label_map)
    ]


def _outside_the_skin(mask: Ids, label_map: LabelMap) -> list[MaskFinding]:
    if _SKIN not in label_map.names:
        return []
    skin = mask == label_map.id_of(_SKIN)
    inner = [label_map.id_of(name) for name in _INSIDE if name in label_map.names]
    face = ndimage.binary_fill_holes(grown(skin | pixels_of(mask, inner), 0))
    hull = ndimage.binary_fill_holes(grown(skin, _NEAR_SKIN * max(mask.shape)))
    found = []
    for name in _INSIDE:
        if name not in label_map.names:
            continue
        part = mask == label_map.id_of(name)
        if part.any() and not (part & hull).any() and face.any():
            found.append(
                MaskFinding(
                    "warning", f"{name} lies outside the skin", f"move {name} onto the face, or remove it", name
                )
            )
    return found


def _holes(mask: Ids, label_map: LabelMap) -> list[MaskFinding]:
    """Background inside one part is mostly a spot that the brush missed; between parts one often sees through."""
    if "background" not in label_map.names:
        return []
    background = mask == label_map.id_of("background")
    labels, _ = ndimage.label(background)
    found = []
    for index, place in enumerate(ndimage.find_objects(labels), start=1):
        rows, columns = (slice(max(0, part.start - 1), part.stop + 1) for part in place)
        hole = labels[rows, columns] == index
        at_border = any(part.start == 0 or part.stop == length for part, length in zip(place, mask.shape, strict=True))
        if at_border or hole.sum() < HOLE_SHARE * mask.size:
            continue
        around = mask[rows, columns][ndimage.binary_dilation(hole) & ~hole]
        counts = np.bincount(around)
        if counts.max() < _ONE_CLASS * len(around):
            continue
        name = label_map.names[int(counts.argmax())]
        row, column = ((part.start + part.stop - 1) // 2 for part in place)
        found.append(
            MaskFinding(
                "warning",
                f"there is a hole of background in {name} around row {row}, column {column}",
                f"fill it with {name}, or keep it where one sees through",
                name,
            )
        )
    return found


def _never_seen(mask: Ids, label_map: LabelMap, seen: Collection[str] | None) -> list[MaskFinding]:
    if seen is None:
        return []
    shown = [label_map.names[int(value)] for value in np.unique(mask)]
    return [
        MaskFinding("warning", f"no training face showed {name}", f"expect nothing good of {name}", name)
        for name in shown
        if name not in seen
    ]
