"""(a) Training steps, beside the plain build; and the peak of memory of both, each in a process of its own."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import convolution_peak, in_process, in_turns, peak_memory, ratio
from benchmarks.subjects import Case, Facekit, Plain
from facekit.registry import load_registry
from facekit.training.check.shape_check import probe_shapes

CASES = (Case(256, 1), Case(256, 4), Case(128, 8), Case(128, 8, filters=32))
SUBJECTS = ("plain", "facekit", "estimate")
SMALL = (Case(64, 2, filters=4),)


def measure(*, small: bool, rounds: int) -> dict[str, Any]:
    """Return a row for each case, and the convolution peaks."""
    formats = (("fp32", torch.float32), ("bf16", torch.bfloat16))
    peaks = {name: convolution_peak(dtype, batch=1 if small else 8) for name, dtype in formats}
    return {
        "convolution_peak": peaks,
        "rows": [measure_case(case, rounds=rounds, peaks=peaks, here=small) for case in (SMALL if small else CASES)],
    }


def measure_case(case: Case, *, rounds: int, peaks: dict[str, float], here: bool) -> dict[str, Any]:
    """Return the times of a step of both, how far they are apart, operations and memory."""
    with tempfile.TemporaryDirectory() as name:
        ours = Facekit.of(case, Path(name))
        plain = Plain(case, ours)
        probe = probe_shapes(ours.training.recipe, registry=load_registry())
        times = in_turns({"plain": plain.step, "facekit": ours.step}, rounds=rounds)
        precision = ours.training.precision.name
    arguments = (str(case.size), str(case.batch), str(case.filters))
    memory = {subject: in_process("benchmarks.training", subject, *arguments, here=here) for subject in SUBJECTS}
    again = {
        subject: in_process("benchmarks.training", subject, *arguments, "--checkpointing", here=here)
        for subject in SUBJECTS[1:]
    }
    estimated = memory["estimate"]["bytes"]
    done = probe.step_flops / times["facekit"].median
    return {
        "size": case.size,
        "batch": case.batch,
        "filters": case.filters,
        "precision": precision,
        "plain_seconds": times["plain"].document(),
        "facekit_seconds": times["facekit"].document(),
        "times_as_fast": ratio(times["plain"], times["facekit"]),
        "operations_a_second": done,
        "share_of_bf16_peak": done / peaks["bf16"],
        "share_of_peak": done / peaks[precision],
        "plain_peak_bytes": memory["plain"]["peak"],
        "facekit_peak_bytes": memory["facekit"]["peak"],
        "memory_ratio": memory["facekit"]["peak"] / memory["plain"]["peak"],
        "checkpointing": {
            "peak_bytes": again["facekit"]["peak"],
            "memory_ratio": again["facekit"]["peak"] / memory["plain"]["peak"],
            "estimate_over_peak": again["estimate"]["bytes"] / again["facekit"]["peak"],
            "times_as_long": again["facekit"]["seconds"] / memory["facekit"]["seconds"],
        },
        "estimated_bytes": estimated,
        "estimate_over_peak": estimated / memory["facekit"]["peak"],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Train three steps of one subject in this process and print the peak of its memory; or facekit's estimate."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("subject", choices=SUBJECTS)
    parser.add_argument("size", type=int)
    parser.add_argument("batch", type=int)
    parser.add_argument("filters", type=int)
    parser.add_argument("--checkpointing", action="store_true")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto", help="that of facekit")
    chosen = parser.parse_args(arguments)
    case = Case(
        chosen.size,
        chosen.batch,
        chosen.filters,
        checkpointing=chosen.checkpointing,
        precision=chosen.precision,
    )
    with tempfile.TemporaryDirectory() as name:
        if chosen.subject == "estimate":
            registry = load_registry()
            recipe = case.recipe(Path(name), registry)
            print(json.dumps({"bytes": probe_shapes(recipe, registry=registry).memory.total}))
            return
        if chosen.subject == "facekit":
            subject: Facekit | PlainAlone = Facekit.of(case, Path(name))
        else:
            subject = PlainAlone(case)
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            subject.step()
            seconds.append(time.perf_counter() - start)
    # The first step also takes its memory from the system for the first time.
    print(json.dumps({"peak": peak_memory(), "seconds": min(seconds[1:])}))


class PlainAlone:
    """The plain build without facekit beside it, on noise."""

    def __init__(self, case: Case) -> None:
        from benchmarks.plain import CLASSES, PlainTraining

        self._training = PlainTraining(case.filters)
        self._photo = torch.rand(case.batch, 3, case.size, case.size) * 2 - 1
        self._mask = torch.randint(CLASSES, (case.batch, case.size, case.size))

    def step(self) -> None:
        """Train a step."""
        self._training.step(self._photo, self._mask)


if __name__ == "__main__":
    main()
