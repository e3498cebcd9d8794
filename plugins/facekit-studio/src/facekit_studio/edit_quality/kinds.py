"""The edits that are measured: what each does, to which photos, what it shows, and what real photos show the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facekit.faces.glasses import TINTED_VERSION, lenses_of
from facekit.interfaces import FacekitError, LabelMap, did_you_mean

if TYPE_CHECKING:
    from facekit_studio.editing.script import EditScript
    from facekit_studio.editing.script.masks import Ids, Pixels

_SCRIPTS = Path(__file__).parent / "scripts"

SEEN = 0.004
"""Share of the picture from which on an open mouth is one that people see as open."""

_LIPS = ("u_lip", "l_lip", "lip")
_EYES = ("l_eye", "r_eye", "eye")
_BROWS = ("l_brow", "r_brow", "brow")


@dataclass(frozen=True)
class Share:
    """A condition on how much of a photo some classes cover.

    Args:
        classes: the classes, together; those that the label map lacks cover nothing.
        above: they cover more than this share of the picture.
        up_to: and at most this.
    """

    classes: tuple[str, ...]
    above: float = -1.0
    up_to: float = 1.0

    def holds(self, mask: Ids, label_map: LabelMap) -> bool:
        """Return whether a mask (H, W) of class ids meets it."""
        return self.above < float(pixels_of_classes(mask, self.classes, label_map).mean()) <= self.up_to

    def __str__(self) -> str:
        bounds = [f"above {self.above:.2%}"] if self.above >= 0 else []
        bounds += [f"up to {self.up_to:.2%}"] if self.up_to < 1 else []
        return f"{'+'.join(self.classes)} {' and '.join(bounds)}"


@dataclass(frozen=True)
class NamedEdit:
    """An edit that is measured.

    Args:
        name: of the script, a file of this package.
        applies: conditions on the masks of photos that it is made for.
        kind: conditions on the masks of real photos that show what its results should show.
        parts: the classes of each part in which texture and colour are measured, by the part's name.
        window: the parts that the window of a crop is laid around.
        attribute: an attribute of CelebA, and whether results should have it, for an attribute classifier.
        needs: classes without which the edit makes no sense.
        again: classes that are generated anew where they were, although the mask stays the same there.
        clear_glasses: whether photos show clear glasses, which must stay clear.
    """

    name: str
    applies: tuple[Share, ...]
    kind: tuple[Share, ...]
    parts: Mapping[str, tuple[str, ...]]
    window: tuple[str, ...]
    attribute: tuple[str, bool] | None = None
    needs: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    clear_glasses: bool = False

    def script(self, label_map: LabelMap) -> EditScript:
        """Return its script.

        Raises:
            FacekitError: the label map lacks a class that it is about.
        """
        from facekit_studio.editing.script import read_script

        for name in self.needs:
            if name not in label_map.names:
                raise FacekitError(
                    f"{self.name} is about the class {name!r}, which the label map {label_map.name} does not have"
                )
        return read_script(_SCRIPTS / f"{self.name}.yaml", label_map=label_map)

    def is_made_for(self, mask: Ids, label_map: LabelMap) -> bool:
        """Return whether a photo with this mask is edited."""
        return all(share.holds(mask, label_map) for share in self.applies)

    def is_shown_by(self, mask: Ids, label_map: LabelMap) -> bool:
        """Return whether a real photo with this mask shows what results should show."""
        return all(share.holds(mask, label_map) for share in self.kind)

    def suits(self, image: NDArray[np.uint8], mask: Ids, label_map: LabelMap) -> bool:
        """Return whether a photo (H, W, 3) shows clear glasses, where the edit is about them; masks do not tell."""
        return not self.clear_glasses or glasses_are_clear(image, mask, label_map) is True

    def changed(self, before: Ids, wanted: Ids, label_map: LabelMap) -> Pixels:
        """Return the pixels that the edit is about: those of another class, and those that are generated anew."""
        return np.asarray((wanted != before) | pixels_of_classes(before, self.again, label_map))

    def part(self, name: str, mask: Ids, label_map: LabelMap) -> Pixels:
        """Return the pixels of a part in a mask."""
        return pixels_of_classes(mask, self.parts[name], label_map)

    def shown(self, mask: Ids, label_map: LabelMap) -> Pixels:
        """Return the pixels that the window of a crop is laid around."""
        return pixels_of_classes(mask, [name for part in self.window for name in self.parts[part]], label_map)

    def told(self) -> dict[str, str]:
        """Return what two figures must share of it to be compared."""
        return {
            "edited": ", ".join(map(str, self.applies)),
            "kind": ", ".join(map(str, self.kind)),
            **({"again": "+".join(self.again)} if self.again else {}),
            **({"glasses": f"clear before, by the photo (version {TINTED_VERSION})"} if self.clear_glasses else {}),
            "parts": "; ".join(f"{name} {'+'.join(classes)}" for name, classes in self.parts.items()),
        }


NAMED_EDITS: dict[str, NamedEdit] = {
    edit.name: edit
    for edit in (
        NamedEdit(
            "open_mouth",
            applies=(Share(("mouth",), up_to=SEEN), Share(_LIPS, above=0.001)),
            kind=(Share(("mouth",), above=SEEN),),
            parts={"mouth": ("mouth",), "lips": _LIPS},
            window=("mouth", "lips"),
            attribute=("Mouth_Slightly_Open", True),
            needs=("mouth", "u_lip", "l_lip"),
        ),
        NamedEdit(
            "close_mouth",
            applies=(Share(("mouth",), above=SEEN), Share(_LIPS, above=0.001)),
            kind=(Share(("mouth",), up_to=0.0005), Share(_LIPS, above=0.001)),
            parts={"lips": _LIPS, "skin": ("skin",)},
            window=("lips",),
            attribute=("Mouth_Slightly_Open", False),
            needs=("mouth", "u_lip", "l_lip"),
        ),
        NamedEdit(
            "remove_glasses",
            applies=(Share(("eye_g",), above=SEEN),),
            kind=(Share(("eye_g",), up_to=0.0), Share(_EYES, above=0.001), Share(_BROWS, above=0.001)),
            parts={"eyes": _EYES, "brows": _BROWS, "skin": ("skin",)},
            window=("eyes", "brows"),
            attribute=("Eyeglasses", False),
            needs=("eye_g",),
        ),
        NamedEdit(
            "longer_hair",
            applies=(Share(("hair",), above=0.02), Share(("hat",), up_to=SEEN)),
            kind=(Share(("hair",), above=0.2), Share(("hat",), up_to=SEEN)),
            parts={"hair": ("hair",)},
            window=("hair",),
            needs=("hair", "neck", "cloth"),
        ),
        NamedEdit(
            "raise_brows",
            applies=(Share(_BROWS, above=0.001), Share(_EYES, above=0.001), Share(("eye_g",), up_to=0.0)),
            kind=(Share(_BROWS, above=0.001), Share(_EYES, above=0.001), Share(("eye_g",), up_to=0.0)),
            parts={"brows": _BROWS, "skin": ("skin",)},
            window=("brows",),
        ),
        NamedEdit(
            "move_glasses",
            applies=(Share(("eye_g",), above=SEEN),),
            kind=(Share(("eye_g",), above=SEEN),),
            parts={"glasses": ("eye_g",)},
            window=("glasses",),
            attribute=("Eyeglasses", True),
            needs=("eye_g",),
            again=("eye_g",),
            clear_glasses=True,
        ),
    )
}
"""Every edit that is measured, by name."""


def named_edit(name: str) -> NamedEdit:
    """Return an edit by name. Raises FacekitError with the near names for one that there is not."""
    if name not in NAMED_EDITS:
        raise FacekitError(
            f"there is no script {name!r} to measure",
            where="--script",
            remedy=did_you_mean(name, NAMED_EDITS) or f"there are {', '.join(NAMED_EDITS)}",
        )
    return NAMED_EDITS[name]


def glasses_are_clear(image: NDArray[np.uint8], mask: Ids, label_map: LabelMap) -> bool | None:
    """Return whether the glasses of a photo (H, W, 3) with its mask (h, w) are clear; None where no lenses are seen."""
    lenses = lenses_of(image, mask, label_map)
    return None if lenses is None else not lenses.tinted


def pixels_of_classes(mask: Ids, names: Sequence[str], label_map: LabelMap) -> Pixels:
    """Return the pixels of a mask (H, W) that are of one of some classes; unknown ones have none."""
    known = [label_map.id_of(name) for name in names if name in label_map.names]
    return np.isin(mask, np.asarray(known, dtype=np.uint8))
