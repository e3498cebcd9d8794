"""The rooms below the engine import no torch, and stay quick to import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RECIPE = Path(__file__).parents[2] / "recipes" / "sft_pix2pixhd.yaml"

SCRIPTS = {
    "facekit": "import facekit",
    "interfaces": "import facekit.interfaces",
    "registry": "import facekit.registry",
    "recipe": "import facekit.recipe",
    "loading the plugins": "from facekit.registry import load_registry; load_registry()",
    "reading a recipe": (
        "from facekit.registry import load_registry\n"
        "from facekit.recipe import dump_recipe, read_recipe, recipe_schema\n"
        "registry = load_registry()\n"
        f"dump_recipe(read_recipe({str(RECIPE)!r}, registry=registry))\n"
        "recipe_schema(registry)"
    ),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_torch(name: str) -> None:
    code = (
        f"{SCRIPTS[name]}\nimport sys\n"
        "heavy = {'torch', 'torchvision'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert finished.returncode == 0, finished.stderr
