"""Adversarial losses, summed over the scales of a discriminator."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from facekit.interfaces import BuildContext, Judgement, ScaleJudgement, Step

from .numeric import at_least_float32
from .options import AdversarialOptions, Objective, Results


def generator_adversarial_loss(fake: Judgement, real: Judgement | None = None, *, objective: Objective) -> Tensor:
    """Return how far the discriminator is from taking results for photos.

    With f and r the logits of one scale, means over samples and patches, and the sum taken over scales:

    - ``lsgan``: mean (f - 1)^2 (Mao et al., ICCV 2017);
    - ``bce``: mean softplus(-f), the non-saturating form (Goodfellow et al., NeurIPS 2014);
    - ``hinge`` (Lim and Ye, 2017) and ``wasserstein`` (Arjovsky et al., ICML 2017): -mean f;
    - ``relativistic``: mean max(0, 1 - (f - mean r)) + mean max(0, 1 + (r - mean f)), the relativistic average hinge
      (Jolicoeur-Martineau, ICLR 2019).

    Args:
        fake: judgement of the results; logits (N, 1, h, w) or (N, 1) a scale.
        real: judgement of photos; only ``relativistic`` needs it.
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


def discriminator_adversarial_loss(real: Judgement, fake: Judgement, *, objective: Objective) -> Tensor:
    """Return how far the discriminator is from telling photos and results apart.

    With r and f the logits of one scale, means over samples and patches, and the sum taken over scales:

    - ``lsgan``: half of mean (r - 1)^2 + mean f^2;
    - ``bce``: half of mean softplus(-r) + mean softplus(f);
    - ``hinge``: mean max(0, 1 - r) + mean max(0, 1 + f);
    - ``wasserstein``: mean f - mean r;
    - ``relativistic``: mean max(0, 1 - (r - mean f)) + mean max(0, 1 + (f - mean r)).

    The halves are those of pix2pixHD: they slow the discriminator relative to the generator.

    Args:
        real: judgement of the photos; logits (N, 1, h, w) or (N, 1) a scale.
        fake: judgement of the results.
        objective: one of the above.

    Returns:
        a scalar.

    Raises:
        ValueError: the judgements differ in their number of scales.
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


def join(first: Judgement, second: Judgement) -> Judgement:
    """Return the logits of two judgements of N and M pictures as one of N + M, scale by scale, without features.

    Raises:
        ValueError: the judgements differ in their number of scales.
    """
    if len(first.scales) != len(second.scales):
        raise ValueError(f"cannot join judgements of {len(first.scales)} and {len(second.scales)} scales")
    return Judgement(
        tuple(
            ScaleJudgement(torch.cat((left.logits, right.logits)))
            for left, right in zip(first.scales, second.scales, strict=True)
        )
    )


@dataclass(frozen=True, kw_only=True)
class AdversarialLoss:
    """The adversarial loss of either player; ``step.player`` says whose turn it is.

    Args:
        objective: see :func:`generator_adversarial_loss`.
        swapped: also judge the results in the look of another face. Own and swapped results then count alike in one
            mean, so the loss keeps its size.
        results: judge the results with the own attributes of each face, or with those of another one.
    """

    objective: Objective = "lsgan"
    swapped: bool = False
    results: Results = "own"

    def __call__(self, step: Step) -> Tensor:
        """Return the loss of the player whose turn it is, a scalar."""
        # Asked for first, so that a step can judge both in one pass.
        swapped = step.swapped if self.swapped else None
        fake = step.judge(step.transferred if self.results == "transferred" else step.fake)
        if swapped is not None:
            fake = join(fake, step.judge(swapped, step.swapped_condition))
        if step.player == "generator":
            real = step.judge(step.real).detach() if self.objective == "relativistic" else None
            return generator_adversarial_loss(fake, real, objective=self.objective)
        return discriminator_adversarial_loss(step.judge(step.real), fake, objective=self.objective)


def build(options: AdversarialOptions, context: BuildContext) -> AdversarialLoss:
    """Build the loss from a recipe's options."""
    return AdversarialLoss(objective=options.objective, swapped=options.swapped, results=options.results)


def _by_scale(fake: Judgement, real: Judgement | None, objective: Objective) -> list[tuple[Tensor, Tensor | None]]:
    if not fake.scales:
        raise ValueError("a judgement needs at least one scale")
    fake_logits = [at_least_float32(scale.logits) for scale in fake.scales]
    if real is None:
        if objective == "relativistic":
            raise ValueError("the relativistic objective compares results with photos: give it a judgement of photos")
        return [(logits, None) for logits in fake_logits]
    if len(real.scales) != len(fake.scales):
        raise ValueError(f"photos were judged at {len(real.scales)} scales and results at {len(fake.scales)}")
    return [(logits, at_least_float32(scale.logits)) for logits, scale in zip(fake_logits, real.scales, strict=True)]
