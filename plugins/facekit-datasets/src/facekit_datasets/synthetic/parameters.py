"""What a synthetic face is made of: frozen, size-independent parameters that can be changed and redrawn.

Lengths are in head units (the picture's side at scale 1), angles in degrees, shares in [0, 1]. Change one with
:func:`dataclasses.replace`::

    face = sample_parameters(0, 5)
    red = dataclasses.replace(face, hair=dataclasses.replace(face.hair, colour="red"))
    picture = render(red, 256).image
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

HairStyle = Literal["short", "crop", "bob", "long", "tied", "bun", "afro", "bald"]
HairTexture = Literal["straight", "wavy", "curly"]
Beard = Literal["none", "shadow", "goatee", "full"]
Glasses = Literal["none", "round", "square", "sun"]
HatKind = Literal["none", "beanie", "cap", "brim"]
EarringKind = Literal["none", "stud", "hoop", "drop"]
NecklaceKind = Literal["none", "chain", "pearls", "pendant"]
ClothKind = Literal["crew", "v_neck", "shirt", "jacket", "turtleneck", "scoop"]
BackgroundKind = Literal["gradient", "bokeh", "wall", "blocks"]


@dataclass(frozen=True)
class Pose:
    """Yaw is positive towards the picture's right, pitch positive downwards, roll positive clockwise.

    ``x`` and ``y`` place the point between the eyes of a frontal face, in picture units.
    """

    yaw: float
    pitch: float
    roll: float
    scale: float
    x: float
    y: float


@dataclass(frozen=True)
class Light:
    """One key light (azimuth positive from the picture's right, elevation from above) over a soft ambient light."""

    azimuth: float
    elevation: float
    intensity: float
    ambient: float
    warmth: float


@dataclass(frozen=True)
class HeadShape:
    """Half-width of the head, height of the chin, exponent of the jaw (larger is squarer), fullness of the cheeks."""

    width: float
    chin: float
    jaw: float
    cheek: float


@dataclass(frozen=True)
class Skin:
    """``tone`` runs from the palest (0) to the darkest (1); the rest are strengths of details."""

    tone: float
    redness: float
    gloss: float
    freckles: float
    wrinkles: float
    rosy_cheeks: bool


@dataclass(frozen=True)
class Eyes:
    """Half-width, opening and outward tilt of the eyes, the iris and where it looks."""

    width: float
    opening: float
    tilt: float
    iris: str
    gaze_x: float
    gaze_y: float
    lashes: float
    eye_shadow: float
    bags: float


@dataclass(frozen=True)
class Brows:
    """Height above the eyes' middle, half thickness, arch, and raise by expression."""

    height: float
    thickness: float
    arch: float


@dataclass(frozen=True)
class Nose:
    """Half-width at the wings, height of the base below the eyes, and how far the tip stands out."""

    width: float
    length: float
    protrusion: float


@dataclass(frozen=True)
class Mouth:
    """Half-width, fullness of the lips, how far the corners rise (``smile``) and the lips part (``opening``)."""

    width: float
    fullness: float
    smile: float
    opening: float
    lipstick: int | None


@dataclass(frozen=True)
class FacialHair:
    """``beard`` and ``moustache`` are drawn on the skin; the official annotation counts them as skin too."""

    beard: Beard
    moustache: bool


@dataclass(frozen=True)
class Hair:
    """Style, texture and colour of the hair (a key of ``palettes.HAIR_COLOURS``), brightened by ``shade``."""

    style: HairStyle
    texture: HairTexture
    colour: str
    shade: float
    volume: float
    length: float
    part: float
    hairline: float
    bangs: bool
    ears_visible: bool


@dataclass(frozen=True)
class Accessories:
    """Things worn; colours are indices into ``palettes.FABRIC_COLOURS`` or keys of ``palettes.METALS``."""

    glasses: Glasses
    glasses_colour: int
    hat: HatKind
    hat_colour: int
    earrings: EarringKind
    necklace: NecklaceKind
    metal: str


@dataclass(frozen=True)
class Clothing:
    """Kind of garment and the indices of its two colours; ``stripes`` adds a woven pattern."""

    kind: ClothKind
    colour: int
    second_colour: int
    stripes: bool


@dataclass(frozen=True)
class Background:
    """Kind of background and the indices of its two colours into ``palettes.BACKGROUND_COLOURS``."""

    kind: BackgroundKind
    colour: int
    second_colour: int


@dataclass(frozen=True)
class FaceParameters:
    """Everything that :func:`render` needs; ``texture_seed`` drives strands, freckles and other noise."""

    male: bool
    age: float
    pose: Pose
    light: Light
    shape: HeadShape
    skin: Skin
    eyes: Eyes
    brows: Brows
    nose: Nose
    mouth: Mouth
    facial_hair: FacialHair
    hair: Hair
    accessories: Accessories
    clothing: Clothing
    background: Background
    texture_seed: int
