"""What metrics of plugins say of edits: they are shown edits, or crops of them, as an evaluation shows its results."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor

from facekit.interfaces import (
    BuildContext,
    Condition,
    FacekitError,
    Generated,
    LabelMap,
    Measurement,
    Metric,
    Observation,
    Task,
)
from facekit.registry import Registry, UnknownComponent

TASK: Task = "reconstruction"
"""The task that metrics are told: an edit is a result of its own photo."""


class CropPhotos:
    """Crops of real photos; see :class:`facekit.interfaces.RealPhotos`.

    Args:
        split: the split they are of.
        keys: the names of their photos.
        crops: (N, C, C, 3) uint8.
    """

    def __init__(self, split: str, keys: Sequence[str], crops: NDArray[np.uint8]) -> None:
        self.split = split
        self.keys = tuple(keys)
        self._crops = crops

    def __len__(self) -> int:
        return len(self.keys)

    def fingerprint(self, start: int = 0, stop: int | None = None) -> str:
        """Return the SHA-256 of the pixels of crops ``start`` to ``stop``, and of their shape."""
        part = self._crops[start:stop]
        digest = hashlib.sha256(f"crops {part.shape}".encode())
        digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()

    def read(self, start: int = 0, stop: int | None = None) -> Tensor:
        """Return crops ``start`` to ``stop``, (N, 3, C, C) float32 in [-1, 1]."""
        return to_tensor(self._crops[start:stop])


def to_tensor(images: NDArray[np.uint8]) -> Tensor:
    """Return photos (N, H, W, 3) uint8 as (N, 3, H, W) float32 in [-1, 1]."""
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float().div(127.5).sub(1).contiguous()


class Evaluators:
    """Metrics of plugins by name. One that is not there, or cannot be built, says why; nothing is left out silently."""

    def __init__(
        self, registry: Registry, *, label_map: LabelMap, dataset: str, side: int, device: torch.device
    ) -> None:
        self._registry = registry
        self._context = BuildContext(label_map=label_map, attribute_names=(), size=side, dataset=dataset)
        self._device = device

    def kid(
        self, crops: Mapping[str, NDArray[np.uint8]], real: CropPhotos, *, extractor: str
    ) -> tuple[Measurement, ...] | str:
        """Return the kernel distance of crops, by the names of their photos, to those of real photos; or why not."""
        if not crops:
            return "there are no crops"
        context = self._with(photos=lambda split: real, size=next(iter(crops.values())).shape[0])
        seen = (self._observation(key, crop, crop, None) for key, crop in crops.items())
        return self._ask("kid", {"task": TASK, "extractor": extractor}, context, seen)

    def identity(
        self, edited: Iterable[tuple[str, NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]]
    ) -> tuple[Measurement, ...] | str:
        """Return whether edits show the person of their photo; or why that is not known.

        Args:
            edited: name, photo, edited photo and its mask of each.
        """
        seen = (self._observation(key, photo, image, mask) for key, photo, image, mask in edited)
        return self._ask("identity", {"tasks": (TASK,)}, self._context, seen)

    def attribute(
        self, name: str, wanted: bool, edited: Iterable[tuple[str, NDArray[np.uint8], NDArray[np.uint8]]]
    ) -> tuple[Measurement, ...] | str:
        """Return the share of edits in which a classifier sees an attribute as wanted; or why that is not known."""
        value = torch.tensor([[float(wanted)]], device=self._device)
        seen = (self._observation(key, photo, image, None, attributes=value) for key, photo, image in edited)
        return self._ask(
            "attribute_accuracy", {"attributes": (name,), "transfer": ()}, self._with(attribute_names=(name,)), seen
        )

    def segmentation(
        self, edited: Iterable[tuple[str, NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]]
    ) -> tuple[Measurement, ...] | str:
        """Return how well a segmenter reads from edits the masks that were asked for; see :meth:`identity`."""
        seen = (self._observation(key, photo, image, mask) for key, photo, image, mask in edited)
        return self._ask("segmentation_accuracy", {"tasks": (TASK,)}, self._context, seen)

    def check_extractor(self, name: str) -> None:
        """Check that ``kid`` knows an extractor. Raises FacekitError where it does not."""
        spec = self._registry.find("metric", "kid").spec
        try:
            spec.options.model_validate({"task": TASK, "extractor": name})
        except ValidationError as error:
            raise FacekitError(
                f"metrics/kid knows no extractor {name!r}: {error.errors()[0]['msg']}", where="--extractor"
            ) from error

    def _ask(
        self, name: str, options: Mapping[str, Any], context: BuildContext, seen: Iterable[Observation]
    ) -> tuple[Measurement, ...] | str:
        try:
            spec = self._registry.find("metric", name).spec
        except UnknownComponent as error:
            return error.message
        try:
            metric: Metric = spec.build(spec.options.model_validate(dict(options)), context)
            with torch.no_grad():
                for observation in seen:
                    metric.update(observation)
            return metric.compute()
        except ValidationError as error:
            return f"{spec.id} does not take these options: {error.errors()[0]['msg']}"
        except FacekitError as error:
            if error.exit_code != 2:
                raise
            return error.message if error.remedy is None else f"{error.message}; {error.remedy}"

    def _with(self, **changed: Any) -> BuildContext:
        return replace(self._context, **changed)

    def _observation(
        self,
        key: str,
        photo: NDArray[np.uint8],
        image: NDArray[np.uint8],
        mask: NDArray[np.uint8] | None,
        *,
        attributes: Tensor | None = None,
    ) -> Observation:
        ids = None if mask is None else torch.from_numpy(mask.astype(np.int64))[None].to(self._device)
        return Observation(
            task=TASK,
            condition=Condition(mask=ids, attributes=attributes),
            generated=Generated(to_tensor(image[None]).to(self._device)),
            target=to_tensor(photo[None]).to(self._device),
            keys=(key,),
            reference_keys=(key,),
            attributes=attributes,
        )
