"""Drawn faces, and a small run on disk with random weights, as the engine leaves it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from facekit.data.store import label_map_document
from facekit.interfaces import DatasetContext, FaceDataset, LabelMap
from facekit.recipe import dump_recipe, read_recipe
from facekit.registry import load_registry
from facekit.training.checkpoint import checkpoints
from facekit.training.networks import build_model
from facekit.training.run.folder import RunFolder
from facekit_studio.edit_quality.faces import Face, read_face

SIDE = 256

RECIPE = """
facekit: 1
name: small
data: {use: synthetic_faces, size: 64, train: 12}
model:
  generator: {use: pix2pixhd_global, filters: 4, blocks: 1}
losses:
  generator: [{use: l1}]
metrics: [{use: psnr}]
train: {steps: 1, precision: fp32}
"""


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that paints masks, with random weights."""
    registry = load_registry()
    folder = tmp_path_factory.mktemp("runs") / "small"
    folder.mkdir()
    source = folder.parent / "small.yaml"
    source.write_text(RECIPE)
    recipe = read_recipe(source, registry=registry)
    run = RunFolder(folder)
    run.recipe.write_text(dump_recipe(recipe))
    label_map = registry.label_maps["celebamask_hq"]
    run.lock.write_text(json.dumps({"label_map": label_map_document(label_map), "attribute_names": []}))
    torch.manual_seed(0)
    state = build_model(recipe, label_map=label_map, attribute_names=()).state_dict()
    checkpoints.write(run.checkpoints, step=7, tensors={checkpoints.LIVE: state, checkpoints.EMA: state}, state={})
    return folder


@pytest.fixture(scope="session")
def label_map() -> LabelMap:
    return load_registry().label_maps["celebamask_hq"]


@pytest.fixture(scope="session")
def drawn() -> FaceDataset:
    """Drawn faces: some mouths are open, some people wear glasses."""
    registry = load_registry()
    spec = registry.find("dataset", "synthetic_faces").spec
    dataset: FaceDataset = spec.build(
        spec.options(train=24, validation=1, test=12), DatasetContext(registry.label_maps)
    )
    return dataset


@pytest.fixture(scope="session")
def faces(drawn: FaceDataset) -> list[Face]:
    return [read_face(drawn, index, side=SIDE) for index in range(24)]


@pytest.fixture(scope="session")
def noisy() -> Callable[[Face, int], Face]:
    """Give a drawn face the grain of a photo, so that it has texture."""

    def make(face: Face, seed: int) -> Face:
        grain = np.random.default_rng(seed).normal(0, 12, face.image.shape)
        return Face(face.key, np.clip(face.image + grain, 0, 255).astype(np.uint8), face.mask)

    return make
