"""Skin of the head, facial hair, nose, ears and earrings."""

from __future__ import annotations

import numpy as np

from .canvas import Canvas
from .geometry import (
    ALL,
    EYE_X,
    MOUTH_Y,
    FloatArray,
    Frame,
    StrandNoise,
    coverage,
    ellipse,
    gaussian,
    generator,
    smoothstep,
)
from .palettes import HAIR_COLOURS, METALS, linear, skin_albedo
from .parameters import FaceParameters
from .shading import Lamp, head_normal, head_occlusion, head_relief, nose_x, round_normal

EAR_Y = 0.044
"""Height of the ears' middle."""


def _skin_colour(frame: Frame, face: FaceParameters) -> FloatArray:
    """Albedo (3, size, size): base tone, blood in cheeks, nose and chin, freckles, make-up, lines of age."""
    x, y, skin = frame.face_x, frame.face_y, face.skin
    mirrored = np.abs(x)
    base = skin_albedo(skin.tone)
    random = generator(face.texture_seed, 3)
    texture = StrandNoise(random, 64, 64)
    mottle = texture(x * 40.0 + 8.0, y * 40.0 + 8.0) * 0.03
    flush = gaussian(mirrored, y, (0.125, 0.125), (0.06, 0.055)) + 0.8 * gaussian(x, y, (0.0, 0.14), (0.04, 0.03))
    flush += 0.35 * gaussian(x, y, (0.0, face.shape.chin - 0.04), (0.06, 0.04))
    light_skin = 1.0 - 0.55 * skin.tone
    amount = 0.16 * skin.redness * light_skin * flush
    colour = base[:, None, None] * (1.0 + mottle)
    blush = np.array([-0.05, -0.75, -0.6], dtype=np.float32)
    colour *= 1.0 + blush[:, None, None] * amount
    if skin.rosy_cheeks:
        rouge = gaussian(mirrored, y, (0.128, 0.105), (0.056, 0.045)) * 0.75
        tint = base * np.array([1.02, 0.42, 0.46], dtype=np.float32) + np.array([0.05, 0.0, 0.006], dtype=np.float32)
        colour += (tint[:, None, None] - colour) * (rouge * 0.85)
    if face.eyes.eye_shadow > 0.0:
        hues = ((96, 60, 78), (92, 72, 54), (62, 74, 104), (120, 70, 56))
        hue = linear(hues[face.texture_seed % 4])
        lid = gaussian(mirrored, y, (EYE_X + 0.006, -0.022), (0.056, 0.019)) * smoothstep(0.006, -0.006, y)
        colour += (hue[:, None, None] - colour) * (lid * 0.75 * face.eyes.eye_shadow)
    if face.eyes.bags > 0.0:
        bag = gaussian(mirrored, y, (EYE_X - 0.005, 0.036), (0.042, 0.012)) * 0.42 * face.eyes.bags
        colour *= 1.0 - bag * np.array([0.7, 1.0, 0.85], dtype=np.float32)[:, None, None]
    if skin.freckles > 0.0:
        spots = StrandNoise(random, 128, 128)(x * 95.0 + 32.0, y * 95.0 + 64.0)
        where = gaussian(mirrored, y, (0.07, 0.1), (0.1, 0.06)) * smoothstep(0.35, 0.75, spots) * skin.freckles
        colour *= 1.0 - where * np.array([0.34, 0.5, 0.6], dtype=np.float32)[:, None, None]
    if skin.wrinkles > 0.0:
        colour *= 1.0 - _wrinkles(frame, face) * skin.wrinkles
    return np.asarray(colour)


