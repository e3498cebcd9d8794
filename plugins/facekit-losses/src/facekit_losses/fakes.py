"""The fakes that the option ``results`` of a loss names."""

from __future__ import annotations

from facekit.interfaces import Generated, Step
from facekit_gan import fake, shuffled_attributes, shuffled_style

from .options import AnyResults


def fakes_of(step: Step, results: AnyResults, faces: int | None = None) -> Generated:
    """Return the fakes of a step that a loss is about, (N, 3, H, W).

    Args:
        step: the step.
        results: those with their own masks, styles and attributes, or with the style or attributes of another face.
        faces: how many faces of the batch are made in the style of another; by default all.
    """
    if results == "shuffled_style":
        return shuffled_style(step, faces)
    return shuffled_attributes(step) if results == "shuffled_attributes" else fake(step)
