"""The operations of edit scripts. Each is checked when it is read and changes a mask, or the look, when it is applied.

Lengths are fractions of the picture's side, so that a script fits faces of any size. An operation that finds nothing to
act on (no glasses to remove) leaves the mask as it is and says so in the context's notes.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from facekit.editing.script.context import EditContext
from facekit.editing.script.masks import Ids, between, extent_of, filled, grown, pixels_of, warped
from facekit.editing.script.shapes import Shape
from facekit.interfaces import Options

Regions = str | Annotated[tuple[str, ...], Field(min_length=1)]
"""A class of the label map, or several."""

SmallLength = Annotated[float, Field(gt=0, le=0.5)]
Factor = Annotated[float, Field(ge=0.05, le=20)]
Amount = Annotated[float, Field(ge=0, le=1)]
File = Annotated[str, Field(min_length=1, max_length=4096)]


class Operation(Options):
    """One step of a script."""

    do: str
    """Which operation it is."""

    REGION_FIELDS: ClassVar[tuple[str, ...]] = ("region",)

    def region_names(self) -> tuple[str, ...]:
        """Return the classes it names."""
        found: list[str] = []
        for field in self.REGION_FIELDS:
            value = getattr(self, field, None)
            found.extend([value] if isinstance(value, str) else value or ())
        return tuple(found)

    def apply(self, mask: Ids, context: EditContext) -> Ids:
        """Return the edited mask (H, W); the given one is left as it is.

        Raises:
            FacekitError: a region the label map does not have, or a file that cannot be read.
        """
        return mask.copy()


class SetRegion(Operation, Shape):
    """Paint pixels in a class: what brush, lasso and fill do."""

    do: Literal["set"]
    """Which operation it is."""
    region: str
    """The class to paint."""
    only: Regions | None = None
    """Paint only over these classes."""

    REGION_FIELDS: ClassVar[tuple[str, ...]] = ("region", "only")

    def apply(self, mask: Ids, context: EditContext) -> Ids:
        """Return the mask with the pixels in the class."""
        pixels = self.pixels_on(mask)
        if self.only is not None:
            pixels = pixels & pixels_of(mask, context.ids(_names(self.only)))
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
        pixels = pixels_of(mask, context.ids(_names(self.region)))
        return np.where(pixels, np.uint8(context.ids([self.by])[0]), mask)


class Remove(Operation):
    """Take parts away (glasses, a hat): what lies around them flows in."""

    do: Literal["remove"]
    """Which operation it is."""
    region: Regions
    """The classes to remove."""
    fill: str | None = None
    """A class to fill the place with; by default each pixel takes the nearest class beside it."""

    REGION_FIELDS: ClassVar[tuple[str, ...]] = ("region", "fill")

    def apply(self, mask: Ids, context: EditContext) -> Ids:
        """Return the mask without the parts."""
        ids = context.ids(_names(self.region))
        hole = _part(mask, self.region, context)
        if self.fill is not None:
            return np.where(hole, np.uint8(context.ids([self.fill])[0]), mask)
        return filled(mask, hole, without=ids)


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

    REGION_FIELDS: ClassVar[tuple[str, ...]] = ("region", "over")

    def apply(self, mask: Ids, context: EditContext) -> Ids:
        """Return the mask with the parts grown."""
        allowed = None if self.over is None else pixels_of(mask, context.ids(_names(self.over)))
        result = mask.copy()
        for name in _names(self.region):
            more = grown(_part(mask, name, context), self.by * max(mask.shape))
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
        ids = context.ids(_names(self.region))
        part = _part(mask, self.region, context)
        return filled(mask, part & ~grown(part, -self.by * max(mask.shape)), without=ids)


class _Moving(Operation):
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
        ids = context.ids(_names(region))
        part = _part(mask, region, context)
        side = max(mask.shape)
        # Whole pixels, so that a part that is only shifted keeps its form.
        shift = (float(round(by[0] * side)), float(round(by[1] * side)))
        classes, place = warped(mask, part, scale=scale, degrees=degrees, shift=shift)
        emptied = filled(mask, part, without=ids)
        if self.over is not None:
            place &= pixels_of(emptied, context.ids(_names(self.over)))
        return np.where(place, classes, emptied)


class Move(_Moving):
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


class Scale(_Moving):
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


class Rotate(_Moving):
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
        ids = context.ids(_names(self.region))
        other = context.other_mask(self.mask, mask.shape)
        part = pixels_of(other, ids)
        if not part.any():
            context.notes.append(f"{self.mask} shows no {_listed(self.region)} to copy")
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


class RaiseBrows(_Moving):
    """Raise the brows, or lower them."""

    do: Literal["raise_brows"]
    """Which operation it is."""
    amount: Annotated[float, Field(ge=-1, le=1)] = 0.5
    """1 raises by the distance from the eyes to the brows; negative amounts lower."""

    REGION_FIELDS: ClassVar[tuple[str, ...]] = ("over",)

    def apply(self, mask: Ids, context: EditContext) -> Ids:
        """Return the mask with the brows raised, each by itself."""
        brows = [name for name in ("l_brow", "r_brow", "brow") if name in context.label_map.names]
        found = [name for name in brows if (mask == context.label_map.id_of(name)).any()]
        if not found:
            context.notes.append("the mask shows no brows to raise")
            return mask.copy()
        eyes = extent_of(pixels_of(mask, context.known("l_eye", "r_eye", "eye")))
        own = extent_of(pixels_of(mask, context.ids(found)))
        assert own is not None
        distance = max(eyes.centre[1] - own.centre[1], 1.0) if eyes else 0.1 * max(mask.shape)
        rise = -self.amount * distance / max(mask.shape)
        return self._moved(mask, tuple(found), context, by=(0.0, rise))


class Reference(Operation):
    """Paint in the look of another photo from here on."""

    do: Literal["reference"]
    """Which operation it is."""
    photo: File
    """The photo with the look, a file beside the script."""
    mask: File | None = None
    """Its own mask; where it is left out, a segmenter reads the photo."""

    REGION_FIELDS: ClassVar[tuple[str, ...]] = ()


class BlendReference(Operation):
    """Go part of the way from the look so far to that of another photo."""

    do: Literal["blend_reference"]
    """Which operation it is."""
    photo: File
    """The other photo, a file beside the script."""
    mask: File | None = None
    """Its own mask; where it is left out, a segmenter reads the photo."""
    amount: Amount
    """0 keeps the look, 1 is the other photo's."""

    REGION_FIELDS: ClassVar[tuple[str, ...]] = ()


