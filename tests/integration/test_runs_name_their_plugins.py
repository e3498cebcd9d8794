"""A run on a machine that lacks a plugin it was made with: every command says which and how to get it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import facekit as package
from facekit.interfaces import FacekitError

Facekit = Callable[..., Any]
Install = Any

TINY_PLUGIN = Path(__file__).parents[1] / "training" / "plugin" / "tiny_plugin.py"

RECIPE = """\
facekit: 1
name: of_others
data: {use: tiny/faces, size: 16, workers: 1}
model:
  style_encoder: {use: tiny/encoder}
  generator: {use: tiny/painter}
losses:
  generator: [{use: tiny/l1}, {use: low_resolution_colour}]
metrics: [{use: psnr}]
train: {steps: 2, batch: 4, precision: fp32, device: cpu, samples: 2}
"""


@pytest.fixture(scope="module")
def made(
    within: Facekit, workplace: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a run that was made where the distribution face-tiny 1.5 was installed, which is not here."""
    site = tmp_path_factory.mktemp("elsewhere")
    shutil.copy(TINY_PLUGIN, site)
    info = site / "face_tiny-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: face-tiny\nVersion: 1.5\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[facekit.plugins]\ntiny = tiny_plugin\n", encoding="utf-8")
    (workplace / "of_others.yaml").write_text(RECIPE, encoding="utf-8")
    path = os.pathsep.join([str(site), *filter(None, [environment.get("PYTHONPATH")])])
    for run in ("runs/of_others", "runs/of_others_too"):
        done = within("run", "of_others.yaml", "--out", run, "--set", "metrics=[]", PYTHONPATH=path)
        assert done.code == 0, done.err
    return workplace / "runs" / "of_others"


def test_the_record_names_each_component_by_its_place(made: Path) -> None:
    lock = json.loads((made / "lock.json").read_text())
    whose = {"version": 1, "distribution": "face-tiny", "distribution_version": "1.5"}
    assert lock["components"] == {
        "data": {"kind": "dataset", "component": "tiny/faces", **whose},
        "model.style_encoder": {"kind": "style_encoder", "component": "tiny/encoder", **whose},
        "model.generator": {"kind": "generator", "component": "tiny/painter", **whose},
        "losses.generator[0]": {"kind": "loss", "component": "tiny/l1", **whose},
        "losses.generator[1]": {
            "kind": "loss",
            "component": "losses/low_resolution_colour",
            "version": 1,
            "distribution": "facekit-losses",
            "distribution_version": lock["plugins"]["facekit-losses"],
        },
    }
    assert lock["plugin_files"] == []
    report = (made / "report.html").read_text("utf-8")
    assert "tiny/painter, of face-tiny 1.5" in report


HOW = "this run had it from face-tiny 1.5, which is not installed: `pip install 'face-tiny==1.5'`"


@pytest.mark.parametrize(
    "command",
    [
        ("evaluate", "RUN"),
        ("resume", "RUN"),
        ("generate", "RUN", "--mask", "HERE/mask.png", "-o", "HERE/out.png"),
        ("edit", "RUN", "HERE/photo.jpg", "--script", "HERE/script.yaml", "-o", "HERE/out.png"),
        ("compare", "RUN", "RUN_too", "--out", "HERE/compared"),
        ("studio", "RUN", "--port", "0"),
        ("run", "RUN/recipe.yaml", "--out", "HERE/never"),
        ("validate", "RUN/recipe.yaml", "--ports-only"),
        ("data", "check", "RUN/recipe.yaml"),
    ],
    ids=lambda command: command[0],
)
def test_every_command_that_reads_the_run_says_how_to_get_the_plugin(
    inside: Facekit, made: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    if command[0] == "studio":
        pytest.importorskip("starlette")
        pytest.importorskip("uvicorn")
    (tmp_path / "photo.jpg").touch()
    (tmp_path / "script.yaml").write_text("facekit_edit: 1\noperations: []\n", encoding="utf-8")
    done = inside(*(word.replace("RUN", str(made)).replace("HERE", str(tmp_path)) for word in command))
    assert done.code == 2, done.err
    assert "Traceback" not in done.err
    assert f"model.generator.use: no generator is called 'tiny/painter'; {HOW}" in " ".join(done.err.split()), done.err
    assert done.err.count("no loss is called") == 1  # the other loss is here


def test_load_in_python_says_it_too(made: Path) -> None:
    with pytest.raises(FacekitError) as caught:
        package.load(made)
    assert HOW in str(caught.value)
    with pytest.raises(TypeError, match="registry or plugin_files"):
        package.load(made, registry=object(), plugin_files=["x.py"])  # type: ignore[arg-type]


def test_the_report_needs_no_plugin(inside: Facekit, made: Path) -> None:
    (made / "report.html").unlink()
    done = inside("report", made)
    assert done.code == 0, done.err
    assert (made / "report.html").is_file()


def test_another_version_of_the_plugin_that_lacks_it_is_told(inside: Facekit, made: Path, install: Install) -> None:
    install.component("face-tiny", "tiny/of_today", version="2.0")
    done = inside("generate", made, "--mask", "mask.png", "-o", "out.png")
    assert done.code == 2
    told = " ".join(done.err.split())
    assert "this run had it from face-tiny 1.5, and 2.0 is installed: `pip install 'face-tiny==1.5'`" in told


def test_a_copied_recipe_has_no_record(inside: Facekit, made: Path, workplace: Path) -> None:
    """A recipe that is no run's own has no record to look into, so it says what it can."""
    document = yaml.safe_load((made / "recipe.yaml").read_text("utf-8"))
    (workplace / "copied.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    done = inside("validate", "copied.yaml", "--ports-only")
    assert done.code == 2
    assert "no generator is called 'tiny/painter'" in done.err
    assert "face-tiny" not in done.err


def test_a_record_that_cannot_be_read_hides_no_mistake(inside: Facekit, made: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(made, broken)
    for text in ("{", "[1]"):
        (broken / "lock.json").write_text(text, encoding="utf-8")
        done = inside("validate", broken / "recipe.yaml", "--ports-only")
        assert done.code == 2
        assert "no generator is called 'tiny/painter'" in done.err
        assert "Traceback" not in done.err
