from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from facekit.interfaces import BuildContext, DiscriminatorOutput, ScaleOutput
from facekit_gan import ReplayPool, condition_of, discriminate, fake, real, shuffled_style
from facekit_losses.adversarial import (
    AdversarialLoss,
    AdversarialLossWithPool,
    build,
    discriminator_adversarial_loss,
    generator_adversarial_loss,
    join,
)
from facekit_losses.options import AdversarialOptions

OBJECTIVES = ("lsgan", "bce", "hinge", "wasserstein", "relativistic")


def discriminator_output(*scales: torch.Tensor) -> DiscriminatorOutput:
    return DiscriminatorOutput(tuple(ScaleOutput(logits) for logits in scales))


def softplus(value: float) -> float:
    return math.log1p(math.exp(value))


FAKE = (0.5, -1.0)
REAL = (2.0, 0.25)

# Written out by hand for logits f = 0.5, -1 (mean -0.25) and r = 2, 0.25 (mean 1.125).
EXPECTED_GENERATOR = {
    "lsgan": (0.25 + 4.0) / 2,
    "bce": (softplus(-0.5) + softplus(1.0)) / 2,
    "hinge": 0.25,
    "wasserstein": 0.25,
    # 1 - (f - 1.125) = 1.625, 3.125; 1 + (r + 0.25) = 3.25, 1.5
    "relativistic": (1.625 + 3.125) / 2 + (3.25 + 1.5) / 2,
}
EXPECTED_DISCRIMINATOR = {
    "lsgan": ((1.0 + 0.5625) / 2 + (0.25 + 1.0) / 2) / 2,
    "bce": ((softplus(-2.0) + softplus(-0.25)) / 2 + (softplus(0.5) + softplus(-1.0)) / 2) / 2,
    "hinge": (0.0 + 0.75) / 2 + (1.5 + 0.0) / 2,
    "wasserstein": -0.25 - 1.125,
    # 1 - (r + 0.25) = -1.25, 0.5; 1 + (f - 1.125) = 0.375, -1.125
    "relativistic": (0.0 + 0.5) / 2 + (0.375 + 0.0) / 2,
}


@pytest.mark.parametrize("objective", OBJECTIVES)
class TestAgainstValuesByHand:
    def test_generator(self, objective: str) -> None:
        made = discriminator_output(torch.tensor(FAKE).view(2, 1, 1, 1))
        photos = discriminator_output(torch.tensor(REAL).view(2, 1, 1, 1))
        value = generator_adversarial_loss(made, photos, objective=objective)  # type: ignore[arg-type]
        assert value.item() == pytest.approx(EXPECTED_GENERATOR[objective], rel=1e-6)

    def test_discriminator(self, objective: str) -> None:
        made = discriminator_output(torch.tensor(FAKE).view(2, 1, 1, 1))
        photos = discriminator_output(torch.tensor(REAL).view(2, 1, 1, 1))
        value = discriminator_adversarial_loss(photos, made, objective=objective)  # type: ignore[arg-type]
        assert value.item() == pytest.approx(EXPECTED_DISCRIMINATOR[objective], rel=1e-6)

    def test_scales_are_summed(self, objective: str) -> None:
        coarse, fine = torch.randn(3, 1, 2, 2), torch.randn(3, 1, 5, 5)
        photos = discriminator_output(coarse + 1, fine + 1)
        both = discriminator_adversarial_loss(photos, discriminator_output(coarse, fine), objective=objective)  # type: ignore[arg-type]
        parts = [
            discriminator_adversarial_loss(discriminator_output(r), discriminator_output(f), objective=objective)  # type: ignore[arg-type]
            for r, f in ((coarse + 1, coarse), (fine + 1, fine))
        ]
        torch.testing.assert_close(both, parts[0] + parts[1])

    def test_gradient(self, objective: str) -> None:
        torch.manual_seed(1)
        made = torch.randn(3, 1, 2, 2, dtype=torch.float64, requires_grad=True)
        photos = torch.randn(3, 1, 2, 2, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(
            lambda f, r: generator_adversarial_loss(
                discriminator_output(f), discriminator_output(r), objective=objective
            ),  # type: ignore[arg-type]
            (made, photos),
        )
        assert torch.autograd.gradcheck(
            lambda f, r: discriminator_adversarial_loss(
                discriminator_output(r), discriminator_output(f), objective=objective
            ),  # type: ignore[arg-type]
            (made, photos),
        )

    @pytest.mark.parametrize("player", ["generator", "discriminator"])
    @pytest.mark.parametrize("shuffled", [False, True])
    def test_smoke(self, objective, player, shuffled, make_step) -> None:  # type: ignore[no-untyped-def]
        step = make_step(player)
        value = AdversarialLoss(objective=objective, shuffled_style=shuffled)(step)
        assert value.shape == ()
        assert value.dtype == torch.float32
        value.backward()
        learner = step.generator if player == "generator" else step.discriminator
        # The bias of the logits is free where only differences of logits count.
        weights = [p for name, p in learner.named_parameters() if name.endswith("weight")]
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in weights)
        idle = (step.encoder, step.generator) if player == "discriminator" else ()
        assert all(p.grad is None for network in idle for p in network.parameters())


