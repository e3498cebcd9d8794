"""Frozen networks: their weights are written into the run folder once, and checked by hash when they come back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from facekit.interfaces import FacekitError
from facekit.training.checkpoint import checkpoints
from facekit.training.networks import FaceModel
from facekit.training.run.folder import RunFolder, full_disk_stops

FROZEN = "frozen"
"""Key of ``lock.json``: the SHA-256 of each frozen network's file, by the network's name."""


def write_frozen(run: RunFolder, model: FaceModel) -> dict[str, str]:
    """Write the weights of the frozen networks of a model into a run folder; return the SHA-256 of each file.

    Raises:
        RunFailure: the disk is full.
    """
    hashes: dict[str, str] = {}
    for name in sorted(model.frozen):
        file = run.frozen(name)
        with full_disk_stops(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            checkpoints.write_tensors(file, checkpoints.model_state(model.get_submodule(name)))
        hashes[name] = checkpoints.sha256(file)
    return hashes


def load_frozen(run: RunFolder, model: FaceModel, lock: Mapping[str, Any]) -> None:
    """Give the frozen networks of a model the weights that a run keeps.

    Raises:
        FacekitError: a file is missing or not the one that the run wrote, or does not fit the network.
    """
    hashes: Mapping[str, str] = lock.get(FROZEN, {})
    for name in sorted(model.frozen):
        file = run.frozen(name)
        _check(file, hashes.get(name), name)
        try:
            state = load_file(file)
        except (SafetensorError, OSError) as error:
            raise FacekitError(f"the weights of {name} cannot be read: {error}", where=str(file)) from error
        checkpoints.load_state(model.get_submodule(name), state, where=str(file))


def _check(file: Path, expected: str | None, name: str) -> None:
    remedy = "put the file back as the run wrote it, or start the run again in another folder"
    if not file.is_file():
        raise FacekitError(f"the weights of the frozen network {name!r} are missing", where=str(file), remedy=remedy)
    if expected is None or checkpoints.sha256(file) != expected:
        raise FacekitError(
            f"the weights of the frozen network {name!r} are not those that the run was made with",
            where=str(file),
            remedy=remedy,
        )
