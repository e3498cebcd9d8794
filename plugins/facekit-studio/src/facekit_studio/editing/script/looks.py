"""Operations on the style: whose hair, skin and light the image takes."""

from __future__ import annotations

from typing import Literal

from facekit_studio.editing.script.operation import Amount, File, Operation, Regions


class Reference(Operation):
    """Generate in the style of another photo from here on."""

    do: Literal["reference"]
    """Which operation it is."""
    photo: File
    """The photo with the look, a file beside the script."""
    mask: File | None = None
    """Its own mask; where it is left out, a segmenter reads the photo."""
    regions: Regions | None = None
    """Only these classes have the look of that photo, all others the look so far; by default all have it."""


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
    regions: Regions | None = None
    """Only these classes go there; by default all do."""
