"""Loading a trained model: a run, or a recipe and a file of weights."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch

from facekit.inference.pipeline import FacePipeline
from facekit.interfaces import FacekitError, LabelMap, did_you_mean
from facekit.recipe import read_recipe
from facekit.recipe.resolved import ResolvedRecipe
from facekit.registry import Registry, load_registry
from facekit.training.initialise import load_weights
from facekit.training.networks import LoadedModel, load_model
from facekit.training.precision import Precision, choose_number_format, lies_channels_last

logger = logging.getLogger("facekit.inference")


def load(
    run: str | Path,
    *,
    recipe: str | Path | ResolvedRecipe | None = None,
    network: str | None = None,
    weights: Literal["ema", "live"] = "ema",
    device: str | torch.device = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    compile: bool = False,
    step: int | None = None,
    registry: Registry | None = None,
    label_map: str | None = None,
    plugin_files: Sequence[str | Path] = (),
    settings: Sequence[str] = (),
) -> FacePipeline:
    """Load a trained model: ``load("runs/first")``, or ``load("weights.safetensors", recipe="recipe.yaml")``.

    The data it was trained on is not needed. Which weights were loaded is in :attr:`FacePipeline.weights` and in one
    line of the log ``facekit.inference``.

    Args:
        run: the run folder; or, with ``recipe``, a safetensors file of the model's weights (``facekit import`` writes
            them).
        recipe: the recipe of a file of weights: its path, or one that is read already.
        network: the one network whose weights the file holds; the recipe names the weights of the others.
        weights: ``ema`` for the averaged weights of a run, which are better; ``live`` for those of the last update.
        device: ``auto`` takes CUDA where there is one; or ``cpu``, ``cuda``, ``cuda:1``.
        precision: ``auto`` computes in bf16 where the device is faster in it, unless the run was trained in fp32 by its
            recipe; else in fp32.
        compile: let torch compile the networks: the first image of each size of a batch takes up to minutes, others
            are faster.
        step: a certain checkpoint of a run; by default the newest sound one.
        registry: the plugins; by default the installed ones.
        label_map: the label map of the masks that :meth:`FacePipeline.generate` is given, where it is a finer one than
            the run's: ``celebamask_hq`` for a run on ``celebamask_hq_merged``. They are merged as they are read.
        plugin_files: plugins that are one Python file each, beside the installed ones; not with a ``registry``, which
            has its own.
        settings: runtime options of a run's networks in place of those that it was made with: ``["sampler.steps=50"]``.

    Raises:
        FacekitError: the folder is no run, holds no sound checkpoint, needs a plugin that is not installed; the file's
            weights do not fit the recipe; the device does not exist; or the run's label map is no merged form of the
            one that is named.
        TypeError: both ``registry`` and ``plugin_files`` are given.
    """
    path = Path(run)
    if registry is not None and plugin_files:
        raise TypeError("give registry or plugin_files, not both")
    registry = load_registry(*(Path(file).resolve() for file in plugin_files)) if registry is None else registry
    loaded = _loaded(path, recipe, registry, network=network, weights=weights, step=step, settings=settings)
    for warning in loaded.warnings:
        logger.warning("%s", warning)
    for note in loaded.notes:
        logger.info("%s", note)
    chosen = _device(device)
    if precision == "auto":
        precision = "fp32" if loaded.recipe.train.precision == "fp32" else choose_number_format("auto", chosen)
    return FacePipeline(
        loaded,
        run=path,
        precision=Precision(chosen, precision, lies_channels_last("auto", chosen)),
        registry=registry,
        mask_label_map=_finer_label_map(label_map, loaded.label_map, registry=registry, run=path),
        compile=compile,
    )


def _loaded(
    path: Path,
    recipe: str | Path | ResolvedRecipe | None,
    registry: Registry,
    *,
    network: str | None,
    weights: Literal["ema", "live"],
    step: int | None,
    settings: Sequence[str],
) -> LoadedModel:
    """Read the networks of a run, or those of a file of weights by a recipe; see :func:`load`."""
    if recipe is None:
        if path.is_file():
            raise FacekitError(
                "this is a file, not a run folder",
                where=str(path),
                remedy='weights alone do not say what networks they are of: load(file, recipe="recipe.yaml")',
            )
        if network is not None:
            raise FacekitError("network= says what a file of weights holds, and this is a run", where=str(path))
        return load_model(
            path, registry=registry, weights=weights, step=step, with_discriminator=None, settings=settings
        )
    if path.is_dir():
        raise FacekitError(
            "a run has its own recipe, so there is none to give",
            where=str(path),
            remedy="leave out recipe=, or give a safetensors file",
        )
    if step is not None:
        raise FacekitError("a file of weights has no checkpoints, so there is no step to choose", where=str(path))
    if settings:
        raise FacekitError("a recipe has its own options", where=str(recipe), remedy="set them in the recipe")
    resolved = recipe if isinstance(recipe, ResolvedRecipe) else read_recipe(Path(recipe), registry=registry)
    return load_weights(path, resolved, registry=registry, network=network)


def _finer_label_map(name: str | None, label_map: LabelMap, *, registry: Registry, run: Path) -> LabelMap | None:
    if name is None:
        return None
    given = registry.label_maps.get(name)
    if given is None:
        known = sorted(registry.label_maps)
        raise FacekitError(
            f"no plugin offers the label map {name!r}",
            remedy=did_you_mean(name, known) or f"known: {', '.join(known)}",
        )
    if given != label_map:
        try:
            label_map.merge_table(given)
        except ValueError as error:
            raise FacekitError(
                f"the run was trained on {label_map.name}, and masks of {name} cannot be merged into it: {error}",
                where=str(run),
                remedy=f"give masks of {label_map.name}" + (f" or of {label_map.of}" if label_map.of else ""),
            ) from error
    return given


def _device(setting: str | torch.device) -> torch.device:
    if setting == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(setting)
    except RuntimeError as error:
        raise FacekitError(
            f"there is no device {setting!r}", remedy="use auto, cpu, cuda, or cuda:1 for the second GPU"
        ) from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise FacekitError(f"torch finds no device {device}", remedy="use auto or cpu")
    return device
