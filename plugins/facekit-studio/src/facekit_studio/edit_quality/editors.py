"""What makes edited photos: a run, a baseline that pastes from real photos, and one that leaves them as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from facekit.interfaces import FacekitError, LabelMap
from facekit_studio.edit_quality.faces import Face
from facekit_studio.edit_quality.kinds import NamedEdit, pixels_of_classes
from facekit_studio.edit_quality.measures import window_around
from facekit_studio.editing.alignment import Placement
from facekit_studio.editing.compositing import paste_back
from facekit_studio.editing.photo import PhotoEditor
from facekit_studio.editing.script import EditScript
from facekit_studio.editing.script.masks import Extent, Ids, Pixels, extent_of, grown

PASTE_NEAREST = "paste_nearest"
"""The name of the baseline that pastes."""

UNEDITED = "unedited"
"""The name of the photos as they were: what each number is before anything is edited."""

MARGIN = 0.02
"""How far a pasted part reaches beyond what the mask changes, in sides of the photo."""

_COMPARED = 64
"""Places a side at which masks are compared."""

_NOWHERE = 255
"""In place of a class, beyond the edge of a photo."""


@dataclass(frozen=True, eq=False)
class Edited:
    """An edited photo.

    Args:
        image: (S, S, 3) uint8.
        touched: (S, S): the pixels that the edit could change.
        local: whether a run that fills holes made it.
    """

    image: NDArray[np.uint8]
    touched: Pixels
    local: bool = False


class Editor(Protocol):
    """Makes edited photos."""

    def __call__(self, face: Face, wanted: Ids) -> Edited:
        """Return a photo edited so that it shows a mask (S, S)."""
        ...


class RunEditor:
    """Edits photos with a run, by the script.

    Args:
        editor: the run, or two of them.
        script: what to do; the run applies it to the mask at the size that it edits masks at.
        again: classes that are generated anew where they were.
    """

    def __init__(self, editor: PhotoEditor, script: EditScript, again: Sequence[str] = ()) -> None:
        self._editor = editor
        self._script = script
        self._again = tuple(again)

    def __call__(self, face: Face, wanted: Ids) -> Edited:
        """Return the photo that the run makes."""
        mask = self._editor.read_mask(Image.fromarray(face.mask))
        opened = self._editor.open_aligned(face.image, mask, mask_source="the data")
        again = pixels_of_classes(mask, self._again, self._editor.pipeline.label_map)
        edited = self._editor.edit(opened, self._script, again=again)
        return Edited(edited.photo, edited.touched, edited.local)


def leave_unedited(face: Face, wanted: Ids) -> Edited:
    """Return the photo as it was."""
    return Edited(face.image, np.zeros(wanted.shape, dtype=bool))


class PasteNearest:
    """Pastes what an edit should show from the real photo whose mask around it is nearest.

    The two photos are aligned by the boxes of what is shown. Nearest is the smallest share of places of the window
    around it in which the masks disagree; of several, the first. The colours are matched at the edge of what is pasted
    as those of a run's results are.

    Raises:
        FacekitError: there are no donors.
    """

    def __init__(self, edit: NamedEdit, donors: Sequence[Face], label_map: LabelMap) -> None:
        boxes = [extent_of(edit.shown(face.mask, label_map)) for face in donors]
        self._donors = [(face, box) for face, box in zip(donors, boxes, strict=True) if box is not None]
        if not self._donors:
            raise FacekitError(f"no real photo shows what {edit.name} should show, so there is none to paste from")
        self._edit = edit
        self._label_map = label_map

    def __call__(self, face: Face, wanted: Ids) -> Edited:
        """Return the photo with the nearest donor's pixels where the mask changes."""
        side = wanted.shape[0]
        shown = self._edit.shown(wanted, self._label_map)
        box = extent_of(shown)
        hole = grown(self._edit.changed(face.mask, wanted, self._label_map), MARGIN * side)
        if box is None or not hole.any():
            return Edited(face.image.copy(), np.zeros_like(hole))
        donor, own = self._nearest(wanted, shown, box)
        places = _mapped(np.indices((side, side), dtype=np.float64), box, own)
        pasted = np.stack(
            [
                ndimage.map_coordinates(donor.image[..., c].astype(np.float64), places, order=1, mode="nearest")
                for c in range(3)
            ],
            axis=-1,
        )
        composite = paste_back(
            face.image, np.rint(pasted).astype(np.uint8), Placement.whole(side, side), changed=hole, feather=2 / side
        )
        return Edited(composite.photo, composite.touched)

    def _nearest(self, wanted: Ids, shown: Pixels, box: Extent) -> tuple[Face, Extent]:
        window = window_around(shown)
        step = window.side / _COMPARED
        offsets = (np.arange(_COMPARED) + 0.5) * step - 0.5
        grid = np.stack(np.meshgrid(window.top + offsets, window.left + offsets, indexing="ij"))
        here = _classes_at(wanted, grid)
        shares = [float((_classes_at(face.mask, _mapped(grid, box, own)) != here).mean()) for face, own in self._donors]
        return self._donors[int(np.argmin(shares))]


def _mapped(places: NDArray[np.float64], box: Extent, other: Extent) -> NDArray[np.float64]:
    """Return places (2, ...) (rows, columns) of one photo in another, so that one box lies on the other."""
    x, y = box.centre
    other_x, other_y = other.centre
    rows = (places[0] - y) * (other.height / box.height) + other_y
    columns = (places[1] - x) * (other.width / box.width) + other_x
    return np.stack((rows, columns))


def _classes_at(mask: Ids, places: NDArray[np.float64]) -> Ids:
    """Return the classes at places (2, ...) of a mask; beyond its edge none that there is."""
    rows, columns = np.rint(places).astype(np.intp)
    inside = (rows >= 0) & (rows < mask.shape[0]) & (columns >= 0) & (columns < mask.shape[1])
    return np.where(inside, mask[np.where(inside, rows, 0), np.where(inside, columns, 0)], np.uint8(_NOWHERE))
