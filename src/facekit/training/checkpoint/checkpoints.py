"""Checkpoints: what a run is at a step, on disk. safetensors and JSON, never pickle.

A checkpoint is a folder ``step-00000500``:

- ``live.safetensors``: parameters and buffers of the networks that are not frozen, ``generator.stem.weight`` and so on
- ``ema.safetensors``: the averaged weights of those that generate; absent in runs without an average
- ``optimiser.safetensors``: moments and counts, ``generator.stem.weight/exp_avg``
- ``losses.safetensors``: what losses keep from step to step; absent when they keep nothing
- ``augmentation.safetensors``: what an adaptive augmentation keeps; absent where there is none
- ``recipe.yaml``, ``lock.json``: copies of the run's own, which show what changed there and replace what is damaged
- ``state.json``: the step, the versions of the components, random states, sums since the last log line, other numbers
- ``manifest.json``: the step, and size and SHA-256 of every file above

It is written under another name, brought to disk, and renamed: a folder of that name is whole, or it was damaged later,
which the checksums show.

On resume, this comes from the checkpoint: weights, average, moments and counts of the optimiser, buffers, pool, what
the augmentation keeps, random states, running sums, the step (from which sampler, schedules and seeds follow). All
settings come from the run's ``recipe.yaml``.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from facekit.interfaces import FacekitError, RunFailure
from facekit.interfaces.errors import TOO_MANY_FILES
from facekit.training.run.commands import how_to_resume
from facekit.training.run.folder import (
    FULL_DISK,
    MANIFEST,
    NOT_ALLOWED,
    RunFolder,
    disk_full,
    full_disk_stops,
    step_name,
    steps_on_disk,
    sync_folder,
    write_through,
)


@contextmanager
def reading(where: Path) -> Iterator[None]:
    """Raise FacekitError where what is read inside, though its checksum is right, is not of the form that runs write.

    Somebody wrote it so: a stranger, or another program. Errors of facekit itself pass.
    """
    try:
        yield
    except FacekitError:
        raise
    except OSError as error:
        raise FacekitError(f"the file cannot be read: {error}", where=str(where)) from error
    # RuntimeError is torch's, for shapes and types that do not fit; and of JSON that is nested without end.
    except (SafetensorError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as no:
        said = next(iter(str(no).splitlines()), "") or type(no).__name__
        raise FacekitError(
            "its checksum is right, but it is not what a run writes: "
            + (f"{said} is missing" if isinstance(no, KeyError) else said),
            where=str(where),
            remedy="take another checkpoint (--step), or the run from where you have it once more",
        ) from no


FORMAT = 1
"""Version of the folder's layout."""

LIVE, EMA, OPTIMISER = "live.safetensors", "ema.safetensors", "optimiser.safetensors"
LOSSES, AUGMENTATION = "losses.safetensors", "augmentation.safetensors"
STATE = "state.json"

COMPONENTS = "components"
"""Key of ``state.json``: what wrote the tensors of each place, ``{"generator": "tiny/generator@2"}``."""

_BESIDE = ".writing-"


@dataclass(frozen=True)
class Checkpoint:
    """A sound checkpoint on disk.

    Args:
        damaged: what is wrong with newer ones that were passed over, one sentence each.
    """

    folder: Path
    step: int
    files: frozenset[str]
    damaged: tuple[str, ...] = ()

    def tensors(self, name: str) -> dict[str, Tensor]:
        """Return the tensors of one of its files, empty when it has no such file. Raises as :func:`reading`."""
        if name not in self.files:
            return {}
        with reading(self.folder / name):
            return load_file(self.folder / name)

    def state(self) -> dict[str, Any]:
        """Return its numbers. Raises FacekitError where they cannot be read, though their checksum is right."""
        with reading(self.folder / STATE):
            document: dict[str, Any] = json.loads((self.folder / STATE).read_text(encoding="utf-8"))
            if not isinstance(document, dict) or not isinstance(document.get(COMPONENTS, {}), dict):
                raise TypeError("it is not the state of a run")
            if not all(isinstance(use, str) for use in document.get(COMPONENTS, {}).values()):
                raise TypeError("it does not name the components that wrote it")
            return document


