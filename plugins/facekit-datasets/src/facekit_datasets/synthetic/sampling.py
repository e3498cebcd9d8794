"""The distribution of synthetic faces: one parameter set per (seed, index).

Shares are chosen for variety rather than to copy a population: rare classes (hats, glasses, necklaces) are more
common than in photographs so that small sets hold all of them, and skin tone is uniform over its range.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from . import parameters
from .geometry import generator
from .palettes import BACKGROUND_COLOURS, FABRIC_COLOURS, IRIS_COLOURS, LIPSTICK_COLOURS

Choice = TypeVar("Choice", bound=str)

_STYLES_MALE: dict[parameters.HairStyle, float] = {
    "short": 5,
    "crop": 3,
    "long": 1,
    "bob": 0.7,
    "afro": 0.8,
    "bald": 1.3,
}
_STYLES_FEMALE: dict[parameters.HairStyle, float] = {
    "long": 5, "bob": 2.4, "tied": 1.3, "bun": 1.2, "short": 0.8, "afro": 0.9, "bald": 0.1,
}  # fmt: skip
_COLOURS: dict[str, float] = {
    "black": 5, "dark_brown": 2.4, "brown": 3, "light_brown": 1.8, "blond": 3, "platinum": 1.2, "red": 1.6,
    "blue": 0.4, "pink": 0.5, "green": 0.3, "violet": 0.4,
}  # fmt: skip


class _Draw:
    """A random generator with the few draws that sampling needs, as plain Python numbers."""

    def __init__(self, random: np.random.Generator) -> None:
        self._random = random

    def chance(self, share: float) -> bool:
        return bool(self._random.random() < share)

    def between(self, low: float, high: float) -> float:
        return float(self._random.uniform(low, high))

    def normal(self, mean: float, deviation: float, limit: float) -> float:
        return float(np.clip(self._random.normal(mean, deviation), mean - limit, mean + limit))

    def below(self, count: int) -> int:
        return int(self._random.integers(count))

    def pick(self, weights: dict[Choice, float]) -> Choice:
        names, shares = list(weights), np.cumsum(list(weights.values()))
        position = int(np.searchsorted(shares, self._random.random() * shares[-1], side="right"))
        return names[min(position, len(names) - 1)]


def sample_parameters(seed: int, index: int) -> parameters.FaceParameters:
    """Draw the parameters of face ``index`` of the endless set ``seed``; they depend on the two numbers alone.

    Raises:
        ValueError: if either number is negative.
    """
    if seed < 0 or index < 0:
        raise ValueError(f"seed and index must not be negative, got seed={seed}, index={index}")
    draw = _Draw(generator(seed, index))
    male = draw.chance(0.48)
    young = draw.chance(0.72)
    age = draw.between(18, 40) if young else draw.between(52, 82)
    made_up = not male and draw.chance(0.5)
    tone = draw.between(0.0, 1.0)
    accessories = _accessories(draw, male)
    smiling = draw.chance(0.48)
    hair = _hair(draw, male=male, young=young, tone=tone, accessories=accessories)
    return parameters.FaceParameters(
        male=male,
        age=age,
        pose=parameters.Pose(
            yaw=draw.normal(0.0, 12.0, 28.0),
            pitch=draw.normal(0.0, 4.0, 9.0),
            roll=draw.normal(0.0, 4.5, 12.0),
            scale=draw.normal(1.06, 0.03, 0.06),
            x=draw.normal(0.5, 0.012, 0.025),
            y=draw.normal(0.452, 0.01, 0.02),
        ),
        light=parameters.Light(
            azimuth=draw.between(-55.0, 55.0),
            elevation=draw.between(12.0, 48.0),
            intensity=draw.between(0.92, 1.08),
            ambient=draw.between(0.36, 0.50),
            warmth=draw.between(-1.0, 1.0),
        ),
        shape=parameters.HeadShape(
            width=draw.normal(0.236 if male else 0.229, 0.007, 0.014),
            chin=draw.normal(0.392 if male else 0.378, 0.009, 0.018),
            jaw=draw.normal(2.4 if male else 1.92, 0.15, 0.28),
            cheek=draw.between(0.085, 0.12) if draw.chance(0.16) else draw.between(-0.01, 0.035),
        ),
        skin=parameters.Skin(
            tone=tone,
            redness=draw.between(0.2, 1.0),
            gloss=draw.between(0.35, 1.0),
            freckles=draw.between(0.5, 1.0) if tone < 0.5 and draw.chance(0.16) else 0.0,
            wrinkles=0.0 if young else draw.between(0.65, 1.0),
            rosy_cheeks=draw.chance(0.32 if made_up else 0.08),
        ),
        eyes=_eyes(draw, male=male, made_up=made_up, tone=tone, young=young),
        brows=parameters.Brows(
            height=draw.normal(0.0, 0.005, 0.008) + (0.064 if male else 0.068) + (0.014 if draw.chance(0.15) else 0.0),
            thickness=draw.between(0.0145, 0.017)
            if draw.chance(0.3 if male else 0.1)
            else draw.between(0.0075, 0.0100) + (0.001 if male else 0.0),
            arch=draw.between(0.75, 1.0) if draw.chance(0.1 if male else 0.45) else draw.between(0.1, 0.4),
        ),
        nose=parameters.Nose(
            width=draw.between(0.054, 0.060) if draw.chance(0.25) else draw.between(0.041, 0.048),
            length=draw.normal(0.163, 0.006, 0.012),
            protrusion=draw.normal(0.062, 0.006, 0.012),
        ),
        mouth=_mouth(draw, male=male, made_up=made_up, smiling=smiling),
        facial_hair=_facial_hair(draw, male=male),
        hair=hair,
        accessories=accessories,
        clothing=parameters.Clothing(
            kind=draw.pick(_garments(male, accessories.necklace)),
            colour=draw.below(len(FABRIC_COLOURS)),
            second_colour=draw.below(len(FABRIC_COLOURS)),
            stripes=draw.chance(0.2),
        ),
        background=_background(draw),
        texture_seed=int(draw.below(2**31)),
    )


def _accessories(draw: _Draw, male: bool) -> parameters.Accessories:
    glasses: dict[parameters.Glasses, float] = {"none": 8.4, "round": 0.6, "square": 0.65, "sun": 0.35}
    hats: dict[parameters.HatKind, float] = {"none": 8.7, "beanie": 0.5, "cap": 0.45, "brim": 0.35}
    earrings: dict[parameters.EarringKind, float] = {"none": 1.0, "stud": 0.25, "hoop": 0.4, "drop": 0.4}
    necklaces: dict[parameters.NecklaceKind, float] = {"none": 1.5, "chain": 0.35, "pearls": 0.3, "pendant": 0.35}
    wears_earrings = draw.chance(0.08 if male else 0.65)
    wears_necklace = draw.chance(0.1 if male else 0.6)
    ring, chain = draw.pick(earrings), draw.pick(necklaces)
    return parameters.Accessories(
        glasses=draw.pick(glasses),
        glasses_colour=draw.below(len(FABRIC_COLOURS)),
        hat=draw.pick(hats),
        hat_colour=draw.below(len(FABRIC_COLOURS)),
        earrings=ring if wears_earrings else "none",
        necklace=chain if wears_necklace else "none",
        metal="gold" if draw.chance(0.6) else "silver",
    )


def _garments(male: bool, necklace: parameters.NecklaceKind) -> dict[parameters.ClothKind, float]:
    if necklace != "none":  # A necklace needs an open neckline.
        return {"v_neck": 2.0, "scoop": 3.0}
    if male:
        return {"crew": 3.0, "v_neck": 1.0, "shirt": 2.5, "jacket": 2.5, "turtleneck": 0.7}
    return {"crew": 2.0, "v_neck": 2.0, "scoop": 3.0, "shirt": 1.0, "jacket": 0.8, "turtleneck": 0.7}


def _hair(draw: _Draw, *, male: bool, young: bool, tone: float, accessories: parameters.Accessories) -> parameters.Hair:
    style = draw.pick(_STYLES_MALE if male else _STYLES_FEMALE)
    covered = accessories.hat != "none"
    if covered and style in ("bald", "afro", "bun"):  # Nothing of these would show under the hat.
        style = "short" if male else "long"
    textures: dict[parameters.HairTexture, float] = {"straight": 2.0, "wavy": 1.6, "curly": 0.5}
    texture = "curly" if style == "afro" else draw.pick(textures)
    if style in ("crop", "bun"):  # Too short, or pulled too tight, to wave.
        texture = "straight"
    elif texture == "curly" and style not in ("afro", "bob", "long"):
        texture = "wavy"
    colour = draw.pick(_COLOURS)
    if tone > 0.6 and draw.chance(0.5):
        colour = "black"
    if not young and draw.chance(0.65):
        colour = "white" if draw.chance(0.35) else "gray"
    can_have_bangs = style in ("short", "bob", "long", "tied", "bun") and not covered
    bangs = can_have_bangs and draw.chance(0.2 if male else 0.34)
    visible: dict[parameters.HairStyle, float] = {"bob": 0.2, "long": 0.25}
    ears_visible = accessories.earrings != "none" or draw.chance(visible.get(style, 1.0))
    receding = male and style in ("short", "crop") and not bangs and draw.chance(0.12 if young else 0.45)
    return parameters.Hair(
        style=style,
        texture=texture,
        colour=colour,
        shade=draw.between(0.85, 1.15),
        volume=draw.between(0.0, 1.0),
        length=draw.between(0.0, 1.0),
        part=draw.between(-0.75, 0.75),
        hairline=draw.between(0.05, 0.065) if receding else draw.between(-0.012, 0.012),
        bangs=bangs,
        ears_visible=(ears_visible and style != "afro") or accessories.earrings != "none",
    )


def _eyes(draw: _Draw, *, male: bool, made_up: bool, tone: float, young: bool) -> parameters.Eyes:
    colours: dict[str, float] = dict.fromkeys(IRIS_COLOURS, 1.0)
    if tone > 0.45 and draw.chance(0.85):
        colours = {"brown": 1.0, "dark_brown": 1.5}
    narrow = draw.chance(0.14)
    return parameters.Eyes(
        width=draw.normal(0.0515, 0.002, 0.004),
        opening=draw.between(0.0105, 0.012) if narrow else draw.between(0.0178, 0.0225),
        tilt=draw.normal(2.0, 2.5, 6.0),
        iris=draw.pick(colours),
        gaze_x=draw.normal(0.0, 0.1, 0.25),
        gaze_y=draw.normal(0.0, 0.06, 0.12),
        lashes=draw.between(0.7, 1.0) if made_up else (0.1 if male else draw.between(0.3, 0.6)),
        eye_shadow=draw.between(0.55, 1.0) if made_up else 0.0,
        bags=draw.between(0.7, 1.0) if draw.chance(0.12 if young else 0.6) else 0.0,
    )


def _mouth(draw: _Draw, *, male: bool, made_up: bool, smiling: bool) -> parameters.Mouth:
    parted = draw.chance(0.62 if smiling else 0.25)
    opening = 0.0
    if parted:
        opening = draw.between(0.026, 0.046) if smiling else draw.between(0.018, 0.05)
    return parameters.Mouth(
        width=draw.normal(0.095 if smiling else 0.081, 0.004, 0.008),
        fullness=draw.between(1.3, 1.5) if draw.chance(0.2) else draw.between(0.75, 1.08),
        smile=draw.between(0.6, 1.0) if smiling else draw.between(-0.18, 0.1),
        opening=opening,
        lipstick=draw.below(len(LIPSTICK_COLOURS)) if made_up or (not male and draw.chance(0.1)) else None,
    )


def _facial_hair(draw: _Draw, *, male: bool) -> parameters.FacialHair:
    if not male:
        return parameters.FacialHair(beard="none", moustache=False)
    beards: dict[parameters.Beard, float] = {"none": 5.0, "shadow": 1.6, "goatee": 1.4, "full": 1.6}
    beard = draw.pick(beards)
    shares: dict[str, float] = {"none": 0.16, "shadow": 0.0, "goatee": 0.55, "full": 0.8}
    return parameters.FacialHair(beard=beard, moustache=draw.chance(shares[beard]))


def _background(draw: _Draw) -> parameters.Background:
    kinds: dict[parameters.BackgroundKind, float] = {"gradient": 1.5, "bokeh": 1.0, "wall": 1.0, "blocks": 1.0}
    first = draw.below(len(BACKGROUND_COLOURS))
    step = 1 + draw.below(len(BACKGROUND_COLOURS) - 1)
    return parameters.Background(
        kind=draw.pick(kinds),
        colour=first,
        second_colour=(first + step) % len(BACKGROUND_COLOURS),
    )
