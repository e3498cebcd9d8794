"""A small, real training step: tiny networks behind the interface that losses see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.interfaces import (
    BuildContext,
    Condition,
    DiscriminatorOutput,
    FaceBatch,
    Generated,
    LabelClass,
    LabelMap,
    Player,
    Reference,
    ScaleOutput,
    Style,
)
from facekit.training.network_call import RunNetworks
from facekit.training.networks import FaceModel
from facekit.training.precision import Precision
from facekit.training.step import BatchMemory, TrainingStep

CLASSES = 4
LABEL_MAP = LabelMap(
    name="tiny",
    classes=tuple(LabelClass(name, (40 * index, 0, 0)) for index, name in enumerate(("back", "skin", "hair", "hat"))),
)


class TinyEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 5)

    def forward(self, image: Tensor, mask: Tensor | None) -> Style:
        assert mask is not None
        return Style(self.layer((image * (mask > 0).unsqueeze(1)).mean((2, 3))))


class TinyGenerator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(CLASSES + 5, 3, 3, padding=1)

    def forward(self, condition: Condition, style: Style | None) -> Generated:
        assert style is not None
        geometry = one_hot(condition.require_mask(), style.code.dtype)
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

    def forward(self, picture: Generated, condition: Condition) -> DiscriminatorOutput:
        self.calls.append(len(picture.image))
        pair = torch.cat((one_hot(condition.require_mask(), picture.image.dtype), picture.image), 1)
        discriminator_outputs = []
        for scale, layers in enumerate(self.scales):
            hidden = F.avg_pool2d(pair, 2) if scale else pair
            features = []
            for layer in list(layers)[:-1]:  # type: ignore[arg-type]
                hidden = F.softplus(layer(hidden))
                features.append(hidden)
            discriminator_outputs.append(ScaleOutput(layers[-1](hidden), tuple(features)))  # type: ignore[index]
        return DiscriminatorOutput(tuple(discriminator_outputs))


def one_hot(mask: Tensor, dtype: torch.dtype) -> Tensor:
    return F.one_hot(mask, CLASSES).permute(0, 3, 1, 2).to(dtype)


class TinyStep(TrainingStep):
    """A turn of the engine over tiny networks, of which those take gradients that the player trains.

    Args:
        networks: by name.
        batch: the faces.
        player: whose turn it is; the discriminator trains its own network, any other player all the others.
        index: number of the step.
        seed: of the step's random numbers.
        mixed: whether the run computes in bf16.
    """

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        batch: FaceBatch,
        player: Player,
        *,
        index: int = 0,
        seed: int = 3,
        mixed: bool = False,
    ) -> None:
        self.model = FaceModel(networks)
        trained = {name for name in networks if (name == "discriminator") == (player == "discriminator")}
        for name, network in networks.items():
            network.requires_grad_(name in trained)
        super().__init__(
            index=index,
            player=player,
            trained=frozenset(trained),
            networks=RunNetworks(self.model, Precision(torch.device("cpu"), "bf16" if mixed else "fp32")),
            memory=BatchMemory(batch),
            seed=(seed, player),
        )

    @property
    def generator(self) -> nn.Module:
        return self.model.get_submodule("generator")

    @property
    def encoder(self) -> nn.Module:
        return self.model.get_submodule("style_encoder")

    @property
    def discriminator(self) -> nn.Module:
        return self.model.get_submodule("discriminator")

    @property
    def made(self) -> set[Any]:
        """The names of the images that the step made."""
        return {key[1] for key in self._memory.entries if isinstance(key, tuple) and isinstance(key[1], str)}


@pytest.fixture
def turn() -> type[TinyStep]:
    """The class of these turns, for networks of a test's own."""
    return TinyStep


@pytest.fixture
def make_step() -> Callable[..., TinyStep]:
    """Return a function that makes a step; equal arguments make equal steps."""

    def make(
        player: Player = "generator",
        *,
        count: int = 3,
        size: int = 16,
        dtype: torch.dtype = torch.float32,
        **changes: Any,
    ) -> TinyStep:
        torch.manual_seed(0)
        networks = {"generator": TinyGenerator(), "style_encoder": TinyEncoder(), "discriminator": TinyDiscriminator()}
        image = torch.rand(count, 3, size, size, dtype=dtype) * 2 - 1
        mask = torch.randint(CLASSES, (count, size // 4, size // 4)).repeat_interleave(4, 1).repeat_interleave(4, 2)
        batch = FaceBatch(
            image=image,
            keys=tuple(str(index) for index in range(count)),
            mask=mask,
            reference=Reference(image.flip(-1), mask.flip(-1)),
        )
        return TinyStep({name: each.to(dtype) for name, each in networks.items()}, batch, player, **changes)

    return make


@pytest.fixture
def context() -> BuildContext:
    """What a recipe with the tiny label map settles."""
    return BuildContext(label_map=LABEL_MAP, attribute_names=(), size=16)
