from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from facekit.interfaces import Condition, DiscriminatorOutput, Generated, ScaleOutput
from facekit_gan import fake, real
from facekit_losses.gradient_penalty import GradientPenalty, gradient_penalty, interpolate
from facekit_losses.input_gradients import squared_gradient_norms
from facekit_losses.r1_penalty import R1Penalty, r1_penalty


def linear_judge(weight: torch.Tensor):  # type: ignore[no-untyped-def]
    """A critic whose logit map is weight * picture summed over channels, and half of it at a second scale."""

    def discriminate(picture: Generated) -> DiscriminatorOutput:
        logits = (picture.image * weight).sum(1, keepdim=True)
        return DiscriminatorOutput((ScaleOutput(logits), ScaleOutput(logits.mean((2, 3)) / 2)))

    return discriminate


class TestValues:
    def test_norms_of_a_linear_critic(self) -> None:
        weight = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
        picture = Generated(torch.randn(2, 3, 4, 4))
        summed, coarse = squared_gradient_norms(linear_judge(weight), picture)
        torch.testing.assert_close(summed, weight.square().sum().expand(2))
        torch.testing.assert_close(coarse, (weight / 32).square().sum().expand(2))
        averaged, same = squared_gradient_norms(linear_judge(weight), picture, patches="mean")
        torch.testing.assert_close(averaged, (weight / 16).square().sum().expand(2))
        torch.testing.assert_close(same, coarse)

    def test_penalties_of_a_linear_critic(self) -> None:
        weight = torch.full((1, 3, 4, 4), 0.5)
        picture = Generated(torch.randn(2, 3, 4, 4))
        norms = (48 * 0.25) ** 0.5, 48**0.5 * 0.5 / 32
        expected = sum((norm - 1) ** 2 for norm in norms)
        assert gradient_penalty(linear_judge(weight), picture).item() == pytest.approx(expected, rel=1e-5)
        expected = sum(norm**2 / 2 for norm in norms)
        assert r1_penalty(linear_judge(weight), picture).item() == pytest.approx(expected, rel=1e-5)

    def test_a_flat_critic_has_finite_gradients(self) -> None:
        weight = torch.zeros(1, 3, 4, 4, requires_grad=True)
        value = gradient_penalty(linear_judge(weight), Generated(torch.randn(2, 3, 4, 4)))
        value.backward()
        assert value.item() == pytest.approx(2, rel=1e-4)
        assert weight.grad is not None
        assert torch.isfinite(weight.grad).all()

    def test_a_picture_does_not_depend_on_its_batch(self, make_step) -> None:  # type: ignore[no-untyped-def]
        step = make_step("discriminator")
        condition = step.condition
        together = squared_gradient_norms(lambda leaf: step.discriminator(leaf, condition), real(step))
        for index in range(3):
            part = Condition(mask=condition.mask[index : index + 1])
            one = Generated(real(step).image[index : index + 1])
            alone = squared_gradient_norms(lambda leaf, part=part: step.discriminator(leaf, part), one)
            torch.testing.assert_close(torch.stack(alone)[:, 0], torch.stack(together)[:, index], rtol=1e-4, atol=1e-6)

    def test_levels_of_a_pyramid_count_together(self) -> None:
        def discriminate(picture: Generated) -> DiscriminatorOutput:
            fine = picture.image.sum((1, 2, 3), keepdim=True) * 3
            return DiscriminatorOutput((ScaleOutput(fine + picture.pyramid[0].sum((1, 2, 3), keepdim=True) * 2),))

        picture = Generated(torch.zeros(1, 1, 2, 2), (torch.zeros(1, 1, 1, 1),))
        (norm,) = squared_gradient_norms(discriminate, picture)
        assert norm.item() == 4 * 9 + 4


