"""Frozen networks: their weights come from a run, stay as they are, and are kept once."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.kills import Killed, kill_after
from torch import nn

from facekit.interfaces import FacekitError
from facekit.recipe import ResolvedRecipe
from facekit.recipe.settings import EmaSettings
from facekit.registry import Registry
from facekit.training.loop import train
from facekit.training.networks import FaceModel, load_model
from facekit.training.optimiser import Ema
from facekit.training.run.folder import RunFolder, step_name

ReadRecipe = Callable[..., ResolvedRecipe]
FROZEN = ("style_encoder", "discriminator")


@pytest.fixture
def first(tmp_path: Path, registry: Registry, read: ReadRecipe) -> Path:
    """A run whose networks others take."""
    train(read("train.steps=3", "train.seed=5"), out=tmp_path / "first", registry=registry)
    return tmp_path / "first"


def recipe_of(read: ReadRecipe, first: Path, *more: str) -> ResolvedRecipe:
    """Two networks frozen, one trained."""
    uses = dict(zip(FROZEN, ("encoder", "critic"), strict=True))
    frozen = [f"model.{name}={{use: tiny/{use}, frozen: true, weights: {first}}}" for name, use in uses.items()]
    return read(*frozen, "losses.discriminator=null", "train.log_every=1", *more)


def states(run: Path, step: int) -> dict[str, dict[str, torch.Tensor]]:
    folder = RunFolder(run).checkpoints / step_name(step)
    return {file.stem: load_file(file) for file in folder.glob("*.safetensors")}


def test_frozen_networks_are_kept_once_and_in_no_checkpoint(
    tmp_path: Path, registry: Registry, read: ReadRecipe, first: Path
) -> None:
    train(recipe_of(read, first), out=tmp_path / "run", registry=registry)
    run = RunFolder(tmp_path / "run")
    hashes = run.read_lock()["frozen"]
    assert {name: run.frozen(name).parent.name for name in hashes} == dict.fromkeys(FROZEN, "frozen")
    for name in FROZEN:
        assert hashes[name] == hashlib.sha256(run.frozen(name).read_bytes()).hexdigest()
    for step in (6, 8):
        for file, tensors in states(run.path, step).items():
            assert {key.split(".")[0] for key in tensors} <= {"generator"}, file
        assert states(run.path, step)["live"]
        assert states(run.path, step)["ema"]
    # The averaged weights where the first run has them, else the live ones; and they stayed as they were.
    source = {**states(first, 3)["live"], **states(first, 3)["ema"]}
    for name in FROZEN:
        kept = load_file(run.frozen(name))
        assert kept.keys() == {key.split(".", 1)[1] for key in source if key.startswith(f"{name}.")}
        assert all(torch.equal(kept[key], source[f"{name}.{key}"]) for key in kept)
    loaded = load_model(run.path, registry=registry, with_discriminator=True)
    assert loaded.model.frozen == set(FROZEN)
    state = loaded.model.state_dict()
    assert all(torch.equal(state[key], source[key]) for key in state if not key.startswith("generator."))
    moved = states(run.path, 6)["live"]["generator.head.weight"]
    assert not torch.equal(moved, states(run.path, 8)["live"]["generator.head.weight"])
    assert load_model(run.path, registry=registry).model.get("discriminator") is None
    notes = run.read_lock()["initialised"]
    assert [note.split(" starts from ")[0] for note in notes] == ["style_encoder", "discriminator"]


@pytest.mark.parametrize("kill_at", [2, 5])
def test_resume_is_exact_without_what_the_weights_came_from(
    tmp_path: Path, registry: Registry, read: ReadRecipe, first: Path, kill_at: int
) -> None:
    recipe = recipe_of(read, first)
    train(recipe, out=tmp_path / "whole", registry=registry)
    with pytest.raises(Killed):
        train(recipe, out=tmp_path / "killed", registry=registry, observer=kill_after(kill_at))
    shutil.rmtree(first)
    train(recipe, out=tmp_path / "killed", registry=registry, resume=True)
    left, right = states(tmp_path / "whole", 8), states(tmp_path / "killed", 8)
    assert left.keys() == right.keys()
    for file, tensors in left.items():
        assert tensors.keys() == right[file].keys()
        assert all(torch.equal(tensors[key], right[file][key]) for key in tensors)
    load_model(tmp_path / "killed", registry=registry)


def test_a_run_killed_before_its_first_checkpoint_starts_its_other_networks_as_it_did(
    tmp_path: Path, registry: Registry, read: ReadRecipe, first: Path
) -> None:
    weights = tmp_path / "generator.safetensors"
    save_file({k: v for k, v in states(first, 3)["live"].items() if k.startswith("generator.")}, weights)
    recipe = recipe_of(
        read, first, "model.generator.source=generator", f"model.generator.weights={weights}", "train.steps=4"
    )
    train(recipe, out=tmp_path / "whole", registry=registry)
    with pytest.raises(Killed):
        train(recipe, out=tmp_path / "killed", registry=registry, observer=kill_after(2))
    assert not RunFolder(tmp_path / "killed").checkpoints.is_dir()
    train(recipe, out=tmp_path / "killed", registry=registry, resume=True)
    left, right = states(tmp_path / "whole", 4)["live"], states(tmp_path / "killed", 4)["live"]
    assert all(torch.equal(left[key], right[key]) for key in left)


def test_a_changed_byte_and_a_missing_file_are_refused(
    tmp_path: Path, registry: Registry, read: ReadRecipe, first: Path
) -> None:
    recipe = recipe_of(read, first, "train.steps=4")
    train(recipe, out=tmp_path / "run", registry=registry)
    file = RunFolder(tmp_path / "run").frozen("style_encoder")
    good = file.read_bytes()
    damaged = bytearray(good)
    damaged[-3] ^= 1
    file.write_bytes(damaged)
    for use in (
        lambda: load_model(tmp_path / "run", registry=registry),
        lambda: train(recipe, out=tmp_path / "run", registry=registry, resume=True),
    ):
        with pytest.raises(FacekitError, match="style_encoder' are not those that the run was made with") as caught:
            use()
        assert caught.value.where == str(file)
        assert "put the file back" in str(caught.value)
    file.unlink()
    with pytest.raises(FacekitError, match="the weights of the frozen network 'style_encoder' are missing"):
        load_model(tmp_path / "run", registry=registry)
    file.write_bytes(good)
    load_model(tmp_path / "run", registry=registry)


def test_a_run_takes_what_another_keeps_frozen(
    tmp_path: Path, registry: Registry, read: ReadRecipe, first: Path
) -> None:
    train(recipe_of(read, first, "train.steps=2"), out=tmp_path / "second", registry=registry)
    shutil.rmtree(first)
    train(recipe_of(read, tmp_path / "second", "train.steps=2"), out=tmp_path / "third", registry=registry)
    for name in FROZEN:
        one, other = (load_file(RunFolder(tmp_path / run).frozen(name)) for run in ("second", "third"))
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_network_may_start_from_weights_and_train_on(
    tmp_path: Path, registry: Registry, read: ReadRecipe, first: Path
) -> None:
    recipe = read(f"model.generator.weights={first}", "train.steps=1")
    train(recipe, out=tmp_path / "run", registry=registry)
    run = RunFolder(tmp_path / "run")
    assert run.read_lock()["frozen"] == {}
    assert not run.frozen("generator").exists()
    started, moved = states(first, 3)["ema"], states(run.path, 1)["live"]
    distance = (started["generator.head.weight"] - moved["generator.head.weight"]).abs().max()
    assert 0 < float(distance) < 1e-2
    # One that keeps its initial weights needs no file.
    kept = read("model.style_encoder.frozen=true", "train.steps=1", "train.seed=4")
    train(kept, out=tmp_path / "kept", registry=registry)
    assert RunFolder(tmp_path / "kept").frozen("style_encoder").is_file()


def test_what_is_not_there_is_said(tmp_path: Path, registry: Registry, read: ReadRecipe, first: Path) -> None:
    with pytest.raises(FacekitError, match=r"no such run folder or file\n.*model\.style_encoder names the weights"):
        train(recipe_of(read, tmp_path / "nowhere.safetensors"), out=tmp_path / "a", registry=registry)
    with pytest.raises(FacekitError, match="no weight begins with 'encoder'"):
        train(recipe_of(read, first, "model.style_encoder.source=encoder"), out=tmp_path / "b", registry=registry)
    with pytest.raises(FacekitError, match=r"stem\.weight is \(8, 3, 3, 3\) in place of \(8, 6, 3, 3\)"):
        train(recipe_of(read, first, "model.style_encoder.source=generator"), out=tmp_path / "c", registry=registry)


class Noisy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(2)
        self.drop = nn.Dropout(0.5)


def test_frozen_networks_stay_in_evaluation_mode_and_are_shared_with_the_average() -> None:
    model = FaceModel(
        {"generator": Noisy(), "regressor": Noisy(), "discriminator": Noisy()}, frozen=frozenset({"regressor"})
    )
    model.train()
    modes = {name: [module.training for module in network.modules()] for name, network in model.named_children()}
    assert modes == {"generator": [True] * 3, "regressor": [False] * 3, "discriminator": [True] * 3}
    assert not any(weight.requires_grad for weight in model.get_submodule("regressor").parameters())
    assert all(weight.requires_grad for weight in model.get_submodule("generator").parameters())
    ema = Ema(model, EmaSettings(decay=0.9), ["generator"], images=4)
    assert [name for name, _ in ema.model.named_children()] == ["generator", "regressor"]
    assert ema.model.get_submodule("regressor") is model.get_submodule("regressor")
    assert ema.model.get_submodule("generator") is not model.get_submodule("generator")
    assert ema.model.frozen == {"regressor"}
    assert model.get_submodule("generator").training
    with torch.no_grad():
        for weight in model.get_submodule("generator").parameters():
            weight.add_(1.0)
    before = model.get_submodule("regressor").state_dict()
    ema.update(0)
    assert all(torch.equal(before[key], value) for key, value in model.get_submodule("regressor").state_dict().items())