def _wrinkles(frame: Frame, face: FaceParameters) -> FloatArray:
    """Darkening (size, size) of forehead lines, crow's feet and lines under the eyes."""
    x, y = frame.face_x, frame.face_y
    mirrored = np.abs(x)
    blur = max(0.0028, 0.6 * frame.pixel)
    lines = np.zeros_like(x)
    for height, strength in ((-0.115, 0.5), (-0.142, 0.42), (-0.168, 0.3)):
        wave = y - height - 0.35 * x * x + 0.003 * np.sin(x * 45.0 + height * 300.0)
        lines += strength * np.exp(-np.square(wave / blur)) * smoothstep(0.125, 0.06, mirrored)
    for slope in (-0.35, 0.05, 0.45):
        ray = y - 0.006 - slope * (mirrored - EYE_X - 0.045)
        reach = smoothstep(EYE_X + 0.052, EYE_X + 0.062, mirrored) * smoothstep(EYE_X + 0.095, EYE_X + 0.075, mirrored)
        lines += 0.45 * np.exp(-np.square(ray / blur)) * reach
    under = ellipse(mirrored, y, (EYE_X - 0.004, 0.012), (0.052, 0.034))
    lines += 0.35 * np.exp(-np.square(under / blur)) * smoothstep(0.018, 0.03, y)
    return np.asarray(np.minimum(lines * 0.8, 0.6))


def _facial_hair(frame: Frame, face: FaceParameters) -> FloatArray:
    """Density of beard and moustache on the skin, 0 to 1."""
    x, y = frame.face_x, frame.face_y
    mirrored, hair = np.abs(x), face.facial_hair
    density = np.zeros_like(x)
    mouth = MOUTH_Y
    low = mouth + face.mouth.opening * 0.75
    base = face.nose.length
    if hair.beard in ("full", "shadow"):
        # From the sideburn down to the mouth's corner, and up again to the moustache.
        cheek_line = 0.12 + 0.095 * smoothstep(0.205, 0.12, mirrored) - 0.075 * smoothstep(0.11, 0.075, mirrored)
        area = smoothstep(-0.012, 0.03, y - cheek_line)
        lips = (
            np.square(x / (face.mouth.width + 0.012))
            + np.square((y - 0.5 * (mouth + low)) / (0.027 + 0.5 * (low - mouth)))
            - 1.0
        )
        area *= smoothstep(0.0, 0.5, lips)
        below_nose = smoothstep(base + 0.004, base + 0.022, y + 0.1 * np.clip(mirrored - 0.06, 0.0, None))
        upper_lip = (mirrored < face.mouth.width + 0.03) & (y < mouth + 0.01)
        area *= np.where(upper_lip, below_nose * (1.0 if hair.moustache or hair.beard == "shadow" else 0.45), 1.0)
        density = np.maximum(density, area * (1.0 if hair.beard == "full" else 0.4))
    if hair.beard == "goatee":
        chin = ellipse(x, y, (0.0, face.shape.chin - 0.035), (0.066, 0.072))
        # Bare just under the lip but for a tuft in the middle.
        bare = gaussian(x, y, (0.0, low + 0.030), (0.055, 0.022)) * smoothstep(0.006, 0.02, mirrored)
        below_lip = smoothstep(low + 0.024, low + 0.036, y)
        density = np.maximum(density, smoothstep(0.014, -0.012, chin) * below_lip * (1.0 - 0.75 * bare))
    if hair.moustache:
        droop = y - (base + 0.034 + 1.9 * x * x)
        strip = np.abs(droop) - 0.0205 * (1.0 - 0.45 * np.square(x / (face.mouth.width + 0.012)))
        ends = smoothstep(face.mouth.width + 0.016, face.mouth.width, mirrored)
        density = np.maximum(density, smoothstep(0.006, -0.004, strip) * ends)
    return np.asarray(density)


