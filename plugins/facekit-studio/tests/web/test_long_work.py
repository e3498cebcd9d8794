"""Work that takes long: it is given up when nobody waits for it, holds nobody else up, and does not outlive Ctrl-C."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from facekit_studio.web.requests import SCRIPT_CHARACTERS
from facekit_studio.web.responses import Busy
from facekit_studio.web.workers import Worker, unless_gone

SIDE = 2048


def long_edit(label_map: str, points: int = 9_000) -> dict[str, Any]:
    """Return a request that takes some seconds: strokes across a large mask."""
    places = np.random.default_rng(0).uniform(0, 1, (points, 2)).round(3).tolist()
    mask = {"size": [SIDE, SIDE], "ids": base64.b64encode(bytes(SIDE * SIDE)).decode()}
    stroke = {"do": "set", "region": "skin", "stroke": {"points": places, "width": 0.02}}
    return {"mask": mask, "label_map": label_map, "operations": [stroke, stroke]}


def request_that(receive: Callable[[], Any]) -> Request:
    return Request({"type": "http", "method": "POST", "path": "/", "headers": []}, receive)


def endless(go_on: Callable[[], None], ended: threading.Event) -> Response:
    try:
        while True:
            go_on()
            time.sleep(0.002)
    finally:
        ended.set()


def test_work_ends_when_its_connection_is_closed() -> None:
    async def tried() -> None:
        worker, ended, left = Worker("test"), threading.Event(), asyncio.Event()

        async def receive() -> dict[str, str]:
            await left.wait()
            return {"type": "http.disconnect"}

        asking = asyncio.ensure_future(
            unless_gone(request_that(receive), worker, lambda go_on: endless(go_on, ended), closing=threading.Event())
        )
        await asyncio.sleep(0.05)
        assert worker.busy
        left.set()
        with pytest.raises(ClientDisconnect):
            await asking
        assert await asyncio.to_thread(ended.wait, 10)
        assert await worker.do(lambda: 3) == 3  # its thread serves others
        worker.close(patience=1)

    asyncio.run(tried())


def test_who_waits_is_answered_when_the_studio_closes() -> None:
    async def tried() -> None:
        worker, ended, closing = Worker("test"), threading.Event(), threading.Event()
        first = asyncio.ensure_future(
            unless_gone(
                request_that(asyncio.Event().wait),  # it stays connected
                worker,
                lambda go_on: endless(go_on, ended),
                closing=closing,
            )
        )
        await asyncio.sleep(0.05)
        second = asyncio.ensure_future(worker.do(lambda: 3))
        await asyncio.sleep(0.05)
        closing.set()
        worker.stop()
        for asking in (first, second, worker.do(lambda: 4)):
            with pytest.raises(Busy, match="closing"):
                await asking
        worker.close(patience=10)
        assert ended.is_set()
        assert not worker.busy

    asyncio.run(tried())


def test_long_edits_whose_clients_went_away_hold_nobody_up(served: Any) -> None:
    label_map = next(iter(served.studio.runs.values())).pipeline.label_map.name
    for _ in range(4):  # twice the threads
        with served.client() as client, pytest.raises(httpx.ReadTimeout):
            client.post("/api/apply", json=long_edit(label_map), timeout=httpx.Timeout(20, read=0.3))
    with served.client() as client:
        small = {"size": [8, 8], "ids": base64.b64encode(bytes(64)).decode()}
        run = next(iter(served.studio.runs))
        began = time.monotonic()
        answer = client.post("/api/lint", json={"mask": small, "label_map": label_map, "run": run})
        assert answer.status_code == 200
        assert time.monotonic() - began < 15  # 30 s and more, and never an answer, before
    served.wait_for(lambda: not served.studio.busy, seconds=30)


def test_a_script_that_takes_long_to_read_is_refused(served: Any) -> None:
    text = "facekit_edit: 1\noperations: []\n#" + "x" * SCRIPT_CHARACTERS
    with served.client() as client:
        answer = client.post("/api/script/read", json={"text": text})
    assert answer.status_code == 400
    assert f"{SCRIPT_CHARACTERS}" in answer.json()["error"]["message"]


def test_ctrl_c_ends_it_under_load(run: Path) -> None:
    started = subprocess.Popen(
        [sys.executable, "-m", "facekit", "studio", str(run), "--port", "0", "--device", "cpu"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert started.stdout is not None
        found = re.fullmatch(r"(http://127\.0\.0\.1:\d+)/\?token=([\w-]+)\n", started.stdout.readline())
        assert found
        client = httpx.Client(base_url=found[1], headers={"X-Facekit-Token": found[2]}, trust_env=False, timeout=60)
        label_map = next(iter(client.get("/api/state").json()["label_maps"]))
        body = long_edit(label_map)
        answers: list[int] = []

        def ask() -> None:
            # Cut off or answered with 503: either is an end.
            with contextlib.suppress(httpx.HTTPError):
                answers.append(client.post("/api/apply", json=body).status_code)

        asking = [threading.Thread(target=ask) for _ in range(6)]
        for thread in asking:
            thread.start()
        time.sleep(4)
        began = time.monotonic()
        started.send_signal(signal.SIGINT)
        _, errors = started.communicate(timeout=30)
        took = time.monotonic() - began
        for thread in asking:
            thread.join()
        client.close()
    finally:
        started.kill()
    assert started.returncode == 0, errors
    assert took < 6  # 2 s on a machine that does nothing else
    assert "the studio is closed" in errors
    assert "Traceback" not in errors
    assert set(answers) <= {200, 503}
