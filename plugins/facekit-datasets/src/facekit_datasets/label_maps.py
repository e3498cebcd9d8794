"""The label map of CelebAMask-HQ, which the datasets of this plugin share, and its merged form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from facekit.interfaces import FacekitError, LabelClass, LabelMap, did_you_mean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CELEBAMASK_HQ = LabelMap(
    name="celebamask_hq",
    description=(
        "The 19 classes of CelebAMask-HQ (Lee et al., 2020) in the order of its part list; "
        "l_ and r_ are the person's own left and right"
    ),
    classes=(
        LabelClass("background", (38, 42, 51)),
        LabelClass("skin", (240, 196, 164)),
        LabelClass("nose", (226, 145, 110)),
        LabelClass("eye_g", (67, 104, 214)),
        LabelClass("l_eye", (64, 196, 232)),
        LabelClass("r_eye", (20, 148, 186)),
        LabelClass("l_brow", (164, 118, 66)),
        LabelClass("r_brow", (116, 80, 40)),
        LabelClass("l_ear", (255, 159, 79)),
        LabelClass("r_ear", (221, 117, 30)),
        LabelClass("mouth", (150, 22, 62)),
        LabelClass("u_lip", (232, 72, 96)),
        LabelClass("l_lip", (250, 120, 150)),
        LabelClass("hair", (94, 62, 138)),
        LabelClass("hat", (38, 166, 112)),
        LabelClass("ear_r", (255, 222, 66)),
        LabelClass("neck_l", (198, 226, 72)),
        LabelClass("neck", (214, 170, 205)),
        LabelClass("cloth", (96, 140, 150)),
    ),
    mirrored=(("l_eye", "r_eye"), ("l_brow", "r_brow"), ("l_ear", "r_ear")),
)
"""Background, then the 18 parts in the order in which their annotations are merged, later over earlier."""

PARTS = CELEBAMASK_HQ.names[1:]
"""The part names of CelebAMask-HQ's annotation files, in class-id order from 1."""

_PAIRS = {"eye": (42, 172, 209), "brow": (140, 99, 53), "ear": (238, 138, 55)}
"""What the two sides of the face are together, and its colour."""

CELEBAMASK_HQ_MERGED = LabelMap(
    name="celebamask_hq_merged",
    description="CelebAMask-HQ's classes with left and right eyes, brows and ears merged: 16 classes",
    classes=tuple(
        LabelClass(entry.name[2:], _PAIRS[entry.name[2:]]) if entry.name[2:] in _PAIRS else entry
        for entry in CELEBAMASK_HQ.classes
        if entry.name not in {f"r_{part}" for part in _PAIRS}
    ),
    of=CELEBAMASK_HQ.name,
    merges=tuple((f"{side}_{part}", part) for part in _PAIRS for side in "lr"),
)
"""For annotations that exchange left and right now and then, as CelebAMask-HQ's do."""


def choose_label_map(name: str, label_maps: Mapping[str, LabelMap]) -> LabelMap:
    """Return the label map in which masks of CelebAMask-HQ's classes are to be given.

    Args:
        name: ``celebamask_hq``, or a merged form of it.
        label_maps: every label map that the loaded plugins offer.

    Raises:
        FacekitError: no plugin offers it, or it is no merged form of CelebAMask-HQ's classes.
    """
    if name == CELEBAMASK_HQ.name:
        return CELEBAMASK_HQ
    fitting = [CELEBAMASK_HQ.name, *sorted(each.name for each in label_maps.values() if each.of == CELEBAMASK_HQ.name)]
    there_are = f"there are: {', '.join(fitting)}"
    if name not in label_maps:
        remedy = did_you_mean(name, fitting) or there_are
        raise FacekitError(f"no plugin offers the label map {name!r}", where="label_map", remedy=remedy)
    try:
        label_maps[name].merged_ids(CELEBAMASK_HQ)
    except ValueError as error:
        message = f"the masks are in celebamask_hq and cannot be given in {name!r}: {error}"
        raise FacekitError(message, where="label_map", remedy=there_are) from error
    return label_maps[name]


class MergedMasks:
    """Masks of CelebAMask-HQ's classes, given in that label map or in a merged form of it.

    Args:
        label_map: what :func:`choose_label_map` returned.
    """

    def __init__(self, label_map: LabelMap) -> None:
        self.label_map = label_map
        self._table = None if label_map is CELEBAMASK_HQ else label_map.merge_table(CELEBAMASK_HQ)

    @property
    def identity(self) -> list[object]:
        """What belongs into a fingerprint: nothing where masks are as they were made."""
        merged = self.label_map
        return [] if self._table is None else [[merged.name, merged.names, merged.merges]]

    def __call__(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a mask (h, w) of CelebAMask-HQ's ids in the label map."""
        return mask if self._table is None else self._table[mask]
