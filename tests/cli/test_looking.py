"""``components``, ``plugins`` and ``recipes``: what they print of the installed plugins."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import yaml
from click.testing import Result
from tests.conftest import FEW_PLUGINS

from facekit.cli.components import KINDS
from facekit.registry import KINDS as ALL_KINDS

Call = Callable[..., Result]

REPOSITORY = Path(__file__).parents[2]

NAMESAKES = """
from facekit.registry import ComponentSpec, hookimpl
from facekit.interfaces import NoOptions

@hookimpl
def facekit_components():
    return [
        ComponentSpec(
            interface_version=1,
            kind=kind,
            id="mine/twin",
            summary="A twin.",
            options=NoOptions,
            factory=f"{__name__}:build",
        )
        for kind in ("metric", "loss")
    ]

def build(options, context):
    return None
"""

TELLING = '''
from typing import Literal
from pydantic import Field
from facekit.interfaces import IMAGE, DISCRIMINATOR_OUTPUT, MASK, Options, Port, Ports
from facekit.registry import ComponentSpec, Migration, PluginInfo, hookimpl

class Stage(Options):
    name: str
    """What it is called."""
    share: float = Field(1.0, gt=0, le=1)
    """How much of it, in words that are long enough to be broken into several lines."""

class TellingOptions(Options):
    stages: tuple[Stage, ...] = ()
    """What is done, in order.

    - first this
    - then that
    """
    mode: Literal["fast", "slow"] | None = None
    an_option_with_quite_a_long_name: int = 3
    """One whose name is longer than its column."""

@hookimpl
def facekit_plugin_info():
    return PluginInfo(summary="Tells.", homepage="https://example.org/telling")

@hookimpl
def facekit_components():
    return [
        ComponentSpec(
            interface_version=1,
            kind="discriminator",
            id="mine/telling",
            summary="Tells all there is to tell, in one sentence that is too long for a line of a terminal.",
            options=TellingOptions,
            factory="telling_plugin:build",
            ports=lambda options, context: Ports(
                needs=(IMAGE, Port("mask", MASK.shape, dtype="class_ids", classes=19, optional=True)),
                gives=(DISCRIMINATOR_OUTPUT,),
                smallest_size=64,
                size_multiple=16,
                smallest_batch=2,
            ),
            paper="Somebody: A paper, 2020",
            licence="MIT",
            weights_licence="CC-BY-4.0",
            batch_dependent=True,
            version=2,
            migrations=(Migration(to=2, summary="`step` is called `stages`", renamed={"step": "stages"}),),
            example={"stages": [{"name": "first", "share": 0.5}, {"name": "second"}]},
        )
    ]

def build(options, context):
    return None
'''

TOLD = """\
discriminator mine/telling
  Tells all there is to tell, in one sentence that is too long for a line of a
  terminal.

  batches   a sample's output depends on the others in its batch: real and fake
            are discriminated apart
  paper     Somebody: A paper, 2020
  licence   MIT
  weights   CC-BY-4.0
  plugin    telling_plugin
  homepage  https://example.org/telling
  source    telling_plugin.py:55
  version   2, written for version 1 of the interfaces
            since version 2: `step` is called `stages`

Options
  stages      list of maps of settings
              What is done, in order.
              - first this
              - then that
    [].name   text; required
              What it is called.
    [].share  number, more than 0, at most 1; default 1.0
              How much of it, in words that are long enough to be broken into
              several lines.
  mode        fast | slow | null; default null
  an_option_with_quite_a_long_name
              whole number; default 3
              One whose name is longer than its column.
  Beside its own, every discriminator has `frozen`, `weights` and `source`.

Needs with the options of the example
  image  batch x 3 x size x size  real numbers in [-1, 1]
  mask   batch x size x size      class ids below 19; optional

Gives with the options of the example
  discriminated  batch  real numbers

Picture side  at least 64 pixels, a multiple of 16
Batch         at least 2

In a recipe

model:
  discriminator:
    use: telling
    stages:
      - {name: first, share: 0.5}
      - {name: second}
