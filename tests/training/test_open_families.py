"""Families that the core knows nothing of: noise, a sampler, three players; and what is said where a part is broken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.kills import Killed, kill_after, tensors_of

from facekit.interfaces import Condition, FacekitError, RunEvent, StepLogged, sample
from facekit.recipe import ResolvedRecipe, read_recipe
from facekit.registry import PluginSet, Registry
from facekit.sampling.noise import noise_for_batch, noise_for_keys
from facekit.training.check.shape_check import probe_shapes
from facekit.training.loop import train
from facekit.training.network_call import RunNetworks
from facekit.training.networks import FaceModel, load_model
from facekit.training.precision import Precision
from facekit.training.run.folder import RunFolder
from facekit.training.samples import sample_in_batches

PLUGINS = Path(__file__).parent / "plugin"

FAMILY = """\
facekit: 1
name: open
data: {{use: tiny/faces, size: 16, cache: {cache}, workers: 1}}
model:
  generator: {{use: open/painter}}
  sampler: {{use: open/sampler}}
  mapping: {{use: open/mapping}}
  discriminator: {{use: tiny/critic}}
losses:
  generator: [{{use: open/close}}, {{use: tiny/adversarial, weight: 0.1}}]
  discriminator: [{{use: tiny/adversarial}}]
  mapping: [{{use: open/code_size}}]
train: {{steps: 6, batch: 4, precision: fp32, device: cpu, log_every: 1, checkpoint_every: 2, sample_every: 3, samples: 3}}
"""  # noqa: E501

BROKEN = """\
facekit: 1
name: broken
data: {{use: tiny/faces, size: 16, cache: {cache}, workers: 1}}
model:
  generator: {{use: open/faulty}}
losses:
  generator: [{{use: tiny/l1}}]