def write(
    checkpoints: Path,
    *,
    step: int,
    tensors: Mapping[str, Mapping[str, Tensor]],
    state: Mapping[str, Any],
    copies: Mapping[str, bytes] = MappingProxyType({}),
) -> Path:
    """Write a checkpoint; return its folder.

    Args:
        tensors: the tensors of each file, as :func:`write_tensors` takes them; files without tensors are left out.
        state: the numbers, JSON data.
        copies: the contents of further files, copies of what lies in the run folder.

    Raises:
        RunFailure: the disk is full; what was written of it is removed, older checkpoints are untouched.
    """
    folder = checkpoints / step_name(step)
    beside = checkpoints / f"{_BESIDE}{folder.name}"
    with full_disk_stops(checkpoints):
        checkpoints.mkdir(exist_ok=True)
        remove_unfinished(checkpoints)
        beside.mkdir()
        try:
            for name, named in tensors.items():
                if named:
                    write_tensors(beside / name, named)
            for name, data in {**copies, STATE: _json(state)}.items():
                write_through(beside / name, data)
            files = {
                file.name: {"bytes": file.stat().st_size, "sha256": sha256(file)} for file in sorted(beside.iterdir())
            }
            write_through(beside / MANIFEST, _json({"format": FORMAT, "step": step, "files": files}))
            sync_folder(beside)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
        if folder.exists():
            # Only a damaged one is ever written again: resuming goes on from a sound one.
            shutil.rmtree(folder)
        beside.rename(folder)
        sync_folder(checkpoints)
    return folder


def find(checkpoints: Path, *, step: int | None = None) -> Checkpoint:
    """Return the newest sound checkpoint, or the one of a step.

    Raises:
        FacekitError: there is none, the one asked for does not exist, or all are damaged.
    """
    found = newest(checkpoints, step=step)
    if found is not None:
        return found
    if step is not None:
        have = ", ".join(map(str, steps_on_disk(checkpoints))) or "none"
        raise FacekitError(f"there is no checkpoint of step {step}; there are: {have}", where=str(checkpoints))
    raise FacekitError(
        "this run has no checkpoint yet",
        where=str(checkpoints),
        remedy=f"go on with it: `{how_to_resume(RunFolder(checkpoints.parent))}`",
    )


def newest(checkpoints: Path, *, step: int | None = None) -> Checkpoint | None:
    """Return the newest sound checkpoint, or the one of a step, passing over damaged ones; None when there is none.

    Raises:
        FacekitError: all there are are damaged, or one cannot be read by this user.
    """
    damaged: list[str] = []
    for each in reversed(steps_on_disk(checkpoints)):
        if step is not None and each != step:
            continue
        folder = checkpoints / step_name(each)
        problem = check(folder)
        if problem is None:
            files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
            return Checkpoint(folder, each, frozenset(files), tuple(damaged))
        damaged.append(f"checkpoint {folder.name} is damaged ({problem})")
    if damaged:
        raise FacekitError(
            "no sound checkpoint is left: " + "; ".join(damaged),
            where=str(checkpoints),
            remedy="start the run again in another folder",
        )
    return None


