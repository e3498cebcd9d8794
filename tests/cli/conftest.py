"""Calling the command line inside this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from facekit.cli.main import cli

Call = Callable[..., Result]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Call ``facekit`` with arguments, in an empty folder, and return what it printed and its exit code."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path, **environment: str) -> Result:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return CliRunner().invoke(cli, [str(argument) for argument in arguments], prog_name="facekit")

    return run


PLUGIN = """
import click
from facekit.registry import CommandSpec, PluginInfo, hookimpl

@hookimpl
def facekit_plugin_info():
    return PluginInfo(summary="A plugin of one file")

@hookimpl
def facekit_commands():
    here = __name__
    return [
        CommandSpec(name="hello", summary="Say hello.", target=f"{here}:hello"),
        CommandSpec(name="import thing", summary="Read a thing.", target=f"{here}:thing"),
        CommandSpec(name="tool one", summary="The first tool.", target=f"{here}:one"),
        CommandSpec(name="missing", summary="Is not there.", target=f"{here}:nowhere"),
        CommandSpec(name="no_module", summary="Its module is not there.", target="no_such_module_anywhere:command"),
        CommandSpec(name="no_command", summary="Is a number.", target=f"{here}:number"),
        CommandSpec(name="crash", summary="Raises.", target=f"{here}:crash"),
    ]

@click.command()
@click.option("--name", default="you")
def hello(name):
    click.echo(f"hello {name}")

@click.command()
def thing():
    click.echo("a thing")

@click.command()
def one():
    click.echo("tool one")

@click.command()
def crash():
    raise ZeroDivisionError("from the plugin")

number = 7
"""


@pytest.fixture
def plugin_file(tmp_path: Path) -> Path:
    """A plugin of one file that adds commands, sound and broken."""
    path = tmp_path / "one_file_plugin.py"
    path.write_text(PLUGIN, encoding="utf-8")
    return path
