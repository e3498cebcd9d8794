"""``facekit studio`` at the terminal."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from facekit.cli.main import cli
from facekit.interfaces import FacekitError
from facekit_studio.commands import studio as command
from facekit_studio.web.server import open_socket


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["studio", *map(str, arguments)], prog_name="facekit")


def test_ctrl_c_ends_it(run: Path, tmp_path: Path) -> None:
    """Started without a run it takes the newest; while a client is connected; nothing is left on the disk."""
    shutil.copytree(run, tmp_path / "runs" / "older")
    shutil.copytree(run, tmp_path / "runs" / "newer")
    shutil.copytree(run, tmp_path / "runs" / "never trained")
    shutil.rmtree(tmp_path / "runs" / "never trained" / "checkpoints")
    (tmp_path / "runs" / "no run").mkdir()
    checkpoint = next((tmp_path / "runs" / "newer" / "checkpoints").iterdir())
    os.utime(checkpoint, (time.time() + 60, time.time() + 60))
    before = sorted(tmp_path.rglob("*"))
    started = subprocess.Popen(
        [sys.executable, "-m", "facekit", "studio", "--port", "0", "--device", "cpu"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert started.stdout is not None
        found = re.fullmatch(r"(http://127\.0\.0\.1:\d+)/\?token=([\w-]+)\n", started.stdout.readline())
        assert found
        with httpx.Client(base_url=found[1], headers={"X-Facekit-Token": found[2]}, trust_env=False) as client:
            assert client.get("/api/state").json()["runs"][0]["id"] == "newer"
            started.send_signal(signal.SIGINT)
            _, errors = started.communicate(timeout=20)
    finally:
        started.kill()
    assert started.returncode == 0, errors
    assert "the studio is closed" in errors
    assert "Traceback" not in errors
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        result = call(folder)
        assert result.exit_code == 2
        assert "not a run folder" in result.stderr


@pytest.mark.parametrize("make", [False, True])
def test_without_a_run_it_says_how_to_get_one(tmp_path: Path, make: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if make:
        Path("runs").mkdir()
    result = call()
    assert result.exit_code == 2
    assert "facekit run sft_pix2pixhd --out runs/first" in result.stderr


def test_a_port_that_is_taken() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(FacekitError, match="cannot listen") as caught:
            open_socket("127.0.0.1", port)
        assert "--port 0" in str(caught.value.remedy)


def test_the_default_port_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        monkeypatch.setattr("facekit_studio.web.server.DEFAULT_PORT", other.getsockname()[1])
        with open_socket("127.0.0.1", None) as listening:
            assert listening.getsockname()[0] == "127.0.0.1"
            assert listening.getsockname()[1] != other.getsockname()[1]


def test_an_address_of_others_is_refused_in_a_sentence() -> None:
    with pytest.raises(FacekitError, match="cannot listen"):
        open_socket("192.0.2.1", 0)


def test_a_host_that_others_reach_is_warned_of(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Served for real, on all addresses; by an address of this computer, but not by a name that others give it."""
    seen: list[int] = []

    def look(session: object, *, token: str, host: str, listening: socket.socket) -> None:
        import threading

        from facekit_studio.web.server import build_server

        server = build_server(session, token=token, host=host)  # type: ignore[arg-type]
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            address = f"http://127.0.0.1:{listening.getsockname()[1]}/"
            names = ("127.0.0.1", "192.168.1.7:80", "evil.example", "1.evil.example")
            seen.extend(httpx.get(address, headers={"Host": name}, trust_env=False).status_code for name in names)
        finally:
            server.should_exit = True
            thread.join(20)

    monkeypatch.setattr("facekit_studio.web.server.serve", look)
    result = call(run, "--host", "0.0.0.0", "--port", "0", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "warning: everybody who reaches 0.0.0.0" in result.stderr
    assert result.stdout.startswith("http://127.0.0.1:")
    assert seen == [200, 200, 403, 403]


def test_the_newest_run_is_that_of_the_newest_checkpoint(tmp_path: Path) -> None:
    for name, when in (("a", 1000), ("b", 3000), ("c", 2000)):
        checkpoint = tmp_path / name / "checkpoints" / "step-00000001"
        checkpoint.mkdir(parents=True)
        (tmp_path / name / "recipe.yaml").write_text("")
        os.utime(checkpoint, (when, when))
    (tmp_path / "file").write_text("")
    assert command._newest_run(tmp_path) == tmp_path / "b"
