"""Weights that are not finite numbers generate no black images without a word."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from facekit.inference import load
from facekit.interfaces import FacekitError
from facekit.training.checkpoint import checkpoints
from facekit.training.run.folder import RunFolder

MakeFace = Callable[..., Any]


def _spoil(folder: Path, value: float) -> str:
    """Put a value into the averaged weights of a copy of a run, with a manifest that fits."""
    run = RunFolder(folder)
    found = checkpoints.find(run.checkpoints)
    live, ema = found.tensors(checkpoints.LIVE), found.tensors(checkpoints.EMA)
    name = next(name for name in ema if name.startswith("generator.") and name.endswith("weight"))
    ema[name].view(-1)[0] = value
    checkpoints.write(
        run.checkpoints,
        step=found.step + 1,
        tensors={checkpoints.LIVE: live, checkpoints.EMA: ema},
        state=found.state(),
    )
    return name


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(styled_run: Path, tmp_path: Path, value: float) -> None:
    run = tmp_path / "run"
    shutil.copytree(styled_run, run)
    name = _spoil(run, value)
    with pytest.raises(FacekitError, match=f"not finite numbers: {re.escape(name)}") as failure:
        load(run, device="cpu")
    assert "step-00000008" in str(failure.value.where)
    assert load(run, device="cpu", weights="live").step == 8
    assert load(run, device="cpu", step=7).step == 7


def test_an_image_that_is_not_finite_is_no_result(styled_run: Path, face: MakeFace) -> None:
    pipeline = load(styled_run, device="cpu")
    with torch.no_grad():
        weight = next(pipeline._model.generator.parameters())
        weight.fill_(1e38)  # finite, and too large to compute with
    with pytest.raises(FacekitError, match="ema weights of step 7 gave an image with values that are not finite"):
        pipeline.generate(face(1).mask, face(2).photo, face(2).mask)
