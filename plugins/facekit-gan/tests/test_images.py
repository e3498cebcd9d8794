"""Real and generated images of a step: what they are, how often they are made, with which graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from facekit.interfaces import FaceBatch, FacekitError, Generated, Step, Style
from facekit_gan import condition_of, discriminate, fake, generate, real, shuffled_attributes, shuffled_style, style


def test_each_thing_is_made_when_asked_for_and_once(bench: Any) -> None:
    step = bench.step("generator")
    assert (bench.calls("style_encoder"), bench.calls("generator")) == ([], [])
    assert fake(step) is fake(step)
    assert shuffled_style(step) is shuffled_style(step)
    assert real(step) is real(step)
    assert style(step) is style(step)
    assert generate(step, step.condition) is fake(step)
    assert generate(step, condition_of(step, shuffled_style(step))) is shuffled_style(step)
    # One pass of the encoder serves both.
    assert (bench.calls("style_encoder"), bench.calls("generator")) == ([4], [4, 4])


def test_fake_is_what_the_model_makes_of_the_batch(bench: Any) -> None:
    step = bench.step("generator")
    torch.testing.assert_close(fake(step).image, bench.model.generate(bench.batch.condition).image)
    torch.testing.assert_close(style(step).code, bench.model.encode(bench.batch.reference).code)
    assert condition_of(step, fake(step)) is step.condition
    assert condition_of(step, real(step)) is step.condition
    assert real(step).image is bench.batch.image


def test_fake_without_a_style_encoder_reads_no_reference(make_bench: Any, make_faces: Any) -> None:
    bench = make_bench(style=False)
    bench.batch = make_faces(reference=False)
    step = bench.step("generator")
    torch.testing.assert_close(fake(step).image, bench.model.generate(bench.batch.condition).image)
    with pytest.raises(FacekitError, match="no style encoder"):
        style(step)
    with pytest.raises(FacekitError, match="there is no reference"):
        shuffled_style(step)


def test_fake_of_a_recipe_with_a_sampler_is_the_samplers(make_bench: Any, own_sampler: Any) -> None:
    bench = make_bench(sampler=own_sampler)
    step = bench.step("generator")
    condition = bench.batch.condition
    expected = bench.model.get_submodule("generator")(condition, bench.model.encode(condition.reference))
    torch.testing.assert_close(fake(step).image, -expected.image)
    rolled = condition.rolled_reference(1)
    torch.testing.assert_close(shuffled_style(step).image, bench.model.generate(rolled).image)
    with pytest.raises(FacekitError, match="it takes no style"):
        generate(step, rolled, bench.model.encode(condition.reference))


def test_regions_that_another_style_lacks_have_the_pixels_of_the_photo(bench: Any) -> None:
    """A code for every region; the reference of face 0 does not show region 2."""
    step = bench.step("generator")
    encode, count = bench.model.get_submodule("style_encoder"), len(bench.batch)
    present = torch.ones(count, 3, dtype=torch.bool)
    present[0, 2] = False
    whole = encode.forward

    def regional(image: torch.Tensor, mask: torch.Tensor | None) -> Style:
        return replace(whole(image, mask), axis="regions", present=present)

    encode.forward = regional
    expected = bench.model.generate(bench.batch.condition.rolled_reference()).image
    made = shuffled_style(step).image
    lacks = torch.zeros(count, 1, *bench.batch.mask.shape[1:], dtype=torch.bool)
    lacks[1, 0] = bench.batch.mask[1] == 2  # face 1 has the style of face 0
    assert lacks.any()
    torch.testing.assert_close(made, torch.where(lacks, bench.batch.image, expected))
    assert not torch.allclose(made, expected)


def test_shuffled_style_is_each_mask_in_the_style_of_another_face(bench: Any) -> None:
    step = bench.step("generator")
    expected = bench.model.generate(bench.batch.condition.rolled_reference())
    torch.testing.assert_close(shuffled_style(step).image, expected.image)
    wanted = condition_of(step, shuffled_style(step))
    assert wanted.reference is not None
    assert torch.equal(wanted.reference.image[1], bench.batch.reference.image[0])
    assert torch.equal(wanted.reference.mask[1], bench.batch.reference.mask[0])
    assert torch.equal(wanted.mask, bench.batch.mask)


def test_every_other_face_takes_its_turn_and_never_the_own(bench: Any) -> None:
    shifts = []
    for index in range(6):
        step = bench.step("generator", index=index)
        reference = condition_of(step, shuffled_style(step)).reference
        assert reference is not None
        own = bench.batch.reference.image
        shifts.append(next(shift for shift in range(4) if torch.equal(reference.image, own.roll(shift, 0))))
    assert shifts == [1, 2, 3, 1, 2, 3]


def test_some_faces_are_made_in_the_style_of_one_further_away(bench: Any) -> None:
    with torch.no_grad():
        step = bench.step("discriminator", index=1)
        condition = bench.batch.condition.rolled_reference(2).first(2)
        made = shuffled_style(step, 2)
        assert made.image.shape[0] == 2
        torch.testing.assert_close(made.image, bench.model.generate(condition).image, rtol=0, atol=1e-5)
        assert made is shuffled_style(step, 2)
        assert made is not shuffled_style(step, 3)
        assert shuffled_style(step, 9) is shuffled_style(step)
        own, all_of_them = discriminate(step, made), discriminate(step, fake(step))
    assert own.scales[0].logits.shape[0] == 2
    assert all_of_them.scales[0].logits.shape[0] == 4
    alone = bench.model.discriminate(made, condition)
    torch.testing.assert_close(own.scales[0].logits, alone.scales[0].logits, rtol=1e-4, atol=1e-5)


def test_shuffled_attributes_are_those_of_the_batch_in_another_order(bench: Any) -> None:
    orders = set()
    for seed in range(20):
        memory = bench.memory()
        step = bench.step("discriminator", memory, seed=seed)
        wanted = condition_of(step, shuffled_attributes(step))
        assert wanted.attributes is not None
        assert sorted(wanted.attributes[:, 0].tolist()) == [0, 1, 2, 3]
        orders.add(tuple(wanted.attributes[:, 0].tolist()))
        assert wanted.source_image is bench.batch.image
        assert wanted.mask is bench.batch.mask
        again = bench.step("discriminator", seed=seed)
        assert torch.equal(condition_of(again, shuffled_attributes(again)).attributes, wanted.attributes)  # type: ignore[arg-type]
        # Both players of a step see the same ones.
        later = bench.step("generator", memory, seed=seed)
        assert condition_of(later, shuffled_attributes(later)) is wanted
        torch.testing.assert_close(shuffled_attributes(step).image, bench.model.generate(wanted).image)
    assert len(orders) > 5


def test_shuffled_attributes_are_made_once_and_cut_for_the_discriminator(bench: Any) -> None:
    memory = bench.memory()
    with bench.trainable("generator"):
        turn = bench.step("discriminator", memory)
        assert not shuffled_attributes(turn).image.requires_grad
        step = bench.step("generator", memory)
        made = shuffled_attributes(step)
        assert made.image.requires_grad
        assert generate(step, condition_of(step, made)) is made
        assert (bench.calls("style_encoder"), bench.calls("generator")) == ([4], [4])
        output = discriminate(step, made)
        assert output is discriminate(step, made, condition_of(step, made))


def test_data_without_attributes_is_said(bench: Any) -> None:
    bench.batch = replace(bench.batch, attributes=None)
    with pytest.raises(FacekitError, match="the data has none"):
        shuffled_attributes(bench.step("generator"))


def test_real_photos_get_the_sizes_of_the_pyramid(make_bench: Any) -> None:
    bench = make_bench(pyramid=True)
    step = bench.step("discriminator")
    assert [level.shape for level in real(step).pyramid] == [level.shape for level in fake(step).pyramid]
    assert real(step).pyramid[0].shape == (4, 3, 8, 8)
    torch.testing.assert_close(real(step).pyramid[0], torch.nn.functional.avg_pool2d(bench.batch.image, 2))
    discriminate(step, fake(step))
    discriminate(step, real(step))
    assert bench.calls("discriminator") == [8]
    # A generator without one is not asked.
    plain = make_bench()
    real(plain.step("discriminator"))
    assert plain.calls("generator") == []


def test_generate_makes_anything_else_anew_and_knows_what_for(bench: Any) -> None:
    step = bench.step("generator")
    wanted = step.condition.rolled_reference(3)
    made = generate(step, wanted)
    assert condition_of(step, made) is wanted
    assert generate(step, wanted) is not made
    torch.testing.assert_close(made.image, bench.model.generate(wanted).image)
    own = generate(step, step.condition, style(step).roll())
    assert own is not fake(step)
    torch.testing.assert_close(own.image, bench.model.generate(step.condition, style(step).roll()).image)
    assert condition_of(step, Generated(bench.batch.image)) is step.condition


def test_one_forward_pass_serves_both_turns(bench: Any) -> None:
    memory = bench.memory()
    with bench.trainable("discriminator"):
        step = bench.step("discriminator", memory)
        assert not fake(step).image.requires_grad
        assert not style(step).code.requires_grad
        discriminate(step, fake(step)).scales[0].logits.sum().backward()
    assert not bench.gradients("generator")
    assert bench.gradients("discriminator")
    with bench.trainable("generator"):
        fake(bench.step("generator", memory)).image.sum().backward()
    assert (bench.calls("style_encoder"), bench.calls("generator")) == ([4], [4])
    shared = [gradient.clone() for name in ("style_encoder", "generator") for gradient in bench.gradients(name)]
    bench.model.zero_grad()
    with bench.trainable("generator"):
        fake(bench.step("generator")).image.sum().backward()
    alone = [gradient for name in ("style_encoder", "generator") for gradient in bench.gradients(name)]
    assert len(shared) == len(alone) > 6
    for one, other in zip(shared, alone, strict=True):
        torch.testing.assert_close(one, other)


def test_a_step_of_the_engine_shares_passes_between_its_turns(bench: Any) -> None:
    def critic(step: Step) -> torch.Tensor:
        photos, made, others = real(step), fake(step), shuffled_style(step)
        outputs = [discriminate(step, each).scales[0].logits.mean() for each in (made, others)]
        return torch.stack(outputs).sum() - discriminate(step, photos).scales[0].logits.mean()

    def generator(step: Step) -> torch.Tensor:
        photos, made, others = real(step), fake(step), shuffled_style(step)
        values = [discriminate(step, each).scales[0].logits.mean() for each in (photos, made, others)]
        return values[0] - values[1] - values[2] + (made.image - photos.image).abs().mean()

    before = {name: weight.clone() for name, weight in bench.model.named_parameters()}
    bench.run({"discriminator": [critic], "generator": [generator]}, steps=2)
    assert bench.calls("style_encoder") == [4, 4]
    assert bench.calls("generator") == [4, 4, 4, 4]
    # The discriminator's turn judges all in one pass. Then its weights have changed; the generator's turn judges real
    # photos apart, without a graph.
    assert bench.calls("discriminator") == [12, 4, 8, 12, 4, 8]
    assert not [name for name, weight in bench.model.named_parameters() if torch.equal(weight, before[name])]


def test_images_are_kept_no_longer_than_their_step(bench: Any, make_faces: Callable[..., FaceBatch]) -> None:
    import gc
    import weakref

    step = bench.step("generator")
    kept = weakref.ref(fake(step).image)
    discriminate(step, fake(step))
    assert kept() is not None
    del step
    gc.collect()
    assert kept() is None
