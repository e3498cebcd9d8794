"""Paths on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from facekit.cli.main import cli


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "sft_pix2pixhd", "--out", ""),
        ("ablate", "grid.yaml", "--out", ""),
        ("resume", ""),
        ("generate", "run", "--mask", "mask.png", "-o", ""),
        ("edit", "run", "", "--script", "s.yaml", "-o", "x.png"),
        ("data", "synthesise", "-o", ""),
        ("recipes", "cp", "sft_pix2pixhd", ""),
    ],
)
def test_the_empty_path_is_not_the_current_folder(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2
    assert "the path is empty; write . for the current folder" in result.stderr
    assert list(tmp_path.iterdir()) == []
