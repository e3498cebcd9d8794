"""Operations that change which class pixels have, where they are."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from facekit_studio.editing.script.anatomy import GLASSES, HAT, without_glasses, without_hat
from facekit_studio.editing.script.context import EditContext
from facekit_studio.editing.script.masks import Ids, filled, grown, pixels_of
from facekit_studio.editing.script.operation import Operation, Regions, SmallLength, names_of, part_of
from facekit_studio.editing.script.shapes import Shape


class SetRegion(Operation, Shape):
    """Paint pixels in a class: what brush, lasso and fill do."""

    do: Literal["set"]
    """Which operation it is."""
    region: str
    """The class to paint."""
    only: Regions | None = None
    """Paint only over these classes."""

    REGION_FIELDS: ClassVar[tuple[str, ...]] = ("region", "only")

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

    REGION_FIELDS: ClassVar[tuple[str, ...]] = ("region", "fill")

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

    REGION_FIELDS: ClassVar[tuple[str, ...]] = ("region", "over")

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
