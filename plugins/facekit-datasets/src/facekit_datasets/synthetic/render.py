"""Back to front: the generator's order of a synthetic face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .accessories import paint_glasses, paint_hat
from .attributes import attributes_of
from .canvas import Canvas
from .features import paint_brow, paint_eye, paint_mouth
from .geometry import ALL, Frame
from .hair import HairForm, paint_back, paint_front
from .head import paint_ear, paint_earring, paint_skin
from .parameters import FaceParameters
from .sampling import sample_parameters
from .scene import paint_background, paint_cloth, paint_neck, paint_necklace
from .shading import Lamp

SMALLEST_SIZE = 16
_SIDES = (-1, 1)


@dataclass(frozen=True)
class SyntheticFace:
    """One drawn face.

    Attributes:
        image: sRGB photograph, (size, size, 3) uint8.
        mask: CelebAMask-HQ class ids 0 to 18, (size, size) uint8; a class begins where its shape covers half a pixel.
        attributes: CelebA attribute names and whether each is true of the picture.
    """

    image: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8]
    attributes: dict[str, bool]


def render(parameters: FaceParameters, size: int) -> SyntheticFace:
    """Draw a face from its parameters.

    Args:
        parameters: from :func:`~facekit_datasets.synthetic.sample_parameters`, perhaps changed.
        size: side of the square picture in pixels, at least 16. The same parameters give the same face at every size.

    Returns:
        Picture, mask and attributes.

    Raises:
        ValueError: if ``size`` is below 16.
    """
    if size < SMALLEST_SIZE:
        raise ValueError(f"a synthetic face needs a size of at least {SMALLEST_SIZE} pixels, got {size}")
    face = parameters
    frame, lamp, canvas = Frame(face, size), Lamp(face.light), Canvas(size)
    paint_background(canvas, frame, face, lamp)
    form = None if face.hair.style == "bald" else HairForm(frame, face, lamp)
    if form is not None:
        paint_back(canvas, frame, form)
    # Below the jaw, then the head: each drawn through a window that just holds it, which halves the work.
    body = frame.window((0.0, 0.63), (9.0, 0.5), face=False) or ALL
    body_frame, body_canvas = frame.crop(body), canvas.crop(body)
    paint_neck(body_canvas, body_frame, face, lamp)
    paint_cloth(body_canvas, body_frame, face, lamp)
    paint_necklace(body_canvas, body_frame, face, lamp)
    reach = face.shape.width + 0.07
    head = frame.window((0.0, 0.02), (reach, 0.44), face=False) or ALL
    head_frame, head_canvas = frame.crop(head), canvas.crop(head)
    light = paint_skin(head_canvas, head_frame, face, lamp)
    paint_mouth(head_canvas, head_frame, face, lamp, light)
    for side in _SIDES:
        paint_eye(head_canvas, head_frame, face, lamp, light, side)
    for side in _SIDES:
        paint_brow(head_canvas, head_frame, face, side)
    paint_glasses(head_canvas, head_frame, face, lamp)
    if form is not None:
        paint_front(canvas, form)
    if face.hair.ears_visible:
        for side in _SIDES:
            if paint_ear(canvas, frame, face, lamp, side):
                paint_earring(canvas, frame, face, lamp, side)
    paint_hat(canvas, frame, face, lamp)
    return SyntheticFace(image=canvas.picture(), mask=canvas.mask, attributes=attributes_of(face))


def draw_face(seed: int, index: int, size: int) -> SyntheticFace:
    """Draw face ``index`` of the endless set ``seed`` at ``size`` pixels; equal arguments give equal bytes.

    Raises:
        ValueError: if ``seed`` or ``index`` is negative, or ``size`` is below 16.
    """
    return render(sample_parameters(seed, index), size)
