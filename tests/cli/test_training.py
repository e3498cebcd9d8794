"""What ``facekit run`` says when a run is over."""

from __future__ import annotations

from pathlib import Path

import pytest

from facekit.recipe import read_recipe
from facekit.registry import load_registry
from facekit.training.run.commands import generate_command, generate_in_python, inputs_of

RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sft_pix2pixhd", "--mask mask.png --reference photo.jpg --reference-mask photo_mask.png"),
        ("pix2pixhd_global", "--mask mask.png"),
        ("stargan", "--source photo.jpg --attribute 'Black Hair=1'"),
    ],
)
def test_what_to_generate_with(name: str, options: str) -> None:
    registry = load_registry()
    inputs = inputs_of(read_recipe(RECIPES / f"{name}.yaml", registry=registry), registry=registry)
    lock = {"inputs": inputs, "attribute_names": ["Black Hair", "Smiling"], "plugin_files": ["/home/me/my plugin.py"]}
    command = generate_command(Path("runs/my run"), lock)
    assert command == f"facekit generate 'runs/my run' {options} -o result.png --plugin-file '/home/me/my plugin.py'"
    assert generate_command(Path("run"), {}) is None


def test_all_attributes_are_named_where_none_is_read_off_the_photo() -> None:
    lock = {"inputs": ["source", "attributes"], "attribute_names": ["Smiling", "Young"]}
    command = generate_command(Path("run"), lock)
    assert command == (
        "facekit generate run --source photo.jpg --attribute Smiling=1 --attribute Young=1 -o result.png"
    )
    program = generate_in_python(Path("run"), lock)
    assert program is not None
    wanted = "{'Smiling': True, 'Young': True}"
    assert program.endswith(f'pipeline.generate(source=Image.open("photo.jpg"), attributes={wanted})')


def test_runs_from_noise_are_sampled() -> None:
    command = generate_command(Path("run"), {"inputs": ["noise"]})
    assert command == "facekit generate run --count 16 --seed 0 -o results"
    program = generate_in_python(Path("run"), {"inputs": ["noise"]})
    assert program == "import facekit\n\npipeline = facekit.load('run')\nresult = pipeline.sample(16, seed=0)"
