"""Turns of several players in a step: what they share, see and leave; micro-batches, rounds and noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from facekit.interfaces import (
    FaceBatch,
    FacekitError,
    NoOptions,
    Player,
    Step,
)
from facekit.recipe.resolved import ComponentChoice, Mark, OptimiserChoice, ScheduleChoice, UpdateChoices
from facekit.recipe.settings import TrainSettings
from facekit.registry import PluginSet, Registry
from facekit.training.failures import Culprit
from facekit.training.network_call import RunNetworks
from facekit.training.networks import FaceModel
from facekit.training.players import PlayerInTraining, WeightedLoss
from facekit.training.precision import Precision
from facekit.training.step import StepRunner

CPU = torch.device("cpu")


class Scale(nn.Module):
    """Multiplies by its weight."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))
        self.calls = 0

    def forward(self, numbers: Tensor) -> Tensor:
        self.calls += 1
        return numbers * self.weight

    def twice(self, numbers: Tensor) -> Tensor:
        return self.forward(self.forward(numbers))


LossFunction = Callable[[Step], Tensor]


def updates(**options: Any) -> UpdateChoices:
    """How players are updated: by Adam, at a constant rate."""
    registry = Registry(PluginSet({"FACEKIT_NO_PLUGINS": "1"}))
    adam, constant = registry.find("optimiser", "adam"), registry.find("schedule", "constant")
    nowhere, rate = Mark("", 0, 0, ""), options.pop("lr")
    return UpdateChoices(
        OptimiserChoice(ComponentChoice(adam, adam.spec.options(**options), "train.optimiser", nowhere), rate),
        ScheduleChoice(ComponentChoice(constant, NoOptions(), "train.schedule", nowhere), 0),
    )


class Game:
    """Players that train a network each, by updates of plain size."""

    def __init__(self, losses: dict[Player, LossFunction], **train: Any) -> None:
        self.model = FaceModel({name: Scale(2.0 + place) for place, name in enumerate(losses)})
        self.model.requires_grad_(False)
        self.networks = RunNetworks(self.model, Precision(CPU))
        self.settings = TrainSettings(steps=10, **train)
        adam = updates(lr=0.1, betas=(0.0, 0.0), eps=1e-8)
        self.players = {
            name: PlayerInTraining(
                name=name,
                model=self.model,
                trained=[name],
                losses=[WeightedLoss("own", 1.0, loss, Culprit("the loss"))],
                updates=adam,
                lr_scale={},
                frozen=(),
                steps=10,
                gradient_clip=None,
                turns=self.settings.turns.get(name, 1),
            )
            for name, loss in losses.items()
        }
        self.watched: list[tuple[str, float, tuple[str, ...], float]] = []
        self.runner = StepRunner(self.networks, self.players, self.settings, watch=self.watch)
        self.taken = 0

    def watch(self, name: str, value: Tensor, batch: FaceBatch, share: float) -> None:
        self.watched.append((name, float(value.detach()), batch.keys, share))

    def faces(self) -> Iterator[FaceBatch]:
        while True:
            self.taken += 1
            yield FaceBatch(torch.full((1, 3, 2, 2), float(self.taken)), (f"face{self.taken}",))

    def run(self, index: int = 0, *, checking: bool = False) -> None:
        self.runner.run(index, self.faces(), checking=checking)

    def weight(self, name: str) -> float:
        return float(self.model.get_parameter(f"{name}.weight"))

    def calls(self, name: str) -> int:
        return self.model.get_submodule(name).calls  # type: ignore[return-value]


def shared(name: str) -> LossFunction:
    """The image times a network, computed once."""
    return lambda step: step.once(name, lambda: step.networks[name](step.batch.image)).mean()


