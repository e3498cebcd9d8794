"""Six families that the core knows nothing of: each trains, goes on bit for bit, is measured, reported and used."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tests.kills import Killed, kill_after

from facekit.evaluation import evaluate_run
from facekit.inference import load
from facekit.interfaces import FacekitError
from facekit.recipe import ResolvedRecipe, read_recipe
from facekit.registry import PluginSet, Registry
from facekit.report import write_report
from facekit.sampling.inputs import inputs_of
from facekit.training.check.shape_check import probe_shapes
from facekit.training.loop import train
from facekit.training.networks import build_model
from facekit.training.run.folder import RunFolder, step_name

FAMILIES = Path(__file__).parents[2] / "docs" / "examples" / "families"
LINES_AT_MOST = 150
STEPS = 4

READS: dict[str, frozenset[str]] = {
    "msg_gan": frozenset(),
    "style_based": frozenset(),
    "rig": frozenset(),
    "vae": frozenset(),
    "diffusion": frozenset({"mask"}),
    "fitting": frozenset({"source"}),
}
"""What each family asks of people."""

FROM_NOISE = [name for name, reads in READS.items() if not reads]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of photos without masks."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for index in range(60):
        coarse = random.integers(0, 256, (4, 4, 3)).astype(np.uint8)
        Image.fromarray(coarse).resize((48, 48), Image.Resampling.BICUBIC).save(folder / f"face{index:02d}.png")
    return folder


@pytest.fixture(scope="module")
def registry() -> Registry:
    plugins = PluginSet({})
    plugins.load_installed()
    for name in READS:
        plugins.load_file(FAMILIES / f"{name}.py")
    return Registry(plugins)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, registry: Registry, photos: Path) -> Callable[[str], Path]:
    """Trains each family once: ``runs("vae")`` is its run folder."""
    folder = tmp_path_factory.mktemp("families")
    trained: dict[str, Path] = {}

    def run(name: str) -> Path:
        if name not in trained:
            trained[name] = folder / name
            train(recipe_of(name, registry, photos, folder, run), out=trained[name], registry=registry)
        return trained[name]

    return run


def recipe_of(
    name: str, registry: Registry, photos: Path, folder: Path, runs: Callable[[str], Path], *overrides: str
) -> ResolvedRecipe:
    """Return the recipe of a family, small and short."""
    given = [
        "data.size=16",
        f"data.cache={folder / 'cache'}",
        f"train.steps={STEPS}",
        "train.batch=3",
        "train.device=cpu",
        "train.log_every=1",
        "train.checkpoint_every=2",
        f"train.sample_every={STEPS}",
        "train.samples=2",
    ]
    given += ["data.train=8", "data.validation=4", "data.test=4"] if name == "diffusion" else [f"data.root={photos}"]
    if name == "rig":
        given += [f"model.{network}.weights={runs('style_based')}" for network in ("mapping", "synthesis")]
    return read_recipe(FAMILIES / f"{name}.yaml", registry=registry, overrides=[*given, *overrides])


def _tensors(run: Path) -> dict[str, torch.Tensor]:
    folder = RunFolder(run).checkpoints / step_name(STEPS)
    files = [*folder.glob("*.safetensors"), *(run / "frozen").glob("*.safetensors")]
    return {f"{file.name}:{name}": tensor for file in files for name, tensor in load_file(file).items()}


def test_each_family_is_one_short_file() -> None:
    files = sorted(file.stem for file in FAMILIES.glob("*.py"))
    assert files == sorted(READS)
    for name in files:
        assert len((FAMILIES / f"{name}.py").read_text().splitlines()) <= LINES_AT_MOST, name


def test_the_core_does_not_know_them() -> None:
    core = Path(__file__).parents[2] / "src" / "facekit"
    words = [spec.split("/")[1] for spec in ("families/msg_generator", "families/vae_decoder", "families/rig_cycle")]
    for file in core.rglob("*.py"):
        assert not any(word in file.read_text(encoding="utf-8") for word in words), file


@pytest.mark.parametrize("name", READS)
def test_it_asks_for_what_its_ports_need(
    name: str, registry: Registry, photos: Path, tmp_path: Path, runs: Callable[[str], Path]
) -> None:
    recipe = recipe_of(name, registry, photos, tmp_path, runs)
    inputs = inputs_of(recipe, registry.label_maps)
    assert inputs.needed == READS[name]
    assert bool(inputs.noise) == (name != "fitting")


@pytest.mark.parametrize("name", READS)
def test_its_shapes_are_checked(
    name: str, registry: Registry, photos: Path, tmp_path: Path, runs: Callable[[str], Path]
) -> None:
    found = probe_shapes(recipe_of(name, registry, photos, tmp_path, runs), registry=registry)
    assert found.step_flops > 0
    assert sum(found.parameters.values()) > 0


@pytest.mark.parametrize("name", READS)
def test_it_trains_and_goes_on_bit_for_bit(
    name: str, registry: Registry, photos: Path, tmp_path: Path, runs: Callable[[str], Path]
) -> None:
    whole = runs(name)
    recipe = recipe_of(name, registry, photos, whole.parent, runs)
    with pytest.raises(Killed):
        train(recipe, out=tmp_path / "killed", registry=registry, observer=kill_after(3))
    result = train(recipe, out=tmp_path / "killed", registry=registry, resume=True)
    assert (result.outcome, result.step) == ("finished", STEPS)
    left, right = _tensors(whole), _tensors(tmp_path / "killed")
    assert left.keys() == right.keys()
    assert [key for key in left if not torch.equal(left[key], right[key])] == []

    lock = json.loads((whole / "lock.json").read_text())
    fresh = build_model(recipe, label_map=_label_map(recipe, registry), attribute_names=tuple(lock["attribute_names"]))
    before = {key: tensor for key, tensor in fresh.state_dict().items() if tensor.is_floating_point()}
    live = {key.split(":")[1]: tensor for key, tensor in left.items() if key.startswith("live")}
    learnt = [key for key, tensor in before.items() if key in live and not torch.equal(live[key], tensor)]
    trained = {key.split(".")[0] for key in learnt}
    assert trained == {each for each, _ in fresh.named_children()} - fresh.frozen


def test_frozen_networks_are_written_once(runs: Callable[[str], Path]) -> None:
    run = runs("rig")
    assert {file.stem for file in (run / "frozen").iterdir()} == {"mapping", "synthesis"}
    newest = RunFolder(run).checkpoints / step_name(STEPS)
    for file in newest.glob("*.safetensors"):
        assert {key.split(".")[0] for key in load_file(file)} == {"rig"}
    source = load_file(RunFolder(runs("style_based")).checkpoints / step_name(STEPS) / "ema.safetensors")
    kept = load_file(run / "frozen" / "mapping.safetensors")
    assert all(torch.equal(tensor, source[f"mapping.{key}"]) for key, tensor in kept.items())


def _images(run: Path, registry: Registry, **asked: Any) -> torch.Tensor:
    images = load(run, registry=registry, device="cpu", settings=asked.pop("settings", ())).sample(8, **asked)
    return torch.stack([torch.from_numpy(np.asarray(image).copy()) for image in images])


@pytest.mark.parametrize("name", FROM_NOISE)
def test_faces_follow_the_seed(name: str, registry: Registry, runs: Callable[[str], Path]) -> None:
    once, again, other = (_images(runs(name), registry, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(once, again)
    together = [image.numpy().tobytes() for image in (*once, *other)]
    assert len(set(together)) == len(together)
    # In other batches to a level or two: a network's own arithmetic depends on the batch in the last bit.
    parts = _images(runs(name), registry, seed=1, batch=3)
    assert int((parts.int() - once.int()).abs().max()) <= 2


def test_a_mask_has_many_faces_and_a_photo_one(registry: Registry, runs: Callable[[str], Path]) -> None:
    mask = Image.fromarray(np.arange(16, dtype=np.uint8).repeat(16).reshape(16, 16) % 4)
    pipeline = load(runs("diffusion"), registry=registry, device="cpu")
    faces = [np.asarray(pipeline.generate(mask, seed=seed)).tobytes() for seed in (1, 1, 2)]
    assert faces[0] == faces[1] != faces[2]
    with pytest.raises(FacekitError, match="mask"):
        pipeline.generate()
    photo = Image.fromarray(np.full((16, 16, 3), 90, np.uint8))
    fitted = load(runs("fitting"), registry=registry, device="cpu").generate(source=photo)
    assert np.asarray(fitted).shape == (16, 16, 3)


def test_runtime_options_change_what_a_run_gives(registry: Registry, runs: Callable[[str], Path]) -> None:
    run = runs("style_based")
    mean = _images(run, registry, seed=1, settings=["sampler.truncation=0"])
    assert all(torch.equal(face, mean[0]) for face in mean)
    with pytest.raises(FacekitError, match=r"did you mean 'sampler\.truncation'"):
        load(run, registry=registry, settings=["sampler.truncatoin=0"])
    with pytest.raises(FacekitError, match=r"less than or equal to 1|at most 1"):
        load(run, registry=registry, settings=["sampler.truncation=2"])


@pytest.mark.parametrize("name", READS)
def test_it_is_measured_and_reported(
    name: str, registry: Registry, runs: Callable[[str], Path], recwarn: pytest.WarningsRecorder
) -> None:
    run = runs(name)
    results = evaluate_run(run, registry=registry, device="cpu", batch=4)
    assert results[0].system == "model"
    measured = {entry.name for entry in results[0].measurements}
    assert any("generation" in entry for entry in measured) == (name != "fitting")
    assert all(np.isfinite(entry.value) for entry in results[0].measurements)
    report = write_report(run).read_text(encoding="utf-8")
    assert ("--mask" in report) == ("mask" in READS[name])
    assert ("--count" in report) == (not READS[name])
    assert f"{name}.py" in report


def test_runtime_options_are_a_part_of_the_protocol(registry: Registry, runs: Callable[[str], Path]) -> None:
    plain, other = (
        evaluate_run(runs("style_based"), registry=registry, device="cpu", settings=settings, record=False)[0]
        for settings in ((), ("sampler.truncation=0.5",))
    )
    assert plain.protocol != other.protocol


def _label_map(recipe: ResolvedRecipe, registry: Registry) -> Any:
    from facekit.training.open_data import open_dataset

    return open_dataset(recipe, registry).label_map
