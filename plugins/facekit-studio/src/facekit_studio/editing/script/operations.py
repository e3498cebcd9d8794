"""Every operation of edit scripts, by the word that names it."""

from __future__ import annotations

from facekit_studio.editing.script.faces import AddGlasses, CloseMouth, OpenMouth, RaiseBrows
from facekit_studio.editing.script.looks import BlendReference, Reference
from facekit_studio.editing.script.moving import CopyPart, Interpolate, Mirror, Move, Rotate, Scale
from facekit_studio.editing.script.operation import Operation
from facekit_studio.editing.script.painting import Grow, Remove, Replace, SetRegion, Shrink

OPERATIONS: dict[str, type[Operation]] = {
    "set": SetRegion,
    "replace": Replace,
    "remove": Remove,
    "grow": Grow,
    "shrink": Shrink,
    "move": Move,
    "scale": Scale,
    "rotate": Rotate,
    "copy_part": CopyPart,
    "mirror": Mirror,
    "interpolate": Interpolate,
    "open_mouth": OpenMouth,
    "close_mouth": CloseMouth,
    "raise_brows": RaiseBrows,
    "add_glasses": AddGlasses,
    "reference": Reference,
    "blend_reference": BlendReference,
}
"""Every operation by the word that `do:` names it with."""