def test_players_take_turns_on_the_same_faces_and_share() -> None:
    seen: list[tuple[str, str, bool]] = []

    def looks_at(*names: str) -> LossFunction:
        def loss(step: Step) -> Tensor:
            values = [shared(name)(step) for name in names]
            seen.extend((step.player, name, value.requires_grad) for name, value in zip(names, values, strict=True))
            return torch.stack(values).sum()

        return loss

    game = Game(
        {
            "first": looks_at("first", "second", "third"),
            "second": looks_at("second", "first"),
            "third": looks_at("third", "first"),
        }
    )
    game.run()
    assert seen == [
        ("first", "first", True),
        ("first", "second", False),
        ("first", "third", False),
        ("second", "second", True),
        ("second", "first", False),
        ("third", "third", True),
        ("third", "first", False),
    ]
    # Of the first, one pass in its own turn; after its update another one, which the two others share.
    assert (game.calls("first"), game.calls("second"), game.calls("third")) == (2, 1, 1)
    assert game.weight("first") == pytest.approx(1.9)
    assert game.weight("second") == pytest.approx(2.9)
    assert game.weight("third") == pytest.approx(3.9)
    assert [name for name, *_ in game.watched] == ["first/own", "second/own", "third/own"]
    assert {keys for _, _, keys, _ in game.watched} == {("face1",)}
    # The second player saw the network of the first as it is after its update.
    assert game.watched[1][1] == pytest.approx(3 + 1.9)


def test_the_later_of_three_players_gets_the_graph_through_the_turn_between() -> None:
    """What the first computes of the third's network passes the update of the second, which is not behind it."""
    game = Game(
        {
            "first": lambda s: shared("first")(s) + shared("third")(s),
            "second": shared("second"),
            "third": shared("third"),
        }
    )
    game.run()
    assert (game.calls("first"), game.calls("second"), game.calls("third")) == (1, 1, 1)
    assert game.weight("third") == pytest.approx(3.9)


def mixed(step: Step) -> Tensor:
    """Both networks in one `make`, neither cut from the other."""
    return step.once("mixed", lambda: step.networks["two"](step.networks["one"](step.batch.image))).mean()


def test_a_mixed_result_leaves_no_gradient_in_the_other_player() -> None:
    gradients: list[Tensor | None] = []

    def second(step: Step) -> Tensor:
        gradients.append(game.model.get_parameter("two.weight").grad)
        return mixed(step)

    game = Game({"one": mixed, "two": second})
    game.run()
    assert gradients == [None]
    # Each moved by its own gradient alone: the second's is of the network as the first left it.
    assert game.weight("one") == pytest.approx(1.9)
    assert game.weight("two") == pytest.approx(2.9)
    assert game.calls("one") == game.calls("two") == 2
    assert all(weight.grad is None for weight in game.model.parameters())


def test_several_micro_batches_share_nothing_and_average_their_gradients() -> None:
    gradients: list[float] = []

    @contextmanager
    def average(weights: Sequence[nn.Parameter]) -> Iterator[None]:
        yield
        gradients.extend(float(weight.grad) for weight in weights if weight.grad is not None)

    game = Game({"first": lambda s: shared("first")(s) + shared("second")(s), "second": shared("second")}, accumulate=3)
    game.runner = StepRunner(game.networks, game.players, game.settings, watch=game.watch, average=average)
    assert game.runner.micro_batches == 3
    game.run()
    assert game.taken == 3
    assert (game.calls("first"), game.calls("second")) == (3, 6)
    # Both players saw the same three faces; their gradients are means of 1, 2 and 3.
    assert gradients == [pytest.approx(2.0), pytest.approx(2.0)]
    assert [keys for name, _, keys, _ in game.watched if name == "first/own"] == [("face1",), ("face2",), ("face3",)]
    assert [keys for name, _, keys, _ in game.watched if name == "second/own"] == [("face1",), ("face2",), ("face3",)]
    assert [share for *_, share in game.watched] == [pytest.approx(1 / 3)] * 6


def test_a_player_of_several_turns_sees_other_faces_each_time() -> None:
    both = {"critic": lambda step: shared("critic")(step) + shared("maker")(step), "maker": shared("maker")}
    game = Game(both, turns={"critic": 3})
    assert game.runner.micro_batches == 3
    game.run()
    assert [(name, keys[0]) for name, _, keys, _ in game.watched] == [
        ("critic/own", "face1"),
        ("critic/own", "face2"),
        ("critic/own", "face3"),
        ("maker/own", "face3"),  # it acts in the last round, on the faces of the critic's last turn
    ]
    assert [share for *_, share in game.watched] == [pytest.approx(1 / 3)] * 3 + [1.0]
    assert game.weight("critic") == pytest.approx(2.0 - 3 * 0.1)
    assert game.weight("maker") == pytest.approx(2.9)
    assert (game.calls("critic"), game.calls("maker")) == (3, 3)  # the last round's pass is shared


