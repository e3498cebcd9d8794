"""What docs/plugins/versioning.md says holds: its example, the notes it shows, its Python."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch

from facekit.interfaces import BuildContext, Condition, Generated, LabelClass, LabelMap
from facekit.recipe import read_recipe
from facekit.registry import Migration, load_registry

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "docs" / "examples"
PLUGIN = EXAMPLES / "patch_critic.py"
PAGE = (REPOSITORY / "docs" / "plugins" / "versioning.md").read_text("utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def _the_example_is_forgotten() -> Iterator[None]:
    yield
    sys.modules.pop("patch_critic", None)


def test_the_notes_are_those_of_the_example(inside: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    (command,), (shown,) = _blocks("sh"), _blocks("text")
    monkeypatch.chdir(REPOSITORY)
    finished = inside(*command.split()[1:])
    assert finished.code == 0, finished.err
    assert finished.err == shown


def test_every_field_of_a_migration_is_explained_and_used() -> None:
    example = PLUGIN.read_text("utf-8")
    for field in fields(Migration):
        assert f"| `{field.name}` |" in PAGE
        assert f"    {field.name}=" in example


def test_the_python_runs() -> None:
    (code,) = _blocks("python")
    exec(code, {"PLUGIN_FILE": PLUGIN})


def test_the_example_judges_with_the_weights_of_its_first_version() -> None:
    spec = load_registry(PLUGIN).find("discriminator", "patch_critic").spec
    options = spec.options(channels=4, norm="off")
    context = BuildContext(LabelMap("two", (LabelClass("a", (0, 0, 0)), LabelClass("b", (1, 1, 1)))), (), 16)
    first = {
        "conv1.weight": torch.randn(4, 5, 4, 4),
        "conv1.bias": torch.randn(4),
        "conv2.weight": torch.randn(1, 4, 4, 4),
        "conv2.bias": torch.randn(1),
    }
    network = spec.build(options, context)
    network.load_state_dict(spec.migrate_weights(first, options, version=1))
    condition = Condition(torch.zeros((2, 16, 16), dtype=torch.int64))
    picture = Generated(torch.rand(2, 3, 16, 16))
    planes = torch.stack([torch.ones(2, 16, 16), torch.zeros(2, 16, 16)], 1)
    judged = network(picture, condition).scales[0].logits
    hidden = torch.nn.functional.conv2d(
        torch.cat([planes, picture.image], 1), first["conv1.weight"], first["conv1.bias"], stride=2, padding=1
    )
    wanted = torch.nn.functional.conv2d(
        torch.where(hidden > 0, hidden, 0.01 * hidden), first["conv2.weight"], first["conv2.bias"], stride=2, padding=1
    )
    assert torch.allclose(judged, wanted, atol=1e-5)


def test_the_example_trains(inside: Callable[..., Any]) -> None:
    small = ("--set", "data.train=4", "--set", "data.validation=2", "--set", "data.size=32")
    finished = inside("validate", EXAMPLES / "patch_critic_1.yaml", *small, "--steps", "1", "--plugin-file", PLUGIN)
    assert finished.code == 0, finished.err
    recipe = read_recipe(EXAMPLES / "patch_critic_1.yaml", registry=load_registry(PLUGIN))
    discriminator = recipe.model.get("discriminator")
    assert discriminator is not None
    assert discriminator.options.model_dump() == {"channels": 16, "norm": "instance", "slope": 0.01}
