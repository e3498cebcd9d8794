"""Run folders written by hand, for reports of runs that would take long, or that went wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

RECIPE = """facekit: 1
name: {name}
description: Faces generated from masks in the style of a reference photo.
data:
  use: synthetic_faces
  size: 128
  count: 4000
model:
  style_encoder:
    use: sft_style
  generator:
    use: sft_pix2pixhd
    filters: 32
losses:
  generator:
  - use: adversarial  # least squares
    objective: lsgan
    weight: 1.0
train:
  steps: {steps}
  batch: 8
  accumulate: 1
  optimiser:
    lr: 0.0002
    betas: [0.5, 0.999]
  compile: false
"""


def measurement(name: str, value: float, better: str = "higher", unit: str = "share", **rest: Any) -> dict[str, Any]:
    """Return a measurement as it stands in metrics.jsonl."""
    return {"name": name, "value": value, "unit": unit, "better": better, "count": 50, "protocol": {}, **rest}


def evaluation(step: int, split: str = "test", scale: float = 1.0, **rest: Any) -> dict[str, Any]:
    """Return an evaluation event."""
    event = {
        "event": "evaluation",
        "step": step,
        "split": split,
        "weights": "ema",
        "protocol": "5f0c1a9be2d4",
        "protocol_fields": {"data": "synthetic_faces 91ac", "split": split, "size": 128, "quantisation": "8 bits"},
        "measurements": [
            measurement("style_following/skin", 0.91 * scale, interval=[0.88, 0.94]),
            measurement("style_following/hair", 0.93 * scale, interval=[0.90, 0.96]),
            measurement("perceptual_distance", 0.412 / scale, "lower", "", protocol={"backbone": "efficientnet_lite0"}),
            measurement("psnr", 15.2 * scale, "higher", "dB", interval=[14.8, 15.6]),
        ],
    }
    return {**event, **rest}


def write_run(
    folder: Path,
    *,
    name: str = "sft_pix2pixhd",
    steps: int = 1200,
    every: int = 20,
    lock: Mapping[str, Any] | None = None,
    ending: Mapping[str, Any] | None = None,
    samples: int = 6,
) -> Path:
    """Write a run folder that looks like a real one and return it."""
    random = np.random.default_rng(1)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.yaml").write_text(RECIPE.format(name=json.dumps(name), steps=steps), encoding="utf-8")
    document = {
        "facekit": "0.1.0",
        "plugins": {"facekit-losses": "0.1.0", "facekit-sft-pix2pixhd": "0.1.0"},
        "python": "3.11.7",
        "torch": "2.14.1",
        "platform": "Linux x86_64",
        "device": "cpu",
        "data_fingerprint": "b1946ac92492d2347c6235b4d2611184",
        "seed": 0,
        "command": "facekit run recipes/sft_pix2pixhd.yaml",
        "parameters": {"style_encoder": 1_590_000, "generator": 22_031_107, "discriminator": 5_571_000},
        "started": "2026-03-01T12:00:00+00:00",
        "dimensions": {"classes": 19, "style": 8192},
        "inputs": ["mask", "reference", "reference_mask"],
    }
    (folder / "lock.json").write_text(json.dumps(document if lock is None else lock), encoding="utf-8")
    events: list[Mapping[str, Any]] = [{"event": "started", "step": 0, "steps": steps}]
    for step in range(every, steps + 1, every):
        fall = math.exp(-step / (steps / 3))
        noise = random.normal(0, 0.05, 6)
        events.append(
            {
                "event": "train",
                "step": step,
                "losses": {
                    "generator/adversarial": 0.9 + 0.4 * fall + noise[0],
                    "generator/feature_matching": 2.4 + 3 * fall + 2 * noise[1],
                    "generator/perceptual": 3.1 + 5 * fall + 3 * noise[2],
                    "generator/low_resolution_colour": 1.2 + 6 * fall + 2 * noise[3],
                    "discriminator/adversarial": 0.42 - 0.1 * fall + noise[4],
                },
                "learning_rates": {
                    "generator": 2e-4 * min(1, 2 - 2 * step / steps),
                    "style_encoder": 1e-3 * min(1, 2 - 2 * step / steps),
                },
                "seconds_per_step": 0.4 + 0.02 * noise[5],
                "diagnostics": {"changes_with_reference": 0.35 * (1 - fall)} if step % 100 == 0 else {},
            }
        )
        if step % 300 == 0:
            events.append(evaluation(step, "validation", 0.8 + 0.2 * step / steps))
    events += [
        evaluation(steps),
        evaluation(steps, scale=0.9, weights="baseline/mean_colour_per_region"),
        evaluation(steps, scale=0.7, weights="baseline/nearest_training_photo"),
    ]
    events.append(ending or {"event": "finished", "step": steps})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
    (folder / "samples").mkdir(exist_ok=True)
    for index in range(samples):
        step = steps * (index + 1) // samples
        grid = random.integers(0, 255, (64, 96, 3), dtype=np.uint8)
        Image.fromarray(grid).save(folder / "samples" / f"step-{step:08d}.png")
    (folder / "checkpoints" / f"step-{steps:08d}").mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Write a run folder by hand; keyword arguments as :func:`write_run`."""
    return lambda **options: write_run(tmp_path / "run", **options)


@pytest.fixture
def events_of() -> Callable[..., dict[str, Any]]:
    """Return evaluation events as :func:`evaluation` does."""
    return evaluation
