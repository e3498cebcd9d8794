"""``lock.json``: what a run was made with, and what changed when it goes on."""

from __future__ import annotations

import hashlib
import platform
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from facekit import __version__
from facekit.data.store import PackedFaces, label_map_document
from facekit.doctor.requirements import library_versions
from facekit.interfaces import FacekitError, RunStarted
from facekit.recipe import dump_recipe
from facekit.recipe.resolved import ResolvedRecipe
from facekit.registry import ComponentRecord, Registry
from facekit.registry.built_in import is_built_in
from facekit.training.checkpoint import checkpoints
from facekit.training.checkpoint.checkpoints import Checkpoint
from facekit.training.lock_reader import RunLock, check_recipe, first_difference, read_run_lock
from facekit.training.precision import Acceleration, Precision
from facekit.training.run.commands import INPUTS, PLUGIN_FILES, how_to_resume, inputs_of
from facekit.training.run.folder import RECIPE_HASH, RunFolder, full_disk_stops, write_file
from facekit.training.run.reading import read_run_recipe

_SAME_RESULT = (
    "facekit",
    "plugins",
    "libraries",
    "python",
    "torch",
    "platform",
    "device",
    "precision",
    "channels_last",
    "compile",
    "cuda_graphs",
    "deterministic",
    "threads",
    "processes",
)
"""Entries on which the exact numbers of a run depend beside recipe and data."""

_TOLD = ("device", "precision", "acceleration", "processes", "data_fingerprint", "command")
"""Entries that whoever watches a run is told under the same name."""


