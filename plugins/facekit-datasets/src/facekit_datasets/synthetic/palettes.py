"""Colours of the synthetic faces, written as 8-bit sRGB and served as linear light.

All blending and shading happens in linear light; :func:`linear` is the one place where a written colour enters it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]
Colour = tuple[float, float, float]

SKIN_TONES: tuple[Colour, ...] = (
    (240, 209, 191),
    (234, 195, 169),
    (223, 179, 150),
    (208, 160, 125),
    (192, 140, 104),
    (160, 110, 78),
    (124, 82, 56),
    (90, 58, 41),
    (60, 40, 31),
)
"""Skin albedo from the palest to the darkest, evenly spaced steps of ``Skin.tone`` from 0 to 1."""

HAIR_COLOURS: dict[str, Colour] = {
    "black": (30, 26, 26),
    "dark_brown": (64, 42, 30),
    "brown": (104, 68, 44),
    "light_brown": (138, 98, 64),
    "blond": (206, 166, 104),
    "platinum": (228, 206, 162),
    "red": (160, 66, 30),
    "gray": (158, 158, 160),
    "white": (216, 214, 212),
    "blue": (44, 86, 168),
    "pink": (214, 96, 146),
    "green": (50, 130, 96),
    "violet": (112, 66, 152),
}

IRIS_COLOURS: dict[str, Colour] = {
    "brown": (84, 50, 28),
    "dark_brown": (50, 32, 22),
    "hazel": (122, 92, 46),
    "green": (86, 122, 76),
    "blue": (78, 124, 172),
    "grey": (118, 132, 142),
}

FABRIC_COLOURS: tuple[Colour, ...] = (
    (28, 30, 36),
    (240, 238, 232),
    (38, 58, 104),
    (150, 34, 40),
    (46, 92, 66),
    (196, 158, 52),
    (112, 74, 120),
    (92, 98, 106),
    (198, 108, 80),
    (92, 152, 186),
    (126, 96, 66),
    (222, 150, 170),
)

LIPSTICK_COLOURS: tuple[Colour, ...] = (
    (178, 24, 42),
    (200, 52, 86),
    (150, 30, 66),
    (206, 74, 66),
    (112, 22, 48),
)

METALS: dict[str, Colour] = {"gold": (226, 178, 84), "silver": (208, 212, 218)}

BACKGROUND_COLOURS: tuple[Colour, ...] = (
    (214, 216, 220),
    (120, 132, 146),
    (48, 56, 72),
    (172, 150, 126),
    (96, 122, 100),
    (150, 176, 200),
    (186, 116, 92),
    (92, 64, 78),
    (230, 222, 206),
    (34, 34, 38),
    (70, 120, 140),
    (204, 176, 186),
)


@lru_cache(maxsize=256)
def linear(colour: Colour) -> FloatArray:
    """Linear-light values (3,) in [0, 1] of an 8-bit sRGB colour, as a read-only array."""
    value = np.asarray(colour, dtype=np.float64) / 255.0
    result = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    light = np.asarray(result, dtype=np.float32)
    light.setflags(write=False)
    return light


def skin_albedo(tone: float) -> FloatArray:
    """Linear albedo (3,) of a skin tone in [0, 1], 0 the palest; blended in linear light between the written tones."""
    steps = np.stack([linear(colour) for colour in SKIN_TONES])
    position = min(max(tone, 0.0), 1.0) * (len(SKIN_TONES) - 1)
    index = min(int(position), len(SKIN_TONES) - 2)
    share = position - index
    return np.asarray(steps[index] * (1.0 - share) + steps[index + 1] * share, dtype=np.float32)
