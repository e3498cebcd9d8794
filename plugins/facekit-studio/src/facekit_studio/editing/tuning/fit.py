"""The optimisation: the photo from its own mask and style, and everything else as before."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from facekit.interfaces import Condition, FacekitError, Generated
from facekit_studio.editing.tuning.low_rank import TunedChange, first_factors, merged, tunable_weights
from facekit_studio.editing.tuning.options import TuningOptions, TuningProgress
from facekit_studio.editing.tuning.probes import Probe

WEIGHT_RATE, CODE_RATE = 1e-2, 2e-2
"""Learning rates of the factors of the weights and of the style's code."""

BETAS = (0.9, 0.99)
"""Of Adam; the second forgets fast, since there are few steps."""

WARM_UP = 5
"""Steps in which the learning rates rise; then they fall to 0 along a cosine."""

COARSER = (2, 4)
"""Sides of the blocks over which images are averaged before they are compared again."""

GRADIENTS = 2.0
"""Weight of the differences of neighbouring pixels, against blur."""

PlaceCondition = Callable[[Tensor], Condition]
"""Makes the condition of a mask (1, S, S): on its device, with its noise."""


def image_distance(image: Tensor, target: Tensor) -> Tensor:
    """Return how far images (N, 3, S, S) are apart: L1 of the pixels, of their means over larger blocks, and of the
    differences of neighbours."""
    distance = (image - target).abs().mean()
    for side in COARSER:
        distance = distance + (F.avg_pool2d(image, side) - F.avg_pool2d(target, side)).abs().mean()
    for dim in (2, 3):
        distance = distance + GRADIENTS * (image.diff(dim=dim) - target.diff(dim=dim)).abs().mean()
    return distance


def fit(
    generator: nn.Module,
    photo: Probe,
    others: Sequence[Probe],
    *,
    condition: PlaceCondition,
    options: TuningOptions,
    random: torch.Generator,
    progress: TuningProgress | None = None,
    where: str,
) -> TunedChange:
    """Return the change with which a generator gives a photo.

    Every second step sees the photo, and each one between them one of the others.

    Args:
        generator: a copy of the generator, in evaluation mode: during each call other weights stand in it.
        photo: the photo with its own mask and style.
        others: what is to come out as before.
        condition: makes conditions.
        options: steps, rank, and the weight of ``others``.
        random: draws the first factors, and which of ``others`` a step sees.
        progress: told each step.
        where: the run, for messages.

    Raises:
        FacekitError: no gradient reaches the change, or the loss is not finite.
    """
    weights = tunable_weights(generator)
    factors = first_factors(weights, options.rank, random)
    code = torch.zeros_like(photo.style.code).requires_grad_()
    optimiser = torch.optim.Adam(
        [
            {"params": [factor for pair in factors.values() for factor in pair], "lr": WEIGHT_RATE},
            {"params": [code], "lr": CODE_RATE},
        ],
        betas=BETAS,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, options.steps))

    def distance(probe: Probe, with_weights: dict[str, Tensor]) -> Tensor:
        style = TunedChange(code, {}).style(probe.style) if probe.tuned else probe.style
        made: Generated = functional_call(generator, with_weights, (condition(probe.mask), style))
        return image_distance(made.image.float(), probe.target)

    for step in range(options.steps):
        optimiser.zero_grad(set_to_none=True)
        changed = merged(weights, factors)
        # The gradients of the weights pass through the factors afterwards, but for weights that no gradient reaches.
        leaves = {name: weight.detach().requires_grad_() for name, weight in changed.items()}
        if step % 2 == 0 or not others:
            loss = distance(photo, leaves)
        else:
            other = others[int(torch.randint(len(others), (1,), generator=random))]
            loss = options.locality * distance(other, leaves)
        if not loss.requires_grad:
            raise FacekitError("no gradient passes through this run's generator, so it cannot be tuned", where=where)
        loss.backward()
        if not math.isfinite(float(loss.detach())):
            raise FacekitError(
                f"tuning to the photo failed in step {step + 1}: the loss is not a finite number",
                where=where,
                remedy="take other weights (--weights), or edit without --tune",
            )
        reached = [name for name, leaf in leaves.items() if leaf.grad is not None]
        torch.autograd.backward([changed[name] for name in reached], [leaves[name].grad for name in reached])
        optimiser.step()
        schedule.step()
        if progress is not None:
            progress(step + 1, options.steps)
    return TunedChange(code.detach(), {name: (up.detach(), down.detach()) for name, (up, down) in factors.items()})


def _rate(step: int, steps: int) -> float:
    """Return the factor on the learning rates in a step."""
    return min(1.0, (step + 1) / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * min(step, steps) / steps))
