"""Real photos for metrics that compare sets of pictures: those of a split, or of the faces that are evaluated."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from facekit.data.loader import to_unit_range
from facekit.data.store import PackedFaces
from facekit.evaluation.tasks import faces_of
from facekit.interfaces import EVALUATED, FacekitError, PhotoSource, did_you_mean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

PhotoProgress = Callable[[str, int, int], None]
"""Told the split, the photos read so far and the photos in all."""

_HASHED_AT_A_TIME = 64


class SplitPhotos:
    """The photos of a split; see :class:`facekit.interfaces.RealPhotos`.

    Args:
        opened: returns the data; called when the first photo is needed.
        count: how many there are: the first of the split.
    """

    def __init__(
        self, split: str, opened: Callable[[], PackedFaces], *, count: int, progress: PhotoProgress | None = None
    ) -> None:
        self.split = split
        self._opened = opened
        self._count = count
        self._progress = progress
        self._fingerprints: dict[tuple[int, int], str] = {}

    @cached_property
    def _packed(self) -> PackedFaces:
        return self._opened()

    @cached_property
    def _rows(self) -> NDArray[np.int64]:
        return faces_of(self._packed, self.split, limit=self._count)

    @cached_property
    def keys(self) -> Sequence[str]:
        """The keys of their faces, in order."""
        return tuple(self._packed.keys[int(row)] for row in self._rows)

    def __len__(self) -> int:
        return self._count

    def fingerprint(self, start: int = 0, stop: int | None = None) -> str:
        """Return the SHA-256, in hex, of the pixels of photos ``start`` to ``stop``, and of their size."""
        part = range(len(self))[start:stop]
        bounds = (part.start, part.stop)
        if bounds not in self._fingerprints:
            digest = hashlib.sha256(f"{self._packed.size} {len(part)}".encode())
            for begin in range(part.start, part.stop, _HASHED_AT_A_TIME):
                rows = self._rows[begin : min(begin + _HASHED_AT_A_TIME, part.stop)]
                digest.update(self._packed.images[rows].tobytes())
            self._fingerprints[bounds] = digest.hexdigest()
        return self._fingerprints[bounds]

    def read(self, start: int = 0, stop: int | None = None) -> Tensor:
        """Return photos ``start`` to ``stop``, (N, 3, H, W) float32 in [-1, 1]."""
        part = range(len(self))[start:stop]
        photos = to_unit_range(self._packed.images[self._rows[part.start : part.stop]])
        if self._progress is not None:
            self._progress(self.split, part.stop, len(self))
        return photos


def photo_source(
    opened: Callable[[], PackedFaces],
    splits: Mapping[str, int],
    *,
    evaluated: str,
    limit: int | None = None,
    progress: PhotoProgress | None = None,
) -> PhotoSource:
    """Return what metrics get real photos from.

    Args:
        opened: returns the data; called when the first photo is needed.
    """
    known = [split for split, count in splits.items() if count]
    made: dict[str, SplitPhotos] = {}

    def photos(split: str) -> SplitPhotos:
        name = evaluated if split == EVALUATED else split
        if not splits.get(name):
            raise FacekitError(
                f"the data has no photos in a split {name!r}",
                remedy=did_you_mean(name, known) or f"it has {', '.join(known) or 'none'}",
            )
        if split not in made:
            count = splits[name] if limit is None or split != EVALUATED else min(limit, splits[name])
            made[split] = SplitPhotos(name, opened, count=count, progress=progress)
        return made[split]

    return photos
