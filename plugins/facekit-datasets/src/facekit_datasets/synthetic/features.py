"""Eyes, brows and mouth, drawn in face coordinates so that they follow the head's surface."""

from __future__ import annotations

import math

import numpy as np

from .canvas import Canvas
from .geometry import (
    EYE_X,
    MOUTH_Y,
    FloatArray,
    Frame,
    StrandNoise,
    Window,
    coverage,
    gaussian,
    generator,
    smoothstep,
    stroke,
)
from .palettes import HAIR_COLOURS, IRIS_COLOURS, LIPSTICK_COLOURS, linear, skin_albedo
from .parameters import FaceParameters
from .shading import Lamp


def paint_eye(canvas: Canvas, frame: Frame, face: FaceParameters, lamp: Lamp, light: FloatArray, side: int) -> None:
    """One eye with lids and lashes; side -1 is the picture's left (the person's right eye)."""
    eyes = face.eyes
    window = frame.window((side * EYE_X, 0.0), (eyes.width * 1.5, 0.055))
    if window is None:
        return
    tilt = math.radians(eyes.tilt)
    out, down = (frame.face_x[window] - side * EYE_X) * side, frame.face_y[window]
    x = out * math.cos(tilt) - down * math.sin(tilt)
    y = out * math.sin(tilt) + down * math.cos(tilt)
    pixel = frame.pixel
    t = x * (1.0 / eyes.width)
    arch = 1.0 - t * t
    squint = 1.0 - 0.22 * max(face.mouth.smile, 0.0)
    upper = -(eyes.opening * 1.25) * squint * arch * (1.0 - 0.16 * t) - 0.001
    lower = eyes.opening * 0.8 * squint * arch * (1.0 + 0.22 * t) + 0.001
    field = np.maximum(upper - y, y - lower)
    cover = coverage(np.where(np.abs(t) < 1.0, field, np.maximum(field, (np.abs(t) - 1.0) * eyes.width)))
    local = light[:, window[0], window[1]]

    # Crease of the lid and the shadow of the socket above it.
    inside = smoothstep(1.12, 0.85, np.abs(t))
    crease = upper - 0.0125 - 0.003 * (1.0 - t)
    canvas.darken(
        window, stroke(y - crease, max(0.0016, 0.35 * pixel), pixel) * inside * (0.42 if eyes.opening > 0.0125 else 0.2)
    )
    # Eyeball: grey-white, darker under the upper lid and in the corners.
    ball = 0.80 - 0.30 * smoothstep(0.009, 0.0, y - upper) - 0.22 * t * t
    white = np.array([0.86, 0.84, 0.83], dtype=np.float32)[:, None, None] * ball
    white[0] += 0.06 * np.square(t)
    pupil_x = side * eyes.gaze_x * eyes.width * 0.6
    pupil_y = -0.0015 + eyes.gaze_y * 0.012
    radius = 0.0232
    distance = np.sqrt(np.square(x - pupil_x) + np.square(y - pupil_y))
    iris_cover = np.clip((radius - distance) / pixel + 0.5, 0.0, 1.0)
    ring = distance * (1.0 / radius)
    angle = np.arctan2(y - pupil_y, x - pupil_x)
    rays = 0.1 * np.sin(angle * 11.0) * np.sin(angle * 7.0 + 1.0) * min(1.0, 0.004 / pixel)
    tone = 0.75 + rays + 0.75 * np.clip(y - pupil_y, -0.01, 0.02) / radius
    iris = linear(IRIS_COLOURS[eyes.iris])[:, None, None] * (tone * (1.0 - 0.65 * smoothstep(0.72, 1.0, ring))) * 1.25
    iris *= 1.0 - 0.45 * smoothstep(0.008, 0.0, y - upper)
    colour = white + (iris - white) * iris_cover
    pupil = np.clip((0.0098 - distance) / pixel + 0.5, 0.0, 1.0)
    colour *= 1.0 - 0.94 * pupil
    colour *= 0.35 + 0.65 * local
    glint_x, glint_y = pupil_x + side * 0.0085 * lamp.direction[0] * 1.3, pupil_y - 0.0075
    glint = np.exp(-(np.square(x - glint_x) + np.square(y - glint_y)) * (1.0 / max(0.0042, 0.62 * pixel) ** 2))
    glint += 0.22 * np.exp(-(np.square(x - pupil_x + 0.008) + np.square(y - pupil_y - 0.009)) * (1.0 / 0.005**2))
    colour += 0.85 * glint
    canvas.paint(window, cover, np.asarray(colour, dtype=np.float32), part="l_eye" if side > 0 else "r_eye")
    _paint_lids(canvas, window, frame.pixel, face, (x, y, t, upper, lower))


