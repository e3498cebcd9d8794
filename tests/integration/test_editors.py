"""What the documentation says of editors: its commands are run, its settings are used."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

REPOSITORY = Path(__file__).parents[2]
PAGES = ["README.md", "docs/recipes.md"]
MODELINE = "# yaml-language-server: $schema="

SERVER = os.environ.get("YAML_LANGUAGE_SERVER") or shutil.which("yaml-language-server")


def _language_server() -> Any:
    """Return the module beside this one; tests are no package."""
    spec = spec_from_file_location("language_server", Path(__file__).with_name("language_server.py"))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _block(page: str, language: str, about: str) -> str:
    """Return the block of a page that speaks of something."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", (REPOSITORY / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (found,) = [block for block in blocks if about in block]
    return str(found)


@pytest.fixture(params=PAGES)
def page(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(page: str, tmp_path: Path, within: Callable[..., Any]) -> Path:
    """A folder in which the page's command was run, with a recipe in ``recipes/``."""
    (line,) = _block(page, "sh", "recipes schema").splitlines()
    finished = within(*shlex.split(line, comments=True)[1:], cwd=tmp_path)
    assert finished.code == 0, finished.err
    assert finished.out == ""
    (tmp_path / "recipes").mkdir()
    shutil.copy(REPOSITORY / "docs" / "examples" / "first_recipe.yaml", tmp_path / "recipes")
    return tmp_path


def test_the_documented_command_writes_the_schema_that_the_settings_name(page: str, folder: Path) -> None:
    settings = json.loads(_block(page, "json", "yaml.schemas"))["yaml.schemas"]
    (schema, globs) = next(iter(settings.items()))
    Draft202012Validator.check_schema(json.loads((folder / schema).read_text("utf-8")))
    assert any(file.name == "first_recipe.yaml" for glob in globs for file in folder.glob(glob))
    (modeline,) = _block(page, "yaml", "yaml-language-server").splitlines()
    assert modeline.startswith(MODELINE)
    assert (folder / "recipes" / modeline.removeprefix(MODELINE)).resolve() == (folder / schema).resolve()


def test_the_command_says_how_a_recipe_names_the_schema(within: Callable[..., Any], tmp_path: Path) -> None:
    finished = within("recipes", "schema", "-o", "deep/mine.json", cwd=tmp_path)
    assert f"`{MODELINE}mine.json`" in finished.err


@pytest.fixture(params=["settings", "modeline"])
def opened(request: pytest.FixtureRequest, page: str, folder: Path) -> Iterator[Callable[[str], tuple[Any, ...]]]:
    """Open a text as a recipe in an editor that is set up as the page says."""
    if SERVER is None:
        pytest.skip("yaml-language-server is not installed (npm install -g yaml-language-server)")
    settings: dict[str, Any] = {}
    first = ""
    if request.param == "settings":
        settings["schemas"] = json.loads(_block(page, "json", "yaml.schemas"))["yaml.schemas"]
    else:
        first = _block(page, "yaml", "yaml-language-server")
    file = folder / "recipes" / "first_recipe.yaml"
    with _language_server().LanguageServer(SERVER, folder, settings) as server:
        yield lambda text: (server, file, server.open(file, first + text), first.count("\n"))


def test_an_editor_takes_a_good_recipe(opened: Callable[[str], tuple[Any, ...]]) -> None:
    text = (REPOSITORY / "docs" / "examples" / "first_recipe.yaml").read_text("utf-8")
    server, file, underlined, above = opened(text)
    assert underlined == []
    place = next(
        (number, line.index("filters") + 1)
        for number, line in enumerate(text.splitlines(), 1)
        if "sft_pix2pixhd" in line
    )
    shown = server.hover(file, place[0] + above, place[1])
    assert "Channels at full resolution" in shown
    assert "whole number, at least 1; default `64`" in shown


def test_an_editor_underlines_mistakes(opened: Callable[[str], tuple[Any, ...]]) -> None:
    text = (REPOSITORY / "docs" / "examples" / "first_recipe.yaml").read_text("utf-8")
    planted = text.replace("filters: 16, blocks: 2", "filters: many, blcks: 2").replace("use: psnr", "use: pnsr")
    *_, underlined, above = opened(planted.replace("steps: 200", "steps: 0"))
    messages = [message.split(": ", 1) for message in underlined]
    lines = {int(place.split(":")[0]) - above: message for place, message in messages}
    assert len(underlined) == 4
    assert any("blcks is not allowed" in message for _, message in messages)
    assert any('Expected "integer"' in message for _, message in messages)
    assert "below the minimum of 1" in lines[text.splitlines().index("train: {steps: 200, batch: 4}") + 1]
    assert any('"psnr"' in message and "losses/" not in message for _, message in messages)


def test_an_editor_completes_what_fits(opened: Callable[[str], tuple[Any, ...]]) -> None:
    text = (
        "facekit: 1\nmodel:\n  generator:\n    use: \nlosses:\n  generator:\n    - use: region_colour\n      \n    - \n"
    )
    server, file, _, above = opened(text)
    generators = server.completions(file, 4 + above, 10)
    assert {"sft_pix2pixhd", "pix2pixhd_global"} <= set(generators)
    assert not any("/" in name or "@" in name for name in generators)
    options = server.completions(file, 8 + above, 7)
    assert {"regions", "weight"} <= set(options)
    assert "objective" not in options
    assert options["area"] == "area: ${1:0}"
    empty = server.completions(file, 9 + above, 7)
    assert "use" in empty
    assert "regions" not in empty
    assert server.completions(file, 1 + above, 1).keys() >= {"data", "metrics", "train", "extends"}
