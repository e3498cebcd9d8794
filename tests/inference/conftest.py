"""Small runs on disk, as the engine leaves them, with random weights large enough that every input matters."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from facekit.data.store import label_map_document
from facekit.inference import FacePipeline, load
from facekit.recipe import dump_recipe, read_recipe
from facekit.registry import Registry, load_registry
from facekit.training.checkpoint import checkpoints
from facekit.training.networks import build_model
from facekit.training.run.folder import RunFolder

SIZE = 64
CLASSES = 19

RECIPE = """
facekit: 1
name: small
data: {use: synthetic_faces, size: 64DATA}
model:
MODEL
losses:
  generator: [{use: l1}]
metrics: [{use: psnr}]
train: {steps: 1, precision: fp32}
"""

STYLED = """
  style_encoder: {use: sft_style LEVELS}
  generator: {use: sft_pix2pixhd, filters: 4, blocks: 1}
"""

PLAIN = """
  generator: {use: pix2pixhd_global, filters: 4, blocks: 1}
"""


def write_run(
    folder: Path, model: str, *, registry: Registry | None = None, data: str = "", labels: str = "celebamask_hq"
) -> Path:
    """Write a run with one checkpoint at step 7, whose averaged weights differ from the live ones."""
    registry = load_registry() if registry is None else registry
    folder.mkdir(parents=True)
    source = folder.parent / f"{folder.name}.yaml"
    text = RECIPE.replace("MODEL", model.strip("\n")).replace("DATA", f"{data}, label_map: {labels}")
    source.write_text(text)
    recipe = read_recipe(source, registry=registry)
    run = RunFolder(folder)
    run.recipe.write_text(dump_recipe(recipe))
    label_map = registry.label_maps[labels]
    run.lock.write_text(json.dumps({"label_map": label_map_document(label_map), "attribute_names": []}))
    network = build_model(recipe, label_map=label_map, attribute_names=())
    random = torch.Generator().manual_seed(3)
    states = []
    for _ in range(2):
        with torch.no_grad():
            for parameter in network.parameters():
                fan_in = parameter[0].numel() if parameter.dim() > 1 else 4
                parameter.copy_(torch.randn(parameter.shape, generator=random) * fan_in**-0.5)
        states.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
    tensors = {checkpoints.LIVE: states[0], checkpoints.EMA: states[1]}
    checkpoints.write(run.checkpoints, step=7, tensors=tensors, state={})
    return folder


@pytest.fixture(scope="session")
def styled_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that generates in the style of a reference."""
    return write_run(tmp_path_factory.mktemp("runs") / "styled", STYLED.replace(" LEVELS", ""))


@pytest.fixture(scope="session")
def maskless_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that reads the look without the reference's mask."""
    return write_run(tmp_path_factory.mktemp("runs") / "maskless", STYLED.replace(" LEVELS", ", sft_levels: 0"))


@pytest.fixture(scope="session")
def plain_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that takes no reference."""
    return write_run(tmp_path_factory.mktemp("runs") / "plain", PLAIN)


@pytest.fixture
def pipeline(styled_run: Path) -> FacePipeline:
    return load(styled_run, device="cpu", precision="fp32")


class Face(NamedTuple):
    mask: Image.Image
    photo: Image.Image


@pytest.fixture(scope="session")
def face() -> Callable[..., Face]:
    """Make a face: a mask of blocks of classes, and a photo of another seed's colours in them."""

    def make(seed: int, size: int = SIZE, photo_size: int | None = None) -> Face:
        random = np.random.default_rng(seed)
        blocks = random.integers(0, CLASSES, (8, 8), dtype=np.uint8)
        mask = Image.fromarray(blocks).resize((size, size), Image.Resampling.NEAREST)
        colours = random.integers(0, 256, (CLASSES, 3), dtype=np.uint8)[blocks]
        side = photo_size or size
        return Face(mask, Image.fromarray(colours).resize((side, side), Image.Resampling.NEAREST))

    return make
