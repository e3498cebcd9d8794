"""Glasses and hats."""

from __future__ import annotations

import numpy as np

from .canvas import Canvas
from .geometry import (
    ALL,
    CROWN,
    EYE_X,
    FloatArray,
    Frame,
    StrandNoise,
    coverage,
    ellipse,
    gaussian,
    generator,
    smoothstep,
)
from .palettes import FABRIC_COLOURS, linear
from .parameters import FaceParameters
from .shading import Lamp, round_normal


def paint_glasses(canvas: Canvas, frame: Frame, face: FaceParameters, lamp: Lamp) -> None:
    """Frame, lenses, bridge and arms. The class covers lenses too, as in the official annotation."""
    kind = face.accessories.glasses
    if kind == "none":
        return
    # The frame stands before the eyes, so it turns further than they do.
    x, y = frame.face_x - 0.035 * frame.yaw_sine, frame.face_y - 0.006
    mirrored = np.abs(x)
    away = mirrored - EYE_X * 1.03
    if kind == "round":
        lens = ellipse(away, y, (0.0, 0.004), (0.075, 0.07))
    else:
        high = 0.058 if kind == "square" else 0.068
        drop = y - 0.006 + (0.10 * away if kind == "sun" else 0.0)
        lens = ((np.abs(away) / 0.083) ** 3.6 + (np.abs(drop) / high) ** 3.6) ** (1.0 / 3.6) - 1.0
        lens = lens * high
    rim_width = 0.0075 if kind != "round" else 0.006
    bridge = np.maximum(np.abs(y + 0.018 - 2.0 * x * x) - 0.006, mirrored - 0.045)
    arm = np.maximum(
        np.maximum(np.abs(y + 0.020 - 0.05 * mirrored) - 0.008, 0.185 - mirrored), mirrored - face.shape.width * 1.06
    )
    arm = np.maximum(arm, frame.head - 0.02)
    whole = np.minimum(np.minimum(lens - rim_width * 0.5, bridge), arm)
    rim = np.minimum(np.minimum(np.abs(lens) - rim_width, bridge), arm)
    colour = linear(FABRIC_COLOURS[face.accessories.glasses_colour]) * 0.55
    if face.accessories.glasses_colour in (1, 5, 11):
        colour = linear((40, 32, 28))
    near = np.exp(-np.clip(whole - 0.0, 0.0, 0.05) * (1.0 / 0.01)) * (whole > 0.0) * (frame.head < 0.0)
    canvas.darken(ALL, np.asarray(0.22 * near * smoothstep(-0.03, 0.02, y)))
    inside = coverage(np.asarray(lens))
    if kind == "sun":
        dark = linear(((22, 22, 26), (52, 34, 24), (24, 36, 48), (30, 42, 34))[face.texture_seed % 4])
        fade = 0.8 + 3.2 * np.clip(y + 0.01, 0.0, 0.08)
        reflection = 0.22 * gaussian(away - 0.4 * y, y, (-0.02, -0.03), (0.03, 0.02))
        canvas.paint(ALL, inside, np.asarray(dark[:, None, None] * fade + reflection, dtype=np.float32), opacity=0.94)
    else:
        streak = smoothstep(0.012, 0.0, np.abs(x + 0.8 * y - np.where(x > 0, EYE_X + 0.03, 0.03 - EYE_X)) - 0.006)
        canvas.paint(ALL, inside, linear((226, 234, 242)), opacity=0.06)
        canvas.paint(ALL, np.asarray(inside * streak, dtype=np.float32), linear((240, 246, 255)), opacity=0.16)
    lit = 0.75 + 0.9 * smoothstep(-0.002, -0.006, y - np.where(lens < 0.0, 0.0, -0.04)) * 0.3
    highlight = 0.12 * gaussian(away, y, (-0.03, -0.055), (0.05, 0.012))
    canvas.paint(ALL, coverage(np.asarray(rim)), np.asarray(colour[:, None, None] * lit + highlight, dtype=np.float32))
    canvas.mask[(whole < 0.0)] = 3


