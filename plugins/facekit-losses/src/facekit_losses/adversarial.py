"""Adversarial losses, summed over the scales of a discriminator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from facekit.interfaces import DISCRIMINATOR, BuildContext, DiscriminatorOutput, ScaleOutput, Step
from facekit_gan import ReplayPool, condition_of, discriminate, real, shuffled_style

from .fakes import fakes_of
from .numeric import at_least_float32
from .options import AdversarialOptions, AnyResults, Objective


def generator_adversarial_loss(
    fake: DiscriminatorOutput, real: DiscriminatorOutput | None = None, *, objective: Objective
) -> Tensor:
    """Return how far the discriminator is from taking results for photos.

    With f and r the logits of one scale, means over samples and patches, and the sum taken over scales:

    - ``lsgan``: mean (f - 1)^2 (Mao et al., ICCV 2017);
    - ``bce``: mean softplus(-f), the non-saturating form (Goodfellow et al., NeurIPS 2014);
    - ``hinge`` (Lim and Ye, 2017) and ``wasserstein`` (Arjovsky et al., ICML 2017): -mean f;
    - ``relativistic``: mean max(0, 1 - (f - mean r)) + mean max(0, 1 + (r - mean f)), the relativistic average hinge
      (Jolicoeur-Martineau, ICLR 2019).

    Args:
        fake: discriminator_output of the results; logits (N, 1, h, w) or (N, 1) a scale.
        real: discriminator_output of photos; only ``relativistic`` needs it.
        objective: one of the above.

    Returns:
        a scalar.

    Raises:
        ValueError: ``relativistic`` without ``real``, or with another number of scales.
    """
    total: list[Tensor] = []
    for fake_logits, real_logits in _by_scale(fake, real if objective == "relativistic" else None, objective):
        if objective == "lsgan":
            total.append((fake_logits - 1).square().mean())
        elif objective == "bce":
            total.append(F.softplus(-fake_logits).mean())
        elif objective in ("hinge", "wasserstein"):
            total.append(-fake_logits.mean())
        else:
            assert real_logits is not None
            total.append(
                F.relu(1 - (fake_logits - real_logits.mean())).mean()
                + F.relu(1 + (real_logits - fake_logits.mean())).mean()
            )
    return torch.stack(total).sum()


def discriminator_adversarial_loss(
    real: DiscriminatorOutput, fake: DiscriminatorOutput, *, objective: Objective
) -> Tensor:
    """Return how far the discriminator is from telling photos and results apart.

    With r and f the logits of one scale, means over samples and patches, and the sum taken over scales:

    - ``lsgan``: half of mean (r - 1)^2 + mean f^2;
    - ``bce``: half of mean softplus(-r) + mean softplus(f);
    - ``hinge``: mean max(0, 1 - r) + mean max(0, 1 + f);
    - ``wasserstein``: mean f - mean r;
    - ``relativistic``: mean max(0, 1 - (r - mean f)) + mean max(0, 1 + (f - mean r)).

    The halves are those of pix2pixHD: they slow the discriminator relative to the generator.

    Args:
        real: discriminator_output of the photos; logits (N, 1, h, w) or (N, 1) a scale.
        fake: discriminator_output of the results.
        objective: one of the above.

    Returns:
        a scalar.

    Raises:
        ValueError: the outputs differ in their number of scales.
    """
    total: list[Tensor] = []
    for fake_logits, real_logits in _by_scale(fake, real, objective):
        assert real_logits is not None
        if objective == "lsgan":
            total.append(((real_logits - 1).square().mean() + fake_logits.square().mean()) / 2)
        elif objective == "bce":
            total.append((F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()) / 2)
        elif objective == "hinge":
            total.append(F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean())
        elif objective == "wasserstein":
            total.append(fake_logits.mean() - real_logits.mean())
        else:
            total.append(
                F.relu(1 - (real_logits - fake_logits.mean())).mean()
                + F.relu(1 + (fake_logits - real_logits.mean())).mean()
            )
    return torch.stack(total).sum()


def join(first: DiscriminatorOutput, second: DiscriminatorOutput) -> DiscriminatorOutput:
    """Return the logits of two outputs of N and M pictures as one of N + M, scale by scale, without features.

    Raises:
        ValueError: the outputs differ in their number of scales.
    """
    if len(first.scales) != len(second.scales):
        raise ValueError(f"cannot join outputs of {len(first.scales)} and {len(second.scales)} scales")
    return DiscriminatorOutput(
        tuple(
            ScaleOutput(torch.cat((left.logits, right.logits)))
            for left, right in zip(first.scales, second.scales, strict=True)
        )
    )


@dataclass(frozen=True, kw_only=True)
class AdversarialLoss:
    """The adversarial loss of either player: the discriminator's in turns that train it, else the generator's.

    Args:
        objective: see :func:`generator_adversarial_loss`.
        shuffled_style: also discriminate the fakes in the style of another face. Both kinds then count alike in one
            mean, so the loss keeps its size.
        faces: how many faces of the batch are made in the style of another; None for all.
        results: which fakes; see :class:`facekit_losses.options.AdversarialOptions`.
    """

    objective: Objective = "lsgan"
    shuffled_style: bool = False
    faces: int | None = None
    results: AnyResults = "own"

    def __call__(self, step: Step) -> Tensor:
        """Return the loss of the player whose turn it is, a scalar."""
        # Made first, so that all are discriminated in one pass.
        trains = DISCRIMINATOR in step.trained
        photos = real(step) if trains or self.objective == "relativistic" else None
        shuffled = shuffled_style(step, self.faces) if self.shuffled_style else None
        made = self._discriminated(step)
        if shuffled is not None:
            made = join(made, discriminate(step, shuffled))
        wanted = None if photos is None else discriminate(step, photos)
        if not trains:
            return generator_adversarial_loss(
                made, None if wanted is None else wanted.detach(), objective=self.objective
            )
        assert wanted is not None
        return discriminator_adversarial_loss(wanted, made, objective=self.objective)

    def _discriminated(self, step: Step) -> DiscriminatorOutput:
        return discriminate(step, fakes_of(step, self.results, self.faces))


@dataclass(frozen=True, kw_only=True)
class AdversarialLossWithPool(AdversarialLoss):
    """The same, in which the discriminator is shown past fakes in place of half of the new ones.

    Args:
        pool: the past fakes.
    """

    pool: ReplayPool

    def _discriminated(self, step: Step) -> DiscriminatorOutput:
        if DISCRIMINATOR not in step.trained:
            return super()._discriminated(step)
        made = fakes_of(step, self.results, self.faces)
        # A past fake beside the condition of another face would be recognised by that alone.
        shown, condition = self.pool.exchange(made, condition_of(step, made), random=step.random)
        return discriminate(step, shown, condition)

    def state(self) -> dict[str, Tensor]:
        """Return the pool as tensors by name."""
        return self.pool.state()

    def load_state(self, state: Mapping[str, Tensor], device: torch.device) -> None:
        """Put back what :meth:`state` returned."""
        self.pool.load_state(state, device)


def build(options: AdversarialOptions, context: BuildContext) -> AdversarialLoss:
    """Build the loss from a recipe's options."""
    loss = AdversarialLoss(
        objective=options.objective,
        shuffled_style=options.shuffled_style,
        faces=options.shuffled_faces,
        results=options.results,
    )
    if not options.replay_pool or context.player == "generator":
        return loss
    return AdversarialLossWithPool(**vars(loss), pool=ReplayPool(options.replay_pool))


def _by_scale(
    fake: DiscriminatorOutput, real: DiscriminatorOutput | None, objective: Objective
) -> list[tuple[Tensor, Tensor | None]]:
    if not fake.scales:
        raise ValueError("a discriminator output needs at least one scale")
    fake_logits = [at_least_float32(scale.logits) for scale in fake.scales]
    if real is None:
        if objective == "relativistic":
            raise ValueError("the relativistic objective compares results with photos: give it the output for photos")
        return [(logits, None) for logits in fake_logits]
    if len(real.scales) != len(fake.scales):
        raise ValueError(f"photos were judged at {len(real.scales)} scales and results at {len(fake.scales)}")
    return [(logits, at_least_float32(scale.logits)) for logits, scale in zip(fake_logits, real.scales, strict=True)]
