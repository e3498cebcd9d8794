"""Measuring side by side: in turns within one process, so that whatever else the machine does meets all alike."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Timing:
    """Seconds of several rounds.

    Args:
        seconds: one number a round.
    """

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median."""
        return statistics.median(self.seconds)

    def document(self) -> dict[str, float]:
        """Return median, smallest and largest as JSON data."""
        return {"median": self.median, "smallest": min(self.seconds), "largest": max(self.seconds)}


def in_turns(
    subjects: Mapping[str, Callable[[], object]], *, rounds: int, warm_up: int = 1, device: str = "cpu", calls: int = 1
) -> dict[str, Timing]:
    """Call each subject in every round, in turns, and return how long a call took.

    Args:
        subjects: what to time, by name.
        rounds: how often.
        warm_up: rounds before that do not count.
        device: where they compute; ``cuda`` is waited for before and after.
        calls: calls of a subject a round, which share one time: what a device does while the next call is prepared.
    """

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    taken: dict[str, list[float]] = {name: [] for name in subjects}
    for index in range(warm_up + rounds):
        for name, subject in subjects.items():
            wait()
            start = time.perf_counter()
            for _ in range(calls):
                subject()
            wait()
            if index >= warm_up:
                taken[name].append((time.perf_counter() - start) / calls)
    return {name: Timing(tuple(seconds)) for name, seconds in taken.items()}


def ratio(baseline: Timing, ours: Timing) -> dict[str, float]:
    """Return how many times as fast ours is: the median over rounds, the smallest and the largest."""
    each = [first / second for first, second in zip(baseline.seconds, ours.seconds, strict=True)]
    return {"median": statistics.median(each), "smallest": min(each), "largest": max(each)}


def machine() -> dict[str, Any]:
    """Return what the figures were measured on."""
    capabilities = torch.cpu.get_capabilities()
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "instructions": sorted(
            name for name in ("avx2", "avx512_f", "avx512_bf16", "amx_bf16", "bf16") if capabilities.get(name)
        ),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
    }


def convolution_peak(dtype: torch.dtype, *, rounds: int = 3, batch: int = 8, device: str = "cpu") -> float:
    """Return the most operations a second that a large 4x4 convolution of the discriminator reaches."""
    layout = torch.channels_last
    features = torch.randn(batch, 256, 33, 33, device=device).to(dtype).contiguous(memory_format=layout)
    weight = torch.randn(512, 256, 4, 4, device=device).to(dtype).contiguous(memory_format=layout)
    calls = 50 if device == "cuda" else 1
    timing = in_turns({"": lambda: F.conv2d(features, weight, padding=2)}, rounds=rounds, device=device, calls=calls)[
        ""
    ]
    return 2 * batch * 512 * 256 * 16 * 34 * 34 / min(timing.seconds)


def in_process(module: str, *arguments: str, here: bool = False) -> dict[str, Any]:
    """Run ``python -m MODULE`` in a process of its own and return the JSON object it prints last.

    Args:
        module: a module with a ``main`` that takes the arguments.
        arguments: its arguments.
        here: call ``main`` in this process, where it does not matter that memory is that of everything before as well.
    """
    if here:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            importlib.import_module(module).main(arguments)
        found: dict[str, Any] = json.loads(printed.getvalue().splitlines()[-1])
        return found
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], check=True, capture_output=True, text=True, cwd=ROOT
    )
    document: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return document


def peak_memory() -> int:
    """Return the most bytes this process has held so far; Linux only."""
    # Not getrusage: its peak is that of the process before exec where that was larger.
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status does not tell the peak of memory")
