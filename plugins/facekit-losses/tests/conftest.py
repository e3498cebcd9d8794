"""A small, real training step: tiny networks behind the interface that losses see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.interfaces import (
    BuildContext,
    Condition,
    FaceBatch,
    Generated,
    Judgement,
    LabelClass,
    LabelMap,
    Player,
    ScaleJudgement,
    Style,
)

CLASSES = 4
LABEL_MAP = LabelMap(
    name="tiny",
    classes=tuple(LabelClass(name, (40 * index, 0, 0)) for index, name in enumerate(("back", "skin", "hair", "hat"))),
)


class TinyEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 5)

    def forward(self, image: Tensor, mask: Tensor) -> Style:
        return Style(self.layer((image * (mask > 0).unsqueeze(1)).mean((2, 3))))


class TinyGenerator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(CLASSES + 5, 3, 3, padding=1)

    def forward(self, condition: Condition, style: Style | None) -> Generated:
        assert style is not None
        geometry = one_hot(condition.mask, style.code.dtype)
        look = style.code[:, :, None, None].expand(-1, -1, *geometry.shape[-2:])
        return Generated(self.layer(torch.cat((geometry, look), 1)).tanh())


class TinyDiscriminator(nn.Module):
    """Two scales, two feature maps each. Smooth, so that numeric gradients are exact."""

    def __init__(self) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            nn.ModuleList(
                (
                    nn.Conv2d(CLASSES + 3, 4, 4, stride=2, padding=1),
                    nn.Conv2d(4, 6, 3, padding=1),
                    nn.Conv2d(6, 1, 3, padding=1),
                )
            )
            for _ in range(2)
        )
        self.calls: list[int] = []

    def forward(self, picture: Generated, condition: Condition) -> Judgement:
        self.calls.append(len(picture.image))
        pair = torch.cat((one_hot(condition.mask, picture.image.dtype), picture.image), 1)
        judgements = []
        for scale, layers in enumerate(self.scales):
            hidden = F.avg_pool2d(pair, 2) if scale else pair
            features = []
            for layer in list(layers)[:-1]:  # type: ignore[arg-type]
                hidden = F.softplus(layer(hidden))
                features.append(hidden)
            judgements.append(ScaleJudgement(layers[-1](hidden), tuple(features)))  # type: ignore[index]
        return Judgement(tuple(judgements))


def one_hot(mask: Tensor, dtype: torch.dtype) -> Tensor:
    return F.one_hot(mask, CLASSES).permute(0, 3, 1, 2).to(dtype)


@dataclass
class TinyStep:
    """A step over tiny networks; follows ``facekit.interfaces.Step``."""

    batch: FaceBatch
    player: Player
    generator: nn.Module
    encoder: nn.Module
    discriminator: TinyDiscriminator
    index: int = 0
    random: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(3))

    @property
    def condition(self) -> Condition:
        return self.batch.condition

    @cached_property
    def real(self) -> Generated:
        return Generated(self.batch.image)

    @cached_property
    def style(self) -> Style:
        return self.encode(self.batch.reference_image, self.batch.reference_mask)

    @cached_property
    def fake(self) -> Generated:
        return self._cut(self.generate(self.condition, self.style))

    @cached_property
    def swapped_condition(self) -> Condition:
        return self.condition.rolled_reference()

    @cached_property
    def swapped(self) -> Generated:
        return self._cut(self.generate(self.swapped_condition, self.style.roll()))

    def encode(self, image: Tensor, mask: Tensor) -> Style:
        style: Style = self.encoder(image, mask)
        return style

    def generate(self, condition: Condition, style: Style | None = None) -> Generated:
        assert condition.reference_image is not None
        assert condition.reference_mask is not None
        picture: Generated = self.generator(
            condition, style or self.encode(condition.reference_image, condition.reference_mask)
        )
        return picture

    def judge(
        self, picture: Generated, condition: Condition | None = None, *, full_precision: bool = False
    ) -> Judgement:
        if condition is None:
            condition = self.swapped_condition if picture is self.swapped else self.condition
        # As in training: the run computes in bf16, and only full precision keeps a judgement out of it.
        with torch.autocast("cpu", torch.bfloat16, enabled=self.mixed and not full_precision):
            judgement: Judgement = self.discriminator(picture, condition)
        return judgement

    mixed: bool = False

    def _cut(self, picture: Generated) -> Generated:
        return picture.detach() if self.player == "discriminator" else picture


@pytest.fixture
def make_step() -> Callable[..., TinyStep]:
    """Return a function that makes a step; equal arguments make equal steps."""

    def make(
        player: Player = "generator",
        *,
        count: int = 3,
        size: int = 16,
        dtype: torch.dtype = torch.float32,
        seed: int = 0,
        **changes: Any,
    ) -> TinyStep:
        torch.manual_seed(seed)
        networks = TinyGenerator().to(dtype), TinyEncoder().to(dtype), TinyDiscriminator().to(dtype)
        image = torch.rand(count, 3, size, size, dtype=dtype) * 2 - 1
        mask = torch.randint(CLASSES, (count, size // 4, size // 4)).repeat_interleave(4, 1).repeat_interleave(4, 2)
        batch = FaceBatch(
            image=image,
            mask=mask,
            reference_image=image.flip(-1),
            reference_mask=mask.flip(-1),
            attributes=None,
            keys=tuple(str(index) for index in range(count)),
        )
        return TinyStep(batch, player, *networks, **changes)

    return make


@pytest.fixture
def context() -> BuildContext:
    """What a recipe with the tiny label map settles."""
    return BuildContext(label_map=LABEL_MAP, attribute_names=(), size=16)
