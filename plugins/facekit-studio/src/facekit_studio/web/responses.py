"""What the studio answers: errors as JSON, pictures as PNG."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ExceptionHandler

from facekit.interfaces import FacekitError, LabelMap, RunFailure
from facekit.recipe.problems import RecipeError

PAGE = Path(__file__).parent / "page"

PAGE_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
"""Files of the page that are served; others in its folder are not."""


class RequestError(FacekitError):
    """Something is wrong with a request."""

    def __init__(self, message: str, *, status: int = 400, where: str | None = None, remedy: str | None = None) -> None:
        super().__init__(message, where=where, remedy=remedy)
        self.status = status


class Busy(RequestError):
    """Too many others are waiting."""

    def __init__(self, message: str = "the studio has too much to do at the moment") -> None:
        super().__init__(message, status=503, remedy="try again in a second")


class Outdated(RequestError):
    """A newer preview was asked for."""

    def __init__(self) -> None:
        super().__init__("this preview is outdated: a newer one was asked for", status=409)


def json_answer(value: Any, status: int = 200) -> Response:
    """Return a value as JSON."""
    content = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    return Response(content, status, media_type="application/json")


def error_answer(error: FacekitError) -> Response:
    """Return an error as the page reads it."""
    told: dict[str, Any] = {"message": error.message, "where": error.where, "remedy": error.remedy}
    if isinstance(error, RecipeError):
        told["where"] = error.problems[0].path or error.where
        told["message"] = error.problems[0].message
        told["problems"] = [
            {
                "message": problem.message,
                "path": problem.path,
                "remedy": problem.remedy,
                "line": problem.mark.line,
                "column": problem.mark.column,
            }
            for problem in error.problems
        ]
    status = 500 if isinstance(error, RunFailure) else getattr(error, "status", 400)
    answer = json_answer({"error": told}, status)
    if status == 503:
        answer.headers["Retry-After"] = "1"
    if status in (408, 413):
        answer.headers["Connection"] = "close"  # the rest of the body is not read
    return answer


def page_answer(name: str) -> Response:
    """Answer with a file of the page. Raises RequestError where there is none of that name."""
    # The name is looked up among those that are there, never joined to a folder.
    files = {file.relative_to(PAGE).as_posix(): file for file in PAGE.rglob("*") if file.is_file()}
    file = files.get(name)
    if file is None or file.suffix not in PAGE_KINDS:
        raise RequestError("there is no such page", status=404)
    return Response(file.read_bytes(), headers={"Content-Type": PAGE_KINDS[file.suffix]})


def png_answer(content: bytes, *, headers: Mapping[str, str] | None = None) -> Response:
    """Return a PNG file."""
    return Response(content, media_type="image/png", headers=dict(headers or {}))


def as_file(name: str) -> dict[str, str]:
    """Return the headers of an answer that is saved as a file."""
    return {"Content-Disposition": f'attachment; filename="{name}"'}


def described_label_map(label_map: LabelMap) -> dict[str, Any]:
    """Return what the page is told of a label map."""
    return {
        "classes": [
            {"id": identity, "name": entry.name, "colour": list(entry.colour)}
            for identity, entry in enumerate(label_map.classes)
        ],
        "mirrored": [list(pair) for pair in label_map.mirrored],
        "of": label_map.of,
    }


async def tell_error(request: Request, error: Exception) -> Response:
    """Answer with what is wrong."""
    assert isinstance(error, FacekitError)
    return error_answer(error)


async def tell_http_error(request: Request, error: Exception) -> Response:
    """Answer a request for what is not there, or by the wrong method."""
    assert isinstance(error, HTTPException)
    answer = error_answer(RequestError(str(error.detail), status=error.status_code, where=request.url.path[:200]))
    answer.headers.update(error.headers or {})
    return answer


async def tell_nobody(request: Request, error: Exception) -> Response:
    """Answer one who went away while sending."""
    return Response(status_code=400)  # nobody reads it


async def tell_defect(request: Request, error: Exception) -> Response:
    """Answer where the studio itself failed."""
    return error_answer(
        RequestError("this is a defect of the studio; the terminal it runs in shows what happened", status=500)
    )


TELLS: Mapping[Any, ExceptionHandler] = {
    FacekitError: tell_error,
    HTTPException: tell_http_error,
    ClientDisconnect: tell_nobody,
    Exception: tell_defect,
}
"""What answers each kind of exception."""
