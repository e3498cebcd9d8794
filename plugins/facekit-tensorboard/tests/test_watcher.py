"""Logs from events, without a run."""

from __future__ import annotations

import math
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator as ServerReader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

from facekit.interfaces import (
    Evaluated,
    FacekitError,
    Measurement,
    RunFinished,
    RunStarted,
    SamplesSaved,
    StepLogged,
    Warned,
)
from facekit_tensorboard.event_file import EventFile
from facekit_tensorboard.values import scalar, text
from facekit_tensorboard.watcher import Watcher

RECIPE = {
    "data": {"use": "synthetic_faces", "size": 32},
    "model": {"generator": {"use": "sft_pix2pixhd"}, "discriminator": None},
    "losses": {"generator": [{"use": "l1", "weight": 10}]},
    "train": {"batch": 2, "seed": 0, "optimiser": {"use": "adam", "lr": 2e-4}},
}


@pytest.fixture(autouse=True)
def _on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEKIT_TENSORBOARD", "on")
    monkeypatch.delenv("FACEKIT_TENSORBOARD_DIR", raising=False)


def started(run: Path, step: int = 0, *, resumed: bool = False) -> RunStarted:
    return RunStarted(run, RECIPE, step, 10, {"generator": 5}, resumed, {"facekit": "0.1"}, "a | device", "fp32")


def logged(run: Path, step: int, value: float = 1.0) -> StepLogged:
    return StepLogged(run, step, {"generator/l1": value}, {"generator": 1e-4}, 0.5, {"gradient_norm/generator": 2.0})


def measured(run: Path, step: int, value: float, **more: Any) -> Evaluated:
    entry = Measurement("psnr", value, "dB", "higher", count=3)
    return Evaluated(
        run, step, more.get("split", "test"), more.get("weights", "ema"), more.get("protocol", "aaaa"), (entry,),
        {"size": "32"}, {"psnr": more.get("identity", "bbbb")}, {"psnr": (value - 1, value + 1)},
    )  # fmt: skip


def test_everything_about_a_run_is_in_its_log(tmp_path: Path, read_log: Callable[..., Any]) -> None:
    run, watcher = tmp_path / "run", Watcher()
    run.mkdir()
    Image.new("RGB", (40, 30), (200, 0, 0)).save(run / "small.png")
    Image.new("RGB", (5000, 2500)).save(run / "large.png")
    for event in (
        started(run),
        logged(run, 1),
        logged(run, 2, math.inf),
        SamplesSaved(run, 2, run / "small.png", "ema"),
        SamplesSaved(run, 4, run / "large.png", "ema"),
        Warned(run, 4, "careful"),
        RunFinished(run, 4, "failed", "the loss is nan", "RunFailure"),
    ):
        watcher.see(event)
    log = read_log(run / "tensorboard")
    assert log.curve("loss/generator/l1") == [(1, 1.0)]  # infinity has no place in a curve
    assert log.curve("learning_rate/generator") == [(1, pytest.approx(1e-4)), (2, pytest.approx(1e-4))]
    assert log.curve("speed/seconds_per_step") == [(1, 0.5), (2, 0.5)]
    assert log.curve("diagnostics/gradient_norm/generator") == [(1, 2.0), (2, 2.0)]
    assert log.pictures("samples") == [(2, 40, 30), (4, 2048, 1024)]
    ((step, recipe),) = log.texts("recipe")
    assert step == 0
    assert "      batch: 2" in recipe
    assert "    - use: l1" in recipe
    assert "| device | a \\| device |" in log.texts("run")[0][1]
    assert log.texts("warnings") == [(4, "careful")]
    assert log.texts("outcome") == [(4, "failed: the loss is nan")]
    assert "_hparams_/session_start_info" in log.reader.Tags()["tensors"]
    assert "_hparams_/session_end_info" in log.reader.Tags()["tensors"]


def test_steps_that_are_done_again_are_there_once(tmp_path: Path, read_log: Callable[..., Any]) -> None:
    run, watcher = tmp_path / "run", Watcher()
    watcher.see(started(run))
    for step in (1, 2, 3, 4):
        watcher.see(logged(run, step, step))
    watcher.see(measured(run, 2, 20.0))
    watcher.see(measured(run, 4, 40.0))
    watcher.see(Warned(run, 4, "from the first time"))
    # The process is killed: the log is neither finished nor closed, and another process goes on from step 2.
    again = Watcher()
    again.see(started(run, 2, resumed=True))
    assert read_log(run / "tensorboard").steps("loss/generator/l1") == [1, 2]
    for step in (3, 4, 5):
        again.see(logged(run, step, 10 * step))
    again.see(measured(run, 4, 41.0))
    again.see(RunFinished(run, 5, "finished"))
    log = read_log(run / "tensorboard")
    assert log.curve("loss/generator/l1") == [(1, 1.0), (2, 2.0), (3, 30.0), (4, 40.0), (5, 50.0)]
    assert len(log.texts("recipe")) == 1
    # The reader of TensorBoard's server drops texts as well; the older one used above drops numbers and pictures only.
    server = ServerReader(str(run / "tensorboard"))
    server.Reload()
    assert len(server.Tensors("recipe")) == 1
    assert server.Tensors("warnings") == []
    assert read_log(run / "tensorboard" / "test-ema").curve("evaluation/psnr (dB) [bbbb]") == [(2, 20.0), (4, 41.0)]


def test_a_new_run_is_not_mixed_with_an_earlier_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEKIT_TENSORBOARD_DIR", str(tmp_path / "logs"))
    watcher = Watcher()
    watcher.see(started(tmp_path / "run"))
    watcher.see(RunFinished(tmp_path / "run", 1, "finished"))
    before = {file.name: file.read_bytes() for file in (tmp_path / "logs" / "run").iterdir()}
    with pytest.raises(FacekitError, match="there is the TensorBoard log of an earlier run"):
        watcher.see(started(tmp_path / "run"))
    assert {file.name: file.read_bytes() for file in (tmp_path / "logs" / "run").iterdir()} == before


