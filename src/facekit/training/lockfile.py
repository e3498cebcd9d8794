"""``lock.json``: what a run was made with, read back, and compared with the program that goes on with it.

Every checkpoint keeps copies of ``lock.json`` and ``recipe.yaml`` under its manifest. A damaged ``lock.json`` is
replaced by the copy, with a warning. A ``recipe.yaml`` that was changed is not trained on: settings that change in the
middle of a run give weights that no recipe describes. Reading imports no torch: plans of experiments do it.
"""

from __future__ import annotations

import hashlib
import platform
import shlex
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from facekit import __version__
from facekit.data.store import PackedFaces, label_map_document, label_map_from
from facekit.interfaces import FacekitError, LabelMap, RunStarted
from facekit.recipe import dump_recipe
from facekit.recipe.resolved import ResolvedRecipe
from facekit.registry import ComponentRecord, Registry
from facekit.registry.built_in import is_built_in
from facekit.training.run.commands import INPUTS, PLUGIN_FILES, how_to_resume, inputs_of, run_again_command
from facekit.training.run.folder import (
    DAMAGED_LOCK,
    LOCK,
    RECIPE,
    RECIPE_HASH,
    RunFolder,
    full_disk_stops,
    steps_on_disk,
    write_file,
)
from facekit.training.run.reading import read_run_recipe

if TYPE_CHECKING:
    from facekit.training.checkpoint.checkpoints import Checkpoint
    from facekit.training.precision import Acceleration, Precision

_SAME_RESULT = (
    *("facekit", "plugins", "libraries", "python", "torch", "platform", "device", "precision"),
    *("channels_last", "compile", "cuda_graphs", "deterministic", "threads", "processes"),
)
"""Entries on which the exact numbers of a run depend beside recipe and data."""


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
    libraries: Callable[[Iterable[str]], Mapping[str, str]],
) -> dict[str, Any]:
    """Return what a run is made with, as JSON data.

    Args:
        libraries: gives the versions of what the plugins of these distributions need.
    """
    import torch

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
        "libraries": libraries(plugins),
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
    same = ("steps", "parameters", "device", "precision", "acceleration", "processes", "data_fingerprint", "command")
    return RunStarted(
        run=run.path,
        recipe=recipe.document,
        first_step=first_step,
        resumed=resumed,
        versions={name: made[name] for name in ("facekit", "python", "torch")} | made["plugins"] | made["libraries"],
        **{name: made[name] for name in same},
    )


def start(run: RunFolder, recipe: ResolvedRecipe, document: Mapping[str, Any]) -> None:
    """Write the record, then the recipe: a folder with a recipe holds a run."""
    text = dump_recipe(recipe).encode()
    with full_disk_stops(run.path):
        run.write_lock({**document, RECIPE_HASH: hashlib.sha256(text).hexdigest()})
        write_file(run.recipe, text)


def go_on(run: RunFolder, record: RunLock, now: Mapping[str, Any]) -> None:
    """Write where the plugin files of a run are now, when it goes on, so that the commands printed for it name them.

    A damaged ``lock.json`` is put back from the checkpoint's copy.
    """
    before = record.lock
    files = [*_not_given(before, now), *now[PLUGIN_FILES]]
    if record.warnings or set(files) != set(before.get(PLUGIN_FILES, ())):
        with full_disk_stops(run.path):
            run.write_lock({**before, PLUGIN_FILES: files})


def copies(run: RunFolder) -> dict[str, bytes]:
    """Return the files of a run of which each checkpoint keeps a copy, by their names."""
    return {file.name: file.read_bytes() for file in (run.recipe, run.lock)}


@dataclass(frozen=True)
class RunLock:
    """The contents of a ``lock.json``.

    Args:
        warnings: why a checkpoint's copy was read in place of the run's own file, where it was.
    """

    lock: Mapping[str, Any]
    label_map: LabelMap
    attribute_names: tuple[str, ...]
    where: Path
    warnings: tuple[str, ...] = ()

    @property
    def data_fingerprint(self) -> str:
        """The SHA-256 of the data. Raises FacekitError where the lock does not state it."""
        fingerprint = self.lock.get("data_fingerprint")
        if not isinstance(fingerprint, str):
            raise FacekitError("lock.json does not state the fingerprint of the data", where=str(self.where))
        return fingerprint


def read_run_lock(run: RunFolder, found: Checkpoint | None = None) -> RunLock:
    """Return a run's ``lock.json``, or a checkpoint's copy of it where it is damaged.

    Args:
        found: the checkpoint whose copy counts; by default the newest sound one.

    Raises:
        FacekitError: it is damaged and no checkpoint has a copy; checkpoints of older versions have none.
    """
    try:
        return _read(run)
    except FacekitError as error:
        if found is None:
            from facekit.training.checkpoint import checkpoints

            try:
                found = checkpoints.newest(run.checkpoints)
            except FacekitError:
                found = None  # all checkpoints are damaged: what is wrong with lock.json is what is told
        if found is None or LOCK not in found.files:
            raise FacekitError(
                error.message,
                where=error.where,
                remedy="no checkpoint has a copy of it; put the file back as the run wrote it, or train again: "
                f"`{run_again_command(run.path, {})}`",
            ) from error
        copy = _read(RunFolder(found.folder))
        warning = (
            f"{error.message}; the copy in {found.folder.name} is read in its place. To put it back: "
            f"`{shlex.join(['cp', str(copy.where), str(run.lock)])}`"
        )
        return replace(copy, warnings=(warning,))


