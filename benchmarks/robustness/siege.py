"""Two hundred clients at the studio, then Ctrl-C while it works: right answers, flat memory, and an end in time."""

from __future__ import annotations

import base64
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import numpy as np

from benchmarks.robustness.bit_rot import tiny_run
from benchmarks.robustness.counting import Count

CLIENTS = 200
_SIDE = 32


def studio(*, count: int, seed: int) -> Count:
    """Let :data:`CLIENTS` clients make ``count`` requests together; 503 with another try counts as noticed."""
    found = Count(f"studio, {CLIENTS} clients")
    with tempfile.TemporaryDirectory() as scratch:
        run = tiny_run()
        with (Path(scratch) / "stderr.txt").open("w+") as errors:
            started = subprocess.Popen(
                [sys.executable, "-m", "facekit", "studio", str(run), "--port", "0", "--device", "cpu"],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
            try:
                _besiege(started, found, count=count, seed=seed)
            finally:
                started.kill()
                started.wait()
            errors.seek(0)
            if "Traceback" in errors.read():
                found.fell.append("a traceback on stderr")
    return found


def _besiege(started: subprocess.Popen[str], found: Count, *, count: int, seed: int) -> None:
    assert started.stdout is not None
    line = re.fullmatch(r"(http://127\.0\.0\.1:\d+)/\?token=([\w-]+)\n", started.stdout.readline())
    assert line is not None
    client = httpx.Client(
        base_url=line[1],
        headers={"X-Facekit-Token": line[2]},
        timeout=600,
        trust_env=False,
        limits=httpx.Limits(max_connections=CLIENTS, max_keepalive_connections=CLIENTS),
    )
    state = client.get("/api/state").json()
    name = next(iter(state["label_maps"]))
    classes = len(state["label_maps"][name]["classes"])
    pairs = dict(map(tuple, state["label_maps"][name]["mirrored"]))
    names = [entry["name"] for entry in state["label_maps"][name]["classes"]]
    table = np.arange(classes, dtype=np.uint8)
    for left, right in pairs.items():
        one, other = names.index(left), names.index(right)
        table[[one, other]] = other, one

    def ask(number: int) -> str:
        mask = np.random.default_rng([seed, number]).integers(0, classes, (_SIDE, _SIDE), np.uint8)
        document = {"size": [_SIDE, _SIDE], "ids": base64.b64encode(mask.tobytes()).decode()}
        for _ in range(500):
            answer = client.post(
                "/api/apply", json={"mask": document, "label_map": name, "operations": [{"do": "mirror"}]}
            )
            if answer.status_code != 503:
                break
            time.sleep(random.random())
        if answer.status_code != 200:
            return f"request {number}: status {answer.status_code}"
        got = np.frombuffer(base64.b64decode(answer.json()["mask"]["ids"]), np.uint8).reshape(_SIDE, _SIDE)
        return "" if np.array_equal(got, table[mask[:, ::-1]]) else f"request {number}: somebody else's mask"

    memory = []
    with ThreadPoolExecutor(CLIENTS) as clients:
        for start in range(0, count, max(1, count // 4)):
            for wrong in clients.map(ask, range(start, min(count, start + max(1, count // 4)))):
                found.noticed += not wrong
                if wrong:
                    found.fell.append(wrong)
            memory.append(_resident(started.pid))
    found.notes.append("memory " + ", ".join(f"{size / 2**20:.0f}" for size in memory) + " MiB")
    if memory[-1] > 1.1 * memory[0]:
        found.fell.append("memory grows")
    _interrupt(started, client, name, found)


def _interrupt(started: subprocess.Popen[str], client: httpx.Client, label_map: str, found: Count) -> None:
    """Press Ctrl-C while long strokes keep all threads; measure until the process has ended."""
    places = np.random.default_rng(0).uniform(0, 1, (9000, 2)).round(3).tolist()
    stroke = {"do": "set", "region": "skin", "stroke": {"points": places, "width": 0.02}}
    mask = {"size": [2048, 2048], "ids": base64.b64encode(bytes(2048 * 2048)).decode()}
    body = {"mask": mask, "label_map": label_map, "operations": [stroke, stroke]}

    def ask() -> None:
        with suppress(httpx.HTTPError):  # cut off: that is what is tried
            client.post("/api/apply", json=body)

    asking = [threading.Thread(target=ask, daemon=True) for _ in range(8)]
    for thread in asking:
        thread.start()
    time.sleep(5)
    began = time.monotonic()
    started.send_signal(signal.SIGINT)
    try:
        code = started.wait(timeout=60)
    except subprocess.TimeoutExpired:
        found.fell.append("Ctrl-C did not end it")
        return
    found.notes.append(f"Ctrl-C under load ended it in {time.monotonic() - began:.1f} s, exit {code}")
    if code:
        found.fell.append(f"exit code {code} after Ctrl-C")


def _resident(pid: int) -> int:
    """Return the bytes of a process that lie in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
