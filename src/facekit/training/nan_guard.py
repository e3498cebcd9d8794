"""The guard against losses and weights that are not finite, which also keeps the sums of losses for the log."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from facekit.interfaces import FaceBatch, FacekitError, RunFailure
from facekit.training.checkpoint.checkpoints import write_tensors
from facekit.training.run.folder import RunFolder, write_json


@dataclass
class _Watched:
    """The values of one step: names, devices' scalars, and the batches they came from."""

    step: int
    names: list[str] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)
    batches: list[FaceBatch] = field(default_factory=list)
    arrived: Tensor | None = None
    event: torch.cuda.Event | None = None


class LossGuard:
    """Watches every loss, sums them for the log, and stops the run at the first that is NaN or infinite.

    On the CPU a loss is looked at before its gradient is taken. On CUDA, looking at once would make the processor wait
    for the device at every loss; there the values of a step travel to the processor while the next step is queued, and
    are looked at one step later. The batch that is saved is that of the loss in both cases. :meth:`settle` waits for
    all of them: it is called before anything is written.

    Args:
        run: where the batch is saved.
        weights: the weights of the model: when they are no longer finite, it was the update before that did it.
    """

    def __init__(self, run: RunFolder, device: torch.device, weights: Mapping[str, Tensor]) -> None:
        self.sums: dict[str, float] = {}
        self.steps = 0
        self._run = run
        self._weights = weights
        self._before: list[FaceBatch] = []
        self._deferred = device.type == "cuda"
        self._current = _Watched(0)
        self._under_way: deque[_Watched] = deque()

    def begin(self, step: int) -> None:
        """Start a step (counted from 0)."""
        self._current = _Watched(step)

    def watch(self, name: str, value: Tensor, batch: FaceBatch, share: float = 1.0) -> None:
        """Look at a scalar.

        Args:
            name: ``player/label``.
            value: the weighted loss; a scalar.
            share: what it counts in the log: one over the number of turns and micro-batches of its step.

        Raises:
            RunFailure: it is not finite (on the CPU).
        """
        current = self._current
        current.names.append(name)
        current.batches.append(batch)
        current.values.append(value.detach() * share)
        if not self._deferred and not math.isfinite(value.item()):
            self._fail(current, len(current.names) - 1, value.item())

    def end(self) -> None:
        """End the step.

        Raises:
            RunFailure: a loss of an earlier step was not finite (on CUDA).
        """
        current, self.steps = self._current, self.steps + 1
        stacked = torch.stack(current.values)
        if self._deferred:
            current.arrived = torch.empty(stacked.shape, dtype=stacked.dtype, pin_memory=True)
            current.arrived.copy_(stacked, non_blocking=True)
            current.event = torch.cuda.Event()
            current.event.record()
        else:
            current.arrived = stacked
        current.values.clear()
        self._under_way.append(current)
        while len(self._under_way) > (1 if self._deferred else 0):
            self._take(self._under_way.popleft())

    def settle(self) -> None:
        """Wait for all values.

        Raises:
            RunFailure: one was not finite.
        """
        while self._under_way:
            self._take(self._under_way.popleft())

    def means(self) -> dict[str, float]:
        """Return the mean of each loss over the steps since the last :meth:`reset`."""
        return {name: total / self.steps for name, total in self.sums.items()} if self.steps else {}

    def reset(self) -> None:
        """Start new sums."""
        self.sums, self.steps = {}, 0

    def _take(self, watched: _Watched) -> None:
        if watched.event is not None:
            watched.event.synchronize()
        assert watched.arrived is not None
        for index, (name, value) in enumerate(zip(watched.names, watched.arrived.tolist(), strict=True)):
            if not math.isfinite(value):
                self._fail(watched, index, value)
            self.sums[name] = self.sums.get(name, 0.0) + value
        # Each once: several losses look at the same batch.
        self._before = list({id(batch): batch for batch in watched.batches}.values())

    def _fail(self, watched: _Watched, index: int, value: float) -> None:
        """Save the batch of a loss, or that of the update before where weights were no longer finite, and raise."""
        poisoned = all_finite(self._weights)
        batches = self._before if poisoned is not None and self._before else [watched.batches[index]]
        name, step = watched.names[index], watched.step + 1
        file = self._run.bad_batch(step)
        write_tensors(file, {key: tensor.cpu().contiguous() for key, tensor in _tensors_of(batches).items()})
        keys = [key for batch in batches for key in batch.keys]
        document = {"step": step, "loss": name, "value": str(value), "weight_not_finite": poisoned, "keys": keys}
        write_json(file.with_suffix(".json"), document)
        what = f"the loss {name} is {value} at step {step}"
        if poisoned is None:
            what += f"; its batch is saved in {file.name}"
        else:
            what += f", for the update before made {poisoned} not finite; the batch of that update is in {file.name}"
        raise NonFiniteLoss(
            what,
            where=str(self._run.path),
            remedy="a checkpoint from before, where there is one, is good; resuming meets the same batch again: look "
            "at it first, or start a new run with a lower learning rate, train.gradient_clip, or train.precision=fp32",
        )


class NonFiniteLoss(RunFailure):
    """A loss was NaN or infinite; the batch is saved beside the run's other files."""


def _tensors_of(batches: Sequence[FaceBatch]) -> dict[str, Tensor]:
    """Return all tensors of some batches by name, joined along the faces."""

    def named(batch: FaceBatch) -> dict[str, Tensor | None]:
        reference = batch.reference
        found = {"image": batch.image, "mask": batch.mask, "attributes": batch.attributes, **batch.extra}
        if reference is not None:
            found |= {"reference.image": reference.image, "reference.mask": reference.mask}
        return found

    columns = [named(batch) for batch in batches]
    return {
        name: torch.cat([column[name] for column in columns])  # type: ignore[misc]
        for name, value in columns[0].items()
        if value is not None
    }


def out_of_memory(run: RunFolder, error: torch.OutOfMemoryError) -> RunFailure:
    """Return the failure of a run that does not fit the device's memory."""
    return RunFailure(
        f"the device's memory is full: {error}",
        where=str(run.path),
        remedy="lower train.batch and raise train.accumulate by as much, or lower data.size",
    )


def check_finite(module: nn.Module, *, where: str) -> None:
    """Check that a model's weights are finite numbers, so that it does not generate black images without a word.

    Buffers may hold infinities (the masks of attention do), and no NaN.

    Raises:
        FacekitError: a weight is NaN or infinite; the message names the first tensor with one.
    """
    floating = {name: buffer for name, buffer in module.named_buffers() if buffer.is_floating_point()}
    buffers = {name: buffer.masked_fill(buffer.isinf(), 0) for name, buffer in floating.items()}
    wrong = all_finite({**dict(module.named_parameters()), **buffers})
    if wrong is not None:
        raise FacekitError(
            f"the weights hold values that are not finite numbers: {wrong}",
            where=where,
            remedy="take an earlier checkpoint of the run (--step), or other weights (--weights)",
        )


def all_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """Return the name of the first tensor with a NaN or an infinity, None when there is none."""
    floating = {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}
    if not floating:
        return None
    finite = torch.stack([torch.isfinite(tensor).all() for tensor in floating.values()])
    if bool(finite.all()):
        return None
    return list(floating)[int(finite.logical_not().nonzero()[0])]
