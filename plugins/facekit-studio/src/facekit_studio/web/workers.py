"""Threads that work for the server, with lines before them that are never long."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from threading import Event
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from facekit_studio.web.responses import Busy, Outdated

Result = TypeVar("Result")

CLOSING = "the studio is closing"

MOST_WAITING = 64
"""Requests that wait for one worker; more are refused."""

MOST_CLIENTS = 1024
"""Clients whose newest request is remembered; that of the one that was silent longest is forgotten."""


class _Job:
    def __init__(self, function: Callable[[], Any], answer: asyncio.Future[Any]) -> None:
        self.function = function
        self.answer = answer


class Worker:
    """Does one thing after another in threads of its own. Its methods are called from the event loop only.

    Args:
        name: for the threads.
        threads: how many; 1 for what must not be used by several at once.
        most_waiting: requests that may wait.
    """

    def __init__(self, name: str, *, threads: int = 1, most_waiting: int = MOST_WAITING) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._threads = threads
        self._most_waiting = most_waiting
        self._waiting: OrderedDict[Hashable, _Job] = OrderedDict()
        self._running: dict[Future[Any], _Job] = {}
        self._stopped = False
        self._newest: OrderedDict[str, int] = OrderedDict()

    async def do(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call a function in a thread and return its result, in the order of asking.

        Raises:
            Busy: too many are waiting.
        """
        return await self._line_up(object(), partial(function, *arguments))

    async def do_newest(self, client: str, sequence: int, function: Callable[..., Result], *arguments: Any) -> Result:
        """Do what a client asked for last; what it asked for before and still waits is given up.

        The newest takes the place in the line of the one it replaces, so that nobody is passed over for asking often.

        Raises:
            Busy: too many are waiting.
            Outdated: a newer request of the client was there, or came while this one waited.
        """
        if sequence <= self._newest.get(client, -1):
            raise Outdated
        older = self._waiting.get(("client", client))
        if older is None and len(self._waiting) >= self._most_waiting:
            raise Busy
        self._newest[client] = sequence
        self._newest.move_to_end(client)
        if len(self._newest) > MOST_CLIENTS:
            self._newest.popitem(last=False)
        if older is not None and not older.answer.done():
            older.answer.set_exception(Outdated())
        return await self._line_up(("client", client), partial(function, *arguments))

    async def _line_up(self, key: Hashable, function: Callable[[], Result]) -> Result:
        if self._stopped:
            raise Busy(CLOSING)
        if key not in self._waiting and len(self._waiting) >= self._most_waiting:
            raise Busy
        job = _Job(function, asyncio.get_running_loop().create_future())
        self._waiting[key] = job
        self._go_on()
        result: Result = await job.answer
        return result

    def _go_on(self) -> None:
        while len(self._running) < self._threads and self._waiting:
            _, job = self._waiting.popitem(last=False)
            if job.answer.done():  # whoever asked went away
                continue
            doing = self._executor.submit(job.function)
            self._running[doing] = job
            asyncio.wrap_future(doing).add_done_callback(partial(self._done, doing))

    def _done(self, doing: Future[Any], finished: asyncio.Future[Any]) -> None:
        job = self._running.pop(doing)
        error = None if finished.cancelled() else finished.exception()
        if job.answer.done():
            pass
        elif finished.cancelled():
            job.answer.cancel()
        elif error is not None:
            job.answer.set_exception(error)
        else:
            job.answer.set_result(finished.result())
        self._go_on()

    @property
    def busy(self) -> bool:
        """Whether something is still being done; threads cannot be ended from outside."""
        return any(not doing.done() for doing in list(self._running))

    def stop(self) -> None:
        """Answer all who wait, and all who come, that the studio closes; what is being done has nobody to tell."""
        self._stopped = True
        for job in [*self._waiting.values(), *self._running.values()]:
            if not job.answer.done():
                job.answer.set_exception(Busy(CLOSING))
        self._waiting.clear()

    def close(self, *, patience: float) -> None:
        """Stop, and wait for what is being done, ``patience`` seconds at most."""
        self.stop()
        self._executor.shutdown(wait=False, cancel_futures=True)
        wait(list(self._running), timeout=patience)


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
