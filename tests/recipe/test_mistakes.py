"""Hundreds of machine-made mistakes: each is reported at its place, and nothing but a RecipeError comes out."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from facekit.recipe import RecipeError, read_recipe
from facekit.registry import Registry, load_registry


def _load_maker() -> Any:
    spec = spec_from_file_location("recipe_mistakes", Path(__file__).with_name("mistakes.py"))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["recipe_mistakes"] = module
    spec.loader.exec_module(module)
    return module


maker = _load_maker()

REAL = Path(__file__).parents[2] / "recipes" / "sft_pix2pixhd.yaml"


def _check(text: str, registry: Registry, folder: Path, *, style_option: str, every: int) -> None:
    sound = folder / "sound.yaml"
    sound.write_text(text, encoding="utf-8")
    read_recipe(sound, registry=registry)  # what is broken below is whole to begin with
    mistakes = maker.make_mistakes(text, registry=registry, style_option=style_option)[::every]
    wrong: list[str] = []
    for mistake in mistakes:
        path = mistake.write(folder)
        try:
            read_recipe(path, registry=registry, overrides=mistake.overrides)
        except RecipeError as error:
            places = [str(problem.mark) for problem in error.problems]
            if mistake.place(folder) not in places:
                wrong.append(f"{mistake.name}: expected {mistake.place(folder)}, got\n{error}")
            elif f"{mistake.place(folder)}: " not in str(error):
                wrong.append(f"{mistake.name}: the message does not show the place:\n{error}")
            elif len(places) > 3:
                wrong.append(f"{mistake.name}: one mistake was reported as {len(places)}:\n{error}")
        else:
            wrong.append(f"{mistake.name}: accepted {mistake.overrides}\n{mistake.text}")
    assert not wrong, f"{len(wrong)} of {len(mistakes)} mistakes:\n" + "\n\n".join(wrong[:40])
    assert len({(mistake.text, mistake.overrides) for mistake in mistakes}) >= 200


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_mistakes_in_a_recipe_of_the_fake_catalogue(
    catalogue: Registry, good_recipe: Path, tmp_path: Path, every: int
) -> None:
    folder = tmp_path / "mistakes"
    folder.mkdir()
    _check(good_recipe.read_text("utf-8"), catalogue, folder, style_option="numbers", every=every)


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_mistakes_in_the_real_recipe(tmp_path: Path, every: int) -> None:
    registry = load_registry()
    if not registry.names("generator"):
        pytest.skip("facekit's own plugins are not installed")
    _check(REAL.read_text("utf-8"), registry, tmp_path, style_option="code", every=every)
