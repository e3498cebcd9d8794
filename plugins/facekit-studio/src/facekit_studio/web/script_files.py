"""The files that scripts name, in the studio: faces of the session, and nothing of the disk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from facekit.interfaces import FacekitError, LabelMap, did_you_mean
from facekit.interfaces.image_files import MASK_FORMATS, rgb_pixels
from facekit_studio.editing import OpenFace, PhotoEditor
from facekit_studio.editing.script.masks import Ids
from facekit_studio.web.faces import Face
from facekit_studio.web.requests import decoded


class SessionFiles:
    """Finds the faces whose files a script names.

    A face's square and mask are known by :attr:`Face.photo_file` and :attr:`Face.mask_file`; those of an aligned
    upload by the names they were sent as, too.

    Args:
        faces: the session's faces; of two with one name the later counts.
    """

    def __init__(self, faces: Sequence[Face]) -> None:
        self._photos: dict[str, tuple[Face, bool]] = {}
        self._masks: dict[str, Face] = {}
        for face in faces:
            if face.aligned and face.photo:
                self._photos[face.name] = (face, True)
                if face.mask_name:
                    self._masks[face.mask_name] = face
        for face in faces:
            self._photos[face.photo_file] = (face, False)
            if face.mask is not None:
                self._masks[face.mask_file] = face

    def mask(self, file: str, label_map: LabelMap) -> Face:
        """Return the face whose mask a file is. Raises FacekitError where no face has it, or in another label map."""
        found = self._masks.get(file)
        if found is None:
            raise FacekitError(
                "the studio has no mask of this name", where=file[:200], remedy=self._remedy(file, self._masks)
            )
        if found.label_map != label_map:
            raise FacekitError(
                f"this mask is of {found.label_map.name}, and {label_map.name} is needed", where=file[:200]
            )
        return found

    def photo(self, photo: str, mask: str | None, label_map: LabelMap) -> tuple[Face, bool]:
        """Return the face whose photo and mask files are, and whether it is the photo as it was sent.

        Raises:
            FacekitError: no face has them, or they belong to two.
        """
        found = self._photos.get(photo)
        if found is None:
            raise FacekitError(
                "the studio has no photo of this name", where=photo[:200], remedy=self._remedy(photo, self._photos)
            )
        face = found[0]
        if mask is None or self.mask(mask, label_map) is not face:
            raise FacekitError(
                "in the studio a photo is named together with its own mask",
                where=photo[:200],
                remedy=f"write `mask: {face.mask_file}`" if face.mask is not None else "send its mask first",
            )
        return found

    def contents(self, file: str) -> bytes:
        """Return what is in a file that :meth:`photo` or :meth:`mask` has found."""
        if file in self._photos:
            face, as_sent = self._photos[file]
            return face.photo if as_sent else face.square_png
        return self._masks[file].mask_png

    @staticmethod
    def _remedy(file: str, known: Iterable[str]) -> str:
        return did_you_mean(file[:200], known) or "upload it first; files of this computer's disk are not read here"


class EditorFiles:
    """The session's files for a run: what :class:`facekit_studio.editing.photo.ScriptFiles` asks for."""

    def __init__(self, editor: PhotoEditor, files: SessionFiles) -> None:
        self._editor = editor
        self._files = files

    def face(self, photo: str, mask: str | None) -> OpenFace:
        """Return the face of a photo whose look a script wants."""
        face, as_sent = self._files.photo(photo, mask, self._editor.pipeline.label_map)
        pixels = rgb_pixels(decoded(face.photo, what="photo"), name=face.name) if as_sent else face.square
        return self._editor.open_aligned(pixels, mask_at_size(self._editor, face), mask_source=face.mask_file)

    def mask(self, file: str) -> Ids:
        """Return a mask at the run's size."""
        return mask_at_size(self._editor, self._files.mask(file, self._editor.pipeline.label_map))


def mask_at_size(editor: PhotoEditor, face: Face) -> Ids:
    """Return a face's mask at a run's size, as the run reads its file."""
    return editor.read_mask(decoded(face.mask_png, what="mask", kinds=MASK_FORMATS))
