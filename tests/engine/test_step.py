"""The step: what ``once`` computes, how often and with which graph; in which precision; whose turn it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from facekit.data import FaceLoader
from facekit.engine.networks import FaceModel, RunNetworks, build_model
from facekit.engine.open_data import open_data
from facekit.engine.players import PlayerInTraining, WeightedLoss, build_losses, build_players
from facekit.engine.precision import Precision
from facekit.engine.step import BatchMemory, StepRunner, TrainingStep
from facekit.interfaces import FaceBatch, FacekitError, Generated, Judgement, Player, Step, Style, discriminate, encode
from facekit.interfaces import sample as sample_image
from facekit.recipe import ResolvedRecipe
from facekit.recipe.settings import OptimiserSettings, TrainSettings
from facekit.registry import Registry

ReadRecipe = Callable[..., ResolvedRecipe]
CPU = torch.device("cpu")


class Bench:
    """The tiny recipe's model, a batch and steps on it."""

    def __init__(self, recipe: ResolvedRecipe, registry: Registry) -> None:
        packed = open_data(recipe, registry)
        told = {"label_map": packed.label_map, "attribute_names": packed.attribute_names}
        self.model: FaceModel = build_model(recipe, **told).train()  # type: ignore[arg-type]
        precision = Precision(CPU, recipe.train.precision)
        self.networks = RunNetworks(self.model, precision, recipe=recipe, label_maps=registry.label_maps)
        losses = build_losses(recipe, precision=precision, **told)  # type: ignore[arg-type]
        self.players = build_players(recipe, model=self.model, losses=losses, steps=8)
        self.batch: FaceBatch = FaceLoader(packed, packed.rows("train"), batch=4, seed=0).batch(0)

    def memory(self) -> BatchMemory:
        return BatchMemory(self.batch)

    def step(
        self, player: Player, memory: BatchMemory | None = None, *, seed: tuple[int | str, ...] = (0,)
    ) -> TrainingStep:
        """A turn on a batch; the players that come after it on the same one are awake in what it computes once."""
        order = list(self.players)
        later = [self.players[name] for name in order[order.index(player) + 1 :]]
        return TrainingStep(
            index=0,
            player=player,
            trained=self.players[player].trained,
            networks=self.networks,
            memory=memory or self.memory(),
            seed=(*seed, player),
            later=lambda: _all_awake(later),
        )

    def calls(self, name: str) -> int:
        counted = self.model.get_submodule(name).calls
        return len(counted) if isinstance(counted, list) else counted  # type: ignore[return-value,arg-type]

    def gradients(self, name: str) -> list[str]:
        return [key for key, weight in self.model.get_submodule(name).named_parameters() if weight.grad is not None]


def _all_awake(players: list[PlayerInTraining]) -> AbstractContextManager[object]:
    stack = ExitStack()
    for player in players:
        stack.enter_context(player.awake(0))
    return stack


def code(step: Step) -> Style:
    return step.once("style", lambda: encode(step.networks, step.condition.reference))


def image(step: Step) -> Generated:
    """Made from the style, which is computed once of its own."""
    return step.once("image", lambda: sample_image(step.networks, step.condition, code(step)))


def output(step: Step) -> Judgement:
    return step.once("output", lambda: discriminate(step.networks, image(step), step.condition))


@pytest.fixture
def bench(read: ReadRecipe, registry: Registry) -> Bench:
    return Bench(read(), registry)


def test_what_once_makes_is_made_when_asked_for_and_once(bench: Bench) -> None:
    memory = bench.memory()
    step = bench.step("generator", memory)
    assert (bench.calls("style_encoder"), bench.calls("generator")) == (0, 0)
    assert image(step) is image(step)
    assert code(step) is code(step)
    assert step.once(("other", 1), lambda: image(step)) is image(step)
    assert (bench.calls("style_encoder"), bench.calls("generator")) == (1, 1)
    assert step.condition is step.condition
    assert step.condition is bench.step("discriminator", memory).condition
    # Another batch is another memory.
    other = bench.step("generator")
    assert image(other) is not image(step)
    assert bench.calls("generator") == 2


def test_what_no_network_is_in_is_the_same_object_for_all_turns(bench: Bench) -> None:
    memory, made = bench.memory(), []

    def make() -> Tensor:
        made.append(1)
        return torch.ones(2, requires_grad=True)

    first = bench.step("discriminator", memory).once("plain", make)
    assert bench.step("generator", memory).once("plain", make) is first
    assert first.requires_grad
    assert len(made) == 1


def test_players_that_do_not_train_a_network_see_its_results_cut(bench: Bench) -> None:
    memory = bench.memory()
    with bench.players["discriminator"].awake(0):
        step = bench.step("discriminator", memory)
        assert not image(step).image.requires_grad
        assert not code(step).code.requires_grad
        assert image(step) is image(step)
        logits = output(step).scales[0].logits
        assert logits.requires_grad
        logits.sum().backward()
    assert bench.gradients("discriminator")
    assert not bench.gradients("generator")
    assert not bench.gradients("style_encoder")
    assert not any(parameter.requires_grad for parameter in bench.model.parameters())


