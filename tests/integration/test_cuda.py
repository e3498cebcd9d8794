"""What only a CUDA device can show: a run twice, a run that goes on, a step that waits for nothing, and CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from facekit.interfaces import RunEvent, StepLogged
from facekit.recipe import ResolvedRecipe, read_recipe
from facekit.registry import Registry
from facekit.training.checkpoint import checkpoints
from facekit.training.distributed import Team
from facekit.training.loop import Training, train
from facekit.training.precision import reproducible
from facekit.training.run.folder import RunFolder

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

RECIPE = """\
facekit: 1
name: cuda
data: {{use: synthetic_faces, size: 64, train: 12, validation: 4, test: 2, mirror: true, reference: {{mirror: true}},
  cache: {cache}}}
model:
  style_encoder: {{use: sft_style, sft: residual, colours: true, head_hidden: 32}}
  generator: {{use: sft_pix2pixhd, filters: 16, downsamplings: 2, blocks: 2, adain_decoder: true, upsampling: resize}}
  discriminator: {{use: multiscale_patch, filters: 16, scales: 2}}
losses:
  generator:
    - {{use: adversarial, objective: lsgan, shuffled_style: true}}
    - {{use: feature_matching, weight: 10}}
    - {{use: perceptual, backbone: efficientnet_lite0, weight: 10}}
    - {{use: region_colour, own: 1, shuffled_style: 1, weight: 20}}
  discriminator:
    - {{use: adversarial, objective: lsgan, shuffled_style: true}}
train: {{steps: 12, batch: 4, device: cuda, log_every: 1, checkpoint_every: 6, sample_every: 12, samples: 2}}
"""

Read = Callable[..., ResolvedRecipe]


@pytest.fixture
def read(tmp_path: Path, registry: Registry) -> Read:
    file = tmp_path / "cuda.yaml"
    file.write_text(RECIPE.format(cache=tmp_path / "cache"), encoding="utf-8")
    return lambda *overrides: read_recipe(file, registry=registry, overrides=overrides)


def weights(run: Path, step: int) -> dict[str, torch.Tensor]:
    """All tensors of a checkpoint."""
    folder = run / "checkpoints" / f"step-{step:08d}"
    return {
        f"{file.stem}/{key}": value for file in folder.glob("*.safetensors") for key, value in load_file(file).items()
    }


def different(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> list[str]:
    assert one.keys() == other.keys()
    return [key for key in one if not torch.equal(one[key], other[key])]


def losses_of(recipe: ResolvedRecipe, run: Path, registry: Registry) -> list[dict[str, float]]:
    events: list[RunEvent] = []
    train(recipe, out=run, registry=registry, observer=events.append)
    return [dict(event.losses) for event in events if isinstance(event, StepLogged)]


@pytest.mark.filterwarnings("error:.*deterministic")
@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_the_same_run_twice_and_one_that_goes_on_are_equal_bit_for_bit(
    tmp_path: Path, registry: Registry, read: Read, precision: str
) -> None:
    recipe = read(f"train.precision={precision}", "train.deterministic=true")
    for name in ("one", "other"):
        train(recipe, out=tmp_path / name, registry=registry)
    wanted = weights(tmp_path / "one", 12)
    assert different(wanted, weights(tmp_path / "other", 12)) == []

    # As after a kill between step 6 and the end: the later checkpoint is not there.
    checkpoints.set_aside_newer(RunFolder(tmp_path / "other").checkpoints, step=6)
    result = train(recipe, out=tmp_path / "other", registry=registry, resume=True)
    assert (result.outcome, result.step) == ("finished", 12)
    assert different(wanted, weights(tmp_path / "other", 12)) == []


def test_a_step_waits_for_no_number_of_the_device(tmp_path: Path, registry: Registry, read: Read) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    training = Training(
        read("train.steps=8"),
        RunFolder(folder),
        registry=registry,
        observer=None,
        resume=False,
        command="",
        evaluate=None,
        progress=None,
        packed=None,
        watched=False,
        team=Team(),
    )
    faces = training.loader.prefetch(0, 8)
    with reproducible(training.precision.device, True):
        for index in range(3):  # libraries may wait when they are first used
            training._step(index, faces, checking=False)
        torch.cuda.set_sync_debug_mode("error")
        try:
            for index in range(3, 6):
                training._step(index, faces, checking=False)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    training.guard.settle()
    assert training.guard.means()["generator/adversarial"] > 0


def test_the_processor_computes_what_the_device_computes(tmp_path: Path, registry: Registry, read: Read) -> None:
    settings = ("train.precision=fp32", "train.steps=2")
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        found = losses_of(read(*settings), tmp_path / "cuda", registry)
    finally:
        torch.backends.cudnn.allow_tf32 = before
    wanted = losses_of(read(*settings, "train.device=cpu"), tmp_path / "cpu", registry)
    assert found[0] == pytest.approx(wanted[0], rel=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("compile", ["false", "true"])
def test_cuda_graphs_train_the_same(tmp_path: Path, registry: Registry, read: Read, compile: str) -> None:
    plain = losses_of(read("train.deterministic=true"), tmp_path / "plain", registry)
    settings = (f"train.compile={compile}", "train.cuda_graphs=true", "train.deterministic=true")
    graphs = read(*settings, "losses.discriminator[0].replay_pool=8")
    found = losses_of(graphs, tmp_path / "graphs", registry)
    # The pool changes the discriminator's loss from the second step on.
    assert found[0] == pytest.approx(plain[0], rel=3e-2)
    generator = "generator/region_colour"
    assert [each[generator] for each in found] == pytest.approx([each[generator] for each in plain], rel=0.1)

    again = losses_of(graphs, tmp_path / "again", registry)
    assert again == found
