"""What the discriminator gives for the images of a step, several of them in one pass where that may be."""

from __future__ import annotations

import torch

from facekit.interfaces import DISCRIMINATOR, Condition, DiscriminatorOutput, Generated, Step, concatenate
from facekit.interfaces import discriminate as discriminate_images

from .images import condition_of
from .turn import REAL, Turn, turn_of


def discriminate(step: Step, image: Generated, condition: Condition | None = None) -> DiscriminatorOutput:
    """Return the discriminator's output for images.

    Those of this library are discriminated once a turn, all that were made before in one pass. Any other image is
    discriminated each time. In turns that do not train the discriminator, real photos are discriminated apart, without
    a graph.

    Args:
        step: the step.
        image: ``real(step)``, ``fake(step)`` and the like, or any other.
        condition: by default the one that the image was made for.

    Raises:
        FacekitError: the recipe has no discriminator.
    """
    turn = turn_of(step)
    name = turn.name_of(image)
    if name is None or (condition is not None and condition is not turn.made[name][1]):
        return discriminate_images(step.networks, image, condition or condition_of(step, image))
    if name not in turn.outputs:
        _discriminate(step, turn, name)
    return turn.outputs[name]


def _discriminate(step: Step, turn: Turn, name: str) -> None:
    """Discriminate an image, and with it those that share its pass."""
    trains = DISCRIMINATOR in step.trained
    if name == REAL and not trains:
        with torch.no_grad():
            turn.outputs[name] = discriminate_images(step.networks, *turn.made[name])
        return
    together = [name] if step.networks[DISCRIMINATOR].batch_dependent else _sharing_a_pass(step, turn, name, trains)
    images = [turn.made[each][0] for each in together]
    if len(images) > 1:
        # What a family adds to its images says how they came about; real photos do not have it.
        images = [Generated(image.image, image.pyramid, image.maps) for image in images]
    conditions = [turn.made[each][1] for each in together]
    output = discriminate_images(step.networks, concatenate(images), concatenate(conditions))
    for each in together[:-1]:
        turn.outputs[each], output = output.split(len(turn.made[each][0].image))
    turn.outputs[together[-1]] = output


def _sharing_a_pass(step: Step, turn: Turn, name: str, trains: bool) -> list[str]:
    """Return the images that share one pass, the named one among them: those of its form that were made."""
    image = turn.made[name][0]

    def fits(other: str) -> bool:
        made = turn.made[other][0]
        return len(made.pyramid) == len(image.pyramid) and made.maps.keys() == image.maps.keys()

    others = [each for each in turn.made if each not in turn.outputs and (trains or each != REAL)]
    # Those of a part of the batch last: an augmentation changes row r as sample r modulo the batch.
    whole = len(step.batch)
    return sorted(
        (each for each in others if fits(each)), key=lambda each: (each != REAL, len(turn.made[each][0].image) < whole)
    )