def make_record(
    recipe: ResolvedRecipe,
    *,
    packed: PackedFaces,
    precision: Precision,
    acceleration: Acceleration,
    command: str,
    parameters: Mapping[str, int],
    steps: int,
    processes: int,
    registry: Registry,
) -> dict[str, Any]:
    """Return what a run is made with, as JSON data."""
    choices = [recipe.dataset, *(choice for _, choice in recipe.model.components())]
    choices += [*(loss.choice for loss in recipe.losses), *recipe.metrics, *recipe.updates.components()]
    choices += [] if recipe.augmentation is None else [recipe.augmentation.choice]
    brought = [
        (choice.path, choice.component)
        for choice in choices
        if not is_built_in(choice.component.spec.kind, choice.component.spec.id)
    ]
    plugins = dict(sorted({(each.origin.distribution, each.origin.version) for _, each in brought}))
    device = precision.device
    return {
        "facekit": __version__,
        "plugins": plugins,
        "components": {path: ComponentRecord.of(each.spec, each.origin).document() for path, each in brought},
        PLUGIN_FILES: [str(one.origin.file) for one in registry.plugins.loaded if one.origin.file is not None],
        "libraries": library_versions(plugins),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu ({platform.machine()})",
        "threads": torch.get_num_threads(),
        "processes": processes,
        "precision": precision.name,
        "channels_last": precision.channels_last,
        "compile": acceleration.compile,
        "cuda_graphs": acceleration.cuda_graphs,
        "acceleration": acceleration.why,
        "deterministic": device.type == "cpu" or recipe.train.deterministic,
        "data_fingerprint": packed.fingerprint,
        "label_map": label_map_document(packed.label_map),
        "attribute_names": list(packed.attribute_names),
        "seed": recipe.train.seed,
        "steps": steps,
        INPUTS: inputs_of(recipe, registry=registry),
        "command": command,
        "parameters": dict(parameters),
        "dimensions": dict(recipe.dimensions),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def start_event(
    run: RunFolder, recipe: ResolvedRecipe, made: Mapping[str, Any], *, first_step: int, resumed: bool
) -> RunStarted:
    """Return the event that tells of a run's start, from what :func:`make_record` returned."""
    return RunStarted(
        run=run.path,
        recipe=recipe.document,
        first_step=first_step,
        resumed=resumed,
        versions={name: made[name] for name in ("facekit", "python", "torch")} | made["plugins"] | made["libraries"],
        **{name: made[name] for name in ("steps", "parameters", *_TOLD)},
    )


def compare_records(record: RunLock, now: Mapping[str, Any]) -> list[str]:
    """Return warnings on what differs between a run's record and the program that goes on with it.

    Raises:
        FacekitError: the data is not the data the run was started with, or the record does not say which that was.
    """
    before = record.lock
    if record.data_fingerprint != now["data_fingerprint"]:
        raise FacekitError(
            "the data is not what this run was started with",
            where="data",
            remedy="put the data back, or start a new run on the new data",
        )
    warnings = [
        f"this run was made with the plugin file {file}, and goes on without it: give it with "
        f"`--plugin-file {shlex.quote(file)}`"
        for file in _not_given(before, now)
    ]
    changed = [
        f"{name} was {before.get(name)}, is {now[name]}" for name in _SAME_RESULT if before.get(name) != now[name]
    ]
    if not changed:
        return warnings
    return [
        *warnings,
        "the run goes on in another environment, so its numbers may differ in the last digits: " + "; ".join(changed),
    ]


def check_folder(
    run: RunFolder, recipe: ResolvedRecipe, *, registry: Registry, resume: bool, found: Checkpoint | None
) -> RunLock | None:
    """Check that a run can start in its folder, or that the run in it is the one that is to go on.

    Its recipe may have been locked by older versions of the components: what counts is how it is read today.

    Args:
        resume: whether the run in the folder is to go on.
        found: the checkpoint that it goes on from; None where there is none.

    Returns:
        what the run was made with; None for a run that starts.

    Raises:
        FacekitError: the folder holds a run already; or, on resume, holds none, one of another recipe, one whose
            ``recipe.yaml`` was changed, or one whose ``lock.json`` is damaged and has no copy in the checkpoint.
    """
    if not resume:
        if run.holds_a_run or checkpoints.steps_on_disk(run.checkpoints):
            raise FacekitError(
                "this folder holds a run already",
                where=str(run.path),
                remedy=f"go on with it: `{how_to_resume(run)}`, or give another folder with --out",
            )
        return None
    if not run.holds_a_run:
        raise FacekitError("there is no run to go on with: no recipe.yaml", where=str(run.path))
    locked = dump_recipe(read_run_recipe(run.recipe, registry=registry))
    difference = first_difference(yaml.safe_load(locked), yaml.safe_load(dump_recipe(recipe)))
    if difference is not None:
        raise FacekitError(
            f"this folder holds a run of another recipe: {difference}",
            where=str(run.path),
            remedy=f"go on with it: `{how_to_resume(run)}`, or give another folder with --out",
        )
    before = read_run_lock(run, found)
    check_recipe(run, before, found, registry=registry)
    return before


def go_on(run: RunFolder, record: RunLock, now: Mapping[str, Any]) -> None:
    """Write where the plugin files of a run are now, when it goes on, so that the commands printed for it name them.

    A damaged ``lock.json`` is put back from the checkpoint's copy.
    """
    before = record.lock
    files = [*_not_given(before, now), *now[PLUGIN_FILES]]
    if record.copied or set(files) != set(before.get(PLUGIN_FILES, ())):
        with full_disk_stops(run.path):
            run.write_lock({**before, PLUGIN_FILES: files})


def copies(run: RunFolder) -> dict[str, bytes]:
    """Return the files of a run of which each checkpoint keeps a copy, by their names."""
    return {file.name: file.read_bytes() for file in (run.recipe, run.lock)}


def _not_given(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the plugin files that a run was made with and that are not there now, from another place either."""
    here = {Path(file).name for file in now[PLUGIN_FILES]}
    return [file for file in before.get(PLUGIN_FILES, ()) if Path(file).name not in here]


def start(run: RunFolder, recipe: ResolvedRecipe, document: Mapping[str, Any]) -> None:
    """Write the record, then the recipe: a folder with a recipe holds a run."""
    text = dump_recipe(recipe).encode()
    with full_disk_stops(run.path):
        run.write_lock({**document, RECIPE_HASH: hashlib.sha256(text).hexdigest()})
        write_file(run.recipe, text)
