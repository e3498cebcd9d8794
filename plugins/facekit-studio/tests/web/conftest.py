"""A tiny run that was really trained, and studios that really serve it: in a thread, and as a process of its own."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from click.testing import CliRunner

from facekit.cli.main import cli
from facekit.registry import load_registry
from facekit_studio.web.application import Studio
from facekit_studio.web.server import address_of, build_server, build_studio, new_token, open_socket

SIZE = 32

RECIPE = """\
facekit: 1
name: tiny
description: A few steps on a few small drawn faces.
data: {use: synthetic_faces, size: 32, train: 8, validation: 4, test: 2LABELS}
model:
  STYLE
  generator: {use: GENERATOR, filters: 4, blocks: 1}
  discriminator: {use: multiscale_patch, filters: 4}
losses:
  generator:
    - {use: adversarial}
    - {use: l1, weight: 10}
  discriminator:
    - {use: adversarial}
metrics: [{use: psnr}]
train: {steps: 3, batch: 2, precision: fp32, device: cpu, samples: 1, log_every: 1}
"""


LOCAL_RECIPE = """\
facekit: 1
name: tiny_local
description: A few steps on windows of a few drawn faces.
data: {use: synthetic_faces, size: 32, train: 4, validation: 2, test: 2, windows: {per_photo: 2, held_out: 1}}
model:
  generator: {use: local_edit, filters: 4}
losses:
  generator: [{use: hole_l1}]
metrics: [{use: psnr}]
train: {steps: 3, batch: 2, precision: fp32, device: cpu, samples: 1, log_every: 1}
"""


@pytest.fixture(scope="session", autouse=True)
def _environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of its own, and one thread, so that processes paint the same bits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACEKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("FACEKIT_TENSORBOARD", "off")
        patch.setenv("OMP_NUM_THREADS", "1")
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(threads)


def train(folder: Path, *, style: str, generator: str, labels: str = "") -> Path:
    return train_recipe(
        folder, RECIPE.replace("STYLE", style).replace("GENERATOR", generator).replace("LABELS", labels)
    )


def train_recipe(folder: Path, recipe: str) -> Path:
    source = folder.with_suffix(".yaml")
    source.write_text(recipe)
    result = CliRunner().invoke(cli, ["run", str(source), "--out", str(folder)], prog_name="facekit")
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that generates in the style of a reference."""
    folder = tmp_path_factory.mktemp("trained") / "Tiny Run"
    return train(folder, style="style_encoder: {use: sft_style}", generator="sft_pix2pixhd")


@pytest.fixture(scope="session")
def merged_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without references, on the merged label map."""
    folder = tmp_path_factory.mktemp("trained") / "merged"
    labels = ", label_map: celebamask_hq_merged"
    return train(folder, style="", generator="pix2pixhd_global", labels=labels)


@pytest.fixture(scope="session")
def local_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that fills holes."""
    return train_recipe(tmp_path_factory.mktemp("trained") / "Tiny Local", LOCAL_RECIPE)


REGIONS_RECIPE = """\
facekit: 1
name: regions
description: A few steps of SEAN on a few small drawn faces.
data: {use: synthetic_faces, size: 32, train: 8, validation: 4, test: 2}
model:
  style_encoder: {use: sean_style, code: 8, filters: 4, gain: 1}
  generator: {use: sean, filters: 2, hidden: 8, code: 8, statistics: group, gain: 1}
losses:
  generator: [{use: l1, weight: 10}]
metrics: [{use: psnr}]
train: {steps: 3, batch: 2, precision: fp32, device: cpu, samples: 1, log_every: 1}
"""


@pytest.fixture(scope="session")
def regions_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has a style for every region."""
    return train_recipe(tmp_path_factory.mktemp("trained") / "Regions", REGIONS_RECIPE)


@dataclass
class Served:
    """A studio that is served."""

    address: str
    token: str
    studio: Studio | None = None
    loop: asyncio.AbstractEventLoop | None = None
    pid: int = 0

    @property
    def port(self) -> int:
        return int(self.address.rsplit(":", 1)[1])

    def client(self, **more: Any) -> httpx.Client:
        headers = {"X-Facekit-Token": self.token, **more.pop("headers", {})}
        return httpx.Client(base_url=self.address, headers=headers, timeout=30, trust_env=False, **more)

    def in_loop(self, work: Any) -> Any:
        assert self.loop is not None
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    @staticmethod
    def wait_for(condition: Callable[[], bool], *, seconds: float = 20) -> None:
        wait_for(condition, seconds=seconds)


@contextmanager
def serving(*runs: Path, local: Path | None = None, reader: Callable[[Studio], Any] | None = None) -> Iterator[Served]:
    """Serve runs in a thread; with another reader of uploads, where one is given."""
    notes: list[str] = []
    studio = build_studio(runs, registry=load_registry(), device="cpu", local=local, report=notes.append)
    if reader is not None:
        studio._reader = reader(studio)
    token = new_token()
    with open_socket("127.0.0.1", 0) as listening:
        server = build_server(studio, token=token, host="127.0.0.1")
        served = Served(address_of("127.0.0.1", listening, token).split("/?")[0], token, studio)

        async def answer() -> None:
            served.loop = asyncio.get_running_loop()
            await server.serve(sockets=[listening])

        thread = threading.Thread(target=lambda: asyncio.run(answer()))
        thread.start()
        try:
            wait_for(lambda: server.started)
            yield served
        finally:
            server.should_exit = True
            thread.join(timeout=20)
            assert not thread.is_alive()


@pytest.fixture(scope="session")
def served(run: Path, merged_run: Path) -> Iterator[Served]:
    """Two runs in one studio, served by a thread."""
    with serving(run, merged_run) as studio:
        yield studio


@pytest.fixture(scope="session")
def serve() -> Callable[..., AbstractContextManager[Served]]:
    """Serve other runs: a context manager."""
    return serving


@pytest.fixture
def api(served: Served) -> Iterator[httpx.Client]:
    with served.client() as client:
        yield client


@pytest.fixture(scope="session")
def process(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """``facekit studio`` as a person starts it."""
    errors = tmp_path_factory.mktemp("process") / "stderr.txt"
    with errors.open("w") as stream:
        started = subprocess.Popen(
            [sys.executable, "-m", "facekit", "studio", str(run), "--port", "0", "--device", "cpu"],
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
            env=dict(os.environ),
        )
        assert started.stdout is not None
        line = started.stdout.readline()
        found = re.fullmatch(r"(http://127\.0\.0\.1:\d+)/\?token=([\w-]{20,})\n", line)
        assert found, (line, errors.read_text())
        served = Served(found[1], found[2], pid=started.pid)
        wait_for(lambda: answers(served))
        yield served
        started.terminate()
        started.wait(timeout=20)
    assert "Traceback" not in errors.read_text(), errors.read_text()


def answers(served: Served) -> bool:
    try:
        with served.client() as client:
            return client.get("/api/state").status_code == 200
    except httpx.TransportError:
        return False


def wait_for(condition: Callable[[], bool], *, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)
