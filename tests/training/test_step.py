"""The step: what ``once`` computes, how often and with which graph; in which precision; whose turn it is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress

import pytest
import torch
from torch import Tensor

from facekit.data.loader import FaceLoader
from facekit.interfaces import (
    DiscriminatorOutput,
    FaceBatch,
    FacekitError,
    Generated,
    Player,
    Step,
    Style,
    discriminate,
    encode,
)
from facekit.interfaces import sample as sample_image
from facekit.recipe import ResolvedRecipe
from facekit.registry import Registry
from facekit.training.network_call import RunNetworks
from facekit.training.networks import FaceModel, build_model
from facekit.training.open_data import open_data
from facekit.training.players import PlayerInTraining, build_losses, build_players
from facekit.training.precision import Acceleration, HalfWeights, Precision
from facekit.training.step import BatchMemory, StepRunner, TrainingStep, rehearse

ReadRecipe = Callable[..., ResolvedRecipe]
CPU = torch.device("cpu")


class Bench:
    """The tiny recipe's model, a batch and steps on it."""

    def __init__(self, recipe: ResolvedRecipe, registry: Registry, *, halved: bool = False) -> None:
        packed = open_data(recipe, registry)
        told = {"label_map": packed.label_map, "attribute_names": packed.attribute_names}
        self.model: FaceModel = build_model(recipe, **told).train()  # type: ignore[arg-type]
        precision = Precision(CPU, recipe.train.precision)
        half = HalfWeights(self.model) if halved else None
        self.networks = RunNetworks(self.model, precision, recipe=recipe, label_maps=registry.label_maps, half=half)
        losses = build_losses(recipe, precision=precision, **told)  # type: ignore[arg-type]
        self.players = build_players(recipe, model=self.model, losses=losses, steps=8, half=half)
        self.batch: FaceBatch = FaceLoader(packed, packed.rows("train"), batch=4, seed=0).batch(0)

    def memory(self) -> BatchMemory:
        return BatchMemory(self.batch)

    def step(
        self, player: Player, memory: BatchMemory | None = None, *, seed: tuple[int | str, ...] = (0,)
    ) -> TrainingStep:
        """A turn on a batch; the players that come after it on the same one are trainable in what it computes once."""
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
        stack.enter_context(player.trainable(0))
    return stack


def code(step: Step) -> Style:
    return step.once("style", lambda: encode(step.networks, step.condition.reference))


def image(step: Step) -> Generated:
    """Made from the style, which is computed once of its own."""
    return step.once("image", lambda: sample_image(step.networks, step.condition, code(step)))


def output(step: Step) -> DiscriminatorOutput:
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
    with bench.players["discriminator"].trainable(0):
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
    with bench.players["discriminator"].trainable(0):
        cut = image(bench.step("discriminator", memory))
    with bench.players["generator"].trainable(0):
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
    with bench.players["generator"].trainable(0):
        image(bench.step("generator")).image.sum().backward()
    for name, gradient in shared.items():
        torch.testing.assert_close(gradient, bench.model.get_parameter(name).grad)


def test_what_a_network_made_is_forgotten_after_its_update_and_nothing_else(bench: Bench) -> None:
    memory = bench.memory()
    step = bench.step("discriminator", memory)
    before = image(step), output(step), code(step)
    memory.forget(frozenset({"discriminator"}))
    step = bench.step("generator", memory)
    with bench.players["generator"].trainable(0):
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

    with bench.players["discriminator"].trainable(0):
        step = bench.step("discriminator", memory)
        weights = [weight for weight in bench.players["discriminator"].parameters.values() if weight.requires_grad]
        logits(step).sum().backward(inputs=weights)
    assert bench.gradients("discriminator")
    assert not bench.gradients("generator")
    assert memory.entries["logits"].networks == {"style_encoder", "generator", "discriminator"}
    # That backward pass left the graph of the image whole.
    with bench.players["generator"].trainable(0):
        image(bench.step("generator", memory)).image.sum().backward()
    assert bench.gradients("generator")
    assert bench.gradients("style_encoder")
    assert (bench.calls("style_encoder"), bench.calls("generator")) == (1, 1)


