"""What a judge learned from, kept with it, so that it is never asked about the same photos.

A photo is known by its colours at 8 x 8 places: they survive another size, another resize filter, another JPEG
quality and a slightly different crop, and no two photos share them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from facekit.interfaces import FacekitError

SIDE = 8
CLOSE = 8.0
"""Largest difference of levels (0 to 255), averaged over places and colours, between two forms of one photo.
CelebA's and CelebA-HQ's crops of the same photos differ by 2 to 8, other photos by 12 and more."""


def thumbnails(photos: Tensor) -> Tensor:
    """Return the colours of photos at 8 x 8 places.

    Args:
        photos: (N, 3, H, W), uint8, or float in [-1, 1].

    Returns:
        (N, 3, 8, 8) uint8.
    """
    levels = photos.float() if photos.dtype == torch.uint8 else (photos.float() + 1) * 127.5
    return F.adaptive_avg_pool2d(levels, SIDE).round().clamp(0, 255).to(torch.uint8).cpu()


@dataclass(frozen=True)
class LearnedFrom:
    """The photos a judge learned from.

    Args:
        known: their thumbnails, (N, 3, 8, 8) uint8.
        judge: the judge, for messages.
    """

    known: Tensor
    judge: str

    def among(self, photos: Tensor) -> Tensor:
        """Return which of some photos (N, 3, H, W) it learned from, (N,) bool."""
        if not len(self.known) or not len(photos):
            return torch.zeros(len(photos), dtype=torch.bool)
        wanted = thumbnails(photos).flatten(1).float()
        distance = torch.cdist(wanted, self.known.flatten(1).float(), p=1) / wanted.shape[1]
        return (distance < CLOSE).any(1)

    def refuse(self, photos: Tensor, keys: Sequence[str]) -> None:
        """Check that the judge has not learned from photos that are to be measured.

        Args:
            photos: (N, 3, H, W) in [-1, 1].
            keys: their names, for the message.

        Raises:
            FacekitError: it has; the message names the first such photo.
        """
        seen = self.among(photos).nonzero().flatten().tolist()
        if seen:
            raise FacekitError(
                f"the {self.judge} has learned from {len(seen)} of these {len(keys)} photos, {keys[seen[0]]!r} first: "
                "what it says of them is no measurement",
                where="metrics",
                remedy="train a judge on other photos (`facekit judge train --help`, `--with splits=`) and name it in "
                "`judge:`",
            )
