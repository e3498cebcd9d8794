"""Cycle reconstruction and domain classification: values, gradients, and whose results they look at."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from facekit.interfaces import (
    Condition,
    DiscriminatorOutput,
    FaceBatch,
    FacekitError,
    Generated,
    Player,
    ScaleOutput,
    Style,
)
from facekit_gan import condition_of, fake, real, shuffled_attributes
from facekit_losses.adversarial import AdversarialLoss
from facekit_losses.cycle_reconstruction import CycleReconstructionLoss, cycle_reconstruction_loss
from facekit_losses.domain_classification import DomainClassificationLoss, domain_classification_loss
from facekit_losses.gradient_penalty import GradientPenalty
from facekit_losses.options import AdversarialOptions

ATTRIBUTES = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]])


class Changer(nn.Module):
    """Adds a learned colour for each wanted attribute to a photo; smooth."""

    def __init__(self, attributes: int = 2) -> None:
        super().__init__()
        self.colours = nn.Linear(attributes, 3)
        self.asked: list[Condition] = []

    def forward(self, condition: Condition, style: Style | None) -> Generated:
        assert style is None
        self.asked.append(condition)
        assert condition.source_image is not None
        assert condition.attributes is not None
        return Generated((condition.source_image + self.colours(condition.attributes)[:, :, None, None]).tanh())


class Reader(nn.Module):
    """Judges mean colours and reads attributes off them."""

    def __init__(self, attributes: int = 2) -> None:
        super().__init__()
        self.real = nn.Linear(3, 1)
        self.classify = nn.Linear(3, attributes)

    def forward(self, picture: Generated, condition: Condition) -> DiscriminatorOutput:
        colours = picture.image.square().mean((2, 3))
        return DiscriminatorOutput((ScaleOutput(self.real(colours)),), self.classify(colours))


@pytest.fixture
def make(turn: Any) -> Callable[..., Any]:
    """Return a function that makes a turn of a model that changes photos."""

    def step(player: Player = "generator", *, dtype: torch.dtype = torch.float32) -> Any:
        torch.manual_seed(0)
        image = torch.rand(3, 3, 8, 8, dtype=dtype) * 2 - 1
        batch = FaceBatch(image, ("a", "b", "c"), attributes=ATTRIBUTES.to(dtype))
        return turn({"generator": Changer().to(dtype), "discriminator": Reader().to(dtype)}, batch, player)

    return step


def wanted_of(step: Any) -> Condition:
    """The photos with the attributes of the batch in another order."""
    return condition_of(step, shuffled_attributes(step))


def judged(logits: Tensor) -> DiscriminatorOutput:
    return DiscriminatorOutput((ScaleOutput(torch.zeros(len(logits), 1)),), logits)


class TestDomainClassification:
    def test_value_by_hand(self) -> None:
        logits = torch.tensor([[2.0, -1.0], [0.0, 3.0]])
        wanted = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
        by_hand = [math.log1p(math.exp(-2)) + math.log1p(math.exp(-1)), math.log(2) + math.log1p(math.exp(-3))]
        value = domain_classification_loss(judged(logits), wanted)
        assert value.item() == pytest.approx(sum(by_hand) / 2, rel=1e-6)

    def test_gradient_against_finite_differences(self) -> None:
        logits = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(lambda x: domain_classification_loss(judged(x), ATTRIBUTES.double()), logits)

    def test_half_precision_is_summed_in_full(self) -> None:
        value = domain_classification_loss(judged(torch.randn(3, 2).bfloat16()), ATTRIBUTES)
        assert value.dtype == torch.float32

    def test_the_discriminator_learns_from_photos_with_their_own_attributes(self, make) -> None:  # type: ignore[no-untyped-def]
        step = make("discriminator")
        value = DomainClassificationLoss()(step)
        expected = domain_classification_loss(step.discriminator(real(step), step.condition), ATTRIBUTES)
        assert torch.equal(value, expected)
        assert not step.generator.asked  # no result is made for it
        value.backward()
        assert step.discriminator.classify.weight.grad.abs().sum() > 0

    @pytest.mark.parametrize("results", ["own", "shuffled_attributes"])
    def test_results_are_to_show_what_they_were_asked_for(self, make, results: str) -> None:  # type: ignore[no-untyped-def]
        step = make()
        value = DomainClassificationLoss(results=results)(step)
        image = fake(step) if results == "own" else shuffled_attributes(step)
        wanted = ATTRIBUTES if results == "own" else wanted_of(step).attributes
        assert results == "own" or not torch.equal(wanted, ATTRIBUTES)
        assert torch.equal(value, domain_classification_loss(step.discriminator(image, step.condition), wanted))
        value.backward()
        assert step.generator.colours.weight.grad.abs().sum() > 0

    def test_exception(self) -> None:
        with pytest.raises(FacekitError, match="the discriminator gives none"):
            domain_classification_loss(DiscriminatorOutput((ScaleOutput(torch.zeros(3, 1)),)), ATTRIBUTES)
        with pytest.raises(FacekitError, match="the data has none"):
            domain_classification_loss(judged(torch.zeros(3, 2)), None)
        with pytest.raises(FacekitError, match="classifies 5 attributes, and there are 2"):
            domain_classification_loss(judged(torch.zeros(3, 5)), ATTRIBUTES)


class TestCycleReconstruction:
    def test_value(self) -> None:
        photo = torch.zeros(2, 3, 4, 4)
        assert cycle_reconstruction_loss(photo + 0.25, photo).item() == 0.25
        with pytest.raises(ValueError, match="shapes"):
            cycle_reconstruction_loss(photo[:1], photo)

    def test_the_way_there_and_back(self, make) -> None:  # type: ignore[no-untyped-def]
        step = make()
        value = CycleReconstructionLoss()(step)
        there, back = step.generator.asked
        assert there is wanted_of(step)
        assert back.source_image is shuffled_attributes(step).image
        assert torch.equal(back.attributes, ATTRIBUTES)
        result = step.generator(replace(step.condition, source_image=shuffled_attributes(step).image), None)
        assert torch.equal(value, (result.image - real(step).image).abs().mean())

    def test_gradient_goes_through_both_ways(self, make) -> None:  # type: ignore[no-untyped-def]
        step = make(dtype=torch.float64)
        weight = step.generator.colours.weight
        value = CycleReconstructionLoss()(step)
        (gradient,) = torch.autograd.grad(value, weight)
        assert gradient.abs().sum() > 0
        for index in range(weight.numel()):
            values = []
            for change in (1e-6, -1e-6):
                other = make(dtype=torch.float64)
                other.generator.colours.weight.detach().view(-1)[index] += change
                values.append(CycleReconstructionLoss()(other).item())
            assert gradient.flatten()[index].item() == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-4, abs=1e-8)

    def test_one_result_serves_all_losses_of_the_turn(self, make) -> None:  # type: ignore[no-untyped-def]
        step = make()
        total = (
            AdversarialLoss(objective="wasserstein", results="shuffled_attributes")(step)
            + DomainClassificationLoss()(step)
            + 10 * CycleReconstructionLoss()(step)
        )
        total.backward()
        assert len(step.generator.asked) == 2  # there, and back


class TestShuffledAttributes:
    def test_adversarial(self, make) -> None:  # type: ignore[no-untyped-def]
        step = make("discriminator")
        value = AdversarialLoss(objective="wasserstein", results="shuffled_attributes")(step)
        images = shuffled_attributes(step), real(step)
        made, photos = (step.discriminator(image, step.condition).scales[0].logits for image in images)
        torch.testing.assert_close(value, made.mean() - photos.mean())
        assert len(step.generator.asked) == 1
        assert step.generator.asked[0] is wanted_of(step)

    def test_gradient_penalty_lies_between_photos_and_them(self, make) -> None:  # type: ignore[no-untyped-def]
        step = make("discriminator")
        value = GradientPenalty(results="shuffled_attributes")(step)
        assert len(step.generator.asked) == 1
        assert step.generator.asked[0] is wanted_of(step)
        assert value.item() != GradientPenalty()(make("discriminator")).item()

    def test_exception_with_shuffled_style(self) -> None:
        with pytest.raises(ValueError, match="does not go with"):
            AdversarialOptions(shuffled_style=True, results="shuffled_attributes")
