"""Sets of features: of results as they are observed, and of real photos, kept by their content."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from facekit.interfaces import FacekitError, Observation, RealPhotos, RunFailure, cache_folder

from ..measurements import nothing_to_measure
from .extractor import FeatureExtractor

PHOTOS_AT_A_TIME = 256
"""Photos whose features are kept in one file: what an interruption can cost."""


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """Features of pictures.

    Args:
        keys: the keys of the faces they show, N; of a result those of its mask and of its look, and none of a result of
            noise alone.
        features: (N, D) float32 on the CPU.
    """

    keys: tuple[tuple[str, ...], ...]
    features: Tensor

    def __len__(self) -> int:
        return len(self.keys)


class ResultFeatures:
    """Collects the features of results.

    Args:
        extractor: what gives them.
    """

    def __init__(self, extractor: FeatureExtractor) -> None:
        self.extractor = extractor
        self.device = torch.device("cpu")
        self._found: dict[tuple[str, str, str], Tensor] = {}
        self._from_noise: set[tuple[str, str, str]] = set()

    def update(self, observation: Observation) -> None:
        """Take in a batch. Raises FacekitError when a result comes twice."""
        self.device = observation.generated.image.device
        features = self.extractor(observation.generated.image)
        for index, row in enumerate(features):
            identity = (observation.attribute, observation.reference_keys[index], observation.keys[index])
            if identity in self._found:
                _, look, mask = identity
                raise FacekitError(f"the mask of {mask!r} in the style of {look!r} came twice")
            self._found[identity] = row
            if not observation.reads:
                self._from_noise.add(identity)

    def collected(self, what: str) -> FeatureSet:
        """Return the features in an order of their own, so that the order of batches changes no bit.

        Args:
            what: the measurement, for the error.

        Raises:
            FacekitError: nothing was observed.
        """
        if not self._found:
            raise nothing_to_measure(what)
        order = sorted(self._found)
        keys = tuple(() if each in self._from_noise else (each[2], each[1]) for each in order)
        return FeatureSet(keys, torch.stack([self._found[identity] for identity in order]))


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
    return FeatureSet(tuple((key,) for key in photos.keys), torch.cat(parts))


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
