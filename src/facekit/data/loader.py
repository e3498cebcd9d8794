"""The loader: batches of packed faces as tensors, each a pure function of the seed and the step."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from facekit.data.geometry import Box, mirror_mask, mirror_photo, resize_mask, resize_photo
from facekit.data.hiding import chosen_regions, hide_regions
from facekit.data.sampling import augmentation_numbers, stream
from facekit.data.store import PackedFaces
from facekit.interfaces import FaceBatch, FacekitError, Reference

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = Sequence[int] | NDArray[np.int64]

_BATCHES_AHEAD = 2


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


@dataclass(frozen=True)
class PlainReference:
    """The reference is the photo itself."""

    crop: float = 1.0
    mirror: bool = False
    hide_regions: float = 0.0


def is_drawn(reference: ReferenceAugmentation) -> bool:
    """Return whether references are pictures of their own, and not the photos themselves."""
    return reference.crop < 1 or reference.mirror or reference.hide_regions > 0


class FaceLoader:
    """Batches of faces for training.

    ``batch(step)`` depends on the arguments below and on ``step`` alone: not on what was asked before, and not on
    ``workers``. So a run that resumes at a step sees what it would have seen.

    The faces form one endless stream of shuffled epochs, and each (step, micro-batch, rank) takes the next ``batch`` of
    it. Epochs follow each other without a gap, so there is no short last batch and nothing is dropped; a batch at a
    border may hold a face twice, and a batch larger than the split always does.

    Args:
        packed: the packed faces.
        rows: which of them, e.g. ``packed.rows("train")``.
        batch: faces in a (micro-)batch.
        seed: seed of the order and of the augmentation.
        mirror: mirror photos at random, half of them; left and right classes change places, attributes stay.
        reference: how the reference is drawn from the (possibly mirrored) photo.
        workers: threads behind :meth:`prefetch`; 0 makes each batch when it is asked for.
        accumulate: micro-batches in a step.
        rank: which of ``world_size`` processes this is; each gets other faces of the same stream.
        world_size: how many processes train together.
        pin_memory: put batches into pinned memory, from which they are copied to CUDA without blocking; where there is
            CUDA, when None.

    Raises:
        FacekitError: there are no rows.
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        packed: PackedFaces,
        rows: Rows,
        *,
        batch: int,
        seed: int,
        mirror: bool = False,
        reference: ReferenceAugmentation | None = None,
        workers: int = 1,
        accumulate: int = 1,
        rank: int = 0,
        world_size: int = 1,
        pin_memory: bool | None = None,
    ) -> None:
        self.packed = packed
        self.rows = np.asarray(rows, dtype=np.int64)
        if not len(self.rows):
            raise FacekitError("there are no faces to load", where=str(packed.folder))
        if self.rows.min() < 0 or self.rows.max() >= len(packed):
            raise ValueError(f"rows must be in 0..{len(packed) - 1}")
        if batch < 1 or accumulate < 1 or workers < 0:
            raise ValueError("batch and accumulate must be at least 1, workers at least 0")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank {rank} is not in 0..{world_size - 1}")
        reference = PlainReference() if reference is None else reference
        if not 0 < reference.crop <= 1:
            raise ValueError(f"reference.crop is {reference.crop}; it is a share, above 0 and at most 1")
        if not 0 <= reference.hide_regions < 1:
            raise ValueError(f"reference.hide_regions is {reference.hide_regions}; it is a chance, below 1")
        self.batch_size = batch
        self.seed = seed
        self.mirror = mirror
        self.reference = reference
        self.workers = workers
        self.accumulate = accumulate
        self.rank = rank
        self.world_size = world_size
        self._pin = torch.cuda.is_available() if pin_memory is None else pin_memory
        self._mirror_table = packed.label_map.mirror_table()

    def batch(self, step: int, micro: int = 0) -> FaceBatch:
        """Return a batch: CPU tensors, images float32 in [-1, 1], masks int64.

        Args:
            step: number of the update, from 0.
            micro: number of the micro-batch in it, 0..accumulate-1.
        """
        if step < 0 or not 0 <= micro < self.accumulate:
            raise ValueError(f"there is no step {step}, micro-batch {micro}")
        start = ((step * self.accumulate + micro) * self.world_size + self.rank) * self.batch_size
        rows = self.rows[stream(self.seed, len(self.rows), start, self.batch_size)]
        shape = (self.batch_size, self.packed.size, self.packed.size)
        images, masks = np.empty((*shape, 3), np.uint8), np.empty(shape, np.uint8)
        own_reference = is_drawn(self.reference)
        reference_images = np.empty_like(images) if own_reference else images
        reference_masks = np.empty_like(masks) if own_reference else masks
        for i, row in enumerate(rows):
            chances = augmentation_numbers(self.seed, start + i, 5 + len(self.packed.label_map))
            image, mask = self.packed.images[row], self.packed.masks[row]
            if self.mirror and chances[0] < 0.5:
                image, mask = mirror_photo(image), mirror_mask(mask, self._mirror_table)
            images[i], masks[i] = image, mask
            if own_reference:
                reference_images[i], reference_masks[i] = self._draw_reference(images[i], masks[i], chances[1:])
        return _to_batch(self.packed, rows, images, masks, reference_images, reference_masks, pin=self._pin)

    def prefetch(self, first_step: int, last_step: int) -> Iterator[FaceBatch]:
        """Yield the batches of the steps ``first_step`` to ``last_step - 1``, made ahead by ``workers`` threads.

        With ``accumulate`` above 1 each step yields its micro-batches one after the other. At most ``2 * workers``
        batches are made ahead. The threads end with the iterator: when it is exhausted, closed, or forgotten by
        a loop that an exception or Ctrl-C left.
        """
        wanted = ((step, micro) for step in range(first_step, last_step) for micro in range(self.accumulate))
        if self.workers == 0:
            for step, micro in wanted:
                yield self.batch(step, micro)
            return
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="facekit-loader")
        ahead: deque[Future[FaceBatch]] = deque()
        try:
            for step, micro in wanted:
                ahead.append(pool.submit(self.batch, step, micro))
                if len(ahead) > _BATCHES_AHEAD * self.workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _draw_reference(
        self, image: NDArray[np.uint8], mask: NDArray[np.uint8], chances: NDArray[np.float64]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        size = self.packed.size
        if self.reference.crop < 1:
            side = size * (self.reference.crop + (1 - self.reference.crop) * float(chances[0]))
            box = Box(float(chances[1]) * (size - side), float(chances[2]) * (size - side), side)
            image = resize_photo(image, size, box, resample=Image.Resampling.BICUBIC)
            mask = resize_mask(mask, size, box)
        if self.reference.mirror and chances[3] < 0.5:
            image, mask = mirror_photo(image), mirror_mask(mask, self._mirror_table)
        if self.reference.hide_regions:
            image, mask = hide_regions(image, mask, chosen_regions(mask, chances[4:], self.reference.hide_regions))
        return image, mask


def fixed_batch(packed: PackedFaces, rows: Rows) -> FaceBatch:
    """Return given faces as they are, each its own reference, on the CPU (samples, evaluation).

    For faces in the look of others, see :func:`swapped_pairs` and :meth:`Condition.with_reference`.
    """
    chosen = np.asarray(rows, dtype=np.int64)
    images, masks = packed.images[chosen], packed.masks[chosen]
    return _to_batch(packed, chosen, images, masks, images, masks, pin=False)


def to_unit_range(images: NDArray[np.uint8]) -> Tensor:
    """Return pictures (N, H, W, 3) uint8 as a tensor (N, 3, H, W) float32 in [-1, 1]."""
    planes = np.divide(images.transpose(0, 3, 1, 2), np.float32(127.5), dtype=np.float32, order="C")
    planes -= 1
    return torch.from_numpy(planes)


def _to_batch(
    packed: PackedFaces,
    rows: NDArray[np.int64],
    images: NDArray[np.uint8],
    masks: NDArray[np.uint8],
    reference_images: NDArray[np.uint8],
    reference_masks: NDArray[np.uint8],
    *,
    pin: bool,
) -> FaceBatch:
    def place(tensor: Tensor) -> Tensor:
        return tensor.pin_memory() if pin else tensor

    image, mask = place(to_unit_range(images)), place(torch.from_numpy(masks.astype(np.int64)))
    if reference_images is images:
        reference_image, reference_mask = image, mask
    else:
        reference_image = place(to_unit_range(reference_images))
        reference_mask = place(torch.from_numpy(reference_masks.astype(np.int64)))
    attributes = None
    if packed.attributes is not None:
        attributes = place(torch.from_numpy(packed.attributes[rows].astype(np.float32)))
    return FaceBatch(
        image=image,
        keys=tuple(packed.keys[int(row)] for row in rows),
        mask=mask,
        reference=Reference(reference_image, reference_mask, attributes),
        attributes=attributes,
    )
