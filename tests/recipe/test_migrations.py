"""Recipes that were written for older versions of their components: read, explained, locked, with every place kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from pydantic import Field

from facekit.cli.main import cli
from facekit.interfaces import GENERATED, IMAGE, MASK, STYLE, Options, PortContext, Ports
from facekit.recipe import (
    RecipeError,
    ResolvedRecipe,
    copy_recipe,
    dump_recipe,
    read_recipe,
    recipe_from_document,
    recipe_origins,
)
from facekit.registry import ComponentSpec, Migration, PluginSet, Registry, hookimpl


class PainterOptions(Options):
    channels: int = Field(8, ge=1)
    """Channels of the first layer."""
    norm: str = "instance"
    """Normalisation."""
    padding: str = "reflect"
    """Padding of convolutions."""
    levels: tuple[str, ...] = ("fine",)
    """Where the style enters."""


class ErrorOptions(Options):
    power: int = 1
    """Power of the difference."""


class FolderOptions(Options):
    root: str
    """Folder of the photos."""


PAINTER = (
    Migration(
        to=2,
        summary="Options have the names of the paper.",
        renamed={"width": "channels"},
        removed={"legacy": "The old head was wrong; leave it out."},
        harmless={"legacy": (False,)},
    ),
    Migration(to=3, summary="The layers are faster."),
)


class Versioned:
    """A plugin whose generator is of version 3, its loss, metric and dataset of version 2."""

    @hookimpl
    def facekit_components(self) -> list[ComponentSpec]:
        def ports(options: Options, context: PortContext) -> Ports:
            return Ports(needs=(GENERATED, IMAGE))

        def painter(options: PainterOptions, context: PortContext) -> Ports:
            return Ports(needs=(MASK, STYLE), gives=(GENERATED,), size_multiple=max(1, options.channels - 15))

        def folder(options: FolderOptions, context: PortContext) -> Ports:
            return Ports(gives=(IMAGE, MASK))

        power = (Migration(to=2, summary="It is called power.", renamed={"exponent": "power"}),)
        root = (Migration(to=2, summary="All datasets call it root.", renamed={"folder": "root"}),)
        common = {"interface_version": 1, "summary": "", "factory": "a:b"}
        return [
            ComponentSpec(
                **common, kind="generator", id="new/painter", options=PainterOptions, ports=painter, version=3,
                migrations=PAINTER,
            ),
            ComponentSpec(
                **common, kind="loss", id="new/error", options=ErrorOptions, ports=ports, version=2, migrations=power
            ),
            ComponentSpec(
                **common, kind="metric", id="new/error", options=ErrorOptions, ports=ports, version=2, migrations=power
            ),
            ComponentSpec(
                **common, kind="dataset", id="new/folder", options=FolderOptions, ports=folder, version=2,
                migrations=root,
            ),
        ]  # fmt: skip


RECIPE = """\
facekit: 1
data: {use: folder@1, folder: photos, size: 64}
model:
  style_encoder: {use: sft_style}
  generator:
    use: painter@1
    width: 16
    norm: batch
    levels: [fine, coarse]
    legacy: false
losses:
  generator: [{use: error@1, weight: 3, exponent: 2}]
