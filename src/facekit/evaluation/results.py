"""What an evaluation found. Torch-free."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from facekit.evaluation.protocol import measurement_id, protocol_id
from facekit.interfaces import FacekitError, Measurement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


PARTS = ("mask", "reference", "photo", "result")
"""What a kept picture may show, from left to right."""


@dataclass(frozen=True, eq=False)
class PaintedFace:
    """A result with what it was painted from.

    Args:
        key: of the target face.
        reference_key: of the reference face.
        strip: what ``parts`` names, side by side, (H, parts x W, 3) uint8.
        parts: mask in colours and reference where the model reads them, the real photo of the target face where the
            result has to do with it, and the result.
    """

    key: str
    reference_key: str
    strip: NDArray[np.uint8]
    parts: tuple[str, ...] = PARTS


@dataclass(frozen=True)
class EvaluationResult:
    """Measurements of one system on one split, under one protocol.

    Args:
        system: what painted: a name for people, e.g. ``model`` or ``copy_reference``.
        split: which split.
        weights: ``ema`` or ``live`` for models, ``none`` for baselines.
        step: updates behind the weights; 0 for baselines.
        fields: what all the numbers have in common; see :func:`facekit.evaluation.protocol.common_fields`.
        measurements: the numbers.
        intervals: 95 % bootstrap interval over photos by measurement name; for those that are means over photos.
        pairs: the (target key, reference key) of every result, by the name of the list (``style_copy``,
            ``attribute_transfer/Smiling``).
        seconds_per_picture: time to paint one picture, in a batch.
        data_fingerprint: fingerprint of the whole data, training photos included.
        pictures: some of the results, by task, the same faces whoever painted.
        notes: what people should know of it: results that are all equal, baselines that were left out.
    """

    system: str
    split: str
    weights: str
    step: int
    fields: Mapping[str, str]
    measurements: tuple[Measurement, ...]
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    pairs: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    seconds_per_picture: float = 0.0
    data_fingerprint: str = ""
    pictures: Mapping[str, tuple[PaintedFace, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def protocol(self) -> str:
        """The id of what all the numbers have in common."""
        return protocol_id(self.fields)

    def measurement(self, name: str) -> Measurement:
        """Return a measurement by name. Raises FacekitError naming those there are."""
        for entry in self.measurements:
            if entry.name == name:
                return entry
        known = ", ".join(entry.name for entry in self.measurements) or "none"
        raise FacekitError(f"the evaluation has no measurement {name!r}", remedy=f"it has {known}")

    def id_of(self, name: str) -> str:
        """Return the protocol id of one measurement; numbers are comparable when these are equal."""
        return measurement_id(self.fields, self.measurement(name))

    @property
    def ids(self) -> dict[str, str]:
        """The protocol id of each measurement, by its name."""
        return {entry.name: measurement_id(self.fields, entry) for entry in self.measurements}

    def document(self) -> dict[str, Any]:
        """Return everything but the pairs and the values a photo, as JSON data. A value that is not finite is None."""
        return {
            "system": self.system,
            "split": self.split,
            "weights": self.weights,
            "step": self.step,
            "protocol": self.protocol,
            "protocol_fields": dict(self.fields),
            "data_fingerprint": self.data_fingerprint,
            "seconds_per_picture": round(self.seconds_per_picture, 6),
            "notes": list(self.notes),
            "measurements": [
                {
                    "name": entry.name,
                    "value": entry.value if math.isfinite(entry.value) else None,
                    "interval": list(self.intervals[entry.name]) if entry.name in self.intervals else None,
                    "unit": entry.unit,
                    "better": entry.better,
                    "count": entry.count,
                    "detail": entry.detail,
                    "protocol": dict(entry.protocol),
                    "id": self.id_of(entry.name),
                }
                for entry in self.measurements
            ],
        }
