"""Image files of any origin: one list of formats, one limit of pixels, and a sentence for whatever cannot be read.

The command line, the studio and the datasets read image files through this module. :mod:`facekit.interfaces` itself
does not import it, because it starts without Pillow.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from typing import TYPE_CHECKING, BinaryIO, Literal

import numpy as np
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from facekit.interfaces.errors import FacekitError
from facekit.interfaces.files import open_regular

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMATS = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg"),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "GIF": (".gif",),
}
"""The formats that are read, by Pillow's names, and the endings of their files.

The contents decide, not the ending. Pillow knows 40 formats more. Some of their decoders raise errors of any kind for
damaged files, and EPS hands the file to Ghostscript.
"""

BROWSER_FORMATS = ("PNG", "JPEG", "WEBP")
"""Those of :data:`FORMATS` that every browser shows and edits of the studio start from."""

MASK_FORMATS = ("PNG",)
"""Those of :data:`FORMATS` that the studio takes masks in."""

MOST_PIXELS = 64_000_000
"""Pixels of the largest image: those of large cameras. A small file can claim a size that fills the memory."""

_SIGNATURES = {"PNG": (b"\x89PNG\r\n\x1a\n", 0), "JPEG": (b"\xff\xd8\xff", 0), "WEBP": (b"WEBP", 8)}
"""The first bytes of the formats of browsers, and where they stand."""

_HEAD = 32
"""Bytes of a file that hold its signature, and the size of a WebP."""

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


class ImageFileError(FacekitError):
    """An image file that is not read.

    Args:
        message: what is wrong.
        reason: ``missing``; ``format``, of none of the allowed formats; ``size``, with too many pixels; or ``damaged``.
        where: the file, or what to call it.
        remedy: what to do about it.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: Literal["missing", "format", "size", "damaged"],
        where: str,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message, where=where, remedy=remedy)
        self.reason = reason


def read_image(
    source: str | PathLike[str] | bytes,
    *,
    name: str | None = None,
    formats: Sequence[str] = tuple(FORMATS),
    scaled_to: int | None = None,
    most_pixels: int | None = None,
) -> Image.Image:
    """Return an image, decoded whole, that still knows its file and its format.

    The size is read from the header, and checked before anything is unpacked. A file of several frames gives its first.

    Args:
        source: a file, or the contents of one.
        name: what to call it in messages; by default the file.
        formats: those of :data:`FORMATS` that are taken.
        scaled_to: decode a JPEG at a half, a quarter or an eighth where that leaves at least this side.
        most_pixels: the limit, for files that facekit itself wrote; by default :data:`MOST_PIXELS`.

    Raises:
        ImageFileError: the file is not there, no regular file, of another format, oversized or damaged.
    """
    most = MOST_PIXELS if most_pixels is None else most_pixels
    if name is None:
        name = "image" if isinstance(source, bytes) else str(source)
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else open_regular(source) as stream:
            image = _decoded(stream, name, tuple(formats), scaled_to, most)
            image.filename = "" if isinstance(source, bytes) else str(source)
            return image
    except FacekitError:
        raise
    except FileNotFoundError as error:
        raise ImageFileError("there is no such file", reason="missing", where=name) from error
    except UnidentifiedImageError as error:
        raise ImageFileError(
            "the file is not a picture, or its beginning is damaged",
            reason="format",
            where=name,
            remedy=f"the formats that are read: {', '.join(formats)}",
        ) from error
    except Image.DecompressionBombError as error:  # before Pillow says how large it is
        raise _too_large(f"more than {most:,} pixels", name) from error
    except Exception as error:  # decoders raise whatever the bytes lead them to: the file is at fault
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ImageFileError(f"the picture cannot be read: {said}", reason="damaged", where=name) from error


def format_of(head: bytes) -> str | None:
    """Return which of the formats of browsers a file is of, by its first bytes; None for another."""
    return next((name for name, (mark, place) in _SIGNATURES.items() if head.startswith(mark, place)), None)


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep off stderr what Pillow warns of: damaged entries beside sound pixels, and a limit that is above ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


@_quietly()
def _decoded(
    stream: BinaryIO, name: str, formats: tuple[str, ...], scaled_to: int | None, most: int
) -> ImageFile.ImageFile:
    head = stream.read(_HEAD)
    stream.seek(0)
    if format_of(head) == "WEBP" and "WEBP" in formats:
        _check_size(_webp_size(head), name, most)  # Pillow's reader makes room for the whole image when it opens it
    with Image.open(stream, formats=formats) as image:
        _check_size(image.size, name, most)
        if scaled_to is not None:
            image.draft("RGB", (scaled_to, scaled_to))
        image.load()
        return image


def _check_size(size: tuple[int, int], name: str, most: int) -> None:
    width, height = size
    if width * height > most:
        raise _too_large(f"{width:,}x{height:,} pixels, and {most:,} in all are the most", name)


def _too_large(size: str, name: str) -> ImageFileError:
    return ImageFileError(f"the picture has {size}", reason="size", where=name, remedy="make it smaller first")


def _webp_size(head: bytes) -> tuple[int, int]:
    """Return width and height from a WebP's header."""
    chunk, data = head[12:16], head[20:30]
    if len(data) == 10 and chunk == b"VP8X":
        return 1 + int.from_bytes(data[4:7], "little"), 1 + int.from_bytes(data[7:10], "little")
    if len(data) == 10 and chunk == b"VP8L":
        packed = int.from_bytes(data[1:5], "little")
        return 1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF)
    if len(data) == 10 and chunk == b"VP8 ":
        return int.from_bytes(data[6:8], "little") & 0x3FFF, int.from_bytes(data[8:10], "little") & 0x3FFF
    raise ValueError("its header is damaged")


@_quietly()
def upright(image: Image.Image) -> Image.Image:
    """Return an image, photo or mask, turned by its EXIF orientation.

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


@_quietly()
def rgb_pixels(image: Image.Image, *, name: str) -> NDArray[np.uint8]:
    """Return the pixels (H, W, 3) uint8 of a photo, turned by its EXIF orientation; transparency is dropped.

    Grey of 16 bits is scaled to 8. Grey of 32 bits (modes ``I`` and ``F``) is refused: a file does not define which of
    its values is white.

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
