"""Decoding pictures that somebody sent: of known kinds, of a known size before anything is unpacked."""

from __future__ import annotations

from PIL import Image

from facekit.interfaces.image_files import BROWSER_FORMATS, ImageFileError, format_of, read_image
from facekit_studio.web.responses import RequestError

UPLOAD_BYTES = 20_000_000
"""Largest picture file."""

SMALLEST_SIDE = 16

_STATUS = {"missing": 400, "format": 415, "size": 413, "damaged": 400}
"""The HTTP status by what is wrong with an image."""


def decoded(content: bytes, *, what: str, kinds: tuple[str, ...] = BROWSER_FORMATS) -> Image.Image:
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
    kind = format_of(content)
    if kind is None or kind not in kinds:
        raise RequestError(f"the {what} is not a picture of the kind {allowed}", status=415, where=what)
    try:
        picture = read_image(content, name=what, formats=(kind,))
    except ImageFileError as error:
        if error.reason == "format":  # its first bytes are right
            raise RequestError(f"the {what} cannot be read: its header is damaged", where=what) from error
        raise RequestError(error.message, status=_STATUS[error.reason], where=what, remedy=error.remedy) from error
    width, height = picture.size
    if min(width, height) < SMALLEST_SIDE:
        raise RequestError(f"the {what} has {width}x{height} pixels; {SMALLEST_SIDE} a side are the least", where=what)
    return picture
