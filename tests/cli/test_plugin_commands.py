"""Commands that plugins add, sound and broken."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from tests.conftest import FEW_PLUGINS

from facekit.registry import CommandSpec

Call = Callable[..., Result]
Install = Any
Run = Callable[..., subprocess.CompletedProcess[str]]

FACEKIT = Path(sys.executable).with_name("facekit")


def test_a_plugin_adds_a_command(call: Call, plugin_file: Path) -> None:
    result = call("--plugin-file", plugin_file, "hello", "--name", "face")
    assert result.output == "hello face\n"
    assert result.exit_code == 0


def test_a_plugin_adds_to_the_import_group(call: Call, plugin_file: Path) -> None:
    assert call("--plugin-file", plugin_file, "import", "thing").output == "a thing\n"
    assert "Read a thing." in call("--plugin-file", plugin_file, "import", "--help").output


def test_a_plugin_can_make_a_group_of_its_own(call: Call, plugin_file: Path) -> None:
    assert call("--plugin-file", plugin_file, "tool", "one").output == "tool one\n"
    assert "The first tool." in call("--plugin-file", plugin_file, "tool", "--help").output


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing", "AttributeError"),
        ("no_module", "ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
        ("no_command", "is a int, not a click command"),
    ],
)
def test_a_command_that_cannot_be_loaded_names_its_plugin(
    call: Call, plugin_file: Path, name: str, reason: str
) -> None:
    result = call("--plugin-file", plugin_file, name)
    assert result.exit_code == 2
    assert reason in result.stderr
    assert "one_file_plugin" in result.stderr
    assert "Traceback" not in result.stderr


def test_broken_commands_touch_no_other(call: Call, plugin_file: Path) -> None:
    for arguments in (["hello"], ["plugins", "ls"], ["components", "ls"], ["--help"]):
        assert call("--plugin-file", plugin_file, *arguments).exit_code == 0


def test_a_command_that_raises_is_its_plugins_defect(call: Call, plugin_file: Path) -> None:
    result = call("--plugin-file", plugin_file, "crash")
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert "ZeroDivisionError: from the plugin" in result.stderr
    assert f"This happened in the command 'crash' of the plugin 'one_file_plugin' ({plugin_file})" in result.stderr
    assert "Every other command works as before." in result.stderr


def test_a_command_of_facekit_that_raises_is_not_a_plugins(
    call: Call, plugin_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facekit.cli.state.State.registry", lambda *arguments: 1 / 0)
    result = call("--plugin-file", plugin_file, "components", "ls")
    assert result.exit_code == 1
    assert "This is a defect in facekit" in result.stderr
    assert "This happened in" not in result.stderr


def test_help_of_the_program_loads_no_plugin(call: Call, tmp_path: Path) -> None:
    bad = tmp_path / "raises_at_import.py"
    bad.write_text("raise RuntimeError('loaded')\n", encoding="utf-8")
    assert call("--plugin-file", bad, "--help").exit_code == 0
    result = call("--plugin-file", bad, "plugins", "ls")
    assert result.exit_code == 2
    assert "RuntimeError: loaded" in result.stderr


def test_a_plugin_file_that_does_not_exist(call: Call) -> None:
    result = call("plugins", "ls", "--plugin-file", "nowhere.py")
    assert result.exit_code == 2
    assert "there is no such plugin file" in result.stderr


def test_the_option_may_stand_before_and_after_the_command(call: Call, plugin_file: Path) -> None:
    assert "one_file_plugin" in call("plugins", "ls", "--plugin-file", plugin_file).output
    assert "one_file_plugin" in call("--plugin-file", plugin_file, "plugins", "ls").output
    both = call("--plugin-file", plugin_file, "plugins", "ls", "--plugin-file", plugin_file)
    assert both.exit_code == 0
    assert both.output.count("A plugin of one file") == 1


def test_plugins_ls_lists_the_commands(call: Call, plugin_file: Path) -> None:
    output = call("plugins", "ls", "--plugin-file", plugin_file).output
    assert "facekit import thing  (one_file_plugin)" in output


# -- commands of installed plugins, in real processes

PLUGIN = """
from facekit.registry import CommandSpec, hookimpl

@hookimpl
def facekit_commands():
    return [CommandSpec(name=name, summary="Does it.", target=target) for name, target in COMMANDS]
"""

TOOLS = """
import os, sys
import click
from facekit.interfaces import FacekitError
with open(os.environ["IMPORTED"], "a") as note:
    note.write(__name__ + "\\n")

@click.command()
def greet():
    click.echo("hello")

@click.group()
def deep():
    pass

@deep.command()
def inner():
    raise RuntimeError("deep inside")

@click.command()
def mistaken():
    raise FacekitError("the file is too small", where="face.png", remedy="take a larger one")

@click.command()
def leaves():
    sys.exit(7)

