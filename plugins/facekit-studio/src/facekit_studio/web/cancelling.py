"""Work in threads that is given up when nobody waits for it any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from threading import Event

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from facekit_studio.web.workers import Worker


class Stopped(Exception):
    """What was being done was given up: whoever asked went away, or the studio closes."""


async def unless_gone(
    request: Request, worker: Worker, work: Callable[[Callable[[], None]], Response], *, closing: Event
) -> Response:
    """Do what may take long in a thread, and give it up when whoever asked closes the connection.

    Args:
        request: the request; its body is read.
        worker: whose thread does it.
        work: does it; is given what to call now and then, which raises :class:`Stopped` when it is to end.
        closing: set when the studio closes.

    Raises:
        ClientDisconnect: the connection was closed.
    """
    stopped = Event()

    def go_on() -> None:
        if stopped.is_set() or closing.is_set():
            raise Stopped

    doing = asyncio.ensure_future(worker.do(work, go_on))
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({doing, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise ClientDisconnect
        return doing.result()
    finally:
        stopped.set()
        doing.cancel()
        gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