def test_the_later_turn_gets_the_same_result_with_its_graph(bench: Bench) -> None:
    memory = bench.memory()
    with bench.players["discriminator"].awake(0):
        cut = image(bench.step("discriminator", memory))
    with bench.players["generator"].awake(0):
        step = bench.step("generator", memory)
        whole = image(step)
        assert whole.image.requires_grad
        assert torch.equal(whole.image, cut.image)
        assert cut.image.data_ptr() == whole.image.data_ptr()
        whole.image.sum().backward()
    assert (bench.calls("style_encoder"), bench.calls("generator")) == (1, 1)
    shared = {name: weight.grad for name, weight in bench.model.named_parameters() if weight.grad is not None}
    assert {name.split(".")[0] for name in shared} == {"style_encoder", "generator"}
    bench.model.zero_grad()
    with bench.players["generator"].awake(0):
        image(bench.step("generator")).image.sum().backward()
    for name, gradient in shared.items():
        torch.testing.assert_close(gradient, bench.model.get_parameter(name).grad)


def test_what_a_network_made_is_forgotten_after_its_update_and_nothing_else(bench: Bench) -> None:
    memory = bench.memory()
    step = bench.step("discriminator", memory)
    before = image(step), output(step), code(step)
    memory.forget(frozenset({"discriminator"}))
    step = bench.step("generator", memory)
    with bench.players["generator"].awake(0):
        image(step), code(step)
        assert (bench.calls("style_encoder"), bench.calls("generator"), bench.calls("discriminator")) == (1, 1, 1)
        assert output(step) is not before[1]
        assert bench.calls("discriminator") == 2
    memory.forget(frozenset({"style_encoder"}))
    assert not memory.entries  # the image was made from the style, the output from the image
    image(step)
    assert (bench.calls("style_encoder"), bench.calls("generator")) == (2, 2)


def test_what_mixes_networks_of_two_players_reaches_both_in_their_own_turns(bench: Bench) -> None:
    memory = bench.memory()

    def logits(step: Step) -> Tensor:
        return step.once("logits", lambda: discriminate(step.networks, image(step), step.condition).scales[0].logits)

    with bench.players["discriminator"].awake(0):
        step = bench.step("discriminator", memory)
        weights = [weight for weight in bench.players["discriminator"].parameters.values() if weight.requires_grad]
        logits(step).sum().backward(inputs=weights)
    assert bench.gradients("discriminator")
    assert not bench.gradients("generator")
    assert memory.entries["logits"].networks == {"style_encoder", "generator", "discriminator"}
    # That backward pass left the graph of the image whole.
    with bench.players["generator"].awake(0):
        image(bench.step("generator", memory)).image.sum().backward()
    assert bench.gradients("generator")
    assert bench.gradients("style_encoder")
    assert (bench.calls("style_encoder"), bench.calls("generator")) == (1, 1)


def test_who_asks_first_without_gradients_takes_none_from_the_others(bench: Bench) -> None:
    with bench.players["generator"].awake(0):
        step = bench.step("generator")
        with torch.no_grad():
            first = image(step)
        assert image(step) is first
        first.image.sum().backward()
    assert bench.gradients("generator")
    assert bench.gradients("style_encoder")


def test_nested_results_are_cut_as_a_whole_and_share_one_pass(bench: Bench) -> None:
    memory = bench.memory()

    def pair(step: Step) -> tuple[Tensor, Tensor]:
        return step.once("pair", lambda: (image(step).image, code(step).code))

    with bench.players["discriminator"].awake(0):
        first, second = pair(bench.step("discriminator", memory))
        assert not first.requires_grad
        assert not second.requires_grad
    assert memory.entries["pair"].networks == {"style_encoder", "generator"}
    with bench.players["generator"].awake(0):
        step = bench.step("generator", memory)
        first, second = pair(step)
        (first.mean() + second.mean()).backward()
    assert (bench.calls("style_encoder"), bench.calls("generator")) == (1, 1)
    assert len(bench.gradients("style_encoder")) == 4
    assert bench.gradients("generator")


def test_full_precision_is_full_and_results_are_float32(read: ReadRecipe, registry: Registry) -> None:
    bench = Bench(read("train.precision=bf16"), registry)
    step = bench.step("discriminator")
    own = output(step)
    dtypes = {image(step).image.dtype, code(step).code.dtype, own.scales[0].logits.dtype}
    dtypes |= {feature.dtype for feature in own.scales[0].features}
    assert dtypes == {torch.float32}
    # Feature maps are cast for who looks at them, and kept as they were computed.
    with torch.autocast("cpu", dtype=torch.bfloat16):
        plain = bench.model.judge(image(step), step.condition).scales[0]
    assert {feature.dtype for feature in plain.features} == {torch.bfloat16}
    kept = bench.networks["discriminator"](image(step), step.condition).scales[0]
    slot = type(kept).__mro__[1].__dict__["features"]
    assert {feature.dtype for feature in slot.__get__(kept)} == {torch.bfloat16}
    # The plain network and full precision agree to the last bit; autocast does not.
    bench.model.eval()
    photo = Generated(bench.batch.image)
    exact = bench.model.judge(photo, step.condition).scales[0].logits
    with torch.autocast("cpu", dtype=torch.bfloat16), step.full_precision():
        assert torch.equal(discriminate(step.networks, photo, step.condition).scales[0].logits, exact)
        assert torch.equal(step.networks["discriminator"].forward(photo, step.condition).scales[0].logits, exact)
    rough = discriminate(step.networks, photo, step.condition).scales[0].logits
    assert not torch.equal(rough, exact)
    torch.testing.assert_close(rough, exact, atol=0.05, rtol=0.05)


