"""Reading folders of photos and masks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from facekit.interfaces import FacekitError, FaceSample, Finding, LabelMap, did_you_mean
from facekit_datasets.checking import check_photo
from facekit_datasets.derived import DerivedAttributes
from facekit_datasets.image_mask_folder import ImageMaskFolderOptions
from facekit_datasets.photo_folder import PhotoFolder, key_of, list_files
from facekit_datasets.pictures import read_id_mask

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class ImageMaskFolder(PhotoFolder):
    """Photos and masks that belong together by name. Opening it lists the photos; pictures are read one at a time.

    A photo's mask has the photo's key as its path in the folder of masks, ending in ``.png``.

    Raises:
        FacekitError: as :class:`~facekit_datasets.photo_folder.PhotoFolder`, or there is no folder of masks, or the
            label map is unknown.
    """

    def __init__(self, options: ImageMaskFolderOptions, label_maps: Mapping[str, LabelMap]) -> None:
        if options.label_map not in label_maps:
            remedy = did_you_mean(options.label_map, label_maps) or f"known: {', '.join(label_maps) or 'none'}"
            raise FacekitError(f"no plugin offers the label map {options.label_map!r}", remedy=remedy)
        self._label_map = label_maps[options.label_map]
        self._derived = DerivedAttributes(options, self._label_map)
        super().__init__(options, derived=self._derived.names)
        self._mask_folder = self._existing_folder("masks", options.masks)

    @property
    def label_map(self) -> LabelMap:
        """The label map of the options."""
        return self._label_map

    def fingerprint(self) -> str:
        """Return a hash of name, size and date of each photo and mask in a split, and of their attributes."""
        return self._fingerprint(
            ["image_mask_folder", self._label_map.name, self._attribute_names, *self._derived.identity]
        )

    def read(self, index: int, *, size: int | None = None) -> FaceSample:
        """Read one photo with its mask and attributes; with ``size``, a JPEG may be decoded at a fraction."""
        image, mask = self._read_photo(index, size), self._read_mask(self._keys[index])
        attributes = self._attributes_of(index)
        if attributes is not None:
            attributes = self._derived.fill(
                attributes, self._attribute_names, mask, lambda: self._read_photo(index, None)
            )
        return FaceSample(image, mask, attributes)

    def check(self, index: int) -> list[Finding]:
        """Return what is wrong with one photo, its mask and its attributes."""
        key = self._keys[index]
        findings, shape = [], None
        try:
            shape = self._read_mask(key).shape
        except FacekitError as error:
            findings.append(Finding("error", str(error.where), error.message, error.remedy))
        return check_photo(self._photos[key], shape) + findings + self._check_attributes(index)

    def check_all(self) -> list[Finding]:
        """Return what is wrong beside the samples in splits: masks without photos and the reverse, other files."""
        findings = []
        in_splits = {self._keys[index] for indices in self._splits.values() for index in indices}
        for key, photo in self._photos.items():
            if key not in in_splits and not self._mask(key).is_file():
                findings.append(Finding("warning", str(photo), "the photo has no mask (it is in no split)"))
        for file in list_files(self._mask_folder):
            key = key_of(file, self._mask_folder)
            if file.suffix.lower() != ".png":
                findings.append(Finding("warning", str(file), "the file is not a PNG and is not read as a mask"))
            elif key not in self._photos:
                findings.append(Finding("warning", str(file), "there is no photo for this mask"))
        return [*findings, *self._other_files()]

    def _files_of(self, key: str) -> list[Path]:
        return [*super()._files_of(key), self._mask(key)]

    def _mask(self, key: str) -> Path:
        return self._mask_folder / f"{key}.png"

    def _read_mask(self, key: str) -> NDArray[np.uint8]:
        file = self._mask(key)
        if not file.is_file():
            # A mask of a lossy format under the right name deserves a better answer than "missing".
            for ending in (".jpg", ".jpeg"):
                if file.with_suffix(ending).is_file():
                    return read_id_mask(file.with_suffix(ending))
            remedy = "add the mask, or leave the photo out of the splits"
            raise FacekitError("the photo has no mask", where=str(file), remedy=remedy)
        mask = read_id_mask(file)
        if (largest := int(mask.max())) >= len(self._label_map):
            raise FacekitError(
                f"id {largest} is outside the label map {self._label_map.name!r}, which ends at "
                f"{len(self._label_map) - 1}",
                where=str(file),
                remedy="choose the label map the masks were made with",
            )
        return mask
