"""Findings about a whole dataset: images that two splits share, and attribute files that were read off masks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from facekit.faces import SHOWN_BY, VISIBLE_MOUTH, KnownPhotos, ShownAttribute, shows
from facekit.interfaces import FaceDataset, FaceSample, Finding

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ATTRIBUTE: ShownAttribute = "Mouth_Slightly_Open"
_READ_OFF = 0.99  # agreement that people's labels and masks never reach; they agree in about 9 of 10 photos
_FEWEST = 20  # faces that are enough to decide


def copy_findings(dataset: FaceDataset, thumbnails: Mapping[int, NDArray[np.uint8]]) -> Iterator[Finding]:
    """Find photos that two splits share: a copy leaks training data into the test.

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


def mouth_of(dataset: FaceDataset, sample: FaceSample) -> tuple[bool, bool, bool] | None:
    """Return whether a face has the attribute, whether its mask shows any mouth, and whether one that people see.

    None where the dataset does not have both.
    """
    if sample.mask is None or sample.attributes is None or _ATTRIBUTE not in dataset.attribute_names:
        return None
    if SHOWN_BY[_ATTRIBUTE] not in dataset.label_map.names:
        return None
    labelled = bool(sample.attributes[dataset.attribute_names.index(_ATTRIBUTE)])
    any_mouth, visible = (shows(sample.mask, dataset.label_map, _ATTRIBUTE, area) for area in (0, VISIBLE_MOUTH))
    return labelled, any_mouth, visible


def mouth_findings(mouths: Sequence[tuple[bool, bool, bool]]) -> Iterator[Finding]:
    """Find an attribute file that calls the mouth open for every mask with a pixel of mouth.

    Args:
        mouths: what :func:`mouth_of` returned for each face.
    """
    agreed = sum(labelled == any_mouth for labelled, any_mouth, _ in mouths)
    small = sum(labelled and any_mouth and not visible for labelled, any_mouth, visible in mouths)
    open_mouths = sum(labelled for labelled, _, _ in mouths)
    if len(mouths) < _FEWEST or agreed < _READ_OFF * len(mouths) or not small:
        return
    yield Finding(
        "warning",
        f"attribute {_ATTRIBUTE}",
        f"it is read off the masks from a single pixel on: {small} of the {open_mouths} mouths that are called open "
        f"cover less than {VISIBLE_MOUTH:.1%} of the picture, which looks shut",
        f"read it off larger areas, where the dataset has the option: mask_attributes: {{{_ATTRIBUTE}: 0.004}}, or "
        f"{VISIBLE_MOUTH:g} for what people see in photos of 512 pixels",
    )
