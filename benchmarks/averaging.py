"""What averaging gradients over two processes adds to a backward pass, beside torch's DistributedDataParallel.

``python -m benchmarks.averaging`` starts two processes that talk by gloo, and prints one JSON object: the seconds of a
backward pass alone, with either, and ``overhead_ratio``, what facekit adds by what DistributedDataParallel adds.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from benchmarks.measure import ROOT
from facekit.training.distributed import GradientAverage, Team, team


def network(filters: int) -> nn.Module:
    """Return 14 blocks of two convolutions, channels-last as the engine places them: 24 M weights at 320 filters."""
    layers: list[nn.Module] = [nn.Conv2d(3, filters, 3, padding=1)]
    for _ in range(13):
        layers += [nn.Conv2d(filters, filters, 3, padding=1), nn.ReLU(), nn.InstanceNorm2d(filters, affine=True)]
    layers.append(nn.Conv2d(filters, 3, 3, padding=1))
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def measure_here(*, filters: int, side: int, rounds: int) -> None:
    """Measure in one of the processes; the first prints."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    with team() as processes:
        measure_in(processes, filters=filters, side=side, rounds=rounds)
        # DDP's threads must end before the processes part, or the interpreter aborts as it leaves.
        gc.collect()
        processes.wait()


def measure_in(processes: Team, *, filters: int, side: int, rounds: int) -> None:
    """Measure beside the other processes; the first prints."""
    model = network(filters)
    parameters = list(model.parameters())
    wrapped = DistributedDataParallel(model, gradient_as_bucket_view=True)
    average = GradientAverage(processes)
    images = torch.randn(4, 3, side, side).contiguous(memory_format=torch.channels_last)

    def backward(call: Callable[[torch.Tensor], torch.Tensor], *, averages: bool = False) -> float:
        loss = call(images).square().mean()
        distributed.barrier()
        start = time.perf_counter()
        with average(parameters) if averages else nullcontext():
            loss.backward()
        taken = time.perf_counter() - start
        model.zero_grad(set_to_none=True)
        return taken

    def alone() -> float:
        with wrapped.no_sync():
            return backward(model)

    subjects: dict[str, Callable[[], float]] = {
        "alone": alone,
        "ddp": lambda: backward(wrapped),
        "facekit": lambda: backward(model, averages=True),
    }
    seconds: dict[str, list[float]] = {name: [] for name in subjects}
    for index in range(rounds + 2):
        for name, subject in subjects.items():
            taken = subject()
            if index >= 2:
                seconds[name].append(taken)
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    added = {name: medians[name] - medians["alone"] for name in ("ddp", "facekit")}
    if processes.leads:
        found = {
            "weights": sum(parameter.numel() for parameter in parameters),
            "seconds": {name: round(each, 4) for name, each in medians.items()},
            "overhead_ratio": round(added["facekit"] / added["ddp"], 3),
        }
        print(json.dumps(found))


def main(arguments: Sequence[str] | None = None) -> None:
    """Start two processes, or measure in one of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.averaging", description=__doc__)
    parser.add_argument("--filters", type=int, default=448)
    parser.add_argument("--side", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=15)
    chosen = parser.parse_args(arguments)
    if "RANK" in os.environ:
        measure_here(filters=chosen.filters, side=chosen.side, rounds=chosen.rounds)
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1]), "WORLD_SIZE": "2"}
    command = [sys.executable, "-m", "benchmarks.averaging", *(sys.argv[1:] if arguments is None else arguments)]
    started = [
        subprocess.Popen(command, cwd=ROOT, env={**os.environ, **address, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(2)
    ]
    if sum(process.wait() != 0 for process in started):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
