"""A plugin in one file: the smallest components that use every part of the engine."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.interfaces import (
    ATTRIBUTES,
    DISCRIMINATOR_FEATURES,
    DISCRIMINATOR_OUTPUT,
    GENERATED,
    GENERATED_PYRAMID,
    IMAGE,
    MASK,
    STYLE,
    BuildContext,
    Condition,
    DiscriminatorOutput,
    FaceSample,
    Finding,
    Generated,
    LabelClass,
    LabelMap,
    NoOptions,
    Options,
    Port,
    PortContext,
    Ports,
    RunEvent,
    ScaleOutput,
    Step,
    Style,
)
from facekit.interfaces import discriminate as discriminate_image
from facekit.registry import ComponentSpec, hookimpl
from facekit_gan import ReplayPool, condition_of, discriminate, fake, real, shuffled_style

LABELS = LabelMap(
    "tiny",
    tuple(
        LabelClass(name, colour)
        for name, colour in (("back", (0, 0, 0)), ("skin", (200, 150, 120)), ("hair", (60, 30, 0)))
    ),
)
STYLE_NUMBERS = 6


class FacesOptions(Options):
    """Options of ``tiny/faces``."""

    count: int = Field(20, ge=4)
    """How many faces."""
    seed: int = 0
    """Seed of the faces."""


class TinyFaces:
    """Squares of a colour, with a mask of three stripes."""

    def __init__(self, options: FacesOptions) -> None:
        self._options = options
        self.label_map = LABELS
        self.attribute_names = ("Smiling",)
        self.keys: Sequence[str] = [f"face{index:03d}" for index in range(options.count)]

    def splits(self) -> dict[str, Sequence[int]]:
        held = max(2, self._options.count // 5)
        return {"train": range(held, self._options.count), "validation": range(held)}

    def fingerprint(self) -> str:
        return f"tiny-{self._options.count}-{self._options.seed}"

    def read(self, index: int, *, size: int | None = None) -> FaceSample:
        side = size or 32
        random = np.random.default_rng([self._options.seed, index])
        mask = np.zeros((side, side), np.uint8)
        top, bottom = sorted(random.integers(2, side - 2, 2))
        mask[top:] = 1
        mask[bottom:] = 2
        colours = random.integers(0, 256, (3, 3))
        image = (colours[mask] + random.integers(-8, 9, (side, side, 1))).clip(0, 255).astype(np.uint8)
        return FaceSample(image, mask, np.array([index % 2 == 0]))

    def check(self, index: int) -> list[Finding]:
        return []

    def check_all(self) -> list[Finding]:
        return []


class WidthOptions(Options):
    """Options of the networks."""

    width: int = Field(8, ge=1)
    """Channels."""
    dropout: float = 0.0
    """Share of features dropped, to see that random states are restored."""
    pyramid: bool = False
    """Give a coarser picture too."""
    norm: bool = True
    """Normalise over the batch."""


class StyleEncoder(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3 + len(LABELS), width, 3, stride=2, padding=1)
        self.head = nn.Linear(width, STYLE_NUMBERS)
        self.calls = 0

    def forward(self, image: Tensor, mask: Tensor) -> Style:
        self.calls += 1
        planes = F.one_hot(mask, len(LABELS)).permute(0, 3, 1, 2).to(image.dtype)
        return Style(self.head(F.relu(self.stem(torch.cat([image, planes], 1))).mean((2, 3))))


class Painter(nn.Module):
    def __init__(self, options: WidthOptions, numbers: int) -> None:
        super().__init__()
        self.options = options
        self.stem = nn.Conv2d(len(LABELS), options.width, 3, padding=1)
        self.style = nn.Linear(numbers, options.width) if numbers else None
        self.norm = nn.BatchNorm2d(options.width) if options.norm else nn.Identity()
        self.head = nn.Conv2d(options.width, 3, 3, padding=1)
        self.calls = 0

    def forward(self, condition: Condition, style: Style | None) -> Generated:
        self.calls += 1
        planes = F.one_hot(condition.mask, len(LABELS)).permute(0, 3, 1, 2).to(self.stem.weight.dtype)
        features = self.norm(self.stem(planes))
        if self.style is not None:
            assert style is not None
            features = features + self.style(style.code)[:, :, None, None]
        features = F.dropout(F.relu(features), self.options.dropout, self.training)
        image = torch.tanh(self.head(features))
        return Generated(image, (F.avg_pool2d(image, 2),) if self.options.pyramid else ())


class Critic(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.utils.parametrizations.spectral_norm(nn.Conv2d(3 + len(LABELS), width, 4, 2, 1))
        self.second = nn.Conv2d(width, 1, 4, 2, 1)
        self.calls: list[int] = []

    def forward(self, picture: Generated, condition: Condition) -> DiscriminatorOutput:
        self.calls.append(len(picture.image))
        planes = F.one_hot(condition.mask, len(LABELS)).permute(0, 3, 1, 2).to(picture.image.dtype)
        features = F.leaky_relu(self.first(torch.cat([planes, picture.image], 1)), 0.2)
        return DiscriminatorOutput((ScaleOutput(self.second(features), (features,)),))


class AdversarialOptions(Options):
    """Options of ``tiny/adversarial``."""

    shuffled_style: bool = False
    """Judge fakes in the style of another face too."""
    replay_pool: int = 0
    """How many past fakes the discriminator is shown again."""


class Adversarial:
    def __init__(self, shuffled_style: bool) -> None:
        self.shuffled_style = shuffled_style

    def __call__(self, step: Step) -> Tensor:
        trains = "discriminator" in step.trained
        wanted = 0.0 if trains else 1.0
        # Made first, so that all share a pass.
        photos = real(step) if trains else None
        others = [shuffled_style(step)] if self.shuffled_style else []
        outputs = [self.fake(step), *(discriminate(step, image) for image in others)]
        losses = [(output.scales[0].logits - wanted).square().mean() for output in outputs]
        if photos is not None:
            losses.append((discriminate(step, photos).scales[0].logits - 1).square().mean())
        return torch.stack(losses).sum()

    def fake(self, step: Step) -> DiscriminatorOutput:
        return discriminate(step, fake(step))


class AdversarialWithPool(Adversarial):
    def __init__(self, shuffled_style: bool, capacity: int) -> None:
        super().__init__(shuffled_style)
        self.pool = ReplayPool(capacity)

    def fake(self, step: Step) -> DiscriminatorOutput:
        if "discriminator" not in step.trained:
            return super().fake(step)
        image = fake(step)
        return discriminate(step, *self.pool.exchange(image, condition_of(step, image), random=step.random))

    def state(self) -> dict[str, Tensor]:
        return self.pool.state()

    def load_state(self, state: Mapping[str, Tensor], device: torch.device) -> None:
        self.pool.load_state(state, device)


def feature_matching(step: Step) -> Tensor:
    made, wanted = discriminate(step, fake(step)).scales[0], discriminate(step, real(step)).scales[0]
    return torch.stack([(a - b).abs().mean() for a, b in zip(made.features, wanted.features, strict=True)]).sum()


def l1(step: Step) -> Tensor:
    return (fake(step).image - real(step).image).abs().mean()


def weighted(step: Step) -> Tensor:
    """Colours of the middle stripe, weighted by its pixels: a mean over those of all faces."""
    stripe = (step.batch.mask == 1).unsqueeze(1).float()
    difference = (fake(step).image - real(step).image).abs().mean(1, keepdim=True)
    return (stripe * difference).sum() / step.mean(stripe.sum())


def penalty(step: Step) -> Tensor:
    share = torch.rand(len(step.batch), 1, 1, 1, generator=step.random).to(real(step).image)
    image = (share * real(step).image + (1 - share) * fake(step).image).detach().requires_grad_(True)
    with step.full_precision():
        output = discriminate_image(step.networks, Generated(image, real(step).pyramid), step.condition)
        logits = output.scales[0].logits
        assert logits.dtype == torch.float32
        (gradient,) = torch.autograd.grad(logits.sum(), image, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


class BadOptions(Options):
    """Options of ``tiny/breaks``."""

    at: int = 3
    """Step, from 0, at which the loss is not finite."""
    how: str = "nan"
    """``nan``, ``inf``, or ``weights``: a finite loss whose gradient is not."""


class Breaks:
    def __init__(self, options: BadOptions) -> None:
        self.options = options

    def __call__(self, step: Step) -> Tensor:
        mean = fake(step).image.mean()
        if step.index != self.options.at:
            return mean * 0.0
        if self.options.how == "weights":
            return (mean - mean.detach()).square().sqrt()
        return mean.abs() * float(self.options.how)


class RunningMean(nn.Module):
    """A loss with state: it must survive a resume."""

    def __init__(self) -> None:
        super().__init__()
        self.mean: Tensor
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, step: Step) -> Tensor:
        value = fake(step).image.mean()
        loss = (value - self.mean.clone()).abs()
        with torch.no_grad():
            self.mean.lerp_(value.detach(), 0.1)
        return loss


def _faces(options: FacesOptions, context: PortContext) -> Ports:
    mask = Port("mask", MASK.shape, dtype="class_ids", classes=len(LABELS))
    return Ports(
        gives=(IMAGE, mask, Port("attributes", ("batch", 1), dtype="binary", value_range=ATTRIBUTES.value_range))
    )


def _painter(options: WidthOptions, context: PortContext) -> Ports:
    pyramid = (GENERATED_PYRAMID,) if options.pyramid else ()
    return Ports(needs=(MASK, STYLE), gives=(GENERATED, *pyramid))


def _plain_painter(options: WidthOptions, context: PortContext) -> Ports:
    return Ports(needs=(MASK,), gives=(GENERATED,))


def build_faces(options: FacesOptions, context: Any) -> TinyFaces:
    return TinyFaces(options)


def build_encoder(options: WidthOptions, context: BuildContext) -> nn.Module:
    return StyleEncoder(options.width)


def build_painter(options: WidthOptions, context: BuildContext) -> nn.Module:
    return Painter(options, context.dimension("style"))


def build_plain_painter(options: WidthOptions, context: BuildContext) -> nn.Module:
    return Painter(options, 0)


def build_critic(options: WidthOptions, context: BuildContext) -> nn.Module:
    return Critic(options.width)


def build_adversarial(options: AdversarialOptions, context: BuildContext) -> Adversarial:
    if options.replay_pool and context.player == "discriminator":
        return AdversarialWithPool(options.shuffled_style, options.replay_pool)
    return Adversarial(options.shuffled_style)


def build_feature_matching(options: NoOptions, context: BuildContext) -> Any:
    return feature_matching


def build_l1(options: NoOptions, context: BuildContext) -> Any:
    return l1


def build_weighted(options: NoOptions, context: BuildContext) -> Any:
    return weighted


def build_penalty(options: NoOptions, context: BuildContext) -> Any:
    return penalty


def build_breaks(options: BadOptions, context: BuildContext) -> Any:
    return Breaks(options)


def build_running_mean(options: NoOptions, context: BuildContext) -> nn.Module:
    return RunningMean()


@hookimpl
def facekit_label_maps() -> Iterable[LabelMap]:
    return (LABELS,)


@hookimpl
def facekit_components() -> Iterable[ComponentSpec]:
    def spec(kind: Any, name: str, options: type[Options], ports: Any = None, **more: Any) -> ComponentSpec:
        ports = ports or (lambda options, context: Ports())
        factory = f"tiny_plugin:build_{name}"
        return ComponentSpec(
            interface_version=1,
            kind=kind,
            id=f"tiny/{name}",
            summary=name,
            options=options,
            factory=factory,
            ports=ports,
            **more,
        )

    def needs(*ports: Port) -> Any:
        return lambda options, context: Ports(needs=ports)

    both: Any = ("generator", "discriminator")
    judging = Ports(needs=(MASK, GENERATED), gives=(DISCRIMINATOR_OUTPUT, DISCRIMINATOR_FEATURES))
    encoder = Ports(needs=(IMAGE, MASK), gives=(Port("style", ("batch", STYLE_NUMBERS)),))
    return (
        spec("dataset", "faces", FacesOptions, _faces),
        spec("style_encoder", "encoder", WidthOptions, lambda options, context: encoder),
        spec("generator", "painter", WidthOptions, _painter),
        spec("generator", "plain_painter", WidthOptions, _plain_painter),
        spec("discriminator", "critic", WidthOptions, lambda options, context: judging),
        spec("loss", "adversarial", AdversarialOptions, needs(DISCRIMINATOR_OUTPUT), players=both),
        spec("loss", "feature_matching", NoOptions, needs(DISCRIMINATOR_FEATURES)),
        spec("loss", "l1", NoOptions, needs(GENERATED, IMAGE)),
        spec("loss", "weighted", NoOptions, needs(GENERATED, IMAGE, MASK)),
        spec("loss", "penalty", NoOptions, needs(DISCRIMINATOR_OUTPUT), players=("discriminator",)),
        spec("loss", "breaks", BadOptions, players=both),
        spec("loss", "running_mean", NoOptions, needs(GENERATED)),
    )


@hookimpl
def facekit_run_event(event: RunEvent) -> None:
    if os.environ.get("TINY_PLUGIN_FAILS"):
        raise ValueError("the tiny plugin was told to fail")
    diary = os.environ.get("TINY_PLUGIN_DIARY")
    if diary:
        with open(diary, "a", encoding="utf-8") as file:  # noqa: PTH123
            file.write(f"{os.environ.get('RANK', '0')} {type(event).__name__}\n")
