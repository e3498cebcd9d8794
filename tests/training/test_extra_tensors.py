"""A dataset gives tensors that the core knows nothing of, by the names of their ports: to networks, losses, metrics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.kills import Killed, kill_after, tensors_of

from facekit.data.loader import FaceLoader
from facekit.evaluation import evaluate_run
from facekit.interfaces import FacekitError
from facekit.recipe import ResolvedRecipe, read_recipe
from facekit.registry import PluginSet, Registry
from facekit.sampling.inputs import inputs_of
from facekit.training.check.dry_run import probe_steps
from facekit.training.check.shape_check import probe_shapes
from facekit.training.loop import train
from facekit.training.networks import load_model
from facekit.training.open_data import open_data
from facekit.training.precision import Precision
from facekit.training.run.folder import RunFolder
from facekit.training.samples import FixedFaces

RECIPE = """\
facekit: 1
name: spots
data: {{use: marks/spots, size: 16, mirror: true, cache: {cache}, workers: 1}}
model:
  generator: {{use: marks/drawer}}
losses:
  generator: [{{use: marks/same_depth}}]
metrics: [{{use: marks/spot_error}}]
train: {{steps: 6, batch: 4, precision: fp32, device: cpu, log_every: 1, checkpoint_every: 2, sample_every: 3, samples: 3}}
"""  # noqa: E501

Read = Callable[..., ResolvedRecipe]


@pytest.fixture
def plugins() -> PluginSet:
    plugins = PluginSet({})
    plugins.load_file(Path(__file__).parent / "plugin" / "landmark_plugin.py")
    return plugins


@pytest.fixture
def registry(plugins: PluginSet) -> Registry:
    return Registry(plugins)


@pytest.fixture
def spots_of(registry: Registry) -> Any:
    """Finds the spots in a photo."""
    import landmark_plugin

    return landmark_plugin.spots_of


@pytest.fixture
def read(tmp_path: Path, registry: Registry) -> Read:
    def run(*overrides: str) -> ResolvedRecipe:
        file = tmp_path / "spots.yaml"
        file.write_text(RECIPE.format(cache=tmp_path / "cache"), encoding="utf-8")
        return read_recipe(file, registry=registry, overrides=overrides)

    return run


def test_it_trains_mirrored_and_resumes_bit_for_bit(tmp_path: Path, registry: Registry, read: Read) -> None:
    recipe = read()
    train(recipe, out=tmp_path / "whole", registry=registry)
    for step, resume in ((1, False), (3, True)):
        with pytest.raises(Killed):
            train(recipe, out=tmp_path / "killed", registry=registry, observer=kill_after(step), resume=resume)
    train(recipe, out=tmp_path / "killed", registry=registry, resume=True)
    left, right = tensors_of(tmp_path / "whole", 6), tensors_of(tmp_path / "killed", 6)
    assert left.keys() == right.keys()
    assert [name for name in left if not torch.equal(left[name], right[name])] == []
    first = tensors_of(tmp_path / "whole", 4)
    moved = {name for name in left if name.startswith("live") and not torch.equal(first[name], left[name])}
    assert {"live.safetensors:generator.depth.weight", "live.safetensors:generator.hidden.0.weight"} <= moved
    unmirrored = read("data.mirror=false")
    train(unmirrored, out=tmp_path / "unmirrored", registry=registry)
    other = tensors_of(tmp_path / "unmirrored", 6)
    name = "live.safetensors:generator.depth.weight"
    assert not torch.equal(other[name], left[name])


def test_mirrored_landmarks_are_where_the_spots_are(registry: Registry, read: Read, spots_of: Any) -> None:
    packed = open_data(read(), registry)
    batches = FaceLoader(packed, packed.rows("train"), batch=12, seed=0, mirror=True).prefetch(0, 3)
    rows = {key: row for row, key in enumerate(packed.keys)}
    mirrored = 0
    for batch in batches:
        for place, key in enumerate(batch.keys):
            assert torch.allclose(spots_of(batch.image[place]), batch.extra["landmarks"][place])
            assert torch.equal(batch.extra["depth"][place] > 0, (batch.image[place] > 0).any(0))
            mirrored += not np.array_equal(
                batch.extra["landmarks"][place].numpy(), packed.extra["landmarks"][rows[key]]
            )
    assert 8 < mirrored < 28  # of 36


def test_test_faces_are_generated_from_their_own_landmarks(tmp_path: Path, registry: Registry, read: Read) -> None:
    train(read(), out=tmp_path / "run", registry=registry)
    (result,) = evaluate_run(tmp_path / "run", registry=registry, split="validation", device="cpu")
    measurement = result.measurement("spot_error")
    assert measurement.count == 8  # four faces, in two tasks
    assert measurement.value < 1e-6


def test_grids_are_drawn_from_the_landmarks_of_their_faces(
    tmp_path: Path, registry: Registry, read: Read, spots_of: Any
) -> None:
    recipe = read()
    train(recipe, out=tmp_path / "run", registry=registry)
    assert Image.open(RunFolder(tmp_path / "run").sample(6)).width > 16
    precision = Precision(torch.device("cpu"))
    fixed = FixedFaces(open_data(recipe, registry), 3, precision, inputs_of(recipe))
    for image, landmarks in zip(fixed.faces.image, fixed.faces.extra["landmarks"], strict=True):
        assert torch.allclose(spots_of(image), landmarks)
    model = load_model(tmp_path / "run", registry=registry).model
    drawn = fixed.generate(model, precision, batch=3).own
    assert not torch.equal(drawn[0], drawn[1])


def test_shapes_are_checked_without_the_data(registry: Registry, read: Read) -> None:
    probe = probe_shapes(read(), registry=registry)
    assert probe.on_fake_tensors
    assert probe.parameters["generator"] == (4 * 16 + 16) + 17 * 16 * 16 * 4


def test_real_steps_are_tried_with_mirrored_photos(registry: Registry, read: Read) -> None:
    assert probe_steps(read(), registry=registry, steps=2).steps == 2


def test_a_set_that_cannot_mirror_is_refused_before_it_is_packed(
    tmp_path: Path, registry: Registry, read: Read
) -> None:
    recipe = read("data.mirrors=false")
    with pytest.raises(FacekitError, match="how a mirrored sample has its depth, landmarks") as caught:
        train(recipe, out=tmp_path / "run", registry=registry)
    assert caught.value.where == "data.mirror"
    assert "set it to false" in str(caught.value.remedy)
    assert "mirror_extra" in str(caught.value.remedy)
    assert not (tmp_path / "cache").exists()
    train(read("data.mirrors=false", "data.mirror=false"), out=tmp_path / "run", registry=registry)


def test_samples_that_are_not_what_the_ports_promise_are_refused(registry: Registry, read: Read) -> None:
    message = r"give `landmarks` of shape \(5, 2\), and the packed samples hold arrays of shape \(2, 2\)"
    with pytest.raises(FacekitError, match=message):
        open_data(read("data.promised=5"), registry)


def test_a_number_that_nothing_settles_is_named(registry: Registry, read: Read) -> None:
    with pytest.raises(FacekitError, match="nothing in the recipe says what number 'points' is"):
        open_data(read("data.named=false"), registry)
