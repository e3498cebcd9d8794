"""Reading photos and masks so that whatever is wrong with a file is said with its name."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facekit.interfaces import FacekitError
from facekit.interfaces.files import read_regular
from facekit.interfaces.image_files import MOST_PIXELS, read_image, rgb_pixels, upright

try:
    from kornia_rs.io import decode_image_png_u8
except ImportError:  # there is no wheel for every platform; Pillow reads the same files in ten times the time
    decode_image_png_u8 = None

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCALED_DECODING_MARGIN = 4
"""How many times the wanted side a JPEG that is decoded at a fraction keeps at least."""

_PNG_HEADER = struct.Struct(">8s4x4sIIBB")
"""Signature, type of the first chunk, width, height, bits a channel, colour type."""

_MAY_TURN = (b"eXIf", b"Raw profile type", b"XML:com.adobe.xmp")
"""What stands in a PNG that holds an EXIF orientation, which the fast decoder does not read."""

_PHOTO_MODES = ("RGB", "L", "P", "CMYK", "YCbCr", "RGBA", "LA", "1", "PA", "RGBX")

_DEEP_MODES = ("I;16", "I")
"""Modes of masks with more than 8 bits, whose values are small all the same."""


def read_photo(file: Path, *, size: int | None = None) -> NDArray[np.uint8]:
    """Return a photo as (H, W, 3) uint8 RGB, turned as its EXIF orientation says; transparency is dropped.

    Args:
        file: the picture.
        size: the side it will be resized to. A JPEG is then decoded at a half, a quarter or an eighth where that leaves
            at least :data:`SCALED_DECODING_MARGIN` times this side. After an antialiased resize that differs from a
            full decode by less than a grey level: by 50 dB or more.

    Raises:
        FacekitError: the file cannot be read, or holds more than 8 bits a channel.
    """
    image = read_image(file, scaled_to=None if size is None else SCALED_DECODING_MARGIN * size)
    if image.mode not in _PHOTO_MODES:
        raise FacekitError(
            f"the photo's mode {image.mode} is not supported",
            where=str(file),
            remedy="save it with 8 bits a channel",
        )
    return rgb_pixels(image, name=str(file))


def read_id_mask(file: Path) -> NDArray[np.uint8]:
    """Return a mask of class ids as (h, w) uint8, from an indexed or greyscale PNG (or another lossless format).

    It is turned as its EXIF orientation says, as photos are.

    Raises:
        FacekitError: the file cannot be read, is a JPEG, has several channels, or holds ids above 255.
    """
    image = read_image(file)
    if image.format in ("JPEG", "MPO"):
        raise FacekitError(
            "the mask is a JPEG; its lossy compression changes class ids along every edge",
            where=str(file),
            remedy="save masks as PNG, from the original annotation",
        )
    if image.mode not in ("P", "L", "1", *_DEEP_MODES):
        raise FacekitError(
            f"the mask has several channels (mode {image.mode}); it must hold one class id a pixel",
            where=str(file),
            remedy="save it as an indexed or greyscale PNG",
        )
    ids = np.asarray(upright(image))
    if ids.dtype != np.uint8:
        if ids.max(initial=0) > 255 or ids.min(initial=0) < 0:
            raise FacekitError(f"the mask holds ids from {ids.min()} to {ids.max()}; ids end at 255", where=str(file))
        ids = ids.astype(np.uint8)
    return ids


def read_part(file: Path) -> NDArray[np.uint8]:
    """Return one channel (h, w) uint8 of the annotation of one part (0 outside, 255 inside), turned as photos are.

    Raises:
        FacekitError: the file cannot be read.
    """
    if (pixels := _read_plain_png(file)) is not None:
        return pixels[..., 0]
    image = upright(read_image(file))
    if image.mode in ("RGB", "RGBA"):
        return np.asarray(image.getchannel(0))
    if image.mode not in (*_PHOTO_MODES, *_DEEP_MODES):
        raise FacekitError(f"the mask's mode {image.mode} is not supported", where=str(file), remedy="save it as PNG")
    return np.asarray(image.convert("L"))


def read_inside(file: Path) -> NDArray[np.bool_]:
    """Return which pixels (h, w) belong to one part, by its annotation: those above 127.

    Raises:
        FacekitError: the file cannot be read.
    """
    if (pixels := _read_plain_png(file)) is not None:
        # All channels are compared: numpy does that faster with neighbours than with every third byte.
        return (pixels > 127)[..., 0]
    return read_part(file) > 127


def _read_plain_png(file: Path) -> NDArray[np.uint8] | None:
    """Return a PNG (h, w, channels) with 8 bits a channel and no palette; None for whatever Pillow should read.

    Damaged files are left to Pillow as well, which says what is wrong with them.
    """
    if decode_image_png_u8 is None:
        return None
    try:
        data = read_regular(file)
        signature, chunk, width, height, bits, colours = _PNG_HEADER.unpack_from(data)
    except (OSError, struct.error):
        return None
    # Colour type 0 is greyscale, 2 RGB.
    plain = signature == b"\x89PNG\r\n\x1a\n" and chunk == b"IHDR" and bits == 8 and colours in (0, 2)
    plain = plain and not any(entry in data for entry in _MAY_TURN)
    if not plain or width * height > MOST_PIXELS or not data.rstrip(b"\0").endswith(b"IEND\xaeB`\x82"):
        return None
    try:
        pixels: NDArray[np.uint8] = decode_image_png_u8(data, (height, width), "rgb" if colours == 2 else "mono")
    except Exception:  # the only type that the decoder raises: Pillow is asked next, and says what is wrong
        return None
    return pixels
