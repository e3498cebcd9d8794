"""New plugins work before a line of them is changed: each kind alone and all together, as a distribution and a file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from facekit.cli.main import cli
from facekit.interfaces import FacekitError
from facekit.scaffold import PARTS, check_name

KINDS = tuple(PARTS)
ROOT = Path(__file__).parents[2]


def new(*arguments: str) -> str:
    result = CliRunner().invoke(cli, ["plugins", "new", *arguments])
    assert result.exit_code == 0, result.output + str(result.exception)
    return result.output


def of_kinds(*kinds: str) -> list[str]:
    return [argument for kind in kinds for argument in ("--kind", kind)]


def environment(**more: str) -> dict[str, str]:
    if "PYTHONPATH" in more and os.environ.get("PYTHONPATH"):  # these tests may run on sources that are not installed
        more["PYTHONPATH"] += os.pathsep + os.environ["PYTHONPATH"]
    return {**os.environ, "OMP_NUM_THREADS": "1", **more}


def succeeds(command: list[str], folder: Path, **more: str) -> str:
    done = subprocess.run(command, cwd=folder, env=environment(**more), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def trains(recipe: Path, folder: Path, *arguments: str, **more: str) -> None:
    """Run a recipe as a user would and check that it really made its 20 steps."""
    command = [sys.executable, "-m", "facekit", "run", str(recipe), "--out", str(folder / "run"), *arguments]
    succeeds(command, folder, FACEKIT_CACHE=str(folder / "cache"), **more)
    lines = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["event"] == "evaluation" or any(line["event"] == "finished" for line in lines)
    assert max(line["step"] for line in lines if line["event"] == "train") == 20
    assert (folder / "run" / "report.html").is_file()


def is_clean(folder: Path, path: str, tmp_path: Path) -> None:
    """Check style and types with the new project's own settings. What mypy found in torch is there for all tests."""
    python = [sys.executable, "-m"]
    succeeds([*python, "ruff", "check", "."], folder)
    succeeds([*python, "ruff", "format", "--check", "."], folder)
    succeeds([*python, "mypy", path], folder, MYPY_CACHE_DIR=str(tmp_path.parent / "mypy"))


def check_distribution(kinds: tuple[str, ...], tmp_path: Path) -> None:
    name = "facekit-tried-" + (kinds[0].replace("_", "-") if len(kinds) == 1 else "all")
    printed = new(name, *of_kinds(*kinds), "--into", str(tmp_path))
    project = tmp_path / name
    recipe = next((project / "recipes").glob("*.yaml"))
    assert f"pip install -e {project}" in printed
    assert f"facekit run {recipe}" in printed
    is_clean(project, "src", tmp_path)
    site = tmp_path / "site"
    # A real installation, into a folder of its own, so that this environment stays as it is.
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(project)]
    succeeds(pip, tmp_path)
    assert (site / name.replace("-", "_") / "recipes" / recipe.name).is_file()
    succeeds([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], project, PYTHONPATH=str(site))
    trains(recipe, tmp_path, PYTHONPATH=str(site))
    listed = succeeds([sys.executable, "-m", "facekit", "recipes", "ls"], tmp_path, PYTHONPATH=str(site))
    assert recipe.stem in listed


def test_a_distribution_with_all_kinds(tmp_path: Path) -> None:
    check_distribution(KINDS, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_distribution_with_one_kind(kind: str, tmp_path: Path) -> None:
    check_distribution((kind,), tmp_path)


@pytest.mark.parametrize(
    "kinds",
    [KINDS, *(pytest.param((kind,), marks=pytest.mark.slow) for kind in KINDS)],
    ids=lambda kinds: "all" if len(kinds) > 1 else kinds[0],
)
def test_a_plugin_of_one_file(kinds: tuple[str, ...], tmp_path: Path) -> None:
    printed = new("tried-file", *of_kinds(*kinds), "--file", "--into", str(tmp_path))
    plugin, recipe = tmp_path / "tried_file.py", tmp_path / "tried_file.yaml"
    assert f"facekit run {recipe} --plugin-file {plugin}" in printed
    (tmp_path / "pyproject.toml").write_text(
        "[tool.ruff]\nline-length = 120\n[tool.ruff.lint]\nselect = ['E', 'F', 'I', 'B', 'UP']\n"
        "[tool.mypy]\npython_version = '3.11'\ndisallow_untyped_defs = true\n"
    )
    is_clean(tmp_path, "tried_file.py", tmp_path)
    trains(recipe, tmp_path, "--plugin-file", str(plugin))


def test_without_a_kind_it_is_a_generator(tmp_path: Path) -> None:
    new("facekit-plain", "--into", str(tmp_path))
    source = tmp_path / "facekit-plain" / "src" / "facekit_plain"
    assert (source / "generator.py").is_file()
    assert not (source / "loss.py").exists()


@pytest.mark.parametrize("kind", ["network", "sampler"])
def test_a_network_and_its_sampler_come_together(kind: str, tmp_path: Path) -> None:
    new("facekit-noisy", "--kind", kind, "--kind", "style_encoder", "--into", str(tmp_path))
    project = tmp_path / "facekit-noisy"
    source = project / "src" / "facekit_noisy"
    assert (source / "network.py").is_file()
    assert (source / "sampler.py").is_file()
    recipe = (project / "recipes" / "noisy.yaml").read_text("utf-8")
    model = recipe.split("\nmodel:\n")[1].split("\nlosses:")[0]
    assert "  mapping: {use: noisy/mapping" in model
    assert "\n  style_encoder:" not in model, "mapping and style encoder would both give `style`"


def test_a_loss_needs_the_library_it_is_written_with(tmp_path: Path) -> None:
    new("facekit-lossy", "--kind", "loss", "--into", str(tmp_path))
    new("facekit-plain", "--into", str(tmp_path))
    needed = '"facekit-gan>=0.1,<0.2"'
    assert needed in (tmp_path / "facekit-lossy" / "pyproject.toml").read_text("utf-8")
    assert needed not in (tmp_path / "facekit-plain" / "pyproject.toml").read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("-x", "cannot be the name"),
        ("a b", "cannot be the name"),
        ("3d", "which Python cannot import"),
        ("class", "which Python cannot import"),
        ("json", "there is a module 'json' already"),
        ("facekit", "there is a module 'facekit' already"),
        ("facekit-losses", "there is a module 'facekit_losses' already"),
        ("torch", "there is a module 'torch' already"),
        ("import-linter", "is installed already"),
    ],
)
def test_names_that_cannot_be(name: str, message: str) -> None:
    with pytest.raises(FacekitError, match=message):
        check_name(name)


def test_names_follow_from_one() -> None:
    names = check_name("Facekit.Fine_Freckles")
    assert (names.distribution, names.module, names.namespace) == (
        "facekit-fine-freckles",
        "facekit_fine_freckles",
        "fine_freckles",
    )


def test_nothing_that_exists_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "facekit-mine"
    folder.mkdir()
    (folder / "work.txt").write_text("precious")
    done = subprocess.run(
        [sys.executable, "-m", "facekit", "plugins", "new", "facekit-mine", "--into", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "there is something here already" in done.stderr
    assert "Traceback" not in done.stderr
    assert [entry.name for entry in folder.iterdir()] == ["work.txt"]
    (tmp_path / "mine_too.py").write_text("precious")
    result = CliRunner().invoke(cli, ["plugins", "new", "mine-too", "--file", "--into", str(tmp_path)])
    assert result.exit_code == 2
    assert (tmp_path / "mine_too.py").read_text() == "precious"
