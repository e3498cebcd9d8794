"""What stands behind and below the head: background, neck, clothes and necklace."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from .canvas import Canvas
from .geometry import (
    ALL,
    FloatArray,
    Frame,
    StrandNoise,
    coverage,
    ellipse,
    gaussian,
    generator,
    smooth_noise,
    smoothstep,
    stroke,
)
from .palettes import BACKGROUND_COLOURS, FABRIC_COLOURS, METALS, linear, skin_albedo
from .parameters import FaceParameters
from .shading import Lamp, normalise, round_normal

SHOULDER_Y = 0.445
"""Height where the neck meets the collar bones, in head units."""


def paint_background(canvas: Canvas, frame: Frame, face: FaceParameters, lamp: Lamp) -> None:
    """Fill the whole picture; every kind is out of focus, as behind a portrait lens."""
    size = frame.size
    random = generator(face.texture_seed, 1)
    first = linear(BACKGROUND_COLOURS[face.background.colour])
    second = linear(BACKGROUND_COLOURS[face.background.second_colour])
    steps = (np.arange(size, dtype=np.float32) + 0.5) / size
    right, down = np.broadcast_to(steps[None, :], (size, size)), np.broadcast_to(steps[:, None], (size, size))
    angle = random.uniform(0.0, 2.0 * math.pi)
    ramp = 0.5 + 0.55 * (math.cos(angle) * (right - 0.5) + math.sin(angle) * (down - 0.5))
    kind = face.background.kind
    if kind == "gradient":
        glow = gaussian(right, down, (random.uniform(0.3, 0.7), random.uniform(0.2, 0.6)), (0.6, 0.6))
        share = np.clip(0.55 * ramp + 0.45 * (1.0 - glow), 0.0, 1.0)
    elif kind == "bokeh":
        share = np.clip(0.25 * ramp + 0.08 * smooth_noise(random, 5, size, size), 0.0, 1.0)
    elif kind == "wall":
        share = np.clip(0.3 * ramp + 0.14 * smooth_noise(random, 7, size, size), 0.0, 1.0)
        share = np.clip(share + 0.05 * smooth_noise(random, 48, size, size), 0.0, 1.0)
    else:  # "blocks": blurred uprights, like shelves or a street
        columns = random.uniform(0.0, 1.0, (3, 9)).astype(np.float32)
        share = np.array(Image.fromarray(columns).resize((size, size), Image.Resampling.BICUBIC), dtype=np.float32)
        share = 0.15 + 0.7 * smoothstep(0.2, 0.8, np.asarray(share))
    canvas.light[:] = first[:, None, None] + (second - first)[:, None, None] * share
    if kind == "bokeh":
        for _ in range(14):
            at, radius = (random.uniform(0, 1), random.uniform(0, 0.8)), random.uniform(0.03, 0.085)
            box = tuple(slice(max(int((c - radius) * size) - 2, 0), int((c + radius) * size) + 3) for c in reversed(at))
            x, y = right[box], down[box]
            if min(x.shape) < 3:
                continue
            field = ellipse(x, y, at, (radius, radius))
            disc = smoothstep(0.008, -0.004, field) * (0.75 + 0.25 * smoothstep(-0.3 * radius, 0.0, field))
            glow = np.minimum(first + second * 0.8 + np.float32(0.12), 1.0) * np.float32(random.uniform(0.7, 1.1))
            canvas.paint((box[0], box[1]), disc, glow, opacity=float(random.uniform(0.25, 0.7)))
    shade = 1.0 - 0.32 * np.square(right - 0.5) - 0.32 * np.square(down - 0.5)
    canvas.light *= shade * np.float32(0.9)


def neck_half_width(frame: Frame, face: FaceParameters) -> FloatArray:
    """Half-width of neck and shoulders by height: a column that flares into the shoulders."""
    column = face.shape.width * (0.66 if face.male else 0.555)
    flare = np.clip(frame.y - (SHOULDER_Y - 0.12), 0.0, None)
    slope = 0.30 if face.male else 0.24
    return np.asarray(
        column + 3.2 * flare * flare + slope * np.clip((frame.y - SHOULDER_Y + 0.07) * 14.0, 0.0, 1.0) ** 2
    )


def _torso_x(frame: Frame) -> FloatArray:
    # The neck stands behind the face: it follows the turn of the head only a little.
    return np.asarray(frame.x + 0.01 * frame.yaw_sine)


def paint_neck(canvas: Canvas, frame: Frame, face: FaceParameters, lamp: Lamp) -> None:
    """Neck and upper chest, with the chin's shadow, the two muscles and the collar bones."""
    x, y = _torso_x(frame), frame.y
    half = neck_half_width(frame, face)
    field = np.maximum(np.abs(x) - half, 0.16 - y)
    across = np.clip(x / half, -1.0, 1.0)
    mirrored = np.abs(x)
    muscle = mirrored - (0.105 - 0.3 * (y - 0.36))
    relief = 0.006 * np.exp(-np.square(muscle * (1.0 / 0.016))) * smoothstep(0.3, 0.38, y)
    relief += 0.01 * gaussian(mirrored, y, (0.10, SHOULDER_Y + 0.035), (0.09, 0.014))
    relief -= 0.012 * gaussian(x, y, (0.0, SHOULDER_Y + 0.01), (0.03, 0.03))
    if face.male:
        relief += 0.007 * gaussian(x, y, (0.0, 0.41), (0.016, 0.022))
    down, right = np.gradient(relief)
    nx, ny, nz = round_normal(across * 0.9, 0.12)
    normal = normalise(nx - right / frame.pixel, ny - down / frame.pixel, nz)
    # The head's own shape, moved down and away from the light, is its shadow.
    drop = 0.055 + 0.05 * max(-lamp.direction[1], 0.0)
    chin = face.shape.chin
    shadow_x = x - frame.yaw_sine * 0.1 + 0.05 * lamp.direction[0]
    shadow = np.square(shadow_x / (face.shape.width * 0.95)) + np.square((y - 0.12) / (chin + drop - 0.12)) - 1.0
    shade = smoothstep(0.16, -0.22, shadow)
    light = lamp.diffuse(normal, skin=True, occlusion=np.asarray(1.0 - 0.45 * shade - 0.2 * np.abs(across) ** 3))
    light *= 1.0 - 0.34 * shade
    albedo = skin_albedo(face.skin.tone)
    canvas.paint(ALL, coverage(field), albedo[:, None, None] * light, part="neck")


