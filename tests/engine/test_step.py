"""The step: what is computed, how often, with which graph and in which precision."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from facekit.engine.replay import ReplayPool

from facekit.data import FaceLoader
from facekit.engine.model import FaceModel, build_model
from facekit.engine.networks import Networks, make_networks
from facekit.engine.open_data import open_data
from facekit.engine.players import PlayerInTraining, build_losses, build_players
from facekit.engine.precision import Precision
from facekit.engine.step import GeneratorPass, TrainingStep
from facekit.interfaces import FaceBatch, FacekitError, Generated, Player
from facekit.recipe import ResolvedRecipe
from facekit.registry import Registry

ReadRecipe = Callable[..., ResolvedRecipe]


class Bench:
    """A model, a batch and steps on them."""

    def __init__(self, recipe: ResolvedRecipe, registry: Registry, *, batch_dependent: bool = False) -> None:
        packed = open_data(recipe, registry)
        self.recipe = recipe
        self.model: FaceModel = build_model(
            recipe, label_map=packed.label_map, attribute_names=packed.attribute_names
        ).train()
        precision = Precision(torch.device("cpu"), recipe.train.precision)
        self.networks: Networks = make_networks(
            recipe, self.model, precision, label_maps=registry.label_maps, compile=False
        )
        self.networks.batch_dependent = batch_dependent
        losses = build_losses(
            recipe, precision=precision, label_map=packed.label_map, attribute_names=packed.attribute_names
        )
        self.players: dict[Player, PlayerInTraining] = build_players(recipe, model=self.model, losses=losses, steps=8)
        self.batch: FaceBatch = FaceLoader(packed, packed.rows("train"), batch=4, seed=0).batch(0)

    def made(self, *, keep_graph: bool = True) -> GeneratorPass:
        return GeneratorPass(self.networks, self.batch, nullcontext if keep_graph else torch.no_grad)

    def step(self, player: Player, made: GeneratorPass | None = None, pool: ReplayPool | None = None) -> TrainingStep:
        made = made or self.made()
        return TrainingStep(index=0, player=player, networks=self.networks, made=made, seed=(0, player), pool=pool)

    def gradient(self, name: str) -> torch.Tensor | None:
        return self.model.get_parameter(name).grad

    @property
    def judged(self) -> list[int]:
        calls: list[int] = self.model.discriminator.calls  # type: ignore[assignment]
        return calls

    def counts(self) -> tuple[int, int]:
        return self.model.style_encoder.calls, self.model.generator.calls  # type: ignore[return-value]


@pytest.fixture
def bench(read: ReadRecipe, registry: Registry) -> Bench:
    return Bench(read(), registry)


def test_each_thing_is_computed_when_asked_for_and_once(bench: Bench) -> None:
    step = bench.step("generator")
    assert bench.counts() == (0, 0)
    assert step.fake is step.fake
    assert step.swapped is step.swapped
    assert step.real is step.real
    assert step.condition is step.condition
    assert step.generate(step.condition) is step.fake
    assert step.generate(step.swapped_condition) is step.swapped
    assert bench.counts() == (1, 2)  # one encoder pass serves both results
    assert step.judge(step.fake) is step.judge(step.fake)


def test_swapped_is_each_mask_in_the_look_of_another(bench: Bench) -> None:
    bench.model.eval()
    step = bench.step("generator")
    expected = bench.model.generate(bench.batch.condition.rolled_reference())
    torch.testing.assert_close(step.swapped.image, expected.image)
    assert step.swapped_condition.reference_image is not None
    assert torch.equal(step.swapped_condition.reference_image[1], bench.batch.reference_image[0])


def test_the_discriminators_turn_judges_jointly_and_sees_results_cut(bench: Bench) -> None:
    with bench.players["discriminator"].awake(0):
        step = bench.step("discriminator")
        assert not step.fake.image.requires_grad
        assert not step.style.code.requires_grad
        assert not step.encode(bench.batch.image, bench.batch.mask).code.requires_grad
        fake, real = step.judge(step.fake), step.judge(step.real)
        assert bench.judged == [8]
        assert real.scales[0].logits.requires_grad
        separate = bench.networks.judge(step.real, step.condition)
        torch.testing.assert_close(real.scales[0].logits, separate.scales[0].logits, atol=1e-4, rtol=1e-3)
        assert len(fake.scales[0].features[0]) == 4


def test_swapped_joins_the_pass_when_it_was_made_before(bench: Bench) -> None:
    with bench.players["discriminator"].awake(0):
        step = bench.step("discriminator")
        assert step.swapped is not None
        for picture in (step.real, step.fake, step.swapped):
            step.judge(picture)
        assert bench.judged == [12]
        late = bench.step("discriminator")
        late.judge(late.real)
        late.judge(late.swapped)
        assert bench.judged == [12, 4, 4]


def test_results_that_nobody_asked_for_are_not_made_to_be_judged(bench: Bench) -> None:
    with bench.players["discriminator"].awake(0):
        step = bench.step("discriminator")
        step.judge(step.transferred)
        step.judge(step.real)
        assert bench.judged == [8]
        assert "fake" not in step._made.__dict__
    with bench.players["generator"].awake(0):
        step = bench.step("generator")
        step.judge(step.transferred)
        assert bench.judged == [8, 4]
        assert bench.counts() == (2, 2)  # the style and the transferred result of each step


def test_transferred_is_each_face_with_the_attributes_of_the_batch_in_another_order(bench: Bench) -> None:
    attributes = torch.arange(4.0)[:, None]
    bench.batch = replace(bench.batch, attributes=attributes)
    orders = set()
    for seed in range(20):
        made = GeneratorPass(bench.networks, bench.batch, nullcontext, seed=(seed,))
        step = bench.step("generator", made)
        wanted = step.transferred_condition
        assert wanted.attributes is not None
        assert sorted(wanted.attributes[:, 0].tolist()) == [0, 1, 2, 3]
        orders.add(tuple(wanted.attributes[:, 0].tolist()))
        assert wanted.source_image is bench.batch.image
        assert wanted.mask is bench.batch.mask
        again = made.again(torch.no_grad)
        assert torch.equal(again.transferred_condition.attributes, wanted.attributes)  # type: ignore[arg-type]
        # Both players of a step see the same ones.
        assert bench.step("discriminator", made).transferred_condition is wanted
    assert len(orders) > 5


def test_transferred_is_made_once_and_cut_for_the_discriminator(bench: Bench) -> None:
    made = bench.made()
    with bench.players["generator"].awake(0):
        turn = bench.step("discriminator", made)
        assert not turn.transferred.image.requires_grad
        step = bench.step("generator", made)
        assert step.transferred.image.requires_grad
        assert step.generate(step.transferred_condition) is step.transferred
        assert bench.counts() == (1, 1)
        judgement = step.judge(step.transferred)
        assert judgement is step.judge(step.transferred, step.transferred_condition)


def test_data_without_attributes_is_said(bench: Bench) -> None:
    bench.batch = replace(bench.batch, attributes=None)
    with pytest.raises(FacekitError, match="the data has none"):
        _ = bench.step("generator").transferred


def test_a_batch_dependent_discriminator_judges_each_alone(read: ReadRecipe, registry: Registry) -> None:
    bench = Bench(read(), registry, batch_dependent=True)
    step = bench.step("discriminator")
    step.judge(step.fake)
    step.judge(step.real)
    step.judge(step.swapped)
    assert bench.judged == [4, 4, 4]


def test_the_generators_turn_judges_real_photos_without_a_graph(bench: Bench) -> None:
    with bench.players["generator"].awake(0):
        step = bench.step("generator")
        assert step.judge(step.fake).scales[0].logits.requires_grad
        assert not step.judge(step.real).scales[0].logits.requires_grad
        assert bench.judged == [4, 4]
        step.judge(step.fake).scales[0].logits.sum().backward()
    assert all(parameter.grad is None for parameter in bench.model.discriminator.parameters())
    assert bench.gradient("generator.head.weight") is not None
    assert bench.gradient("style_encoder.head.weight") is not None
    assert not any(parameter.requires_grad for parameter in bench.model.parameters())


def test_one_forward_pass_serves_both_turns(bench: Bench) -> None:
    made = GeneratorPass(bench.networks, bench.batch, lambda: bench.players["generator"].awake(0))
    with bench.players["discriminator"].awake(0):
        step = bench.step("discriminator", made)
        step.judge(step.fake).scales[0].logits.sum().backward()
    assert bench.gradient("generator.head.weight") is None
    with bench.players["generator"].awake(0):
        step = bench.step("generator", made)
        step.fake.image.sum().backward()
    assert bench.counts() == (1, 1)
    shared = bench.gradient("generator.head.weight")
    assert shared is not None
    shared = shared.clone()
    bench.model.generator.zero_grad()
    with bench.players["generator"].awake(0):
        bench.step("generator").fake.image.sum().backward()
    torch.testing.assert_close(shared, bench.gradient("generator.head.weight"))


def test_bf16_gives_float32_results_and_full_precision_is_full(read: ReadRecipe, registry: Registry) -> None:
    bench = Bench(read("train.precision=bf16"), registry)
    step = bench.step("discriminator")
    judgement = step.judge(step.real)
    dtypes = {step.fake.image.dtype, step.style.code.dtype, judgement.scales[0].logits.dtype}
    dtypes |= {feature.dtype for feature in judgement.scales[0].features}
    assert dtypes == {torch.float32}
    # Feature maps are cast for who looks at them, and kept as they were computed.
    kept = bench.networks.judge(step.real, step.condition).scales[0]
    assert (kept.logits.dtype, {feature.dtype for feature in kept.features}) == (torch.float32, {torch.bfloat16})
    # The plain network and full precision agree to the last bit; autocast does not.
    bench.model.eval()
    picture = Generated(bench.batch.image)
    exact = bench.model.judge(picture, step.condition).scales[0].logits
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(step.judge(picture, full_precision=True).scales[0].logits, exact)
    rough = step.judge(picture).scales[0].logits
    assert not torch.equal(rough, exact)
    torch.testing.assert_close(rough, exact, atol=0.05, rtol=0.05)


def test_random_depends_on_the_turn_alone(bench: Bench) -> None:
    draws = [
        torch.rand(3, generator=bench.step(player).random) for player in ("generator", "generator", "discriminator")
    ]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_real_photos_get_the_sizes_of_the_pyramid(read: ReadRecipe, registry: Registry) -> None:
    bench = Bench(read("model.generator.pyramid=true"), registry)
    step = bench.step("discriminator")
    assert [level.shape for level in step.real.pyramid] == [level.shape for level in step.fake.pyramid]
    assert step.real.pyramid[0].shape == (4, 3, 8, 8)
    torch.testing.assert_close(step.real.pyramid[0], torch.nn.functional.avg_pool2d(bench.batch.image, 2))
    step.judge(step.fake)
    step.judge(step.real)
    assert bench.judged == [8]


def test_what_the_recipe_lacks_is_said(read: ReadRecipe, registry: Registry) -> None:
    bench = Bench(read(), registry)
    del bench.model.discriminator
    bench.networks._discriminator = None
    with pytest.raises(FacekitError, match="no discriminator"):
        bench.step("generator").judge(Generated(bench.batch.image))
    model = FaceModel(generator=bench.model.generator)
    networks = Networks(model, Precision(torch.device("cpu")))
    step = TrainingStep(
        index=0,
        player="generator",
        networks=networks,
        made=GeneratorPass(networks, bench.batch, nullcontext),
        seed=(0,),
    )
    with pytest.raises(FacekitError, match="no style encoder"):
        _ = step.style


def test_the_pool_shows_past_results_with_the_masks_they_were_made_for(bench: Bench) -> None:
    pool = ReplayPool(6)
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    with torch.no_grad():
        for index in range(12):
            made = GeneratorPass(bench.networks, _shifted(bench.batch, index), torch.no_grad)
            step = TrainingStep(
                index=index, player="discriminator", networks=bench.networks, made=made, seed=(index,), pool=pool
            )
            seen += list(zip(made.fake.image, made.condition.mask, strict=True))
            fake, condition = step._fake_and_condition
            for image, mask in zip(fake.image, condition.mask, strict=True):
                assert any(torch.equal(image, other) and torch.equal(mask, own) for other, own in seen)
            assert step.judge(step.fake, step.condition) is step.judge(step.fake)
    assert len(pool) == 6
    copy = ReplayPool(6)
    copy.load_state(pool.state(), torch.device("cpu"))
    left, right = pool.state(), copy.state()
    assert left.keys() == right.keys()
    assert all(torch.equal(left[key], right[key]) for key in left)


def _shifted(batch: FaceBatch, shift: int) -> FaceBatch:
    mask = batch.mask.roll(shift, 1)
    return FaceBatch(batch.image, mask, batch.image.roll(shift, 0), mask, batch.attributes, batch.keys)


def test_some_of_the_batch_is_painted_in_the_look_of_a_face_further_away(bench: Bench) -> None:
    with torch.no_grad():
        made = GeneratorPass(bench.networks, bench.batch, nullcontext, swapped=2, shift=2)
        condition = bench.batch.condition.rolled_reference(2).first(2)
        assert made.swapped_condition.reference_image is not None
        assert condition.reference_image is not None
        assert torch.equal(made.swapped_condition.reference_image, condition.reference_image)
        assert made.swapped.image.shape[0] == 2
        torch.testing.assert_close(made.swapped.image, bench.model.generate(condition).image, rtol=0, atol=1e-5)
        step = TrainingStep(index=0, player="discriminator", networks=bench.networks, made=made, seed=(0,), pool=None)
        swapped, fake = step.judge(step.swapped), step.judge(step.fake)
    assert swapped.scales[0].logits.shape[0] == 2
    assert fake.scales[0].logits.shape[0] == len(bench.batch)
    alone = bench.networks.judge(step.fake, step.condition)
    torch.testing.assert_close(fake.scales[0].logits, alone.scales[0].logits, rtol=1e-4, atol=1e-5)
