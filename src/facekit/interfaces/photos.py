"""Real photos for metrics that compare sets of images. Importing this module does not import torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

EVALUATED = "evaluated"
"""In place of a split's name: the photos of the faces that are evaluated, whichever split they are of."""


class RealPhotos(Protocol):
    """The real photos of one split, at the size and as sharp as fakes are compared with them.

    Nothing is read before it is asked for, so that a metric can be built, and its options checked, before the data is
    prepared.
    """

    @property
    def split(self) -> str:
        """The split they are of."""
        ...

    @property
    def keys(self) -> Sequence[str]:
        """The keys of their faces, in order."""
        ...

    def __len__(self) -> int: ...

    def fingerprint(self, start: int = 0, stop: int | None = None) -> str:
        """Return the SHA-256, in hex, of the 8-bit pixels of photos ``start`` to ``stop``.

        It names what a metric may keep in :func:`~facekit.interfaces.cache_folder`: features, statistics.
        """
        ...

    def read(self, start: int = 0, stop: int | None = None) -> Tensor:
        """Return photos ``start`` to ``stop``, (N, 3, H, W) float32 in [-1, 1], on the CPU."""
        ...


class PhotoSource(Protocol):
    """Gives the real photos of a split."""

    def __call__(self, split: str) -> RealPhotos:
        """Return the photos of a split, or of :data:`EVALUATED`.

        Raises:
            FacekitError: there is no such split, or it is empty.
        """
        ...
