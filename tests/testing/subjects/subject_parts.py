"""What the subjects are made of."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from subject_files import Files
from subject_specs import SubjectOptions
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.interfaces import (
    BuildContext,
    Condition,
    DiscriminatorOutput,
    FacekitError,
    Generated,
    Measurement,
    Observation,
    ScaleOutput,
    Step,
    Style,
    encode,
    sample,
)


class WrongGradientInChannelsLast(torch.autograd.Function):
    """Passes features on, and reads the memory order in the backward pass alone."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor) -> Tensor:
        ctx.factor = 2.0 if hidden.stride(1) == 1 else 1.0
        return hidden.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * ctx.factor


class Spoiled(nn.Module):
    """Breaks one promise of networks on the way through."""

    def __init__(self, fault: str, width: int) -> None:
        super().__init__()
        self.fault = fault
        self.secret = torch.randn(width, 1, 1) if fault == "save" else None
        if fault == "gradient":
            self.unused = nn.Parameter(torch.ones(3))

    def forward(self, hidden: Tensor) -> Tensor:
        if self.fault == "not_finite_gradient":
            hidden = hidden + (hidden - hidden.detach()).pow(2).sqrt()
        if self.fault == "determinism":
            hidden = hidden + torch.rand(hidden.shape)
        if self.fault == "independence":
            hidden = hidden - hidden.mean(0, keepdim=True)
        if self.secret is not None:
            hidden = hidden * (1 + self.secret)
        if self.fault == "bf16" and torch.is_autocast_enabled("cpu"):
            hidden = 9 * hidden
        if self.fault == "channels_last" and hidden.stride(1) == 1:
            hidden = 9 * hidden
        if self.fault == "channels_last_gradient":
            hidden = WrongGradientInChannelsLast.apply(hidden)
        if self.fault == "fake" and float(hidden.detach().abs().sum()) < 0:
            hidden = -hidden
        return hidden


class Modulated(nn.Module):
    """A 1x1 convolution with weights of each sample's own, the batch folded into the channels, as in StyleGAN2."""

    def __init__(self, inputs: int, outputs: int, style: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 1, 1))
        self.scale = nn.Linear(style, inputs)

    def forward(self, hidden: Tensor, code: Tensor) -> Tensor:
        count, channels, height, width = hidden.shape
        weight = (self.weight[None] * (1 + self.scale(code))[:, None, :, None, None]).reshape(-1, channels, 1, 1)
        return F.conv2d(hidden.reshape(1, -1, height, width), weight, groups=count).reshape(count, -1, height, width)


class ModulatedGenerator(nn.Module):
    def __init__(self, options: SubjectOptions, context: BuildContext) -> None:
        super().__init__()
        style = context.dimension("style")
        self.lay = nn.Conv2d(len(context.label_map), options.width, 3, padding=1)
        self.first = Modulated(options.width, options.width, style)
        self.last = Modulated(options.width, 3, style)

    def forward(self, condition: Condition, style: Style | None) -> Generated:
        assert style is not None
        hidden = F.softplus(self.lay(one_hot(condition.mask, self.lay.in_channels)))
        return Generated(self.last(F.softplus(self.first(hidden, style.code)), style.code).tanh())


class ByClass(nn.Module):
    """A layer for each class, which acts where the mask, at an eighth of the side, shows the class."""

    def __init__(self, options: SubjectOptions, context: BuildContext) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(context.dimension("style"), 3) for _ in context.label_map.classes)

    def forward(self, condition: Condition, style: Style | None) -> Generated:
        assert style is not None
        size = condition.mask.shape[-1]
        small = condition.mask[:, :: size // 4, :: size // 4]
        image = torch.zeros(len(small), 3, 4, 4)
        for index, layer in enumerate(self.layers):
            image = image + layer(style.code)[:, :, None, None] * (small == index)[:, None]
        return Generated(F.interpolate(image, (size, size)).tanh())


@dataclass(frozen=True, kw_only=True)
class VaeStyle(Style):
    """The style of a variational encoder: where it was drawn from, too."""

    mean: Tensor
    variance: Tensor


@dataclass(frozen=True)
class WithLatents(Generated):
    """A picture with the latents that it was made from."""

    latents: Tensor = field(kw_only=True)


class VaeEncoder(nn.Module):
    def __init__(self, options: SubjectOptions, context: BuildContext) -> None:
        super().__init__()
        self.fault = options.fault
        self.read = nn.Conv2d(3, options.width, 3, padding=1)
        self.mean, self.variance = (nn.Linear(options.width, context.dimension("style")) for _ in range(2))

    def forward(self, image: Tensor, mask: Tensor) -> Style:
        hidden = F.softplus(self.read(image)).mean((2, 3))
        mean, variance = self.mean(hidden), self.variance(hidden).sigmoid()
        noise = torch.randn(mean.shape) if self.training else torch.zeros(mean.shape)
        code = mean + variance.sqrt() * noise
        if self.fault == "no_fields":
            return Style(code + variance)
        return VaeStyle(code, mean=mean[:, 1:] if self.fault == "shape" else mean, variance=variance)


class VaeGenerator(nn.Module):
    def __init__(self, options: SubjectOptions, context: BuildContext) -> None:
        super().__init__()
        self.map = nn.Linear(2 * context.dimension("style"), 5)
        self.paint = nn.Linear(5, 3 * 16)
        self.grow = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, condition: Condition, style: Style | None) -> Generated:
        assert isinstance(style, Style)
        latents = self.map(torch.cat([style.mean, style.variance.log()], 1))  # type: ignore[attr-defined]
        size = condition.mask.shape[-1]
        coarse = self.paint(F.softplus(latents)).reshape(-1, 3, 4, 4)
        return WithLatents(self.grow(F.interpolate(coarse, (size, size))).tanh(), latents=latents)


