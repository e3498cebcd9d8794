"""The options of the augmentations. Importing this module does not import torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from facekit.interfaces import Options

DiffAugmentPart = Literal["color", "translation", "cutout"]
AdaPart = Literal["translation", "scale", "rotation", "color"]


def _each_once(parts: tuple[str, ...]) -> tuple[str, ...]:
    if not parts or len(set(parts)) != len(parts):
        raise ValueError("policy must name at least one part, and none twice")
    return parts


class DiffAugmentOptions(Options):
    """Options of ``diffaugment``."""

    policy: tuple[DiffAugmentPart, ...] = ("color", "translation", "cutout")
    """What is done to every image: ``color`` changes brightness, saturation and contrast, ``translation`` moves it by
    up to an eighth of its side, ``cutout`` hides a square of half its side. They are done in this order."""

    _policy = field_validator("policy")(_each_once)


class AdaOptions(Options):
    """Options of ``ada``."""

    target: float | None = Field(0.6, ge=-1, le=1)
    """What the mean sign of the discriminator's output for photos is kept at: 1 is a discriminator that tells all of
    them, 0 one that guesses. null keeps the probability as it is (``p``)."""
    speed: int = Field(500_000, ge=1)
    """Images in which the probability can go from 0 to 1. Raise it for long runs, lower it for short ones."""
    interval: int = Field(4, ge=1)
    """Steps from one change of the probability to the next."""
    p: float = Field(0.0, ge=0, le=1)
    """The probability of each change in the first step."""
    largest: float = Field(1.0, ge=0, le=1)
    """The probability that is never exceeded. Above 0.8 changes can leak into what the generator makes."""
    threshold: float | None = None
    """The output whose sign is taken is the discriminator's less this. 0 is published, for objectives that part photos
    and fakes at 0 (``bce``, ``hinge``). By default the middle between its mean outputs for photos and for fakes since
    the last change, which is about 0 there, and the right one for ``lsgan``, ``wasserstein`` and ``relativistic``."""
    policy: tuple[AdaPart, ...] = ("translation", "scale", "rotation", "color")
    """What may be done to an image, each with the same probability: moved by whole pixels, up to an eighth of its side;
    scaled; rotated; and in ``color`` brightness, contrast, inverted lightness, hue and saturation, each by itself."""
    rotation: float = Field(180.0, gt=0, le=180)
    """Largest angle of a rotation in degrees."""

    _policy = field_validator("policy")(_each_once)