def _paint_lids(
    canvas: Canvas,
    window: Window,
    pixel: float,
    face: FaceParameters,
    shape: tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray],
) -> None:
    """Dark upper lash line with a wing, faint lower line, and single lashes where they are long."""
    x, y, t, upper, lower = shape
    eyes = face.eyes
    dark = linear((26, 18, 16)) if face.skin.tone > 0.25 or eyes.lashes > 0.25 else linear((70, 48, 40))
    ends = smoothstep(1.1, 0.96, np.abs(t))
    thickness = (0.0022 + 0.0026 * eyes.lashes) * (0.7 + 0.45 * np.clip(t, -1.0, 1.0))
    # Beyond the corner the line goes on outwards and up.
    lid = np.where(t > 0.9, upper - (t - 0.9) * 0.03 * eyes.lashes - 0.001, upper)
    reach = np.where(t > 0.0, smoothstep(1.12 + 0.16 * eyes.lashes, 0.98, t), ends)
    line = stroke(y - lid + 0.001, np.asarray(np.maximum(thickness, 0.0005)), pixel) * reach
    canvas.paint(window, line, dark, opacity=0.9)
    if eyes.lashes > 0.25:
        spread = x * (1.0 - 3.0 * np.clip(upper - y, 0.0, 0.02)) - 0.3 * np.clip(upper - y, 0.0, None)
        comb = smoothstep(0.0, 0.75, np.sin(spread * 800.0)) if pixel < 0.004 else np.full_like(x, 0.35)
        length = 0.004 + 0.010 * eyes.lashes * np.clip(0.35 + 0.65 * t, 0.0, 1.0)
        lashes = comb * smoothstep(length, 0.35 * length, upper - y) * (y < upper) * inside_lashes(t)
        canvas.paint(window, np.asarray(lashes, dtype=np.float32), dark, opacity=0.8)
    under = stroke(y - lower, max(0.0013, 0.3 * pixel), pixel) * ends
    canvas.darken(window, np.asarray(under * (0.3 + 0.3 * eyes.lashes)))


def inside_lashes(t: FloatArray) -> FloatArray:
    """Where along the lid lashes grow: t runs from -1 at the inner corner to 1 at the outer one."""
    return np.asarray(smoothstep(-0.75, 0.0, t) * smoothstep(1.2, 1.0, t))


def paint_brow(canvas: Canvas, frame: Frame, face: FaceParameters, side: int) -> None:
    """One eyebrow: an arc that tapers outwards, with hairs; side -1 is the picture's left."""
    brows = face.brows
    window = frame.window((side * (EYE_X + 0.004), -brows.height), (0.095, 0.055))
    if window is None:
        return
    x, y = frame.face_x[window] * side, frame.face_y[window]
    start, end = 0.034, 0.186
    t = (x - start) * (1.0 / (end - start))
    peak = 0.60
    rise = 0.017 + 0.024 * brows.arch
    curve = np.where(t < peak, 1.0 - np.square((t - peak) / peak), 1.0 - 1.25 * np.square((t - peak) / (1.0 - peak)))
    middle = -brows.height + 0.012 - rise * curve * 0.8
    half = brows.thickness * np.clip(np.minimum(0.72 + 3.0 * t, 1.22 - 1.02 * t), 0.12, 1.0)
    field = np.maximum(np.abs(y - middle) - half, np.abs(t - 0.5) * (end - start) - 0.5 * (end - start))
    random = generator(face.texture_seed, 5 + side)
    strands = StrandNoise(random, 64, 16)
    hairs = strands((x * 1.0 + 0.75 * (y - middle)) * 330.0 + 100.0, (y - middle) * 40.0 + 8.0)
    hairs = hairs * min(1.0, 0.0028 / frame.pixel)
    name = face.hair.colour
    written = linear(HAIR_COLOURS[name if name in ("black", "gray", "white", "red") else "dark_brown"])
    if name in ("blond", "platinum", "light_brown"):
        written = linear((126, 92, 58))
    if name in ("gray", "white"):
        written = linear((120, 116, 112))
    if face.skin.tone > 0.6:
        written = written * 0.55
    colour = written[:, None, None] * (1.0 + 0.6 * hairs)
    soft = coverage(np.asarray(field))
    canvas.paint(
        window, soft, np.asarray(colour, dtype=np.float32), part="l_brow" if side > 0 else "r_brow", opacity=0.86
    )


