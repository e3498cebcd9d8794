"""A plugin in one file: a dataset that gives landmarks and a depth, a generator that draws by them, and a loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from facekit.interfaces import (
    GENERATED,
    IMAGE,
    NO_LABELS,
    BuildContext,
    Condition,
    DatasetContext,
    FaceSample,
    Finding,
    Generated,
    Measurement,
    NoOptions,
    Observation,
    Options,
    Port,
    PortContext,
    Ports,
    Step,
    Style,
    Task,
    sample,
)
from facekit.registry import ComponentSpec, hookimpl

POINTS = 2
BY_LANDMARKS = "landmark_plugin:build_by_landmarks"
NEEDED_LANDMARKS = Port("landmarks", ("batch", "points", 2))
DEPTH = Port("depth", ("batch", "size", "size"), value_range=(0.0, 1.0))


class SpotsOptions(Options):
    """Options of the dataset."""

    mirrors: bool = True
    """Say how arrays are mirrored."""
    promised: int = Field(POINTS, ge=1)
    """How many landmarks the ports promise."""
    named: bool = True
    """Write the number of landmarks into the port."""


class Spots:
    """Dark photos with a red and a green spot, whose middles are the landmarks; no masks."""

    def __init__(self) -> None:
        self.label_map = NO_LABELS
        self.attribute_names: tuple[str, ...] = ()
        self.keys: Sequence[str] = [f"spots{index:02d}" for index in range(16)]

    def splits(self) -> dict[str, Sequence[int]]:
        return {"train": range(4, 16), "validation": range(4)}

    def fingerprint(self) -> str:
        return "spots-1"

    def read(self, index: int, *, size: int | None = None) -> FaceSample:
        side = size or 32
        cells = np.random.default_rng(index).permutation((side // 4) ** 2)[:POINTS]
        image, depth = np.zeros((side, side, 3), np.uint8), np.zeros((side, side), np.float32)
        landmarks = np.zeros((POINTS, 2), np.float32)
        for number, cell in enumerate(cells):
            row, column = (int(each) * 4 for each in divmod(int(cell), side // 4))
            image[row : row + 4, column : column + 4, number] = 255
            depth[row : row + 4, column : column + 4] = 1
            landmarks[number] = [(column + 2) / side * 2 - 1, (row + 2) / side * 2 - 1]
        return FaceSample(image, None, None, {"landmarks": landmarks, "depth": depth})

    def check(self, index: int) -> list[Finding]:
        return []

    def check_all(self) -> list[Finding]:
        return []


class MirroringSpots(Spots):
    def fingerprint(self) -> str:
        return "spots-2"

    def mirror_extra(self, extra: Mapping[str, Any]) -> Mapping[str, Any]:
        # A spot keeps its colour, so landmarks keep their order.
        return {"landmarks": extra["landmarks"] * np.float32([-1, 1]), "depth": extra["depth"][:, ::-1]}


class Drawer(nn.Module):
    """Landmarks to image, and a depth."""

    def __init__(self, points: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.hidden = nn.Sequential(nn.Linear(2 * points, 16), nn.ReLU())
        self.image = nn.Linear(16, 3 * size * size)
        self.depth = nn.Linear(16, size * size)

    def forward(self, condition: Condition, style: Style | None) -> Generated:
        hidden = self.hidden(condition.extra["landmarks"].flatten(1))
        image = torch.tanh(self.image(hidden)).view(-1, 3, self.size, self.size)
        return Generated(image, maps={"depth": self.depth(hidden).view(-1, self.size, self.size)})


def same_depth(step: Step) -> Tensor:
    """The distance of the depth from that of the batch, and of the image from the photo."""
    made = step.once("spots/fake", lambda: sample(step.networks, step.condition))
    depth = (made.maps["depth"] - step.batch.extra["depth"]).abs().mean()
    return depth + (made.image - step.batch.image).abs().mean()


def by_landmarks(step: Step) -> Tensor:
    """The distance of the mean colour of images from that of the landmarks."""
    made = step.once("spots/fake", lambda: sample(step.networks, step.condition))
    points = step.batch.extra["landmarks"].mean((1, 2))
    return (made.image.float().mean((1, 2, 3)) - points).square().mean()


class SpotError:
    """How far the landmarks of the condition are from the spots of the test face."""

    tasks: tuple[Task, ...] = ("reconstruction", "style_copy")

    def __init__(self) -> None:
        self.errors: list[float] = []

    def update(self, observation: Observation) -> None:
        for photo, landmarks in zip(observation.target, observation.condition.extra["landmarks"], strict=True):
            self.errors.append(float((spots_of(photo) - landmarks.cpu()).abs().max()))

    def compute(self) -> tuple[Measurement, ...]:
        mean = sum(self.errors) / len(self.errors)
        return (Measurement("spot_error", mean, "", "lower", {}, len(self.errors), tuple(self.errors)),)


def spots_of(photo: Tensor) -> Tensor:
    """Return the middles of the spots of a photo (3, S, S)."""
    side = photo.shape[-1]
    middles = [(photo[number] > 0).nonzero().float().mean(0).flip(0) + 0.5 for number in range(POINTS)]
    return torch.stack(middles) / side * 2 - 1


def build_spots(options: SpotsOptions, context: DatasetContext) -> Spots:
    return MirroringSpots() if options.mirrors else Spots()


def build_drawer(options: NoOptions, context: BuildContext) -> nn.Module:
    return Drawer(context.dimension("points"), context.size)


def build_same_depth(options: NoOptions, context: BuildContext) -> Any:
    return same_depth


def build_by_landmarks(options: NoOptions, context: BuildContext) -> Any:
    return by_landmarks


def build_spot_error(options: NoOptions, context: BuildContext) -> SpotError:
    return SpotError()


@hookimpl
def facekit_components() -> Iterable[ComponentSpec]:
    def spec(kind: Any, name: str, ports: Any, options: Any = NoOptions) -> ComponentSpec:
        return ComponentSpec(
            interface_version=1,
            kind=kind,
            id=f"marks/{name}",
            summary=name,
            options=options,
            factory=f"landmark_plugin:build_{name}",
            ports=ports,
        )

    def spots(options: SpotsOptions, context: PortContext) -> Ports:
        landmarks = Port("landmarks", ("batch", options.promised if options.named else "points", 2))
        return Ports(gives=(IMAGE, landmarks, DEPTH))

    return (
        spec("dataset", "spots", spots, SpotsOptions),
        spec("generator", "drawer", lambda o, c: Ports(needs=(NEEDED_LANDMARKS,), gives=(GENERATED,))),
        spec("loss", "same_depth", lambda o, c: Ports(needs=(IMAGE, GENERATED, DEPTH))),
        spec("loss", "by_landmarks", lambda o, c: Ports(needs=(IMAGE, GENERATED, NEEDED_LANDMARKS))),
        replace(spec("loss", "undeclared", lambda o, c: Ports(needs=(IMAGE, GENERATED))), factory=BY_LANDMARKS),
        spec("metric", "spot_error", lambda o, c: Ports(needs=(IMAGE, GENERATED, NEEDED_LANDMARKS))),
    )
