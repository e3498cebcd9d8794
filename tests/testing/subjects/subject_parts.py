"""What the subjects are made of."""

from __future__ import annotations

import math
from typing import Any

import torch
from subject_files import Files
from subject_specs import SubjectOptions
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.interfaces import (
    BuildContext,
    Condition,
    FacekitError,
    Generated,
    Judgement,
    Measurement,
    Observation,
    ScaleJudgement,
    Step,
    Style,
)
from facekit_gan import fake, style


class Stashed(torch.autograd.Function):
    """A product that keeps its factor where autograd does not see it."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, scale: Tensor) -> Tensor:
        ctx.scale = scale
        return hidden * scale

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * ctx.scale, None


class Spoiled(nn.Module):
    """Breaks one promise of networks on the way through."""

    def __init__(self, fault: str, width: int) -> None:
        super().__init__()
        self.fault = fault
        self.secret = torch.randn(width, 1, 1) if fault == "save" else None
        if fault == "gradient":
            self.unused = nn.Parameter(torch.ones(3))
        if fault.startswith("early"):
            self.scale = nn.Parameter(torch.ones(width, 1, 1))

    def forward(self, hidden: Tensor) -> Tensor:
        if self.fault == "not_finite_gradient":
            hidden = hidden + (hidden - hidden.detach()).pow(2).sqrt()
        if self.fault == "early":
            hidden = hidden * self.scale.detach() + self.scale
        if self.fault == "early_and_unseen":
            hidden = Stashed.apply(hidden, self.scale.detach()) + self.scale
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
        if self.fault == "fake" and float(hidden.detach().abs().sum()) < 0:
            hidden = -hidden
        return hidden


def one_hot(mask: Tensor, classes: int) -> Tensor:
    return F.one_hot(mask, classes).permute(0, 3, 1, 2).float().contiguous()


class StyleEncoder(nn.Module):
    updated_early = True

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
    updated_early = True

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
    updated_early = True

    def __init__(self, options: SubjectOptions, context: BuildContext) -> None:
        super().__init__()
        self.classes = len(context.label_map)
        self.fault = options.fault
        self.read = nn.Conv2d(3 + self.classes, options.width, 3, padding=1)
        self.spoil = Spoiled(options.fault, options.width)
        self.judge = nn.Conv2d(options.width, 1, 3, padding=1)

    def forward(self, picture: Generated, condition: Condition) -> Judgement:
        hidden = self.spoil(self.read(torch.cat([picture.image, one_hot(condition.mask, self.classes)], 1)))
        logits = self.judge(F.softplus(hidden))
        features = () if self.fault == "shape" else (hidden,)
        if self.fault == "undeclared" and condition.reference is not None:
            logits = logits + condition.attributes.sum() if condition.attributes is not None else logits
        return Judgement((ScaleJudgement(logits, features),))


def style_encoder(options: SubjectOptions, context: BuildContext) -> nn.Module:
    return StyleEncoder(options, context)


def generator(options: SubjectOptions, context: BuildContext) -> nn.Module:
    return Generator(options, context)


def discriminator(options: SubjectOptions, context: BuildContext) -> nn.Module:
    return Discriminator(options, context)


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
        made, real = fake(step).image, step.batch.image
        if self.fault == "gradient":
            made = made.detach().requires_grad_()
        difference = (made - real).abs()
        value = difference.sum() if self.fault == "independence" else difference.mean()
        value = value * (1 + self.secret)
        if self.fault == "undeclared":
            value = value + style(step).code.mean()
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
