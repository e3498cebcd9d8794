"""Where values come from."""

from __future__ import annotations

from pathlib import Path

from facekit.recipe import recipe_origins
from facekit.registry import Registry


def test_every_value_has_its_source(good_recipe: Path, catalogue: Registry) -> None:
    child = good_recipe.with_name("child.yaml")
    child.write_text("extends: good.yaml\ntrain:\n  seed: 3\n")
    recipe, origins = recipe_origins(
        child, registry=catalogue, overrides=["losses.generator[1].weight=5", "model.generator.padding=zero"]
    )
    found = {origin.path: origin for origin in origins}
    folder = good_recipe.parent

    def source(path: str) -> str:
        return found[path].source.replace(f"{folder}/", "")

    assert source("data.size") == "good.yaml:9:9"
    assert source("data.workers") == "default"
    assert source("data.reference.crop") == "good.yaml:12:11"
    assert source("train.seed") == "child.yaml:3:9"
    assert source("model.generator.padding") == "--set model.generator.padding=zero:1:25"
    assert source("losses.generator[1].weight") == "--set losses.generator[1].weight=5:1:28"
    assert source("losses.generator[1].use") == "good.yaml:25:13"
    assert source("losses.generator[1].label") == "default"
    assert source("train.optimiser.betas") == "good.yaml:44:12"
    assert source("name") == "default"
    assert (found["name"].value, found["train.optimiser.betas"].value) == ("child", [0.5, 0.999])
    assert [origin.path for origin in origins if origin.is_override] == [
        "model.generator.padding",
        "losses.generator[1].weight",
    ]
    assert found["train.keep.best"].mark is None
    assert recipe.train.seed == 3
    assert len(found) == len(origins)
