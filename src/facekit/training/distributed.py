"""Several processes that train one model: ``torchrun --nproc-per-node=2 -m facekit ...``, or ``srun facekit ...``.

Each process draws other faces of the same stream (``train.batch`` is per process) and holds the whole model. Gradients
are averaged while the backward pass goes on; nothing is wrapped, so losses that differentiate twice stay correct. The
first process writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import torch
from torch import Tensor, nn
from torch import distributed as torch_distributed

from facekit.interfaces import RunFailure
from facekit.training.run.processes import launch

TIMEOUT = timedelta(minutes=30)
"""How long processes wait for each other: packing a data set's cache is one process's work."""

BUCKET_BYTES = 25 * 2**20
"""Gradients are sent in pieces of about this size, as torch's DistributedDataParallel does."""


@dataclass(frozen=True)
class Team:
    """The processes of a run.

    What they agree on beside gradients travels between processors, so that none waits for its device.

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

    def total(self, numbers: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes."""
        if self.size > 1:
            numbers = numbers.clone()
            torch_distributed.all_reduce(numbers)
        return numbers

    def average(self, numbers: Tensor) -> Tensor:
        """Return the mean of a tensor over all processes."""
        return self.total(numbers) / self.size if self.size > 1 else numbers

    def any(self, *conditions: bool) -> list[bool]:
        """Return of each condition whether it holds in any process."""
        return [total > 0 for total in self.total(torch.tensor(conditions, dtype=torch.int32)).tolist()]

    def mean(self, values: dict[str, float]) -> dict[str, float]:
        """Return the means of numbers over all processes; all must have the same names."""
        if not values:
            return {}
        names = sorted(values)
        numbers = torch.tensor([values[name] for name in names], dtype=torch.float64)
        return dict(zip(names, self.average(numbers).tolist(), strict=True))

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


class PeersLost(RunFailure):
    """Another process of the run ended."""


class GradientAverage:
    """Averages gradients over all processes, in pieces that are sent while the backward pass goes on.

    Args:
        dtype: the number format in which they are sent.
    """

    def __init__(self, team: Team, dtype: torch.dtype = torch.float32) -> None:
        self._team, self._dtype = team, dtype
        self._buckets: dict[tuple[int, ...], list[_Bucket]] = {}

    @contextmanager
    def __call__(self, parameters: Sequence[nn.Parameter]) -> Iterator[None]:
        """Average the gradients of parameters, with what one backward pass within the context adds to them.

        One that only some processes have counts as zero in the others; one that none has stays None. Gradients are
        views of memory that the next pass writes again.
        """
        if self._team.size == 1:
            yield
            return
        key = tuple(map(id, parameters))
        if key not in self._buckets:
            self._buckets[key] = self._fill(parameters)
        buckets = self._buckets[key]
        started = 0

        def arrived(bucket: _Bucket, index: int, parameter: Tensor) -> None:
            nonlocal started
            bucket.take(index, self._team.size)
            # Every process has to start the same pieces in the same order.
            while started < len(buckets) and len(buckets[started].arrived) == len(buckets[started].parameters):
                buckets[started].send()
                started += 1

        with ExitStack() as hooks:
            for bucket in buckets:
                bucket.arrived.clear()
                for index, parameter in enumerate(bucket.parameters):
                    hook = parameter.register_post_accumulate_grad_hook(partial(arrived, bucket, index))
                    hooks.callback(hook.remove)
            yield
        for bucket in buckets[started:]:
            for index, parameter in enumerate(bucket.parameters):
                if index not in bucket.arrived and parameter.grad is not None:  # of micro-batches before
                    bucket.take(index, self._team.size)
                elif index not in bucket.arrived:
                    bucket.views[index].zero_()
            bucket.send()
        has = [index in bucket.arrived for bucket in buckets for index in range(len(bucket.parameters))]
        flags = self._team.any(*has)
        for bucket in buckets:
            bucket.receive(flags)
            del flags[: len(bucket.parameters)]

    def _fill(self, parameters: Sequence[nn.Parameter]) -> list[_Bucket]:
        """Return the pieces, from the last weight to the first: about as gradients arrive.

        Not in the order in which they did arrive: sums over more than two processes depend on it, and a run that goes
        on is to give the same.
        """
        pieces: list[list[nn.Parameter]] = []
        room = 0
        for parameter in reversed(parameters):
            if parameter.numel() > room:
                pieces.append([])
                room = BUCKET_BYTES // parameter.element_size()
            pieces[-1].append(parameter)
            room -= parameter.numel()
        return [_Bucket(piece, self._dtype) for piece in pieces]


class _Bucket:
    """Gradients that are sent together, each in the order of its weight in memory."""

    def __init__(self, parameters: Sequence[nn.Parameter], dtype: torch.dtype) -> None:
        self.parameters = parameters
        self.arrived: set[int] = set()
        sizes = [parameter.numel() for parameter in parameters]
        self._flat = torch.zeros(sum(sizes), dtype=dtype, device=parameters[0].device)
        self.views = [
            part.as_strided(each.shape, torch.empty_like(each, device="meta").stride())
            for part, each in zip(self._flat.split(sizes), parameters, strict=True)
        ]
        self._sent: torch_distributed.Work | None = None

    @torch.no_grad()
    def take(self, index: int, processes: int) -> None:
        """Take in the gradient of a parameter."""
        parameter = self.parameters[index]
        assert parameter.grad is not None
        torch.div(parameter.grad, processes, out=self.views[index])
        parameter.grad = None
        self.arrived.add(index)

    def send(self) -> None:
        """Start to sum it over all processes."""
        self._sent = torch_distributed.all_reduce(self._flat, async_op=True)

    def receive(self, has: Sequence[bool]) -> None:
        """Wait for the sums, and give them to the parameters that have a gradient in any process."""
        assert self._sent is not None
        self._sent.wait()
        for parameter, view, any_has in zip(self.parameters, self.views, has, strict=False):
            parameter.grad = view.to(parameter.dtype) if any_has else None


@contextmanager
def team() -> Iterator[Team]:
    """Join the processes that torchrun or srun started; alone without them. Raises as :func:`peers_lost`."""
    launched = launch()
    if launched.size == 1:
        yield Team()
        return
    local_rank = launched.local_rank
    ours = not torch_distributed.is_initialized()
    with peers_lost():
        backend = "gloo"
        if torch.cuda.is_available():
            backend = "cuda:nccl,cpu:gloo"
            local_rank %= torch.cuda.device_count()  # each task of srun may see a device of its own only
            torch.cuda.set_device(local_rank)
        if ours:
            torch_distributed.init_process_group(
                backend, launched.address, timeout=TIMEOUT, rank=launched.rank, world_size=launched.size
            )
        try:
            yield Team(launched.rank, launched.size, local_rank)
        finally:
            if ours:
                torch_distributed.destroy_process_group()


@contextmanager
def peers_lost() -> Iterator[None]:
    """Say in a sentence that another process of the run has ended; other errors pass.

    Raises:
        PeersLost: processes cannot reach each other any more.
    """
    try:
        yield
    except RuntimeError as error:
        # Of gloo's own errors nothing but the text says where they come from.
        if not isinstance(error, torch_distributed.DistError) and "gloo" not in str(error):
            raise
        raise PeersLost(
            "another process of this run ended or cannot be reached, so this one ends too",
            remedy="see what that process said; the same command goes on from the newest checkpoint",
        ) from error
