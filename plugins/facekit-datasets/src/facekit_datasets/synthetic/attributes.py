"""CelebA attributes of a synthetic face, read off its parameters and therefore true by construction."""

from __future__ import annotations

from ..synthetic_attributes import ATTRIBUTE_NAMES
from .parameters import FaceParameters

_HAIR_COLOUR_ATTRIBUTES: dict[str, str] = {
    "black": "Black_Hair",
    "dark_brown": "Brown_Hair",
    "brown": "Brown_Hair",
    "light_brown": "Brown_Hair",
    "blond": "Blond_Hair",
    "platinum": "Blond_Hair",
    "gray": "Gray_Hair",
    "white": "Gray_Hair",
}


def attributes_of(face: FaceParameters) -> dict[str, bool]:
    """Value of every name of :data:`ATTRIBUTE_NAMES`, in that order.

    Attributes of hidden things are false, as an annotator would have it: a bald head has no hair colour, and a hat
    hides baldness, bangs and the hairline.
    """
    worn, hair = face.accessories, face.hair
    bald = hair.style == "bald"
    bare = worn.hat == "none"
    colour = None if bald else _HAIR_COLOUR_ATTRIBUTES.get(hair.colour)
    shadow = face.facial_hair.beard == "shadow"
    made_up = face.mouth.lipstick is not None and face.eyes.eye_shadow > 0.4
    values = {
        "5_o_Clock_Shadow": shadow,
        "Arched_Eyebrows": face.brows.arch > 0.55,
        "Bags_Under_Eyes": face.eyes.bags > 0.5 and worn.glasses == "none",
        "Bald": bald and bare,
        "Bangs": hair.bangs and not bald and bare,
        "Big_Lips": face.mouth.fullness > 1.2,
        "Big_Nose": face.nose.width > 0.05,
        "Bushy_Eyebrows": face.brows.thickness > 0.0125,
        "Chubby": face.shape.cheek > 0.06,
        "Eyeglasses": worn.glasses != "none",
        "Goatee": face.facial_hair.beard == "goatee",
        "Heavy_Makeup": made_up and worn.glasses != "sun",
        "Male": face.male,
        "Mouth_Slightly_Open": face.mouth.opening > 0.0,
        "Mustache": face.facial_hair.moustache,
        "Narrow_Eyes": face.eyes.opening < 0.0125 and worn.glasses != "sun",
        "No_Beard": face.facial_hair.beard == "none" and not face.facial_hair.moustache,
        "Pale_Skin": face.skin.tone < 0.12,
        "Receding_Hairline": hair.hairline > 0.03 and not bald and bare and not hair.bangs,
        "Rosy_Cheeks": face.skin.rosy_cheeks,
        "Smiling": face.mouth.smile > 0.35,
        "Straight_Hair": not bald and hair.texture == "straight",
        "Wavy_Hair": not bald and hair.texture != "straight",
        "Wearing_Earrings": worn.earrings != "none",
        "Wearing_Hat": not bare,
        "Wearing_Lipstick": face.mouth.lipstick is not None,
        "Wearing_Necklace": worn.necklace != "none",
        "Young": face.age < 45.0,
    }
    for name in ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair"):
        values[name] = colour == name
    return {name: values[name] for name in ATTRIBUTE_NAMES}
