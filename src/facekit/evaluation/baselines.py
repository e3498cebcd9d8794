"""Baselines that need no training: what a number means, and what a model must beat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from facekit.data.loader import to_unit_range
from facekit.data.store import PackedFaces
from facekit.evaluation.runner import TRAIN, System, TargetPhotos
from facekit.interfaces import TASKS, Condition, FacekitError, Generated, Metric, Task

_BYTES_AT_A_TIME = 1 << 26


class CopyReference:
    """Gives back the reference photo, whatever the mask: follows the look fully and the geometry not at all."""

    def __call__(self, condition: Condition) -> Generated:
        """Return the reference photos of a condition."""
        if condition.reference is None:
            raise FacekitError("this baseline gives back a reference photo, and there is none")
        return Generated(condition.reference.image)


class MeanColourPerRegion:
    """Fills each region of the mask in the mean colour that the region has in the reference photo.

    In reconstruction the reference is the photo itself. Regions that the reference does not show get the mean colour
    of the whole reference.
    """

    def __init__(self, *, classes: int) -> None:
        self.classes = classes

    def __call__(self, condition: Condition) -> Generated:
        """Return flat pictures (N, 3, H, W)."""
        reference = condition.reference
        if reference is None or reference.mask is None:
            raise FacekitError(
                "this baseline generates in the style of a reference photo with its mask, and there is none"
            )
        photo, member = reference.image, self._one_hot(reference.mask, reference.image.dtype)
        counts = member.sum((2, 3))
        sums = torch.einsum("nkhw,nchw->nkc", member, photo)
        overall = photo.mean((2, 3)).unsqueeze(1)
        means = torch.where(counts.unsqueeze(-1) > 0, sums / counts.clamp_min(1).unsqueeze(-1), overall)
        return Generated(torch.einsum("nkhw,nkc->nchw", self._one_hot(condition.require_mask(), photo.dtype), means))

    def _one_hot(self, mask: Tensor, dtype: torch.dtype) -> Tensor:
        return F.one_hot(mask, self.classes).permute(0, 3, 1, 2).to(dtype)


class NearestTrainingPhoto:
    """Gives back the training photo whose mask is nearest to the wanted one.

    Nearest is the smallest share of pixels that disagree; of several that are as near, the first.

    Args:
        split: where photos are taken from.

    Raises:
        FacekitError: the data has no masks, or no such split, or it is empty.
    """

    def __init__(self, packed: PackedFaces, *, split: str = "train") -> None:
        self.packed = packed
        self._masks = packed.require_masks()
        self.rows = packed.rows(split)
        if not len(self.rows):
            raise FacekitError(f"the {split} split is empty: it has no nearest photo", where=str(packed.folder))

    def __call__(self, condition: Condition) -> Generated:
        """Return training photos (N, 3, H, W)."""
        wanted = condition.require_mask().cpu().numpy().astype(np.uint8)
        nearest = np.full(len(wanted), -1, dtype=np.int64)
        fewest = np.full(len(wanted), np.iinfo(np.int64).max, dtype=np.int64)
        # In parts, since the masks of a large split do not fit into memory.
        step = max(1, _BYTES_AT_A_TIME // wanted[0].size)
        for start in range(0, len(self.rows), step):
            rows = self.rows[start : start + step]
            masks = self._masks[rows]
            for index, mask in enumerate(wanted):
                disagreeing = np.count_nonzero(masks != mask, axis=(1, 2))
                best = int(disagreeing.argmin())
                if disagreeing[best] < fewest[index]:
                    fewest[index], nearest[index] = disagreeing[best], rows[best]
        return Generated(to_unit_range(self.packed.images[nearest]).to(condition.require_mask().device))


@dataclass(frozen=True)
class Baseline:
    """A baseline, and what it can stand for.

    Args:
        by_masks: whether it looks at masks.
    """

    make: Callable[[PackedFaces], System | TargetPhotos]
    tasks: tuple[Task, ...] = ("reconstruction", "style_copy", "attribute_transfer")
    by_masks: bool = False

    def measured_by(self, metrics: Sequence[Metric], packed: PackedFaces, *, split: str) -> list[Metric]:
        """Return those metrics that it has results for on a split.

        There are none where it looks at masks and the data has none. Training photos do not stand for generated ones
        where they are evaluated themselves.
        """
        if self.by_masks and not packed.label_map.classes:
            return []
        tasks = set(self.tasks) - ({"generation"} if split == TRAIN else set())
        return [metric for metric in metrics if tasks.issuperset(metric.tasks)]


BASELINES: dict[str, Baseline] = {
    "copy_reference": Baseline(lambda packed: CopyReference()),
    "mean_colour_per_region": Baseline(
        lambda packed: MeanColourPerRegion(classes=len(packed.label_map)), by_masks=True
    ),
    "nearest_training_photo_by_mask": Baseline(lambda packed: NearestTrainingPhoto(packed), by_masks=True),
    "real_photos": Baseline(lambda packed: TargetPhotos(), TASKS),
}
"""Every baseline by name. ``real_photos`` is none to beat: it shows the measure's own mistakes, and in ``generation``
what training photos would get."""


def left_out(names: Sequence[str], packed: PackedFaces) -> str:
    """Return a sentence on baselines that are left out."""
    masks = "" if packed.label_map.classes else ", and the data has no masks"
    return (
        f"left out: {', '.join(names)}. They make images from references and masks of test faces, which the measured "
        f"tasks do not have or the metrics do not look at alone{masks}"
    )
