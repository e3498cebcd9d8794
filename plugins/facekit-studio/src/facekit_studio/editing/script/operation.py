"""What operations are: checked when they are read, applied to a mask, or to the look.

Lengths are fractions of the picture's side, so that a script fits faces of any size. An operation that finds nothing to
act on (no glasses to remove) leaves the mask as it is and says so in the context's notes.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from facekit.interfaces import Options
from facekit_studio.editing.script.context import EditContext
from facekit_studio.editing.script.masks import Ids, Pixels, pixels_of

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

    def rows_drawn(self, height: int, width: int) -> int:
        """Return how many rows of single lines it draws on a mask of this size; 0 where it draws none."""
        return 0

    def apply(self, mask: Ids, context: EditContext) -> Ids:
        """Return the edited mask (H, W); the given one is left as it is.

        Raises:
            FacekitError: a region the label map does not have, or a file that cannot be read.
        """
        return mask.copy()


def names_of(regions: Regions) -> tuple[str, ...]:
    """Return the names of classes."""
    return (regions,) if isinstance(regions, str) else regions


def listed(regions: Regions) -> str:
    """Return the names of classes as a sentence names them."""
    return " or ".join(names_of(regions))


def part_of(mask: Ids, regions: Regions, context: EditContext) -> Pixels:
    """Return the pixels of classes; where there are none, a note says so."""
    part = pixels_of(mask, context.ids(names_of(regions)))
    if not part.any():
        context.notes.append(f"the mask shows no {listed(regions)}")
    return part
