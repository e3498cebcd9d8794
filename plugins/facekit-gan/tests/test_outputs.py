"""What the discriminator gives: in one pass where that may be, with the right condition, and in which precision."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch

from facekit.interfaces import FacekitError, Generated
from facekit_gan import discriminate, fake, real, shuffled_attributes, shuffled_style


def test_an_image_is_judged_once_a_turn(bench: Any) -> None:
    step = bench.step("generator")
    assert discriminate(step, fake(step)) is discriminate(step, fake(step))
    assert bench.calls("discriminator") == [4]
    memory = bench.memory()
    for _ in range(2):
        turn = bench.step("generator", memory)
        discriminate(turn, fake(turn))
    assert bench.calls("discriminator") == [4, 4, 4]  # another turn sees other weights


def test_the_discriminators_turn_judges_jointly_and_sees_results_cut(bench: Any) -> None:
    with bench.trainable("discriminator"):
        step = bench.step("discriminator")
        assert not fake(step).image.requires_grad
        photos = real(step)
        made, wanted = discriminate(step, fake(step)), discriminate(step, photos)
        assert bench.calls("discriminator") == [8]
        assert wanted.scales[0].logits.requires_grad
    for image, output in ((photos, wanted), (fake(step), made)):
        separate = bench.model.discriminate(image, step.condition)
        torch.testing.assert_close(output.scales[0].logits, separate.scales[0].logits, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(output.scales[0].features[0], separate.scales[0].features[0], atol=1e-5, rtol=1e-4)
    assert len(made.scales[0].features[0]) == 4


def test_shuffled_images_join_the_pass_when_they_were_made_before(bench: Any) -> None:
    with bench.trainable("discriminator"):
        step = bench.step("discriminator")
        images = [shuffled_style(step), fake(step), real(step)]
        outputs = [discriminate(step, image) for image in images]
        assert bench.calls("discriminator") == [12]
        late = bench.step("discriminator")
        discriminate(late, real(late))
        discriminate(late, shuffled_style(late))
        assert bench.calls("discriminator") == [12, 4, 4]
        for image, output in zip(images, outputs, strict=True):
            alone = bench.model.discriminate(image, step.condition)
            torch.testing.assert_close(output.scales[0].logits, alone.scales[0].logits, atol=1e-5, rtol=1e-4)


def test_images_that_nobody_asked_for_are_not_made_to_be_judged(bench: Any) -> None:
    with bench.trainable("discriminator"):
        step = bench.step("discriminator")
        image, photos = shuffled_attributes(step), real(step)
        discriminate(step, image)
        discriminate(step, photos)
        assert bench.calls("discriminator") == [8]
        assert bench.calls("generator") == [4]
    with bench.trainable("generator"):
        step = bench.step("generator")
        discriminate(step, shuffled_attributes(step))
        assert bench.calls("discriminator") == [8, 4]
        assert (bench.calls("style_encoder"), bench.calls("generator")) == ([4, 4], [4, 4])


def test_a_batch_dependent_discriminator_judges_each_alone(bench: Any) -> None:
    bench.networks["discriminator"].batch_dependent = True
    step = bench.step("discriminator")
    for image in [fake(step), real(step), shuffled_style(step)]:
        discriminate(step, image)
    assert bench.calls("discriminator") == [4, 4, 4]


def test_the_generators_turn_judges_real_photos_without_a_graph(bench: Any) -> None:
    with bench.trainable("generator"):
        step = bench.step("generator")
        photos = real(step)
        assert discriminate(step, fake(step)).scales[0].logits.requires_grad
        assert not discriminate(step, photos).scales[0].logits.requires_grad
        assert bench.calls("discriminator") == [4, 4]
        discriminate(step, fake(step)).scales[0].logits.sum().backward()
    assert not bench.gradients("discriminator")
    assert len(bench.gradients("generator")) >= 4
    assert bench.gradients("style_encoder")
    assert not any(parameter.requires_grad for parameter in bench.model.parameters())


def test_another_condition_and_another_image_are_judged_each_time(bench: Any) -> None:
    step = bench.step("generator")
    wanted = replace(step.condition, mask=step.condition.mask.flip(1))  # type: ignore[union-attr]
    other = discriminate(step, fake(step), wanted)
    assert discriminate(step, fake(step), wanted) is not other
    torch.testing.assert_close(other.scales[0].logits, bench.model.discriminate(fake(step), wanted).scales[0].logits)
    image = Generated(bench.batch.image.flip(-1))
    output = discriminate(step, image)
    torch.testing.assert_close(
        output.scales[0].logits, bench.model.discriminate(image, step.condition).scales[0].logits
    )
    assert discriminate(step, image) is not output
    assert discriminate(step, fake(step), step.condition) is discriminate(step, fake(step))


def test_images_with_maps_share_no_pass_with_photos_that_lack_them(make_bench: Any) -> None:
    bench = make_bench(maps=True)
    step = bench.step("discriminator")
    photos, made, others = real(step), fake(step), shuffled_style(step)
    outputs = [discriminate(step, image) for image in (made, others, photos)]
    assert bench.calls("discriminator") == [8, 4]
    for image, output in zip((made, others, photos), outputs, strict=True):
        alone = bench.model.discriminate(image, step.condition)
        torch.testing.assert_close(output.scales[0].logits, alone.scales[0].logits, atol=1e-5, rtol=1e-4)


@dataclass(frozen=True, slots=True)
class GeneratedWithLatent(Generated):
    """What a family adds says how an image came about; real photos do not have it."""

    latent: torch.Tensor | None = None


def test_what_a_family_adds_to_its_images_stays_and_hinders_no_joint_pass(bench: Any) -> None:
    generator = bench.model.get_submodule("generator")
    plain = generator.forward

    def forward(condition: Any, style: Any) -> Generated:
        made = plain(condition, style)
        return GeneratedWithLatent(made.image, made.pyramid, made.maps, style.code)

    generator.forward = forward
    step = bench.step("discriminator")
    photos, made = real(step), fake(step)
    assert isinstance(made, GeneratedWithLatent)
    assert made.latent is not None
    assert not made.latent.requires_grad
    discriminate(step, made)
    discriminate(step, photos)
    assert bench.calls("discriminator") == [8]


def test_a_recipe_without_a_discriminator_is_told(make_bench: Any) -> None:
    bench = make_bench(discriminator=False)
    with pytest.raises(FacekitError, match="no discriminator"):
        discriminate(bench.step("generator"), Generated(bench.batch.image))