def test_a_run_whose_first_process_wrote_no_log_gets_all_of_it(tmp_path: Path, read_log: Callable[..., Any]) -> None:
    watcher = Watcher()
    watcher.see(started(tmp_path / "run", 4, resumed=True))
    watcher.see(logged(tmp_path / "run", 5))
    watcher.see(RunFinished(tmp_path / "run", 5, "finished"))
    log = read_log(tmp_path / "run" / "tensorboard")
    assert log.steps("loss/generator/l1") == [5]
    assert [step for step, _ in log.texts("recipe")] == [4]


def test_measuring_again_replaces_and_other_protocols_stand_apart(tmp_path: Path, read_log: Callable[..., Any]) -> None:
    run, watcher = tmp_path / "run", Watcher()
    for event in (
        measured(run, 500, 1.0),
        measured(run, 100, 2.0),
        measured(run, 500, 3.0),
        measured(run, 500, 9.0, protocol="cccc", identity="dddd"),
        measured(run, 500, math.nan, protocol="eeee", identity="ffff"),
        measured(run, 500, 7.0, weights="baseline/copy_reference"),
    ):
        watcher.see(event)
    log = read_log(run / "tensorboard" / "test-ema")
    assert log.curve("evaluation/psnr (dB) [bbbb]") == [(100, 2.0), (500, 3.0)]
    assert log.curve("evaluation/psnr (dB) [dddd]") == [(500, 9.0)]
    assert log.curves == {"evaluation/psnr (dB) [bbbb]", "evaluation/psnr (dB) [dddd]"}
    said = [words for _, words in log.texts("measurements")]
    assert "| psnr | 3 | 2 to 4 | dB | higher | 3 | bbbb |" in said[1]
    assert any("| psnr | none |" in words for words in said)
    baseline = read_log(run / "tensorboard" / "test-baseline-copy_reference")
    assert baseline.curve("evaluation/psnr (dB) [bbbb]") == [(500, 7.0)]


def test_two_runs_at_once(tmp_path: Path, read_log: Callable[..., Any]) -> None:
    watcher, runs = Watcher(), (tmp_path / "a", tmp_path / "b")
    for run in runs:
        watcher.see(started(run))
    for run in runs:
        watcher.see(logged(run, 1, float(len(run.name))))
    for run in runs:
        watcher.see(RunFinished(run, 1, "interrupted", "go on with ..."))
    for run in runs:
        assert read_log(run / "tensorboard").steps("loss/generator/l1") == [1]


def test_a_folder_for_all_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_log: Callable[..., Any]) -> None:
    monkeypatch.setenv("FACEKIT_TENSORBOARD_DIR", str(tmp_path / "logs"))
    first, other = tmp_path / "here" / "run", tmp_path / "there" / "run"
    for run in (first, other):
        run.mkdir(parents=True)
    watcher = Watcher()
    watcher.see(started(first))
    watcher.see(logged(first, 1))
    watcher.see(RunFinished(first, 1, "finished"))
    assert read_log(tmp_path / "logs" / "run").steps("loss/generator/l1") == [1]
    assert not list(first.iterdir())
    with pytest.raises(FacekitError, match=f"log of another run of that name: {first}"):
        watcher.see(started(other))
    # A run that was moved keeps its log.
    (tmp_path / "elsewhere").mkdir()
    moved = first.rename(tmp_path / "elsewhere" / "run")
    watcher.see(started(moved, 1, resumed=True))
    watcher.see(logged(moved, 2))
    assert read_log(tmp_path / "logs" / "run").steps("loss/generator/l1") == [1, 2]


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """What a full disk does, to this process: a write stops in the middle of a record, then fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_whole_records(tmp_path: Path, read_log: Callable[..., Any]) -> None:
    file = EventFile(tmp_path, begins_at=0)
    file.write(1, [scalar("loss", 1.0)])
    size = file.path.stat().st_size
    with no_file_larger_than(size + 20), pytest.raises(OSError, match="File too large"):
        file.write(2, [scalar("loss", 2.0)])
    assert file.path.stat().st_size == size
    file.write(3, [scalar("loss", 3.0)])
    file.close()
    file.close()
    assert read_log(tmp_path).curve("loss") == [(1, 1.0), (3, 3.0)]


def test_a_log_that_cannot_be_written_is_closed_and_told(tmp_path: Path) -> None:
    run, watcher = tmp_path / "run", Watcher()
    watcher.see(started(run))
    size = next((run / "tensorboard").iterdir()).stat().st_size
    with no_file_larger_than(size + 20), pytest.raises(OSError, match="File too large"):
        watcher.see(logged(run, 1))
    watcher.see(logged(run, 2))  # nothing is open any more, and nothing is written
    assert next((run / "tensorboard").iterdir()).stat().st_size == size


def test_a_record_is_on_the_disk_when_the_hook_returns(tmp_path: Path) -> None:
    file = EventFile(tmp_path, begins_at=7)
    file.write(7, [text("said", "words")])
    data, found = file.path.read_bytes(), []
    while data:
        length = int.from_bytes(data[:8], "little")
        assert int.from_bytes(data[8:12], "little") == masked_crc32c(data[:8])
        content, data = data[12 : 12 + length], data[12 + length :]
        assert int.from_bytes(data[:4], "little") == masked_crc32c(content)
        found.append(Event.FromString(content))
        data = data[4:]
    assert [event.step for event in found] == [0, 7, 7]
    assert found[0].file_version == "brain.Event:2"
    file.close()