OPERATIONS: dict[str, type[Operation]] = {
    "set": SetRegion,
    "replace": Replace,
    "remove": Remove,
    "grow": Grow,
    "shrink": Shrink,
    "move": Move,
    "scale": Scale,
    "rotate": Rotate,
    "copy_part": CopyPart,
    "mirror": Mirror,
    "interpolate": Interpolate,
    "open_mouth": OpenMouth,
    "close_mouth": CloseMouth,
    "raise_brows": RaiseBrows,
    "reference": Reference,
    "blend_reference": BlendReference,
}
"""Every operation by the word that `do:` names it with."""


def _names(regions: Regions) -> tuple[str, ...]:
    return (regions,) if isinstance(regions, str) else regions


def _listed(regions: Regions) -> str:
    return " or ".join(_names(regions))


def _part(mask: Ids, regions: Regions, context: EditContext) -> np.ndarray:
    part = pixels_of(mask, context.ids(_names(regions)))
    if not part.any():
        context.notes.append(f"the mask shows no {_listed(regions)}")
    return part


def _fitted(other: Ids, part: np.ndarray, mask: Ids, context: EditContext) -> tuple[Ids, np.ndarray]:
    """Return another face's part where it lies when that face's skin is laid on this one's."""
    face = context.known(
        "skin", "nose", "eye_g", "l_eye", "r_eye", "eye", "l_brow", "r_brow", "brow", "mouth", "u_lip", "l_lip"
    )
    theirs, ours = extent_of(pixels_of(other, face)), extent_of(pixels_of(mask, face))
    own = extent_of(part)
    if theirs is None or ours is None or own is None:
        return other, part
    scale = (ours.width / theirs.width, ours.height / theirs.height)
    shift = tuple(
        ours.centre[axis] + (own.centre[axis] - theirs.centre[axis]) * scale[axis] - own.centre[axis] for axis in (0, 1)
    )
    return warped(other, part, scale=scale, degrees=0.0, shift=(shift[0], shift[1]))


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
