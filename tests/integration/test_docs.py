"""What the documentation says holds: commands parse, examples run, the reference is that of the commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import numpy as np
import pytest
from PIL import Image

from facekit.cli.main import cli
from facekit.recipe.settings import DataSettings, NetworkSettings, TrainSettings

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
PAGES = sorted([REPOSITORY / "README.md", *DOCS.glob("**/*.md"), *REPOSITORY.glob("plugins/*/README.md")])
EXAMPLES = DOCS / "examples"

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)

SET_UP = {
    "requirements.txt": "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt"
    " && .venv/bin/facekit run recipes/sft_pix2pixhd.yaml",
    "requirements-dev.txt": "python3 -m venv .venv && .venv/bin/pip install -r requirements-dev.txt"
    " && .venv/bin/pytest",
}


def _blocks(page: Path, *languages: str) -> Iterator[str]:
    for language, body in BLOCK.findall(page.read_text("utf-8")):
        if language in languages:
            yield body


def _lines() -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        for body in _blocks(page, "sh", "bash", "console"):
            yield from ((page, line) for line in body.replace("\\\n", " ").splitlines())
    for recipe in sorted((REPOSITORY / "recipes").rglob("*.yaml")):
        text = re.sub(r"\\\n#\s*", " ", recipe.read_text("utf-8"))
        yield from ((recipe, line.lstrip("# ")) for line in text.splitlines() if line.startswith("#"))


def _commands() -> list[tuple[str, str]]:
    found = []
    for page, written in _lines():
        name, line = page.relative_to(REPOSITORY).as_posix(), re.sub(r"^(\w+=\S+ )+", "", written.strip())
        if line.startswith("facekit --plugin-file"):  # a command of that plugin: test_plugin_guide_pages.py runs it
            assert name in ("docs/plugins/commands.md", "docs/plugins/hooks.md"), line
        elif line.startswith("facekit "):
            found.append((name, line))
    return found


def test_there_are_commands_to_check() -> None:
    pages = {page for page, _ in _commands()}
    assert {"README.md", "docs/running.md", "docs/data.md", "recipes/sft_pix2pixhd.yaml"} <= pages


@pytest.mark.parametrize(("page", "line"), _commands())
def test_commands_in_the_documentation_parse(page: str, line: str) -> None:
    arguments = shlex.split(line, comments=True)[1:]
    if ">" in arguments:  # the shell's: where to write what is printed
        del arguments[arguments.index(">") :]
    command: click.Command = cli
    context = click.Context(cli, info_name="facekit", **cli.context_settings)
    while isinstance(command, click.Group):
        assert arguments, f"{page}: {line!r} names no command"
        found = command.get_command(context, arguments[0])
        assert found is not None, f"{page}: {line!r}: there is no command {arguments[0]!r}"
        command, name, arguments = found, arguments[0], arguments[1:]
        context = click.Context(command, info_name=name, parent=context)
    command.make_context(name, arguments, parent=context.parent)
    for path in (argument for argument in arguments if argument.startswith(("recipes/", "docs/"))):
        assert (REPOSITORY / path).exists(), f"{page}: {line!r}: there is no {path}"


def test_the_set_up_commands_stand_first_in_the_readme() -> None:
    first, second = list(_blocks(REPOSITORY / "README.md", "sh"))[:2]
    assert first.strip() == SET_UP["requirements.txt"]
    assert second.strip() == SET_UP["requirements-dev.txt"]


def test_the_requirements_install_every_plugin_of_the_repository() -> None:
    plain, more = (
        (REPOSITORY / name).read_text("utf-8").splitlines() for name in ("requirements.txt", "requirements-dev.txt")
    )
    plugins = {f"plugins/{path.parent.name}" for path in REPOSITORY.glob("plugins/*/pyproject.toml")}
    installed = [line.removeprefix("-e ") for line in [*plain, *more] if line.startswith("-e ")]
    assert sorted(installed) == sorted({".", ".[dev]", *plugins})
    # What a recipe of ours needs is there without the tools of developers.
    optional = {"plugins/facekit-cluster", "plugins/facekit-mtcnn", "plugins/facekit-tensorboard"}
    assert {line.removeprefix("-e ") for line in plain if line.startswith("-e ")} == {".", *plugins} - optional
    assert "-r requirements.txt" in more


@pytest.mark.parametrize("name", ["command_line", "settings"])
def test_a_generated_page_is_what_its_script_writes(name: str) -> None:
    written = (DOCS / f"{name.replace('_', '-')}.md").read_text("utf-8")
    assert written == _generator(name).render(), f"run `python docs/generate_{name}.py`"


def test_every_setting_is_on_its_page_with_what_it_does() -> None:
    rows = re.findall(
        r"^\| `([^`]+)` \| (.*) \| (.*) \| (.*) \|$", (DOCS / "settings.md").read_text("utf-8"), re.MULTILINE
    )
    assert [path for path, kind, _, about in rows if not kind or not about] == []
    paths = {path for path, *_ in rows}
    for path, settings in (("data", DataSettings), ("model.NAME", NetworkSettings), ("train", TrainSettings)):
        assert {f"{path}.{name}" for name in settings.model_fields} <= paths
    assert {"losses.PLAYER[].weight.until", "train.optimiser.lr", "train.keep.best", "metrics[].use"} <= paths


FIELD_WORDS = (
    *("learning rate", "inference", "augmentation", "data loader", "latent", "hyperparameter", "gradient clipping"),
    *("config", "wandb"),
)
"""Standard terms that people search for."""


def test_the_glossary_has_the_words_of_the_field_and_names_settings_that_exist() -> None:
    page, settings = ((DOCS / f"{name}.md").read_text("utf-8") for name in ("glossary", "settings"))
    words, terms = page.split("## Standard terms")
    for word in FIELD_WORDS:
        assert word in terms.lower(), word
    paths = set(re.findall(r"^\| `([^`]+)`", settings, re.MULTILINE))
    named = set(re.findall(r"`((?:data|model|losses|train)\.[^`=]+)`", page))
    assert len(named) > 20
    assert named <= paths
    listed = [line.split(" | ")[0] for line in words.splitlines() if line.startswith("| ")][1:]
    assert listed == sorted(listed)


def _generator(name: str) -> ModuleType:
    """Return the script that writes a page."""
    spec = spec_from_file_location(f"generate_{name}", DOCS / f"generate_{name}.py")
    assert spec is not None
    assert spec.loader is not None
    generator = module_from_spec(spec)
    spec.loader.exec_module(generator)
    return generator


def test_every_link_between_pages_leads_somewhere() -> None:
    for page in PAGES:
        text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text):
            found = page.parent / target if target else page
            assert found.exists(), f"{page.name} links to {target}"
            if anchor:
                assert anchor in _anchors(found), f"{page.name} links to {target}#{anchor}"


def _anchors(page: Path) -> set[str]:
    """Return the names of a page's headings as Sphinx and GitHub write them into addresses."""
    headings = re.findall(r"^#{1,3} (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_in_the_table_of_contents() -> None:
    folders = ("plugins", "notes")
    for folder in (DOCS, *(DOCS / name for name in folders)):
        contents = re.findall(r"^```\{toctree\}\n(.*?)^```", (folder / "index.md").read_text("utf-8"), re.M | re.S)
        listed = re.findall(r"^([\w/-]+)$", "\n".join(contents), re.MULTILINE)
        pages = {page.stem for page in folder.glob("*.md")} - {"index"}
        assert sorted(listed) == sorted(pages | ({f"{name}/index" for name in folders} if folder == DOCS else set()))


def test_every_room_and_every_dependency_is_in_the_architecture() -> None:
    page = (DOCS / "architecture.md").read_text("utf-8")
    rooms = {path.parent.name for path in (REPOSITORY / "src" / "facekit").glob("*/__init__.py")}
    house = page.split("## The house")[1].split("\n## ")[0]
    floors = re.findall(r"^\| \d+ \| (.+?) \|", house, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(floors))) == rooms - {"testing"}
    assert "`testing` stands beside the house" in house
    toolkit, *plugins = (REPOSITORY / "pyproject.toml", *REPOSITORY.glob("plugins/*/pyproject.toml"))
    needed = {path.parent.name: _dependencies(path) for path in plugins}
    reasons = page.split("## Dependencies")[1]
    for name in _dependencies(toolkit):
        assert re.search(rf"^\|.*\b{name}\b.*\|", reasons, re.MULTILINE), name
    for plugin, names in needed.items():
        for name in names - _dependencies(toolkit) - {"facekit-toolkit"}:
            assert re.search(rf"^\| .*`{plugin}`.* \| {name} \|", reasons, re.MULTILINE), f"{plugin} needs {name}"


