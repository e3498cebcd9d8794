"""The loader: batches of packed faces as tensors, each a pure function of the seed and the step."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from facekit.data.extras import check_mirror
from facekit.data.geometry import Box, mirror_mask, mirror_photo, resize_mask, resize_photo
from facekit.data.reference import (
    PLAIN,
    WARP_NUMBERS,
    ReferenceAugmentation,
    chosen_regions,
    hide_regions,
    move_mask,
    move_photo,
    warped_places,
)
from facekit.data.rows import PackedRows
from facekit.data.sampling import augmentation_numbers, stream
from facekit.data.store import PackedFaces
from facekit.interfaces import FaceBatch, FacekitError, Reference, map_tensors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = Sequence[int] | NDArray[np.int64]
    _Several = NDArray[np.uint8] | PackedRows

_BATCHES_AHEAD = 2


class _Pictures(NamedTuple):
    """Photos (H, W, 3) or (N, H, W, 3) uint8 with their masks (H, W) or (N, H, W); None for photos without masks."""

    photo: NDArray[np.uint8]
    mask: NDArray[np.uint8] | None


class FaceLoader:
    """Batches of faces for training.

    ``batch(step)`` depends on the arguments below and on ``step`` alone, neither on earlier calls nor on ``workers``,
    so a resumed run gets the same batches.

    The faces form one endless stream of shuffled epochs, and each (step, micro-batch, rank) takes the next ``batch`` of
    it. Epochs follow each other without a gap, so there is no short last batch and nothing is dropped; a batch at a
    border may hold a face twice, and a batch larger than the split always does.

    Args:
        packed: the packed faces.
        rows: which of them, e.g. ``packed.rows("train")``.
        batch: faces in a (micro-)batch.
        seed: seed of the order and of the augmentation.
        mirror: mirror photos at random, half of them; left and right classes of their masks change places, attributes
            stay, and further arrays are those that were packed for mirrored photos.
        reference: how the reference is drawn from the (possibly mirrored) photo.
        workers: threads behind :meth:`prefetch`; 0 makes each batch when it is asked for.
        accumulate: micro-batches in a step.
        rank: which of ``world_size`` processes this is; each gets other faces of the same stream.
        world_size: how many processes train together.
        pixels: :meth:`prefetch` yields batches as :meth:`pixels` does, to be copied to a GPU and unpacked there.

    Raises:
        FacekitError: there are no rows, regions of references are to be hidden in photos without masks, or photos are
            to be mirrored whose further arrays were not packed for mirrored photos.
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
        reference: ReferenceAugmentation = PLAIN,
        workers: int = 1,
        accumulate: int = 1,
        rank: int = 0,
        world_size: int = 1,
        pixels: bool = False,
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
        reference.check(packed.label_map)
        if mirror:
            check_mirror(packed.extra, can_mirror=bool(packed.mirrored_extra))
        self.batch_size = batch
        self.seed = seed
        self.mirror = mirror
        self.reference = reference
        self.workers = workers
        self.accumulate = accumulate
        self.rank = rank
        self.world_size = world_size
        self._make = self.pixels if pixels else self.batch
        self._mirror_table = packed.label_map.mirror_table()

    def batch(self, step: int, micro: int = 0) -> FaceBatch:
        """Return a batch: CPU tensors, images float32 in [-1, 1], masks int64 or None for photos without masks.

        Args:
            step: number of the update, from 0.
            micro: number of the micro-batch in it, 0..accumulate-1.
        """
        return unpack(self.pixels(step, micro))

    def pixels(self, step: int, micro: int = 0) -> FaceBatch:
        """Return a batch as :func:`unpack` takes it, where there is CUDA in pinned memory, which it is copied from
        without blocking."""
        if step < 0 or not 0 <= micro < self.accumulate:
            raise ValueError(f"there is no step {step}, micro-batch {micro}")
        start = ((step * self.accumulate + micro) * self.world_size + self.rank) * self.batch_size
        rows = self.rows[stream(self.seed, len(self.rows), start, self.batch_size)]
        faces = self._empty()
        references = self._empty() if self.reference.is_drawn else faces
        mirrored = np.zeros(len(rows), dtype=bool)
        for i, row in enumerate(rows):
            chances = augmentation_numbers(self.seed, start + i, 5 + len(self.packed.label_map) + WARP_NUMBERS)
            face = _one(self.packed.images, self.packed.masks, row)
            if self.mirror and chances[0] < 0.5:
                face = self._mirrored(face)
                mirrored[i] = True
            _put(faces, i, face)
            if references is not faces:
                _put(references, i, self._draw_reference(_one(*faces, i), chances[1:]))
        batch = _to_pixels(self.packed, rows, faces, references, mirrored=mirrored)
        return map_tensors(batch, Tensor.pin_memory) if torch.cuda.is_available() else batch

    def prefetch(self, first_step: int, last_step: int) -> Generator[FaceBatch]:
        """Yield the batches of the steps ``first_step`` to ``last_step - 1``, made ahead by ``workers`` threads.

        With ``accumulate`` above 1 each step yields its micro-batches one after the other. At most ``2 * workers``
        batches are made ahead. The threads end with the iterator: when it is exhausted, closed, or forgotten by
        a loop that an exception or Ctrl-C left.
        """
        wanted = ((step, micro) for step in range(first_step, last_step) for micro in range(self.accumulate))
        if self.workers == 0:
            for step, micro in wanted:
                yield self._make(step, micro)
            return
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="facekit-loader")
        ahead: deque[Future[FaceBatch]] = deque()
        try:
            for step, micro in wanted:
                ahead.append(pool.submit(self._make, step, micro))
                if len(ahead) > _BATCHES_AHEAD * self.workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _empty(self) -> _Pictures:
        """Return room for a batch."""
        shape = (self.batch_size, self.packed.size, self.packed.size)
        masks = None if self.packed.masks is None else np.empty(shape, np.uint8)
        return _Pictures(np.empty((*shape, 3), np.uint8), masks)

    def _mirrored(self, face: _Pictures) -> _Pictures:
        mask = None if face.mask is None else mirror_mask(face.mask, self._mirror_table)
        return _Pictures(mirror_photo(face.photo), mask)

    def _draw_reference(self, face: _Pictures, chances: NDArray[np.float64]) -> _Pictures:
        size = self.packed.size
        if self.reference.crop < 1:
            side = size * (self.reference.crop + (1 - self.reference.crop) * float(chances[0]))
            box = Box(float(chances[1]) * (size - side), float(chances[2]) * (size - side), side)
            photo = resize_photo(face.photo, size, box, resample=Image.Resampling.BICUBIC)
            face = _Pictures(photo, None if face.mask is None else resize_mask(face.mask, size, box))
        if self.reference.mirror and chances[3] < 0.5:
            face = self._mirrored(face)
        if self.reference.warp:
            places = warped_places(chances[-WARP_NUMBERS:], size, self.reference.warp)
            photo = move_photo(face.photo, places)
            face = _Pictures(photo, None if face.mask is None else move_mask(face.mask, places))
        if self.reference.hide_regions and face.mask is not None:
            regions = chosen_regions(face.mask, chances[4:-WARP_NUMBERS], self.reference.hide_regions)
            face = _Pictures(*hide_regions(face.photo, face.mask, regions))
        return face


