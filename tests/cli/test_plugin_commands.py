"""Commands that plugins add, sound and broken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Call = Callable[..., Result]


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


def test_a_command_that_raises_is_a_defect(call: Call, plugin_file: Path) -> None:
    result = call("--plugin-file", plugin_file, "crash")
    assert result.exit_code == 1
    assert "ZeroDivisionError: from the plugin" in result.stderr


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
