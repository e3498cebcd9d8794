"""The interface of datasets. Nothing here knows torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from facekit.interfaces.errors import FacekitError
from facekit.interfaces.labels import LabelMap

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SPLITS = ("train", "validation", "test", "extra")
"""The split names a dataset may use. ``extra`` holds photos for training evaluation networks only."""


@dataclass(frozen=True, slots=True)
class FaceSample:
    """One face as it lies in a dataset.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (h, w) uint8 class ids; may differ from the photo in size, never in aspect. None in a dataset without
            masks. A dataset gives masks for all its samples or for none.
        attributes: (A,) bool in the order of ``attribute_names``; None where the dataset has none.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8] | None
    attributes: NDArray[np.bool_] | None

    def require_mask(self) -> NDArray[np.uint8]:
        """Return the mask. Raises FacekitError when the dataset has photos without masks."""
        if self.mask is None:
            raise FacekitError(
                "this needs masks, and the dataset has photos without masks", remedy="take a dataset with masks"
            )
        return self.mask


@dataclass(frozen=True, slots=True)
class Finding:
    """Something ``facekit data check`` found: how bad it is, the file or sample it is in, what is wrong, what to do."""

    level: Literal["error", "warning"]
    where: str
    message: str
    remedy: str | None = None


@runtime_checkable
class FaceDataset(Protocol):
    """Faces, with masks or without, read one at a time by index.

    Datasets are opened from their options and hold no pictures in memory. A dataset without masks says so three times:
    its ports do not give ``mask``, its label map is :data:`~facekit.interfaces.NO_LABELS`, and ``mask`` is None in all
    its samples.
    """

    @property
    def label_map(self) -> LabelMap:
        """What the ids of the masks mean; :data:`~facekit.interfaces.NO_LABELS` where there are no masks."""
        ...

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """The attributes each sample has, CelebA's names; empty for none."""
        ...

    @property
    def keys(self) -> Sequence[str]:
        """A stable, readable name for each sample (a file stem)."""
        ...

    def splits(self) -> dict[str, Sequence[int]]:
        """Return the sample indices of each split the dataset has, by a name of :data:`SPLITS`.

        Splits never overlap.
        """
        ...

    def fingerprint(self) -> str:
        """Return a hash that changes when the pictures, masks or attributes change, without reading every pixel."""
        ...

    def read(self, index: int, *, size: int | None = None) -> FaceSample:
        """Read one sample.

        Args:
            index: position in ``keys``.
            size: the side the caller will resize to. A dataset may use it to decode or draw more cheaply; what it
                returns must not be smaller than ``size``, unless the file itself is.

        Raises:
            FacekitError: naming the file that cannot be read.
        """
        ...

    def check(self, index: int) -> list[Finding]:
        """Return what is wrong with one sample, from reading it in full; never raises for a bad file."""
        ...

    def check_all(self) -> list[Finding]:
        """Return what is wrong with the dataset as a whole: photos without masks, a missing attribute file."""
        ...
