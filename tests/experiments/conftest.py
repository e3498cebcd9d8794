"""Evaluations written by hand, for tables of runs that would take long."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from facekit.evaluation.results import PARTS, EvaluationResult, PaintedFace
from facekit.evaluation.store import read_evaluation, write_evaluation
from facekit.experiments.results import Done, System
from facekit.interfaces import Measurement

MakeSystem = Callable[..., System]

FIELDS = {"data": "abc", "split": "test", "faces": "6", "size": "16"}


def measurement(
    name: str, values: Sequence[float], *, better: str = "higher", per_sample: bool = True, kernel: str = "lanczos"
) -> Measurement:
    """A measurement of these values, one a photo."""
    return Measurement(
        name=name,
        value=float(np.mean(values)),
        unit="dB",
        better=better,  # type: ignore[arg-type]
        protocol={"kernel": kernel},
        count=len(values),
        per_sample=tuple(values) if per_sample else (),
    )


def picture(key: str, colour: int, shows: tuple[str, ...]) -> PaintedFace:
    """A kept picture whose result has one colour."""
    values = {"mask": 10, "reference": 20, "photo": 30, "result": colour}
    parts = [np.full((16, 16, 3), values[part], np.uint8) for part in shows]
    return PaintedFace(key, f"look of {key}", np.concatenate(parts, axis=1), shows)


@pytest.fixture
def make_system(tmp_path: Path) -> MakeSystem:
    """Write the evaluations of a row, one a seed, with the run folders around them."""

    def make(
        name: str,
        seeds: Mapping[int | None, Sequence[Measurement]],
        *,
        trained: bool = True,
        errors: Mapping[int, str] | None = None,
        fields: Mapping[str, str] = FIELDS,
        colour: int = 200,
        shows: tuple[str, ...] = PARTS,
    ) -> System:
        runs = []
        for seed, measurements in seeds.items():
            folder = tmp_path / "runs" / f"{name}-{seed}"
            result = EvaluationResult(
                system="model" if trained else name,
                split="test",
                weights="ema",
                step=40 if trained else 0,
                fields=fields,
                measurements=tuple(measurements),
                pairs={"style_copy": tuple((f"face-{index}", f"look of face-{index}") for index in range(3))},
                pictures={"style_copy": tuple(picture(f"face-{index}", colour, shows) for index in range(3))},
            )
            file = write_evaluation(result, folder / "evaluations" / "step-00000040-test-ema-12345678.json")
            _run_files(folder, seed)
            runs.append(Done(seed, folder, read_evaluation(file)))
        for seed, error in (errors or {}).items():
            runs.append(Done(seed, tmp_path / "runs" / f"{name}-{seed}", None, error))
        return System(name, tuple(runs), trained=trained)

    return make


def _run_files(folder: Path, seed: int | None) -> None:
    lock = {"parameters": {"generator": 2_000_000, "discriminator": 500_000}, "device": "cpu (test)"}
    (folder / "lock.json").write_text(json.dumps(lock), encoding="utf-8")
    (folder / "recipe.yaml").write_text("facekit: 1\nname: x\ntrain: {steps: 40, batch: 4, accumulate: 1}\n")
    lines = [
        {"event": "started", "step": 0, "steps": 40, "time": 100.0},
        {"event": "train", "step": 20, "losses": {"generator/l1": 2.0 + (seed or 0)}, "time": 110.0},
        {"event": "train", "step": 40, "losses": {"generator/l1": 1.0 + (seed or 0)}, "time": 120.0},
        {"event": "finished", "step": 40, "message": "", "time": 121.0},
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