def test_who_asks_first_without_gradients_takes_none_from_the_others(bench: Bench) -> None:
    with bench.players["generator"].trainable(0):
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

    with bench.players["discriminator"].trainable(0):
        first, second = pair(bench.step("discriminator", memory))
        assert not first.requires_grad
        assert not second.requires_grad
    assert memory.entries["pair"].networks == {"style_encoder", "generator"}
    with bench.players["generator"].trainable(0):
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
        plain = bench.model.discriminate(image(step), step.condition).scales[0]
    assert {feature.dtype for feature in plain.features} == {torch.bfloat16}
    kept = bench.networks["discriminator"](image(step), step.condition).scales[0]
    slot = type(kept).__mro__[1].__dict__["features"]
    assert {feature.dtype for feature in slot.__get__(kept)} == {torch.bfloat16}
    # The plain network and full precision agree to the last bit; autocast does not.
    bench.model.eval()
    photo = Generated(bench.batch.image)
    exact = bench.model.discriminate(photo, step.condition).scales[0].logits
    with torch.autocast("cpu", dtype=torch.bfloat16), step.full_precision():
        assert torch.equal(discriminate(step.networks, photo, step.condition).scales[0].logits, exact)
        assert torch.equal(step.networks["discriminator"].forward(photo, step.condition).scales[0].logits, exact)
    rough = discriminate(step.networks, photo, step.condition).scales[0].logits
    assert not torch.equal(rough, exact)
    torch.testing.assert_close(rough, exact, atol=0.05, rtol=0.05)


def test_copies_in_bf16_train_as_casts_do(read: ReadRecipe, registry: Registry) -> None:
    recipe = read("train.precision=bf16", "train.optimiser={use: adam, lr: 1.0e-3}")
    benches = [Bench(recipe, registry, halved=halved) for halved in (False, True)]
    seen: list[list[float]] = [[], []]
    for bench, values in zip(benches, seen, strict=True):
        watch = lambda name, value, batch, share, values=values: values.append(value.item())  # noqa: E731
        runner = StepRunner(bench.networks, bench.players, recipe.train, watch=watch)
        runner.run(0, iter([bench.batch]), checking=True)
        runner.run(1, iter([bench.batch]))
    count = len(seen[0]) // 2
    assert seen[0][0] == seen[1][0]  # before the first update
    assert seen[1] == pytest.approx(seen[0], rel=2e-2)
    assert seen[0][count:] != seen[0][:count]
    for cast, copied in zip(*(bench.model.parameters() for bench in benches), strict=True):
        assert copied.dtype == torch.float32
        assert copied.grad is None
        # Adam moves each weight by about the rate, whatever its gradient: signs agree but for the smallest.
        assert ((cast - copied).abs() < 1e-4).float().mean() > 0.9
    half = benches[1].networks.half
    assert half is not None
    assert all(torch.equal(copy, own.bfloat16()) for own, copy in half.copies.items())


def test_steps_are_tried_before_a_choice_and_leave_nothing(
    read: ReadRecipe, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = read("train.precision=fp32")
    bench = Bench(recipe, registry)
    before = {name: tensor.clone() for name, tensor in bench.model.state_dict().items()}
    graphs = bench.networks.acceleration = Acceleration(cuda_graphs=True, chosen=True)
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: None)
    assert rehearse(bench.networks, bench.players, recipe.train, [bench.batch]) == graphs
    assert not bench.networks.is_plain

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no kernel\nfor this")

    bench.networks["generator"]._fast = fail
    found = rehearse(bench.networks, bench.players, recipe.train, [bench.batch])
    assert found == Acceleration(why="neither CUDA graphs nor compiled, since that fails: no kernel")
    assert all(torch.equal(before[name], tensor) for name, tensor in bench.model.state_dict().items())
    # From now on networks are called as they are.
    StepRunner(bench.networks, bench.players, recipe.train, updates=False).run(0, iter([bench.batch]))


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
