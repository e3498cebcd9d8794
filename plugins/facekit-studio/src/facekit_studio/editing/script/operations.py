"""Every operation of edit scripts: painting, moving, and what knows how faces are made."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, get_args

import numpy as np
from pydantic import Field

from facekit_studio.editing.script.anatomy import (
    BROWS,
    EYES,
    GLASSES,
    HAT,
    eyes_of,
    face_area,
    with_jaw,
    without_glasses,
    without_hat,
)
from facekit_studio.editing.script.looks import BlendReference, Reference
from facekit_studio.editing.script.masks import Ids, Pixels, between, extent_of, filled, grown, pixels_of, warped
from facekit_studio.editing.script.operation import (
    Amount,
    EditContext,
    Factor,
    File,
    Operation,
    Regions,
    SmallLength,
    listed,
    names_of,
    part_of,
)
from facekit_studio.editing.script.shapes import Shape


class SetRegion(Operation, Shape):
    """Paint pixels in a class: what brush, lasso and fill do."""

    do: Literal["set"]
    """Which operation it is."""
    region: str
    """The class to paint."""
    only: Regions | None = None
    """Paint only over these classes."""

    def rows_drawn(self, height: int, width: int) -> int:
        """Return the rows that its stroke meets on a mask of this size, those of each segment counted."""
        return 0 if self.stroke is None else self.stroke.brush(height, width).rows

    def apply(self, mask: Ids, context: EditContext) -> Ids:
        """Return the mask with the pixels in the class."""
        pixels = self.pixels_on(mask, context.go_on)
        if self.only is not None:
            pixels = pixels & pixels_of(mask, context.ids(names_of(self.only)))
        return np.where(pixels, np.uint8(context.ids([self.region])[0]), mask)


class Replace(Operation):
    """Turn every pixel of some classes into another class."""

    do: Literal["replace"]
    """Which operation it is."""
    region: Regions
    """The classes to replace."""
    by: str
    """The class they become."""

    REGION_FIELDS: ClassVar[tuple[str, ...]] = ("region", "by")

    def apply(self, mask: Ids, context: EditContext) -> Ids:
        """Return the mask with the classes replaced."""
        pixels = pixels_of(mask, context.ids(names_of(self.region)))
        return np.where(pixels, np.uint8(context.ids([self.by])[0]), mask)


class Remove(Operation):
    """Take parts away: what lies around them flows in.

    Glasses give way to skin, with eyes and brows where none were seen behind them; a hat to hair.
    """

    do: Literal["remove"]
    """Which operation it is."""
    region: Regions
    """The classes to remove."""
    fill: str | None = None
    """A class to fill the place with; by default what one would see there."""

    def apply(self, mask: Ids, context: EditContext) -> Ids:
        """Return the mask without the parts."""
        ids = context.ids(names_of(self.region))
        hole = part_of(mask, self.region, context)
        if self.fill is not None:
            return np.where(hole, np.uint8(context.ids([self.fill])[0]), mask)
        result = mask
        for name, take_off in ((GLASSES, without_glasses), (HAT, without_hat)):
            if name in names_of(self.region) and (part := hole & pixels_of(mask, context.ids([name]))).any():
                result = take_off(result, context)
                hole &= ~part
        return filled(result, hole, without=ids)


class Grow(Operation):
    """Let parts grow over their neighbours."""

    do: Literal["grow"]
    """Which operation it is."""
    region: Regions
    """The classes that grow, each by itself."""
    by: SmallLength
    """How far."""
    over: Regions | None = None
    """Grow only over these classes; by default over all."""

    def apply(self, mask: Ids, context: EditContext) -> Ids:
        """Return the mask with the parts grown."""
        allowed = None if self.over is None else pixels_of(mask, context.ids(names_of(self.over)))
        result = mask.copy()
        for name in names_of(self.region):
            more = grown(part_of(mask, name, context), self.by * max(mask.shape))
            result[more if allowed is None else more & allowed] = context.ids([name])[0]
        return result


class Shrink(Operation):
    """Let parts shrink; what lies around them flows in."""

    do: Literal["shrink"]
    """Which operation it is."""
    region: Regions
    """The classes that shrink."""
    by: SmallLength
    """How far."""

    def apply(self, mask: Ids, context: EditContext) -> Ids:
        """Return the mask with the parts shrunk."""
        ids = context.ids(names_of(self.region))
        part = part_of(mask, self.region, context)
        return filled(mask, part & ~grown(part, -self.by * max(mask.shape)), without=ids)


class Moving(Operation):
    """Moves a part as one piece; what lies around it flows into the place it leaves."""

    over: Regions | None = None
    """Cover only these classes where the part comes to lie; by default all."""

    def _moved(
        self,
        mask: Ids,
        region: Regions,
        context: EditContext,
        *,
        scale: tuple[float, float] = (1.0, 1.0),
        degrees: float = 0.0,
        by: tuple[float, float] = (0.0, 0.0),
    ) -> Ids:
        ids = context.ids(names_of(region))
        part = part_of(mask, region, context)
        side = max(mask.shape)
        # Whole pixels, so that a part that is only shifted keeps its form.
        shift = (float(round(by[0] * side)), float(round(by[1] * side)))
        classes, place = warped(mask, part, scale=scale, degrees=degrees, shift=shift)
        emptied = filled(mask, part, without=ids)
        if self.over is not None:
            place &= pixels_of(emptied, context.ids(names_of(self.over)))
        return np.where(place, classes, emptied)


class Move(Moving):
    """Move parts."""

    do: Literal["move"]
    """Which operation it is."""
    region: Regions
    """The classes that move, as one piece."""
    by: tuple[Annotated[float, Field(ge=-1, le=1)], Annotated[float, Field(ge=-1, le=1)]]
    """How far right and how far down."""

    def apply(self, mask: Ids, context: EditContext) -> Ids:
        """Return the mask with the parts moved."""
        return self._moved(mask, self.region, context, by=self.by)


class Scale(Moving):
    """Make parts larger or smaller about their middle."""

    do: Literal["scale"]
    """Which operation it is."""
    region: Regions
    """The classes that change, as one piece."""
    by: Factor | tuple[Factor, Factor]
    """The factor, or one across and one down."""

    def apply(self, mask: Ids, context: EditContext) -> Ids:
        """Return the mask with the parts scaled."""
        scale = self.by if isinstance(self.by, tuple) else (self.by, self.by)
        return self._moved(mask, self.region, context, scale=scale)


class Rotate(Moving):
    """Turn parts about their middle."""

    do: Literal["rotate"]
    """Which operation it is."""
    region: Regions
    """The classes that turn, as one piece."""
    degrees: Annotated[float, Field(ge=-360, le=360)]
    """How far, clockwise as seen."""

    def apply(self, mask: Ids, context: EditContext) -> Ids:
        """Return the mask with the parts turned."""
        return self._moved(mask, self.region, context, degrees=self.degrees)


class CopyPart(Operation):
    """Take parts from another face's mask."""

    do: Literal["copy_part"]
    """Which operation it is."""
    region: Regions
    """The classes to take."""
    mask: File
    """The other face's mask, a file beside the script."""
    fit: bool = False
    """Shift and scale the part as the other face's skin must be to lie on this one's."""
    keep: bool = False
    """Keep what this face has of the classes; by default it is removed first."""

    def apply(self, mask: Ids, context: EditContext) -> Ids:
        """Return the mask with the other face's parts."""
        ids = context.ids(names_of(self.region))
        other = context.other_mask(self.mask, mask.shape)
        part = pixels_of(other, ids)
        if not part.any():
            context.notes.append(f"{self.mask} shows no {listed(self.region)} to copy")
            return mask.copy()
        if self.fit:
            other, part = _fitted(other, part, mask, context)
        result = mask if self.keep else filled(mask, pixels_of(mask, ids), without=ids)
        return np.where(part, other, result)