def paint_skin(canvas: Canvas, frame: Frame, face: FaceParameters, lamp: Lamp) -> FloatArray:
    """The head with nose and facial hair. Returns the light (3, size, size) on it, for the features drawn next."""
    relief = head_relief(frame, face)
    normal = head_normal(frame, relief)
    occlusion = head_occlusion(frame, face)
    light = lamp.diffuse(normal, skin=True, occlusion=occlusion)
    colour = _skin_colour(frame, face)
    gloss = 0.07 + 0.12 * gaussian(frame.face_x, frame.face_y, (0.0, -0.12), (0.1, 0.08))
    gloss += 0.12 * gaussian(nose_x(frame, face), frame.face_y, (0.0, 0.1), (0.016, 0.06))
    gloss *= face.skin.gloss
    if face.facial_hair.beard != "none" or face.facial_hair.moustache:
        density = _facial_hair(frame, face)
        strands = StrandNoise(generator(face.texture_seed, 4), 128, 32)
        rough = strands(frame.face_x * 260.0 + 64.0, frame.face_y * 42.0 + 8.0) * min(1.0, 0.003 / frame.pixel)
        dyed = face.hair.colour in ("blue", "pink", "green", "violet")
        tone = linear(HAIR_COLOURS["dark_brown" if dyed else face.hair.colour]) * np.float32(0.7)
        whiskers = tone[:, None, None] * (0.8 + 0.5 * rough)
        solid = 0.92 * density if face.facial_hair.beard != "shadow" else density * (0.85 + 0.3 * rough)
        colour += (whiskers - colour) * np.clip(solid, 0.0, 0.95)
        gloss = gloss * (1.0 - density)
    shine = lamp.specular(normal, 16) * gloss + lamp.specular(normal, 64) * gloss * 0.7
    nostrils = _nostrils(frame, face)
    lit = colour * light * (1.0 - 0.62 * nostrils) + shine * lamp.key[:, None, None]
    canvas.paint(ALL, coverage(frame.head), np.asarray(lit, dtype=np.float32), part="skin")
    nose = _nose_field(frame, face)
    canvas.mask[(nose < 0.0) & (canvas.mask == 1)] = 2
    return light


def _nostrils(frame: Frame, face: FaceParameters) -> FloatArray:
    x, y, nose = nose_x(frame, face), frame.face_y, face.nose
    hole = gaussian(np.abs(x), y, (nose.width * 0.46, nose.length + 0.002), (nose.width * 0.27, 0.0075))
    wing = np.abs(ellipse(np.abs(x), y, (nose.width - 0.021, nose.length - 0.014), (0.021, 0.022)))
    crease = np.exp(-np.square(wing * (1.0 / 0.004))) * smoothstep(nose.width - 0.018, nose.width - 0.004, np.abs(x))
    return np.asarray(np.minimum(hole + 0.28 * crease * smoothstep(nose.length - 0.045, nose.length - 0.02, y), 1.0))


def _nose_field(frame: Frame, face: FaceParameters) -> FloatArray:
    """Implicit outline of the nose class: a narrow bridge that widens to the wings."""
    x, y, nose = nose_x(frame, face), frame.face_y, face.nose
    along = np.clip((y + 0.012) / (nose.length + 0.012), 0.0, 1.0)
    half = 0.021 + (nose.width - 0.016) * along**2.0
    low = nose.length + 0.017 - 5.0 * x * x
    return np.asarray(np.maximum(np.maximum(np.abs(x) - half, y - low), -0.012 - y))


def _ear_place(frame: Frame, face: FaceParameters, side: int) -> tuple[float, float]:
    """Centre of an ear in head units; side -1 is the picture's left (the person's right)."""
    reach = face.shape.width * frame.yaw_cosine
    # Turned towards the viewer, an ear moves inwards over the head; turned away, behind the silhouette.
    return side * (reach + 0.007) + 0.03 * frame.yaw_sine, EAR_Y


