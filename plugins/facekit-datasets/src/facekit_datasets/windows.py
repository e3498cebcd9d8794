"""The windows of a dataset's photos as a dataset of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facekit.interfaces import HOLE, FaceDataset, FacekitError, FaceSample, Finding
from facekit_datasets.holes import Chances, HoleShapes
from facekit_datasets.listed import Listed
from facekit_datasets.options import HoleKind, WindowOptions

VERSION = 2
"""Version of how windows and holes are drawn; part of the fingerprint."""

_OFF_CENTRE = 0.1
"""How far a hole may lie off the middle of its window, as a share of the window's side."""


class WindowDataset(Listed):
    """Square windows of photos at the photos' own resolution, each with a hole.

    A sample is a window: its part of the photo and of the mask, the attributes of the whole photo, and ``hole``, 1
    where the image is to be made anew. Its key is the photo's and the number of the window, ``17-window-003``.

    Args:
        photos: the dataset that has the photos.
        options: how windows are cut.

    Raises:
        FacekitError: the photos have no masks.
    """

    def __init__(self, photos: FaceDataset, options: WindowOptions) -> None:
        if not len(photos.label_map):
            raise FacekitError(
                "windows are cut around regions of masks, and the dataset has none", where="data.windows"
            )
        self._photos = photos
        self._options = options
        self._label_map, self._attribute_names = photos.label_map, tuple(photos.attribute_names)
        self._shapes = HoleShapes(photos.label_map)
        self._kinds: tuple[HoleKind, ...] = tuple(kind for kind, share in options.holes.items() if share > 0)
        shares = np.cumsum([options.holes[kind] for kind in self._kinds])
        self._until = [float(share) for share in shares / shares[-1]]
        splits: dict[str, range] = {}
        keys: list[str] = []
        self._splits, self._keys = splits, keys
        self._windows: list[tuple[int, int]] = []
        for split, members in photos.splits().items():
            count = options.per_photo if split in ("train", "extra") else options.held_out
            start = len(self._windows)
            for photo in members:
                self._windows.extend((photo, number) for number in range(count))
                keys.extend(f"{photos.keys[photo]}-window-{number:03d}" for number in range(count))
            splits[split] = range(start, len(self._windows))
        self._last: tuple[int, FaceSample] | None = None

    @property
    def photos(self) -> FaceDataset:
        """The dataset that the windows are cut from."""
        return self._photos

    def fingerprint(self) -> str:
        """Return a hash of the photos' fingerprint and of how windows are cut."""
        identity = [VERSION, self._options.model_dump(mode="json"), self._photos.fingerprint()]
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()

    def read(self, index: int, *, size: int | None = None) -> FaceSample:
        """Read one window at the photo's resolution; its hole has the side ``size``, or the window's own when None."""
        photo, number = self._windows[index]
        face = self._read_photo(photo)
        mask = face.require_mask()
        image, mask = _square(face.image), _square(mask)
        if mask.shape != image.shape[:2]:
            mask = _at_side(mask, image.shape[0])
        chances = Chances(self._options.seed, _number_of(self._photos.keys[photo]), number)
        where = chances.between(0, 1)
        kind = next(kind for kind, until in zip(self._kinds, self._until, strict=True) if where < until)
        hole = self._shapes.draw(mask, kind, chances)
        top, left, side = self._window(hole, chances)
        part = (slice(top, top + side), slice(left, left + side))
        inside = _at_side(hole[part], side if size is None else size)
        return FaceSample(
            np.ascontiguousarray(image[part]),
            np.ascontiguousarray(mask[part]),
            face.attributes,
            {HOLE.name: inside[None]},
        )

    def mirror_extra(self, extra: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """Return the hole of the mirrored window."""
        return {name: array[..., ::-1] for name, array in extra.items()}

    def check(self, index: int) -> list[Finding]:
        """Return what is wrong with the photo of a window; only for its first one."""
        photo, number = self._windows[index]
        return [] if number else self._photos.check(photo)

    def check_all(self) -> list[Finding]:
        """Return what is wrong with the photos as a whole."""
        return self._photos.check_all()

    def _read_photo(self, photo: int) -> FaceSample:
        """Read a photo in full; the last one is kept, since its windows are read one after the other."""
        last = self._last
        if last is None or last[0] != photo:
            last = self._last = (photo, self._photos.read(photo))
        return last[1]

    def _window(self, hole: NDArray[np.bool_], chances: Chances) -> tuple[int, int, int]:
        """Return top, left and side of a window around a hole, within the photo."""
        rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
        extent = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
        whole = min(hole.shape)
        side = min(whole, max(self._options.smallest_side, round(extent * chances.between(*self._options.context))))

        def start(ends: NDArray[np.intp], length: int) -> int:
            middle = (ends[0] + ends[-1] + 1) / 2 + chances.between(-_OFF_CENTRE, _OFF_CENTRE) * side
            return int(np.clip(round(middle - side / 2), 0, length - side))

        return start(rows, hole.shape[0]), start(columns, hole.shape[1]), side


def _square(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the square in the middle of a picture."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return picture[top : top + side, left : left + side]


def _at_side(picture: NDArray[Any], side: int) -> NDArray[Any]:
    """Return ids or a hole (H, H) at another side, each pixel that of the nearest one."""
    places = ((np.arange(side) + 0.5) * (picture.shape[0] / side)).astype(np.intp)
    return picture[places[:, None], places[None, :]]


def _number_of(key: str) -> int:
    """Return a number that stands for a key."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")