def paint_mouth(canvas: Canvas, frame: Frame, face: FaceParameters, lamp: Lamp, light: FloatArray) -> None:
    """Lips, and between parted lips the teeth and tongue."""
    mouth = face.mouth
    middle = MOUTH_Y + 0.2 * mouth.opening
    window = frame.window((0.0, middle + 0.01), (mouth.width * 1.25, 0.1))
    if window is None:
        return
    x, y = frame.face_x[window], frame.face_y[window]
    # The mouth stands out a little, so it turns further than the cheeks.
    x = x - 0.012 * frame.yaw_sine
    t = x * (1.0 / mouth.width)
    arch = 1.0 - t * t
    full = np.clip(arch, 0.0, 1.0) ** 0.8
    pixel = frame.pixel
    line = MOUTH_Y + 0.006 - 0.027 * mouth.smile * t * t + 0.004 * mouth.smile + 0.0025 * np.exp(-np.square(t * 6.0))
    gap_top = line - 0.22 * mouth.opening * full
    gap_bottom = line + 0.78 * mouth.opening * full
    thin = 1.0 - 0.2 * max(mouth.smile, 0.0)
    bow = 1.0 - 0.26 * np.exp(-np.square(t * 5.5)) + 0.16 * np.exp(-np.square((np.abs(t) - 0.22) * 5.0))
    top = gap_top - 0.0235 * mouth.fullness * thin * arch * bow
    bottom = gap_bottom + 0.0325 * mouth.fullness * thin * full
    beyond = (np.abs(t) - 1.0) * mouth.width
    upper = np.maximum(np.maximum(top - y, y - gap_top), beyond)
    lower = np.maximum(np.maximum(gap_bottom - y, y - bottom), beyond)
    local = light[:, window[0], window[1]]
    skin = skin_albedo(face.skin.tone)
    if mouth.lipstick is None:
        natural = skin * np.array([0.80, 0.50, 0.50], dtype=np.float32) + linear((150, 50, 52)) * 0.12
        if face.male:
            natural = natural * 0.55 + skin * np.array([0.82, 0.66, 0.64], dtype=np.float32) * 0.45
        lips, gloss = natural, 0.16
    else:
        lips, gloss = linear(LIPSTICK_COLOURS[mouth.lipstick]), 0.36
    if mouth.opening > 0.0:
        _paint_inside(canvas, window, pixel, face, local, (x, y, t, gap_top, gap_bottom, beyond))
    height = np.clip((y - gap_bottom) / np.maximum(bottom - gap_bottom, 1e-3), 0.0, 1.0)
    wrinkle = 0.06 * np.sin(t * 38.0 + 6.0 * height * t) * min(1.0, 0.004 / pixel)
    facing = 1.06 - 0.42 * np.square(height - 0.4) + wrinkle
    shine = gloss * gaussian(x, height, (0.018 * lamp.direction[0], 0.38), (0.36 * mouth.width, 0.2))
    colour = lips[:, None, None] * (local * facing) + shine * lamp.key[:, None, None]
    canvas.paint(window, coverage(lower), np.asarray(colour, dtype=np.float32), part="l_lip")
    rise = np.clip((gap_top - y) / np.maximum(gap_top - top, 1e-3), 0.0, 1.0)
    colour = lips[:, None, None] * (local * (0.72 + 0.22 * rise + wrinkle))
    canvas.paint(window, coverage(upper), np.asarray(colour, dtype=np.float32), part="u_lip")
    ends = smoothstep(1.06, 0.9, np.abs(t))
    if mouth.opening == 0.0:
        canvas.darken(window, np.asarray(0.62 * stroke(y - line, max(0.0018, 0.42 * pixel), pixel) * ends))
    corner = gaussian(np.abs(x), y, (mouth.width, MOUTH_Y + 0.006 - 0.023 * mouth.smile), (0.011, 0.009))
    canvas.darken(window, np.asarray(0.45 * corner))


def _paint_inside(
    canvas: Canvas,
    window: Window,
    pixel: float,
    face: FaceParameters,
    local: FloatArray,
    shape: tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray],
) -> None:
    """Dark cavity, tongue and the two rows of teeth."""
    x, y, t, top, bottom, beyond = shape
    opening = face.mouth.opening
    colour = np.broadcast_to(linear((62, 18, 20))[:, None, None], local.shape).copy()
    tongue = gaussian(x, y, (0.0, MOUTH_Y + 0.82 * opening), (0.045, 0.4 * opening + 0.002))
    colour += (linear((188, 84, 84))[:, None, None] - colour) * (0.75 * tongue)
    pitch = 0.0215
    gaps = np.abs(np.mod(x, pitch) - 0.5 * pitch) - 0.5 * pitch
    between = np.exp(-np.square(gaps * (1.0 / 0.0016))) * min(1.0, 0.0025 / pixel)
    ivory = linear((244, 238, 226))[:, None, None] * (1.0 - 0.30 * between - 0.42 * np.square(t))
    length = 0.021 if face.mouth.smile > 0.35 else 0.012
    edge = y - top - length + 0.0012 * np.cos(x * (2.0 * math.pi / pitch)) - 0.01 * np.square(t) * 0.5
    teeth = np.clip(0.5 - edge / pixel, 0.0, 1.0)
    colour += (ivory - colour) * teeth
    if opening > 0.034:
        low = np.clip(0.5 + (y - bottom + 0.006) / pixel, 0.0, 1.0)
        colour += (ivory * 0.75 - colour) * low * 0.8
    colour *= 1.0 - 0.45 * smoothstep(0.007, 0.0, y - top)
    colour *= 0.3 + 0.7 * local
    field = np.maximum(np.maximum(top - y, y - bottom), beyond)
    canvas.paint(window, coverage(field), np.asarray(colour, dtype=np.float32), part="mouth")
