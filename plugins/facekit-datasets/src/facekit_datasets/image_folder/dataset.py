"""Reading a folder of photos."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from facekit.interfaces import NO_LABELS, FaceSample, Finding, LabelMap
from facekit_datasets.checking import check_photo
from facekit_datasets.photo_folder import PhotoFolder


class ImageFolder(PhotoFolder):
    """Photos without masks. Opening it lists the photos; pictures are read one at a time.

    Raises:
        FacekitError: as :class:`~facekit_datasets.photo_folder.PhotoFolder`.
    """

    @property
    def label_map(self) -> LabelMap:
        """The one without classes: there are no masks."""
        return NO_LABELS

    def fingerprint(self) -> str:
        """Return a hash of name, size and date of each photo in a split, and of its attributes."""
        return self._fingerprint(["image_folder", self._attribute_names])

    def read(self, index: int, *, size: int | None = None) -> FaceSample:
        """Read one photo with its attributes; with ``size``, a JPEG may be decoded at a fraction."""
        return FaceSample(self._read_photo(index, size), None, self._attributes_of(index))

    def check(self, index: int) -> list[Finding]:
        """Return what is wrong with one photo and its attributes."""
        return check_photo(self._photos[self._keys[index]], None) + self._check_attributes(index)

    def check_all(self) -> list[Finding]:
        """Return what is wrong beside the samples: files that are not read, photos that are there twice."""
        return [*self._other_files(), *self._copies()]

    def _copies(self) -> Iterator[Finding]:
        """Find photos of one split whose files are equal; `facekit data check` finds copies in two splits itself."""
        split_of = {self._keys[index]: split for split, indices in self._splits.items() for index in indices}
        lengths = Counter(_length(self._photos[key]) for key in split_of)
        first: dict[tuple[str, str], str] = {}
        for key in sorted(split_of):
            file = self._photos[key]
            if lengths[_length(file)] == 1:  # files of different lengths are different
                continue
            try:
                content = hashlib.sha256(file.read_bytes()).hexdigest()
            except OSError:  # check() says so of the sample
                continue
            other = first.setdefault((content, split_of[key]), key)
            if other == key:
                continue
            message = f"the photo is a copy of {self._photos[other].relative_to(self._photo_folder)}"
            yield Finding("warning", str(file), message, "remove one of them")


def _length(file: Path) -> int:
    """Return a file's length in bytes; -1 where it has gone."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return -1
