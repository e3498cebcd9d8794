"""Steps of the engine over networks that count their calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.interfaces import (
    GENERATED,
    GENERATED_PYRAMID,
    Condition,
    DiscriminatorOutput,
    FaceBatch,
    Generated,
    NoOptions,
    Player,
    Ports,
    Reference,
    ScaleOutput,
    Step,
    Style,
)
from facekit.recipe.resolved import ComponentChoice, Mark, OptimiserChoice, ScheduleChoice, UpdateChoices
from facekit.recipe.settings import TrainSettings
from facekit.registry import PluginSet, Registry
from facekit.training.failures import Culprit
from facekit.training.network_call import RunNetworks
from facekit.training.networks import FaceModel
from facekit.training.players import PlayerInTraining, WeightedLoss
from facekit.training.precision import Precision
from facekit.training.step import BatchMemory, StepRunner, TrainingStep

CLASSES, NUMBERS = 3, 5
LossFunction = Callable[[Step], Tensor]


def planes(mask: Tensor | None, dtype: torch.dtype) -> Tensor:
    assert mask is not None
    return F.one_hot(mask, CLASSES).permute(0, 3, 1, 2).to(dtype)


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.read = nn.Linear(3, NUMBERS)
        self.calls: list[int] = []

    def forward(self, image: Tensor, mask: Tensor | None) -> Style:
        self.calls.append(len(image))
        return Style(self.read((image * (planes(mask, image.dtype)[:, 1:].sum(1, keepdim=True))).mean((2, 3))))


class TinyGenerator(nn.Module):
    """Reads mask and style, and adds what the attributes say where there are any."""

    def __init__(self, *, styled: bool, pyramid: bool, maps: bool) -> None:
        super().__init__()
        self.pyramid, self.maps = pyramid, maps
        self.stem = nn.Conv2d(CLASSES, 4, 3, padding=1)
        self.style = nn.Linear(NUMBERS, 4) if styled else None
        self.change = nn.Linear(1, 4)
        self.head = nn.Conv2d(4, 3, 3, padding=1)
        self.calls: list[int] = []

    def forward(self, condition: Condition, style: Style | None) -> Generated:
        features = self.stem(planes(condition.mask, self.stem.weight.dtype))
        self.calls.append(len(features))
        if self.style is not None:
            assert style is not None
            features = features + self.style(style.code)[:, :, None, None]
        if condition.attributes is not None:
            features = features + self.change(condition.attributes)[:, :, None, None]
        image = torch.tanh(self.head(F.softplus(features)))
        levels = (F.avg_pool2d(image, 2),) if self.pyramid else ()
        return Generated(image, levels, {"depth": image.mean(1)} if self.maps else {})


class Critic(nn.Module):
    """Looks at image and mask, and at the mean of each map."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(CLASSES + 3, 4, 4, 2, 1)
        self.second = nn.Conv2d(4, 1, 4, 2, 1)
        self.calls: list[int] = []

    def forward(self, picture: Generated, condition: Condition) -> DiscriminatorOutput:
        self.calls.append(len(picture.image))
        pair = torch.cat([planes(condition.mask, picture.image.dtype), picture.image], 1)
        features = F.softplus(self.first(pair))
        logits = self.second(features)
        for tensor in picture.maps.values():
            logits = logits + tensor.flatten(1).mean(1)[:, None, None, None]
        return DiscriminatorOutput((ScaleOutput(logits, (features,)),))


class OwnSampler:
    """Paints by itself, in a style that it encodes by itself."""

    def __call__(self, networks: Mapping[str, Callable[..., Any]], condition: Condition) -> Generated:
        assert condition.reference is not None
        style = networks["style_encoder"](condition.reference.image, condition.reference.mask)
        made: Generated = networks["generator"](condition, style)
        return Generated(-made.image)


def faces(count: int = 4, *, seed: int = 0, attributes: bool = True, reference: bool = True) -> FaceBatch:
    random = torch.Generator().manual_seed(seed)
    image, other = torch.rand(2, count, 3, 16, 16, generator=random) * 2 - 1
    mask, other_mask = torch.randint(CLASSES, (2, count, 16, 16), generator=random)
    return FaceBatch(
        image=image,
        keys=tuple(f"{seed}/{index}" for index in range(count)),
        mask=mask,
        reference=Reference(other, other_mask) if reference else None,
        attributes=torch.arange(float(count))[:, None] if attributes else None,
    )