def _read(run: RunFolder) -> RunLock:
    lock = run.read_lock()
    try:
        label_map = label_map_from(lock["label_map"])
        for entry in label_map.classes:
            if not isinstance(entry.name, str) or not all(isinstance(v, int) and 0 <= v <= 255 for v in entry.colour):
                raise ValueError(f"the class {entry.name!r} has no name or no colour")
        return RunLock(lock, label_map, tuple(lock["attribute_names"]), run.lock)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        said = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise FacekitError(
            f"lock.json does not hold the label map that the run was trained with ({said})",
            where=str(run.lock),
            remedy=DAMAGED_LOCK,
        ) from error


def check_data(run: RunFolder, fingerprint: str) -> None:
    """Check that data is what a run was trained on, so that none of its other photos are ones that the run has seen.

    Raises:
        FacekitError: it is not, or the run does not state what it was.
    """
    if read_run_lock(run).data_fingerprint != fingerprint:
        raise FacekitError(
            "the data is not what this run was trained on, so its test photos may be ones it has seen",
            where=str(run.path),
            remedy="put the data back as it was",
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
    changed = [f"{key} was {before.get(key)}, is {now[key]}" for key in _SAME_RESULT if before.get(key) != now[key]]
    if changed:
        warnings.append(
            "the run goes on in another environment, so its numbers may differ in the last digits: "
            + "; ".join(changed)
        )
    return warnings


def _not_given(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the plugin files that a run was made with and that are not there now, from another place either."""
    here = {Path(file).name for file in now[PLUGIN_FILES]}
    return [file for file in before.get(PLUGIN_FILES, ()) if Path(file).name not in here]


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
        if run.holds_a_run or steps_on_disk(run.checkpoints):
            raise FacekitError(
                "this folder holds a run already",
                where=str(run.path),
                remedy=f"go on with it: `{how_to_resume(run)}`, or give another folder with --out",
            )
        return None
    if not run.holds_a_run:
        raise FacekitError("there is no run to go on with: no recipe.yaml", where=str(run.path))
    difference = first_difference(_settings(read_run_recipe(run.recipe, registry=registry)), _settings(recipe))
    if difference is not None:
        raise FacekitError(
            f"this folder holds a run of another recipe: {difference}",
            where=str(run.path),
            remedy=f"go on with it: `{how_to_resume(run)}`, or give another folder with --out",
        )
    before = read_run_lock(run, found)
    check_recipe(run, before, found, registry=registry)
    return before


def check_recipe(run: RunFolder, before: RunLock, found: Checkpoint | None, *, registry: Registry) -> None:
    """Check that ``recipe.yaml`` is the one that a run was trained with, before it goes on.

    Args:
        found: the checkpoint that it goes on from; None where there is none.

    Raises:
        FacekitError: it was changed; the message names the first setting that differs, and how to go on.
    """
    changed_is_new = f"a recipe that is to be changed is a new run: `{run_again_command(run.path, before.lock)}`"
    if found is not None:
        change = recipe_change(run, found, registry=registry)
        if change is not None:
            put_back = shlex.join(["cp", str(found.folder / RECIPE), str(run.recipe)])
            raise FacekitError(
                f"the recipe was changed since step {found.step}: {change}",
                where=str(run.recipe),
                remedy=f"put it back: `{put_back}`; {changed_is_new}",
            )
        return
    expected = before.lock.get(RECIPE_HASH)
    if expected is not None and hashlib.sha256(run.recipe.read_bytes()).hexdigest() != expected:
        raise FacekitError(
            "the recipe was changed since the run was started, and no checkpoint tells what it was",
            where=str(run.recipe),
            remedy=f"put the file back as the run wrote it; {changed_is_new}",
        )


def recipe_change(run: RunFolder, found: Checkpoint, *, registry: Registry) -> str | None:
    """Return the first setting of ``recipe.yaml`` that is not what a checkpoint was trained with; None where all are.

    Comments and spelling do not count. Checkpoints of older versions have no copy to compare with.

    Raises:
        FacekitError: ``recipe.yaml`` cannot be read.
    """
    copy = found.folder / RECIPE
    if RECIPE not in found.files or copy.read_bytes() == run.recipe.read_bytes():
        return None
    now = read_run_recipe(run.recipe, registry=registry)
    try:
        return first_difference(_settings(read_run_recipe(copy, registry=registry)), _settings(now))
    except FacekitError:
        # A component that is not installed was taken out: the settings as they are written show where.
        return first_difference(*(yaml.safe_load(file.read_text(encoding="utf-8")) for file in (copy, run.recipe)))


def _settings(recipe: ResolvedRecipe) -> Any:
    return yaml.safe_load(dump_recipe(recipe))


def first_difference(before: object, now: object, path: str = "") -> str | None:
    """Return the first place where two documents differ, ``train.batch was 4, is 8``; None where they are equal."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*before, *(key for key in now if key not in before)]:
            found = first_difference(before.get(key), now.get(key), f"{path}.{key}" if path else str(key))
            if found is not None:
                return found
        return None
    return None if before == now else f"{path} was {before!r}, is {now!r}"
