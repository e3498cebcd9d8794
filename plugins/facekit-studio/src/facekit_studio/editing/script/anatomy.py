"""What lies where in a face: for operations that take things off it, or put them on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw
from scipy.spatial import ConvexHull, QhullError

from facekit_studio.editing.script.masks import Ids, Pixels, extent_of, filled, pixels_of
from facekit_studio.editing.script.operation import EditContext

GLASSES, HAT = "eye_g", "hat"

EYES = ("l_eye", "r_eye", "eye")
BROWS = ("l_brow", "r_brow", "brow")
_INNER = ("nose", *EYES, *BROWS, "mouth", "u_lip", "l_lip")

# Of the width of a pair of glasses: how large eyes and brows are that it hid, and how far above the eyes brows lie.
_EYE, _BROW, _BROW_ABOVE = (0.115, 0.045), (0.14, 0.022), 0.145
_FEWEST = 0.05  # of the glasses: less than this on one side of the nose hides no eye
# Of the width and height of a face: the half axes of the head that hair covers where a hat was.
_HEAD = (0.66, 0.78)


class EyePair(NamedTuple):
    """The middles (x, y) of two eyes, left one of the picture first, in pixels."""

    first: tuple[float, float]
    second: tuple[float, float]

    @property
    def distance(self) -> float:
        """From one to the other, in pixels."""
        return float(np.hypot(self.second[0] - self.first[0], self.second[1] - self.first[1]))

    def along(self, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Return for each pixel how far it lies along and below the line of the eyes, from the middle between them."""
        rows, columns = np.indices(shape, dtype=np.float64)
        x = columns - (self.first[0] + self.second[0]) / 2
        y = rows - (self.first[1] + self.second[1]) / 2
        cosine = (self.second[0] - self.first[0]) / self.distance
        sine = (self.second[1] - self.first[1]) / self.distance
        return cosine * x + sine * y, cosine * y - sine * x


def face_area(mask: Ids, context: EditContext) -> Pixels:
    """Return the face without ears, hair and neck: the hull of skin and of what lies on it."""
    return hull_of(pixels_of(mask, context.known("skin", *_INNER)))


def hull_of(pixels: Pixels) -> Pixels:
    """Return the pixels and all that lie between them; the same where they are too few to span anything."""
    places = np.argwhere(pixels)
    try:
        corners = places[ConvexHull(places).vertices] if len(places) > 2 else None
    except QhullError:  # all in one line
        corners = None
    if corners is None:
        return pixels.copy()
    picture = Image.new("1", pixels.shape[::-1])
    ImageDraw.Draw(picture).polygon([(int(column), int(row)) for row, column in corners], fill=1, outline=1)
    return np.asarray(picture, dtype=bool) | pixels


def eyes_of(mask: Ids, context: EditContext) -> EyePair | None:
    """Return the eyes; None where there are not two of them, side by side."""
    groups = [pixels_of(mask, context.known(name)) for name in ("l_eye", "r_eye")]
    both = pixels_of(mask, context.known("eye"))
    extent = extent_of(both)
    if extent is not None:  # a label map that does not tell left from right
        left = np.indices(mask.shape)[1] <= extent.centre[0]
        groups = [both & left, both & ~left]
    places = [np.argwhere(group).mean(axis=0) for group in groups if group.any()]
    if len(places) != 2:
        return None
    first, second = sorted((float(x), float(y)) for y, x in places)
    return EyePair(first, second) if second[0] - first[0] >= 2 else None


