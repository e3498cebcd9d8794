"""What a run was made with, read back: ``lock.json`` and ``recipe.yaml``, each compared with a checkpoint's copy.

Every checkpoint keeps copies of both files under its manifest. A ``lock.json`` that is damaged is replaced by the copy,
with a warning. A ``recipe.yaml`` that was changed is not trained on: settings that change in the middle of a run give
weights that no recipe describes.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from facekit.data.store import label_map_from
from facekit.interfaces import FacekitError, LabelMap
from facekit.recipe import dump_recipe
from facekit.registry import Registry
from facekit.training.run.commands import run_again_command
from facekit.training.run.folder import DAMAGED_LOCK, LOCK, RECIPE, RECIPE_HASH, RunFolder
from facekit.training.run.reading import read_run_recipe

if TYPE_CHECKING:
    from facekit.training.checkpoint.checkpoints import Checkpoint


@dataclass(frozen=True)
class RunLock:
    """The contents of a ``lock.json``.

    Args:
        warnings: why a checkpoint's copy was read in place of the run's own file.
    """

    lock: Mapping[str, Any]
    label_map: LabelMap
    attribute_names: tuple[str, ...]
    where: Path
    warnings: tuple[str, ...] = ()

    @property
    def copied(self) -> bool:
        """Whether this is a checkpoint's copy, because the run's own file is damaged."""
        return bool(self.warnings)

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
        copy = _copy_of(run, found)
        if copy is None:
            raise FacekitError(
                error.message,
                where=error.where,
                remedy="no checkpoint has a copy of it; put the file back as the run wrote it, or train again: "
                f"`{run_again_command(run.path, {})}`",
            ) from error
        file = RunFolder(copy).lock
        sound = _read(RunFolder(copy))
        warning = (
            f"{error.message}; the copy in {copy.name} is read in its place. To put it back: "
            f"`{shlex.join(['cp', str(file), str(run.lock)])}`"
        )
        return RunLock(sound.lock, sound.label_map, sound.attribute_names, file, (warning,))


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


def _copy_of(run: RunFolder, found: Checkpoint | None) -> Path | None:
    """Return the folder of the checkpoint that has a copy of ``lock.json``; None where there is none."""
    if found is None:
        # Checkpoints import torch, and plans of experiments read locks without.
        from facekit.training.checkpoint import checkpoints

        try:
            found = checkpoints.newest(run.checkpoints)
        except FacekitError:
            return None  # all checkpoints are damaged: what is wrong with lock.json is what is told
    return found.folder if found is not None and LOCK in found.files else None


def _read(run: RunFolder) -> RunLock:
    lock = run.read_lock()
    label_map, attribute_names = _labels_in(lock, run.lock)
    return RunLock(lock, label_map, attribute_names, run.lock)


def _labels_in(lock: Mapping[str, Any], file: Path) -> tuple[LabelMap, tuple[str, ...]]:
    """Return label map and attribute names of a run's record.

    Args:
        file: its ``lock.json``, for messages.

    Raises:
        FacekitError: they are missing, or damaged.
    """
    try:
        label_map = label_map_from(lock["label_map"])
        for entry in label_map.classes:
            if not isinstance(entry.name, str) or not all(isinstance(v, int) and 0 <= v <= 255 for v in entry.colour):
                raise ValueError(f"the class {entry.name!r} has no name or no colour")
        return label_map, tuple(lock["attribute_names"])
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        said = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise FacekitError(
            f"lock.json does not hold the label map that the run was trained with ({said})",
            where=str(file),
            remedy=DAMAGED_LOCK,
        ) from error


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
        before = read_run_recipe(copy, registry=registry)
    except FacekitError:
        # A component that is not installed was taken out: the settings as they are written show where.
        return first_difference(*(yaml.safe_load(file.read_text(encoding="utf-8")) for file in (copy, run.recipe)))
    return first_difference(*(yaml.safe_load(dump_recipe(each)) for each in (before, now)))


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


def first_difference(before: object, now: object, path: str = "") -> str | None:
    """Return the first place where two documents differ, ``train.batch was 4, is 8``; None where they are equal."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*before, *(key for key in now if key not in before)]:
            found = first_difference(before.get(key), now.get(key), f"{path}.{key}" if path else str(key))
            if found is not None:
                return found
        return None
    return None if before == now else f"{path} was {before!r}, is {now!r}"
