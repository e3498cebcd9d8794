"""Runs of older versions of a plugin: loaded, evaluated, resumed and built upon with the version that is installed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from click.testing import CliRunner, Result
from tests.kills import Killed, kill_after, tensors_of
from torch import Tensor

from facekit import load
from facekit.cli.main import cli
from facekit.evaluation import evaluate_run
from facekit.interfaces import FacekitError
from facekit.recipe import RecipeError, read_recipe
from facekit.registry import PluginSet, Registry
from facekit.training.checkpoint import checkpoints
from facekit.training.checkpoint.reader import COMPONENTS, CheckpointReader, components_of
from facekit.training.loop import train
from facekit.training.networks import load_model
from facekit.training.run.event_log import read_lines
from facekit.training.run.folder import RunFolder, step_name

PLUGINS = Path(__file__).parent / "plugin"
METRIC = Path(__file__).parents[1] / "evaluation" / "plugin" / "error_metric_plugin.py"

RECIPE = """\
facekit: 1
name: changing
data: {{use: tiny/faces, size: 16, cache: {cache}}}
model:
  style_encoder: {{use: tiny/encoder}}
  generator: {{use: changing/painter, width: 5}}
  discriminator: {{use: tiny/critic}}
losses:
  generator:
    - {{use: tiny/adversarial}}
    - {{use: tiny/l1, weight: 5}}
    - {{use: changing/steady, label: steady.mean}}
  discriminator: [{{use: tiny/adversarial}}]