def without_glasses(mask: Ids, context: EditContext) -> Ids:
    """Return a mask without glasses: skin behind them, and eyes and brows where they hid them."""
    glasses = mask == context.label_map.id_of(GLASSES)
    area = face_area(mask, context)
    hidden = context.known(GLASSES, *_INNER)
    result = filled(mask, glasses, without=hidden)
    skin = context.known("skin")
    if not skin:
        return result
    result[glasses & area] = skin[0]
    lenses = extent_of(glasses & area)
    if lenses is None:
        return result
    middle, width = lenses.centre[0], float(lenses.width)
    rows, columns = np.nonzero(glasses & area)
    for left_of_picture, eye, brow in ((True, "r_eye", "r_brow"), (False, "l_eye", "l_brow")):
        side = columns <= middle if left_of_picture else columns > middle
        if side.sum() < _FEWEST * len(rows):
            continue
        x, y = float(columns[side].mean()), float(rows[side].mean())
        half = np.indices(mask.shape)[1] <= middle
        half = half if left_of_picture else ~half
        for name, merged, radii, above in ((eye, "eye", _EYE, 0.0), (brow, "brow", _BROW, _BROW_ABOVE)):
            ids = context.known(name, merged)
            if not ids or (pixels_of(mask, ids) & half).any():
                continue
            part = _ellipse(mask.shape, x, y - above * width, radii[0] * width, radii[1] * width)
            result[part & (result == skin[0])] = ids[0]
    return result


def without_hat(mask: Ids, context: EditContext) -> Ids:
    """Return a mask without a hat: hair on the head, and what lies around it beyond."""
    hat = mask == context.label_map.id_of(HAT)
    worn_close = (HAT, GLASSES, "hair", "skin", *_INNER, "l_ear", "r_ear", "ear", "neck")
    result = filled(mask, hat, without=context.known(*worn_close))
    face, hair = extent_of(face_area(mask, context)), context.known("hair")
    if face is None or not hair:
        return result
    x, y = face.centre
    head = _ellipse(mask.shape, x, y, _HEAD[0] * face.width, _HEAD[1] * face.height)
    result[hat & head] = hair[0]
    return result


def _ellipse(shape: tuple[int, ...], x: float, y: float, across: float, down: float) -> Pixels:
    rows, columns = np.indices(shape, dtype=np.float64)
    return ((columns - x) / max(across, 0.5)) ** 2 + ((rows - y) / max(down, 0.5)) ** 2 <= 1


def with_jaw(mask: Ids, context: EditContext, *, sinks: float | None) -> Ids:
    """Move the lower lip column by column.

    Args:
        mask: the mask.
        context: what the ids mean.
        sinks: how far the lower lip sinks in the middle of the mouth, in widths of the mouth; None closes it.
    """
    upper, lower, inner = context.known("u_lip"), context.known("l_lip"), context.known("mouth")
    if not (upper and lower and inner):
        context.notes.append(f"the label map {context.label_map.name} has no lips and mouth")
        return mask.copy()
    lips, inside = pixels_of(mask, (*upper, *lower)), mask == inner[0]
    extent = extent_of(lips)
    if extent is None or not (mask == lower[0]).any():
        context.notes.append("the mask shows no lower lip")
        return mask.copy()
    result = filled(mask, (mask == lower[0]) | inside, without=(*lower, *inner))
    middle, half = extent.centre[0], extent.width / 2
    for column in range(mask.shape[1]):
        lip = np.flatnonzero(mask[:, column] == lower[0])
        opening = np.flatnonzero(inside[:, column])
        if not len(lip) and not len(opening):
            continue
        above = np.flatnonzero(mask[:, column] == upper[0])
        first = int(lip[0]) if len(lip) else int(opening[-1]) + 1
        top = int(above[-1]) + 1 if len(above) and above[-1] < first else min([first, *opening.tolist()])
        if sinks is None:
            moved, gap = lip - (first - top), range(0)
        else:
            reach = max(0.0, 1 - ((column - middle) / max(half, 1.0)) ** 2) ** 0.5
            sink = round(sinks * extent.width * reach)
            moved, gap = lip + sink, range(top, first + sink)
        result[[row for row in gap if row < mask.shape[0]], column] = inner[0]
        result[moved[(moved >= 0) & (moved < mask.shape[0])], column] = lower[0]
    return result
