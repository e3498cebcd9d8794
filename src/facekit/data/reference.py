"""How the reference of a training photo is drawn from it. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from facekit.interfaces import FacekitError, LabelMap


class ReferenceAugmentation(Protocol):
    """How the reference is drawn from its photo; ``facekit.recipe.settings.ReferenceSettings`` is one."""

    @property
    def crop(self) -> float:
        """Smallest side of a random square crop, as a share of the picture; 1 crops nothing."""
        ...

    @property
    def mirror(self) -> bool:
        """Whether the reference is mirrored at random, apart from the photo itself."""
        ...

    @property
    def hide_regions(self) -> float:
        """How likely each of its smaller regions is painted over."""
        ...

    @property
    def warp(self) -> float:
        """How far its parts move at most, as a share of the side; 0 moves nothing."""
        ...


@dataclass(frozen=True)
class PlainReference:
    """The reference is the photo itself."""

    crop: float = 1.0
    mirror: bool = False
    hide_regions: float = 0.0
    warp: float = 0.0


def is_drawn(reference: ReferenceAugmentation) -> bool:
    """Return whether references are pictures of their own, and not the photos themselves."""
    return reference.crop < 1 or reference.mirror or reference.hide_regions > 0 or reference.warp > 0


def check_reference(reference: ReferenceAugmentation, label_map: LabelMap) -> None:
    """Raise FacekitError where references cannot be drawn from photos of a label map: regions need masks."""
    if reference.hide_regions and not label_map.classes:
        raise FacekitError(
            "regions of the reference are hidden by its mask, and the dataset has photos without masks",
            where="data.reference.hide_regions",
            remedy="set it to 0, or take a dataset with masks",
        )
