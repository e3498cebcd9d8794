"""Procedurally drawn, shaded faces with exact CelebAMask-HQ masks and CelebA attributes that are true by construction.

Nothing is downloaded and nothing is learnt: a face is a set of named parameters, drawn with numpy from implicit shapes
on a posed three-dimensional head. Parameters do not depend on the picture's size, so a face can be drawn at any size.
"""

from __future__ import annotations

from .attributes import ATTRIBUTE_NAMES, attributes_of
from .canvas import CLASS_IDS
from .parameters import FaceParameters
from .render import SyntheticFace, draw_face, render
from .sampling import sample_parameters

RENDERER_VERSION = 1
"""Goes into cache keys; raised whenever the same (seed, index, size) gives other bytes."""

__all__ = [
    "ATTRIBUTE_NAMES",
    "CLASS_IDS",
    "RENDERER_VERSION",
    "FaceParameters",
    "SyntheticFace",
    "attributes_of",
    "draw_face",
    "render",
    "sample_parameters",
]
