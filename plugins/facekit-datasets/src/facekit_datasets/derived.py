"""Attributes that are read off masks and photos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from facekit.faces.attributes import SHOWN_BY, TINTED_GLASSES, shows
from facekit.faces.glasses import TINTED_VERSION, tinted_glasses
from facekit.interfaces import FacekitError, LabelMap
from facekit_datasets.options import DerivedOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray


class DerivedAttributes:
    """Reads the attributes that options ask for off masks and photos.

    Args:
        options: which attributes.
        label_map: what the ids of the masks mean.

    Raises:
        FacekitError: the label map does not have a class that shows one of them.
    """

    def __init__(self, options: DerivedOptions, label_map: LabelMap) -> None:
        self.names = options.derived_names
        self._areas = options.mask_attributes
        self._label_map = label_map
        classes = {name: SHOWN_BY[name] for name in self._areas} | (
            {TINTED_GLASSES: "eye_g"} if options.tinted_glasses else {}
        )
        for name, shown in classes.items():
            if shown not in label_map.names:
                raise FacekitError(
                    f"{name} is read off the class {shown!r}, which the label map {label_map.name!r} does not have",
                    where="tinted_glasses" if name == TINTED_GLASSES else "mask_attributes",
                    remedy="take the attribute from the attribute file",
                )

    @property
    def identity(self) -> list[object]:
        """What belongs into a fingerprint: nothing where no attribute is read off masks."""
        if not self.names:
            return []
        return [["derived", sorted(self._areas.items()), TINTED_VERSION if TINTED_GLASSES in self.names else 0]]

    def among(self, known: Sequence[str]) -> tuple[str, ...]:
        """Return the names of an attribute file, and those read off masks that it does not have."""
        return (*known, *(name for name in self.names if name not in known))

    def fill(
        self,
        attributes: NDArray[np.bool_],
        names: Sequence[str],
        mask: NDArray[np.uint8],
        photo: Callable[[], NDArray[np.uint8]],
    ) -> NDArray[np.bool_]:
        """Return attributes with those that are read off masks and photos in place.

        Args:
            attributes: (A,) in the order of ``names``.
            names: the dataset's attributes.
            mask: class ids (h, w), as large as they are annotated: areas do not depend on a size of training.
            photo: gives the photo (H, W, 3) uint8 in full, where it is needed.
        """
        filled = attributes.copy()
        for name, area in self._areas.items():
            filled[names.index(name)] = shows(mask, self._label_map, name, area)
        if TINTED_GLASSES in self.names:
            worn = (mask == self._label_map.id_of("eye_g")).any()
            filled[names.index(TINTED_GLASSES)] = bool(worn) and tinted_glasses(photo(), mask, self._label_map)
        return filled