train: {{steps: 2, batch: 4, precision: fp32, device: cpu, samples: 2}}
"""

Read = Callable[..., ResolvedRecipe]


@pytest.fixture
def registry() -> Registry:
    plugins = PluginSet({})
    for name in ("tiny_plugin", "open_plugin"):
        plugins.load_file(PLUGINS / f"{name}.py")
    return Registry(plugins)


@pytest.fixture
def read(tmp_path: Path, registry: Registry) -> Read:
    def run(text: str, *overrides: str) -> ResolvedRecipe:
        file = tmp_path / "open.yaml"
        file.write_text(text.format(cache=tmp_path / "cache"), encoding="utf-8")
        return read_recipe(file, registry=registry, overrides=overrides)

    return run


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("train.precision=bf16", "train.turns={discriminator: 2, mapping: 3}"),
        ("train.accumulate=2", "train.batch=2", "losses.discriminator[0].replay_pool=3"),
    ],
    ids=["plain", "turns", "accumulate+pool"],
)
def test_three_players_train_and_resume_bit_for_bit(
    tmp_path: Path, registry: Registry, read: Read, overrides: tuple[str, ...]
) -> None:
    recipe = read(FAMILY, *overrides)
    assert recipe.players == ("discriminator", "mapping", "generator")
    events: list[RunEvent] = []
    train(recipe, out=tmp_path / "whole", registry=registry, observer=events.append)
    logged = [event for event in events if isinstance(event, StepLogged)]
    assert set(logged[-1].losses) == {
        "discriminator/adversarial",
        "mapping/code_size",
        "generator/close",
        "generator/adversarial",
    }
    assert set(logged[-1].learning_rates) == {"discriminator", "mapping", "generator"}
    for step, resume in ((1, False), (3, True)):
        with pytest.raises(Killed):
            train(recipe, out=tmp_path / "killed", registry=registry, observer=kill_after(step), resume=resume)
    train(recipe, out=tmp_path / "killed", registry=registry, resume=True)
    left, right = tensors_of(tmp_path / "whole", 6), tensors_of(tmp_path / "killed", 6)
    assert left.keys() == right.keys()
    assert [name for name in left if not torch.equal(left[name], right[name])] == []
    names = {name.split(":")[1].split(".")[0] for name in left if name.startswith("ema")}
    assert names == {"mapping", "generator"}
    first = tensors_of(tmp_path / "whole", 4)
    for part in ("mapping.layers.0.weight", "generator.head.weight", "discriminator.second.weight"):
        assert not torch.equal(first[f"live.safetensors:{part}"], left[f"live.safetensors:{part}"])


def test_the_grid_of_a_family_from_noise_shows_other_noise(tmp_path: Path, registry: Registry, read: Read) -> None:
    train(read(FAMILY), out=tmp_path / "run", registry=registry)
    picture = Image.open(RunFolder(tmp_path / "run").sample(6))
    assert picture.width == 4 * 20 + 4  # the result, and three of other noise


def test_noise_is_repeatable_and_depends_on_seed_step_and_name() -> None:
    shapes = {"latent": (3,), "depth": (2, 4)}
    one, again = noise_for_batch(shapes, 5, 0, 7), noise_for_batch(shapes, 5, 0, 7)
    assert {name: tuple(tensor.shape) for name, tensor in one.items()} == {"latent": (5, 3), "depth": (5, 2, 4)}
    assert all(torch.equal(one[name], again[name]) for name in shapes)
    for other in (noise_for_batch(shapes, 5, 0, 8), noise_for_batch(shapes, 5, 1, 7)):
        assert not any(torch.equal(one[name], other[name]) for name in shapes)
    same_shape = noise_for_batch({"a": (50,), "b": (50,)}, 20, 0)
    assert not torch.equal(same_shape["a"], same_shape["b"])
    values = same_shape["a"]
    assert abs(float(values.mean())) < 0.15
    assert abs(float(values.std()) - 1) < 0.1


def test_noise_of_a_sample_is_the_same_in_any_batch() -> None:
    shapes = {"latent": (6,)}
    keys = [f"face{index}" for index in range(8)]
    whole = noise_for_keys(shapes, keys, 3)["latent"]
    assert len({tuple(row.tolist()) for row in whole}) == 8
    for part in ([0, 1], [7, 2, 5], [4]):
        assert torch.equal(noise_for_keys(shapes, [keys[index] for index in part], 3)["latent"], whole[part])
    assert not torch.equal(noise_for_keys(shapes, keys, 4)["latent"], whole)


def test_samples_from_noise_do_not_depend_on_the_batch(tmp_path: Path, registry: Registry, read: Read) -> None:
    train(read(FAMILY, "train.steps=2"), out=tmp_path / "run", registry=registry)
    loaded = load_model(tmp_path / "run", registry=registry)
    assert loaded.model.get("discriminator") is None
    noise = noise_for_keys(loaded.model.noise, [f"{index}" for index in range(7)], 0)
    assert noise["latent"].shape == (7, 4)
    condition = Condition(extra=noise)
    precision = Precision(torch.device("cpu"))
    images = [sample_in_batches(loaded.model, condition, precision, batch=batch) for batch in (7, 3, 1)]
    assert images[0].shape == (7, 3, 16, 16)
    for other in images[1:]:
        torch.testing.assert_close(other, images[0])
    assert float((images[0][0] - images[0][1]).abs().mean()) > 0


def test_a_generator_alone_starts_from_noise_too(tmp_path: Path, registry: Registry, read: Read) -> None:
    text = FAMILY.replace("  sampler: {{use: open/sampler}}\n  mapping: {{use: open/mapping}}\n", "")
    text = text.replace("  mapping: [{{use: open/code_size}}]\n", "")
    result = train(read(text), out=tmp_path / "run", registry=registry)
    assert result.outcome == "finished"
    model = load_model(tmp_path / "run", registry=registry).model
    assert sample(model.callables, Condition(extra=noise_for_keys(model.noise, ["a"], 0))).image.shape == (1, 3, 16, 16)


def test_networks_that_no_loss_reaches_are_told(tmp_path: Path, registry: Registry, read: Read) -> None:
    """The painter's own way from noise is not on the way of the sampler, but a part of a network that is."""
    recipe = read(FAMILY, "model.regressor={use: open/regressor}")
    said = r"model\.regressor: no loss of the generator \(close, adversarial\) reaches the network 'regressor'"
    with pytest.raises(FacekitError, match=said) as caught:
        train(recipe, out=tmp_path / "run", registry=registry)
    assert "freeze it (`frozen: true`), or take model.regressor out" in str(caught.value)
    with pytest.raises(FacekitError, match=said):
        probe_shapes(recipe, registry=registry)
    train(
        read(FAMILY, "model.regressor={use: open/regressor, frozen: true}"), out=tmp_path / "frozen", registry=registry
    )


def test_a_network_frozen_at_first_need_not_be_reached(tmp_path: Path, registry: Registry, read: Read) -> None:
    recipe = read(
        FAMILY, "model.regressor={use: open/regressor}", "train.freeze=[{part: regressor, until: 1}]", "train.steps=2"
    )
    assert train(recipe, out=tmp_path / "run", registry=registry).outcome == "finished"


def test_the_shape_check_takes_networks_players_and_noise(registry: Registry, read: Read) -> None:
    found = probe_shapes(read(FAMILY), registry=registry)
    assert found.on_fake_tensors
    assert list(found.parameters) == ["generator", "discriminator", "mapping"]
    assert found.picture_flops > 0


# Broken parts.


def failure(recipe: ResolvedRecipe, registry: Registry, folder: Path) -> str:
    """What is said, by the shape check and by the first step alike."""
    with pytest.raises(FacekitError) as of_shapes:
        probe_shapes(recipe, registry=registry)
    with pytest.raises(FacekitError) as of_step:
        train(recipe, out=folder / "run", registry=registry)
    assert str(of_step.value).replace("(4, ", "(N, ") == str(of_shapes.value).replace("(4, ", "(N, ")
    assert of_step.value.exit_code == 2
    return str(of_step.value)


def test_a_generator_that_is_cut_from_its_weights(tmp_path: Path, registry: Registry, read: Read) -> None:
    message = failure(read(BROKEN, "model.generator.fault=detached"), registry, tmp_path)
    assert message.startswith("losses.generator: no gradient arrives: the losses of the generator (l1) do not depend")
    assert "the weights of generator\n" in message
    assert "look for a detach() or a no_grad() too many" in message


