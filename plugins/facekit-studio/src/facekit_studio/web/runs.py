"""A run that the studio paints with: previews and exports. Everything here happens in the run's own thread."""

from __future__ import annotations

import io
import shlex
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from facekit.data.store import DamagedCache
from facekit.inference import FacePipeline, provenance
from facekit.inference.files import digest_of
from facekit.inference.pictures import read_masks
from facekit.interfaces import FacekitError, LabelMap, Reference, Style
from facekit.interfaces.image_files import rgb_pixels
from facekit.registry import Registry
from facekit.sampling.inputs import REFERENCE, REFERENCE_MASK
from facekit.training.open_data import find_data
from facekit.training.run.commands import plugin_file_arguments
from facekit.training.run.folder import RunFolder
from facekit_studio.editing import OpenFace, PhotoEditor
from facekit_studio.editing.alignment import Placement
from facekit_studio.editing.compositing import paste_back
from facekit_studio.editing.edit_folder import edit_record, script_record
from facekit_studio.editing.lint import MaskFinding, lint_mask
from facekit_studio.editing.local import fills_holes
from facekit_studio.editing.region_looks import mixed, mixes_regions, repainted
from facekit_studio.editing.script import EditScript, write_script
from facekit_studio.editing.script.masks import Ids
from facekit_studio.editing.tuning import TunedFace, check_can_be_tuned
from facekit_studio.web.faces import Face
from facekit_studio.web.looks import WantedLook
from facekit_studio.web.requests import decoded
from facekit_studio.web.responses import RequestError
from facekit_studio.web.script_files import EditorFiles, SessionFiles, mask_at_size
from facekit_studio.web.tunings import AlreadyTuned, Square, Tunings
from facekit_studio.web.workers import Worker

MOST_STYLES = 64
"""Styles of faces that are remembered."""

_READ_ME = """\
The picture is the file that this command makes again, pixel by pixel:

  {command}

"""

_PLACE = "{word} is the folder of the run {run}, whose weights have the SHA-256 {weights}.\n"


@dataclass(frozen=True)
class Preview:
    """A generated picture."""

    png: bytes
    milliseconds: float
    local: bool


