"""The augmentations themselves: what moves, what is recoloured, and how the probability follows the discriminator."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from facekit.interfaces import (
    BuildContext,
    Condition,
    DiscriminatorOutput,
    FacekitError,
    Generated,
    LabelClass,
    LabelMap,
    Reference,
    ScaleOutput,
)
from facekit_gan.ada import Ada
from facekit_gan.ada import build as build_ada
from facekit_gan.diffaugment import DiffAugment
from facekit_gan.diffaugment import build as build_diffaugment
from facekit_gan.moving import background_of
from facekit_gan.options import AdaOptions, DiffAugmentOptions

SIZE, CLASSES = 32, 5
CONTEXT = BuildContext(
    label_map=LabelMap(
        "few", tuple(LabelClass(name, (0, 0, 0)) for name in ("skin", "nose", "hair", "background", "hat"))
    ),
    attribute_names=(),
    size=SIZE,
)


def diffaugment(*policy: str) -> DiffAugment:
    return build_diffaugment(DiffAugmentOptions.model_validate({"policy": policy}), CONTEXT)


def ada(**options: Any) -> Ada:
    return build_ada(AdaOptions.model_validate(options), CONTEXT)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def generated(count: int = 6, size: int = SIZE) -> tuple[Generated, Condition]:
    """Images that are a picture of their masks: channel c of class k is k + 1 + c, so that 0 is what came in."""
    mask = torch.randint(CLASSES, (count, size, size), generator=generator(1))
    image = torch.stack([mask + 1.0 + channel for channel in range(3)], 1)
    reference = Reference(torch.zeros_like(image), mask.flip(-1))
    return Generated(image), Condition(mask, reference, source_image=image.clone())


def background() -> int:
    return background_of(CONTEXT.label_map)


class TestTranslation:
    def test_moves_image_mask_and_source_by_the_same_pixels(self) -> None:
        image, condition = generated()
        augmentation = diffaugment("translation")
        drawn = augmentation.draw(6, generator())
        assert drawn["translation"].abs().max() <= SIZE / 8
        assert len(drawn["translation"].unique(dim=0)) > 1
        new, moved = augmentation(image, condition, drawn)
        for index, (x, y) in enumerate(drawn["translation"].int().tolist()):
            inside = torch.zeros(SIZE, SIZE, dtype=torch.bool)
            inside[max(0, y) : SIZE + min(0, y), max(0, x) : SIZE + min(0, x)] = True
            rolled = condition.require_mask()[index].roll((y, x), (0, 1))
            assert torch.equal(moved.require_mask()[index], torch.where(inside, rolled, background()))
            expected = image.image[index].roll((y, x), (1, 2)) * inside
            assert torch.equal(new.image[index], expected)
            assert moved.source_image is not None
            assert torch.equal(moved.source_image[index], expected)
        assert moved.reference is condition.reference
        assert not torch.equal(new.image, image.image)  # else nothing was tried

    def test_levels_of_a_pyramid_and_maps_move_along(self) -> None:
        image, condition = generated(2)
        drawn = {"translation": torch.tensor([[4.0, 0.0], [0.0, -2.0]])}
        level = torch.nn.functional.avg_pool2d(image.image, 2)
        labels = condition.require_mask()
        whole = Generated(image.image, (level,), {"depth": image.image[:, :1], "labels": labels})
        new, moved = diffaugment("translation")(whole, condition, drawn)
        assert torch.equal(new.pyramid[0][0, :, :, 2:], level[0, :, :, :-2])
        assert torch.equal(new.pyramid[0][1, :, :-1], level[1, :, 1:])
        assert torch.equal(new.maps["depth"], new.image[:, :1])
        assert torch.equal(new.maps["labels"], moved.require_mask())

    @pytest.mark.parametrize("policy", [("translation",), ("scale", "rotation")])
    def test_what_has_no_place_in_the_image_is_refused(self, policy: tuple[str, ...]) -> None:
        image, condition = generated(2)
        augmentation = diffaugment(*policy) if policy == ("translation",) else ada(policy=policy, p=1.0)
        drawn = augmentation.draw(2, generator(), certain=True)
        with pytest.raises(FacekitError, match="landmarks of the condition"):
            augmentation(image, condition.with_(landmarks=torch.zeros(2, 5, 2)), drawn)
        with pytest.raises(FacekitError, match=r"`code` of shape \(2, 7\)"):
            augmentation(Generated(image.image, maps={"code": torch.zeros(2, 7)}), condition, drawn)

    def test_colours_and_cutout_move_nothing(self) -> None:
        image, condition = generated(2)
        augmentation = diffaugment("color", "cutout")
        condition = condition.with_(landmarks=torch.zeros(2, 5, 2))
        _, moved = augmentation(image, condition, augmentation.draw(2, generator()))
        assert moved is condition


def test_a_rotated_and_scaled_mask_lies_on_its_image() -> None:
    # A large disc away from the centre: wherever the image is well inside or outside of it, the mask says so.
    grid = torch.arange(64.0)
    disc = ((grid[None] - 24) ** 2 + (grid[:, None] - 36) ** 2) < 14**2
    mask = disc.long()[None].repeat(8, 1, 1)
    context = BuildContext(
        LabelMap("two", (LabelClass("background", (0, 0, 0)), LabelClass("disc", (0, 0, 0)))), (), 64
    )
    augmentation = build_ada(AdaOptions(policy=("translation", "scale", "rotation"), p=1.0), context)
    image = Generated(mask[:, None].float().repeat(1, 3, 1, 1))
    new, moved = augmentation(image, Condition(mask), augmentation.draw(8, generator(3)))
    sure = (new.image[:, 0] < 0.2) | (new.image[:, 0] > 0.8)
    assert sure.float().mean() > 0.9
    assert torch.equal(moved.require_mask()[sure], (new.image[:, 0] > 0.5).long()[sure])
    assert (moved.require_mask() != mask).float().mean() > 0.05  # it did move
    # The negative control: beside the mask as it was, the image is another.
    assert not torch.equal(mask[sure], (new.image[:, 0] > 0.5).long()[sure])


class TestDiffAugment:
    def test_cutout_hides_a_square_of_half_the_side(self) -> None:
        image, condition = generated(40)
        augmentation = diffaugment("cutout")
        new, _ = augmentation(image, condition, augmentation.draw(40, generator()))
        hidden = (new.image == 0).all(1)
        assert torch.equal(new.image, image.image * ~hidden[:, None])
        rows, columns = hidden.any(2).sum(1), hidden.any(1).sum(1)
        assert int(rows.max()) == int(columns.max()) == SIZE // 2
        assert torch.equal(hidden.sum((1, 2)), rows * columns)
        assert int(rows.min()) >= 1

    def test_colours_are_those_published(self) -> None:
        image = torch.rand(4, 3, 8, 8, generator=generator()) * 2 - 1
        augmentation = diffaugment("color")
        drawn = augmentation.draw(4, generator(2))
        new, _ = augmentation(Generated(image), Condition(), drawn)
        brightness, saturation, contrast = (number.view(4, 1, 1, 1) for number in drawn["color"].unbind(1))
        expected = image + brightness - 0.5
        grey = expected.mean(1, keepdim=True)
        expected = (expected - grey) * (2 * saturation) + grey
        mean = expected.mean((1, 2, 3), keepdim=True)
        torch.testing.assert_close(new.image, (expected - mean) * (contrast + 0.5) + mean)

    def test_parts_draw_the_same_whatever_the_policy(self) -> None:
        whole, alone = diffaugment("color", "translation", "cutout"), diffaugment("cutout")
        assert torch.equal(whole.draw(5, generator())["cutout"], alone.draw(5, generator())["cutout"])

    @pytest.mark.parametrize("policy", [(), ("color", "color"), ("colour",)])
    def test_of_policies(self, policy: tuple[str, ...]) -> None:
        with pytest.raises(ValidationError):
            diffaugment(*policy)


@dataclass(frozen=True, slots=True)
class WithLatents(Generated):
    latents: Tensor | None = None


def test_fields_of_a_family_are_kept() -> None:
    image, condition = generated(2)
    latents = torch.zeros(2, 3)
    for augmentation in (diffaugment("color", "translation", "cutout"), ada(p=1.0)):
        new, _ = augmentation(WithLatents(image.image, latents=latents), condition, augmentation.draw(2, generator()))
        assert isinstance(new, WithLatents)
        assert new.latents is latents


def output(*logits: float) -> DiscriminatorOutput:
    return DiscriminatorOutput((ScaleOutput(torch.tensor(logits)[:, None, None, None].expand(-1, 1, 2, 2)),))


REAL = torch.tensor([1.0, 1.0, 0.0, 0.0])


class TestAda:
    def test_at_zero_nothing_is_drawn(self) -> None:
        assert ada().draw(4, generator()) == {}
        assert ada().draw(4, generator(), certain=True)

    def test_samples_to_which_nothing_happens_are_the_same_bit_for_bit(self) -> None:
        image = Generated(torch.randn(400, 3, 9, 9, generator=generator()))
        augmentation = ada(p=0.1)
        drawn = augmentation.draw(400, generator())
        identity = torch.eye(2, 3).expand(400, -1, -1), torch.eye(3, 4).expand(400, -1, -1)
        still = (drawn["motion"] == identity[0]).flatten(1).all(1) & (drawn["color"] == identity[1]).flatten(1).all(1)
        assert 0.3 < float(still.float().mean()) < 0.55  # 0.9 to the power of 8 is 0.43
        new, _ = augmentation(image, Condition(), drawn)
        assert torch.equal(new.image[still], image.image[still])
        assert not torch.equal(new.image[~still], image.image[~still])

    def test_each_change_has_the_probability(self) -> None:
        random, augmentation = generator(), ada(p=0.25, policy=["translation"])
        motion = augmentation.draw(20000, random)["motion"]
        moved = (motion[:, :, 2] != 0).any(1).float().mean()
        assert float(moved) == pytest.approx(0.25 * (1 - 1 / 81), abs=0.01)  # a shift of (0, 0) is one of 9 by 9
        assert set(motion[:, 0, 2].int().tolist()) == set(range(-4, 5))

    def test_colours_keep_grey_on_the_grey_axis(self) -> None:
        augmentation = ada(p=1.0, policy=["color"])
        grey = Generated(torch.full((50, 3, 2, 2), 0.3))
        new, _ = augmentation(grey, Condition(), augmentation.draw(50, generator()))
        assert float((new.image - new.image.mean(1, keepdim=True)).abs().max()) < 1e-5
        assert float(new.image.std()) > 0.05

    def test_probability_follows_the_signs(self) -> None:
        augmentation = ada(threshold=0.0, speed=1000, target=0.6)
        augmentation.adapt(augmentation.read(output(1, 1, -1, -1), REAL).tolist(), 100)
        assert augmentation.p == pytest.approx(0.1)
        assert augmentation.diagnostics() == {"p": pytest.approx(0.1), "sign": 1.0}
        augmentation.adapt(augmentation.read(output(1, -1, -1, -1), REAL).tolist(), 50)
        assert augmentation.p == pytest.approx(0.05)
        augmentation.adapt(augmentation.read(output(-1, -1, 9, 9), REAL).tolist(), 500)
        assert augmentation.p == 0

    def test_probability_stays_at_its_largest_and_without_a_target(self) -> None:
        augmentation = ada(threshold=0.0, speed=10, largest=0.7)
        augmentation.adapt(augmentation.read(output(1, 1, 0, 0), REAL).tolist(), 100)
        assert augmentation.p == 0.7
        still = ada(threshold=0.0, target=None, p=0.3, speed=10)
        still.adapt(still.read(output(1, 1, 0, 0), REAL).tolist(), 100)
        assert still.p == 0.3

    @pytest.mark.parametrize("centre", [0.0, 0.5, -40.0])
    def test_the_threshold_is_the_middle_of_the_last_interval(self, centre: float) -> None:
        augmentation = ada(speed=1000)
        knows, guesses = (output(*(centre + each for each in logits)) for logits in ((1, 1, -1, -1), (1, -1, 1, -1)))
        augmentation.adapt(augmentation.read(knows, REAL).tolist(), 100)
        assert augmentation.p == 0  # the first interval finds the middle
        augmentation.adapt(augmentation.read(knows, REAL).tolist(), 100)
        assert augmentation.p == pytest.approx(0.1)
        augmentation.adapt(augmentation.read(guesses, REAL).tolist(), 100)
        assert augmentation.p == pytest.approx(0.0)

    def test_without_photos_it_says_so(self) -> None:
        augmentation = ada()
        with pytest.raises(FacekitError, match="no loss has shown it those of the batch"):
            augmentation.adapt(augmentation.read(output(1, 1, 1, 1), torch.zeros(4)).tolist(), 100)


def test_importing_what_the_library_offers_imports_no_torch() -> None:
    code = "import sys, facekit_gan.plugin as p; list(p.facekit_components()); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
