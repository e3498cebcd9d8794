"""Colours of the synthetic faces, written as 8-bit sRGB in hexadecimal and served as linear light.

All blending and shading happens in linear light; :func:`linear` is the one place where a written colour enters it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]
Colour = tuple[float, float, float]


def _colours(text: str) -> tuple[Colour, ...]:
    return tuple((part[0], part[1], part[2]) for part in map(bytes.fromhex, text.split()))


def _named(text: str) -> dict[str, Colour]:
    names, colours = zip(*(part.split("=") for part in text.split()), strict=True)
    return dict(zip(names, _colours(" ".join(colours)), strict=True))


SKIN_TONES = _colours("f0d1bf eac3a9 dfb396 d0a07d c08c68 a06e4e 7c5238 5a3a29 3c281f")
"""Skin albedo from the palest to the darkest, evenly spaced steps of ``Skin.tone`` from 0 to 1."""

HAIR_COLOURS = _named(
    "black=1e1a1a dark_brown=402a1e brown=68442c light_brown=8a6240 blond=cea668 platinum=e4cea2 "
    "red=a0421e gray=9e9ea0 white=d8d6d4 blue=2c56a8 pink=d66092 green=328260 violet=704298"
)
IRIS_COLOURS = _named("brown=54321c dark_brown=322016 hazel=7a5c2e green=567a4c blue=4e7cac grey=76848e")
FABRIC_COLOURS = _colours("1c1e24 f0eee8 263a68 962228 2e5c42 c49e34 704a78 5c626a c66c50 5c98ba 7e6042 de96aa")
LIPSTICK_COLOURS = _colours("b2182a c83456 961e42 ce4a42 701630")
METALS = _named("gold=e2b254 silver=d0d4da")
BACKGROUND_COLOURS = _colours("d6d8dc 788492 303848 ac967e 607a64 96b0c8 ba745c 5c404e e6dece 222226 46788c ccb0ba")


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
