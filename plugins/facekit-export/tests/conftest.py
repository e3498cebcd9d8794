"""Runs on disk of shipped recipes, small and untrained, as the engine leaves them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from facekit.data.store import label_map_document
from facekit.recipe import dump_recipe, read_recipe
from facekit.registry import Registry, load_registry
from facekit.training.checkpoint import checkpoints
from facekit.training.networks import build_model
from facekit.training.open_data import labels_of, open_data
from facekit.training.run.folder import RunFolder

RECIPES = Path(__file__).parents[3] / "recipes"

SMALL = {"filters": 8, "latent": 16, "code": 16, "head_hidden": 16, "encoder_filters": 8, "blocks": 1}
"""Options of networks that only say how large they are."""

FACES = {"train": 2, "validation": 3, "test": 1}
"""Drawn faces of runs that learned from such."""

FAINT = {"paper/sean", "paper/spade", "paper/spade_encoder"}
"""Recipes whose first weights are so small that images have a deviation of 1e-6, and any two would agree."""


@pytest.fixture(scope="session")
def registry() -> Registry:
    return load_registry()


@pytest.fixture(scope="session")
def write_run(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Write a run of a shipped recipe: ``write_run("sean", "data.size=32")``."""
    cache = tmp_path_factory.mktemp("cache")

    def write(name: str, *overrides: str) -> Path:
        folder = tmp_path_factory.mktemp("runs") / name.replace("/", "_")
        file = RECIPES / f"{name}.yaml"
        recipe = read_recipe(file, registry=registry)
        drawn = recipe.dataset.component.spec.name == "synthetic_faces"
        small = [f"data.cache={cache}", *(f"data.{split}={count}" for split, count in FACES.items() if drawn)]
        for network, choice in recipe.model.components():
            options = choice.options.model_dump()
            smaller = {"latent"} if network in recipe.model.discriminators else SMALL.keys()
            small += [
                f"model.{network}.{option}={min(SMALL[option], options[option])}"
                for option in sorted(smaller & options.keys())
                if options[option]
            ]
        recipe = read_recipe(file, registry=registry, overrides=[*small, *overrides])
        run = RunFolder(folder)
        folder.mkdir()
        run.recipe.write_text(dump_recipe(recipe))
        label_map, attributes = labels_of(recipe, registry)
        lock = {"label_map": label_map_document(label_map), "attribute_names": attributes}
        if drawn:
            lock["data_fingerprint"] = open_data(recipe, registry).fingerprint
        run.write_lock(lock)
        model = build_model(recipe, label_map=label_map, attribute_names=attributes)
        copied = as_if_learned if name in FAINT else torch.clone
        state = {key: copied(tensor).contiguous() for key, tensor in model.state_dict().items()}
        checkpoints.write(run.checkpoints, step=7, tensors={checkpoints.LIVE: state, checkpoints.EMA: state}, state={})
        return folder

    return write


def as_if_learned(weight: torch.Tensor) -> torch.Tensor:
    """Return a copy of a weight, scaled so that it hands on what it is given."""
    if weight.dim() < 2 or not weight.is_floating_point():
        return weight.clone()
    deviation = float(weight.std()) * weight[0].numel() ** 0.5
    return weight / deviation if 0 < deviation < 1 else weight.clone()
