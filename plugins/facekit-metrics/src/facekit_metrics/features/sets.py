"""Sets of features: of results as they are observed, and of real photos, kept by their content."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from facekit.interfaces import FacekitError, Observation, RealPhotos, RunFailure, Task, cache_folder

from .extractor import FeatureExtractor

PHOTOS_AT_A_TIME = 256
"""Photos whose features are kept in one file: what an interruption can cost."""


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """Features of pictures.

    Args:
        keys: the keys of their faces, N.
        features: (N, D) float32 on the CPU.
    """

    keys: tuple[str, ...]
    features: Tensor

    def __len__(self) -> int:
        return len(self.keys)


class ResultFeatures:
    """Collects the features of the results of one task.

    Args:
        extractor: what gives them.
        task: whose results.
    """

    def __init__(self, extractor: FeatureExtractor, task: Task) -> None:
        self.extractor = extractor
        self.task = task
        self.device = torch.device("cpu")
        self._found: dict[str, tuple[str, Tensor]] = {}

    def update(self, observation: Observation) -> None:
        """Take in a batch.

        Raises:
            FacekitError: a face comes twice.
        """
        self.device = observation.generated.image.device
        features = self.extractor(observation.generated.image)
        for key, reference, row in zip(observation.keys, observation.reference_keys, features, strict=True):
            if key in self._found:
                raise FacekitError(f"face {key!r} came twice in the task {self.task}")
            self._found[key] = (reference, row)

    def collected(self, what: str) -> FeatureSet:
        """Return the features in the order of their keys, so that the order of batches changes no bit.

        Args:
            what: the measurement, for the error.

        Raises:
            FacekitError: nothing was observed.
        """
        if not self._found:
            raise FacekitError(
                f"{what} was given no results to measure", remedy="evaluate a split with faces that it can measure"
            )
        keys = tuple(sorted(self._found))
        return FeatureSet(keys, torch.stack([self._found[key][1] for key in keys]))

    def references(self) -> dict[str, str]:
        """Return the key of the face whose look each result has, by the key of the result."""
        return {key: reference for key, (reference, _) in self._found.items()}


def real_features(extractor: FeatureExtractor, photos: RealPhotos, device: torch.device) -> FeatureSet:
    """Return the features of real photos, from the cache where they were computed before.

    They are kept in parts, each by the hash of its pixels and of the extractor, so an interrupted pass goes on where it
    was, and splits of other data that hold the same photos share them.

    Args:
        extractor: what gives them.
        photos: of which photos.
        device: where they are computed.

    Raises:
        RunFailure: the cache cannot be written.
    """
    folder = cache_folder() / "features" / f"{extractor.name}-{extractor.id}"
    parts = []
    for start in range(0, len(photos), PHOTOS_AT_A_TIME):
        stop = min(start + PHOTOS_AT_A_TIME, len(photos))
        file = folder / f"{photos.fingerprint(start, stop)}.safetensors"
        part = _kept(file, (stop - start, extractor.dimension))
        if part is None:
            part = extractor(photos.read(start, stop).to(device))
            _keep(file, part)
        parts.append(part)
    return FeatureSet(tuple(photos.keys), torch.cat(parts))


def _kept(file: Path, shape: tuple[int, int]) -> Tensor | None:
    """Return features that were kept; None where there are none, or the file is damaged and is made again."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        features = load_file(file)["features"]
    except (OSError, SafetensorError, KeyError):
        return None
    return features if tuple(features.shape) == shape and bool(features.isfinite().all()) else None


def _keep(file: Path, features: Tensor) -> None:
    from safetensors.torch import save_file

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(prefix=f".{file.stem[:16]}-", dir=file.parent)
        os.close(handle)
        try:
            save_file({"features": features.contiguous()}, beside)
            Path(beside).replace(file)
        finally:
            Path(beside).unlink(missing_ok=True)
    except OSError as error:
        raise RunFailure(
            f"the features of real photos cannot be written: {error}",
            where=str(file),
            remedy="free some space, or choose another disk with FACEKIT_CACHE",
        ) from error