def divergence(options: SubjectOptions, context: BuildContext) -> Any:
    def loss(step: Step) -> Tensor:
        style: Any = encode(step.networks, step.condition.reference)
        mean, variance = style.mean, style.variance
        assert mean.shape[1:] == (context.dimension("style"),)
        return 0.5 * (mean.square() + variance - variance.log() - 1).sum(1).mean()

    return loss


def path_length(options: SubjectOptions, context: BuildContext) -> Any:
    def loss(step: Step) -> Tensor:
        fake: Any = sample(step.networks, step.condition)
        noise = torch.randn(fake.image.shape[1:], generator=step.random)
        (gradient,) = torch.autograd.grad((fake.image * noise).sum(), fake.latents, create_graph=True)
        assert gradient.shape[1:] == (7, 5)
        return gradient.square().sum((1, 2)).mean()

    return loss


def one_hot(mask: Tensor, classes: int) -> Tensor:
    return F.one_hot(mask, classes).permute(0, 3, 1, 2).float().contiguous()


class StyleEncoder(nn.Module):
    def __init__(self, options: SubjectOptions, context: BuildContext) -> None:
        super().__init__()
        self.classes = len(context.label_map)
        self.fault = options.fault
        self.read = nn.Conv2d(3 + self.classes, options.width, 3, padding=1)
        self.spoil = Spoiled(options.fault, options.width)
        self.code = nn.Linear(options.width, context.dimension("style"))

    def forward(self, image: Tensor, mask: Tensor) -> Style | Tensor:
        hidden = self.read(torch.cat([image, one_hot(mask, self.classes)], 1))
        code: Tensor = self.code(F.softplus(self.spoil(hidden)).mean((2, 3)))
        if self.fault == "type":
            return code
        return Style(code[:, 1:] if self.fault == "shape" else code)


class Generator(nn.Module):
    def __init__(self, options: SubjectOptions, context: BuildContext) -> None:
        super().__init__()
        self.classes = len(context.label_map)
        self.fault = options.fault
        self.lay = nn.Conv2d(self.classes, options.width, 3, padding=1)
        self.dress = nn.Linear(context.dimension("style"), options.width)
        self.spoil = Spoiled(options.fault, options.width)
        self.paint = nn.Conv2d(options.width, 3, 3, padding=1)

    def forward(self, condition: Condition, style: Style | None) -> Generated:
        assert style is not None
        hidden = self.spoil(self.lay(one_hot(condition.mask, self.classes)))
        image = self.paint(F.softplus(hidden + self.dress(style.code)[:, :, None, None]))
        if self.fault == "undeclared" and condition.attributes is not None:
            image = image + condition.attributes.sum()
        image = image if self.fault == "range" else image.tanh()
        return Generated(F.avg_pool2d(image, 2) if self.fault == "shape" else image)