def updates(**options: Any) -> UpdateChoices:
    """How players are updated: by Adam, at a constant rate."""
    registry = Registry(PluginSet({"FACEKIT_NO_PLUGINS": "1"}))
    adam, constant = registry.find("optimiser", "adam"), registry.find("schedule", "constant")
    nowhere, rate = Mark("", 0, 0, ""), options.pop("lr")
    return UpdateChoices(
        OptimiserChoice(ComponentChoice(adam, adam.spec.options(**options), "train.optimiser", nowhere), rate),
        ScheduleChoice(ComponentChoice(constant, NoOptions(), "train.schedule", nowhere), 0),
    )


class Bench:
    """Networks and their players; the discriminator's turn comes first.

    Args:
        style: with a style encoder.
        pyramid: a generator that gives a coarser image too.
        maps: a generator that gives a depth.
        sampler: a sampler in place of the default.
    """

    def __init__(
        self,
        *,
        style: bool = True,
        pyramid: bool = False,
        maps: bool = False,
        sampler: OwnSampler | None = None,
        discriminator: bool = True,
    ) -> None:
        torch.manual_seed(0)
        networks: dict[str, nn.Module] = {"style_encoder": Encoder()} if style else {}
        networks["generator"] = TinyGenerator(styled=style, pyramid=pyramid, maps=maps)
        if discriminator:
            networks["discriminator"] = Critic()
        self.model = FaceModel(networks, sampler=sampler).requires_grad_(False)
        gives = (GENERATED, *((GENERATED_PYRAMID,) if pyramid else ()))
        self.networks = RunNetworks(self.model, Precision(torch.device("cpu")), ports={"generator": Ports(gives=gives)})
        makers = [name for name in networks if name != "discriminator"]
        self.trained: dict[Player, list[str]] = {"discriminator": ["discriminator"]} if discriminator else {}
        self.trained["generator"] = makers
        self.batch = faces()

    def players(self, losses: Mapping[Player, Sequence[LossFunction]]) -> dict[Player, PlayerInTraining]:
        return {
            name: PlayerInTraining(
                name=name,
                model=self.model,
                trained=self.trained[name],
                losses=[
                    WeightedLoss(f"loss{place}", 1.0, loss, Culprit("the loss"))
                    for place, loss in enumerate(losses.get(name, ()))
                ],
                updates=updates(lr=1e-3),
                lr_scale={},
                frozen=(),
                steps=10,
                gradient_clip=None,
            )
            for name in self.trained
        }

    def memory(self) -> BatchMemory:
        return BatchMemory(self.batch)

    def step(self, player: Player, memory: BatchMemory | None = None, *, index: int = 0, seed: int = 0) -> TrainingStep:
        """A turn; the generator's is the later one, so that its networks are trainable in what the turn computes
        once."""
        later = self.players({})["generator"] if player == "discriminator" else None

        def trainable() -> AbstractContextManager[object]:
            stack = ExitStack()
            if later is not None:
                stack.enter_context(later.trainable(0))
            return stack

        return TrainingStep(
            index=index,
            player=player,
            trained=frozenset(self.trained[player]),
            networks=self.networks,
            memory=memory or self.memory(),
            seed=(seed, index, player),
            later=trainable,
        )

    def trainable(self, player: Player) -> AbstractContextManager[object]:
        return self.players({})[player].trainable(0)

    def run(self, losses: Mapping[Player, Sequence[LossFunction]], *, steps: int = 1) -> None:
        """Train steps as the loop does."""

        def batches() -> Iterator[FaceBatch]:
            seed = 0
            while True:
                yield faces(seed=seed)
                seed += 1

        runner = StepRunner(self.networks, self.players(losses), TrainSettings(steps=10))
        source = batches()
        for index in range(steps):
            runner.run(index, source)

    def calls(self, name: str) -> list[int]:
        """How many samples each forward pass of a network had."""
        found: list[int] = self.model.get_submodule(name).calls  # type: ignore[assignment]
        return found

    def gradients(self, name: str) -> list[Tensor]:
        return [weight.grad for weight in self.model.get_submodule(name).parameters() if weight.grad is not None]


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def make_bench() -> Callable[..., Bench]:
    return Bench


@pytest.fixture
def make_faces() -> Callable[..., FaceBatch]:
    return faces


@pytest.fixture
def own_sampler() -> OwnSampler:
    return OwnSampler()
