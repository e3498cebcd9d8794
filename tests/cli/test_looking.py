"""``components``, ``plugins`` and ``recipes``: what they print of the installed plugins."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import yaml
from click.testing import Result

Call = Callable[..., Result]

REPOSITORY = Path(__file__).parents[2]

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
    assert kinds == ["dataset", "style_encoder", "generator", "discriminator", "loss", "metric"]
    assert {"sft_pix2pixhd", "synthetic_faces", "adversarial", "multiscale_patch"} <= {row["name"] for row in rows}
    table = call("components", "ls", "loss").output.splitlines()
    assert table[0].split() == ["KIND", "NAME", "PLUGIN", "SUMMARY"]
    assert {line.split()[0] for line in table[1:]} == {"loss"}


def test_components_show_tells_options_with_limits_and_ports(call: Call) -> None:
    output = call("components", "show", "multiscale_patch").output
    assert "scales: int (>= 1, <= 6), default 2" in output
    assert "judgement.features" in output
    assert "mask: batch x size x size class_ids (classes)" in output


def test_components_show_json_is_a_schema(call: Call) -> None:
    (found,) = json.loads(call("components", "show", "generator", "sft_pix2pixhd", "--json").output)
    assert found["options"]["properties"]["filters"]["default"] == 64


def test_components_show_of_a_kind_that_is_none(call: Call) -> None:
    result = call("components", "show", "losses", "adversarial")
    assert result.exit_code == 2
    assert "kinds are dataset, style_encoder" in result.stderr


def test_components_show_of_an_unknown_name(call: Call) -> None:
    result = call("components", "show", "adverserial")
    assert result.exit_code == 2
    assert "did you mean 'adversarial'?" in result.stderr


def test_plugins_ls_and_doctor_of_sound_plugins(call: Call) -> None:
    rows = json.loads(call("plugins", "ls", "--json").output)
    assert {row["state"] for row in rows} == {"loaded"}
    assert sum(row["components"] for row in rows) == len(json.loads(call("components", "ls", "--json").output))
    doctor = call("plugins", "doctor")
    assert doctor.exit_code == 0
    assert "no problems found" in doctor.output


def test_doctor_names_what_is_wrong(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "broken_plugin.py"
    file.write_text(BROKEN, encoding="utf-8")
    result = call("plugins", "doctor", "--plugin-file", file)
    assert result.exit_code == 1
    assert "loss mine/gone" in result.output
    assert "'no_module_at_all:f' names a module that does not exist" in result.output
    assert "'not a spec'" in result.output
    assert "2 problems" in result.output


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
