"""The photos and masks that a script names, from a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from facekit.editing.files import open_picture
from facekit.editing.script.masks import Ids

if TYPE_CHECKING:
    from facekit.editing.photo import OpenFace, PhotoEditor


class FolderFiles:
    """Files beside a script; see :class:`facekit.editing.photo.ScriptFiles`.

    Args:
        editor: what opens them.
        folder: where they lie.
    """

    def __init__(self, editor: PhotoEditor, folder: Path) -> None:
        self._editor = editor
        self._folder = folder

    def face(self, photo: str, mask: str | None) -> OpenFace:
        """Return the face of a photo. Raises FacekitError naming the file."""
        return self._editor.open(self._folder / photo, None if mask is None else self._folder / mask)

    def mask(self, file: str) -> Ids:
        """Return a mask at the run's size. Raises FacekitError naming the file."""
        return self._editor.read_mask(open_picture(self._folder / file))
