"""Protocols: what a number must have in common with another to be compared with it. Torch-free."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from facekit.data import PackedFaces
from facekit.data.packing_plan import TRANSFORM_VERSION
from facekit.interfaces import Measurement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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
    return {
        "data": faces_fingerprint(packed, rows),
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


def faces_fingerprint(packed: PackedFaces, rows: NDArray[np.int64]) -> str:
    """Return the SHA-256, in hex, of some faces: keys, photos and masks in order, and the label map's classes."""
    digest = hashlib.sha256()
    digest.update(json.dumps([packed.size, list(packed.label_map.names)]).encode())
    for row in rows:
        digest.update(packed.keys[int(row)].encode() + b"\0")
        digest.update(packed.images[row].tobytes())
        if packed.masks is not None:
            digest.update(packed.masks[row].tobytes())
    return digest.hexdigest()
