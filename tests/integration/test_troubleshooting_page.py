"""``docs/plugins/troubleshooting.md``: what the page shows is what is said, and what it quotes is in the code."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from facekit.registry import PluginSet

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "plugins" / "troubleshooting.md").read_text("utf-8")
HOME = "/home/anna"

Facekit = Callable[..., Any]


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Anna's folder: the plugin and the recipe of the page, and the recipe that this one extends."""
    (tmp_path / "glow.py").write_text(_blocks("python")[0], encoding="utf-8")
    (tmp_path / "warm.yaml").write_text(_blocks("yaml")[0], encoding="utf-8")
    shutil.copy(REPOSITORY / "docs" / "examples" / "first_recipe.yaml", tmp_path)
    return tmp_path


def test_the_doctor_says_what_the_page_shows(within: Facekit, home: Path) -> None:
    done = within("plugins", "doctor", "--plugin-file", "glow.py", cwd=home, COLUMNS="120")
    assert done.code == 1
    told = done.out.replace(str(home), HOME)
    shown = _blocks("text")[0]
    told = re.sub(r"^\d+ plugins:", "8 plugins:", told, flags=re.MULTILINE)  # one more than are installed here
    for paragraph in shown.split("\n\n"):
        assert paragraph.strip() in told


def test_mistakes_are_told_as_the_page_shows(within: Facekit, home: Path) -> None:
    (home / "typo.yaml").write_text(
        _blocks("yaml")[0].replace("glow/warmth", "perceptal, weight: 10"), encoding="utf-8"
    )
    typo = within("validate", "typo.yaml", "--ports-only", cwd=home)
    off = within("validate", "first_recipe.yaml", "--ports-only", cwd=home, FACEKIT_PLUGINS="-facekit-losses")
    for done, shown in ((typo, _blocks("text")[1]), (off, _blocks("text")[2])):
        assert done.code == 2
        assert shown in done.err


@pytest.mark.parametrize("name", ["FACEKIT_PLUGINS", "FACEKIT_NO_PLUGINS", "FACEKIT_STRICT_PLUGINS"])
def test_the_switches_are_those_that_are_read(name: str) -> None:
    assert f"{name}=" in PAGE
    assert PluginSet({name: "1"}).switches != PluginSet({}).switches


def test_what_the_table_quotes_is_what_the_doctor_can_say() -> None:
    source = "".join(path.read_text("utf-8") for path in (REPOSITORY / "src" / "facekit").glob("*/*.py"))
    source = re.sub(r'"\s*\n\s*f?"', "", source)  # texts that go on in the next line
    table = PAGE.split("| it says |")[1].split("\n\n")[0]
    quoted = [cell for row in table.splitlines()[2:] for cell in re.findall(r"`([^`]+)`", row.split(" | ")[0])]
    assert len(quoted) >= 13
    filled_in = (
        r"\d[\d.]*|torch(?:>=3)?|calling facekit_components|importing it|reading its entry points"
        r"|it is|'facekit_component'|'glow'|'facekit_plugins'"
    )
    for text in quoted:
        for part in re.split(filled_in, text):
            assert part.strip(" ,") in source, text
