"""Operations that move parts of a face, or take them from another one."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from facekit_studio.editing.script.anatomy import face_area
from facekit_studio.editing.script.context import EditContext
from facekit_studio.editing.script.masks import Ids, Pixels, between, extent_of, filled, pixels_of, warped
from facekit_studio.editing.script.operation import Amount, Factor, File, Operation, Regions, listed, names_of, part_of


class Moving(Operation):
    """Moves a part as one piece; what lies around it flows into the place it leaves."""

    over: Regions | None = None
    """Cover only these classes where the part comes to lie; by default all."""

    REGION_FIELDS: ClassVar[tuple[str, ...]] = ("region", "over")

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

    REGION_FIELDS: ClassVar[tuple[str, ...]] = ()

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

    REGION_FIELDS: ClassVar[tuple[str, ...]] = ()

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
