"""Training steps and painting on a CUDA device, beside the plain build there: what repeatable numbers cost, and what
compiling and CUDA graphs give."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks import inference
from benchmarks.measure import convolution_peak, in_turns, ratio
from benchmarks.subjects import Case, Facekit, Plain
from facekit.registry import load_registry
from facekit.training.check.shape_check import probe_shapes

CASES = (Case(256, 4), Case(128, 8))
PAINTED = (Case(256, 1), Case(512, 1))

WAYS: dict[str, dict[str, bool]] = {
    "facekit": {},
    "not deterministic": {"deterministic": False},
    "CUDA graphs": {"cuda_graphs": True},
    "compiled": {"compile": True},
}
"""Settings of ``train`` by what the table calls them."""

FIRST_STEPS, STEPS_A_ROUND = 5, 10


def measure(*, small: bool, rounds: int) -> dict[str, Any]:
    """Return rows for training and painting, and the convolution peaks; nothing where there is no CUDA device."""
    if not torch.cuda.is_available():
        return {}
    formats = (("fp32", torch.float32), ("bf16", torch.bfloat16))
    peaks = {name: convolution_peak(dtype, batch=64, device="cuda") for name, dtype in formats}
    cases = (Case(64, 2, filters=4),) if small else CASES
    return {
        "device": torch.cuda.get_device_name(),
        "convolution_peak": peaks,
        "rows": _rows(cases, rounds=rounds, peak=peaks["bf16"]),
        "painting": [
            inference.measure_case(replace(case, device="cuda"), rounds=rounds, here=True)
            for case in (cases if small else PAINTED)
        ],
    }


def _rows(cases: Sequence[Case], *, rounds: int, peak: float) -> list[dict[str, Any]]:
    # Each network of each way has code of its own for every case; past the default limit torch would go on without.
    with torch._dynamo.config.patch(recompile_limit=64):
        return [measure_case(replace(case, device="cuda"), rounds=rounds, peak=peak) for case in cases]


def measure_case(case: Case, *, rounds: int, peak: float) -> dict[str, Any]:
    """Return the times of a step of the plain build and of facekit in several ways, in turns, and their memory."""
    with tempfile.TemporaryDirectory() as name:
        ways: dict[str, Facekit] = {}
        begun: dict[str, _Begun] = {}
        for index, (way, settings) in enumerate(WAYS.items()):
            folder = Path(name) / str(index)
            folder.mkdir()
            with _beginning(begun, way):
                ours = ways[way] = Facekit.of(replace(case, **settings), folder)
                for _ in range(FIRST_STEPS):
                    ours.go_on()
        with _beginning(begun, "plain"):
            plain = Plain(case, ways["facekit"])
            for _ in range(FIRST_STEPS):
                plain.step()
        operations = probe_shapes(ways["facekit"].training.recipe, registry=load_registry()).step_flops
        times = in_turns(
            {"plain": plain.step, **{way: ours.go_on for way, ours in ways.items()}},
            rounds=rounds,
            device="cuda",
            calls=STEPS_A_ROUND,
        )
    return {
        "size": case.size,
        "batch": case.batch,
        "filters": case.filters,
        "ways": [
            {
                "way": way,
                "seconds": times[way].document(),
                "times_as_fast": ratio(times["plain"], times[way]),
                "share_of_bf16_peak": operations / times[way].median / peak,
                "peak_bytes": begun[way].peak,
                "memory_ratio": begun[way].peak / begun["plain"].peak,
                "first_steps_seconds": begun[way].seconds,
            }
            for way in times
        ],
    }


@dataclass(frozen=True)
class _Begun:
    """Seconds of building a subject and its first steps, and the most memory that they took from the device."""

    seconds: float
    peak: int


@contextmanager
def _beginning(begun: dict[str, _Begun], name: str) -> Iterator[None]:
    """Note under a name what building a subject and its first steps take."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before, start = torch.cuda.memory_reserved(), time.perf_counter()
    yield
    torch.cuda.synchronize()
    begun[name] = _Begun(time.perf_counter() - start, torch.cuda.max_memory_reserved() - before)
