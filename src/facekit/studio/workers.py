"""Threads that work for the server, with lines before them that are never long."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from facekit.studio.answers import Busy, Outdated

Result = TypeVar("Result")

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
        self._running = 0
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

        Args:
            client: who asks.
            sequence: rises with each request of the client.
            function: what to do.
            *arguments: its arguments.

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
        if key not in self._waiting and len(self._waiting) >= self._most_waiting:
            raise Busy
        job = _Job(function, asyncio.get_running_loop().create_future())
        self._waiting[key] = job
        self._go_on()
        result: Result = await job.answer
        return result

    def _go_on(self) -> None:
        while self._running < self._threads and self._waiting:
            _, job = self._waiting.popitem(last=False)
            if job.answer.done():  # whoever asked went away
                continue
            self._running += 1
            doing = asyncio.get_running_loop().run_in_executor(self._executor, job.function)
            doing.add_done_callback(partial(self._done, job))

    def _done(self, job: _Job, doing: asyncio.Future[Any]) -> None:
        self._running -= 1
        error = None if doing.cancelled() else doing.exception()
        if job.answer.done():
            pass
        elif doing.cancelled():
            job.answer.cancel()
        elif error is not None:
            job.answer.set_exception(error)
        else:
            job.answer.set_result(doing.result())
        self._go_on()

    def close(self) -> None:
        """Give up what waits, and wait for what is being done."""
        for job in self._waiting.values():
            job.answer.cancel()
        self._waiting.clear()
        self._executor.shutdown(wait=True, cancel_futures=True)
