"""What an evaluator learned from, kept with it, so that it is never asked about the same photos.

A photo is known by its thumbnail (:mod:`facekit.faces.copies`): it is found again in another size, with another resize
filter, JPEG quality or tone, mirrored, and in a slightly different crop. No two different photos of 900 are called the
same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from facekit.faces.copies import THUMBNAIL_SIDE, KnownPhotos
from facekit.interfaces import FacekitError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def thumbnails(photos: Tensor) -> Tensor:
    """Return the colours of photos at 32 x 32 places.

    Args:
        photos: (N, 3, H, W), uint8, or float in [-1, 1].

    Returns:
        (N, 3, 32, 32) uint8.
    """
    levels = photos.float() if photos.dtype == torch.uint8 else (photos.float() + 1) * 127.5
    return F.adaptive_avg_pool2d(levels, THUMBNAIL_SIDE).round().clamp(0, 255).to(torch.uint8).cpu()


def _as_arrays(thumbnails: Tensor) -> NDArray[np.uint8]:
    """Return thumbnails (N, 3, 32, 32) as (N, 32, 32, 3)."""
    return thumbnails.permute(0, 2, 3, 1).numpy()


@dataclass(frozen=True)
class LearnedFrom:
    """The photos an evaluator learned from.

    Args:
        known: their thumbnails, (N, 3, 32, 32) uint8.
        evaluator: the evaluator, for messages.
    """

    known: Tensor
    evaluator: str

    @cached_property
    def _known(self) -> KnownPhotos:
        return KnownPhotos(_as_arrays(self.known))

    def among(self, photos: Tensor) -> Tensor:
        """Return which of some photos (N, 3, H, W) it learned from, (N,) bool."""
        found = torch.zeros(len(photos), dtype=torch.bool)
        found[[row for row, _ in self._known.copies(_as_arrays(thumbnails(photos)))]] = True
        return found

    def refuse(self, photos: Tensor, keys: Sequence[str]) -> None:
        """Check that the evaluator has not learned from photos that are to be measured.

        Args:
            photos: (N, 3, H, W) in [-1, 1].
            keys: their names, for the message.

        Raises:
            FacekitError: it has; the message names the first such photo.
        """
        seen = self.among(photos).nonzero().flatten().tolist()
        if seen:
            raise FacekitError(
                f"the {self.evaluator} has learned from {len(seen)} of these {len(keys)} photos, "
                f"{keys[seen[0]]!r} first: what it says of them is no measurement",
                where="metrics",
                remedy="train an evaluator on other photos (see `facekit evaluator add --help`) and name it in "
                "`evaluator:`",
            )
