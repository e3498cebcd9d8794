"""Several processes that train one model: ``torchrun --nproc-per-node=2 -m facekit ...``.

Each process draws other faces of the same stream (``train.batch`` is per process) and holds the whole model. Gradients
are averaged explicitly before each update; nothing is wrapped, so losses that differentiate twice stay correct. The
first process writes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, nn
from torch import distributed as torch_distributed

TIMEOUT = timedelta(minutes=30)
"""How long processes wait for each other: packing a data set's cache is one process's work."""


@dataclass(frozen=True)
class Team:
    """The processes of a run.

    Args:
        local_rank: which one this is on its machine: it picks the device.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its mean over all processes; one that only some have counts as zero elsewhere."""
        if self.size == 1:
            return
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        if not trained:
            return
        has = torch.tensor([parameter.grad is not None for parameter in trained], device=trained[0].device).float()
        torch_distributed.all_reduce(has, op=torch_distributed.ReduceOp.MAX)
        with_gradient = [parameter for parameter, any_has in zip(trained, has.tolist(), strict=True) if any_has]
        for parameter in with_gradient:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        # One message in place of hundreds.
        gradients = [parameter.grad for parameter in with_gradient if parameter.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        torch_distributed.all_reduce(flat)
        flat /= self.size
        start = 0
        for gradient in gradients:
            gradient.copy_(flat[start : start + gradient.numel()].view(gradient.shape))
            start += gradient.numel()

    def total(self, numbers: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes."""
        if self.size > 1:
            numbers = numbers.clone()
            torch_distributed.all_reduce(numbers)
        return numbers

    def any(self, condition: bool, device: torch.device) -> bool:
        """Return whether the condition holds in any process."""
        if self.size == 1:
            return condition
        flag = torch.tensor([float(condition)], device=device)
        torch_distributed.all_reduce(flag, op=torch_distributed.ReduceOp.MAX)
        return bool(flag.item())

    def mean(self, values: dict[str, float], device: torch.device) -> dict[str, float]:
        """Return the means of numbers over all processes; all must have the same names."""
        if self.size == 1 or not values:
            return values
        names = sorted(values)
        numbers = torch.tensor([values[name] for name in names], dtype=torch.float64, device=device)
        torch_distributed.all_reduce(numbers)
        return dict(zip(names, (numbers / self.size).tolist(), strict=True))

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Give every process the first one's tensors."""
        if self.size > 1:
            for tensor in tensors:
                # Views of memory in another layout cannot be sent; a copy can.
                sent = tensor.detach().contiguous()
                torch_distributed.broadcast(sent, src=0)
                tensor.detach().copy_(sent)

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            torch_distributed.barrier()


@contextmanager
def team() -> Iterator[Team]:
    """Join the processes that torchrun started; alone without torchrun."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1 or "RANK" not in os.environ:
        yield Team()
        return
    rank, local_rank = int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", "0"))
    ours = not torch_distributed.is_initialized()
    if ours:
        backend = "cuda:nccl,cpu:gloo" if torch.cuda.is_available() else "gloo"
        if torch.cuda.is_available():
            torch.cuda.set_device(local_rank)
        torch_distributed.init_process_group(backend, timeout=TIMEOUT)
    try:
        yield Team(rank, size, local_rank)
    finally:
        if ours:
            torch_distributed.destroy_process_group()