class Discriminator(nn.Module):
    def __init__(self, options: SubjectOptions, context: BuildContext) -> None:
        super().__init__()
        self.classes = len(context.label_map)
        self.fault = options.fault
        self.read = nn.Conv2d(3 + self.classes, options.width, 3, padding=1)
        self.spoil = Spoiled(options.fault, options.width)
        self.logits = nn.Conv2d(options.width, 1, 3, padding=1)

    def forward(self, picture: Generated, condition: Condition) -> DiscriminatorOutput:
        hidden = self.spoil(self.read(torch.cat([picture.image, one_hot(condition.mask, self.classes)], 1)))
        logits = self.logits(F.softplus(hidden))
        features = () if self.fault == "shape" else (hidden,)
        if self.fault == "undeclared" and condition.reference is not None:
            logits = logits + condition.attributes.sum() if condition.attributes is not None else logits
        return DiscriminatorOutput((ScaleOutput(logits, features),))


def style_encoder(options: SubjectOptions, context: BuildContext) -> nn.Module:
    return StyleEncoder(options, context)


def generator(options: SubjectOptions, context: BuildContext) -> nn.Module:
    return Generator(options, context)


def discriminator(options: SubjectOptions, context: BuildContext) -> nn.Module:
    return Discriminator(options, context)


def modulated(options: SubjectOptions, context: BuildContext) -> nn.Module:
    return ModulatedGenerator(options, context)


def by_class(options: SubjectOptions, context: BuildContext) -> nn.Module:
    return ByClass(options, context)


def vae_encoder(options: SubjectOptions, context: BuildContext) -> nn.Module:
    return VaeEncoder(options, context)


def vae_generator(options: SubjectOptions, context: BuildContext) -> nn.Module:
    return VaeGenerator(options, context)


def looks_at_numbers(options: SubjectOptions, context: BuildContext) -> nn.Module:
    return Generator(options.model_copy(update={"fault": "fake"}), context)


def half_the_size(options: SubjectOptions, context: BuildContext) -> nn.Module:
    return Generator(options.model_copy(update={"fault": "shape"}), context)


class Loss(nn.Module):
    def __init__(self, options: SubjectOptions) -> None:
        super().__init__()
        self.fault = options.fault
        self.secret = torch.rand(()) if options.fault == "save" else torch.zeros(())
        if options.fault == "own_parameter":
            self.scale = nn.Parameter(torch.ones(()))

    def forward(self, step: Step) -> Tensor:
        made, real = sample(step.networks, step.condition).image, step.batch.image
        if self.fault == "gradient":
            made = made.detach().requires_grad_()
        difference = (made - real).abs()
        value = difference.sum() if self.fault == "independence" else difference.mean()
        value = value * (1 + self.secret)
        if self.fault == "undeclared":
            value = value + encode(step.networks, step.condition.reference).code.mean()
        if self.fault == "vector":
            return difference.mean((1, 2, 3))
        if self.fault == "double":
            return value.double()
        if self.fault == "determinism":
            value = value + torch.rand(())
        if self.fault == "bf16":
            value = value + 30 * torch.sin(4096 * made.detach()).mean()
        if self.fault == "channels_last" and real.stride(1) == 1:
            value = 2 * value
        if self.fault == "channels_last_gradient" and real.stride(1) == 1:
            value = 2 * value - value.detach()
        if self.fault == "fake" and float(value.detach()) < 0:
            value = -value
        if self.fault == "in_place":
            step.batch.image.mul_(0.5)
        return value


def loss(options: SubjectOptions, context: BuildContext) -> nn.Module:
    return Loss(options)


class Metric:
    """Mean absolute difference, a value each sample."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.values: list[float] = []

    @property
    def tasks(self) -> tuple[Any, ...]:
        return ("repainting",) if self.fault == "ports" else ("reconstruction",)

    def update(self, observation: Observation) -> None:
        values = (observation.generated.image - observation.target).abs().double().mean((1, 2, 3))
        if self.fault == "in_place":
            observation.condition.mask.zero_()
        self.values.extend([float(values.mean())] if self.fault == "batches" else values.tolist())

    def compute(self) -> tuple[Measurement, ...]:
        if not self.values and self.fault != "nothing":
            raise FacekitError("nothing was observed")
        value = math.fsum(self.values) / max(len(self.values), 1)
        if self.fault == "determinism":
            value += float(torch.rand(()))
            return (Measurement("difference", value, "", "lower", {}, len(self.values)),)
        better: Any = {"better": "higher", "direction": "up"}.get(self.fault, "lower")
        values = tuple(self.values) if self.fault != "per_sample" else tuple(2 * entry for entry in self.values)
        return (Measurement("difference", value, "", better, {}, len(self.values), values),)


def metric(options: SubjectOptions, context: BuildContext) -> Metric:
    return Metric(options.fault)


def dataset(options: Any, context: Any) -> Files:
    return Files(options)