class Mirror(Operation):
    """Mirror the whole mask left to right; left and right parts change their classes too."""

    do: Literal["mirror"]
    """Which operation it is."""

    def apply(self, mask: Ids, context: EditContext) -> Ids:
        """Return the mirrored mask."""
        return context.label_map.mirror_table()[mask[:, ::-1]]


class Interpolate(Operation):
    """Go part of the way to another face's mask."""

    do: Literal["interpolate"]
    """Which operation it is."""
    mask: File
    """The other face's mask, a file beside the script."""
    amount: Amount
    """0 stays, 1 is the other mask."""

    def apply(self, mask: Ids, context: EditContext) -> Ids:
        """Return the mask between the two."""
        return between(mask, context.other_mask(self.mask, mask.shape), self.amount)


def _fitted(other: Ids, part: Pixels, mask: Ids, context: EditContext) -> tuple[Ids, Pixels]:
    """Return another face's part where it lies when that face's skin is laid on this one's."""
    theirs, ours = extent_of(face_area(other, context)), extent_of(face_area(mask, context))
    own = extent_of(part)
    if theirs is None or ours is None or own is None:
        return other, part
    scale = (ours.width / theirs.width, ours.height / theirs.height)
    shift = tuple(
        ours.centre[axis] + (own.centre[axis] - theirs.centre[axis]) * scale[axis] - own.centre[axis] for axis in (0, 1)
    )
    return warped(other, part, scale=scale, degrees=0.0, shift=(shift[0], shift[1]))


# Of the distance between the eyes: half a lens across and down, half the line of bridge and arms, and how far above the
# eyes it runs.
_LENS, _WIDEST_LENS, _LINE, _LINE_ABOVE = (0.4, 0.3), 0.47, 0.03, 0.06


class OpenMouth(Operation):
    """Part the lips: the lower one sinks, and the inside of the mouth appears between them."""

    do: Literal["open_mouth"]
    """Which operation it is."""
    amount: Amount = 0.5
    """1 opens by half the width of the mouth."""

    def apply(self, mask: Ids, context: EditContext) -> Ids:
        """Return the mask with the mouth opened (further)."""
        return with_jaw(mask, context, sinks=self.amount / 2)


class CloseMouth(Operation):
    """Bring the lips together: the inside of the mouth disappears and the lower lip rises."""

    do: Literal["close_mouth"]
    """Which operation it is."""

    def apply(self, mask: Ids, context: EditContext) -> Ids:
        """Return the mask with the mouth closed."""
        return with_jaw(mask, context, sinks=None)


class RaiseBrows(Moving):
    """Raise the brows, or lower them."""

    do: Literal["raise_brows"]
    """Which operation it is."""
    amount: Annotated[float, Field(ge=-1, le=1)] = 0.5
    """1 raises by the distance from the eyes to the brows; negative amounts lower."""

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


OPERATIONS: dict[str, type[Operation]] = {
    get_args(kind.model_fields["do"].annotation)[0]: kind
    for kind in (
        *(SetRegion, Replace, Remove, Grow, Shrink),
        *(Move, Scale, Rotate, CopyPart, Mirror, Interpolate),
        *(OpenMouth, CloseMouth, RaiseBrows, AddGlasses),
        *(Reference, BlendReference),
    )
}
"""Every operation by the word that `do:` names it with."""
