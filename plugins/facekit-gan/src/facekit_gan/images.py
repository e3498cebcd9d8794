"""Real and generated images of a step, each made at most once for a batch."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from facekit.interfaces import (
    GENERATED_PYRAMID,
    GENERATOR,
    SAMPLER,
    STYLE_ENCODER,
    Condition,
    FacekitError,
    Generated,
    Step,
    Style,
    encode,
    sample,
)

from .turn import REAL, turn_of

_KEY = "facekit_gan"


def real(step: Step) -> Generated:
    """Return the real photos in the form of a generated image.

    Where the generator declares a pyramid, they have the same sizes, by area averages. Where it gives maps, they have
    those that the data gives under the same names (``batch.extra``).
    """

    def make() -> Generated:
        image = step.batch.image
        if not _gives(step, GENERATED_PYRAMID.name):
            return Generated(image)
        made = fake(step)
        sizes = [(level.shape[-2], level.shape[-1]) for level in made.pyramid]
        maps = {name: step.batch.extra[name] for name in made.maps if name in step.batch.extra}
        return Generated(image, tuple(F.adaptive_avg_pool2d(image, size) for size in sizes), maps)

    return _named(step, REAL, make, lambda: step.condition)


def style(step: Step) -> Style:
    """Return the styles of the references of ``step.condition``.

    Raises:
        FacekitError: the recipe has no style encoder, or the batch no references.
    """
    return step.once((_KEY, "style"), lambda: encode(step.networks, step.condition.reference))


def fake(step: Step) -> Generated:
    """Return what the recipe's networks make of ``step.condition``."""
    return _named(step, "fake", lambda: _generated(step, step.condition), lambda: step.condition)


def shuffled_style(step: Step, faces: int | None = None) -> Generated:
    """Return what the networks make of each mask in the style of another face of the batch.

    Which other one changes from step to step. No reference is encoded again. What the other reference does not show,
    where styles are of regions, has the pixels of the photo, and no gradient: such a region is made of the mask alone,
    and a discriminator drives it away from all that photos show.

    Args:
        step: the step; its batch has at least two faces.
        faces: how many of the batch; by default all.

    Raises:
        FacekitError: the batch has no references.
    """
    count = len(step.batch) if faces is None else min(faces, len(step.batch))
    # Every other face of the batch takes its turn.
    shift = 1 + step.index % max(1, len(step.batch) - 1)

    def condition() -> Condition:
        if step.condition.reference is None:
            raise FacekitError("a loss asks for images in the style of another reference, and there is no reference")
        return step.condition.rolled_reference(shift).first(count)

    wanted = _condition(step, ("shuffled_style", count), condition)

    def make() -> Generated:
        if not _encodes(step):
            return sample(step.networks, wanted)
        other = style(step).roll(shift).first(count)
        return _where_shown(sample(step.networks, wanted, other), other, wanted.mask, step.batch.image[:count])

    return _named(step, f"shuffled_style/{count}", make, lambda: wanted)


def _where_shown(made: Generated, style: Style, mask: Tensor | None, photos: Tensor) -> Generated:
    """Return images with the photos' pixels in regions that their styles lack."""
    if mask is None or style.axis != "regions" or style.present is None or made.pyramid:
        return made
    shown = style.present.gather(1, mask.flatten(1)).view(mask.shape)[:, None]
    return replace(made, image=torch.where(shown, made.image, photos.to(made.image.dtype)))


def shuffled_attributes(step: Step) -> Generated:
    """Return what the networks make of each face with the attributes of the batch in a random order.

    Some faces may keep their own.

    Raises:
        FacekitError: the data has no attributes.
    """

    def condition() -> Condition:
        attributes = step.condition.attributes
        if attributes is None:
            raise FacekitError("a loss asks for images with other attributes, and the data has none")
        order = torch.randperm(len(attributes), generator=step.random)
        return step.condition.with_(attributes=attributes[order.to(attributes.device, non_blocking=True)])

    wanted = _condition(step, "shuffled_attributes", condition)
    return _named(step, "shuffled_attributes", lambda: _generated(step, wanted), lambda: wanted)


def generate(step: Step, condition: Condition, style: Style | None = None) -> Generated:
    """Return what the networks make of any condition; ``style`` saves encoding its reference.

    An image that this library has made for this very condition is returned as it is.
    """
    turn = turn_of(step)
    if style is None and condition is step.condition:
        return fake(step)
    for name, (made, known) in turn.made.items() if style is None else ():
        if known is condition and name != REAL:
            return made
    image = sample(step.networks, condition, style)
    turn.others.append((image, condition))
    return image


def condition_of(step: Step, image: Generated) -> Condition:
    """Return the condition that an image of this library was made for; ``step.condition`` for any other."""
    turn = turn_of(step)
    known = (*turn.made.values(), *turn.others)
    return next((condition for made, condition in known if made is image), step.condition)


def _generated(step: Step, condition: Condition) -> Generated:
    """Return what the networks make of a condition whose style is that of the batch."""
    return sample(step.networks, condition, style(step) if _encodes(step) else None)


def _encodes(step: Step) -> bool:
    """Tell whether images are made in a style that is encoded beforehand; samplers encode references themselves."""
    return SAMPLER not in step.networks and STYLE_ENCODER in step.networks


def _condition(step: Step, key: Hashable, make: Callable[[], Condition]) -> Condition:
    return step.once((_KEY, "condition", key), make)


def _named(step: Step, name: str, make: Callable[[], Generated], condition: Callable[[], Condition]) -> Generated:
    image = step.once((_KEY, name), make)
    turn_of(step).made[name] = (image, condition())
    return image


def _gives(step: Step, port: str) -> bool:
    networks: Any = step.networks
    made_by = SAMPLER if SAMPLER in networks else GENERATOR
    return made_by in networks and any(each.name == port for each in networks[made_by].ports.gives)
