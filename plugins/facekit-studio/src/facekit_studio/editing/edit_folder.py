"""Editing files and whole folders by one script: goes on where it stopped, passes over what is damaged."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from facekit.inference import provenance
from facekit.inference.files import FolderItem, FolderResult, Progress, content_of, is_result_file, pictures_of
from facekit.interfaces import FacekitError
from facekit_studio.editing.open_face import EditedFace, OpenFace
from facekit_studio.editing.photo import PhotoEditor
from facekit_studio.editing.script import EditScript, write_script


@dataclass(frozen=True)
class EditedItem(FolderItem):
    """What became of one edited photo.

    Args:
        locally: whether a run for local edits filled it in, just now.
    """

    locally: bool = False


def edit_folder(
    editor: PhotoEditor,
    script: EditScript,
    *,
    photo: str | Path,
    output: str | Path,
    mask: str | Path | None = None,
    aligned: bool | None = None,
    script_folder: Path = Path(),
    overwrite: bool = False,
    progress: Progress | None = None,
) -> FolderResult[EditedItem]:
    """Edit a photo, or every photo of a folder, and save the results as PNG with what made them.

    A result that the same weights made from the same files by the same script is skipped, so that calling it again goes
    on where it stopped. Damaged photos are among the failed; they stop nothing.

    Args:
        editor: the run, and what finds and reads faces.
        script: what to do.
        photo: a photo, or a folder of photos.
        output: a folder; or, for a single photo, a file that ends in ``.png``.
        mask: the photo's mask, or a folder of masks with the names of the photos.
        aligned: whether the photos already are squares around faces; by default those with masks are.
        script_folder: where files that the script names are looked for.
        overwrite: edit again what is there.
        progress: told each result.

    Returns:
        what became of each.

    Raises:
        FacekitError: a file or folder does not exist, there are no photos, several for one file, or a file that is no
            PNG; the run cannot follow the script, or a single photo cannot be edited.
        RunFailure: a result cannot be written (a full disk).
    """
    photos, masks, target = Path(photo), None if mask is None else Path(mask), Path(output)
    for path in (photos, masks):
        if path is not None and not path.exists():
            raise FacekitError("there is no such file or folder", where=str(path))
    editor.check_looks(script)
    files, single, named = pictures_of(photos), not photos.is_dir(), is_result_file(target)
    if named and not single:
        raise FacekitError("there are several photos", where=str(target), remedy="give a folder to put the results in")
    mask_files = None if masks is None or not masks.is_dir() else pictures_of(masks)
    told = script_record(script, content_of([script_folder / file for file in script.files]))
    result = FolderResult[EditedItem]()
    for number, (stem, file) in enumerate(files.items(), start=1):
        place = target if named else target / f"{stem}.png"
        try:
            own_mask = masks if mask_files is None else mask_files.get(stem)
            if mask_files is not None and own_mask is None:
                raise FacekitError(f"there is no mask called {stem!r}", where=str(masks))
            item = _edit(editor, script, file, own_mask, place, aligned, script_folder, told, overwrite=overwrite)
        except FacekitError as error:
            if single or error.exit_code != 2:
                raise
            item = EditedItem(place, "failed", str(error))
        result.items.append(item)
        if progress is not None:
            progress(item, number, len(files))
    return result


def _edit(
    editor: PhotoEditor,
    script: EditScript,
    photo: Path,
    mask: Path | None,
    place: Path,
    aligned: bool | None,
    folder: Path,
    told: dict[str, Any],
    *,
    overwrite: bool,
) -> EditedItem:
    inputs = content_of([photo, *([] if mask is None else [mask])])
    made_of = {
        provenance.INPUTS_SHA256: inputs,
        **editor.made_of,
        provenance.SCRIPT_SHA256: told[provenance.SCRIPT_SHA256],
    }
    made_with = "with other weights, photos, another seed, tuning or script"
    if not overwrite and provenance.is_there(place, made_of, made_with=made_with):
        return EditedItem(place, "skipped")
    face = editor.open(photo, mask, aligned=aligned)
    edited = editor.edit(face, script, folder=folder)
    record = editor.record(
        **{provenance.INPUTS_SHA256: inputs, provenance.PHOTO: photo.name}, **told, **edit_record(face, edited)
    )
    provenance.save_png(Image.fromarray(edited.photo), place, record)
    return EditedItem(place, "written", "; ".join((*face.notes, *edited.notes)), locally=edited.local)


def script_record(script: EditScript, contents: str) -> dict[str, Any]:
    """Return what a result says of its script.

    Args:
        script: the script.
        contents: the digest of the files that it names; the script's hash covers it as well.
    """
    text = write_script(script)
    digest = hashlib.sha256(text.encode())
    digest.update(contents.encode())
    return {provenance.SCRIPT: text, provenance.SCRIPT_SHA256: digest.hexdigest()}


def edit_record(face: OpenFace, edited: EditedFace) -> dict[str, Any]:
    """Return what a result says of the face, and of what the edit did to it."""
    return {
        provenance.MASK: face.mask_source,
        provenance.CHANGED: round(float(edited.touched.mean()), 6),
        provenance.EDITED_LOCALLY: edited.local,
        **({} if edited.tuned is None else {provenance.TUNED_SHA256: edited.tuned}),
        provenance.SQUARE: [round(value, 2) for corner in face.placement.corners for value in corner],
    }
