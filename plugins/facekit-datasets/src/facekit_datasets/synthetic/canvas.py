"""The picture under the brush: linear-light colour and the id mask, drawn together so that they cannot disagree."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from facekit_datasets.label_maps import CELEBAMASK_HQ

from .geometry import FloatArray, Window

CLASS_IDS: dict[str, int] = {name: identity for identity, name in enumerate(CELEBAMASK_HQ.names)}
"""The 19 classes of CelebAMask-HQ; ``l_`` and ``r_`` are the person's own sides: ``r_eye`` is on the picture's left."""


def _transfer_table() -> npt.NDArray[np.uint8]:
    light = np.linspace(0.0, 1.0, 4096)
    encoded = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1.0 / 2.4) - 0.055)
    return np.asarray(np.round(encoded * 255.0), dtype=np.uint8)


_TRANSFER = _transfer_table()


class Canvas:
    """Planar linear-light colour (3, size, size) and class ids (size, size)."""

    def __init__(self, size: int) -> None:
        self.light: FloatArray = np.zeros((3, size, size), dtype=np.float32)
        self.mask: npt.NDArray[np.uint8] = np.zeros((size, size), dtype=np.uint8)

    def crop(self, window: Window) -> Canvas:
        """A canvas that paints through to this one's window."""
        part = object.__new__(Canvas)
        part.light, part.mask = self.light[:, window[0], window[1]], self.mask[window]
        return part

    def paint(
        self,
        window: Window,
        cover: FloatArray,
        colour: FloatArray,
        *,
        part: str | None = None,
        opacity: float = 1.0,
    ) -> None:
        """Blend ``colour`` (3,) or (3, h, w) over the window by ``cover`` (h, w) in [0, 1].

        With ``part``, the pixels that are more than half covered become that class, whatever the opacity.
        """
        if colour.ndim == 1:
            colour = colour[:, None, None]
        target = self.light[:, window[0], window[1]]
        target += (colour - target) * (cover if opacity == 1.0 else cover * opacity)
        if part is not None:
            self.mask[window][cover > 0.5] = CLASS_IDS[part]

    def darken(self, window: Window, amount: FloatArray, tint: FloatArray | None = None) -> None:
        """Multiply the window's light by ``1 - amount``, per channel ``1 - amount * tint`` with a tint (3,)."""
        target = self.light[:, window[0], window[1]]
        if tint is None:
            target *= 1.0 - amount
        else:
            target *= 1.0 - amount * tint[:, None, None]

    def picture(self) -> npt.NDArray[np.uint8]:
        """The finished photograph, (size, size, 3) uint8 sRGB."""
        # A soft shoulder keeps highlights from clipping to flat white; below 0.6 the light is untouched.
        light = self.light
        over = np.maximum(light - 0.6, 0.0)
        compressed = np.minimum(light, 0.6) + over / (1.0 + over * 1.4)
        index = np.clip(compressed * 4095.0 + 0.5, 0.0, 4095.0).astype(np.uint16)
        return np.ascontiguousarray(_TRANSFER[index].transpose(1, 2, 0))
