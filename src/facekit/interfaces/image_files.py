"""Image files of people whom nobody knows: turned as they are seen, and read without losing what they show.

Not imported by :mod:`facekit.interfaces` itself, which starts without Pillow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import ExifTags, Image

from facekit.interfaces.errors import FacekitError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What each EXIF orientation takes."""

_ORIENTATION_ENTRIES = ("exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp")
"""Entries of ``Image.info`` that Pillow reads the orientation from; a turned image has none of them left."""

_EIGHT_BITS = ("RGB", "L", "P", "CMYK", "YCbCr", "RGBA", "LA", "1", "PA", "RGBX", "HSV", "RGBa")
"""Modes whose conversion to RGB keeps the scale of 0 to 255."""

_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
"""Modes of grey from 0 to 65,535. Pillow's own conversion clips them at 255."""


def upright(image: Image.Image) -> Image.Image:
    """Return an image, photo or mask, turned as its EXIF orientation says.

    Pillow's own function writes the other entries anew, and fails on files with damaged ones that any viewer shows.
    """
    image.load()  # first: entries may stand behind the pixels, and Pillow turns a TIFF while it decodes it
    try:
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # whatever Pillow makes of entries that cannot be read: the pixels are sound
        return image
    if turn is None:
        return image
    turned = image.transpose(turn)
    for entry in _ORIENTATION_ENTRIES:
        turned.info.pop(entry, None)
    return turned


def rgb_pixels(image: Image.Image, *, name: str) -> NDArray[np.uint8]:
    """Return the pixels (H, W, 3) uint8 of a photo, turned as its EXIF orientation says; transparency is dropped.

    Grey of 16 bits is scaled to 8. Grey of 32 bits (modes ``I`` and ``F``) is refused: a file does not say which of its
    values is white.

    Args:
        image: the photo, decoded.
        name: what to call it in messages.

    Raises:
        FacekitError: it is of a mode that cannot be shown in 8 bits.
    """
    image = upright(image)
    if image.mode in _SIXTEEN_BITS:
        grey = ((np.asarray(image).astype(np.uint32) + 128) // 257).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode not in _EIGHT_BITS:
        raise FacekitError(
            f"the photo's mode {image.mode} is not supported", where=name, remedy="save it with 8 bits a channel"
        )
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
