"""A dataset of numpy files, without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from subject_specs import FilesOptions

from facekit.interfaces import NO_LABELS, FacekitError, FaceSample, Finding, LabelMap


class Files:
    def __init__(self, options: FilesOptions) -> None:
        from facekit.interfaces import LabelClass

        self.fault = options.fault
        self.root = Path(options.root)
        self.label_map = LabelMap("two", (LabelClass("back", (0, 0, 0)), LabelClass("front", (255, 255, 255))))
        if self.fault in ("no_labels", "masks_without_labels", "sound_without_masks"):
            self.label_map = NO_LABELS
        self.attribute_names: tuple[str, ...] = ()
        self.files = sorted(self.root.glob("*.npy"))
        self.reads = 0
        self.unsendable = (lambda: None) if self.fault == "process" else None

    @property
    def keys(self) -> Sequence[str]:
        return ["same" if self.fault == "keys" else file.stem for file in self.files]

    def splits(self) -> dict[str, Sequence[int]]:
        half = len(self.files) // 2
        first = range(half + 1) if self.fault == "splits" else range(half)
        return {"train": first, "test": range(half, len(self.files))}

    def fingerprint(self) -> str:
        if self.fault == "fingerprint":
            return "always the same"
        return str([(file.name, file.stat().st_size) for file in self.files])

    def read(self, index: int, *, size: int | None = None) -> FaceSample:
        try:
            image = np.load(self.files[index])
        except ValueError as error:
            if self.fault == "read":
                raise
            raise FacekitError("not an array", where=str(self.files[index])) from error
        self.reads += 1
        if self.fault == "determinism" and index == 1:
            image = image + np.uint8(self.reads)
        mask = np.full(image.shape[:2], 9 if self.fault == "ids" else 1, np.uint8)
        if self.fault == "hint" and size is not None:
            image, mask = image[: size // 2, : size // 2], mask[: size // 2, : size // 2]
        without = self.fault in ("no_masks", "sound_without_masks")
        return FaceSample(image, None if without else mask, None, self._extra(index, size or len(image)))

    def _extra(self, index: int, size: int) -> dict[str, Any]:
        if not self.fault.startswith(("extra", "mirror", "sound_with_extra")):
            return {}
        random = np.random.default_rng(index)
        extra: dict[str, Any] = {
            "landmarks": random.uniform(-1, 1, (4, 2)).astype(np.float32),
            "visible": random.random(4) < 0.5,
            "regions": random.integers(0, 3, (size, size), dtype=np.uint8),
        }
        changes: dict[str, dict[str, Any]] = {
            "extra_shape": {"visible": np.ones(5, bool)},
            "extra_size": {"regions": np.zeros((7, 7), np.uint8)},
            "extra_kind": {"landmarks": np.zeros((4, 2), np.int64)},
            "extra_float64": {"landmarks": np.zeros((4, 2))},
            "extra_range": {"landmarks": np.full((4, 2), 3, np.float32)},
            "extra_ids": {"regions": np.full((size, size), 3, np.uint8)},
            "extra_undeclared": {"depth": np.zeros(2, np.float32)},
            "extra_not_finite": {"landmarks": np.full((4, 2), np.nan, np.float32)},
            "extra_binary": {"visible": np.full(4, 0.5, np.float32)},
            "extra_one_sample": {"visible": np.ones(4 + (index == 2), bool)},
        }
        extra |= changes.get(self.fault, {})
        if self.fault == "extra_missing":
            del extra["visible"]
        return extra

    def mirror_extra(self, extra: Mapping[str, Any]) -> Mapping[str, Any]:
        order = [1, 2, 3, 0] if self.fault == "mirror_order" else [1, 0, 3, 2]
        landmarks = extra["landmarks"][order]
        landmarks[:, 0] *= -1
        mirrored = {"landmarks": landmarks, "visible": extra["visible"][order], "regions": extra["regions"][:, ::-1]}
        if self.fault == "mirror_name":
            del mirrored["visible"]
        if self.fault == "mirror_range":
            mirrored["landmarks"] = 9 / extra["landmarks"]
        return mirrored

    def check(self, index: int) -> list[Finding]:
        try:
            np.load(self.files[index])
        except ValueError as error:
            if self.fault == "check":
                raise
            return [] if self.fault == "blind" else [Finding("error", str(self.files[index]), str(error))]
        return []

    def check_all(self) -> list[Finding]:
        return []


def dataset(options: FilesOptions, context: Any) -> Files:
    return Files(options)