"""

BROKEN = """
from facekit.registry import ComponentSpec, hookimpl
from facekit.interfaces import NoOptions

@hookimpl
def facekit_components():
    return [
        ComponentSpec(
            interface_version=1,
            kind="loss",
            id="mine/gone",
            summary="Gone.",
            options=NoOptions,
            factory="no_module_at_all:f",
        ),
        "not a spec",
    ]
"""


def test_components_ls_lists_kinds_in_order(call: Call) -> None:
    rows = json.loads(call("components", "ls", "--json").output)
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    assert kinds == [kind for kind in KINDS if kind in kinds]
    assert {"dataset", "style_encoder", "generator", "discriminator", "loss", "metric"} <= set(kinds)
    assert {"sft_pix2pixhd", "synthetic_faces", "adversarial", "multiscale_patch"} <= {row["name"] for row in rows}
    table = call("components", "ls", "loss").output.splitlines()
    assert table[0].split() == ["KIND", "NAME", "PLUGIN", "SUMMARY"]
    assert {line.split()[0] for line in table[1:]} == {"loss"}


def test_components_ls_json_tells_what_specs_say(call: Call) -> None:
    rows = {row["id"]: row for row in json.loads(call("components", "ls", "--json").output)}
    perceptual = rows["losses/perceptual"]
    assert perceptual["distribution"] == "facekit-losses"
    assert perceptual["distribution_version"] == version("facekit-losses")
    assert perceptual["players"] == ["generator"]
    assert "ECCV 2016" in perceptual["paper"]
    assert perceptual["licence"] == "Apache-2.0"
    assert "BSD-3-Clause" in perceptual["weights_licence"]
    assert perceptual["interface_version"] == 1
    assert perceptual["factory"] == "facekit_losses.perceptual:build"
    shown = json.loads(call("components", "show", "losses/perceptual", "--json").output)[0]
    assert perceptual.items() <= shown.items()


def test_components_ls_filters(call: Call) -> None:
    def names(*arguments: str) -> set[str]:
        return {row["name"] for row in json.loads(call("components", "ls", *arguments, "--json").output)}

    every = names()
    assert names("--player", "discriminator") == {
        "adversarial",
        "domain_classification",
        "gradient_penalty",
        "r1_penalty",
    }
    assert "adversarial" in names("loss", "--player", "generator")
    assert names("generator", "--player", "generator") == set()
    metrics = names("--plugin", "facekit-metrics")
    assert {"psnr", "ssim"} <= metrics < every
    assert names("--plugin", "metrics") == metrics
    assert names("metric", "--search", "SIMILARITY") == {"ssim", "perceptual_distance"}  # ST-LPIPS, in its paper
    assert names("--search", "maskgan") >= {"celebamask_hq"}  # in its paper
    empty = call("components", "ls", "--search", "no such thing")
    assert (empty.exit_code, empty.stdout) == (0, "")
    assert "there are none of these" in empty.stderr


def test_components_ls_of_a_plugin_that_is_none(call: Call) -> None:
    result = call("components", "ls", "--plugin", "facekit-metric")
    assert result.exit_code == 2
    assert "did you mean 'facekit-metrics'" in result.stderr


def test_components_that_need_no_plugin_are_listed_and_shown(call: Call) -> None:
    rows = json.loads(call("components", "ls", "schedule", "--json").output)
    assert {row["id"] for row in rows} >= {"facekit/linear_decay", "facekit/cosine", "facekit/step"}
    assert {row["plugin"] for row in rows} == {"facekit"}
    torchs = json.loads(call("components", "ls", "optimiser", "--plugin", "torch", "--json").output)
    assert {"torch/sgd", "torch/rmsprop"} <= {row["id"] for row in torchs}
    shown = call("components", "show", "sgd", COLUMNS="100").output
    assert "  momentum      number; default 0.0\n" in shown
    assert "Beside its own, every optimiser has `lr`, `of` and `lr_scale`." in shown
    assert "train:\n  optimiser: {use: sgd}\n" in shown


def test_the_command_knows_every_kind() -> None:
    assert KINDS == ALL_KINDS


def test_components_show_tells_options_with_limits_and_ports(call: Call) -> None:
    output = call("components", "show", "multiscale_patch", COLUMNS="100").output
    assert "  scales         whole number, 1 to 6; default 2\n" in output
    assert "                 How many sizes of the image are discriminated, each half of the one before.\n" in output
    assert "  discriminated.features  batch  real numbers\n" in output
    assert "  mask   batch x size x size      class ids below `classes`\n" in output
    assert "  plugin   pix2pixhd, of facekit-pix2pixhd" in output
    assert "facekit_pix2pixhd/components.py:" in output
    assert output.endswith("\nmodel:\n  discriminator: {use: multiscale_patch, scales: 3, layers: 3}\n")


def test_components_show_json_has_the_options_as_json_schema(call: Call) -> None:
    (found,) = json.loads(call("components", "show", "generator", "sft_pix2pixhd", "--json").output)
    assert found["options_schema"]["properties"]["filters"]["default"] == 64
    assert found["options"][0]["name"] == "filters"
    assert found["recipe"]["model"]["generator"] == {"use": "sft_pix2pixhd", **found["example"]}


def test_components_show_of_every_component_fits_the_terminal(call: Call) -> None:
    ids = {(row["kind"], row["id"]) for row in json.loads(call("components", "ls", "--json").output)}
    assert len(ids) > 20
    for width in (80, 120):
        for kind, id_ in ids:
            result = call("components", "show", kind, id_, COLUMNS=str(width))
            assert result.exit_code == 0, result.output
            long = [line for line in result.output.splitlines() if len(line) > width]
            # What cannot be broken may stick out: a path, a link, YAML to copy.
            assert all(len(line.split()) < 3 or line.split()[0] == "source" or ": " in line for line in long), long
            assert not any(line != line.rstrip() for line in result.output.splitlines())


def test_components_show_of_a_name_that_two_kinds_have_shows_both(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "namesakes.py"
    file.write_text(NAMESAKES, encoding="utf-8")
    output = call("components", "show", "twin", "--plugin-file", file).output
    assert output.index("loss mine/twin") < output.index("metric mine/twin")
    assert "losses:\n  generator:\n    - {use: twin}" in output
    assert "metrics:\n  - {use: twin}" in output
    only = call("components", "show", "metric", "mine/twin", "--plugin-file", file).output
    assert "loss mine/twin" not in only
    assert f"source   {file.name}:" in only  # as it is called from here


def test_components_show_tells_all_that_a_plugin_says(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "telling_plugin.py"
    file.write_text(TELLING, encoding="utf-8")
    result = call("components", "show", "telling", "--plugin-file", file, COLUMNS="80")
    assert result.exit_code == 0, result.output
    assert result.output == TOLD


def test_components_show_of_what_is_withheld_says_why(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "newer_plugin.py"
    file.write_text(NAMESAKES.replace("interface_version=1", "interface_version=99"), encoding="utf-8")
    for arguments in (["twin"], ["loss", "twin"]):
        result = call("components", "show", *arguments, "--plugin-file", file)
        assert result.exit_code == 2
        assert "version 99 of facekit's interfaces" in result.stderr


def test_components_show_of_a_kind_that_is_none(call: Call) -> None:
    result = call("components", "show", "losses", "adversarial")
    assert result.exit_code == 2
    assert "kinds are dataset, style_encoder" in result.stderr


def test_components_show_of_an_unknown_name(call: Call) -> None:
    result = call("components", "show", "adverserial")
    assert result.exit_code == 2
    assert "did you mean 'adversarial'" in result.stderr


def test_plugins_ls_and_doctor_of_sound_plugins(call: Call) -> None:
    rows = json.loads(call("plugins", "ls", "--json").output)
    assert {row["state"] for row in rows} == {"loaded"}
    listed = json.loads(call("components", "ls", "--json").output)
    of_plugins = [one for one in listed if one["distribution"] not in ("facekit-toolkit", "torch")]
    assert sum(row["components"] for row in rows) == len(of_plugins)
    doctor = call("plugins", "doctor")
    assert doctor.exit_code == 0
    assert "no problems found" in doctor.output


def test_doctor_names_what_is_wrong(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "broken_plugin.py"
    file.write_text(BROKEN, encoding="utf-8")
    result = call("plugins", "doctor", "--plugin-file", file, FACEKIT_PLUGINS=FEW_PLUGINS)
    assert result.exit_code == 1
    assert "loss mine/gone" in result.output
    told = " ".join(result.output.split())
    assert "its factory 'no_module_at_all:f' cannot be found: there is no module 'no_module_at_all'" in told
    assert "it returned 'not a spec', which is not a ComponentSpec" in told
    assert told.count(" problem ") == 2


def test_plugins_that_are_switched_off_are_listed(call: Call) -> None:
    rows = json.loads(call("plugins", "ls", "--json", FACEKIT_NO_PLUGINS="1").output)
    assert {row["state"] for row in rows} == {"switched off"}


def test_a_failed_plugin_is_warned_of_once_on_stderr(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "broken_plugin.py"
    file.write_text(BROKEN, encoding="utf-8")
    result = call("components", "show", "adversarial", "--plugin-file", file)
    assert result.exit_code == 0
    assert result.stderr.count("could not be loaded: broken_plugin") == 1
    assert "warning" not in result.stdout


def test_recipes_ls_finds_every_recipe_file(call: Call) -> None:
    listed = {Path(row["path"]).resolve() for row in json.loads(call("recipes", "ls", "--json").output)}
    files = {path.resolve() for path in (REPOSITORY / "recipes").rglob("*.yaml") if not path.name.startswith("_")}
    assert files
    assert files <= listed


def test_recipes_show_prints_a_recipe_that_reads_back(call: Call, tmp_path: Path) -> None:
    shown = call("recipes", "show", "sft_pix2pixhd", "--set", "train.batch=3").output
    assert yaml.safe_load(shown)["train"]["batch"] == 3
    again = tmp_path / "again.yaml"
    again.write_text(shown, encoding="utf-8")
    assert call("recipes", "show", again).output == shown


def test_recipes_show_origin_names_file_override_and_default(call: Call) -> None:
    lines = call("recipes", "show", "sft_pix2pixhd", "--origin", "--set", "train.batch=3").output.splitlines()
    origins = {line.split(": ")[0]: line for line in lines}
    assert "sft_pix2pixhd.yaml:" in origins["data.use"]
    assert "--set train.batch=3:1:13" in origins["train.batch"]
    assert origins["train.gradient_clip"].rstrip().endswith("default")


def test_recipes_cp_and_its_refusal_to_overwrite(call: Call, tmp_path: Path) -> None:
    assert call("recipes", "cp", "sft_pix2pixhd", "mine.yaml").exit_code == 0
    assert (tmp_path / "mine.yaml").read_text() == (REPOSITORY / "recipes" / "sft_pix2pixhd.yaml").read_text()
    again = call("recipes", "cp", "sft_pix2pixhd", "mine.yaml")
    assert again.exit_code == 2
    assert "--force" in again.stderr
    assert call("recipes", "cp", "sft_pix2pixhd", "mine.yaml", "--force").exit_code == 0


def test_recipes_schema_knows_the_installed_components(call: Call, tmp_path: Path) -> None:
    schema = json.loads(call("recipes", "schema").output)
    assert "adversarial" in json.dumps(schema)
    assert call("recipes", "schema", "-o", "deep/recipe.json").exit_code == 0
    assert json.loads((tmp_path / "deep" / "recipe.json").read_text()) == schema


def test_a_recipe_that_does_not_exist(call: Call) -> None:
    for command in (["run"], ["validate"], ["recipes", "show"]):
        result = call(*command, "sft_pix2pixh")
        assert result.exit_code == 2
        assert "did you mean 'sft_pix2pixhd'" in result.stderr
        assert "Traceback" not in result.stderr