def test_dtype_half_precision_logits_are_averaged_in_full() -> None:
    logits = torch.full((4, 1, 64, 64), 3.0, dtype=torch.bfloat16)
    value = generator_adversarial_loss(discriminator_output(logits), objective="lsgan")
    assert value.dtype == torch.float32
    assert value.item() == 4.0


def test_flat_logits() -> None:
    value = generator_adversarial_loss(discriminator_output(torch.zeros(3, 1)), objective="lsgan")
    assert value.item() == 1.0


def test_shuffled_fakes_count_as_much_as_own_ones(make_step) -> None:  # type: ignore[no-untyped-def]
    step = make_step("generator")
    both = AdversarialLoss(shuffled_style=True)(step)
    own = generator_adversarial_loss(discriminate(step, fake(step)), objective="lsgan")
    other = generator_adversarial_loss(
        step.discriminator(shuffled_style(step), condition_of(step, shuffled_style(step))), objective="lsgan"
    )
    torch.testing.assert_close(both, (own + other) / 2)


def test_exception() -> None:
    one, two = discriminator_output(torch.zeros(2, 1)), discriminator_output(torch.zeros(2, 1), torch.zeros(2, 1))
    with pytest.raises(ValueError, match="judged at 2 scales and results at 1"):
        discriminator_adversarial_loss(two, one, objective="hinge")
    with pytest.raises(ValueError, match="compares results with photos"):
        generator_adversarial_loss(one, objective="relativistic")
    with pytest.raises(ValueError, match="at least one scale"):
        generator_adversarial_loss(DiscriminatorOutput(()), objective="lsgan")
    with pytest.raises(ValueError, match="1 and 2 scales"):
        join(one, two)


def test_some_faces_are_made_in_the_style_of_another(make_step) -> None:  # type: ignore[no-untyped-def]
    step = make_step("discriminator", index=1)
    value = AdversarialLoss(shuffled_style=True, faces=2)(step)
    wanted = step.condition.rolled_reference(2).first(2)
    others = step.discriminator(step.model.generate(wanted), wanted)
    own, photos = (step.discriminator(image, step.condition) for image in (fake(step), real(step)))
    expected = discriminator_adversarial_loss(photos, join(own, others), objective="lsgan")
    torch.testing.assert_close(value, expected)


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_fakes_in_the_style_of_another_alone(make_step, player: str) -> None:  # type: ignore[no-untyped-def]
    step = make_step(player, index=1)
    value = AdversarialLoss(results="shuffled_style", faces=2)(step)
    wanted = step.condition.rolled_reference(2).first(2)
    others = step.discriminator(step.model.generate(wanted), wanted)
    if player == "generator":
        expected = generator_adversarial_loss(others, objective="lsgan")
    else:
        photos = step.discriminator(real(step), step.condition)
        expected = discriminator_adversarial_loss(photos, others, objective="lsgan")
    torch.testing.assert_close(value, expected)
    own = AdversarialLoss(faces=2)(step)
    assert not torch.isclose(value, own)


class TestPool:
    def test_the_discriminator_alone_sees_past_fakes(self, make_step) -> None:  # type: ignore[no-untyped-def]
        loss = AdversarialLossWithPool(pool=ReplayPool(3))
        before: dict[str, torch.Tensor] = {}
        for index in range(6):
            step = make_step("discriminator", index=index, seed=index)
            value = loss(step)
            value.backward()
            replayed = make_step("discriminator", index=index, seed=index)
            pool = ReplayPool(3)
            pool.load_state(before, torch.device("cpu"))
            shown, condition = pool.exchange(fake(replayed), replayed.condition, random=replayed.random)
            expected = discriminator_adversarial_loss(
                discriminate(replayed, real(replayed)), replayed.discriminator(shown, condition), objective="lsgan"
            )
            torch.testing.assert_close(value, expected)
            before = {name: tensor.clone() for name, tensor in loss.state().items()}
            assert before.keys() == pool.state().keys()
        assert len(loss.pool) == 3
        step = make_step("generator")
        torch.testing.assert_close(loss(step), AdversarialLoss()(make_step("generator")))

    def test_its_state_comes_back(self, make_step) -> None:  # type: ignore[no-untyped-def]
        loss, other = (AdversarialLossWithPool(pool=ReplayPool(4)) for _ in range(2))
        loss(make_step("discriminator"))
        other.load_state(loss.state(), torch.device("cpu"))
        assert loss.state().keys() == other.state().keys()
        assert loss.state()
        assert all(torch.equal(other.state()[name], tensor) for name, tensor in loss.state().items())

    def test_who_has_one(self, context: BuildContext) -> None:
        options = AdversarialOptions(replay_pool=5, objective="hinge")
        built = {player: build(options, replace(context, player=player)) for player in ("generator", "discriminator")}
        assert type(built["generator"]) is AdversarialLoss
        assert isinstance(built["discriminator"], AdversarialLossWithPool)
        assert built["discriminator"].pool.capacity == 5
        assert built["discriminator"].objective == built["generator"].objective == "hinge"
        assert type(build(AdversarialOptions(), replace(context, player="discriminator"))) is AdversarialLoss