def _neckline(frame: Frame, face: FaceParameters, x: FloatArray) -> FloatArray:
    """Height of the garment's upper edge at each x (head units): cloth lies below it."""
    mirrored = np.abs(x)
    kind = face.clothing.kind
    if kind == "turtleneck":
        return np.asarray(0.405 + 0.012 * np.cos(np.minimum(mirrored, 0.16) * 19.0))
    if kind == "v_neck":
        dip = SHOULDER_Y + 0.105 - 0.95 * mirrored
    elif kind == "scoop":
        dip = SHOULDER_Y + 0.06 - 3.0 * mirrored * mirrored
    elif kind in ("shirt", "jacket"):
        dip = SHOULDER_Y + 0.06 - 0.85 * mirrored
    else:
        dip = SHOULDER_Y + 0.012 - 2.4 * mirrored * mirrored
    # The rim climbs to the side of the neck and ends there: shoulders are covered.
    return np.asarray(np.maximum(dip, SHOULDER_Y - 0.035))


def paint_cloth(canvas: Canvas, frame: Frame, face: FaceParameters, lamp: Lamp) -> None:
    """The garment, with folds, woven texture and, by kind, collar, lapels or ribbing."""
    x, y = _torso_x(frame), frame.y
    mirrored = np.abs(x)
    clothing = face.clothing
    edge = _neckline(frame, face, x)
    half = neck_half_width(frame, face) + 0.012
    field = np.maximum(edge - y, mirrored - half)
    cover = coverage(field)
    random = generator(face.texture_seed, 2)
    folds = StrandNoise(random, 64, 8)
    crease = folds(x * 14.0 + y * 6.0 + 20.0, y * 5.0 + mirrored * 4.0)
    down, right = np.gradient(crease * 0.012)
    nx, ny, nz = round_normal(np.clip(x / (half + 0.05), -1.0, 1.0), -0.15)
    normal = normalise(nx - right / frame.pixel, ny - down / frame.pixel, nz)
    main, second = linear(FABRIC_COLOURS[clothing.colour]), linear(FABRIC_COLOURS[clothing.second_colour])
    colour = np.broadcast_to(main[:, None, None], (3, *x.shape)).copy()
    depth = y - edge
    if clothing.kind in ("crew", "turtleneck", "scoop", "v_neck"):
        if clothing.stripes:
            band = smoothstep(-0.15, 0.15, np.asarray(np.sin((y + 0.12 * mirrored * mirrored) * 130.0)))
            colour += (second - main)[:, None, None] * (band * smoothstep(0.02, 0.03, depth))
        ribs = 1.0 - 0.25 * smoothstep(0.03, 0.02, depth)
        colour *= ribs
    elif clothing.kind == "shirt":
        collar = np.maximum(depth - 0.055 - 0.25 * mirrored, mirrored - 0.19)
        lift = coverage(collar)
        colour *= 1.0 - 0.32 * np.exp(-np.square(collar * (1.0 / 0.006))) * (collar > 0.0)
        colour += 0.05 * lift
        placket = stroke(x, 0.0016, frame.pixel) * (depth > 0.05)
        colour *= 1.0 - 0.5 * placket
    else:
        inner = coverage(mirrored - 0.02 - 0.5 * np.clip(SHOULDER_Y + 0.17 - y, 0.0, None))
        colour += (second - main)[:, None, None] * (inner * (y > SHOULDER_Y - 0.02))
        lapel = mirrored - 0.09 - 0.55 * np.clip(SHOULDER_Y + 0.17 - y, 0.0, None)
        colour *= 1.0 - 0.5 * stroke(lapel, 0.004, frame.pixel)
    light = lamp.diffuse(normal)
    # Contact: the cloth is darker just at the skin's edge outside, and skin is shaded under the rim.
    canvas.darken(
        ALL, np.asarray(0.35 * smoothstep(0.03, 0.0, np.asarray(-depth)) * (canvas.mask == 17) * (depth < 0.0))
    )
    canvas.paint(ALL, cover, colour * light, part="cloth")