def _dependencies(project: Path) -> set[str]:
    """Return the names of what a project always needs."""
    (listed,) = re.findall(r"^dependencies = \[(.*?)\]$", project.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return set(re.findall(r'"([\w-]+)', listed))


@pytest.mark.parametrize("name", ["first_recipe", "second_recipe", "updates_recipe"])
def test_the_examples_train(name: str, inside: Callable[..., Any]) -> None:
    plugin = ("--plugin-file", EXAMPLES / "squared_error.py")
    small = ("--set", "data.train=4", "--set", "data.validation=2", "--set", "data.size=32")
    finished = inside("validate", EXAMPLES / f"{name}.yaml", *small, "--steps", "1", *plugin)
    assert finished.code == 0, finished.err
    if name == "second_recipe":
        assert "generator/squared_error" in finished.out
        without = inside("validate", EXAMPLES / f"{name}.yaml", "--ports-only")
        assert without.code == 2
        assert "no loss is called 'squared_error'" in without.err


def test_the_mistake_in_the_documentation_looks_like_that(inside: Callable[..., Any], workplace: Path) -> None:
    shown = next(_blocks(DOCS / "recipes.md", "text"))
    text = (EXAMPLES / "first_recipe.yaml").read_text("utf-8").replace("blocks:", "blcks:")
    (workplace / "my.yaml").write_text(text, encoding="utf-8")
    finished = inside("validate", "my.yaml")
    assert finished.code == 2
    assert finished.err == shown


@pytest.mark.parametrize("page", ["README.md", "docs/running.md"])
def test_the_python_in_the_documentation_runs(
    page: str, inside: Callable[..., Any], first_run: tuple[Path, Any], workplace: Path
) -> None:
    assert inside("report", "runs/first").code == 0  # the folder that the pages talk of
    (code,) = _blocks(REPOSITORY / page, "python")
    random = np.random.default_rng(0)
    names: dict[str, Any] = {
        "mask": Image.fromarray(random.integers(0, 19, (32, 32), dtype=np.uint8)),
        "reference": Image.fromarray(random.integers(0, 256, (32, 32, 3), dtype=np.uint8)),
        "reference_mask": Image.fromarray(random.integers(0, 19, (32, 32), dtype=np.uint8)),
    }
    exec(code, names)
    assert names["result"].size == (32, 32)
    assert names["pipeline"].weights == "ema"