@pytest.mark.parametrize(
    ("overrides", "place", "said", "hints"),
    [
        (
            ("model.generator.fault=wrong_size",),
            "open.yaml:5:20: model.generator: the generator 'open/faulty' gave",
            "`generated` of shape (4, 3, 8, 8), and its port says (batch, 3, size, size) with size = 16",
            ("correct the ports, or what it returns", "open_plugin.py"),
        ),
        (
            ("model.generator.fault=wrong_type",),
            "open.yaml:5:20: model.generator: the generator 'open/faulty' gave",
            "gave a tensor, not Generated",
            ("wrap what it returns: facekit.interfaces.Generated(...)", "open_plugin.py"),
        ),
        (
            ("model.generator.fault=raises",),
            "open.yaml:5:20: model.generator: the generator 'open/faulty' fails in its forward pass",
            "KeyError: 'a slip of mine'",
            (f"it failed at {PLUGINS / 'open_plugin.py'}:", " in forward", "it comes from "),
        ),
        (
            ("model.generator={use: open/nothing}",),
            "model.generator: the factory 'open_plugin:build_nothing' of the generator 'open/nothing' gave None",
            "",
            ("let it return what it built", "open_plugin.py"),
        ),
        (
            ("model.generator={use: open/of_one_argument}",),
            "model.generator: the generator 'open/of_one_argument' cannot be built by its factory",
            "build_of_one_argument() takes 1 positional argument but 2 were given",
            ("it comes from ",),
        ),
        (
            ("model.generator={use: open/misspelt}",),
            "model.generator: the generator 'open/misspelt' cannot be built",
            "build_painterr",
            (),
        ),
        (
            ("model.generator={use: open/text}",),
            "model.generator: open/text gave str in place of a torch module",
            "",
            ("open_plugin.py",),
        ),
        (
            ("losses.generator=[{use: open/odd}]",),
            "losses.generator[0]: the loss generator/odd gave NoneType, not a tensor",
            "",
            ("let it return its value", "open_plugin.py"),
        ),
        (
            ("losses.generator=[{use: open/odd, how: number}]",),
            "losses.generator[0]: the loss generator/odd gave float, not a tensor",
            "",
            ("let it return its value",),
        ),
        (
            ("losses.generator=[{use: tiny/l1}, {use: open/odd, how: vector, label: rows}]",),
            "losses.generator[1]: the loss generator/rows gave a tensor of shape (4,), not one number",
            "",
            ("take the mean over samples", "open_plugin.py"),
        ),
        (
            ("losses.generator=[{use: open/odd, how: raises}]",),
            "losses.generator[0]: the loss generator/odd fails: KeyError: 'nothing'",
            "",
            (f"it failed at {PLUGINS / 'open_plugin.py'}:", " in __call__"),
        ),
    ],
    ids=lambda value: value[0][-40:] if isinstance(value, tuple) and value else "",
)
def test_what_is_said_of_broken_parts(
    tmp_path: Path,
    registry: Registry,
    read: Read,
    overrides: tuple[str, ...],
    place: str,
    said: str,
    hints: tuple[str, ...],
) -> None:
    message = failure(read(BROKEN, *overrides), registry, tmp_path)
    head, *rest = message.splitlines()
    assert place in head
    assert said in head
    assert len(rest) <= 1
    assert all(hint in "".join(rest) for hint in hints), message


def test_ports_of_networks_of_any_kind_are_held_to(registry: Registry, read: Read, tmp_path: Path) -> None:
    recipe = read(
        FAMILY,
        "model.regressor={use: open/wrong_numbers, frozen: true}",
        "losses.generator=[{use: open/same_numbers}]",
    )
    message = failure(recipe, registry, tmp_path)
    assert "model.regressor: the regressor 'open/wrong_numbers' gave `numbers` of shape (4, 2), and its port" in message
    assert "says (batch, 3)" in message


def test_a_network_may_not_be_called_what_torch_uses(registry: Registry, read: Read, tmp_path: Path) -> None:
    recipe = read(FAMILY, "model.train={use: open/regressor, frozen: true}")
    with pytest.raises(FacekitError, match=r"model\.train: a network cannot be called 'train'.*\n.*another name"):
        train(recipe, out=tmp_path / "run", registry=registry)


def test_a_player_without_weights_is_told(registry: Registry, read: Read, tmp_path: Path) -> None:
    model = FaceModel({"generator": torch.nn.Identity()})
    assert RunNetworks(model, Precision(torch.device("cpu")))["generator"](torch.ones(1)).item() == 1
    recipe = read(FAMILY, "losses.mapping=null")
    other = replace(recipe, losses=tuple(replace(loss, player="nobody") for loss in recipe.losses_of("discriminator")))
    with pytest.raises(FacekitError, match=r"losses\.nobody"):
        train(replace(recipe, losses=(*recipe.losses, *other.losses)), out=tmp_path / "run", registry=registry)
