"""The photos and masks that a script names, from a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Generic, Protocol, TypeVar

from PIL import Image

from facekit.inference.files import open_picture
from facekit_studio.editing.script.masks import Ids

Face = TypeVar("Face")
OpenedFace = TypeVar("OpenedFace", covariant=True)


class OpensFiles(Protocol[OpenedFace]):
    """What opens photos and masks: a :class:`facekit_studio.editing.photo.PhotoEditor`."""

    def open(self, photo: str | Path, mask: str | Path | None = None) -> OpenedFace:
        """Return the face of a photo."""
        ...

    def read_mask(self, picture: Image.Image) -> Ids:
        """Return a mask at the run's size."""
        ...


class FolderFiles(Generic[Face]):
    """Files beside a script; see :class:`facekit_studio.editing.photo.ScriptFiles`.

    Args:
        editor: what opens them.
        folder: where they lie.
    """

    def __init__(self, editor: OpensFiles[Face], folder: Path) -> None:
        self._editor = editor
        self._folder = folder

    def face(self, photo: str, mask: str | None) -> Face:
        """Return the face of a photo. Raises FacekitError naming the file."""
        return self._editor.open(self._folder / photo, None if mask is None else self._folder / mask)

    def mask(self, file: str) -> Ids:
        """Return a mask at the run's size. Raises FacekitError naming the file."""
        return self._editor.read_mask(open_picture(self._folder / file))
