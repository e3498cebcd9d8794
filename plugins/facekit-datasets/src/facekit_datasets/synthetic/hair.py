"""Hair: outlines by style, the opening that the face looks out of, strands, and their light.

Hair is two layers of one form: the back layer behind neck and shoulders, and the front layer over skin and clothes with
the face's opening cut out. Strands run along lines of constant ``s``, the position across the form divided by its
half-width, so they fan out from the crown and follow the outline whatever the style.
"""

from __future__ import annotations

import numpy as np

from .canvas import Canvas
from .geometry import ALL, CROWN, FloatArray, Frame, StrandNoise, coverage, generator, smoothstep
from .palettes import HAIR_COLOURS, linear
from .parameters import FaceParameters, Hair
from .shading import Lamp, round_normal

_TURN_Y = -0.05
"""Height where the rounded top of the form meets its sides."""


def _profile(hair: Hair, width: float) -> tuple[list[float], list[float]]:
    """Control heights and half-widths of the back layer below the rounded top, by style."""
    full = width + 0.026 + 0.036 * hair.volume
    if hair.style in ("short", "crop"):
        full = width + 0.008 + (0.014 * hair.volume if hair.style == "short" else 0.0)
        return [_TURN_Y, 0.06, 0.16, 0.24], [full, width + 0.004, 0.9 * width, 0.7 * width]
    if hair.style == "bob":
        end = 0.26 + 0.13 * hair.length
        flare = 0.035 + 0.045 * hair.volume
        return [_TURN_Y, 0.08, 0.22, end - 0.03, end], [full, full + 0.012, full + flare, full + flare, full + 0.01]
    if hair.style == "long":
        spread = 0.045 + 0.075 * hair.volume
        return [_TURN_Y, 0.1, 0.3, 0.5, 0.75], [full, full + 0.012, full + spread, full + spread, full + spread - 0.03]
    return [_TURN_Y, 0.06, 0.16, 0.26], [width + 0.01, width + 0.002, 0.86 * width, 0.6 * width]


def _lift(hair: Hair) -> float:
    """How far the hair stands above the crown of the skull."""
    least = {"short": 0.03, "bob": 0.03, "long": 0.034}.get(hair.style)
    return 0.013 if least is None else least + 0.028 * hair.volume


def _half_width(hair: Hair, width: float, top: float, y: FloatArray) -> tuple[FloatArray, float]:
    """Half-width of the form at every height, and the height where it ends."""
    heights, widths = _profile(hair, width)
    grid = np.linspace(heights[0], heights[-1], 160)
    rows = np.interp(grid, heights, widths)
    kernel = np.hanning(27)
    rows = np.convolve(np.pad(rows, 13, mode="edge"), kernel / kernel.sum(), mode="valid")
    sides = np.interp(y, grid, rows).astype(np.float32)
    dome = np.sqrt(1.0 - np.clip((_TURN_Y - y) * (1.0 / (_TURN_Y - top)), 0.0, 1.0) ** 2.5)
    return np.asarray(sides * dome), heights[-1]


