"""Sizes that no machine has room for are refused where they are written, before anything is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from facekit.recipe import RecipeError, read_recipe
from facekit.registry import load_registry

RECIPE = Path(__file__).parents[2] / "recipes" / "sft_pix2pixhd.yaml"


@pytest.mark.parametrize(
    ("override", "most"),
    [
        ("train.batch=1000000000000", "65536"),
        ("train.accumulate=100000000", "65536"),
        ("model.generator.filters=1000000000", "4096"),
        ("model.generator.filters=9999999999999999999999", "4096"),
        ("model.generator.blocks=100000000", "256"),
    ],
)
def test_absurd_sizes_are_refused(override: str, most: str) -> None:
    with pytest.raises(RecipeError, match=f"must be at most {most}"):
        read_recipe(RECIPE, registry=load_registry(), overrides=[override])