metrics: [{use: error@1, exponent: 2}]
train: {steps: 10}
"""


@pytest.fixture
def registry(catalogue: Registry) -> Registry:
    catalogue.plugins.register(Versioned(), name="versioned")
    catalogue.refresh()
    return catalogue


class Reader:
    """Writes recipes into a folder and reads them."""

    def __init__(self, folder: Path, registry: Registry) -> None:
        self.folder = folder
        self.registry = registry

    def write(self, text: str, name: str = "my.yaml") -> Path:
        file = self.folder / name
        file.write_text(text, encoding="utf-8")
        return file

    def __call__(self, text: str, *overrides: str) -> ResolvedRecipe:
        return read_recipe(self.write(text), registry=self.registry, overrides=overrides)

    def generator(self, text: str, *overrides: str) -> PainterOptions:
        options = self(text, *overrides).model.get("generator").options
        assert isinstance(options, PainterOptions)
        return options

    def mistakes(self, text: str, *overrides: str) -> list[str]:
        with pytest.raises(RecipeError) as caught:
            self(text, *overrides)
        problems = [str(problem).split("\n")[0] for problem in caught.value.problems]
        return [problem.replace(f"{self.folder}/", "") for problem in problems]

    def notes(self, text: str, *overrides: str) -> list[str]:
        return [str(notice).replace(f"{self.folder}/", "") for notice in self(text, *overrides).notices]


@pytest.fixture
def read(tmp_path: Path, registry: Registry) -> Reader:
    return Reader(tmp_path, registry)


def _newest(**options: str) -> str:
    """Return the recipe with nothing old in it but what is given for the generator."""
    lines = "".join(f"    {name}: {value}\n" for name, value in options.items())
    head, tail = RECIPE.split("  generator:\n    use: painter@1\n")[0], RECIPE[RECIPE.index("losses:") :]
    text = f"{head}  generator:\n    use: painter\n{lines}{tail}"
    return text.replace("folder@1, folder:", "folder, root:").replace("error@1", "error").replace("exponent", "power")


def test_an_old_recipe_is_read_as_it_was_meant(read: Reader) -> None:
    recipe = read(RECIPE)
    assert recipe.model.get("generator").options == PainterOptions(channels=16, norm="batch", levels=("fine", "coarse"))
    assert recipe.dataset.options == FolderOptions(root="photos")
    assert [loss.choice.options for loss in recipe.losses] == [ErrorOptions(power=2)]
    assert recipe.losses[0].weight == 3
    assert [metric.options for metric in recipe.metrics] == [ErrorOptions(power=2)]


def test_everything_that_was_migrated_is_told_with_its_place(read: Reader) -> None:
    paper = "Options have the names of the paper"
    assert read.notes(RECIPE) == [
        "my.yaml:2:23: data.root: note: 'folder' is called 'root' since version 2 of new/folder: "
        "All datasets call it root",
        "my.yaml:7:5: model.generator.channels: note: 'width' is called 'channels' since version 2 of "
        f"new/painter: {paper}",
        "my.yaml:10:5: model.generator.legacy: note: 'legacy' is gone since version 2 of new/painter, and this value "
        f"changed nothing: {paper}",
        "my.yaml:12:41: losses.generator[0].power: note: 'exponent' is called 'power' since version 2 of "
        "new/error: It is called power",
        "my.yaml:13:26: metrics[0].power: note: 'exponent' is called 'power' since version 2 of new/error: "
        "It is called power",
    ]
    assert read(_newest(channels="16")).notices == ()


def test_the_lock_says_the_version_and_reads_back_without_a_word(read: Reader, registry: Registry) -> None:
    recipe = read(RECIPE)
    document = yaml.safe_load(dump_recipe(recipe))
    assert document["model"]["generator"]["use"] == "new/painter@3"
    assert document["model"]["style_encoder"]["use"] == "fake/sft_style@1"
    assert document["data"]["use"] == "new/folder@2"
    assert document["losses"]["generator"][0]["use"] == document["metrics"][0]["use"] == "new/error@2"
    again = recipe_from_document(document, registry=registry, name="my.yaml")
    assert again == recipe
    assert (again.notices, len(recipe.notices)) == ((), 5)
    assert again.document == recipe.document


def test_without_a_version_old_names_are_recognised_and_nothing_is_filled_in(read: Reader) -> None:
    text = _newest(width="16", legacy="false")
    assert read.generator(text) == PainterOptions(channels=16)
    assert [note.split(": note: ")[0] for note in read.notes(text)] == [
        "my.yaml:7:5: model.generator.channels",
        "my.yaml:8:5: model.generator.legacy",
    ]
    assert read.mistakes(_newest(legacy="true")) == [
        "my.yaml:7:5: model.generator.legacy: 'legacy' is gone since version 2 of new/painter: "
        "The old head was wrong; leave it out"
    ]
    assert read.mistakes(_newest(widht="1")) == [
        "my.yaml:7:5: model.generator.widht: unknown key 'widht'; did you mean 'weights'?"
    ]


def test_mistakes_in_old_options_are_shown_where_they_were_written(read: Reader) -> None:
    assert read.mistakes(RECIPE.replace("width: 16", "width: wide")) == [
        "my.yaml:7:12: model.generator.channels: expected a whole number, found the text 'wide'"
    ]
    assert read.mistakes(RECIPE.replace("[fine, coarse]", "[fine, 5]")) == [
        "my.yaml:9:20: model.generator.levels[1]: expected text, found the number 5; put it in quotes if it is meant "
        "as text"
    ]
    assert read.mistakes(RECIPE.replace("photos, size: 64", "3, size: 64"))[0].startswith(
        "my.yaml:2:31: data.root: expected text, found the number 3"
    )
    with pytest.raises(RecipeError) as caught:
        read(RECIPE.replace("width: 16", "width: wide"))
    assert any("'width' is called 'channels'" in notice.message for notice in caught.value.notices)


def test_mistakes_in_ports_keep_their_place(read: Reader) -> None:
    (mistake,) = read.mistakes(RECIPE.replace("width: 16", "width: 48"))
    assert mistake.startswith("my.yaml:2:45: data.size: the generator 'painter' (my.yaml:6) needs a multiple of 33")


def test_an_option_under_both_names(read: Reader) -> None:
    assert read.mistakes(_newest(width="16", channels="12")) == [
        "my.yaml:7:5: model.generator.width: 'width' is called 'channels' since version 2 of new/painter, and "
        "'channels' is given too; keep 'channels'"
    ]
    twice = _newest(channels="12", width="16")
    assert read.mistakes(twice)[0].startswith("my.yaml:8:5: model.generator.width: ")


def test_overrides_may_use_the_name_that_the_recipe_has(read: Reader) -> None:
    assert read.generator(RECIPE, "model.generator.width=12").channels == 12
    assert read.generator(_newest(channels="16"), "model.generator.channels=12").channels == 12
    assert read.generator(_newest(), "model.generator.width=12").channels == 12
    (note,) = read.notes(_newest(), "model.generator.width=12")
    assert note.startswith("--set model.generator.width=12:1:17: model.generator.channels: note: 'width' is called")
    assert read.mistakes(RECIPE, "model.generator.channels=12")[0].startswith(
        "my.yaml:7:5: model.generator.width: 'width' is called 'channels' since version 2 of new/painter, and "
        "'channels' is given too; keep 'channels'"
    )


@pytest.mark.parametrize("above", ["use: painter", "use: painter@3", "use: new/painter@2", "norm: x"])
def test_the_upper_layer_says_the_version(read: Reader, above: str) -> None:
    read.write(RECIPE, "base.yaml")
    text = f"extends: base.yaml\nmodel: {{generator: {{{above}}}}}\n"
    assert read.generator(text).channels == 16
    # Written out merged, the recipe still means the same.
    copied = copy_recipe(str(read.write(text)), read.folder / "copy.yaml", registry=read.registry)
    assert read.generator(copied.read_text("utf-8")) == read.generator(text)


def test_another_component_still_drops_the_options(read: Reader) -> None:
    recipe = read(RECIPE, "model.generator.use=adain_global", "model.style_encoder.numbers=16384")
    assert recipe.model.get("generator").component.spec.id == "fake/adain_global"
    assert recipe.model.get("generator").options.model_dump()["filters"] == 64


@pytest.mark.parametrize(
    ("use", "said"),
    [
        (
            "painter@4",
            "this is written for version 4 of the generator 'new/painter', and versioned has version 3; "
            "is versioned the newest one you have?",
        ),
        ("painter@0", "'0' is no version of a component; after the @ stands a whole number: painter@1"),
        ("painter@", "'' is no version of a component; after the @ stands a whole number: painter@1"),
        ("painter@one", "'one' is no version of a component; after the @ stands a whole number: painter@1"),
        ("painter@1@2", "'1@2' is no version of a component; after the @ stands a whole number: painter@1"),
        ("painter@" + "9" * 5000, "is no version of a component"),
        ("'@1'", "no generator is called ''"),
        ("paintr@1", "no generator is called 'paintr'; did you mean 'painter'?"),
    ],
)
def test_a_version_that_cannot_be_had_is_told_at_its_place(read: Reader, use: str, said: str) -> None:
    (mistake,) = read.mistakes(RECIPE.replace("painter@1", use))
    assert mistake.startswith("my.yaml:6:10: model.generator.use: ")
    assert said in mistake


def test_the_distribution_that_is_too_old_is_named(read: Reader, registry: Registry) -> None:
    from facekit.registry import PluginOrigin, RegisteredComponent

    key = ("generator", "new/painter")
    origin = PluginOrigin("painter", "facekit-painter", "0.3", "painter")
    registry.components[key] = RegisteredComponent(registry.components[key].spec, origin)  # type: ignore[index]
    assert read.mistakes(RECIPE.replace("painter@1", "painter@4")) == [
        "my.yaml:6:10: model.generator.use: this is written for version 4 of the generator 'new/painter', and "
        "facekit-painter 0.3 has version 3; upgrade it: `pip install --upgrade facekit-painter`"
    ]


def test_origins_point_at_the_old_key(read: Reader, registry: Registry) -> None:
    recipe, origins = recipe_origins(read.write(RECIPE), registry=registry, overrides=["model.generator.norm=group"])
    found = {origin.path: (origin.value, origin.source.replace(f"{read.folder}/", "")) for origin in origins}
    assert found["model.generator.channels"] == (16, "my.yaml:7:5")
    assert found["model.generator.norm"] == ("group", "--set model.generator.norm=group:1:22")
    assert found["model.generator.padding"] == ("reflect", "default")
    assert found["model.generator.levels"] == (["fine", "coarse"], "my.yaml:9:13")
    assert found["model.generator.use"] == ("new/painter@3", "my.yaml:6:10")
    assert found["data.root"] == ("photos", "my.yaml:2:23")
    assert "model.generator.legacy" not in found
    assert len(recipe.notices) == 5


PLUGIN = '''
from facekit.interfaces import GENERATED, IMAGE, MASK, Options, Ports
from facekit.registry import ComponentSpec, Migration, hookimpl

class FacesOptions(Options):
    root: str
    """Where they are."""

class PainterOptions(Options):
    channels: int = 4
    """Channels."""

@hookimpl
def facekit_components():
    def spec(kind, name, options, ports, **more):
        return ComponentSpec(interface_version=1, kind=kind, id=f"old/{name}", summary="", options=options,
                             factory="a:b", ports=lambda options, context: ports, **more)
    renamed = Migration(to=2, summary="Channels are called channels.", renamed={"width": "channels"},
                        removed={"legacy": "Leave it out."})
    return [
        spec("dataset", "old_faces", FacesOptions, Ports(gives=(IMAGE, MASK))),
        spec("generator", "old_painter", PainterOptions, Ports(needs=(MASK,), gives=(GENERATED,)), version=2,
             migrations=(renamed,)),
        spec("loss", "old_error", Options, Ports(needs=(GENERATED, IMAGE))),
    ]
'''

SMALL = """\
facekit: 1
data: {use: old_faces, root: x}
model: {generator: {use: old_painter, width: 8}}
losses: {generator: [{use: old_error}]}
train: {steps: 1}
"""

NOTE = (
    "my.yaml:3:39: model.generator.channels: note: 'width' is called 'channels' since version 2 of old/old_painter: "
    "Channels are called channels"
)


def _facekit(folder: Path, arguments: Sequence[str]) -> Result:
    return CliRunner().invoke(cli, [*arguments, "--plugin-file", str(folder / "versioned_plugin.py")])


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FACEKIT_NO_PLUGINS", "1")
    (tmp_path / "versioned_plugin.py").write_text(PLUGIN, encoding="utf-8")
    (tmp_path / "my.yaml").write_text(SMALL, encoding="utf-8")
    return tmp_path


def test_commands_tell_it_once_on_stderr(place: Path) -> None:
    validated = _facekit(place, ["validate", "my.yaml", "--ports-only"])
    assert (validated.exit_code, validated.stderr) == (0, f"{NOTE}\n")
    shown = _facekit(place, ["recipes", "show", "my.yaml"])
    assert (shown.exit_code, shown.stderr) == (0, f"{NOTE}\n")
    assert yaml.safe_load(shown.stdout)["model"]["generator"] == {"use": "old/old_painter@2", "channels": 8}
    origins = _facekit(place, ["recipes", "show", "my.yaml", "--origin"])
    assert (origins.exit_code, origins.stderr) == (0, f"{NOTE}\n")
    (line,) = [line for line in origins.stdout.splitlines() if line.startswith("model.generator.channels")]
    assert line.split() == ["model.generator.channels:", "8", "my.yaml:3:39"]


def test_json_has_the_notices_and_stdout_nothing_else(place: Path) -> None:
    validated = _facekit(place, ["validate", "my.yaml", "--ports-only", "--json"])
    assert yaml.safe_load(validated.stdout)["notices"] == [NOTE]


def test_notices_stand_above_the_mistakes_they_explain(place: Path) -> None:
    (place / "my.yaml").write_text(SMALL.replace("width: 8", "width: x"), encoding="utf-8")
    validated = _facekit(place, ["validate", "my.yaml", "--ports-only"])
    assert validated.exit_code == 2
    first, second, *_ = validated.stderr.splitlines()
    assert first == NOTE
    assert second == "my.yaml:3:46: model.generator.channels: expected a whole number, found the text 'x'"


def test_a_refusal_ends_with_exit_code_2(place: Path) -> None:
    (place / "my.yaml").write_text(SMALL.replace("width: 8", "legacy: true"), encoding="utf-8")
    validated = _facekit(place, ["validate", "my.yaml"])
    assert validated.exit_code == 2
    assert validated.stderr.splitlines() == [
        "my.yaml:3:39: model.generator.legacy: 'legacy' is gone since version 2 of old/old_painter: Leave it out",
        "  model: {generator: {use: old_painter, legacy: true}}",
        "                                        ^",
    ]


def test_a_registry_without_plugins_reads_nothing(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text(RECIPE, encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        read_recipe(file, registry=Registry(PluginSet({})))
    assert "no generator is called 'painter'" in str(caught.value)
