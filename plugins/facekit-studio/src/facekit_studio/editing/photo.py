"""Editing photos: find the face, read it, edit its mask, generate, and put it back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from facekit.inference import provenance
from facekit.inference.pictures import Batch, read_masks, read_photos, to_pictures
from facekit.inference.pipeline import FacePipeline
from facekit.interfaces import FaceDetector, FacekitError, Segmenter, Style
from facekit.interfaces import Reference as PhotoReference
from facekit.interfaces.image_files import read_image, rgb_pixels
from facekit.sampling.inputs import REFERENCE
from facekit_studio.editing.alignment import Placement
from facekit_studio.editing.compositing import FEATHER, paste_back
from facekit_studio.editing.local import LARGEST_SQUARE, MASK_SIDE, LocalEditor, fills_holes, without_frame
from facekit_studio.editing.open_face import EditedFace, OpenFace, ScriptFiles
from facekit_studio.editing.region_looks import mixed, repainted
from facekit_studio.editing.script import BlendReference, EditContext, EditScript, Reference, apply_script
from facekit_studio.editing.script.masks import Ids, Pixels
from facekit_studio.editing.suitable import check_beside, check_edits_masks, table_of
from facekit_studio.editing.tuning import TunedFace, TunesFaces

READ_SIDE = 256
"""Pixels of the face's side that a segmenter is shown, where the run's own side is smaller."""

_NOT_TUNED = "filled in by the run for edits of a part, so that nothing is tuned to the photo"


class PhotoEditor:
    """Edits faces in photos with a trained run.

    Args:
        pipeline: the run: one that generates whole faces, or one that fills holes.
        local: a run that fills holes, for the edits that change a part of a face; the others are done by ``pipeline``.
        segmenter: reads masks of photos that come without one; None where every photo has a mask.
        detector: finds the face in photos that are not aligned; None where all are.
        feather: how far an edit blends into the photo, in sides of the face's square.
        seed: of the noise, for runs that start from noise, and of the tuning.
        tuner: tunes ``pipeline`` to each photo before it paints, from the same seed; None paints with its own weights.

    Attributes:
        pipeline: the run.
        local: what fills in edits of a part; None where there is no run that fills holes.
        beside: the run for edits of a part beside ``pipeline``; None where there is none, or ``pipeline`` fills holes.
        mask_side: pixels of the side of masks as they are edited.
        seed: of the noise.

    Raises:
        FacekitError: the segmenter knows other classes than the run, the run does not generate from masks, ``local``
            does not fill holes or knows other classes, both runs fill holes, or a seed is given and nothing starts from
            noise.
    """

    def __init__(
        self,
        pipeline: FacePipeline,
        *,
        local: FacePipeline | None = None,
        segmenter: Segmenter | None = None,
        detector: FaceDetector | None = None,
        feather: float = FEATHER,
        seed: int = 0,
        tuner: TunesFaces | None = None,
    ) -> None:
        check_edits_masks(pipeline)
        if local is not None:
            check_beside(local, pipeline)
        elif fills_holes(pipeline.inputs):
            local = pipeline
        self.pipeline = pipeline
        self.local = None if local is None else LocalEditor(local)
        self.beside = None if local is pipeline else local
        self.mask_side = pipeline.size if local is None else max(pipeline.size, MASK_SIDE)
        self._noisy = bool(pipeline.inputs.noise) or (local is not None and bool(local.inputs.noise))
        if tuner is not None and tuner.seed != seed:
            raise ValueError(f"the tuner has the seed {tuner.seed}, and the editor {seed}")
        self._seeded = self._noisy or tuner is not None
        if seed and not self._seeded:
            raise FacekitError(
                "nothing here starts from noise, so that every seed gives the same",
                where=str(pipeline.run),
                remedy="leave out the seed (--seed)",
            )
        self.seed = seed
        self._tuner = tuner
        self._segmenter = segmenter
        self._detector = detector
        self._feather = feather
        self._table = None if segmenter is None else table_of(segmenter.label_map, pipeline.label_map)

    def open(self, photo: str | Path, mask: str | Path | None = None, *, aligned: bool | None = None) -> OpenFace:
        """Open a photo: find its face, cut out the square, and read its mask.

        Args:
            photo: the photo.
            mask: its class ids, for a photo that is aligned; read by the segmenter where it is left out.
            aligned: whether the photo already is the square around a face. By default it is when it has a mask.

        Raises:
            FacekitError: naming the photo: it cannot be read, shows no face, or nothing can read its mask.
        """
        path = Path(photo)
        pixels = rgb_pixels(read_image(path), name=str(path))
        if mask is not None and aligned is False:
            raise FacekitError(
                "a mask belongs to an aligned photo", where=str(mask), remedy="leave out the mask, or say it is aligned"
            )
        if mask is None:
            return self.open_pixels(pixels, name=str(path), aligned=bool(aligned))
        return self.open_aligned(pixels, self.read_mask(read_image(Path(mask))), mask_source=Path(mask).name)

    def open_pixels(self, pixels: NDArray[np.uint8], *, name: str, aligned: bool = False) -> OpenFace:
        """Open a photo (H, W, 3) uint8 that comes without a mask; see :meth:`open`.

        Args:
            pixels: the photo.
            name: what to call it in messages.
            aligned: whether it already is the square around a face.

        Raises:
            FacekitError: it shows no face, or nothing can read its mask.
        """
        notes: tuple[str, ...] = ()
        if aligned:
            placement = Placement.whole(pixels.shape[1], pixels.shape[0])
        else:
            placement, notes = self._find(pixels, name)
        image = placement.cut(pixels, self.pipeline.size)
        return OpenFace(pixels, placement, image, self._read(pixels, placement, name), self._source(), notes)

    def open_aligned(self, pixels: NDArray[np.uint8], mask: Ids, *, mask_source: str) -> OpenFace:
        """Open a photo (H, W, 3) uint8 that is the square around a face, with its mask (M, M)."""
        placement = Placement.whole(pixels.shape[1], pixels.shape[0])
        return OpenFace(pixels, placement, placement.cut(pixels, self.pipeline.size), mask, mask_source)

    def read_mask(self, picture: Image.Image) -> Ids:
        """Return the class ids (M, M) uint8 of a mask picture. Raises FacekitError naming it."""
        read = read_masks(picture, size=self.mask_side, label_map=self.pipeline.label_map, role="mask")
        return read.tensor[0].numpy().astype(np.uint8)

    def edit(
        self,
        face: OpenFace,
        script: EditScript,
        *,
        folder: Path = Path(),
        files: ScriptFiles | None = None,
        again: Pixels | None = None,
    ) -> EditedFace:
        """Apply a script to an open face and paint the result.

        Args:
            face: the face.
            script: what to do.
            folder: where files that the script names are looked for.
            files: where they come from instead, for scripts that must not read the disk.
            again: pixels of the mask (M, M) that are generated anew even where the script leaves their class.

        Raises:
            FacekitError: an operation or a file is wrong, or the run does not read a reference that the script gives.
        """
        self.check_looks(script)
        files = _FolderFiles(self, folder) if files is None else files
        context = EditContext(self.pipeline.label_map, read_mask=files.mask)
        mask = apply_script(script, face.mask, context)
        notes = tuple(context.notes)
        if not script.looks:
            shown = notes if self._tuner is None else (*notes, _NOT_TUNED)
            filled = self.fill(face, mask, shown, again=again)
            if filled is not None:
                return filled
        if self.beside is not None:
            why = "the script gives another look" if script.looks else "it changes too much of the face for the other"
            notes = (*notes, f"generated by the run of whole faces: {why}")
        tuned = None if self._tuner is None else self._tuner.tune(face.image, face.mask)
        notes = notes if tuned is None else (*notes, tuned.note)
        reads = self.pipeline.inputs.reads(REFERENCE)
        style = self.style_of(face, script.looks, files, tuned=tuned) if reads else None
        generated = self.paint(mask, style, tuned=tuned)
        changed = _changed(face, mask, again)
        changed |= repainted(self.pipeline, face.mask, mask, [look.region_names() for look in script.looks])
        composite = paste_back(face.photo, generated, face.placement, changed=changed, feather=self._feather)
        return EditedFace(
            composite.photo, composite.touched, generated, mask, notes, tuned=None if tuned is None else tuned.sha256
        )

    def check_looks(self, script: EditScript) -> None:
        """Raise FacekitError where a script gives a look, and the run that generates reads no reference."""
        if not script.looks or self.pipeline.inputs.reads(REFERENCE):
            return
        fills = self.local is not None and self.beside is None
        raise FacekitError(
            "the script gives another look, and this run reads no reference",
            where=str(self.pipeline.run),
            remedy="give a run that reads one as RUN, and this one as --local, for the edits of a part"
            if fills
            else "take a run that reads one, or leave the look out of the script",
        )

    def fill(
        self, face: OpenFace, mask: Ids, notes: tuple[str, ...] = (), *, again: Pixels | None = None
    ) -> EditedFace | None:
        """Fill in what an edit without looks changes, at the photo's resolution.

        Args:
            face: the face.
            mask: its mask after the edit, (M, M).
            notes: what the operations had to say.
            again: pixels (M, M) that are filled in even where their class stays.

        Returns:
            the edited face; None where this is for the run of whole faces.
        """
        if self.local is None:
            return None
        changed = _changed(face, mask, again)
        if not self.local.is_local(changed):
            if self.beside is not None:
                return None
            notes = (*notes, "more of the face changes than a run that fills holes is made for")
        side = min(max(round(face.placement.side), self.local.pipeline.size), LARGEST_SQUARE)
        square = face.placement.cut(face.photo, side)
        clear = without_frame(square, face.mask, mask, changed, self.local.pipeline.label_map)
        if clear is None:
            filled = self.local.fill(square, mask, changed, seed=self.seed)
        else:
            filled = self.local.fill(square, clear.wanted, clear.changed, stays=clear.stays, seed=self.seed)
            notes = (*notes, "the glasses are clear: their frame goes, and the face behind the lenses stays")
        # The square is the photo's outside the holes, so that there is nothing to match, and a pixel to blend.
        composite = paste_back(face.photo, filled.image, face.placement, changed=filled.hole, feather=1 / side)
        return EditedFace(composite.photo, composite.touched, filled.image, mask, notes, local=True)

    @property
    def made_of(self) -> dict[str, Any]:
        """What results depend on beside photo, mask and script: the weights of both runs, the seed, and the tuning.

        None stands for what there is none of, so that a result that had it is not taken for one that had not.
        """
        beside = {} if self.beside is None else self.beside.made_of
        return {
            **self.pipeline.made_of,
            provenance.LOCAL + provenance.WEIGHTS_SHA256: None,
            **{provenance.LOCAL + key: value for key, value in beside.items()},
            provenance.SEED: self.seed if self._seeded else None,
            provenance.TUNING: None if self._tuner is None else self._tuner.made_of,
        }

    def record(self, **inputs: Any) -> dict[str, Any]:
        """Return what is written into a result: that it is synthetic, and what made it.

        A run for local edits is named whether it did the edit or could have done it.

        Args:
            **inputs: further entries, such as the names of the files.
        """
        beside = {} if self.beside is None else self.beside.record()
        beside.pop(provenance.SYNTHETIC, None)
        return {
            **self.pipeline.record(),
            **{provenance.LOCAL + key: value for key, value in beside.items()},
            **({provenance.SEED: self.seed} if self._seeded else {}),
            **({} if self._tuner is None else {provenance.TUNING: self._tuner.made_of}),
            **inputs,
        }

    def style_of(
        self,
        face: OpenFace,
        looks: Sequence[Reference | BlendReference],
        files: ScriptFiles | Path = Path(),
        *,
        tuned: TunedFace | None = None,
    ) -> Style | PhotoReference:
        """Return the style to generate in: the face's own, changed by the script's references in their order.

        Args:
            face: the face.
            looks: the references.
            files: where their photos come from: a folder, or something that has them.
            tuned: the run as it was tuned to the face; its style is the face's own.

        Raises:
            FacekitError: a reference is blended or of some regions, and the run has no such styles; or it does not show
                a region.
        """
        files = _FolderFiles(self, files) if isinstance(files, Path) else files
        style = self.encode(face.image, face.mask) if tuned is None else tuned.style
        for look in looks:
            other = files.face(look.photo, look.mask)
            theirs = self.encode(other.image, other.mask)
            towards = self.blend(style, theirs, look.amount) if isinstance(look, BlendReference) else theirs
            regions = look.region_names()
            if regions:
                towards = mixed(self.pipeline, style, towards, regions, shown=other.mask, where=look.photo)
            style = towards
        return style

    def blend(self, style: Style | PhotoReference, other: Style | PhotoReference, share: float) -> Style:
        """Return the style a share of the way to another one.

        Raises:
            FacekitError: the run generates from references themselves, so that there are no styles to blend.
        """
        if not isinstance(style, Style) or not isinstance(other, Style):
            raise FacekitError(
                "this run reads references without a style encoder of its own, so styles cannot be blended",
                where=str(self.pipeline.run),
                remedy="give one reference, and no blend",
            )
        return style.towards(other, share)

    def paint(
        self, mask: Ids, style: Style | PhotoReference | None, *, tuned: TunedFace | None = None
    ) -> NDArray[np.uint8]:
        """Return the picture (S, S, 3) uint8 of a mask (S, S) in a style, by the run or as it was tuned."""
        pipeline = self.pipeline if tuned is None else tuned.pipeline
        ids = torch.from_numpy(mask.astype(np.int64))
        masks = read_masks(ids, size=self.pipeline.size, label_map=self.pipeline.label_map, role="mask")
        return np.asarray(to_pictures(pipeline.generate_in_style(masks, style, seed=self.seed))[0])

    def encode(self, image: NDArray[np.uint8], mask: Ids | None) -> Style | PhotoReference:
        """Return the style of a square photo (S, S, 3) uint8 with its own mask (S, S), None where it has none."""
        size, label_map = self.pipeline.size, self.pipeline.label_map
        photos: Batch = read_photos(Image.fromarray(image), size=size, role="reference")
        if mask is None:
            return self.pipeline.style_of(photos, None)
        masks = read_masks(
            torch.from_numpy(mask.astype(np.int64)), size=size, label_map=label_map, role="reference_mask"
        )
        return self.pipeline.style_of(photos, masks)

    def _find(self, pixels: NDArray[np.uint8], name: str) -> tuple[Placement, tuple[str, ...]]:
        if self._detector is None:
            raise FacekitError(
                "nothing can find the face in this photo",
                where=name,
                remedy="pip install facekit-mtcnn; or say that the photo is aligned (--aligned), or give its mask",
            )
        faces = self._detector(pixels)
        if not faces:
            raise FacekitError(
                "no face is found in this photo",
                where=name,
                remedy="cut the photo around the face and say that it is aligned (--aligned)",
            )
        largest = max(faces, key=lambda face: (face.box[2] - face.box[0]) * (face.box[3] - face.box[1]))
        notes = (f"{Path(name).name} shows {len(faces)} faces; the largest is edited",) if len(faces) > 1 else ()
        return Placement.of_face(largest), notes

    def _read(self, pixels: NDArray[np.uint8], placement: Placement, name: str) -> Ids:
        if self._segmenter is None or self._table is None:
            raise FacekitError(
                "this photo comes without a mask, and nothing can read it",
                where=name,
                remedy="give its mask, or train a segmenter: `facekit run evaluators/segmenter`, then "
                "`facekit evaluator add RUN`",
            )
        size = self.mask_side
        square = placement.cut(pixels, max(self.pipeline.size, READ_SIDE))
        photos = torch.from_numpy(square.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
        answer = torch.nn.functional.interpolate(
            self._segmenter(photos), size=(size, size), mode="bilinear", antialias=True, align_corners=False
        )
        return self._table[answer.argmax(1)[0].numpy()]

    def _source(self) -> str:
        return "" if self._segmenter is None else self._segmenter.provenance


@dataclass(frozen=True)
class _FolderFiles:
    """The files of a folder: what :class:`ScriptFiles` asks for."""

    editor: PhotoEditor
    folder: Path

    def face(self, photo: str, mask: str | None) -> OpenFace:
        return self.editor.open(self.folder / photo, None if mask is None else self.folder / mask)

    def mask(self, file: str) -> Ids:
        return self.editor.read_mask(read_image(self.folder / file))


def _changed(face: OpenFace, mask: Ids, again: Pixels | None) -> Pixels:
    """Return the pixels of a face's mask that an edit is about."""
    changed = mask != face.mask
    return changed if again is None else changed | again