class StudioRun:
    """A run, with the one thread that may use it.

    Args:
        identity: what requests call it.
        pipeline: the run.
        local: a run of its own that fills holes, for the edits of a part.

    Raises:
        FacekitError: the two do not go together.
    """

    def __init__(self, identity: str, pipeline: FacePipeline, *, local: FacePipeline | None = None) -> None:
        self.identity = identity
        self.pipeline = pipeline
        self.local = local
        self.worker = Worker(f"studio-{identity}")
        self.seen: tuple[str, ...] | None = None
        """The classes that its training masks show; None until :meth:`look_at_training_masks` found out."""
        self._editor = PhotoEditor(pipeline, local=local)
        self.mask_side = self._editor.mask_side
        self._styles: OrderedDict[tuple[str, int], Style | Reference] = OrderedDict()
        self._reads_reference = pipeline.inputs.reads(REFERENCE)
        self.tunings = Tunings(identity, pipeline, self._tuned_square) if _can_be_tuned(pipeline) else None

    def described(self) -> dict[str, Any]:
        """Return what the page is told of it."""
        pipeline = self.pipeline
        return {
            "id": self.identity,
            "name": pipeline.recipe.name,
            "folder": str(pipeline.run),
            "size": pipeline.size,
            "label_map": pipeline.label_map.name,
            "weights": pipeline.weights,
            "step": pipeline.step,
            "inputs": sorted(pipeline.inputs.needed),
            "local": None if self.local is None else {"folder": str(self.local.run), "step": self.local.step},
            "tunable": self.tunings is not None,
            "mixes_regions": mixes_regions(pipeline),
        }

    def require_tunings(self) -> Tunings:
        """Return the tunings of the run. Raises RequestError where it cannot be tuned."""
        if self.tunings is None:
            raise RequestError(f"the run {self.identity} cannot be tuned to a photo", where="run")
        return self.tunings

    @property
    def workers(self) -> list[Worker]:
        """The threads that work for it."""
        return [self.worker] if self.tunings is None else [self.worker, self.tunings.worker]

    def stop(self) -> None:
        """Ask what is being done for it to end soon. Called from the event loop."""
        if self.tunings is not None:
            self.tunings.cancel()
        for worker in self.workers:
            worker.stop()

    def takes(self, label_map: LabelMap) -> bool:
        """Whether images can be generated from masks of a label map: its own, or the finer one that it merges."""
        own = self.pipeline.label_map
        return label_map == own or (bool(own.of) and label_map.name == own.of)

    def check_takes(self, label_map: LabelMap) -> None:
        """Raise RequestError where no image can be generated from masks of a label map."""
        if not self.takes(label_map):
            own = self.pipeline.label_map
            raise RequestError(
                f"the run {self.identity} paints masks of {own.name}, and this one is of {label_map.name}",
                where="label_map",
            )

    def look_at_training_masks(self, registry: Registry) -> None:
        """Find out which classes the run has seen, where its packed training data is still there."""
        recipe = self.pipeline.recipe
        try:
            packed = find_data(recipe, registry)
        except (FacekitError, OSError):  # the data is not here; then nothing is known
            return
        if packed is None or packed.label_map != self.pipeline.label_map or "train" not in packed.splits:
            return
        masks = packed.require_masks()  # a run with a studio has generated masks of this label map
        counts = np.zeros(256, np.int64)
        try:
            for rows in np.array_split(packed.rows("train"), max(1, len(packed) // 256)):
                counts += np.bincount(masks[rows].ravel(), minlength=256)
        except DamagedCache:  # whoever trains on it is told
            return
        self.seen = tuple(name for name, count in zip(packed.label_map.names, counts, strict=False) if count)

    def lint(self, mask: Ids, label_map: LabelMap) -> list[MaskFinding]:
        """Return what looks wrong in a mask, its classes that no training mask showed included.

        Raises:
            RequestError: the run does not take masks of this label map.
        """
        self.check_takes(label_map)
        own, seen = self.pipeline.label_map, self.seen
        if seen is not None and label_map != own:  # a class is seen where the one it is merged into is
            merged = own.merged_ids(label_map)
            seen = tuple(
                name for name, identity in zip(label_map.names, merged, strict=True) if own.names[identity] in seen
            )
        return lint_mask(mask, label_map, seen=seen)

    def prepare(self) -> None:
        """Do what the first picture would wait for."""
        _ = self._editor.made_of

    def preview(
        self,
        mask: Ids,
        label_map: LabelMap,
        look: WantedLook | None,
        into: Face | None,
        tuned_to: Face | None = None,
    ) -> Preview:
        """Paint a mask.

        Args:
            mask: class ids.
            label_map: what they mean.
            look: whose look; None for that of ``into``, and for runs that read no reference.
            into: the face whose square the picture is put back into; None for the picture alone. Where a look is given,
                all that it changes is generated, as by an edit with a look.
            tuned_to: the face that the run is tuned to, which is the one that is edited; None for the run as it is.

        Raises:
            FacekitError: the label map is not the run's; a look is missing, or has no mask; the run fills in parts
                of faces, and is given none; or it is not tuned to the face.
        """
        start = perf_counter()
        self.check_takes(label_map)
        whose = WantedLook(into) if look is None and into is not None else look
        if self._reads_reference and whose is None:
            raise RequestError("this run generates in the style of a face, and none is given", where="look")
        if fills_holes(self.pipeline.inputs) and into is None:
            raise RequestError("this run fills in a part of a face, and none is given", where="into")
        ids = self._ids(mask, label_map, role="mask")
        own_look = look is None or not self._reads_reference
        filled = None if into is None or not own_look else self._editor.fill(self._square(into), ids)
        tuned = None if tuned_to is None or filled is not None else self.require_tunings().tuned(tuned_to)
        if filled is not None:
            generated = filled.photo
        else:
            style = self._style(whose, tuned_to, tuned) if self._reads_reference and whose is not None else None
            generated = self._editor.paint(ids, style, tuned=tuned)
            if into is not None:
                generated = self._put_back(generated, ids, into, None if own_look else look)
        local = filled is not None
        of_tuning = {} if tuned is None else {provenance.TUNED_SHA256: tuned.sha256}
        record = self._editor.record(**{"preview": True, provenance.EDITED_LOCALLY: local, **of_tuning})
        png = provenance.png_bytes(Image.fromarray(generated), record, compression=1)
        return Preview(png, 1000 * (perf_counter() - start), local)

    def export(self, face: Face, script: EditScript, files: SessionFiles, *, tuned: bool = False) -> bytes:
        """Return the PNG file that ``facekit edit`` makes of a face's photo, its mask, and a script; with ``tuned``,
        that of ``facekit edit --tune``.

        Raises:
            FacekitError: an operation is wrong, the face's mask is not of the run's label map, or the run is not tuned
                to it.
        """
        own = self.pipeline.label_map
        if face.label_map != own:
            raise RequestError(
                f"the face's mask is of {face.label_map.name}, and the run edits photos with masks of {own.name}",
                where=face.identity,
                remedy="export it with a run of the mask's label map",
            )
        opened = self._open(face)
        editor = self._tuned_editor(face) if tuned else self._editor
        edited = editor.edit(opened, script, files=EditorFiles(editor, files))
        inputs = [face.original, *([face.mask_png] if face.aligned else [])]
        record = editor.record(
            **{provenance.INPUTS_SHA256: digest_of(inputs), provenance.PHOTO: face.original_file},
            **script_record(script, digest_of(files.contents(file) for file in script.files)),
            **edit_record(opened, edited),
        )
        return provenance.png_bytes(Image.fromarray(edited.photo), record)

    def bundle(self, face: Face, script: EditScript, files: SessionFiles, *, tuned: bool = False) -> bytes:
        """Return :meth:`export`'s picture with all that makes it again, as a ZIP file."""
        contents = {
            "result.png": self.export(face, script, files, tuned=tuned),
            "script.yaml": write_script(script).encode(),
            face.original_file: face.original,
            **({face.mask_file: face.mask_png} if face.aligned else {}),
        }
        for file in script.files:
            # Names that a script was loaded with may hold folders; only plain ones are put into an archive.
            if "/" in file or "\\" in file or file.startswith("."):
                raise FacekitError("a file of a bundle has a plain name", where=file[:200])
            contents[file] = files.contents(file)
        words = ["facekit", "edit", "RUN", face.original_file]
        words += ["--mask", face.mask_file] if face.aligned else []
        words += [] if self.local is None else ["--local", "LOCAL"]
        words += ["--tune", str(self.require_tunings().options.steps)] if tuned else []
        places = {"RUN": self.pipeline, **({} if self.local is None else {"LOCAL": self.local})}
        plugins: list[str] = []
        for pipeline in places.values():
            added = plugin_file_arguments(RunFolder(pipeline.run))
            plugins += added if added != plugins else []
        command = shlex.join([*words, "--script", "script.yaml", "-o", "again.png", *plugins])
        read_me = _READ_ME.format(command=command) + "".join(
            _PLACE.format(word=word, run=pipeline.run.resolve().name, weights=pipeline.weights_sha256)
            for word, pipeline in places.items()
        )
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in {**contents, "README.txt": read_me.encode()}.items():
                archive.writestr(name, content)
        return buffer.getvalue()

    def _open(self, face: Face) -> OpenFace:
        pixels = rgb_pixels(decoded(face.photo, what="photo"), name=face.name) if face.photo else face.square
        mask = mask_at_size(self._editor, face)
        if face.aligned:
            return self._editor.open_aligned(pixels, mask, mask_source=face.mask_file)
        image = face.placement.cut(pixels, self.pipeline.size)
        return OpenFace(pixels, face.placement, image, mask, face.mask_source, face.notes)

    def _tuned_editor(self, face: Face) -> PhotoEditor:
        tunings = self.require_tunings()
        return PhotoEditor(self.pipeline, local=self.local, tuner=AlreadyTuned(tunings.tuned(face), tunings.tuner()))

    def _tuned_square(self, face: Face) -> Square:
        """Return a face as an edit reads it, so that what is generated and what is exported is tuned alike."""
        self.check_takes(face.label_map)
        pixels = rgb_pixels(decoded(face.photo, what="photo"), name=face.name) if face.photo else face.square
        return face.placement.cut(pixels, self.pipeline.size), self._mask_of(face)

    def _style(self, look: WantedLook, tuned_to: Face | None, tuned: TunedFace | None) -> Style | Reference:
        own = tuned is not None and look.face is tuned_to
        style = tuned.style if tuned is not None and own else self._style_of(look.face)
        for blend in look.blends:
            theirs = self._style_of(blend.face)
            # As a script says it: `reference` of regions, or `blend_reference`.
            whole = blend.amount == 1 and blend.regions
            towards = theirs if whole else self._editor.blend(style, theirs, blend.amount)
            if blend.regions:
                shown, where = self._mask_of(blend.face), blend.face.name
                towards = mixed(self.pipeline, style, towards, blend.regions, shown=shown, where=where)
            style = towards
        return style

    def _style_of(self, face: Face) -> Style | Reference:
        key = (face.identity, face.version)
        style = self._styles.get(key)
        if style is None:
            self.check_takes(face.label_map)
            needs_mask = REFERENCE_MASK in self.pipeline.inputs.needed
            mask = None if face.mask is None and not needs_mask else self._mask_of(face)
            side = self.pipeline.size
            image = Placement.whole(face.square.shape[1], face.square.shape[0]).cut(face.square, side)
            style = self._editor.encode(image, mask)
            self._styles[key] = style
        self._styles.move_to_end(key)
        if len(self._styles) > MOST_STYLES:
            self._styles.popitem(last=False)
        return style

    def _mask_of(self, face: Face) -> Ids:
        """Return a face's mask as it is edited: at :attr:`mask_side`, in the run's label map."""
        return self._ids(face.ids, face.label_map, role="reference_mask")

    def _ids(self, mask: Ids, label_map: LabelMap, *, role: str) -> Ids:
        read = read_masks(
            torch.from_numpy(mask.astype(np.int64)),
            size=self.mask_side,
            label_map=self.pipeline.label_map,
            role=role,
            given=label_map,
        )
        return read.tensor[0].numpy().astype(np.uint8)

    def _square(self, face: Face) -> OpenFace:
        """Return a face as if its square were the photo."""
        self.check_takes(face.label_map)
        placement = Placement.whole(face.square.shape[1], face.square.shape[0])
        return OpenFace(face.square, placement, face.square, self._mask_of(face), face.mask_source)

    def _put_back(
        self, generated: NDArray[np.uint8], ids: Ids, face: Face, look: WantedLook | None
    ) -> NDArray[np.uint8]:
        square = self._square(face)
        changed = ids != square.mask
        if look is not None:
            changed |= repainted(self.pipeline, square.mask, ids, look.regions_for(face))
        return paste_back(square.photo, generated, square.placement, changed=changed).photo


def _can_be_tuned(pipeline: FacePipeline) -> bool:
    try:
        check_can_be_tuned(pipeline)
    except FacekitError:  # it says why; the page offers no tuning then
        return False
    return True
