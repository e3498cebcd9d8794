"""A face in a photo, before and after an edit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from facekit_studio.editing.alignment import Placement
from facekit_studio.editing.script.masks import Ids


@dataclass(frozen=True)
class OpenFace:
    """A face in a photo, ready to be edited.

    Args:
        photo: the whole photo (H, W, 3) uint8.
        placement: where the run's square lies in it.
        image: the square (S, S, 3) uint8.
        mask: its class ids (M, M) uint8, at the editor's :attr:`PhotoEditor.mask_side`.
        mask_source: what read the mask: a file's name, or the segmenter.
        notes: what a person should know, e.g. that there were several faces.
    """

    photo: NDArray[np.uint8]
    placement: Placement
    image: NDArray[np.uint8]
    mask: Ids
    mask_source: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class EditedFace:
    """What an edit made of a face.

    Args:
        photo: the whole photo with the edited face in it, (H, W, 3) uint8.
        touched: (H, W): the pixels the edit could change; all others are the original's, bit by bit.
        generated: what the run generated, (S, S, 3) uint8; after a local edit the square with its holes filled.
        mask: the mask after the edit, (M, M) uint8.
        notes: what the operations had to say, and what a person should know.
        local: whether the edit was filled in by a run that fills holes.
        tuned: SHA-256 over what was changed of the run to tune it to the photo; None where its own weights generated.
    """

    photo: NDArray[np.uint8]
    touched: NDArray[np.bool_]
    generated: NDArray[np.uint8]
    mask: Ids
    notes: tuple[str, ...]
    local: bool = False
    tuned: str | None = None


class ScriptFiles(Protocol):
    """Where the photos and masks come from that a script names."""

    def face(self, photo: str, mask: str | None) -> OpenFace:
        """Return the face of a photo whose look a script wants. Raises FacekitError naming the file."""
        ...

    def mask(self, file: str) -> Ids:
        """Return the mask that a script names, at the run's size. Raises FacekitError naming the file."""
        ...