def paint_hat(canvas: Canvas, frame: Frame, face: FaceParameters, lamp: Lamp) -> None:
    """A beanie, a peaked cap or a brimmed hat that sits on the skull, with its shadow on hair and forehead."""
    kind = face.accessories.hat
    if kind == "none":
        return
    width, y = face.shape.width, frame.y
    x = frame.x + 0.04 * frame.yaw_sine
    colour = linear(FABRIC_COLOURS[face.accessories.hat_colour])
    second = linear(FABRIC_COLOURS[(face.accessories.hat_colour + 5) % len(FABRIC_COLOURS)])
    front_x = frame.x - 0.2 * frame.yaw_sine
    weave = StrandNoise(generator(face.texture_seed, 9), 128, 64)
    if kind == "beanie":
        half, top, edge = width + 0.038, CROWN - 0.075, -0.125 + 0.55 * front_x * front_x
        crown = _dome(x, y, half, top, -0.1)
        field = np.maximum(crown, y - edge)
        knit = 0.5 + 0.5 * np.cos(x / (half + 0.02) * 70.0 * (1.0 + 0.12 * np.square(x / half)))
        fold = smoothstep(-0.083, -0.077, y - edge)
        tone = (0.78 + 0.22 * knit * min(1.0, 0.004 / frame.pixel + 0.3)) * (1.0 + 0.14 * fold)
        tone *= 1.0 - 0.4 * np.exp(-np.square((y - edge + 0.083) * (1.0 / 0.008)))
        mixed = colour[:, None, None] * tone
    elif kind == "cap":
        half, top, edge = width + 0.026, CROWN - 0.06, -0.15 + 0.5 * front_x * front_x
        crown = np.maximum(_dome(x, y, half, top, -0.1), y - edge)
        peak_x = front_x - 0.06 * frame.yaw_sine
        visor = ellipse(peak_x, y - 0.8 * peak_x * peak_x, (0.0, -0.155), (0.205, 0.058))
        visor = np.maximum(visor, -0.185 + 0.3 * peak_x * peak_x - y)
        field = np.minimum(crown, visor)
        on_visor = coverage(visor)
        seam = np.exp(
            -np.square(
                (np.abs(front_x) - 0.085 * (1 - np.square(np.clip((y + 0.15) / (top + 0.15), 0, 1)))) * (1.0 / 0.003)
            )
        )
        tone = (1.0 - 0.25 * seam) + 0.06 * weave(x * 150.0 + 60.0, y * 150.0 + 90.0) * min(1.0, 0.005 / frame.pixel)
        mixed = colour[:, None, None] * tone
        under = 0.85 - 0.35 * smoothstep(-0.14, -0.1, y - 0.8 * peak_x * peak_x)
        if face.texture_seed % 2:
            mixed += (second[:, None, None] - mixed) * on_visor
        mixed = mixed * (1.0 + (under - 1.0) * on_visor)
        mixed *= 1.0 - 0.4 * np.exp(-np.square((visor - 0.002) * (1.0 / 0.006))) * (visor > 0.0)
        badge = ellipse(front_x, y, (0.0, -0.275), (0.036, 0.03))
        mixed += (second[:, None, None] - mixed) * coverage(badge)
    else:
        half, top = width + 0.016, CROWN - 0.075
        brim_y = -0.165
        crown = np.maximum(_dome(x, y, half, top, -0.14, 3.2), y - brim_y - 0.03)
        brim = ellipse(
            frame.x - 0.05 * frame.yaw_sine, y + 0.35 * np.square(frame.x), (0.0, brim_y + 0.012), (0.37, 0.05)
        )
        field = np.minimum(crown, brim)
        on_brim = coverage(brim)
        band_edge = brim_y - 0.022 + 0.9 * front_x * front_x * 0.5
        band = smoothstep(band_edge - 0.056, band_edge - 0.052, y) * (1.0 - on_brim)
        tone = 1.0 + 0.10 * weave(x * 90.0 + 60.0, y * 160.0 + 90.0) * min(1.0, 0.006 / frame.pixel)
        dent = 1.0 - 0.22 * gaussian(x, y, (0.0, top + 0.02), (0.08, 0.03))
        mixed = colour[:, None, None] * (tone * dent)
        mixed += (second[:, None, None] * 0.8 - mixed) * band
        mixed *= 1.0 - on_brim * (0.02 + 0.35 * smoothstep(brim_y + 0.01, brim_y + 0.055, y))
        mixed *= 1.0 - 0.35 * np.exp(-np.square(brim * (1.0 / 0.006))) * (brim > 0.0) * (y < brim_y + 0.02)
    across = np.clip(x / (half + 0.03), -0.96, 0.96)
    rise = np.clip((-0.12 - y) / (-0.12 - top), 0.0, 1.0)
    light = lamp.diffuse(round_normal(across, np.asarray(-0.15 - 0.85 * rise * rise)))
    # Cloth that is nearly black or white still shows its form.
    mixed = mixed * 0.92 + 0.006
    shadow = np.exp(-np.clip(field, 0.0, 0.2) * (1.0 / (0.035 if kind != "beanie" else 0.018)))
    shadow *= (field > 0.0) * (frame.y > -0.2) * ((frame.head < 0.0) | (canvas.mask == 13))
    canvas.darken(ALL, np.asarray(0.5 * shadow))
    canvas.paint(ALL, coverage(np.asarray(field)), np.asarray(mixed * light, dtype=np.float32), part="hat")


def _dome(x: FloatArray, y: FloatArray, half: float, top: float, base: float, power: float = 2.3) -> FloatArray:
    """Implicit half-dome: straight sides of half-width ``half`` below ``base``, closed at ``top``."""
    rise = np.clip((base - y) / (base - top), 0.0, None)
    return np.asarray(((np.abs(x) / half) ** power + rise**power) ** (1.0 / power) - 1.0) * half
