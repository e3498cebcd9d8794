"""Reading requests: never more bytes than a limit, never for longer than a while, and checked before they are used."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypeVar

import anyio
import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request

from facekit.interfaces import LabelMap
from facekit.interfaces.image_files import BROWSER_FORMATS, ImageFileError, format_of, read_image
from facekit_studio.editing.script.masks import Ids
from facekit_studio.web.responses import Busy, RequestError

JSON_BYTES = 8_000_000
"""Largest JSON body; a thousand brush strokes take less than 1 MB."""

SCRIPT_CHARACTERS = 2_000_000
"""Longest script that is read: some seconds of a thread. `facekit edit` reads longer ones."""

MASK_SIDE = 2048
"""Largest side of a mask in JSON."""

CHUNK_SECONDS, BODY_SECONDS = 10.0, 300.0
"""How long the next part of a body may take, and all of it."""

MOST_BLENDS = 32
"""Looks that are mixed, one after another."""

MOST_IN_FLIGHT = 400_000_000
"""Bytes of bodies that are held at a time, those of all requests together."""

Body = TypeVar("Body", bound="JsonBody")


class InFlight:
    """Counts the bytes of all bodies that are being received, so that many large ones do not fill the memory."""

    def __init__(self, most: int = MOST_IN_FLIGHT) -> None:
        self._most = most
        self._held = 0

    @asynccontextmanager
    async def body(self, request: Request, *, limit: int) -> AsyncIterator[bytes]:
        """Receive the body of a request, which counts until the context is left.

        Raises:
            RequestError: it is larger than the limit, or too slow.
            Busy: others' bodies fill the memory.
        """
        declared = request.headers.get("content-length", "")
        if declared.isascii() and declared.isdigit() and int(declared) > limit:
            raise _too_large(limit)
        own = 0
        try:
            parts: list[bytes] = []
            async for part in _in_time(request.stream()):
                own += len(part)
                self._held += len(part)
                if own > limit:
                    raise _too_large(limit)
                if self._held > self._most:
                    raise Busy("too many files are being sent at the moment")
                parts.append(part)
            content = b"".join(parts)
            parts.clear()
            yield content
        finally:
            self._held -= own


async def _in_time(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Pass on the parts of a body. Raises RequestError where they come too slowly."""
    end = anyio.current_time() + BODY_SECONDS
    while True:
        try:
            with anyio.fail_after(min(CHUNK_SECONDS, end - anyio.current_time())):
                part = await anext(stream, None)
        except TimeoutError as error:
            raise RequestError("the request did not arrive in time", status=408) from error
        if part is None:
            return
        yield part


def _too_large(limit: int) -> RequestError:
    return RequestError(f"the request is larger than {limit:,} bytes", status=413, remedy="send less at a time")


class JsonBody(BaseModel):
    """What a request says in JSON. Keys that are not known are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


Side = Annotated[int, Field(ge=1, le=MASK_SIDE)]
FaceId = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")]
Operations = list[dict[str, Any]]
Name = Annotated[str, Field(max_length=200)]


class MaskBody(JsonBody):
    """A mask."""

    size: tuple[Side, Side]
    """Height and width."""
    ids: Annotated[str, Field(max_length=MASK_SIDE * MASK_SIDE * 4 // 3 + 4)]
    """Base64 of the class ids, row by row, a byte each."""

    def array(self, label_map: LabelMap) -> Ids:
        """Return the class ids (H, W) uint8. Raises RequestError where there are too few, or unknown ones."""
        height, width = self.size
        try:
            content = base64.b64decode(self.ids, validate=True)
        except (binascii.Error, ValueError) as error:
            raise RequestError(f"the ids are not base64: {error}", where="mask.ids") from error
        if len(content) != height * width:
            raise RequestError(
                f"a mask of {height}x{width} has {height * width:,} ids, not {len(content):,}", where="mask.ids"
            )
        mask = np.frombuffer(content, np.uint8).reshape(height, width).copy()
        if int(mask.max()) >= len(label_map):
            wrong = ", ".join(str(value) for value in np.unique(mask[mask >= len(label_map)])[:5])
            raise RequestError(
                f"the mask holds the class ids {wrong}; those of {label_map.name} are 0 to {len(label_map) - 1}",
                where="mask.ids",
            )
        return mask


def mask_document(mask: Ids) -> dict[str, Any]:
    """Return a mask as :class:`MaskBody` has it."""
    return {"size": list(mask.shape), "ids": base64.b64encode(np.ascontiguousarray(mask).tobytes()).decode()}


class ApplyBody(JsonBody):
    """Operations to be applied to a mask."""

    mask: MaskBody
    label_map: str
    operations: Operations


class LintBody(JsonBody):
    """A mask to be looked over before a run paints it."""

    mask: MaskBody
    label_map: str
    run: str


class Blend(JsonBody):
    """Part of the way to another look."""

    face: FaceId
    amount: Annotated[float, Field(ge=0, le=1)]
    regions: Annotated[list[Name], Field(max_length=256)] = []
    """Only these classes go there; all of them where none is named."""


class Look(JsonBody):
    """Whose style an image takes: that of a face, then part of the way to others, one after another."""

    face: FaceId
    blends: Annotated[list[Blend], Field(max_length=MOST_BLENDS)] = []


class PreviewBody(JsonBody):
    """A picture to be generated soon."""

    run: str
    mask: MaskBody
    label_map: str
    look: Look | None = None
    into: FaceId | None = None
    tuned: FaceId | None = None
    client: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    sequence: Annotated[int, Field(ge=0, le=2**53)]


class ExportBody(JsonBody):
    """An edit to be carried out as ``facekit edit`` would."""

    run: str
    face: FaceId
    name: Name = ""
    description: Name = ""
    operations: Operations
    mask: MaskBody | None = None
    tuned: bool = False


class TuneBody(JsonBody):
    """A run to be tuned to a face."""

    run: str
    face: FaceId


class MaskExportBody(JsonBody):
    """A mask to be saved."""

    mask: MaskBody
    label_map: str


class ScriptBody(JsonBody):
    """A script to be written."""

    name: Name = ""
    description: Name = ""
    label_map: str = ""
    operations: Operations


class TextBody(JsonBody):
    """A script to be read."""

    text: Annotated[str, Field(max_length=SCRIPT_CHARACTERS)]
    label_map: str | None = None


def parsed(kind: type[Body], content: bytes) -> Body:
    """Return a JSON body. Raises RequestError saying which key is wrong."""
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RequestError(first["msg"], where=where or "body") from error


UPLOAD_BYTES = 20_000_000
"""Largest picture file."""

SMALLEST_SIDE = 16

_STATUS = {"missing": 400, "format": 415, "size": 413, "damaged": 400}
"""The HTTP status by what is wrong with an image."""


def decoded(content: bytes, *, what: str, kinds: tuple[str, ...] = BROWSER_FORMATS) -> Image.Image:
    """Return a picture, decoded whole.

    Its kind is told by its first bytes, and its size by its header; only then it is unpacked.

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