@pytest.mark.parametrize("penalty", [gradient_penalty, r1_penalty])
def test_gradient_of_the_second_order_against_finite_differences(penalty, make_step) -> None:  # type: ignore[no-untyped-def]
    step = make_step("discriminator", count=2, size=8, dtype=torch.float64)
    condition, picture = step.condition, real(step)
    parameters = list(step.discriminator.parameters())

    def value() -> torch.Tensor:
        result: torch.Tensor = penalty(lambda leaf: step.discriminator(leaf, condition), picture)
        return result

    gradients = torch.autograd.grad(value(), parameters, allow_unused=True)
    generator = torch.Generator().manual_seed(5)
    checked = 0
    for parameter, gradient in zip(parameters, gradients):
        index = int(torch.randint(parameter.numel(), (), generator=generator))
        flat = parameter.detach().view(-1)
        before, step_size = flat[index].item(), 1e-5
        flat[index] = before + step_size
        above = value().item()
        flat[index] = before - step_size
        below = value().item()
        flat[index] = before
        analytic = 0.0 if gradient is None else gradient.flatten()[index].item()
        assert analytic == pytest.approx((above - below) / (2 * step_size), rel=1e-5, abs=1e-8)
        checked += analytic != 0
    assert checked > len(parameters) // 2


@pytest.mark.parametrize("penalty", [gradient_penalty, r1_penalty])
def test_operations_can_be_counted_where_a_module_reads_the_picture_itself(penalty) -> None:  # type: ignore[no-untyped-def]
    layer = torch.nn.Conv2d(3, 1, 3)
    picture = Generated(torch.randn(2, 3, 8, 8))
    with FlopCounterMode(display=False) as counter:
        penalty(lambda leaf: DiscriminatorOutput((ScaleOutput(layer(leaf.image)),)), picture).backward()
    assert counter.get_total_flops() > 0
    assert layer.weight.grad is not None


class TestInterpolation:
    def test_share_runs_from_result_to_photo(self) -> None:
        photo, result = Generated(torch.ones(3, 3, 2, 2)), Generated(torch.zeros(3, 3, 2, 2))
        middle = interpolate(photo, result, torch.tensor([0.0, 0.25, 1.0]))
        torch.testing.assert_close(middle.image[:, 0, 0, 0], torch.tensor([0.0, 0.25, 1.0]))

    def test_exception(self) -> None:
        picture = Generated(torch.ones(1, 3, 2, 2))
        with pytest.raises(ValueError, match="further levels"):
            interpolate(picture, Generated(picture.image, (picture.image,)), torch.ones(1))
        with pytest.raises(ValueError, match="shape"):
            interpolate(picture, Generated(torch.ones(1, 3, 4, 4)), torch.ones(1))


class TestSteps:
    @pytest.mark.parametrize("loss", [GradientPenalty(), R1Penalty()])
    def test_smoke(self, loss, make_step) -> None:  # type: ignore[no-untyped-def]
        step = make_step("discriminator")
        value = loss(step)
        assert value.shape == ()
        assert value.dtype == torch.float32
        value.backward()
        weights = [p for name, p in step.discriminator.named_parameters() if name.endswith("weight")]
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in weights)
        assert all(p.grad is None for p in step.generator.parameters())
        assert step.batch.image.grad is None

    @pytest.mark.parametrize("loss", [GradientPenalty(), R1Penalty()])
    def test_dtype_full_precision_in_a_run_of_mixed_precision(self, loss, make_step) -> None:  # type: ignore[no-untyped-def]
        exact = loss(make_step("discriminator"))
        step = make_step("discriminator", mixed=True)
        for network in (step.encoder, step.generator):  # so that both steps have the same fakes
            network.forward = torch.autocast("cpu", enabled=False)(network.forward)
        assert fake(step).image.dtype == torch.float32
        assert step.networks["discriminator"](real(step), step.condition).scales[0].features[0].dtype == torch.float32
        rough = step.networks["discriminator"](real(step), step.condition).scales[0].logits
        assert not torch.equal(rough, step.discriminator(real(step), step.condition).scales[0].logits)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = loss(step)
        assert mixed.dtype == torch.float32
        assert mixed.item() == exact.item()

    def test_it_draws_from_the_step_only(self, make_step) -> None:  # type: ignore[no-untyped-def]
        first = GradientPenalty()(make_step("discriminator"))
        before = torch.get_rng_state()
        step = make_step("discriminator")
        state = torch.get_rng_state()
        second = GradientPenalty()(step)
        assert torch.equal(torch.get_rng_state(), state)
        torch.set_rng_state(before)
        assert first.item() == second.item()
        other = make_step("discriminator", seed=9)
        assert GradientPenalty()(other).item() != first.item()
