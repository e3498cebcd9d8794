"""The person's own left and right in masks, and masks in which annotators exchanged them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from facekit.interfaces import LabelMap

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDES_VERSION = 1
"""Version of what counts as exchanged; part of the fingerprint of data that is repaired by it."""

_UPPER = ("l_eye", "r_eye", "eye", "l_brow", "r_brow", "brow", "eye_g")
_LOWER = ("mouth", "u_lip", "l_lip")
_NOSE, _SKIN, _EAR = "nose", "skin", "ear"

# Distances across the face, as shares of the root of the face's area. In 900 masks of CelebAMask-HQ both parts of a
# pair lie 0.24 and more apart, a single ear 0.42 and more from the nose, whether the sides are right or exchanged. A
# single eye or brow may lie on the middle of a turned face.
_PAIR, _SINGLE_EAR, _SINGLE = 0.15, 0.25, 0.1

_Verdict = Literal["right", "exchanged", "leaning", "unknown"]


@dataclass(frozen=True)
class _Places:
    """Where the classes of a mask lie: pixels (C,) and the sums (2, C) of their x and y."""

    names: tuple[str, ...]
    pixels: NDArray[np.int64]
    sums: NDArray[np.float64]

    @staticmethod
    def of(mask: NDArray[np.uint8], label_map: LabelMap) -> _Places:
        height, width = mask.shape
        length = max(len(label_map), int(mask.max(initial=0)) + 1)
        # Counts by column and by row give the same sums as all pixels, without arrays of their coordinates.
        flat = mask.astype(np.int64)
        columns = np.bincount((flat + length * np.arange(width)).ravel(), minlength=length * width)
        rows = np.bincount((flat + length * np.arange(height)[:, None]).ravel(), minlength=length * height)
        columns, rows = columns.reshape(width, length), rows.reshape(height, length)
        sums = np.stack([np.arange(width) @ columns, np.arange(height) @ rows]).astype(np.float64)
        return _Places(label_map.names, columns.sum(0), sums)

    def area(self, names: Iterable[str]) -> int:
        return int(self.pixels[self._ids(names)].sum())

    def centre(self, names: Iterable[str]) -> NDArray[np.float64] | None:
        """Return the centre (x, y) of several classes together; None where none of them occurs."""
        ids = self._ids(names)
        pixels = self.pixels[ids].sum()
        return self.sums[:, ids].sum(1) / pixels if pixels else None

    def _ids(self, names: Iterable[str]) -> list[int]:
        return [self.names.index(name) for name in names if name in self.names]


def exchanged_sides(mask: NDArray[np.uint8], label_map: LabelMap) -> tuple[tuple[str, str], ...]:
    """Return the pairs of classes whose left and right are exchanged in a mask.

    Left and right are the person's own: the left eye lies on the right of the image. Each pair is compared across the
    face, at right angles to the line from the mouth to the eyes, so a tilted head changes nothing. A pair of which both
    parts are present is decided by their order, a single ear by its side of the nose. A single eye or brow
    lies near the middle of a turned face: it counts as exchanged only where it lies on the wrong side of the nose,
    another pair is exchanged and no pair is right. What is in doubt is not returned.

    Args:
        mask: class ids (H, W).
        label_map: what they mean. Names of its ``mirrored`` pairs are (left, right). Eyes, mouth and nose are found by
            CelebAMask-HQ's names; a mask without them is taken to be upright.

    Returns:
        pairs of ``label_map.mirrored``; empty where the sides are right, in doubt, or the label map has none.
    """
    if not label_map.mirrored or not mask.size:
        return ()
    places = _Places.of(mask, label_map)
    verdicts = {pair: _verdict(pair, places, mask.size) for pair in label_map.mirrored}
    certain = {verdict for verdict in verdicts.values() if verdict in ("right", "exchanged")}
    wanted = {"exchanged", "leaning"} if certain == {"exchanged"} else {"exchanged"}
    return tuple(pair for pair, verdict in verdicts.items() if verdict in wanted)


def exchange_sides(mask: NDArray[np.uint8], label_map: LabelMap, pairs: Iterable[tuple[str, str]]) -> NDArray[np.uint8]:
    """Return a new mask (H, W) in which the two classes of each pair have changed places."""
    table = np.arange(256, dtype=np.uint8)
    for left, right in pairs:
        table[[label_map.id_of(left), label_map.id_of(right)]] = label_map.id_of(right), label_map.id_of(left)
    return table[mask]


def _verdict(pair: tuple[str, str], places: _Places, size: int) -> _Verdict:
    across, scale = _across(places, size)
    left, right = (places.centre([name]) for name in pair)
    single = left is None or right is None
    if left is None and right is None:
        return "unknown"
    nose = places.centre([_NOSE])
    left, right = nose if left is None else left, nose if right is None else right
    if left is None or right is None:
        return "unknown"
    distance = float((left - right) @ across) / scale
    if single and not all(name.endswith(_EAR) for name in pair):
        return "leaning" if distance < -_SINGLE else "unknown"
    margin = _SINGLE_EAR if single else _PAIR
    return "exchanged" if distance < -margin else "right" if distance > margin else "unknown"


def _across(places: _Places, size: int) -> tuple[NDArray[np.float64], float]:
    """Return the direction (x, y) from the right side of the person to the left, and the root of the face's area."""
    nose = places.centre([_NOSE])
    upper, lower = places.centre(_UPPER), places.centre(_LOWER)
    upper, lower = nose if upper is None else upper, nose if lower is None else lower
    up = np.array([0.0, -1.0])
    if upper is not None and lower is not None and (length := float(np.hypot(*(upper - lower)))) > 0:
        up = (upper - lower) / length
    area = places.area([_SKIN, _NOSE, *_UPPER, *_LOWER])
    return np.array([-up[1], up[0]]), float(np.sqrt(area or size))
