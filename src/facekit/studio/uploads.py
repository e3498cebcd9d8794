"""Decoding pictures that somebody sent: of known kinds, of a known size before anything is unpacked."""

from __future__ import annotations

import io
import warnings

from PIL import Image, UnidentifiedImageError

from facekit.studio.answers import RequestError

UPLOAD_BYTES = 20_000_000
"""Largest picture file."""

MOST_PIXELS = 40_000_000
"""Pixels of the largest picture: those of large cameras."""

SMALLEST_SIDE = 16

_SMALLER = "make it smaller first"

PHOTO_KINDS = ("PNG", "JPEG", "WEBP")
MASK_KINDS = ("PNG",)

_SIGNATURES = {"PNG": (b"\x89PNG\r\n\x1a\n", 0), "JPEG": (b"\xff\xd8\xff", 0), "WEBP": (b"WEBP", 8)}


def decoded(content: bytes, *, what: str, kinds: tuple[str, ...] = PHOTO_KINDS) -> Image.Image:
    """Return a picture, decoded whole.

    Its kind is told by its first bytes, and its size by its header; only then it is unpacked.

    Args:
        content: the file.
        what: ``photo`` or ``mask``, for messages.
        kinds: the file formats that are taken.

    Raises:
        RequestError: it is of another kind, too large, too small or damaged.
    """
    allowed = " or ".join(kinds)
    kind = next((name for name, (mark, place) in _SIGNATURES.items() if content.startswith(mark, place)), None)
    if kind not in kinds:
        raise RequestError(f"the {what} is not a picture of the kind {allowed}", status=415, where=what)
    if kind == "WEBP":
        _check_size(_webp_size(content), what=what)  # Pillow's reader makes room for the whole picture when it opens it
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit here is a lower one
            with Image.open(io.BytesIO(content), formats=(kind,)) as picture:
                _check_size(picture.size, what=what)
                picture.load()
                return picture
    except Image.DecompressionBombError as error:  # before Pillow says how large it is
        raise RequestError(
            f"the {what} has more than {MOST_PIXELS:,} pixels", status=413, where=what, remedy=_SMALLER
        ) from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        # What Pillow's decoders raise for damaged files, oversized headers and text chunks that unpack without end.
        told = str(error) if not isinstance(error, UnidentifiedImageError) else "its header is damaged"
        raise RequestError(f"the {what} cannot be read: {told}", where=what) from error


def _check_size(size: tuple[int, int], *, what: str) -> None:
    width, height = size
    if width * height > MOST_PIXELS:
        raise RequestError(
            f"the {what} has {width:,}x{height:,} pixels, and {MOST_PIXELS:,} in all are the most",
            status=413,
            where=what,
            remedy=_SMALLER,
        )
    if min(width, height) < SMALLEST_SIDE:
        raise RequestError(f"the {what} has {width}x{height} pixels; {SMALLEST_SIDE} a side are the least", where=what)


def _webp_size(content: bytes) -> tuple[int, int]:
    """Return width and height from a WebP's header."""
    chunk, data = content[12:16], content[20:30]
    if len(data) == 10 and chunk == b"VP8X":
        return 1 + int.from_bytes(data[4:7], "little"), 1 + int.from_bytes(data[7:10], "little")
    if len(data) == 10 and chunk == b"VP8L":
        packed = int.from_bytes(data[1:5], "little")
        return 1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF)
    if len(data) == 10 and chunk == b"VP8 ":
        return int.from_bytes(data[6:8], "little") & 0x3FFF, int.from_bytes(data[8:10], "little") & 0x3FFF
    raise RequestError("the photo cannot be read: its header is damaged", where="photo")
