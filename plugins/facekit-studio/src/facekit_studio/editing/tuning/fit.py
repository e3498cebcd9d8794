"""The optimisation: the photo from its own mask and style, and everything else as before."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from facekit.interfaces import Condition, FacekitError, Generated, Options, Style
from facekit_studio.editing.tuning.low_rank import TunedChange, first_factors, merged, tunable_weights

METHOD = 1
"""Version of the method: raise it with every change that gives other numbers, so that nothing old is taken from the
cache, and results of folders are made again."""

DEFAULT_STEPS = 60
"""Steps where nobody says how many."""

MOST_STEPS = 2000
"""Most steps; a face is learnt by heart long before."""

TuningProgress = Callable[[int, int], None]
"""Told after each step how many are done, and of how many. What it raises ends the tuning, and nothing is kept."""


class TuningOptions(Options):
    """How a run is tuned to a photo."""

    steps: Annotated[int, Field(ge=1, le=MOST_STEPS)] = DEFAULT_STEPS
    """Updates. Steps and not seconds, so that the result does not depend on the machine's speed."""
    rank: Annotated[int, Field(ge=1, le=64)] = 4
    """Rank of the change of each weight of the generator."""
    locality: Annotated[float, Field(ge=0, le=100)] = 1.0
    """Weight of the term that keeps other masks and styles as they were; 0 leaves it out."""


OTHER_MASKS = 6
"""Other masks: warped ones with strange parts in them."""

LARGEST_WARP = 0.04
"""How far a warped mask moves at most, in sides of the square: brows, lips and outlines move so far in edits."""

WARP_PLACES = 5
"""Places each way between which the warp is interpolated."""

STRANGE_PARTS = 2
"""Ellipses of some class that are put into each mask, as glasses, hair or an open mouth are in edits."""

MARGIN = 0.02
"""How far around a changed pixel the face is as untuned, in sides of the square."""

_RECOLOURED = ((2, 0, 1), (1, 2, 0))
"""Orders of the photo's colour channels that make another style of it."""

_DARKER = 0.8
"""Factor on those colours, so that brightness differs, too."""


@dataclass(frozen=True, eq=False)
class Probe:
    """One input of the generator, and what is to come out.

    Args:
        mask: class ids (1, S, S).
        style: the style.
        tuned: whether the style is the photo's, so that the change of its code applies.
        target: the image (1, 3, S, S) that is to come out.
    """

    mask: Tensor
    style: Style
    tuned: bool
    target: Tensor


def other_masks(mask: Tensor, classes: int, random: torch.Generator) -> list[Tensor]:
    """Return other masks (1, S, S) of the face: warped smoothly, with ellipses of any class in them.

    Args:
        mask: the photo's class ids (1, S, S), on the CPU.
        classes: classes of the label map.
        random: draws them.
    """
    size = mask.shape[-1]
    centres = (torch.arange(size) + 0.5) / size
    rows, columns = torch.meshgrid(centres, centres, indexing="ij")
    place = torch.stack([columns, rows], dim=-1)[None] * 2 - 1
    found = []
    for _ in range(OTHER_MASKS):
        coarse = torch.randn((1, 2, WARP_PLACES, WARP_PLACES), generator=random)
        way = F.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=False)
        way = way / way.abs().amax() * 2 * LARGEST_WARP
        grid = place + way.permute(0, 2, 3, 1)
        planes = F.grid_sample(mask[:, None].float(), grid, mode="nearest", padding_mode="border", align_corners=False)
        other = planes[:, 0].round().long()
        for _ in range(STRANGE_PARTS):
            identity = int(torch.randint(classes, (1,), generator=random))
            left, top, across, down = torch.rand(4, generator=random).tolist()
            x, y = 0.2 + 0.6 * left, 0.25 + 0.55 * top
            wide, high = 0.03 + 0.09 * across, 0.03 + 0.09 * down
            inside = ((columns - x) / wide).square() + ((rows - y) / high).square() < 1
            other = torch.where(inside[None], torch.full_like(other, identity), other)
        found.append(other)
    return found


def other_styles(
    style: Style,
    image: Tensor,
    encode: Callable[[Tensor], Style],
    random: torch.Generator,
) -> list[Style]:
    """Return other styles: those of the photo (1, 3, S, S) in other colours, and its own with its regions' codes
    exchanged. ``encode`` gives the style of a photo with the same mask."""
    others = [encode(image[:, list(order)] * _DARKER) for order in _RECOLOURED]
    if style.axis == "regions":
        order_of_codes = torch.randperm(style.code.shape[1], generator=random).to(style.code.device)
        others.append(replace(style, code=style.code[:, order_of_codes]))
    return others


def kept_apart(before: Tensor, image: Tensor, mask: Tensor, other: Tensor) -> Tensor:
    """Return the image that another mask is to give: as before where it differs from the photo's, and around that; the
    photo elsewhere.

    Args:
        before: (1, 3, S, S) that it gave before tuning.
        image: the photo (1, 3, S, S).
        mask: the photo's class ids (1, S, S).
        other: those of the other mask.
    """
    reach = max(1, round(MARGIN * mask.shape[-1]))
    differs = (mask != other)[:, None].float()
    return torch.where(F.max_pool2d(differs, 2 * reach + 1, 1, reach) > 0, before, image)


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