metrics: [{{use: test/error}}]
train: {{steps: 8, batch: 4, precision: fp32, device: cpu, log_every: 1, checkpoint_every: 3, sample_every: 4, samples: 3}}
"""  # noqa: E501


def registry_of(version: int) -> Registry:
    plugins = PluginSet({})
    for file in (PLUGINS / "tiny_plugin.py", METRIC):
        plugins.load_file(file)
    if version == 3:
        # Version 3 reads what version 2 was from its file, which is no plugin of this set.
        sys.modules.setdefault("changing_2", _module("changing_2"))
    plugins.load_file(PLUGINS / f"changing_{version}.py")
    return Registry(plugins)


def _module(name: str) -> Any:
    plugins = PluginSet({})
    plugins.load_file(PLUGINS / f"{name}.py")
    return sys.modules[name]


@pytest.fixture(scope="module", autouse=True)
def _modules_are_forgotten() -> Iterator[None]:
    yield
    for name in ("changing_1", "changing_2", "changing_3"):
        sys.modules.pop(name, None)


@pytest.fixture
def first() -> Registry:
    return registry_of(1)


@pytest.fixture
def second() -> Registry:
    return registry_of(2)


@pytest.fixture
def third() -> Registry:
    return registry_of(3)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "changing.yaml"
    file.write_text(RECIPE.format(cache=tmp_path / "cache"), encoding="utf-8")
    return file


@pytest.fixture
def whole(tmp_path: Path, file: Path, first: Registry) -> Path:
    """A run of version 1 that was never stopped."""
    train(read_recipe(file, registry=first), out=tmp_path / "whole", registry=first)
    return tmp_path / "whole"


@pytest.fixture
def killed(tmp_path: Path, file: Path, first: Registry) -> Path:
    """A run of version 1 that was killed after step 4, with a checkpoint of step 3."""
    return kill(file, tmp_path / "killed", first)


def kill(recipe: Path, run: Path, registry: Registry) -> Path:
    with pytest.raises(Killed):
        train(read_recipe(recipe, registry=registry), out=run, registry=registry, observer=kill_after(4))
    return run


def resume(run: Path, registry: Registry) -> tuple[str, ...]:
    recipe = read_recipe(run / "recipe.yaml", registry=registry)
    result = train(recipe, out=run, registry=registry, resume=True)
    assert (result.outcome, result.step) == ("finished", 8)
    return result.warnings


def state_of(run: Path, step: int) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((RunFolder(run).checkpoints / step_name(step) / "state.json").read_text())
    return document


def as_version_2(name: str) -> str:
    for old, new in (
        (":generator.stem.", ":generator.first."),
        (":generator.norm.", ":generator.normalisation."),
        (":generator.head.", ":generator.last."),
        ("steady.mean.mean", "steady.mean.average"),
    ):
        name = name.replace(old, new)
    return name


def pictures(run: Path, registry: Registry, **more: Any) -> Tensor:
    random = torch.Generator().manual_seed(5)
    masks = torch.randint(0, 3, (4, 16, 16), generator=random)
    photos = torch.rand((4, 3, 16, 16), generator=random) * 2 - 1
    painted = load(run, registry=registry, device="cpu", **more).generate(masks, photos, masks.flip(0))
    assert isinstance(painted, Tensor)
    return painted


def test_checkpoints_state_what_wrote_them(whole: Path) -> None:
    assert state_of(whole, 8)[COMPONENTS] == {
        "style_encoder": "tiny/encoder@1",
        "generator": "changing/painter@1",
        "discriminator": "tiny/critic@1",
        "generator/adversarial": "tiny/adversarial@1",
        "generator/l1": "tiny/l1@1",
        "generator/steady.mean": "changing/steady@1",
        "discriminator/adversarial": "tiny/adversarial@1",
    }


@pytest.mark.parametrize("version", [2, 3])
def test_a_later_version_paints_the_same_pictures(whole: Path, first: Registry, version: int) -> None:
    later = registry_of(version)
    for weights in ("ema", "live"):
        for step in (6, 8):
            before = pictures(whole, first, weights=weights, step=step)
            after = pictures(whole, later, weights=weights, step=step)
            # Version 2 only renames. Version 3 computes: two layers in place of one round otherwise on some processors.
            assert torch.equal(after, before) if version == 2 else torch.allclose(after, before, rtol=0, atol=1e-6)
    assert not torch.equal(pictures(whole, later, weights="live"), pictures(whole, later, weights="ema"))


def test_loading_says_what_was_migrated(whole: Path, first: Registry, second: Registry, third: Registry) -> None:
    layers = "Layers and options have plain names, and the rectifier may leak"
    said = "version 1 of changing/painter wrote the weights of the generator; they are read as those of version "
    assert load(whole, registry=first).notes == ()
    assert load(whole, registry=second).notes == (f"{said}2: {layers}",)
    assert load(whole, registry=third).notes == (f"{said}3: {layers}; Scale and shift have a layer each",)
    loaded = load_model(whole, registry=second, with_discriminator=True)
    assert loaded.recipe.model.get("generator").options.model_dump() == {"channels": 5, "slope": 0.0}
    assert loaded.model.get("discriminator") is not None
    assert len(loaded.recipe.notices) == 2


@pytest.mark.parametrize("version", [2, 3])
def test_a_later_version_measures_the_same(whole: Path, first: Registry, version: int) -> None:
    (before,) = evaluate_run(whole, registry=first, split="validation", device="cpu", record=False)
    (after,) = evaluate_run(whole, registry=registry_of(version), split="validation", device="cpu", record=False)
    assert after.measurement("error") == before.measurement("error")
    assert after.protocol == before.protocol


def test_a_run_goes_on_exactly_where_weights_were_renamed(whole: Path, killed: Path, second: Registry) -> None:
    lock = (killed / "recipe.yaml").read_text("utf-8")
    assert state_of(killed, 3)[COMPONENTS]["generator"] == "changing/painter@1"
    warnings = resume(killed, second)
    wanted = {as_version_2(name): value for name, value in tensors_of(whole, 8).items()}
    found = tensors_of(killed, 8)
    assert found.keys() == wanted.keys()
    assert [name for name in found if not torch.equal(found[name], wanted[name])] == []
    assert any(name.startswith("optimiser.safetensors:generator.first.weight/exp_avg") for name in found)
    assert "losses.safetensors:generator/steady.mean.average" in found
    assert not any("afresh" in warning for warning in warnings)
    assert [warning for warning in warnings if "wrote the weights" in warning] == [
        "version 1 of changing/painter wrote the weights of the generator; they are read as those of version 2: "
        "Layers and options have plain names, and the rectifier may leak",
        "version 1 of changing/steady wrote the weights of the generator's loss 'steady.mean'; they are read as "
        "those of version 2: The mean is an average",
    ]
    recorded = [line["message"] for line in read_lines(killed / "metrics.jsonl") if line["event"] == "warning"]
    assert set(warnings) <= set(recorded)
    # The lock says what the run was started with, each checkpoint says what wrote it.
    assert (killed / "recipe.yaml").read_text("utf-8") == lock
    assert "use: changing/painter@1" in lock
    assert state_of(killed, 8)[COMPONENTS]["generator"] == "changing/painter@2"


def test_after_that_every_checkpoint_of_the_run_is_read_as_what_it_is(
    whole: Path, killed: Path, first: Registry, second: Registry
) -> None:
    resume(killed, second)
    assert load_model(killed, registry=second).notes == ()
    assert load_model(killed, registry=second, step=6).notes == ()
    assert torch.equal(pictures(killed, second), pictures(whole, first))
    # With version 1 installed again, the lock can be read and what version 1 wrote; the rest says what is missing.
    with pytest.raises(FacekitError) as caught:
        load_model(killed, registry=first)
    assert caught.value.message.startswith("version 2 of changing/painter wrote the weights of the generator, and ")
    assert caught.value.message.endswith("changing_1.py has version 1")
    assert caught.value.where == str(RunFolder(killed).checkpoints / step_name(8))
    with pytest.raises(FacekitError, match="version 2 of changing/painter wrote the weights"):
        resume(killed, first)
    # Resumed once more, nothing is migrated twice.
    before = tensors_of(killed, 8)
    assert not any("wrote the weights" in warning for warning in resume(killed, second))
    assert all(torch.equal(before[name], value) for name, value in tensors_of(killed, 8).items())


def test_a_run_of_a_newer_version_is_refused(tmp_path: Path, file: Path, first: Registry, second: Registry) -> None:
    recipe = read_recipe(file, registry=second, overrides=["train.steps=1"])
    train(recipe, out=tmp_path / "run", registry=second)
    with pytest.raises(RecipeError, match=r"written for version 2 of the generator 'changing/painter'"):
        load_model(tmp_path / "run", registry=first)


def test_weights_that_are_computed_anew_start_with_fresh_moments(whole: Path, killed: Path, third: Registry) -> None:
    warnings = resume(killed, third)
    (afresh,) = [warning for warning in warnings if "afresh" in warning]
    assert afresh.startswith(
        "the optimiser starts afresh for what version 3 of changing/painter makes of generator.head.bias, "
        "generator.head.weight, generator.style.bias and 1 more: training goes on, but not exactly"
    )
    found = tensors_of(killed, 8)
    counts = {name.split(":")[1]: float(value) for name, value in found.items() if name.endswith("/step")}
    fresh = {name for name, count in counts.items() if count == 5}
    assert fresh == {
        f"generator.{part}.{kind}/step" for part in ("scale", "shift", "last") for kind in ("weight", "bias")
    }
    assert {count for name, count in counts.items() if name not in fresh} == {8.0}
    assert all(bool(torch.isfinite(value).all()) for value in found.values() if value.is_floating_point())


def test_the_moments_of_weights_that_were_passed_on_are_those_of_before(killed: Path, third: Registry) -> None:
    recipe = read_recipe(killed / "recipe.yaml", registry=third)
    found = checkpoints.find(RunFolder(killed).checkpoints)
    reader = CheckpointReader(found, components_of(recipe))
    moments, old = reader.moments(), found.tensors(checkpoints.OPTIMISER)
    for entry in ("exp_avg", "exp_avg_sq", "step"):
        assert torch.equal(moments[f"generator.first.weight/{entry}"], old[f"generator.stem.weight/{entry}"])
        assert torch.equal(moments[f"generator.normalisation.bias/{entry}"], old[f"generator.norm.bias/{entry}"])
        assert torch.equal(moments[f"discriminator.second.weight/{entry}"], old[f"discriminator.second.weight/{entry}"])
    assert not any(name.startswith(("generator.last", "generator.scale", "generator.style")) for name in moments)
    # Reading it is no change of it: a second reader finds the same.
    again = CheckpointReader(checkpoints.find(RunFolder(killed).checkpoints), components_of(recipe))
    assert all(
        torch.equal(value, again.tensors(checkpoints.LIVE)[name])
        for name, value in reader.tensors(checkpoints.LIVE).items()
    )


def test_a_run_of_an_older_version_initialises_parts(
    tmp_path: Path, whole: Path, file: Path, first: Registry, second: Registry
) -> None:
    settings = ["train.steps=1", "train.optimiser.lr=1e-30", "model.generator.slope=0"]
    for part, source in (("generator", "null"), ("generator.last", "generator.last")):
        initialise = f"train.initialise=[{{part: {part}, weights: {whole}, source: {source}}}]"
        recipe = read_recipe(file, registry=second, overrides=[*settings, initialise])
        out = tmp_path / part
        train(recipe, out=out, registry=second)
        (note,) = json.loads((out / "lock.json").read_text())["initialised"]
        assert "(ema weights of version 1 of changing/painter, migrated)" in note
        averaged = checkpoints.find(RunFolder(whole).checkpoints).tensors(checkpoints.EMA)
        started = tensors_of(out, 1)
        for kind in ("weight", "bias"):
            assert torch.allclose(
                started[f"live.safetensors:generator.last.{kind}"], averaged[f"generator.head.{kind}"]
            )


def described(file: Path) -> dict[str, object]:
    """Return what a manifest says of a file."""
    return {"bytes": file.stat().st_size, "sha256": checkpoints.sha256(file)}


def test_initialising_needs_no_plugin_of_the_other_run_as_long_as_its_weights_fit(
    tmp_path: Path, killed: Path, file: Path, second: Registry
) -> None:
    state = RunFolder(killed).checkpoints / step_name(3) / "state.json"
    text = state.read_text().replace("changing/painter@1", "gone/painter@7")
    state.write_text(text)
    manifest = state.with_name("manifest.json")
    document = json.loads(manifest.read_text())
    document["files"]["state.json"] = described(state)
    manifest.write_text(json.dumps(document))
    initialise = f"train.initialise=[{{part: generator.last, weights: {killed}, source: generator.head}}]"
    recipe = read_recipe(file, registry=second, overrides=["train.steps=1", initialise])
    train(recipe, out=tmp_path / "new", registry=second)
    (note,) = json.loads((tmp_path / "new" / "lock.json").read_text())["initialised"]
    assert "(ema weights)" in note


def test_a_removed_option_that_was_in_use_is_refused_wherever_the_run_is_read(
    tmp_path: Path, file: Path, first: Registry, second: Registry
) -> None:
    recipe = read_recipe(file, registry=first, overrides=["train.steps=1", "model.generator.legacy=true"])
    train(recipe, out=tmp_path / "run", registry=first)
    with pytest.raises(RecipeError, match="'legacy' is gone since version 2 of changing/painter: The erratum is right"):
        load_model(tmp_path / "run", registry=second)
    load_model(tmp_path / "run", registry=first)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda state, options: 1 / 0, "failed on the weights of version 1: ZeroDivisionError"),
        (lambda state, options: {**state, "first.weight": 3}, "made first.weight int, not a tensor"),
        (lambda state, options: state, "these weights do not fit the model: generator.first.bias is missing"),
    ],
)
def test_a_migration_that_fails_is_a_mistake_with_its_place(
    whole: Path, second: Registry, monkeypatch: pytest.MonkeyPatch, function: Any, said: str
) -> None:
    monkeypatch.setattr(sys.modules["changing_2"], "rename", function)
    with pytest.raises(FacekitError) as caught:
        load_model(whole, registry=second)
    assert said in caught.value.message
    assert caught.value.where == str(RunFolder(whole).checkpoints / step_name(8))


def test_a_checkpoint_of_another_recipe_is_no_older_version(whole: Path, killed: Path, second: Registry) -> None:
    recipe = read_recipe(killed / "recipe.yaml", registry=second, overrides=["model.generator.slope=0.5"])
    with pytest.raises(FacekitError, match=r"a run of another recipe: model\.generator\.slope was 0\.0, is 0\.5"):
        train(recipe, out=killed, registry=second, resume=True)


def test_a_state_of_losses_that_does_not_fit_is_told(killed: Path, second: Registry) -> None:
    recipe = read_recipe(killed / "recipe.yaml", registry=second)
    losses = RunFolder(killed).checkpoints / step_name(3) / "losses.safetensors"
    checkpoints.write_tensors(losses, {"generator/steady.mean.other": torch.zeros(())})
    manifest = losses.with_name("manifest.json")
    document = json.loads(manifest.read_text())
    document["files"][losses.name] = described(losses)
    manifest.write_text(json.dumps(document))
    with pytest.raises(FacekitError, match=r"do not fit the model: generator/steady\.mean\.average is missing"):
        train(recipe, out=killed, registry=second, resume=True)


def _facekit(version: int, *arguments: str | Path) -> Result:
    plugins = [PLUGINS / "tiny_plugin.py", METRIC, PLUGINS / f"changing_{version}.py"]
    files = [part for plugin in plugins for part in ("--plugin-file", str(plugin))]
    return CliRunner().invoke(cli, [str(argument) for argument in arguments] + files)


def test_the_command_line_resumes_and_tells_it_once(
    tmp_path: Path, file: Path, first: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEKIT_NO_PLUGINS", "1")
    file.write_text(file.read_text("utf-8").replace("metrics: [{use: test/error}]\n", ""), encoding="utf-8")
    killed = kill(file, tmp_path / "killed", first)
    lines = (killed / "recipe.yaml").read_text("utf-8").splitlines()
    ((number, line),) = [(number, line) for number, line in enumerate(lines, 1) if "width: 5" in line]
    place = f"{killed / 'recipe.yaml'}:{number}:{line.index('width') + 1}"
    resumed = _facekit(2, "resume", killed)
    assert resumed.exit_code == 0, resumed.stderr
    notes = [line for line in resumed.stderr.splitlines() if ": note: " in line]
    assert [note.split(": note: ")[0].split(": ")[1] for note in notes] == [
        "model.generator.channels",
        "model.generator.legacy",
    ]
    assert notes[0] == (
        f"{place}: model.generator.channels: note: 'width' is called 'channels' since version 2 of changing/painter: "
        "Layers and options have plain names, and the rectifier may leak"
    )
    page = (killed / "report.html").read_text("utf-8")
    assert '<span class="badge">tiny/faces, 16 px</span>' in page
    assert "version 1 of changing/painter wrote the weights of the generator" in page
    shown = _facekit(2, "recipes", "show", killed / "recipe.yaml")
    assert yaml.safe_load(shown.stdout)["model"]["generator"] == {
        "use": "changing/painter@2",
        "channels": 5,
        "slope": 0.0,
    }
    again = _facekit(2, "run", file, "--out", tmp_path / "new", "--set", "train.steps=1")
    assert again.exit_code == 0, again.stderr
    assert len([line for line in again.stderr.splitlines() if ": note: " in line]) == 1  # width; it states no version