def test_full_precision_nests_and_ends_with_an_exception(read: ReadRecipe, registry: Registry) -> None:
    bench = Bench(read("train.precision=bf16"), registry)
    bench.model.eval()
    step = bench.step("discriminator")
    photo = Generated(bench.batch.image)

    def logits() -> Tensor:
        return discriminate(step.networks, photo, step.condition).scales[0].logits

    rough = logits()
    with step.full_precision():
        with step.full_precision():
            exact = logits()
        assert torch.equal(logits(), exact)
    assert torch.equal(logits(), rough)
    with suppress(FacekitError), step.full_precision():
        step.networks["none"]
    assert torch.equal(logits(), rough)
    assert not torch.equal(rough, exact)


def test_random_depends_on_the_turn_alone(bench: Bench) -> None:
    players: list[Player] = ["generator", "generator", "discriminator"]
    draws = [torch.rand(3, generator=bench.step(player).random) for player in players]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    step = bench.step("generator")
    assert step.random is step.random


def test_what_the_recipe_lacks_is_said(bench: Bench) -> None:
    networks = RunNetworks(bench.model.only(["generator"]), Precision(CPU))
    step = TrainingStep(
        index=0,
        player="generator",
        trained=frozenset({"generator"}),
        networks=networks,
        memory=bench.memory(),
        seed=(0,),
    )
    with pytest.raises(FacekitError, match="no discriminator"):
        discriminate(step.networks, Generated(bench.batch.image), step.condition)
    with pytest.raises(FacekitError, match="no style encoder"):
        encode(step.networks, step.condition.reference)
    with pytest.raises(FacekitError, match=r"no discriminator.*\n.*add model\.discriminator"):
        step.networks["discriminator"]
    with pytest.raises(FacekitError, match=r"no generater.*\n.*did you mean 'generator'"):
        step.networks["generater"]
    assert "generator" in step.networks
    assert "discriminator" not in step.networks
    assert list(step.networks) == ["generator"]


# Steps of several players, on networks of one weight.


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


class Game:
    """Players that train a network each, by updates of plain size."""

    def __init__(self, losses: dict[Player, LossFunction], **train: Any) -> None:
        self.model = FaceModel({name: Scale(2.0 + place) for place, name in enumerate(losses)})
        self.model.requires_grad_(False)
        self.networks = RunNetworks(self.model, Precision(CPU))
        self.settings = TrainSettings(steps=10, **train)
        optimiser = OptimiserSettings(lr=0.1, betas=(0.0, 0.0), eps=1e-8)
        self.players = {
            name: PlayerInTraining(
                name=name,
                model=self.model,
                trained=[name],
                losses=[WeightedLoss("own", 1.0, loss)],
                optimiser=optimiser,
                frozen=(),
                steps=10,
                gradient_clip=None,
                turns=self.settings.turns.get(name, 1),
            )
            for name, loss in losses.items()
        }
        self.watched: list[tuple[str, float, tuple[str, ...], float]] = []
        self.runner = StepRunner(self.networks, self.players, self.settings, steps=10, watch=self.watch)
        self.taken = 0

    def watch(self, name: str, value: Tensor, batch: FaceBatch, *, share: float) -> None:
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

    def average(weights: object) -> None:
        gradients.extend(float(weight.grad) for weight in weights)  # type: ignore[attr-defined]

    game = Game({"first": lambda s: shared("first")(s) + shared("second")(s), "second": shared("second")}, accumulate=3)
    game.runner = StepRunner(game.networks, game.players, game.settings, steps=10, watch=game.watch, average=average)
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
    game.runner = StepRunner(game.networks, game.players, game.settings, steps=1, updates=False, shares=False)
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
        player.losses = (WeightedLoss("own", 1.0, loss),)
        runner = StepRunner(RunNetworks(model, Precision(CPU)), {"first": player}, game.settings, steps=10)
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
    runner = StepRunner(RunNetworks(model, Precision(CPU)), game.players, game.settings, steps=10)
    batch = replace(next(game.faces()), extra={"depth": torch.ones(1, 2)})
    runner.run(0, iter([batch]))
    assert seen.keys() == {"depth", "latent"}
    assert batch.extra.keys() == {"depth"}
