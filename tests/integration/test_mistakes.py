"""Two hundred machine-made mistakes through the command line: exit code 2, file, line and column, no traceback."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from facekit.registry import load_registry

REPOSITORY = Path(__file__).parents[2]
REAL = REPOSITORY / "recipes" / "sft_pix2pixhd.yaml"
LEAST = 200

PLACE = re.compile(r"^\S.*?:\d+:\d+: ", re.MULTILINE)


def _mistakes() -> list[Any]:
    path = REPOSITORY / "tests" / "recipe" / "mistakes.py"
    spec = spec_from_file_location("recipe_mistakes_for_the_command_line", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return list(module.make_mistakes(REAL.read_text("utf-8"), registry=load_registry(), style_option="code"))


def _wrong(mistake: Any, folder: Path, code: int, out: str, err: str) -> str | None:
    place = mistake.place(folder)
    if code != 2:
        return f"{mistake.name}: exit code {code}\n{err}"
    if f"{place}: " not in err:
        return f"{mistake.name}: expected {place}, got\n{err}"
    if "Traceback" in err or out:
        return f"{mistake.name}: more than the mistake was printed\n{out}{err}"
    return None


def test_two_hundred_mistakes(inside: Callable[..., Any], tmp_path: Path) -> None:
    every = _mistakes()
    chosen = every[:: max(1, len(every) // (LEAST + 20))]
    assert len(chosen) >= LEAST
    wrong = []
    for mistake in chosen:
        path = mistake.write(tmp_path)
        overrides = [part for override in mistake.overrides for part in ("--set", override)]
        finished = inside("run", path, *overrides)
        wrong.append(_wrong(mistake, tmp_path, finished.code, finished.out, finished.err))
    found = [text for text in wrong if text]
    assert not found, f"{len(found)} of {len(chosen)}:\n" + "\n\n".join(found[:20])
    assert not (Path.cwd() / "runs" / "sft_pix2pixhd-1").exists()


@pytest.mark.parametrize(("number", "command"), [(0, "run"), (1, "validate"), (2, "recipes show")])
def test_a_sample_of_them_in_processes_of_their_own(
    facekit: Callable[..., Any], tmp_path: Path, number: int, command: str
) -> None:
    every = _mistakes()
    mistake = every[number * len(every) // 3]
    path = mistake.write(tmp_path)
    overrides = [part for override in mistake.overrides for part in ("--set", override)]
    finished = facekit(*command.split(), path, *overrides)
    assert _wrong(mistake, tmp_path, finished.code, finished.out, finished.err) is None


def test_a_recipe_that_is_not_there(inside: Callable[..., Any], tmp_path: Path) -> None:
    for command in (["run"], ["validate"], ["recipes", "show"], ["data", "prepare"]):
        finished = inside(*command, tmp_path / "nowhere.yaml")
        assert finished.code == 2
        assert "nowhere.yaml" in finished.err
        assert "Traceback" not in finished.err


def test_shapes_that_do_not_fit_name_both_lines(inside: Callable[..., Any]) -> None:
    finished = inside(
        "validate", "tiny.yaml", "--set", "model.generator.blocks=9", "--set", "model.style_encoder.style_dim=8"
    )
    assert finished.code == 2
    places = PLACE.findall(finished.err)
    assert places
    assert "style of 8" in finished.err
    assert re.search(r"style of \d+ numbers.*style of 8 numbers", finished.err)
