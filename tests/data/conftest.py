"""Datasets made by the tests: small arrays in memory that follow the dataset interface."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facekit.data.cache import prepare
from facekit.data.store import PackedFaces
from facekit.interfaces import NO_LABELS, FacekitError, FaceSample, Finding, LabelClass, LabelMap

LABELS = LabelMap(
    name="test_parts",
    classes=tuple(
        LabelClass(name, colour)
        for name, colour in (
            ("background", (0, 0, 0)),
            ("skin", (200, 150, 120)),
            ("left_eye", (0, 0, 255)),
            ("right_eye", (0, 255, 0)),
            ("hair", (90, 40, 10)),
        )
    ),
    mirrored=(("left_eye", "right_eye"),),
)


class ArrayDataset:
    """Faces kept in memory; each pixel of the photo is coloured by the class of its mask, so alignment can be seen."""

    def __init__(
        self,
        samples: Sequence[FaceSample],
        splits: Mapping[str, Sequence[int]],
        *,
        attribute_names: tuple[str, ...] = (),
        keys: Sequence[str] | None = None,
        findings: Mapping[int, list[Finding]] | None = None,
        label_map: LabelMap = LABELS,
    ) -> None:
        self.samples = list(samples)
        self._splits = dict(splits)
        self.attribute_names = attribute_names
        self.keys = list(keys) if keys is not None else [f"face-{index}" for index in range(len(samples))]
        self.findings = dict(findings or {})
        self.reads: list[int] = []
        self.label_map = label_map

    def splits(self) -> dict[str, Sequence[int]]:
        return dict(self._splits)

    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for sample in self.samples:
            digest.update(sample.image.tobytes() + (b"" if sample.mask is None else sample.mask.tobytes()))
        return digest.hexdigest()

    def read(self, index: int, *, size: int | None = None) -> FaceSample:
        self.reads.append(index)
        if index in self.findings:
            raise FacekitError("the picture cannot be read", where=f"{self.keys[index]}.png")
        return self.samples[index]

    def check(self, index: int) -> list[Finding]:
        return self.findings.get(index, [])

    def check_all(self) -> list[Finding]:
        return []


def paint(mask: np.ndarray, noise: np.random.Generator | None = None) -> np.ndarray:
    image = LABELS.colourise(mask)
    if noise is not None:
        image = np.clip(image.astype(int) + noise.integers(-9, 10, image.shape), 0, 255).astype(np.uint8)
    return image


def face_mask(height: int, width: int, *, shift: float = 0.0) -> np.ndarray:
    """A head left of the middle with a hat of hair, an eye on each side: nothing in it is symmetric."""
    y, x = np.mgrid[0:height, 0:width]
    y, x = (y + 0.5) / height, (x + 0.5) / width
    mask = np.zeros((height, width), np.uint8)
    mask[((x - 0.45 - shift) / 0.3) ** 2 + ((y - 0.5) / 0.4) ** 2 < 1] = 1
    mask[(y < 0.3) & (mask == 1)] = 4
    mask[((x - 0.3 - shift) / 0.06) ** 2 + ((y - 0.45) / 0.05) ** 2 < 1] = 3
    mask[((x - 0.55 - shift) / 0.09) ** 2 + ((y - 0.42) / 0.06) ** 2 < 1] = 2
    return mask


@pytest.fixture
def labels() -> LabelMap:
    return LABELS


@pytest.fixture
def make_mask() -> Callable[..., np.ndarray]:
    return face_mask


@pytest.fixture
def make_photo() -> Callable[..., np.ndarray]:
    return paint


@pytest.fixture
def array_dataset() -> type[ArrayDataset]:
    return ArrayDataset


@pytest.fixture
def make_dataset() -> Callable[..., ArrayDataset]:
    """Return a maker of datasets of ``count`` faces of ``size`` pixels with two attributes; 3/4 train, 1/4 test."""

    def make(count: int = 12, size: int = 40, *, seed: int = 0) -> ArrayDataset:
        noise = np.random.default_rng(seed)
        samples = []
        for _ in range(count):
            mask = face_mask(size, size, shift=float(noise.uniform(-0.1, 0.1)))
            samples.append(FaceSample(paint(mask, noise), mask, noise.random(2) < 0.5))
        first_test = count * 3 // 4
        splits = {"train": range(first_test), "test": range(first_test, count)}
        return ArrayDataset(samples, splits, attribute_names=("Smiling", "Young"))

    return make


@pytest.fixture
def make_photos(make_dataset: Callable[..., ArrayDataset]) -> Callable[..., ArrayDataset]:
    """Return a maker of the same photos and attributes without their masks."""

    def make(count: int = 12, size: int = 40, *, seed: int = 0) -> ArrayDataset:
        faces = make_dataset(count, size, seed=seed)
        samples = [replace(sample, mask=None) for sample in faces.samples]
        return ArrayDataset(samples, faces.splits(), attribute_names=faces.attribute_names, label_map=NO_LABELS)

    return make


@pytest.fixture
def packed(make_dataset: Callable[..., ArrayDataset], tmp_path: Path) -> PackedFaces:
    return prepare(make_dataset(), size=32, cache=tmp_path / "cache")
