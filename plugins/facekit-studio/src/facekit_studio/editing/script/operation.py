"""What operations are, and what they know of the face they edit.

Lengths are fractions of the picture's side, so that a script fits faces of any size. An operation that finds nothing to
act on (no glasses to remove) leaves the mask as it is and says so in the context's notes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from facekit.interfaces import FacekitError, LabelMap, Options
from facekit_studio.editing.script.masks import Ids, Pixels, pixels_of, resized

MaskReader = Callable[[str], Ids]
"""Reads the mask file that a script names; raises FacekitError naming the file."""


def _no_files(file: str) -> Ids:
    raise FacekitError("this script names a file, and there is nothing to read it with", where=file)


@dataclass
class EditContext:
    """What operations know beside the mask.

    Args:
        label_map: what the class ids mean.
        read_mask: reads the mask files that a script names.
        go_on: called between operations, and now and then by one that may take long; what it raises ends the edit.
        notes: what operations had to say, e.g. that a face has no glasses to remove; filled while they run.
    """

    label_map: LabelMap
    read_mask: MaskReader = _no_files
    go_on: Callable[[], None] = lambda: None
    notes: list[str] = field(default_factory=list)

    def ids(self, names: Sequence[str]) -> tuple[int, ...]:
        """Return the ids of class names. Raises FacekitError for a name that the label map does not have."""
        self.label_map.check_names(names)
        return self.label_map.ids_of(names)

    def known(self, *names: str) -> tuple[int, ...]:
        """Return the ids of those of the names that the label map has."""
        return tuple(self.label_map.id_of(name) for name in names if name in self.label_map.names)

    def other_mask(self, file: str, shape: tuple[int, ...]) -> Ids:
        """Return another face's mask at the size of this one.

        Raises:
            FacekitError: the file cannot be read, or holds ids outside the label map.
        """
        mask = self.read_mask(file)
        if mask.ndim != 2 or int(mask.max(initial=0)) >= len(self.label_map):
            raise FacekitError(
                f"this is no mask of {self.label_map.name}, whose ids are 0 to {len(self.label_map) - 1}", where=file
            )
        return resized(mask.astype(np.uint8), shape[0], shape[1])


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

    REGION_FIELDS: ClassVar[tuple[str, ...]] = ("region", "regions", "over", "only", "fill")
    """Fields that name classes, of those that it has."""

    def region_names(self) -> tuple[str, ...]:
        """Return the classes it names."""
        values = (getattr(self, field, None) or () for field in self.REGION_FIELDS)
        return tuple(name for value in values for name in names_of(value))

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
