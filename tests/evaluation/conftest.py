"""Packed faces, generators and metrics for the tests of the evaluation room."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from facekit.data.cache import prepare
from facekit.data.store import PackedFaces
from facekit.interfaces import BuildContext, Condition, FaceSample, Finding, Generated, LabelClass, LabelMap
from facekit.registry import PluginSet, Registry

LABELS = LabelMap(name="stripes", classes=tuple(LabelClass(name, (0, 0, 0)) for name in ("back", "skin", "hair")))
SIZE = 16


@dataclass
class Stripes:
    """Faces of three stripes, each of one colour with a little noise.

    There are no masks where the label map has no classes.
    """

    count: int = 14
    seed: int = 0
    label_map: LabelMap = LABELS
    attribute_names: tuple[str, ...] = ()
    train: range = range(7)

    @property
    def keys(self) -> Sequence[str]:
        return [f"face-{index}" for index in range(self.count)]

    def splits(self) -> dict[str, Sequence[int]]:
        return {"train": self.train, "test": range(7, self.count)}

    def fingerprint(self) -> str:
        return hashlib.sha256(f"{self.count} {self.seed} {self.train} {self.attribute_names}".encode()).hexdigest()

    def read(self, index: int, *, size: int | None = None) -> FaceSample:
        random = np.random.default_rng([self.seed, index])
        mask = np.zeros((SIZE, SIZE), np.uint8)
        first, second = sorted(random.choice(np.arange(2, SIZE - 1), 2, replace=False))
        mask[first:], mask[second:] = 1, 2
        image = random.integers(0, 256, (3, 3))[mask] + random.integers(-5, 6, (SIZE, SIZE, 3))
        attributes = None
        if self.attribute_names:
            # The first is rare, the others are those of a coin.
            attributes = random.random(len(self.attribute_names)) < 0.5
            attributes[0] = index % 5 == 2
        shown = mask if self.label_map.classes else None
        return FaceSample(image.clip(0, 255).astype(np.uint8), shown, attributes)

    def check(self, index: int) -> list[Finding]:
        return []

    def check_all(self) -> list[Finding]:
        return []


class Network(torch.nn.Module):
    """A real network whose arithmetic may depend on the size of the batch."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(7, 16, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(16, 3, 3, padding=1)
        )
        self.modes: list[bool] = []

    def forward(self, condition: Condition) -> Generated:
        assert condition.reference is not None
        self.modes.append(torch.is_grad_enabled())
        planes = torch.nn.functional.one_hot(condition.mask, 4).permute(0, 3, 1, 2).float()
        return Generated(self.layers(torch.cat((planes, condition.reference.image), 1)) * 3)


@pytest.fixture
def packed(tmp_path: Path) -> PackedFaces:
    return prepare(Stripes(), size=SIZE, cache=tmp_path / "cache", workers=1)


@pytest.fixture
def pack(tmp_path: Path) -> Callable[..., PackedFaces]:
    return lambda **changes: prepare(Stripes(**changes), size=SIZE, cache=tmp_path / "cache", workers=1)


@pytest.fixture
def error_metric(registry: Registry) -> type[Any]:
    """The class of the metric ``test/error``."""
    spec = registry.find("metric", "error").spec
    metric = spec.build(spec.options(), BuildContext(LABELS, (), SIZE))
    return type(metric)


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def registry() -> Registry:
    """The engine's tiny plugin and one metric."""
    tests = Path(__file__).parents[1]
    plugins = PluginSet({})
    plugins.load_file(tests / "training" / "plugin" / "tiny_plugin.py")
    plugins.load_file(tests / "evaluation" / "plugin" / "error_metric_plugin.py")
    plugins.load_file(tests / "evaluation" / "plugin" / "noise_plugin.py")
    return Registry(plugins)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
