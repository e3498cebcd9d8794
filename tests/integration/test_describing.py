"""``docs/plugins/describing.md``: its example is a real plugin, and what it shows is what is printed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import fields
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, ClassVar, Literal

import pydantic
import pytest
from pydantic import Field

from facekit.components.options import describe_options
from facekit.interfaces import Options
from facekit.recipe.dump import dump_value
from facekit.registry import ComponentSpec

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "docs" / "examples"
PAGE = (REPOSITORY / "docs" / "plugins" / "describing.md").read_text("utf-8")

Facekit = Callable[..., Any]


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def _rows() -> list[tuple[str, str]]:
    """Return the rows of the table that says how options are written and shown."""
    rows = re.findall(r"^\| `([a-z]+: .+)` \| `(.+)` \|$", PAGE, re.MULTILINE)
    return [(left.replace(r"\|", "|"), right.replace(r"\|", "|")) for left, right in rows]


def test_the_command_prints_what_the_page_shows(within: Facekit) -> None:
    (command,) = _blocks("sh")
    (shown,) = _blocks("text")
    finished = within(*shlex.split(command)[1:], cwd=EXAMPLES, COLUMNS="88")
    assert finished.code == 0, finished.err
    assert finished.out == shown


@pytest.mark.parametrize(("written", "shown"), _rows(), ids=lambda text: text.split(":")[0])
def test_options_are_shown_as_the_page_says(written: str, shown: str) -> None:
    names = {"Field": Field, "Literal": Literal, "Path": Path, "Options": Options, "__name__": __name__}
    exec(f"class Written(Options):\n    {written}\n", names)
    (option,) = describe_options(names["Written"])  # type: ignore[arg-type]
    rest = "required" if option.required else f"default {dump_value(option.default)}"
    assert f"{option.type}; {rest}" == shown


def test_there_are_rows_of_every_sort() -> None:
    assert len(_rows()) >= 9


def test_every_field_of_a_spec_that_people_see_is_on_the_page() -> None:
    unseen = {"kind", "id", "probe"}  # the first two are the heading; the last is for checks
    for field in fields(ComponentSpec):
        if field.name not in unseen:
            assert f"`{field.name}`" in PAGE, field.name


def test_names_of_pydantic_on_the_page_exist() -> None:
    for name in re.findall(r"pydantic's `(\w+)`", PAGE):
        assert hasattr(pydantic, name)


def test_the_loss_of_the_page_trains(inside: Facekit, workplace: Path) -> None:
    recipe = workplace / "smooth.yaml"
    (shown,) = _blocks("text")
    fragment = shown[shown.index("losses:") :]
    recipe.write_text(f"extends: {EXAMPLES / 'first_recipe.yaml'}\nfacekit: 1\n{fragment}", encoding="utf-8")
    small = ("--set", "data.train=4", "--set", "data.validation=2", "--set", "data.size=32")
    plugin = ("--plugin-file", EXAMPLES / "total_variation.py")
    finished = inside(
        "validate", recipe, *small, "--set", "losses.discriminator=null", "--set", "model.discriminator=null"
    )
    assert finished.code == 2
    assert "no loss is called 'total_variation'" in finished.err
    finished = inside("validate", recipe, *small, "--steps", "1", *plugin)
    assert finished.code == 0, finished.err
    assert "generator/total_variation" in finished.out


def test_the_loss_of_the_page_is_what_its_summary_says() -> None:
    import torch

    spec = spec_from_file_location("total_variation_of_the_page", EXAMPLES / "total_variation.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)

    from facekit.interfaces import Condition, Generated

    image = torch.tensor([[[[0.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]]])

    class Step:
        networks: ClassVar[dict[str, Any]] = {"generator": lambda condition, style: Generated(image)}
        condition = Condition()

        def once(self, key: object, make: Callable[[], Any]) -> Any:
            return make()

    def value(**options: Any) -> float:
        return float(module.build(module.TotalVariationOptions(**options), None)(Step()))

    assert value() == 1.0  # every pixel differs from its right neighbour by one, and from the one below by nothing
    assert value(directions={"horizontal": 0.5}) == 0.5
    assert value(distance=2) == 0.0
    assert value(norm="squared") == 1.0