def test_methods_of_a_network_are_called_as_the_network_is() -> None:
    def loss(step: Step) -> Tensor:
        assert step.networks["alone"].calls == 2 * step.index
        value = step.once("twice", lambda: step.networks["alone"].twice(step.batch.image))
        return value.mean()

    def other(step: Step) -> Tensor:
        return shared("other")(step) + loss_cut(step)

    def loss_cut(step: Step) -> Tensor:
        value = step.once("twice", lambda: step.networks["alone"].twice(step.batch.image))
        assert not value.requires_grad
        return value.mean()

    game = Game({"alone": loss, "other": other})
    game.run()
    # A method counts as a call of its network: the other player sees the result anew after the update, and cut.
    assert game.calls("alone") == 4
    assert game.weight("alone") == pytest.approx(1.9)


def test_steps_of_the_shape_check_update_nothing_and_share_nothing() -> None:
    game = Game({"first": lambda s: shared("first")(s) + shared("second")(s), "second": shared("second")})
    game.runner = StepRunner(game.networks, game.players, game.settings, updates=False, shares=False)
    game.run(checking=True)
    assert (game.weight("first"), game.weight("second")) == (2.0, 3.0)
    assert game.calls("second") == 2
    assert all(weight.grad is None for weight in game.model.parameters())


def test_a_turn_without_a_gradient_is_an_error_when_checking_alone() -> None:
    def cut(step: Step) -> Tensor:
        return shared("first")(step).detach()

    game = Game({"first": cut})
    game.run()  # lazy penalties do not come each step
    with pytest.raises(FacekitError, match=r"losses\.first: no gradient arrives: the losses of the first \(own\)"):
        game.run(checking=True)


def test_noise_is_drawn_from_seed_step_and_micro_batch() -> None:
    def noise_of(game: Game, index: int) -> list[Tensor]:
        seen: list[Tensor] = []

        def loss(step: Step) -> Tensor:
            seen.append(step.condition.extra["latent"])
            assert step.batch.extra["latent"] is step.condition.extra["latent"]
            return shared("first")(step)

        model = FaceModel({"first": game.model.get_submodule("first")}, noise={"latent": (3, 2)})
        player = game.players["first"]
        player.losses = (WeightedLoss("own", 1.0, loss, Culprit("the loss")),)
        runner = StepRunner(RunNetworks(model, Precision(CPU)), {"first": player}, game.settings)
        runner.run(index, game.faces())
        return seen

    first, again, later = (noise_of(Game({"first": shared("first")}, accumulate=2), index) for index in (0, 0, 1))
    seeded = noise_of(Game({"first": shared("first")}, accumulate=2, seed=1), 0)
    assert [tensor.shape for tensor in first] == [(1, 3, 2)] * 2
    assert torch.equal(torch.stack(first), torch.stack(again))
    drawn = [*first, *later, *seeded]
    assert all(not torch.equal(a, b) for place, a in enumerate(drawn) for b in drawn[:place])


def test_fields_that_the_batch_brings_stay_beside_the_noise() -> None:
    seen: dict[str, Tensor] = {}

    def loss(step: Step) -> Tensor:
        seen.update(step.condition.extra)
        return shared("first")(step)

    game = Game({"first": loss})
    model = FaceModel({"first": game.model.get_submodule("first")}, noise={"latent": (4,)})
    runner = StepRunner(RunNetworks(model, Precision(CPU)), game.players, game.settings)
    batch = replace(next(game.faces()), extra={"depth": torch.ones(1, 2)})
    runner.run(0, iter([batch]))
    assert seen.keys() == {"depth", "latent"}
    assert batch.extra.keys() == {"depth"}
