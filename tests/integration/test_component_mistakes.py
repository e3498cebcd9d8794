"""Mistakes in components that a newcomer makes: each names component, place and plugin, and says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch

from facekit.interfaces import FacekitError
from facekit.recipe import read_recipe
from facekit.registry import PluginSet, Registry
from facekit.training.check.shape_check import probe_shapes
from facekit.training.loop import train

PLUGIN = Path(__file__).parent / "plugin_of_mistakes.py"

RECIPE = """\
facekit: 1
name: wrong
data: {{use: synthetic_faces, size: 32, train: 4, validation: 2, test: 2, cache: {cache}}}
model:
  generator: {{use: wrong/{generator}}}
losses:
  generator:
    - {{use: wrong/{loss}}}
train: {{steps: 1, batch: 2, precision: fp32, device: cpu, samples: 1}}
"""
GENERATOR, LOSS = 5, 8
"""The lines of the recipe that name the two."""

MISTAKES = [
    # generator, loss, line of the recipe, what it says, what it says to do
    ("misspelt_factory", "l1", GENERATOR, "cannot be built by its factory 'plugin_of_mistakes:build_it'", "build_it"),
    ("misspelt_module", "l1", GENERATOR, "cannot be built by its factory 'plugin_of_mistake:build_sound'", "named"),
    ("few_arguments", "l1", GENERATOR, "cannot be built", "takes 1 positional argument but 2 were given"),
    ("none", "l1", GENERATOR, "gave None", "let it return what it built"),
    ("raises", "l1", GENERATOR, "fails in its forward pass: ValueError: my bug", "plugin_of_mistakes.py:{raises}"),
    ("one_channel", "l1", GENERATOR, "gave `generated` of shape (2, 1, 32, 32)", "(batch, 3, size, size)"),
    ("half_size", "l1", GENERATOR, "gave `generated` of shape (2, 3, 16, 16)", "correct the ports"),
    ("bare_tensor", "l1", GENERATOR, "not Generated", "wrap what it returns: facekit.interfaces.Generated(...)"),
    ("float64", "l1", GENERATOR, "gave `generated` as torch.float64", "float32"),
    ("sound", "typo", LOSS, "AttributeError", "plugin_of_mistakes.py:{typo}"),
    ("sound", "nothing", LOSS, "gave NoneType, not a tensor", "let it return its value"),
    ("sound", "vector", LOSS, "gave a tensor of shape (2,), not one number", "take the mean"),
    ("sound", "asks", LOSS, "has no style encoder", "add model.style_encoder"),
    ("detached", "l1", None, "no gradient arrives", "detach()"),
    ("sound", "learns", LOSS, "has weights of its own (weight)", "make them a network of the recipe"),
]


@pytest.fixture(scope="module")
def registry() -> Registry:
    plugins = PluginSet({})
    plugins.load_installed()
    plugins.load_file(PLUGIN)
    return Registry(plugins)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("wrong")


def _line(text: str) -> int:
    """Return the line of the plugin that holds a text."""
    return next(n for n, line in enumerate(PLUGIN.read_text().splitlines(), 1) if text in line)


@pytest.mark.parametrize("how", ["validate", "run"])
@pytest.mark.parametrize(("generator", "loss", "line", "says", "hint"), MISTAKES, ids=lambda value: str(value)[:16])
def test_a_mistake_is_named(
    how: str,
    generator: str,
    loss: str,
    line: int | None,
    says: str,
    hint: str,
    registry: Registry,
    folder: Path,
    tmp_path: Path,
) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(RECIPE.format(cache=folder / "cache", generator=generator, loss=loss), encoding="utf-8")
    recipe = read_recipe(file, registry=registry)
    check = partial(probe_shapes, recipe) if how == "validate" else partial(train, recipe, out=tmp_path / "run")
    with pytest.raises(FacekitError) as caught:
        check(registry=registry)
    text = str(caught.value)
    hint = hint.format(raises=_line('raise ValueError("my bug")'), typo=_line(".imgae"))
    assert caught.value.exit_code == 2
    assert says in text
    assert hint in text
    if line is not None:
        assert f"wrong.yaml:{line}:" in text
        assert "plugin_of_mistakes" in text or says == "has no style encoder"
        assert f"wrong/{generator if line == GENERATOR else loss}" in text or loss in text
    else:
        assert "losses.generator" in text
        assert loss in text


def test_without_a_mistake_it_trains(registry: Registry, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(RECIPE.format(cache=folder / "cache", generator="sound", loss="l1"), encoding="utf-8")
    recipe = read_recipe(file, registry=registry)
    assert probe_shapes(recipe, registry=registry).step_flops > 0
    assert train(recipe, out=tmp_path / "run", registry=registry).outcome == "finished"
