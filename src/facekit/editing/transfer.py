"""Giving photos other attributes, one file or whole folders; goes on where it stopped, passes over what is damaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from facekit.editing import provenance
from facekit.editing.attributes import AttributeTransfer
from facekit.editing.files import FolderItem, FolderResult, Progress, change_each, content_of, open_picture
from facekit.editing.pictures import read_photos, to_pictures
from facekit.editing.pipeline import FacePipeline
from facekit.interfaces import FacekitError

_WORDS = {"1": True, "on": True, "true": True, "yes": True, "0": False, "off": False, "false": False, "no": False}


def read_wishes(texts: Sequence[str]) -> dict[str, bool]:
    """Return wanted attributes from texts such as ``Smiling=1`` and ``Male=off``.

    Raises:
        FacekitError: a text is of another form, or two want the opposite.
    """
    wishes: dict[str, bool] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not name or not equals or value.lower() not in _WORDS:
            raise FacekitError(
                f"{text!r} does not say what is wanted",
                where="--attribute",
                remedy="write NAME=1 to give an attribute, NAME=0 to take it away (on and off will do)",
            )
        wanted = _WORDS[value.lower()]
        if wishes.setdefault(name, wanted) != wanted:
            raise FacekitError(f"{name} is wanted both on and off", where="--attribute")
    return wishes


def transfer_folder(
    pipeline: FacePipeline,
    wishes: Mapping[str, bool],
    *,
    source: str | Path,
    output: str | Path,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> FolderResult:
    """Give a photo, or every photo of a folder, other attributes, and save the results as PNG with what made them.

    A result that the same weights made from the same photo with the same wishes is skipped, so that calling it again
    goes on where it stopped. Damaged photos are among the failed; they stop nothing.

    Args:
        pipeline: the loaded run.
        wishes: the wanted attributes by name; the others stay as the run reads them off the photo.
        source: a photo, or a folder of photos. Those that are not square are cropped to the square in their middle.
        output: a folder; or, for a single photo, a file that ends in ``.png``.
        overwrite: change again what is there, and replace other files of those names.
        progress: called after each result with it, its number from 1, and how many there are.

    Returns:
        what became of each. The message of a written one says which attributes were read off the photo.

    Raises:
        FacekitError: the run paints masks, an attribute is not one of its own or is missing, a file or folder does not
            exist, or a single photo cannot be changed.
        RunFailure: a result cannot be written (a full disk).
    """
    transfer = pipeline.check_changes_attributes()
    transfer.check(wishes)
    if not wishes:
        raise FacekitError(
            "no attribute is wanted, so nothing would change",
            where="--attribute",
            remedy=f"name one: {', '.join(transfer.names)}",
        )
    photos = Path(source)
    if not photos.exists():
        raise FacekitError("there is no such photo", where=str(photos))

    def change(stem: str, file: Path, place: Path) -> FolderItem:
        return _transfer(pipeline, transfer, wishes, file, place, overwrite=overwrite)

    return change_each(photos, Path(output), change, progress=progress)


def _transfer(
    pipeline: FacePipeline,
    transfer: AttributeTransfer,
    wishes: Mapping[str, bool],
    file: Path,
    place: Path,
    *,
    overwrite: bool,
) -> FolderItem:
    told = {
        provenance.INPUTS_SHA256: content_of([file]),
        provenance.WISHES: {name: wishes[name] for name in transfer.names if name in wishes},
    }
    made_of = {**told, provenance.WEIGHTS_SHA256: pipeline.weights_sha256}
    made_with = "with other weights, photos or attributes"
    if not overwrite and provenance.is_there(place, made_of, made_with=made_with):
        return FolderItem(place, "skipped")
    photo = read_photos(open_picture(file), size=pipeline.size, role="source")
    wanted = transfer.wanted(photo, wishes, batch=1)
    attributes = {name: bool(value) for name, value in zip(transfer.names, wanted[0], strict=True)}
    (picture,) = to_pictures(transfer.change(photo, wanted, batch=1))
    record = pipeline.record(**told, **{provenance.PHOTO: file.name, provenance.ATTRIBUTES: attributes})
    provenance.save_png(picture, place, record)
    read = [f"{name}={value:d}" for name, value in attributes.items() if name not in wishes]
    return FolderItem(place, "written", f"read off the photo: {', '.join(read)}" if read else "")