def paint_necklace(canvas: Canvas, frame: Frame, face: FaceParameters, lamp: Lamp) -> None:
    """A chain, a string of pearls or a pendant on the neck; wide enough to be seen in small pictures."""
    kind = face.accessories.necklace
    if kind == "none":
        return
    x, y = _torso_x(frame), frame.y
    low = SHOULDER_Y + (0.028 if kind == "pearls" else 0.018)
    reach = neck_half_width(frame, face)
    line = low - 1.9 * x * x
    slope = np.sqrt(1.0 + np.square(3.8 * x))
    distance = (y - line) / slope
    arc = np.abs(x) * slope
    metal = linear(METALS[face.accessories.metal])
    if kind == "pearls":
        half, pitch = 0.0125, 0.024
        bead = np.mod(arc + 0.5 * pitch, pitch) - 0.5 * pitch
        field = np.maximum(np.abs(distance) - half, np.abs(x) - reach)
        roundness = np.clip(1.0 - np.square(bead / (0.5 * pitch)) - np.square(distance / half), 0.0, 1.0)
        shine = np.exp(-(np.square(bead + 0.003) + np.square(distance + 0.004)) * (1.0 / 0.0035**2))
        tone = (0.38 + 0.5 * np.sqrt(roundness) + 0.5 * shine)[None]
        colour = linear((238, 230, 218))[:, None, None] * tone
    else:
        half = 0.0085
        links = 0.62 + 0.38 * np.sin(arc * 520.0) * min(1.0, 0.0022 / frame.pixel)
        field = np.maximum(np.abs(distance) - half, np.abs(x) - reach)
        if kind == "pendant":
            field = np.minimum(field, ellipse(x, y, (0.0, low + 0.022), (0.017, 0.024)))
            links = np.where(y > low + 0.004, 0.75 + 12.0 * np.clip(low + 0.018 - y - 0.4 * x, -0.03, 0.05), links)
        colour = metal[:, None, None] * (0.35 + 0.9 * np.square(links))[None]
    canvas.darken(
        ALL, np.asarray(0.3 * smoothstep(0.02, 0.0, np.asarray(np.abs(distance - 0.012))) * (canvas.mask == 17))
    )
    canvas.paint(ALL, coverage(np.asarray(field)), np.asarray(colour, dtype=np.float32), part="neck_l")