class HairForm:
    """The outline and strand coordinates of one head of hair."""

    def __init__(self, frame: Frame, face: FaceParameters, lamp: Lamp) -> None:
        hair, self._frame, self._face = face.hair, frame, face
        random = generator(face.texture_seed, 8)
        self.strands = StrandNoise(random, 256, 32)
        x, y = frame.x, frame.y
        worn_hat = face.accessories.hat != "none"
        # The skull lies behind the face, so the form stays back when the head turns.
        shifted = x + 0.045 * frame.yaw_sine * smoothstep(0.35, 0.0, y)
        swept: FloatArray | float = 0.0
        if hair.style in ("short", "crop") and not worn_hat:
            # Combed to one side: the form is higher there, and strands lean over.
            y = y + 0.22 * hair.part * x * smoothstep(0.05, -0.2, y)
            swept = 2.2 * hair.part * np.clip(-0.05 - y, 0.0, None)
        self.top = CROWN - (0.008 if worn_hat else _lift(hair))
        self.half, self.bottom = _half_width(hair, face.shape.width, self.top, y)
        if hair.texture != "straight" and hair.style in ("long", "bob", "tied"):
            tight = 38.0 if hair.texture == "curly" else 21.0
            swing = (0.016 if hair.texture == "wavy" else 0.019) * smoothstep(-0.12, 0.12, y)
            side = np.where(shifted > 0.0, 1.0, -1.0).astype(np.float32)
            phase = float(random.uniform(0.0, 6.0))
            ragged = self.strands(x * 26.0 + 40.0, y * 2.0 + 9.0)
            shifted = shifted + side * swing * np.sin(y * tight + phase + 1.3 * side + 1.6 * ragged)
        self.x = shifted
        crown = 0.085 * hair.part * smoothstep(0.0, -0.25, y)
        self.s: FloatArray = np.asarray((shifted - crown) / (self.half + 0.03) + swept, dtype=np.float32)
        tousle: FloatArray | float = 0.0
        if hair.texture != "straight" and hair.style == "short":
            # Short waves: strands curl from side to side, and the outline is made of tufts.
            loose = self.strands(x * 22.0 + 50.0, y * 22.0 + 20.0)
            self.s = self.s + 0.2 * np.sin(y * 62.0 + 3.0 * loose)
            tousle = 0.014 * loose * smoothstep(0.06, -0.1, y)
        self._jag = self.strands(self.s * 24.0 + 70.0, y * 3.0 + 5.0)
        if hair.style == "afro":
            at_y, radius = -0.13, 0.30 + 0.07 * hair.volume
            lumps = self.strands(x * 52.0 + 90.0, y * 52.0 + 40.0) * 0.016
            squash = np.sqrt(np.square(shifted) + np.square((y - at_y) * 1.06))
            self.outer = np.asarray(squash - radius + lumps)
            self.half = np.asarray(
                np.sqrt(np.clip(radius * radius - np.square(y - at_y), 1e-4, None)), dtype=np.float32
            )
            self.top, self.bottom = at_y - radius, at_y + radius
        else:
            fringe = 0.004 + 0.004 * (hair.texture != "straight")
            if hair.style == "short":  # Tousled or spiky tops.
                fringe += 0.014 * abs(hair.length - 0.5)
            above = np.abs(shifted) - self.half + np.clip(self.top - y, 0.0, None)
            above += fringe * self._jag * smoothstep(0.0, 0.05, y - self.top) + tousle
            below = y - self.bottom + 0.02 * self._jag
            self.outer = np.asarray(np.maximum(above, below))

        self._tail = self._tie_tail() if hair.style == "tied" else None
        self.colour = self._lit(lamp)

    def _tie_tail(self) -> FloatArray:
        """Implicit tail beside the neck; its strands run along it, not along the head."""
        face, hair, y = self._face, self._face.hair, self._frame.y
        side = -1.0 if hair.part > 0.0 else 1.0
        middle = side * (face.shape.width * 0.86 + 0.13 * np.sin(np.clip((y - 0.02) * 4.2, 0.0, 2.4)))
        half = 0.052 + 0.02 * hair.volume
        across = (self.x - middle) * (1.0 / half)
        own = smoothstep(0.0, 0.01, self.outer)
        self.s = self.s + (0.32 * across + 5.0 - self.s) * own
        tail = (np.abs(across) - np.clip((0.62 - y) * 6.0, 0.0, 1.0)) * half
        return np.maximum(tail + 0.004 * self._jag, 0.02 - y)

    def back(self) -> FloatArray:
        """Implicit back layer, with a bun or a tail where the style has one."""
        hair, frame = self._face.hair, self._frame
        field: FloatArray = self.outer
        if hair.style == "bun" and self._face.accessories.hat == "none":
            knot_x = -0.12 * frame.yaw_sine + 0.06 * hair.part
            knot = np.hypot(frame.x - knot_x, (frame.y - CROWN + 0.012) * 1.12) - (0.082 + 0.02 * hair.volume)
            field = np.minimum(field, knot + 0.004 * self._jag)
        if self._tail is not None:
            field = np.minimum(field, self._tail)
        return np.asarray(field)

    def front(self) -> FloatArray:
        """Implicit front layer: the form without the face's opening and, where ears show, without the sides."""
        face, frame, hair = self._face, self._frame, self._face.hair
        width = face.shape.width
        x: FloatArray = frame.face_x
        y = frame.face_y
        hang = smoothstep(0.2, 0.36, frame.y)
        x = x + (frame.x - x) * hang
        mirrored = np.abs(x)
        tilted = y + 0.16 * hair.part * x * smoothstep(0.12, -0.1, y)
        free = hair.style in ("long", "bob") and not hair.ears_visible
        inner = width * (0.885 if free else 0.90) - 0.01 * (hair.style == "afro")
        if hair.bangs and face.accessories.hat == "none":
            line, sharpness = -0.082, 5.0
            locks = 0.020 * self.strands(frame.x * 34.0 + 20.0, np.full_like(y, 3.3)) + 0.008 * self._jag
            tilted = y + 0.10 * hair.part * x
        else:
            line, sharpness = -0.232 - hair.hairline, 2.4
            locks = (0.012 if hair.style == "short" else 0.007) * self._jag
            if hair.style in ("long", "bob"):  # Parted: the hair falls to both sides like a curtain.
                line, sharpness = -0.245 - hair.hairline, 1.75
                x = x - 0.075 * hair.part * smoothstep(0.1, -0.25, y)
                mirrored = np.abs(x)
            if hair.hairline > 0.03:  # Receding: deep at the temples, a tongue of hair in the middle.
                tilted = tilted - 0.055 * np.exp(-np.square(x * (1.0 / 0.055)))
        reach = 0.1 - line
        up = np.clip(0.1 - tilted, 0.0, None) * (1.0 / reach)
        wide = mirrored * (1.0 / inner)
        if free:
            # Locks lie on the cheeks and close in towards the jaw, then hang beside the neck.
            wide = mirrored / (inner - 0.012 * smoothstep(0.05, 0.25, y) - 0.02 * hang)
        opening = (wide**sharpness + up**sharpness) ** (1.0 / sharpness) - 1.0
        field = np.maximum(self.outer, -opening * inner + locks * (1.0 - 0.5 * hang))
        if not free:
            # Sideburns end before the ear; behind the ear the hair goes on to the nape.
            sideburn = 0.045 if face.male else 0.02
            nape = 0.17 if hair.style in ("short", "crop", "tied", "bun") else (0.2 if hair.style == "afro" else 2.0)
            limit = sideburn + (nape - sideburn) * smoothstep(width * 0.985, width * 1.03, mirrored)
            field = np.maximum(field, frame.y - limit + 0.006 * self._jag)
        return np.asarray(field)

    def _lit(self, lamp: Lamp) -> FloatArray:
        """Lit colour (3, size, size): strands, locks, the glossy band across them."""
        frame, face = self._frame, self._face
        hair, y = face.hair, frame.y
        pixel = frame.pixel

        def fade(per_unit: float) -> float:  # Detail finer than two pixels would alias.
            return float(np.clip(1.6 - 2.0 * per_unit * pixel, 0.0, 1.0))

        if hair.texture == "curly":
            bend = self.strands(frame.x * 24.0 + 30.0, y * 24.0 + 30.0)
            coil = self.strands(frame.x * 56.0 + 3.0 * bend + 60.0, y * 56.0 + 3.0 * bend + 60.0)
            fine = self.strands(frame.x * 140.0 + 60.0, y * 140.0 + 90.0) * fade(140.0)
            hairs = self.strands(frame.x * 300.0 + 9.0 * coil + 60.0, y * 150.0 + 9.0 * bend + 90.0) * fade(300.0)
            detail = 0.34 * bend + 0.42 * coil * fade(56.0) + 0.2 * fine + 0.2 * hairs
        else:
            s = self.s
            locks = self.strands(s * 9.0 + 30.0, y * 2.4 + 4.0)
            thick = self.strands(s * 30.0 + 60.0 + 0.6 * locks, y * 3.2 + 8.0) * fade(120.0)
            fine = self.strands(s * 82.0 + 90.0 + 0.8 * locks, y * 4.5 + 12.0) * fade(330.0)
            detail = 0.26 * locks + 0.27 * thick + 0.25 * fine
        across = np.clip(self.x / (self.half + 0.025), -1.0, 1.0)
        rise = np.clip((_TURN_Y - y) * (1.0 / (_TURN_Y - self.top)), 0.0, 1.0)
        normal = round_normal(np.asarray(across * 0.94), np.asarray(-0.95 * rise * rise))
        depth = np.clip(-self.outer * (1.0 / 0.1), 0.0, 1.0)
        light = lamp.diffuse(normal, occlusion=np.asarray(1.0 - 0.3 * depth * smoothstep(0.1, 0.35, y)))
        base = linear(HAIR_COLOURS[hair.colour]) * np.float32(hair.shade)
        # Roots are a little darker than tips.
        tone = np.exp(detail * 1.05) * (0.86 + 0.22 * smoothstep(self.top, 0.35, y))
        colour = base[:, None, None] * light * tone
        if hair.texture == "curly":
            shine = 0.06 * np.clip(detail, 0.0, 1.0) * rise
        else:
            band = np.exp(-np.square((y - (self.top + 0.12) - 0.11 * np.square(self.s)) * (1.0 / 0.045)))
            band += 0.4 * np.exp(-np.square((y - 0.12 - 0.06 * detail) * (1.0 / 0.05)))
            side = np.clip(0.75 + 0.5 * across * lamp.direction[0], 0.0, 1.0)
            shine = 0.17 * band * side * np.clip(0.7 + detail * 1.1, 0.0, 2.0)
        gleam = 0.45 * base / max(float(base.max()), 0.05) + 0.35
        colour += shine * (gleam * lamp.key * np.float32(0.35 + 0.9 * float(base.mean()) ** 0.5))[:, None, None]
        return np.asarray(colour, dtype=np.float32)


def paint_back(canvas: Canvas, frame: Frame, form: HairForm) -> None:
    """The layer behind neck and shoulders, in the shade of the head."""
    shade = 0.52 + 0.22 * smoothstep(0.0, 0.25, np.abs(frame.x) - 0.15)
    canvas.paint(ALL, coverage(form.back()), form.colour * shade, part="hair")


def paint_front(canvas: Canvas, form: HairForm) -> None:
    """The layer over skin and clothes, and the soft shadow that it casts on them."""
    field = form.front()
    away = np.clip(field, 0.0, 0.05)
    shadow = 0.40 * np.exp(-away * (1.0 / 0.016)) * (field > 0.0) * (canvas.mask != 0) * (canvas.mask != 13)
    canvas.darken(ALL, np.asarray(shadow))
    rim = 0.72 + 0.28 * smoothstep(0.0, 0.035, np.asarray(-field))
    canvas.paint(ALL, coverage(field), form.colour * rim, part="hair")