@click.command()
@click.option("--size", type=int, callback=lambda context, option, value: 1 // (value or 0))
def careless(size):
    pass
"""

COMMANDS = [(name, f"face_tools_commands:{name}") for name in ("greet", "deep", "mistaken", "leaves", "careless")]


@pytest.fixture
def run(install: Install, tmp_path: Path) -> Run:
    """Call ``facekit`` with throw-away distributions on the path; their commands note that they were imported."""
    install("face-tools", PLUGIN.replace("COMMANDS", str(COMMANDS)), files={"face_tools_commands.py": TOOLS})

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FACEKIT_")}
        switch = {"FACEKIT_PLUGINS": FEW_PLUGINS} if "doctor" in arguments else {}
        return subprocess.run(
            [str(FACEKIT), *arguments],
            env={**kept, "PYTHONPATH": str(install.site), "IMPORTED": str(tmp_path / "imported"), **switch},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return call


def test_a_command_is_imported_when_it_is_called_and_not_before(run: Run, tmp_path: Path) -> None:
    note = tmp_path / "imported"
    for arguments in (
        ["--help"],
        ["plugins", "ls"],
        ["plugins", "doctor"],
        ["components", "ls"],
        ["recipes", "ls"],
        ["import", "--help"],
        ["greeet"],  # near names are told without importing any
    ):
        run(*arguments)
        assert not note.exists(), arguments
    done = run("greet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")
    assert note.read_text().splitlines() == ["face_tools_commands"]  # once


def test_a_mistyped_command_tells_those_of_plugins(run: Run) -> None:
    done = run("greeet")
    assert done.returncode == 2
    assert "there is no command 'greeet'; did you mean 'greet'" in done.stderr


def test_an_error_deep_inside_names_the_plugin(run: Run) -> None:
    done = run("deep", "inner")
    assert done.returncode == 1
    assert "RuntimeError: deep inside" in done.stderr
    assert "face_tools_commands.py" in done.stderr
    assert "This happened in the command 'deep' of the plugin 'face-tools' (face-tools 1.2)" in done.stderr
    done = run("careless")
    assert done.returncode == 1
    assert "the command 'careless' of the plugin 'face-tools'" in done.stderr


def test_a_mistake_of_the_person_is_told_as_facekit_does(run: Run) -> None:
    done = run("mistaken")
    assert done.returncode == 2
    assert done.stderr == "error: face.png: the file is too small\n  take a larger one\n"
    done = run("greet", "--loud")
    assert done.returncode == 2
    assert "No such option" in done.stderr


def test_a_command_may_choose_its_exit_code(run: Run) -> None:
    assert run("leaves").returncode == 7


def test_a_command_cannot_replace_one_of_facekit(run: Run, install: Install) -> None:
    before = {name: run(*name) for name in (("run", "--help"), ("plugins", "--help"))}
    taken = [(name, "face_tools_commands:greet") for name in ("run", "plugins", "plugins more", "import more")]
    install("face-thief", PLUGIN.replace("COMMANDS", str(taken)))
    for arguments, done in before.items():
        after = run(*arguments)
        assert (after.returncode, after.stdout) == (0, done.stdout)
    assert run("plugins", "more").returncode == 2
    assert run("import", "more").stdout == "hello\n"
    listed = run("plugins", "ls").stdout
    assert "facekit run  (face-thief): cannot be called, `facekit run` stays facekit's own\n" in listed
    assert "facekit plugins more  (face-thief): cannot be called, `facekit plugins` stays" in listed
    assert "facekit import more  (face-thief)\n" in listed
    doctor = run("plugins", "doctor")
    assert doctor.returncode == 1
    assert "command `run` is claimed more than once: `facekit run` stays facekit's own" in doctor.stdout


def test_a_command_that_two_plugins_have_is_nobodys(run: Run, install: Install) -> None:
    install("face-twin", PLUGIN.replace("COMMANDS", str([("greet", "json:dumps"), ("import x", "json:dumps")])))
    install("face-twin-too", PLUGIN.replace("COMMANDS", str([("deep down", "json:dumps"), ("import x", "json:dumps")])))
    for name, outcome in (("greet", "nobody gets it"), ("deep", "it cannot be a command and the group of `deep down`")):
        done = run(name, "down")
        assert done.returncode == 2
        assert f"the command {name!r} is claimed by face-tools 1.2 and face-twin" in done.stderr
        assert outcome in done.stderr
        assert "uninstall one, or leave it out: `FACEKIT_PLUGINS=-face-tools facekit ...`" in done.stderr
    done = run("import", "x")
    assert done.returncode == 2
    assert "the command 'import x' is claimed by face-twin 1.2 and face-twin-too 1.2: nobody gets it" in done.stderr
    assert run("leaves").returncode == 7  # the others are not touched


@pytest.mark.parametrize("name", ["", "two  spaces", "a b c", "Upper", "-x", "tool one ", 5, None])
def test_names_that_nobody_can_type_are_refused(name: object) -> None:
    with pytest.raises(ValueError, match="not one word or two"):
        CommandSpec(name=name, summary="", target="a:b")  # type: ignore[arg-type]


@pytest.mark.parametrize("target", ["", "a", "a:b:c", ":b", "a:", None])
def test_targets_that_are_none_are_refused(target: object) -> None:
    with pytest.raises(ValueError, match="not of the form 'module:attribute'"):
        CommandSpec(name="tool", summary="", target=target)  # type: ignore[arg-type]
