"""The commands of the plugin: what lists and pages say of them."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from facekit.cli.commands import load_command
from facekit.cli.main import cli
from facekit.registry import CommandSpec
from facekit_studio.plugin import facekit_commands


@pytest.mark.parametrize("spec", facekit_commands(), ids=lambda spec: spec.name)
def test_every_command_has_a_worked_example_and_documented_options(spec: CommandSpec) -> None:
    command = load_command(spec.target)
    assert command.short_help == spec.summary
    result = CliRunner().invoke(cli, [spec.name, "--help"], prog_name="facekit")
    assert result.exit_code == 0
    assert f"facekit {spec.name} " in result.output.split("Example:")[1]
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{spec.name} {parameter.opts} has no help"
