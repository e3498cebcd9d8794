"""Tunings that are kept in the cache, by the hash of all that they depend on."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from facekit.interfaces import RunFailure, cache_folder
from facekit_studio.editing.tuning.low_rank import TunedChange, digest_of_tensors

_ENTRY = "facekit_tuned"
"""The file's metadata that holds :class:`Outcome`, as JSON."""


class Outcome(BaseModel):
    """What tuning took and gave.

    Args:
        seconds: how long it took.
        before: peak signal-to-noise ratio in dB of the photo as the run generates it.
        after: the same after tuning.
        sha256: over the tensors of the change.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: float
    before: float
    after: float
    sha256: str


@dataclass(frozen=True)
class Found:
    """What the cache holds.

    Args:
        change: the change; None where there is none, or it is damaged.
        outcome: what it took and gave.
        damaged: whether there is a file that cannot be used.
    """

    change: TunedChange | None = None
    outcome: Outcome | None = None
    damaged: bool = False


def place_of(key: str) -> Path:
    """Return the file of a tuning with the hash ``key``."""
    return cache_folder() / "tuned" / f"{key}.safetensors"


def find(key: str, shapes: Mapping[str, tuple[int, ...]]) -> Found:
    """Return the tuning that is kept under a hash.

    Args:
        key: the hash.
        shapes: names and shapes of the tensors it must have.
    """
    from safetensors import SafetensorError, safe_open

    place = place_of(key)
    if not place.is_file():
        return Found()
    try:
        with safe_open(place, framework="pt", device="cpu") as file:
            outcome = Outcome.model_validate_json((file.metadata() or {})[_ENTRY])
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValidationError):
        return Found(damaged=True)
    sound = {name: tuple(tensor.shape) for name, tensor in tensors.items()} == dict(shapes)
    if not sound or digest_of_tensors(tensors) != outcome.sha256:
        return Found(damaged=True)
    return Found(TunedChange.of(tensors), outcome)


def keep(key: str, change: TunedChange, outcome: Outcome) -> None:
    """Keep a tuning; the file is written beside and renamed, so it is never half there.

    Raises:
        RunFailure: it cannot be written.
    """
    from safetensors.torch import save_file

    place = place_of(key)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(prefix=f".{key[:16]}-", dir=place.parent)
        os.close(handle)
        try:
            save_file(change.tensors, beside, metadata={_ENTRY: json.dumps(outcome.model_dump())})
            Path(beside).replace(place)
        finally:
            Path(beside).unlink(missing_ok=True)
    except OSError as error:
        raise RunFailure(
            f"what was tuned cannot be kept: {error}",
            where=str(place),
            remedy="free some space, or choose another disk with FACEKIT_CACHE",
        ) from error