def fixed_batch(packed: PackedFaces, rows: Rows) -> FaceBatch:
    """Return given faces as they are, each its own reference, on the CPU (samples, evaluation).

    For faces in the style of others, see :func:`~facekit.data.sampling.swapped_pairs`.
    """
    chosen = np.asarray(rows, dtype=np.int64)
    faces = _Pictures(packed.images[chosen], None if packed.masks is None else packed.masks[chosen])
    return unpack(_to_pixels(packed, chosen, faces, faces, mirrored=np.zeros(len(chosen), dtype=bool)))


def unpack(batch: FaceBatch) -> FaceBatch:
    """Return a batch of pixels as what components read, where it lies: images (N, H, W, 3) uint8 become (N, 3, H, W)
    float32 in [-1, 1], masks uint8 become int64."""

    def numbers(tensor: Tensor) -> Tensor:
        if tensor.dtype != torch.uint8:
            return tensor
        if tensor.dim() == 4:
            return to_unit_range(tensor)
        return torch.from_numpy(tensor.numpy().astype(np.int64)) if tensor.device.type == "cpu" else tensor.long()

    return map_tensors(batch, numbers)


def to_unit_range(images: NDArray[np.uint8] | Tensor) -> Tensor:
    """Return images (N, H, W, 3) uint8 as a tensor (N, 3, H, W) float32 in [-1, 1], where they lie."""
    if isinstance(images, Tensor) and images.device.type != "cpu":
        planes = images.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
        # CUDA multiplies by the reciprocal of a number that it is given by the processor, which rounds otherwise.
        return planes.div_(torch.full((), 127.5, device=planes.device)).sub_(1)
    # By numpy: in a thread of the loader, torch would start threads of its own beside those of the step.
    pixels = np.divide(np.asarray(images).transpose(0, 3, 1, 2), np.float32(127.5), dtype=np.float32, order="C")
    pixels -= 1
    return torch.from_numpy(pixels)


def _one(photos: _Several, masks: _Several | None, place: int) -> _Pictures:
    """Return one face of several."""
    return _Pictures(photos[place], None if masks is None else masks[place])


def _put(faces: _Pictures, place: int, face: _Pictures) -> None:
    """Write one face among several."""
    faces.photo[place] = face.photo
    if faces.mask is not None and face.mask is not None:
        faces.mask[place] = face.mask


def _to_pixels(
    packed: PackedFaces,
    rows: NDArray[np.int64],
    faces: _Pictures,
    references: _Pictures,
    *,
    mirrored: NDArray[np.bool_],
) -> FaceBatch:
    def tensors(pictures: _Pictures) -> tuple[Tensor, Tensor | None]:
        return torch.from_numpy(pictures.photo), None if pictures.mask is None else torch.from_numpy(pictures.mask)

    image, mask = tensors(faces)
    reference_image, reference_mask = (image, mask) if references is faces else tensors(references)
    attributes = None
    if packed.attributes is not None:
        attributes = torch.from_numpy(packed.attributes[rows].astype(np.float32))
    return FaceBatch(
        image=image,
        keys=tuple(packed.keys[int(row)] for row in rows),
        mask=mask,
        reference=Reference(reference_image, reference_mask, attributes),
        attributes=attributes,
        # Of the photo, never of the reference: a reference that is drawn apart has no further arrays.
        extra=_extra_tensors(packed, rows, mirrored),
    )


def _extra_tensors(packed: PackedFaces, rows: NDArray[np.int64], mirrored: NDArray[np.bool_]) -> dict[str, Tensor]:
    """Return the further arrays of some rows as tensors: numbers and bool float32, integers int64."""
    tensors = {}
    for name, stored in packed.extra.items():
        kind = np.float32 if stored.dtype.kind in "fb" else np.int64
        values = np.array(stored[rows], dtype=kind)
        if mirrored.any():
            values[mirrored] = packed.mirrored_extra[name][rows[mirrored]]
        tensors[name] = torch.from_numpy(values)
    return tensors