def check(folder: Path) -> str | None:
    """Return what is wrong with a checkpoint, from reading every byte of it; None when it is sound.

    Raises FacekitError where this user may not read it, so that nobody knows whether it is sound.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            return f"its format is {manifest['format']}, this facekit reads {FORMAT}"
        for name, said in manifest["files"].items():
            found = (folder / name).stat()
            if not stat.S_ISREG(found.st_mode):
                return f"{name} is missing"
            if found.st_size != said["bytes"]:
                return f"{name} has {found.st_size} bytes in place of {said['bytes']}"
            if sha256(folder / name) != said["sha256"]:
                return f"the SHA-256 of {name} is not the one in its manifest"
    except FileNotFoundError as error:
        return f"{Path(error.filename or MANIFEST).name} is missing"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return f"{MANIFEST} cannot be read"
    except OSError as error:
        if error.errno in TOO_MANY_FILES:
            raise
        if error.errno in NOT_ALLOWED:
            # It may be as sound as any: to pass it over would lose the steps since the one before.
            raise FacekitError(
                f"a checkpoint cannot be read: {error.strerror}",
                where=str(error.filename or folder),
                remedy="see that you may read it; or move it elsewhere, and the one before it is used",
            ) from error
        return f"it cannot be read: {error}"
    return None


def keep(checkpoints: Path, *, last: int, best: int | None) -> None:
    """Remove all checkpoints but the ``last`` newest and that of the step ``best``."""
    for step in steps_on_disk(checkpoints)[:-last]:
        if step != best:
            # Renamed first: a removal that is cut short must not leave half a checkpoint under a checkpoint's name.
            doomed = checkpoints / f"{_BESIDE}{step_name(step)}"
            (checkpoints / step_name(step)).rename(doomed)
            shutil.rmtree(doomed)


def set_aside_newer(checkpoints: Path, *, step: int) -> None:
    """Rename the checkpoints beyond the step that a run goes on from, to ``damaged-step-00000500``.

    They are damaged, or the run would go on from them; under their names they would count among those to keep.
    """
    for each in steps_on_disk(checkpoints):
        if each > step:
            aside = checkpoints / f"damaged-{step_name(each)}"
            if aside.exists():
                shutil.rmtree(aside)
            (checkpoints / step_name(each)).rename(aside)


def remove_unfinished(checkpoints: Path) -> None:
    """Remove what killed processes left half written or half removed."""
    if checkpoints.is_dir():
        for entry in checkpoints.iterdir():
            if entry.name.startswith(_BESIDE):
                shutil.rmtree(entry)


def load_state(module: nn.Module, state: Mapping[str, Tensor], *, where: str) -> None:
    """Copy tensors into a module's parameters and buffers; their memory layout stays. Raises as :func:`check_fit`."""
    check_fit(module.state_dict(), state, where=where)
    module.load_state_dict(dict(state))


def check_fit(own: Mapping[str, Tensor], state: Mapping[str, Tensor], *, where: str) -> None:
    """Check that tensors have the names and shapes of those they are to replace.

    Raises:
        FacekitError: they differ; the message names the first ones.
    """
    missing, extra = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    shapes = [
        f"{key} is {tuple(state[key].shape)} in place of {tuple(own[key].shape)}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    problems = [f"{key} is missing" for key in missing] + [f"{key} is not wanted" for key in extra] + shapes
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise FacekitError(
            f"these weights do not fit the model: {'; '.join(problems[:3])}{more}",
            where=where,
            remedy="were they trained with another recipe, or another version of the plugin?",
        )


def model_state(module: nn.Module) -> dict[str, Tensor]:
    """Return a module's parameters and buffers.

    Raises:
        FacekitError: a component keeps state that is no tensor.
    """
    state = module.state_dict()
    for key, value in state.items():
        if not isinstance(value, Tensor):
            raise FacekitError(
                f"{key} is {type(value).__name__}: checkpoints hold tensors only",
                remedy="components keep their state in parameters and buffers (no get_extra_state)",
            )
    return state


def on_cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return contiguous copies of tensors in the memory of the CPU. A GPU takes its time: wait for it."""
    copies = {}
    for name, tensor in tensors.items():
        place = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
        copies[name] = place.copy_(tensor.detach(), non_blocking=True)
    return copies


def write_tensors(file: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors into a safetensors file and bring it to disk. Raises RunFailure where the disk is full.

    Args:
        tensors: contiguous ones on the CPU, no two of which share memory (:func:`on_cpu`).
    """
    try:
        save_file(dict(tensors), file)
    except SafetensorError as error:
        # The library passes the system's error on as text alone.
        if any(f"os error {code}" in str(error) for code in FULL_DISK):
            raise disk_full(file) from error
        raise RunFailure(f"the file cannot be written: {error}", where=str(file)) from error
    with file.open("rb") as stream:
        os.fsync(stream.fileno())


def _json(document: object) -> bytes:
    # NaN is not JSON, and a sum of losses that is not finite must not get this far.
    return json.dumps(document, indent=1, allow_nan=False).encode()


def sha256(file: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()
