"""A plugin in one file: a family of its own (noise, a mapping network, a sampler, a regressor), and broken parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from facekit.interfaces import (
    GENERATED,
    IMAGE,
    BuildContext,
    Condition,
    Generated,
    NoOptions,
    Options,
    Port,
    Ports,
    Step,
    Style,
    sample,
)
from facekit.registry import ComponentSpec, hookimpl

CODE = 5


class NoiseOptions(Options):
    """Options of what starts from noise."""

    width: int = Field(4, ge=1)
    """Numbers of noise."""


class MappingNetwork(nn.Module):
    """Noise to code."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, CODE), nn.Tanh())

    def forward(self, latent: Tensor) -> Tensor:
        return self.layers(latent)


class Painter(nn.Module):
    """Noise, or a code in its place, to image."""

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.read = nn.Linear(width, CODE)
        self.norm = nn.BatchNorm1d(CODE)
        self.head = nn.Linear(CODE, 3 * size * size)

    def forward(self, condition: Condition, style: Style | None) -> Generated:
        return self.paint(self.read(condition.extra["latent"]))

    def paint(self, code: Tensor) -> Generated:
        return Generated(torch.tanh(self.head(self.norm(code))).view(-1, 3, self.size, self.size))


class Regressor(nn.Module):
    """An image to numbers, with a norm and dropout that know training from evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, stride=2)
        self.norm = nn.BatchNorm2d(4)
        self.last = nn.Linear(4, 2)

    def forward(self, image: Tensor) -> Tensor:
        hidden = torch.dropout(self.norm(self.first(image)), 0.5, self.training)
        return self.last(hidden.mean((2, 3)))


def sampler(networks: Mapping[str, Callable[..., Any]], condition: Condition) -> Generated:
    """Map the noise, then paint the code."""
    code = networks["mapping"](condition.extra["latent"])
    painter: Any = networks["generator"]
    made: Generated = painter.paint(code)
    return made


def fake(step: Step) -> Generated:
    return step.once("open/fake", lambda: sample(step.networks, step.condition))


def close(step: Step) -> Tensor:
    """The distance of the mean colour of images from that of photos."""
    return (fake(step).image.mean((2, 3)) - step.batch.image.mean((2, 3))).square().mean()


def same_numbers(step: Step) -> Tensor:
    """The distance of what the regressor reads in images from what it reads in photos."""
    regressor = step.networks["regressor"]
    photos = step.once("open/photos", lambda: regressor(step.batch.image))
    return (regressor(fake(step).image) - photos).square().mean()


def own_numbers(step: Step) -> Tensor:
    """A loss that trains the regressor to read the mean colour of photos."""
    return (step.networks["regressor"](step.batch.image) - step.batch.image.mean((1, 2, 3))[:, None]).square().mean()


def code_size(step: Step) -> Tensor:
    """A loss of the mapping network: codes of length one, and images like photos."""
    code = step.networks["mapping"](step.condition.extra["latent"])
    return (code.square().sum(1) - 1).square().mean() + close(step)


Fault = Literal["", "detached", "raises", "wrong_size", "wrong_type"]


class FaultOptions(Options):
    """Options of the broken generator."""

    fault: Fault = ""
    """What is wrong with it."""


class Faulty(nn.Module):
    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.read = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, condition: Condition, style: Style | None) -> Any:
        assert condition.source_image is not None
        if self.fault == "raises":
            raise KeyError("a slip of mine")
        image = torch.tanh(self.head(self.read(condition.source_image)))
        if self.fault == "detached":
            image = image.detach()
        if self.fault == "wrong_size":
            return Generated(image[..., ::2, ::2])
        return image if self.fault == "wrong_type" else Generated(image)


class OddOptions(Options):
    """Options of the broken loss."""

    how: Literal["none", "vector", "raises", "number"] = "none"
    """What it gives."""


class Odd:
    def __init__(self, how: str) -> None:
        self.how = how

    def __call__(self, step: Step) -> Any:
        value = fake(step).image.mean((1, 2, 3))
        if self.how == "raises":
            return {}["nothing"]
        return {"none": None, "vector": value, "number": 3.5}[self.how]


def build_mapping(options: NoiseOptions, context: BuildContext) -> nn.Module:
    return MappingNetwork(options.width)


def build_painter(options: NoiseOptions, context: BuildContext) -> nn.Module:
    return Painter(options.width, context.size)


def build_regressor(options: NoOptions, context: BuildContext) -> nn.Module:
    return Regressor()


def build_sampler(options: NoiseOptions, context: BuildContext) -> Any:
    return sampler


def build_faulty(options: FaultOptions, context: BuildContext) -> nn.Module:
    return Faulty(options.fault)


def build_odd(options: OddOptions, context: BuildContext) -> Any:
    return Odd(options.how)


def build_nothing(options: NoOptions, context: BuildContext) -> None:
    """Forgets to return what it builds."""


def build_of_one_argument(options: NoOptions) -> nn.Module:
    return Faulty("")


def build_text(options: NoOptions, context: BuildContext) -> str:
    return "no module"


def build_close(options: NoOptions, context: BuildContext) -> Any:
    return close


def build_same_numbers(options: NoOptions, context: BuildContext) -> Any:
    return same_numbers


def build_own_numbers(options: NoOptions, context: BuildContext) -> Any:
    return own_numbers


def build_code_size(options: NoOptions, context: BuildContext) -> Any:
    return code_size


@hookimpl
def facekit_components() -> Iterable[ComponentSpec]:
    def spec(kind: Any, name: str, ports: Any = None, options: Any = NoOptions, factory: str = "") -> ComponentSpec:
        return ComponentSpec(
            interface_version=1,
            kind=kind,
            id=f"open/{name}",
            summary=name,
            options=options,
            factory=f"open_plugin:{factory or f'build_{name}'}",
            ports=lambda chosen, context: Ports() if ports is None else ports(chosen),
        )

    def noise(options: NoiseOptions) -> Port:
        return Port("latent", ("batch", options.width), dtype="noise")

    def changes(options: Any) -> Ports:
        return Ports(needs=(IMAGE,), gives=(GENERATED,))

    def wrong(options: Any) -> Ports:
        return Ports(gives=(Port("numbers", ("batch", 3)),))

    mapped = Port("code", ("batch", CODE))
    return (
        spec("network", "mapping", lambda o: Ports(needs=(noise(o),), gives=(mapped,)), NoiseOptions),
        spec("generator", "painter", lambda o: Ports(needs=(noise(o),), gives=(GENERATED,)), NoiseOptions),
        spec("network", "regressor", lambda o: Ports(needs=(IMAGE,), gives=(Port("numbers", ("batch", 2)),))),
        spec(
            "network",
            "wrong_numbers",
            lambda o: Ports(gives=(Port("numbers", ("batch", 3)),)),
            factory="build_regressor",
        ),
        spec("sampler", "sampler", lambda o: Ports(needs=(noise(o),)), NoiseOptions),
        spec("generator", "faulty", changes, FaultOptions),
        spec("generator", "nothing", changes),
        spec("generator", "of_one_argument", changes),
        spec("generator", "text", changes),
        spec("generator", "misspelt", changes, factory="build_painterr"),
        spec("loss", "close"),
        spec("loss", "same_numbers"),
        spec("loss", "own_numbers"),
        spec("loss", "code_size"),
        spec("loss", "odd", options=OddOptions),
    )
