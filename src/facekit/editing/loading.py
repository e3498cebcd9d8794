"""Loading a trained run for painting."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch

from facekit.editing.pipeline import FacePipeline
from facekit.engine.model import load_model
from facekit.engine.precision import Precision, choose_number_format
from facekit.interfaces import FacekitError, LabelMap, did_you_mean
from facekit.registry import Registry, load_registry

logger = logging.getLogger("facekit.editing")


def load(
    run: str | Path,
    *,
    weights: Literal["ema", "live"] = "ema",
    device: str | torch.device = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    step: int | None = None,
    registry: Registry | None = None,
    label_map: str | None = None,
    plugin_files: Sequence[str | Path] = (),
) -> FacePipeline:
    """Load a trained run for painting. The data it was trained on is not needed.

    Which weights were loaded is in :attr:`FacePipeline.weights` and in one line of the log ``facekit.editing``.

    Args:
        run: the run folder.
        weights: ``ema`` for the averaged weights, which are better; ``live`` for those of the last update.
        device: ``auto`` takes CUDA where there is one; or ``cpu``, ``cuda``, ``cuda:1``.
        precision: ``auto`` computes in bf16 where the device is faster in it, unless the run was trained in fp32 by its
            recipe; else in fp32.
        step: a certain checkpoint; by default the newest sound one.
        registry: the plugins; by default the installed ones.
        label_map: the label map of the masks that :meth:`FacePipeline.generate` is given, where it is a finer one than
            the run's: ``celebamask_hq`` for a run on ``celebamask_hq_merged``. They are merged as they are read.
        plugin_files: plugins that are one Python file each, beside the installed ones; not with a ``registry``, which
            has its own.

    Raises:
        FacekitError: the folder is no run, holds no sound checkpoint, needs a plugin that is not installed, the device
            does not exist, or the run's label map is no merged form of the one that is named.
        TypeError: both ``registry`` and ``plugin_files`` are given.
    """
    path = Path(run)
    if registry is not None and plugin_files:
        raise TypeError("give registry or plugin_files, not both")
    registry = load_registry(*(Path(file).resolve() for file in plugin_files)) if registry is None else registry
    loaded = load_model(path, registry=registry, weights=weights, step=step, with_discriminator=None)
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
        precision=Precision(chosen, precision, channels_last=True),
        mask_label_map=_finer_label_map(label_map, loaded.label_map, registry=registry, run=path),
    )


def _finer_label_map(name: str | None, label_map: LabelMap, *, registry: Registry, run: Path) -> LabelMap | None:
    if name is None:
        return None
    given = registry.label_maps.get(name)
    if given is None:
        raise FacekitError(
            f"no plugin offers the label map {name!r}",
            remedy=did_you_mean(name, sorted(registry.label_maps))
            or f"known: {', '.join(sorted(registry.label_maps))}",
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
