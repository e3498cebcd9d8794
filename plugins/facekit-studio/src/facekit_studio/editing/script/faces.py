"""Operations that know how faces are made: mouth, brows, glasses."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from facekit_studio.editing.script.anatomy import BROWS, EYES, GLASSES, eyes_of, face_area
from facekit_studio.editing.script.context import EditContext
from facekit_studio.editing.script.masks import Ids, extent_of, filled, pixels_of
from facekit_studio.editing.script.moving import Moving
from facekit_studio.editing.script.operation import Amount, Operation

# Of the distance between the eyes: half a lens across and down, half the line of bridge and arms, and how far above the
# eyes it runs.
_LENS, _WIDEST_LENS, _LINE, _LINE_ABOVE = (0.4, 0.3), 0.47, 0.03, 0.06


class OpenMouth(Operation):
    """Part the lips: the lower one sinks, and the inside of the mouth appears between them."""

    do: Literal["open_mouth"]
    """Which operation it is."""
    amount: Amount = 0.5
    """1 opens by half the width of the mouth."""

    REGION_FIELDS: ClassVar[tuple[str, ...]] = ()

    def apply(self, mask: Ids, context: EditContext) -> Ids:
        """Return the mask with the mouth opened (further)."""
        return _jaw(mask, context, sinks=self.amount / 2)


class CloseMouth(Operation):
    """Bring the lips together: the inside of the mouth disappears and the lower lip rises."""

    do: Literal["close_mouth"]
    """Which operation it is."""

    REGION_FIELDS: ClassVar[tuple[str, ...]] = ()

    def apply(self, mask: Ids, context: EditContext) -> Ids:
        """Return the mask with the mouth closed."""
        return _jaw(mask, context, sinks=None)


class RaiseBrows(Moving):
    """Raise the brows, or lower them."""

    do: Literal["raise_brows"]
    """Which operation it is."""
    amount: Annotated[float, Field(ge=-1, le=1)] = 0.5
    """1 raises by the distance from the eyes to the brows; negative amounts lower."""

    REGION_FIELDS: ClassVar[tuple[str, ...]] = ("over",)

    def apply(self, mask: Ids, context: EditContext) -> Ids:
        """Return the mask with the brows raised, each by itself."""
        brows = [name for name in BROWS if name in context.label_map.names]
        found = [name for name in brows if (mask == context.label_map.id_of(name)).any()]
        if not found:
            context.notes.append("the mask shows no brows to raise")
            return mask.copy()
        eyes = extent_of(pixels_of(mask, context.known(*EYES)))
        own = extent_of(pixels_of(mask, context.ids(found)))
        assert own is not None
        distance = max(eyes.centre[1] - own.centre[1], 1.0) if eyes else 0.1 * max(mask.shape)
        rise = -self.amount * distance / max(mask.shape)
        return self._moved(mask, tuple(found), context, by=(0.0, rise))


class AddGlasses(Operation):
    """Put glasses on: two lenses about the eyes, a bridge, and arms to the sides of the face."""

    do: Literal["add_glasses"]
    """Which operation it is."""
    shape: Literal["round", "rectangular"] = "round"
    """The form of the lenses."""
    size: Annotated[float, Field(ge=0.3, le=2)] = 1.0
    """1 for common lenses; 1.5 for large ones."""
    tinted: bool = False
    """Sunglasses, which hide eyes and brows."""

    REGION_FIELDS: ClassVar[tuple[str, ...]] = ()

    def apply(self, mask: Ids, context: EditContext) -> Ids:
        """Return the mask with glasses."""
        glasses, eyes = context.known(GLASSES), eyes_of(mask, context)
        if not glasses or eyes is None:
            missing = "the mask does not show two eyes" if glasses else f"{context.label_map.name} has no {GLASSES}"
            context.notes.append(f"{missing}, so glasses cannot be put on")
            return mask.copy()
        along, below = eyes.along(mask.shape)
        distance = eyes.distance
        across, down = (share * distance * self.size for share in _LENS)
        across = min(across, _WIDEST_LENS * distance)
        # Both lenses at once: how far each pixel lies from the middle of the lens on its side.
        beside = np.abs(np.abs(along) - distance / 2)
        if self.shape == "round":
            lenses = (beside / across) ** 2 + (below / down) ** 2 <= 1
        else:
            lenses = (beside <= across) & (np.abs(below) <= down)
        thin = np.abs(below + _LINE_ABOVE * distance) <= max(_LINE * distance, 0.5)
        frame = thin & (face_area(mask, context) | (np.abs(along) < distance / 2))
        pixels = lenses | frame
        if not self.tinted:
            pixels &= ~pixels_of(mask, context.known(*EYES, *BROWS))
        # Hair that falls over the face, and what lies behind it, stay in front of and behind the arms.
        pixels &= ~(frame & ~lenses & pixels_of(mask, context.known("hair", "hat", "background")))
        return np.where(pixels, np.uint8(glasses[0]), mask)


def _jaw(mask: Ids, context: EditContext, *, sinks: float | None) -> Ids:
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
