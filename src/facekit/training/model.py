"""A trained model, loaded from its run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from facekit.interfaces import FacekitError, LabelMap, did_you_mean
from facekit.recipe.resolved import ComponentChoice, ResolvedRecipe
from facekit.registry import Registry
from facekit.sampling.inputs import ATTRIBUTES, inputs_of
from facekit.training.checkpoint import checkpoints
from facekit.training.checkpoint.reader import CheckpointReader
from facekit.training.frozen import load_frozen
from facekit.training.lock_reader import read_run_lock, recipe_change
from facekit.training.networks import FaceModel, build_model
from facekit.training.run.folder import RECIPE, RunFolder
from facekit.training.run.recipe import read_run_recipe
from facekit.training.tensors import check_finite

Weights = Literal["ema", "live"]


@dataclass(frozen=True)
class LoadedModel:
    """A trained model and what it takes to use it.

    Args:
        model: the networks, in evaluation mode.
        recipe: the recipe of the run.
        label_map: what the class ids of masks mean.
        attribute_names: the attributes of the data it was trained on.
        step: the step of the checkpoint; 0 for weights of a file.
        weights: which weights these are: ``ema``, or ``live`` when they were asked for or the run keeps no average;
            ``file`` for those of a file without a run.
        checkpoint: the folder or file they come from.
        warnings: damaged checkpoints that were passed over, a damaged ``lock.json``, a recipe that was changed.
        notes: which weights older versions of the components wrote, so that they were migrated.
    """

    model: FaceModel
    recipe: ResolvedRecipe
    label_map: LabelMap
    attribute_names: tuple[str, ...]
    step: int
    weights: Literal["ema", "live", "file"]
    checkpoint: Path
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def runtime(self) -> dict[str, Any]:
        """The values of all runtime options, ``{"sampler.steps": 50}``: what results depend on beside the weights."""
        return runtime_options(self.recipe)


def load_model(
    run: Path,
    *,
    registry: Registry,
    weights: Weights = "ema",
    step: int | None = None,
    with_discriminator: bool | None = False,
    settings: Sequence[str] = (),
) -> LoadedModel:
    """Load a trained model from its run folder; the data it was trained on is not needed.

    Args:
        run: the run folder.
        registry: the plugins.
        weights: ``ema`` for the averaged weights, ``live`` for those of the last update.
        step: a certain checkpoint; by default the newest sound one.
        with_discriminator: load discriminators too; they have live weights only. None loads them where the sampler asks
            for attributes, since one may tell those that a photo has.
        settings: runtime options of networks in place of those that the run was made with: ``sampler.steps=50``.

    Raises:
        FacekitError: the folder is no run, has no sound checkpoint, a plugin is missing, or newer than the installed
            versions of the components wrote it; its weights are not finite; or a setting is no runtime option.
    """
    folder = RunFolder(run)
    if not folder.holds_a_run:
        raise FacekitError("this is not a run folder: it has no recipe.yaml", where=str(run))
    recipe = read_run_recipe(folder.recipe, registry=registry)
    if settings:
        overrides = [_runtime_override(recipe, setting) for setting in settings]
        recipe = read_run_recipe(folder.recipe, registry=registry, overrides=overrides)
    found = checkpoints.find(folder.checkpoints, step=step)
    record = read_run_lock(folder, found)
    change = recipe_change(folder, found, registry=registry)
    changed = [] if change is None else [f"{run / RECIPE} was changed since step {found.step}: {change}"]
    label_map, attribute_names = record.label_map, record.attribute_names
    if with_discriminator is None:
        with_discriminator = inputs_of(recipe, registry.label_maps).reads(ATTRIBUTES)
    without = frozenset() if with_discriminator else recipe.model.discriminators
    model = build_model(recipe, label_map=label_map, attribute_names=attribute_names, without=without)
    changing = model.only([name for name, _ in model.named_children() if name not in model.frozen])
    built: dict[str, ComponentChoice] = {
        name: choice for name, choice in recipe.model.components() if changing.get(name) is not None
    }
    reader = CheckpointReader(found, built)
    averaged = weights == "ema" and found.has_ema
    state: Mapping[str, torch.Tensor] = {**reader.live(), **(reader.ema() if averaged else {})}
    checkpoints.load_state(changing, state, where=str(found.folder))
    load_frozen(folder, model, record.lock)
    check_finite(model, where=str(found.folder))
    return LoadedModel(
        model=model.eval().requires_grad_(False),
        recipe=recipe,
        label_map=label_map,
        attribute_names=attribute_names,
        step=found.step,
        weights="ema" if averaged else "live",
        checkpoint=found.folder,
        warnings=(*found.damaged, *record.warnings, *changed),
        notes=tuple(reader.notes),
    )


def runtime_options(recipe: ResolvedRecipe) -> dict[str, Any]:
    """Return the values of the options of networks that may be set when a run is used, by ``NETWORK.OPTION``."""
    return {
        f"{name}.{option}": choice.options.model_dump(mode="json")[option]
        for name, choice in recipe.model.components()
        for option in choice.component.spec.runtime
    }


def _runtime_override(recipe: ResolvedRecipe, setting: str) -> str:
    """Return the override of a recipe for a setting such as ``sampler.steps=50``.

    Raises:
        FacekitError: it is of another form, or names no runtime option of a network of the recipe.
    """
    path, equals, _ = setting.partition("=")
    name, dot, option = path.strip().partition(".")
    offered = runtime_options(recipe)
    if not equals or not dot or f"{name}.{option}" not in offered:
        known = f"this run's are {', '.join(offered)}" if offered else "this run has none"
        raise FacekitError(
            f"{path.strip()!r} is no option that may be set when a run is used",
            where=f"--set {setting}",
            remedy=did_you_mean(path.strip(), offered) or f"write NETWORK.OPTION=VALUE; {known}",
        )
    return f"model.{setting.strip()}"
