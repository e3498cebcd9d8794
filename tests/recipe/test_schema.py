"""The JSON Schema for editors: what it takes, what it catches, and what it tells."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from jsonschema import Draft202012Validator
from pydantic import Field

from facekit.interfaces import Options
from facekit.recipe import read_recipe, recipe_schema, shipped_recipes
from facekit.recipe.nodes import plain
from facekit.recipe.problems import Problems
from facekit.recipe.yaml_source import file_marks, parse_yaml
from facekit.registry import ComponentSpec, Migration, PluginSet, Registry, hookimpl, load_registry

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "docs" / "examples"

Mistakes = Callable[[str], list[str]]


def _document(text: str) -> Any:
    problems = Problems()
    node = parse_yaml(text, marks=file_marks(text, "f"), problems=problems)
    assert node is not None
    return plain(node)


def _mistakes(schema: dict[str, Any], document: Any) -> list[str]:
    """Return where a document does not fit, e.g. ``model.generator.blocks: 'four' is not of type 'integer'``."""
    errors = Draft202012Validator(schema).iter_errors(document)
    return sorted(f"{error.json_path.removeprefix('$.')}: {error.message}" for error in errors)


@pytest.fixture
def mistakes(catalogue: Registry) -> Mistakes:
    schema = recipe_schema(catalogue)
    return lambda text: _mistakes(schema, _document(text))


@pytest.fixture(scope="module")
def installed() -> dict[str, Any]:
    return recipe_schema(load_registry())


def test_it_is_a_json_schema(catalogue: Registry, installed: dict[str, Any]) -> None:
    for schema in (recipe_schema(catalogue), installed, recipe_schema(Registry(PluginSet({})))):
        Draft202012Validator.check_schema(schema)
        assert json.loads(json.dumps(schema, allow_nan=False)) == schema
        for reference in re.findall(r'"\$ref": "#/\$defs/([^"]+)"', json.dumps(schema)):
            assert reference in schema["$defs"]


def test_good_recipes(mistakes: Mistakes, good_recipe: Path, catalogue: Registry) -> None:
    assert mistakes(good_recipe.read_text("utf-8")) == []
    document = read_recipe(good_recipe, registry=catalogue).document
    assert _mistakes(recipe_schema(catalogue), dict(document)) == []  # what a run keeps, versions and all
    extending = "extends: good.yaml\ntrain: {batch: 3}\ndata: {root: elsewhere}\nmodel: {discriminator: null}\n"
    assert mistakes(extending) == []


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("facekit: 1", "facekit: 2", "facekit"),
        ("name: good", "nam: good", "$"),
        ("use: photo_folder", "use: photos", "data.use"),
        ("use: photo_folder", "use: sft_style", "data.use"),
        ("use: photo_folder", "use: photo_folder@2", "data.use"),
        ("use: photo_folder", "use: photo_folder@0", "data.use"),
        ("use: photo_folder", "use: photo_folder@", "data.use"),
        ("  use: photo_folder\n", "", "data"),
        ("root: data/faces", "rot: data/faces", "data"),
        ("size: 128", "size: big", "data.size"),
        ("size: 128", "size: 8", "data.size"),
        ("crop: 0.8", "crop: 2", "data.reference.crop"),
        ("crop: 0.8", "crp: 0.8", "data.reference"),
        ("numbers: 4096", "numbers: 0", "model.style_encoder.numbers"),
        ("blocks: 4", "blocks: four", "model.generator.blocks"),
        ("blocks: 4", "numbers: 4", "model.generator"),
        ("padding: reflect", "padding: mirror", "model.generator.padding"),
        ("{use: sft_style, numbers: 4096}", "sft_style", "model.style_encoder"),
        ("{use: feature_matching, weight: 10}", "{use: gradient_penalty, weight: 10}", "losses.generator[1].use"),
        ("{use: feature_matching, weight: 10}", "{weight: 10}", "losses.generator[1]"),
        ("{use: feature_matching, weight: 10}", "feature_matching", "losses.generator[1]"),
        ("weight: 10.0", "weight: -1", "losses.discriminator[1].weight"),
        ("betas: [0.5, 0.999]", "betas: [0.5]", "train.optimiser.betas"),
        ("lr_scale: {style_encoder: 5}", "lr_scale: {style_encoder: five}", "train.optimiser.lr_scale.style_encoder"),
        ("use: adam\n", "use: adm\n", "train.optimiser.use"),
        ("decay: 0.998", "decay: 1", "train.ema.decay"),
        ("train:\n", "trian:\n", "$"),
        ("  epochs: 28", "  epoch: 28", "train"),
    ],
)
def test_mistakes_are_found_at_their_place(
    mistakes: Mistakes, good_recipe: Path, old: str, new: str, place: str
) -> None:
    text = good_recipe.read_text("utf-8")
    assert old in text
    found = mistakes(text.replace(old, new, 1))
    assert {mistake.split(": ")[0] for mistake in found} == {place}, found


@pytest.mark.parametrize("use", ["photo_folder", "fake/photo_folder", "photo_folder@1", "fake/photo_folder@1"])
def test_names_that_recipes_may_use(mistakes: Mistakes, good_recipe: Path, use: str) -> None:
    text = good_recipe.read_text("utf-8").replace("use: photo_folder", f"use: {use}")
    assert mistakes(text) == []
    (wrong,) = mistakes(text.replace("split: index", "split: indices"))
    assert wrong.startswith("data.split: ")


def test_editors_are_offered_the_short_names_alone(catalogue: Registry) -> None:
    offered, accepted = recipe_schema(catalogue)["properties"]["data"]["properties"]["use"]["anyOf"]
    assert offered["enum"] == ["drawn_faces", "photo_folder"]
    assert offered["enumDescriptions"] == ["drawn_faces", "photo_folder"]
    assert "enum" not in accepted
    assert re.search(accepted["pattern"], "fake/photo_folder@1")


def test_required_options_are_needed_unless_another_recipe_may_have_them(
    mistakes: Mistakes, good_recipe: Path, catalogue: Registry
) -> None:
    text = good_recipe.read_text("utf-8").replace("  root: data/faces\n", "")
    assert mistakes(text) == ["data: 'root' is a required property"]
    assert mistakes("extends: base.yaml\n" + text) == []


RECIPES = [*sorted((REPOSITORY / "recipes").rglob("*.yaml")), *sorted(EXAMPLES.rglob("*.yaml"))]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_the_recipes_of_the_repository(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))  # the plugins of `port` add the folder of their scripts
    text = path.read_text("utf-8")
    if not re.search(r"^facekit:", text, re.MULTILINE):
        pytest.skip("it is no recipe")
    plugin_files = [file for file in sorted(EXAMPLES.glob("*.py")) if f"use: {file.stem}" in text]
    if path.parent.name in ("families", "port"):
        plugin_files += [file for file in sorted(path.parent.glob("*.py")) if "@hookimpl" in file.read_text("utf-8")]
    schema = recipe_schema(load_registry(*plugin_files))
    assert _mistakes(schema, _document(text)) == []


def test_the_recipes_that_plugins_ship(installed: dict[str, Any]) -> None:
    shipped = [recipe for recipe in shipped_recipes(load_registry()) if not recipe.is_grid]
    assert shipped
    for recipe in shipped:
        assert _mistakes(installed, _document(recipe.path.read_text("utf-8"))) == [], recipe.name


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("blocks: 4", "blocks: four", "model.generator.blocks"),
        ("blocks: 4", "blcks: 4", "model.generator"),
        ("blocks: 4", "blocks: 0", "model.generator.blocks"),
        ("use: regional_style", "use: regional_stile", "model.style_encoder.use"),
        ("regions: {hair: 4", "regions: {hair: four", "losses.generator[3].regions.hair"),
        ("objective: lsgan", "objective: lsgn", "losses.generator[0].objective"),
        ("  steps: 200", "  steps: 0", "train.steps"),
        ("lr_scale: {style_encoder: 5", "lr_scale: {style_encoder: -5", "train.optimiser.lr_scale.style_encoder"),
    ],
)
def test_mistakes_planted_in_the_main_recipe(installed: dict[str, Any], old: str, new: str, place: str) -> None:
    text = (REPOSITORY / "recipes" / "sft_pix2pixhd.yaml").read_text("utf-8")
    assert old in text
    (mistake,) = _mistakes(installed, _document(text.replace(old, new, 1)))
    assert mistake.split(": ")[0] == place


def test_descriptions_and_defaults_reach_editors(catalogue: Registry) -> None:
    schema = recipe_schema(catalogue)
    blocks = schema["$defs"]["generator.fake.adain_global"]["properties"]["blocks"]
    assert blocks["description"] == "Residual blocks."
    assert blocks["default"] == 4
    assert blocks["markdownDescription"] == "Residual blocks.\n\n*whole number, at least 0; default `4`*"
    data = schema["properties"]["data"]["properties"]
    assert data["size"]["markdownDescription"].endswith(
        "*whole number, 16 to 2048; default `128`*".replace("2048", "2,048")
    )
    assert data["reference"]["default"] == {"crop": 1.0, "mirror": False, "hide_regions": 0.0, "warp": 0.0}
    folder = schema["$defs"]["dataset.fake.photo_folder"]["properties"]
    assert folder["root"]["markdownDescription"] == "Folder of the photos.\n\n*text; required*"
    assert folder["size"] is True  # described where the choice is


def test_every_option_of_the_installed_components_has_a_description_and_a_type(installed: dict[str, Any]) -> None:
    seen = 0
    for key, definition in installed["$defs"].items():
        for name, option in definition.get("properties", {}).items():
            if option is not True:
                seen += 1
                assert option.get("description"), f"{key}: {name}"
                assert "any value" not in option["markdownDescription"], f"{key}: {name}"
    assert seen > 80


def test_an_empty_place_is_no_component(catalogue: Registry) -> None:
    # Else editors would offer the options of every component at once.
    for case in recipe_schema(catalogue)["properties"]["losses"]["properties"]["generator"]["items"]["allOf"]:
        condition = Draft202012Validator(case["if"])
        assert not any(condition.is_valid(place) for place in (None, {}, {"use": None}, {"weight": 1}, "adversarial"))


class GrownOptions(Options):
    channels: int = Field(8, ge=1)
    """How wide."""
    mode: Literal["sharp", "soft"] = "soft"
    """How it looks."""
    layers: tuple[Literal["first", "last"], ...] = ()
    """Which layers."""


class Grown:
    """A plugin whose one component has changed twice."""

    @hookimpl
    def facekit_components(self) -> list[ComponentSpec]:
        migrations = (
            Migration(
                to=2,
                summary="`width` is called `filters`",
                renamed={"width": "filters", "look": "mode"},
                removed={"seed": "the run's seed is used"},
            ),
            Migration(to=3, summary="`filters` is called `channels`", renamed={"filters": "channels"}),
        )
        return [
            ComponentSpec(
                interface_version=1,
                kind="metric",
                id="mine/grown",
                summary="Grown.",
                options=GrownOptions,
                factory="nowhere:build",
                version=3,
                migrations=migrations,
            )
        ]


@pytest.fixture
def grown() -> Callable[[str], list[str]]:
    plugins = PluginSet({})
    plugins.register(Grown(), name="mine")
    schema = recipe_schema(Registry(plugins))
    Draft202012Validator.check_schema(schema)
    return lambda metric: _mistakes(schema, _document(f"extends: base.yaml\nmetrics: [{metric}]\n"))


@pytest.mark.parametrize(
    "metric",
    [
        "{use: grown, channels: 4, mode: sharp, layers: [first, last]}",
        "{use: grown@1, width: 4, look: sharp, seed: 3}",
        "{use: mine/grown@2, filters: 4, mode: sharp, layers: [first, last]}",
        "{use: grown@3, channels: 4}",
        "{use: grown, width: 4}",
    ],
)
def test_what_migrations_read_is_no_mistake(grown: Callable[[str], list[str]], metric: str) -> None:
    assert grown(metric) == []


@pytest.mark.parametrize(
    "metric",
    [
        "{use: grown@4}",
        "{use: grown, channels: none}",
        "{use: grown, mode: rough}",
        "{use: grown, layers: [middle]}",
        "{use: grown, breadth: 4}",
    ],
)
def test_what_no_migration_reads_is_one(grown: Callable[[str], list[str]], metric: str) -> None:
    assert len(grown(metric)) == 1


def test_what_is_old_is_marked_and_not_offered() -> None:
    plugins = PluginSet({})
    plugins.register(Grown(), name="mine")
    definitions = recipe_schema(Registry(plugins))["$defs"]
    options = definitions["metric.mine.grown"]["properties"]
    for name in ("width", "look", "seed", "filters"):
        assert options[name]["deprecated"] is True
        assert options[name]["doNotSuggest"] is True
    assert options["width"]["deprecationMessage"] == "Called `filters` since version 2 of grown."
    assert options["seed"]["deprecationMessage"] == "Gone since version 2 of grown: the run's seed is used"
    assert not any(option.get("deprecated") for option in (options["channels"], options["mode"], options["layers"]))
