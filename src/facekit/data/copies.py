"""Photos of one split that another split has as well, in whatever form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from facekit.faces import KnownPhotos
from facekit.interfaces import FaceDataset, Finding

if TYPE_CHECKING:
    from numpy.typing import NDArray


def copy_findings(dataset: FaceDataset, thumbnails: Mapping[int, NDArray[np.uint8]]) -> Iterator[Finding]:
    """Find photos that two splits share: a copy would be tested on what was learned.

    Args:
        dataset: the photos.
        thumbnails: the thumbnail (32, 32, 3) of each readable sample, by its index.
    """
    splits = {
        split: [int(index) for index in indices if int(index) in thumbnails]
        for split, indices in dataset.splits().items()
    }
    for first, second in combinations([split for split, indices in splits.items() if indices], 2):
        ours, theirs = (np.stack([thumbnails[index] for index in splits[split]]) for split in (second, first))
        matches: dict[int, list[int]] = {}
        for row, other in KnownPhotos(theirs).copies(ours):
            if splits[second][row] != splits[first][other]:  # one sample in two splits is an error of its own
                matches.setdefault(splits[second][row], []).append(splits[first][other])
        for index, others in matches.items():
            more = f" and {len(others) - 1} more" if len(others) > 1 else ""
            yield Finding(
                "warning",
                f"sample {dataset.keys[index]}",
                f"the photo, of the {second} split, is also in the {first} split: {dataset.keys[others[0]]}{more} "
                "(tone, size, mirroring and small differences of crop aside)",
                "leave one of them out of the splits",
            )
