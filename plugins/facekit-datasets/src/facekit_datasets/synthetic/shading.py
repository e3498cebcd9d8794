"""Light on surfaces: wrapped diffuse with a warm terminator, soft specular, and the normals of the head."""

from __future__ import annotations

import math

import numpy as np

from .geometry import EYE_X, MOUTH_Y, FloatArray, Frame, gaussian, smoothstep
from .parameters import FaceParameters, Light

Normal = tuple[FloatArray, FloatArray, FloatArray]

# Red light travels furthest under the skin, so its terminator lies furthest into the shadow (subsurface scattering).
_SKIN_WRAP = (0.42, 0.22, 0.16)
_PLAIN_WRAP = (0.2, 0.2, 0.2)


class Lamp:
    """The key light, the ambient light and their colours, from :class:`~.parameters.Light`."""

    def __init__(self, light: Light) -> None:
        azimuth, elevation = math.radians(light.azimuth), math.radians(light.elevation)
        self.direction = (
            math.cos(elevation) * math.sin(azimuth),
            -math.sin(elevation),
            math.cos(elevation) * math.cos(azimuth),
        )
        half = np.array(self.direction) + np.array([0.0, 0.0, 1.0])
        half /= np.linalg.norm(half)
        self.half = (float(half[0]), float(half[1]), float(half[2]))
        warm = np.array([1.0 + 0.06 * light.warmth, 1.0, 1.0 - 0.08 * light.warmth], dtype=np.float32)
        # The key's share is set so that a surface turned to the viewer shows about its albedo.
        self.key = warm * np.float32(1.1 * light.intensity * (1.0 - light.ambient) / max(self.direction[2], 0.72))
        cool = np.array([1.0 - 0.03 * light.warmth, 1.0, 1.0 + 0.05 * light.warmth], dtype=np.float32)
        self.ambient = cool * np.float32(light.ambient)

    def diffuse(self, normal: Normal, *, skin: bool = False, occlusion: FloatArray | None = None) -> FloatArray:
        """Light (3, h, w) that a white surface with these normals sends to the viewer."""
        x, y, z = normal
        facing = x * self.direction[0] + y * self.direction[1] + z * self.direction[2]
        sky = 0.86 - 0.2 * y
        if occlusion is not None:
            sky = sky * occlusion
        result = np.empty((3, *facing.shape), dtype=np.float32)
        for channel, wrap in enumerate(_SKIN_WRAP if skin else _PLAIN_WRAP):
            lit = np.maximum((facing + wrap) * (1.0 / (1.0 + wrap)), 0.0)
            if occlusion is not None:
                lit *= 0.5 + 0.5 * occlusion
            result[channel] = lit * self.key[channel] + sky * self.ambient[channel]
        return result

    def specular(self, normal: Normal, exponent: int) -> FloatArray:
        """Blinn-Phong highlight (h, w) in [0, 1]; ``exponent`` is a power of two."""
        x, y, z = normal
        value = np.maximum(x * self.half[0] + y * self.half[1] + z * self.half[2], 0.0)
        while exponent > 1:
            value = value * value
            exponent //= 2
        return np.asarray(value)


def normalise(x: FloatArray, y: FloatArray, z: FloatArray) -> Normal:
    """Unit-length normals."""
    scale = 1.0 / np.sqrt(x * x + y * y + z * z + 1e-6)
    return x * scale, y * scale, z * scale


def round_normal(across: FloatArray, down: FloatArray | float) -> Normal:
    """Normals of a rounded form from its position across (-1 to 1) and its vertical lean (positive faces down)."""
    across = np.clip(across, -0.97, 0.97)
    return normalise(across, np.zeros_like(across) + down, np.sqrt(1.0 - across * across))


def nose_x(frame: Frame, face: FaceParameters) -> FloatArray:
    """Face coordinate across the nose: it stands out, so turning the head moves it further than the cheeks."""
    base = face.nose.length
    out = np.clip((frame.face_y + 0.03) / (base + 0.01), 0.0, 1.0)
    return np.asarray(frame.face_x - 0.8 * face.nose.protrusion * frame.yaw_sine * out * out)


