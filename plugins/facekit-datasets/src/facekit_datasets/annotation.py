"""The two forms of CelebAMask-HQ's masks: one file a part, and merged id masks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facekit.interfaces import FacekitError, Finding
from facekit_datasets.label_maps import CELEBAMASK_HQ, PARTS
from facekit_datasets.listed import as_finding
from facekit_datasets.pictures import read_id_mask, read_inside, read_part

if TYPE_CHECKING:
    from numpy.typing import NDArray

PARTS_FOLDER, MERGED_FOLDER = "CelebAMask-HQ-mask-anno", "CelebAMask-HQ-mask"
PHOTOS_A_FOLDER = 2000

_PART_FILE = re.compile(r"(\d+)_(\w+)\.png")
_MERGED_FILE = re.compile(r"(\d+)\.png")


class PartAnnotation:
    """Raw annotation: ``CelebAMask-HQ-mask-anno/K/NNNNN_part.png``, one picture of 0 and 255 a part that is present.

    Parts are merged in class-id order, later over earlier, as the authors do.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def files(self, number: int) -> list[tuple[int, Path]]:
        """Return the class id and file of each part the photo has, in class-id order."""
        stem = self.folder / str(number // PHOTOS_A_FOLDER) / f"{number:05d}"
        candidates = ((identity, Path(f"{stem}_{part}.png")) for identity, part in enumerate(PARTS, start=1))
        return [(identity, file) for identity, file in candidates if file.is_file()]

    def read(self, number: int) -> NDArray[np.uint8]:
        """Return the merged id mask (h, w) of a photo."""
        files = self.files(number)
        if not files:
            raise self._without_parts(number)
        mask: NDArray[np.uint8] | None = None
        for identity, file in files:
            inside = read_inside(file)
            if mask is None:
                mask = np.zeros(inside.shape, np.uint8)
            elif inside.shape != mask.shape:
                raise FacekitError(_wrong_size(inside, mask, files[0][1]), where=str(file))
            np.copyto(mask, np.uint8(identity), where=inside)
        assert mask is not None
        return mask

    def check(self, number: int) -> tuple[list[Finding], tuple[int, ...] | None]:
        """Return what is wrong with a photo's parts (none at all, no skin, unreadable, other sizes, odd values)."""
        files = self.files(number)
        if not files:
            return [as_finding(self._without_parts(number))], None
        findings = []
        if files[0][0] != CELEBAMASK_HQ.id_of("skin"):
            where = str(self.folder / str(number // PHOTOS_A_FOLDER) / f"{number:05d}_skin.png")
            findings.append(Finding("warning", where, "the part is missing; every face has skin"))
        first: NDArray[np.uint8] | None = None
        for _, file in files:
            try:
                part = read_part(file)
            except FacekitError as error:
                findings.append(as_finding(error))
                continue
            first = part if first is None else first
            if part.shape != first.shape:
                findings.append(Finding("error", str(file), _wrong_size(part, first, files[0][1])))
            if not (part > 127).any():
                findings.append(Finding("warning", str(file), "the part is empty"))
            elif ((part != 0) & (part != 255)).any():
                message = "the part holds values beside 0 and 255; those above 127 count as inside"
                findings.append(Finding("warning", str(file), message))
        return findings, None if first is None else first.shape

    def entries(self) -> Iterator[tuple[Path, int | None]]:
        """Yield each file of the numbered folders, by name."""
        folders = [folder for folder in self.folder.iterdir() if folder.is_dir() and folder.name.isdecimal()]
        for folder in sorted(folders, key=lambda each: int(each.name)):
            for name in sorted(file.name for file in folder.iterdir()):  # names: paths compare part by part
                match = _PART_FILE.fullmatch(name)
                known = (
                    match is not None
                    and match[2] in PARTS
                    and name == f"{int(match[1]):05d}_{match[2]}.png"
                    and int(match[1]) // PHOTOS_A_FOLDER == int(folder.name)
                )
                yield folder / name, int(match[1]) if match is not None and known else None

    def _without_parts(self, number: int) -> FacekitError:
        return FacekitError(
            "the photo has no part annotation",
            where=str(self.folder / str(number // PHOTOS_A_FOLDER) / f"{number:05d}_*.png"),
            remedy="unpack the annotation again, or leave the photo out of the splits",
        )


class MergedAnnotation:
    """Masks that are merged already: ``CelebAMask-HQ-mask/N.png``, one class id a pixel."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, number: int) -> NDArray[np.uint8]:
        """Return the id mask (h, w) of a photo."""
        return read_id_mask(self.folder / f"{number}.png")

    def check(self, number: int) -> tuple[list[Finding], tuple[int, ...] | None]:
        """Return what is wrong with a photo's mask (missing, unreadable, ids outside the label map)."""
        file = self.folder / f"{number}.png"
        try:
            mask = read_id_mask(file)
        except FacekitError as error:
            return [as_finding(error)], None
        if (largest := int(mask.max())) < len(CELEBAMASK_HQ):
            return [], mask.shape
        message = f"id {largest} is outside the label map, which ends at {len(CELEBAMASK_HQ) - 1}"
        return [Finding("error", str(file), message)], mask.shape

    def entries(self) -> Iterator[tuple[Path, int | None]]:
        """Yield each file of the folder, by name."""
        for name in sorted(file.name for file in self.folder.iterdir()):
            match = _MERGED_FILE.fullmatch(name)
            yield self.folder / name, int(match[1]) if match is not None and name == f"{int(match[1])}.png" else None


def _wrong_size(part: NDArray[Any], first: NDArray[np.uint8], first_file: Path) -> str:
    size, other = (f"{each.shape[1]}x{each.shape[0]}" for each in (part, first))
    return f"the part has {size} pixels; {first_file.name} has {other}"
