"""The page "Port your PyTorch model": its scripts run without facekit, and with it they train, go on and generate."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.kills import Killed, kill_after, tensors_of

from facekit.inference import load
from facekit.recipe import ResolvedRecipe, read_recipe
from facekit.registry import PluginSet, Registry
from facekit.training.loop import train

PORT = Path(__file__).parents[2] / "docs" / "examples" / "port"
MODELS = ("vae", "stylegan", "ddpm")
SIZE, STEPS = 16, 4
LINES_AT_MOST = {"plain": 120, "ported": 145}

NETWORKS = {"vae": ("encoder", "decoder"), "stylegan": ("mapping", "synthesis"), "ddpm": ("unet",)}
"""What ``train`` of each script returns, by the names that the recipe gives them."""


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    path = list(sys.path)
    plugins = PluginSet({})
    plugins.load_installed()
    for name in MODELS:
        plugins.load_file(PORT / f"ported_{name}.py")
    yield Registry(plugins)
    sys.path[:] = path
    for name in MODELS:
        for module in (f"plain_{name}", f"ported_{name}"):
            sys.modules.pop(module, None)


@pytest.fixture(scope="module")
def plain(registry: Registry) -> Callable[[str], tuple[ModuleType, Any]]:
    """The plain script of a model, and what its own loop trained in two steps."""

    def trained(name: str) -> tuple[ModuleType, Any]:
        module = import_module(f"plain_{name}")
        images = torch.rand(6, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 2 - 1
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return module, module.train(images, steps=2, batch=3)

    return trained


@pytest.fixture(scope="module")
def recipe_of(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., ResolvedRecipe]:
    cache = tmp_path_factory.mktemp("cache")

    def read(name: str, *overrides: str) -> ResolvedRecipe:
        data = [f"data.size={SIZE}", f"data.cache={cache}", "data.train=8", "data.validation=4", "data.test=4"]
        run = [f"train.steps={STEPS}", "train.batch=3", "train.device=cpu", "train.log_every=1", "train.samples=2"]
        every = ["train.checkpoint_every=2", f"train.sample_every={STEPS}"]
        return read_recipe(PORT / f"ported_{name}.yaml", registry=registry, overrides=[*data, *run, *every, *overrides])

    return read


@pytest.fixture(scope="module")
def runs(
    registry: Registry, recipe_of: Callable[..., ResolvedRecipe], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Trains each model once: ``runs("vae")`` is its run folder."""
    folder = tmp_path_factory.mktemp("ported")

    def run(name: str) -> Path:
        if not (folder / name).exists():
            train(recipe_of(name), out=folder / name, registry=registry)
        return folder / name

    return run


@pytest.mark.parametrize("name", MODELS)
def test_the_files_are_short_and_the_script_knows_nothing_of_facekit(name: str) -> None:
    for form, most in LINES_AT_MOST.items():
        assert len((PORT / f"{form}_{name}.py").read_text("utf-8").splitlines()) <= most
    text = (PORT / f"plain_{name}.py").read_text("utf-8")
    assert "import facekit" not in text
    assert "from facekit" not in text


@pytest.mark.parametrize("name", MODELS)
def test_it_trains_and_goes_on_bit_for_bit(
    name: str,
    registry: Registry,
    runs: Callable[[str], Path],
    recipe_of: Callable[..., ResolvedRecipe],
    tmp_path: Path,
) -> None:
    with pytest.raises(Killed):
        train(recipe_of(name), out=tmp_path / "killed", registry=registry, observer=kill_after(3))
    result = train(recipe_of(name), out=tmp_path / "killed", registry=registry, resume=True)
    assert (result.outcome, result.step) == ("finished", STEPS)
    left, right = tensors_of(runs(name), STEPS), tensors_of(tmp_path / "killed", STEPS)
    assert left.keys() == right.keys()
    assert [key for key in left if not torch.equal(left[key], right[key])] == []
    assert list((runs(name) / "samples").glob("*.png"))


def _faces(run: Path, registry: Registry, count: int = 2, **asked: Any) -> torch.Tensor:
    images = load(run, registry=registry, device="cpu", settings=asked.pop("settings", ())).sample(count, **asked)
    return torch.stack([torch.from_numpy(np.asarray(image).copy()) for image in images])


@pytest.mark.parametrize("name", MODELS)
def test_faces_follow_the_seed_whatever_the_batch(name: str, registry: Registry, runs: Callable[[str], Path]) -> None:
    once, again, other = (_faces(runs(name), registry, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(once, again)
    assert len({face.numpy().tobytes() for face in (*once, *other)}) == 4
    parts = _faces(runs(name), registry, seed=1, batch=1)
    assert int((parts.int() - once.int()).abs().max()) <= 2


def test_runtime_options_need_no_training(registry: Registry, runs: Callable[[str], Path]) -> None:
    mean = _faces(runs("stylegan"), registry, seed=1, settings=["sampler.truncation=0"])
    assert all(torch.equal(face, mean[0]) for face in mean)
    ancestral, few = (
        _faces(runs("ddpm"), registry, count=1, seed=1, settings=settings)
        for settings in ((), ("sampler.method=ddim", "sampler.steps=5"))
    )
    assert not torch.equal(ancestral, few)


@pytest.mark.parametrize("name", MODELS)
def test_weights_of_the_script_make_the_same_images(
    name: str,
    registry: Registry,
    plain: Callable[[str], tuple[ModuleType, Any]],
    recipe_of: Callable[..., ResolvedRecipe],
    tmp_path: Path,
) -> None:
    module, trained = plain(name)
    networks = dict(zip(NETWORKS[name], trained if isinstance(trained, tuple) else (trained,), strict=True))
    state = {
        f"{part}.{key}": tensor for part, network in networks.items() for key, tensor in network.state_dict().items()
    }
    save_file(state, tmp_path / "weights.safetensors")
    pipeline = load(tmp_path / "weights.safetensors", recipe=recipe_of(name), registry=registry, device="cpu")
    noise = pipeline.networks.noise(["0", "1"], seed=3)["noise"]
    made = pipeline.sample(2, seed=3, tensors=True) if name != "ddpm" else noise
    with torch.no_grad():
        if name == "vae":
            expected = trained[1](noise)
        elif name == "stylegan":
            expected = module.sample(*trained, noise)
        else:
            time = torch.full((2,), 7.0)
            made, expected = pipeline.networks["unet"](noise, time), trained(noise, time)
    # In another memory order: a convolution's last bit depends on it.
    assert torch.allclose(made, expected, atol=1e-5)
    assert module.sample.__doc__.startswith("Return new images")