def paint_ear(canvas: Canvas, frame: Frame, face: FaceParameters, lamp: Lamp, side: int) -> bool:
    """One ear with rim and hollow; side -1 is the picture's left. Returns whether any of it was drawn."""
    centre_x, centre_y = _ear_place(frame, face, side)
    window = frame.window((centre_x, centre_y), (0.075, 0.13), face=False)
    if window is None:
        return False
    turned = -side * frame.yaw_sine  # positive when this ear faces the viewer
    x, y = (frame.x[window] - centre_x) * side, frame.y[window] - centre_y
    wide = 0.030 + 0.045 * max(turned, 0.0)
    lean = x - 0.16 * -y
    shape = ellipse(lean, y, (0.0, -0.014), (wide, 0.064))
    lobe = ellipse(lean, y, (-0.010, 0.052), (0.019, 0.026))
    blend = np.clip(0.5 + 0.5 * (lobe - shape) * (1.0 / 0.03), 0.0, 1.0)
    field = lobe * (1.0 - blend) + shape * blend - 0.03 * blend * (1.0 - blend)
    # The head hides the ear's root; the more the ear faces the viewer, the less.
    silhouette = frame.head[window] * face.shape.width * 0.5
    outline = np.maximum(field, -(silhouette + 0.012 + 0.25 * max(turned, 0.0) * 0.5))
    depth = np.clip(-field * (1.0 / wide), 0.0, 1.0)
    across = np.clip(lean / wide, -1.0, 1.0)
    normal = round_normal(np.asarray(side * (0.2 + 0.4 * across)), y * 3.0)
    hollow = gaussian(lean, y, (-0.004, -0.014), (wide * 0.5, 0.036)) + 0.35 * np.exp(-np.square((depth - 0.32) * 9.0))
    light = lamp.diffuse(normal, skin=True, occlusion=np.asarray(1.0 - 0.5 * np.minimum(hollow, 1.0)))
    albedo = skin_albedo(face.skin.tone) * np.array([1.0, 0.91, 0.89], dtype=np.float32)
    light *= 1.0 - 0.3 * np.minimum(hollow, 1.0)
    cover = coverage(outline)
    if not bool((cover > 0.5).any()):
        return False
    canvas.paint(window, cover, albedo[:, None, None] * light, part="l_ear" if side > 0 else "r_ear")
    return True


def paint_earring(canvas: Canvas, frame: Frame, face: FaceParameters, lamp: Lamp, side: int) -> None:
    """A stud, hoop or drop at the lobe of one ear; side -1 is the picture's left."""
    kind = face.accessories.earrings
    centre_x, centre_y = _ear_place(frame, face, side)
    at = (centre_x - 0.012 * side, centre_y + 0.07)
    window = frame.window((at[0], at[1] + 0.04), (0.05, 0.11), face=False)
    if kind == "none" or window is None:
        return
    x, y = frame.x[window] - at[0], frame.y[window] - at[1]
    metal = linear(METALS[face.accessories.metal])
    if kind == "stud":
        field = ellipse(x, y, (0.0, 0.0), (0.016, 0.016))
        metal = metal * 0.5 + linear((230, 238, 248)) * 0.6
    elif kind == "hoop":
        field = np.abs(ellipse(x, y, (0.0, 0.036), (0.03, 0.038))) - 0.0068
    else:
        thread = np.maximum(np.abs(x) - 0.005, np.abs(y - 0.015) - 0.02)
        drop = ellipse(x * (1.0 + np.clip(0.045 - y, 0.0, 0.04) * 22.0), y, (0.0, 0.05), (0.017, 0.026))
        field = np.minimum(np.minimum(thread, drop), ellipse(x, y, (0.0, 0.0), (0.01, 0.01)))
        gems = ((40, 150, 120), (180, 30, 70), (50, 90, 190), (226, 178, 84))
        gem = linear(gems[face.texture_seed % 4])
        metal = np.where(y[None] > 0.026, gem[:, None, None], metal[:, None, None])
    # The far ear's ring hangs behind the cheek.
    turned = -side * frame.yaw_sine
    if turned < 0.0:
        hidden = frame.head[window] * face.shape.width * 0.5 + 0.03 + 0.2 * turned
        field = np.maximum(field, -hidden)
    shine = (
        0.5 + 0.6 * np.square(np.sin(x * 90.0 - y * 60.0 + 0.6)) + 0.9 * gaussian(x, y, (-0.004, 0.042), (0.006, 0.008))
    )
    colour = (metal if metal.ndim == 3 else metal[:, None, None]) * shine
    canvas.paint(window, coverage(np.asarray(field)), np.asarray(colour, dtype=np.float32), part="ear_r")
