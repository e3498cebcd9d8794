"""Whatever is typed: a recipe or a RecipeError with places inside the text, never another exception."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facekit.recipe import Problem, RecipeError, read_recipe
from facekit.recipe.resolved import OVERRIDE
from facekit.registry import Registry

JUNK = [
    *" :-#'\"[]{},&*!|>%@`~\n\t\\01.e_<",
    "\n  ",
    ": ",
    "- ",
    "\u0085",
    "é",
    "\x07",
    "<<: ",
    "null",
    "[",
    "{",
    "&a ",
    "*a",
]


def _check(path: Path, registry: Registry, overrides: list[str]) -> None:
    for problem in _problems(path, registry, overrides):
        text = problem.mark.file.removeprefix(OVERRIDE) if problem.mark.is_override else path.read_text("utf-8")
        assert 1 <= problem.mark.line <= len(text.splitlines()) + 2
        assert 1 <= problem.mark.column <= max(map(len, text.splitlines()), default=0) + 2


def _problems(path: Path, registry: Registry, overrides: list[str]) -> tuple[Problem, ...]:
    try:
        read_recipe(path, registry=registry, overrides=overrides)
    except RecipeError as error:
        str(error)
        return error.problems
    return ()


@pytest.mark.parametrize("count", [150, pytest.param(5000, marks=pytest.mark.slow)])
def test_damaged_recipes(good_recipe: Path, catalogue: Registry, count: int) -> None:
    good = good_recipe.read_text("utf-8")
    generator = random.Random(7)
    for _ in range(count):
        text = good
        for _ in range(generator.randint(1, 3)):
            at = generator.randrange(len(text))
            length = generator.choice([0, 0, 1, 2, 10, 40])
            text = text[:at] + generator.choice(["", *JUNK]) + text[at + length :]
        good_recipe.write_text(text, encoding="utf-8", newline="")
        _check(good_recipe, catalogue, [])


_segment = st.sampled_from(
    ["train", "data", "model", "losses", "generator", "use", "batch", "0", "[0]", "[9]", "x", ""]
)
_value = st.text(alphabet="ab1.e-:{}[]'\" ,#&*!\n\té\x00", max_size=12) | st.sampled_from(["null", "[]", "{}", "psnr"])


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(paths=st.lists(st.tuples(st.lists(_segment, max_size=4), _value), min_size=1, max_size=3))
def test_any_overrides(good_recipe: Path, catalogue: Registry, paths: list[tuple[list[str], str]]) -> None:
    overrides = [".".join(path).replace(".[", "[") + "=" + value for path, value in paths]
    _check(good_recipe, catalogue, overrides)