def head_relief(frame: Frame, face: FaceParameters) -> FloatArray:
    """Height of the features over the smooth head, in head units: nose, sockets, cheeks, lips, chin, folds."""
    x, y = frame.face_x, frame.face_y
    mirrored = np.abs(x)
    nose, base = nose_x(frame, face), face.nose.length
    nose_mirrored = np.abs(nose)
    smile = max(face.mouth.smile, 0.0)

    along = np.clip((y + 0.03) / (base + 0.005), 0.0, 1.0)
    under = smoothstep(base + 0.026, base - 0.03, y)
    ridge_width = 0.021 + 0.012 * along
    ridge = (0.007 + face.nose.protrusion * along * along) * np.exp(-np.square(nose / ridge_width))
    relief = ridge * under * smoothstep(-0.1, 0.0, y)
    relief += 0.017 * gaussian(nose, y, (0.0, base - 0.022), (0.026, 0.024))
    relief += 0.02 * gaussian(nose_mirrored, y, (face.nose.width - 0.016, base - 0.012), (0.017, 0.02))
    # Eye sockets under a brow ridge.
    ridge_height = 0.010 if face.male else 0.006
    relief -= 0.021 * gaussian(mirrored, y, (EYE_X - 0.014, -0.012), (0.058, 0.036))
    relief += 0.014 * gaussian(mirrored, y, (EYE_X, 0.0), (0.034, 0.022))
    relief += ridge_height * gaussian(mirrored, y, (0.08, -0.066), (0.085, 0.024))
    # Cheekbones, lifted and rounded by a smile.
    relief += (0.012 + 0.018 * smile) * gaussian(mirrored, y, (0.125, 0.115 - 0.01 * smile), (0.06, 0.05))
    relief += 2.0 * max(face.shape.cheek, 0.0) * 0.16 * gaussian(mirrored, y, (0.13, 0.2), (0.06, 0.07))
    # Muzzle, philtrum, lips' bed and chin.
    mouth = MOUTH_Y + face.mouth.opening * 0.35
    relief += 0.016 * gaussian(x, y, (0.0, mouth), (0.085, 0.05))
    relief -= 0.004 * gaussian(x, y, (0.0, base + 0.03), (0.011, 0.02))
    relief -= 0.010 * gaussian(x, y, (0.0, mouth + 0.058), (0.055, 0.016))
    relief += 0.018 * gaussian(x, y, (0.0, face.shape.chin - 0.055), (0.052, 0.04))
    if smile > 0.3 or face.skin.wrinkles > 0.0:
        # The fold from the nose's wing to the mouth's corner.
        fold = mirrored - (face.nose.width + 0.008 + 0.45 * np.clip(y - base + 0.02, 0.0, 0.2))
        reach = smoothstep(base - 0.03, base + 0.02, y) * smoothstep(mouth + 0.06, mouth, y)
        depth = 0.007 * smile + 0.008 * face.skin.wrinkles
        relief -= depth * np.exp(-np.square(fold * (1.0 / 0.011))) * reach
    return np.asarray(relief)


def head_normal(frame: Frame, relief: FloatArray) -> Normal:
    """Normals of the posed head with its relief, in the picture's directions."""
    down, right = np.gradient(relief)
    across = np.clip(frame.across, -0.985, 0.985)
    flat = across * (0.72 + 0.28 * across * across)
    lean = 0.75 * frame.lower**3 - 0.9 * frame.upper * frame.upper
    x = flat * frame.roll_cosine - lean * frame.roll_sine
    y = flat * frame.roll_sine + lean * frame.roll_cosine
    scale = 1.0 / frame.pixel
    return normalise(x - right * scale, y - down * scale, np.sqrt(1.0 - across * across))


def head_occlusion(frame: Frame, face: FaceParameters) -> FloatArray:
    """Share of the ambient light that reaches the skin: less in sockets, beside and under the nose, under the lip."""
    x, y = frame.face_x, frame.face_y
    mirrored, nose, base = np.abs(x), nose_x(frame, face), face.nose.length
    closed = 0.42 * gaussian(mirrored, y, (EYE_X - 0.042, -0.012), (0.032, 0.026))
    closed += 0.20 * gaussian(mirrored, y, (EYE_X, -0.024), (0.058, 0.02))
    closed += 0.3 * gaussian(nose, y, (0.0, base + 0.014), (face.nose.width * 0.95, 0.017))
    closed += 0.3 * gaussian(np.abs(nose), y, (face.nose.width + 0.004, base - 0.012), (0.009, 0.022))
    closed += 0.34 * gaussian(x, y, (0.0, MOUTH_Y + face.mouth.opening * 0.6 + 0.05), (0.05, 0.014))
    closed += 0.3 * frame.lower**6
    closed += 0.25 * np.square(np.square(frame.across))
    return np.asarray(1.0 - np.minimum(closed, 0.85))
