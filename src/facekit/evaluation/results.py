"""What an evaluation found. Torch-free."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from facekit.data.packing_plan import TRANSFORM_VERSION
from facekit.data.store import PackedFaces
from facekit.interfaces import FacekitError, Measurement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


REAL_PHOTOS = "real_photos"
"""The baseline that is none to beat: it shows the measure's own mistakes."""

BASELINE_NAMES = ("copy_reference", "mean_colour_per_region", "nearest_training_photo_by_mask", REAL_PHOTOS)
"""The keys of :data:`facekit.evaluation.BASELINES`."""

RESAMPLES = 2000
CONFIDENCE = 0.95
_SEED = 20_040_813
_BLOCK = 4_000_000


def bootstrap_interval(
    values: Sequence[float], *, confidence: float = CONFIDENCE, resamples: int = RESAMPLES
) -> tuple[float, float] | None:
    """Return the percentile interval of the mean of one value a photo (Efron, 1979).

    The draws are seeded: equal values give equal intervals.

    Args:
        values: one a photo.
        confidence: share of the bootstrap means inside the interval.

    Returns:
        the lower and the upper end; None for fewer than two values.

    Raises:
        ValueError: ``confidence`` is not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; it is a share between 0 and 1")
    if len(values) < 2:
        return None
    sample = np.asarray(values, dtype=np.float64)
    random = np.random.default_rng(_SEED)
    means = np.empty(resamples)
    block = max(1, _BLOCK // len(sample))
    for start in range(0, resamples, block):
        count = min(block, resamples - start)
        means[start : start + count] = sample[random.integers(len(sample), size=(count, len(sample)))].mean(1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


ID_LENGTH = 12
"""Hex digits of a protocol id."""

RESIZE = f"photos Lanczos antialiased, masks nearest pixel (transform {TRANSFORM_VERSION})"
QUANTISATION = "results clamped to [-1, 1] and rounded to 8 bits"


def protocol_id(fields: Mapping[str, str]) -> str:
    """Return a short hash of a protocol's fields, whatever their order."""
    text = json.dumps(dict(sorted(fields.items())), separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:ID_LENGTH]


def common_fields(
    packed: PackedFaces, rows: NDArray[np.int64], *, split: str, seed: int, settings: Sequence[str] = ()
) -> dict[str, str]:
    """Return what all numbers of an evaluation have in common.

    The weights, the model and the batch size are no part of it: those are what is compared, or change nothing. Of the
    data it holds the evaluated faces only, by content, so that runs on different training photos can be compared.
    Runtime options that were set for the evaluation (``sampler.steps=50``) are a part; those of the run's own recipe
    belong to the model.
    """
    faces = hashlib.sha256(json.dumps([packed.size, list(packed.label_map.names)]).encode())
    for row in rows:
        faces.update(packed.keys[int(row)].encode() + b"\0" + packed.images[row].tobytes())
        if packed.masks is not None:
            faces.update(packed.masks[row].tobytes())
    return {
        "data": faces.hexdigest(),
        "split": split,
        "faces": str(len(rows)),
        "size": str(packed.size),
        "resize": RESIZE,
        "quantisation": QUANTISATION,
        "task_seed": str(seed),
        **({"settings": " ".join(sorted(settings))} if settings else {}),
    }


def measurement_id(fields: Mapping[str, str], measurement: Measurement) -> str:
    """Return the protocol id of one number: the common fields, its name, and its metric's own part.

    Numbers may stand in one column if these ids are equal.
    """
    own = {f"metric.{name}": value for name, value in measurement.protocol.items()}
    return protocol_id({**fields, **own, "measurement": measurement.name, "unit": measurement.unit})


PARTS = ("mask", "reference", "photo", "result")
"""What a kept picture may show, from left to right."""


@dataclass(frozen=True, eq=False)
class PaintedFace:
    """A result with what it was generated from.

    Args:
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
        system: what generated: a name for people, e.g. ``model`` or ``copy_reference``.
        weights: ``ema`` or ``live`` for models, ``none`` for baselines.
        step: updates behind the weights; 0 for baselines.
        fields: what all the numbers have in common; see :func:`facekit.evaluation.results.common_fields`.
        intervals: 95 % bootstrap interval over photos by measurement name; for those that are means over photos.
        pairs: the (target key, reference key) of every result, by the name of the list (``style_copy``,
            ``attribute_transfer/Smiling``).
        seconds_per_picture: time to generate one image, in a batch.
        data_fingerprint: fingerprint of the whole data, training photos included.
        pictures: some of the results, by task, the same faces for every system.
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
                    "id": self.ids[entry.name],
                }
                for entry in self.measurements
            ],
        }
