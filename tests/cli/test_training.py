"""What ``facekit run`` says when a run is over."""

from __future__ import annotations

from pathlib import Path

import pytest

from facekit.cli.training import inputs_of
from facekit.recipe import read_recipe
from facekit.registry import load_registry

RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sft_pix2pixhd", "--mask M --reference R --reference-mask RM"),
        ("pix2pixhd_global", "--mask M"),
        ("stargan", "--source PHOTO --attribute NAME=1"),
    ],
)
def test_what_to_generate_with(name: str, options: str) -> None:
    assert inputs_of(read_recipe(RECIPES / f"{name}.yaml", registry=load_registry())) == options
