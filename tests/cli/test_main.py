"""The program as a whole: help, lazy commands, errors and exit codes."""

from __future__ import annotations

import re

import click
import pytest
from click.testing import CliRunner

from facekit import __version__
from facekit.cli.commands import COMMANDS, LazyCommand, load_command
from facekit.cli.errors import exit_code_of
from facekit.cli.main import Program, cli
from facekit.cli.plugin_commands import PluginGroup
from facekit.interfaces import FacekitError, RunFailure
from facekit.registry.discovery import Installed


def _all_commands() -> list[tuple[str, click.Command]]:
    found: list[tuple[str, click.Command]] = []

    def walk(name: str, command: click.Command) -> None:
        found.append((name, command))
        if isinstance(command, click.Group) and not isinstance(command, PluginGroup):
            for inner in command.list_commands(click.Context(command)):
                below = command.get_command(click.Context(command), inner)
                assert below is not None
                walk(f"{name} {inner}", below)

    for name, entry in COMMANDS.items():
        walk(name, load_command(entry.target))
    return found


@pytest.mark.parametrize(("name", "command"), _all_commands(), ids=[name for name, _ in _all_commands()])
def test_every_command_has_a_worked_example_and_documented_options(name: str, command: click.Command) -> None:
    result = CliRunner().invoke(cli, [*name.split(), "--help"], prog_name="facekit")
    assert result.exit_code == 0
    assert "Example:" in result.output
    example = result.output.split("Example:")[1]
    assert f"facekit {name.split()[0]} " in example
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts} has no help"


def test_help_lists_every_command_with_its_summary() -> None:
    output = CliRunner().invoke(cli, ["--help"], prog_name="facekit").output
    for name, entry in COMMANDS.items():
        assert name in output
        assert entry.summary in output


def test_summaries_in_the_table_are_those_of_the_commands() -> None:
    for name, entry in COMMANDS.items():
        assert load_command(entry.target).short_help == entry.summary, name


def test_help_lists_the_commands_of_known_plugins_that_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    output = CliRunner().invoke(cli, ["--help"], prog_name="facekit").output
    assert re.search(r"studio +Edit faces by painting, in the browser\.", output)
    assert "import pix2pixhd" not in output  # `facekit import` lists those
    monkeypatch.setattr("importlib.metadata.distributions", list)
    output = CliRunner().invoke(cli, ["--help"], prog_name="facekit").output
    assert "Edit faces by painting" not in output
    assert "Of plugins" not in output


@pytest.mark.parametrize(("command", "distribution"), [("edit", "facekit-studio"), ("evaluator", "facekit-metrics")])
def test_a_command_of_a_plugin_that_is_missing_says_what_to_install(
    command: str, distribution: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facekit.registry.plugins.find_installed", lambda: Installed())
    result = CliRunner().invoke(cli, [command, "--help"], prog_name="facekit")
    assert result.exit_code == 2
    assert f"the command '{command}' is of a plugin that is not loaded" in result.stderr
    assert f"{distribution} offers it: `pip install {distribution}`" in result.stderr


def test_version() -> None:
    assert CliRunner().invoke(cli, ["--version"]).output.strip() == f"facekit {__version__}"


def test_a_mistyped_command_names_the_nearest() -> None:
    result = CliRunner().invoke(cli, ["validat"], prog_name="facekit")
    assert result.exit_code == 2
    assert "did you mean 'validate'" in result.stderr


def test_a_command_like_no_other_is_named() -> None:
    result = CliRunner().invoke(cli, ["qqqq"], prog_name="facekit")
    assert result.exit_code == 2
    assert "there is no command 'qqqq'" in result.stderr


def _program(error: BaseException) -> Program:
    @click.command(cls=Program, entries={})
    @click.option("--debug", is_flag=True)
    @click.pass_context
    def program(context: click.Context, debug: bool) -> None:
        context.obj.debug = debug

    @program.command()
    def fail() -> None:
        raise error

    program.entries["fail"] = LazyCommand("unused:unused", "Fails.")
    program.get_command = lambda ctx, name: fail  # type: ignore[method-assign]
    return program


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (FacekitError("it is wrong", where="here.yaml:3:1", remedy="mend it"), 2, "error: here.yaml:3:1: it is wrong"),
        (RunFailure("the disk is full"), 1, "error: the disk is full"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (click.UsageError("no such option"), 2, "no such option"),
    ],
)
def test_expected_errors_have_an_exit_code_and_no_traceback(error: BaseException, code: int, said: str) -> None:
    result = CliRunner().invoke(_program(error), ["fail"])
    assert result.exit_code == code
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_a_remedy_is_printed_under_the_error() -> None:
    result = CliRunner().invoke(_program(FacekitError("wrong", remedy="first\nsecond")), ["fail"])
    assert "\n  first\n  second\n" in result.stderr


def test_debug_shows_the_traceback_of_an_expected_error() -> None:
    result = CliRunner().invoke(_program(FacekitError("it is wrong")), ["--debug", "fail"])
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert "error: it is wrong" in result.stderr


def test_a_defect_keeps_its_traceback_and_asks_for_a_report() -> None:
    result = CliRunner().invoke(_program(ZeroDivisionError("oh")), ["fail"])
    assert result.exit_code == 1
    assert "ZeroDivisionError: oh" in result.stderr
    assert "Please report it" in result.stderr


def test_exits_pass_through() -> None:
    assert exit_code_of(click.exceptions.Exit(3), debug=False) == 3
    with pytest.raises(SystemExit):
        exit_code_of(SystemExit(4), debug=False)


def test_a_target_that_is_no_command_is_refused() -> None:
    with pytest.raises(TypeError, match="not a click command"):
        load_command("facekit:__version__")
