"""Turning photos that somebody sent into faces: found, cut out, and read, as far as what is installed can."""

from __future__ import annotations

from pathlib import PurePath

import numpy as np

from facekit.data.geometry import same_aspect
from facekit.inference import FacePipeline
from facekit.inference.pictures import read_masks
from facekit.interfaces import FaceDetector, LabelMap, Segmenter
from facekit.interfaces.image_files import MASK_FORMATS, rgb_pixels, upright
from facekit_studio.editing import PhotoEditor
from facekit_studio.editing.alignment import Placement
from facekit_studio.editing.script.masks import Ids
from facekit_studio.web.faces import Face
from facekit_studio.web.requests import decoded
from facekit_studio.web.responses import RequestError

_NO_MASK = "nothing here can read a mask from a photo, so it is taken as a square around a face; send its mask"


class Reader:
    """Opens uploads for a studio. :meth:`face` is for one thread at a time.

    Args:
        pipeline: the run whose masks are edited at the studio's side.
        local: a run for local edits beside it.
        segmenter: reads masks; None where there is none.
        detector: finds faces; None where there is none.

    Raises:
        FacekitError: the segmenter knows other classes than the run.
    """

    def __init__(
        self,
        pipeline: FacePipeline,
        *,
        local: FacePipeline | None = None,
        segmenter: Segmenter | None,
        detector: FaceDetector | None,
    ) -> None:
        self._editor = PhotoEditor(pipeline, local=local, segmenter=segmenter, detector=detector)
        self._label_map = pipeline.label_map
        self._side = self._editor.mask_side
        self.can_parse = segmenter is not None
        self.can_align = segmenter is not None and detector is not None

    def face(self, content: bytes, *, name: str, identity: str, aligned: bool) -> Face:
        """Return the face of a picture file.

        Args:
            content: the file.
            name: its name.
            identity: the id the face is to have.
            aligned: it is a square around a face; else one is looked for, where something can.

        Raises:
            FacekitError: it is no picture, too large or damaged, or shows no face.
        """
        pixels = rgb_pixels(decoded(content, what="photo"), name=name)
        whole = Placement.whole(pixels.shape[1], pixels.shape[0])
        mask: Ids | None = None
        placement, source = whole, ""
        notes: tuple[str, ...] = ()
        if self.can_parse:
            find = self.can_align and not aligned
            opened = self._editor.open_pixels(pixels, name=name, aligned=not find)
            placement, mask, source, notes = opened.placement, opened.mask, opened.mask_source, opened.notes
            if not find and not aligned:
                notes = ("no face detector is installed, so the photo is taken as a square around a face",)
        else:
            notes = (_NO_MASK,)
            find = False
        return Face(
            identity=identity,
            name=name,
            source="upload",
            label_map=self._label_map,
            photo=content,
            photo_size=(pixels.shape[0], pixels.shape[1]),
            placement=placement,
            aligned=not find,
            square=np.ascontiguousarray(placement.cut(pixels, self._side)),
            mask=mask,
            mask_source=source,
            notes=notes,
        )

    def mask(self, content: bytes, face: Face, label_map: LabelMap) -> Ids:
        """Return the mask (S, S) of a face from a PNG file of class ids.

        Raises:
            FacekitError: it is no mask, has another aspect than the photo, or ids outside the label map.
        """
        return self._read(content, face.photo_size if face.aligned else (self._side, self._side), label_map)

    def square_mask(self, content: bytes, label_map: LabelMap) -> Ids:
        """Return the mask (S, S) of a square around a face from a PNG file of class ids.

        Raises:
            FacekitError: it is no mask, not a square, or has ids outside the label map.
        """
        return self._read(content, (self._side, self._side), label_map)

    def _read(self, content: bytes, belongs_to: tuple[int, int], label_map: LabelMap) -> Ids:
        picture = upright(decoded(content, what="mask", kinds=MASK_FORMATS))
        shape = (picture.height, picture.width)
        if not same_aspect(shape, belongs_to):
            raise RequestError(
                f"the mask is {shape[1]}x{shape[0]} and its photo {belongs_to[1]}x{belongs_to[0]}: "
                "one is not the mask of the other",
                where="mask",
                remedy="a mask may differ from its photo in size, not in aspect",
            )
        read = read_masks(picture, size=self._side, label_map=label_map, role="mask")
        return read.tensor[0].numpy().astype(np.uint8)


def plain_name(name: str) -> str:
    """Return the name of a file that somebody sent, without folders and control characters; ``photo`` for none."""
    last = PurePath(name.replace("\\", "/")).name
    return "".join(letter for letter in last if letter.isprintable())[:100] or "photo"
