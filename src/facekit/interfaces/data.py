"""The interface of datasets. Nothing here knows torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

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
        extra: further arrays by the name of their port (``gives`` of the dataset's spec), such as landmarks, a depth,
            3D parameters. Names, shapes and dtypes are the same for all samples read at one ``size``. Dtypes:
            float32, int64, int32, uint8, bool. Batches hold float32 as float32, integers as int64, and bool as float32
            of 0 and 1. All numbers are finite.
        repairs: what the dataset repaired on reading, from the names of :class:`Repairs`.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8] | None
    attributes: NDArray[np.bool_] | None
    extra: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    repairs: tuple[str, ...] = ()

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

    Datasets are opened from their options and hold no images in memory. A dataset without masks declares it three
    times: its ports do not give ``mask``, its label map is :data:`~facekit.interfaces.NO_LABELS`, and ``mask`` is None
    in all its samples.
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
        """Return a hash that changes when the images, masks, attributes or further arrays change.

        It need not read every pixel."""
        ...

    def read(self, index: int, *, size: int | None = None) -> FaceSample:
        """Read one sample.

        Args:
            index: position in ``keys``.
            size: the side the caller will resize to. A dataset may use it to decode or draw more cheaply; what it
                returns must not be smaller than ``size``, unless the file itself is. Arrays of ``extra`` that depend on
                the side of the image have the shape for ``size``, exactly. Images are cropped to the square in their
                middle; such arrays describe that square.

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


@runtime_checkable
class Repairs(Protocol):
    """What a dataset has beside :class:`FaceDataset` when it repairs known flaws of its files on reading.

    ``facekit data check`` and ``prepare`` count how many samples were repaired.
    """

    @property
    def repair_names(self) -> tuple[str, ...]:
        """What it may repair, in a few words each ("exchanged sides"); empty where the options turn repairs off."""
        ...


@runtime_checkable
class CutFromPhotos(Protocol):
    """What a dataset has beside :class:`FaceDataset` when its samples are parts of photos, such as windows.

    A search for training images looks among the whole photos, since no window shows one whole.
    """

    @property
    def photos(self) -> FaceDataset:
        """The dataset of the whole photos; a split of it has the photos of the parts in the split of that name."""
        ...


@runtime_checkable
class MirrorsExtra(Protocol):
    """What a dataset has beside :class:`FaceDataset` when its ``extra`` arrays can be mirrored (``data.mirror``).

    The core knows how photos, masks and attributes are mirrored. It does not know whether an array holds coordinates,
    angles or a map.
    """

    def mirror_extra(self, extra: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """Return the arrays of a sample for the photo mirrored left to right.

        The method must be a function of its argument alone. The mirrored arrays are packed beside the arrays, so the
        fingerprint must change when the method does.

        Args:
            extra: the arrays of a sample, as :meth:`FaceDataset.read` gave them; copies, which may be changed.

        Returns:
            arrays of the same names, shapes and dtypes. Mirrored twice they are the original.
        """
        ...
