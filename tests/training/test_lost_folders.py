"""Run folders that somebody removes, cleans up or locks away while a run uses them: a sentence for each."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from facekit.cli.errors import exit_code_of
from facekit.interfaces import FacekitError, RunFailure, SamplesSaved, StepLogged
from facekit.training.checkpoint import checkpoints
from facekit.training.loop import train
from facekit.training.run.folder import RunFolder, folder_errors, steps_on_disk


def test_a_run_whose_owner_file_is_removed_stays_owned(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    with run.owned():
        run.owner.unlink()
        for _ in range(2):
            with pytest.raises(FacekitError, match="another process owns this run folder"), run.owned():
                pass
        assert not run.owner.exists()
    with run.owned():
        assert run.owner.exists()


def test_a_folder_that_safetensors_cannot_open_is_refused_before_training(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"r\xffn")
    with pytest.raises(FacekitError, match="the path of a run folder is UTF-8"), RunFolder(folder).owned():
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_cannot_lock_is_told_of_and_keeps_the_processes_of_one_machine_out(
    read: Any, registry: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    train(read("train.steps=1"), out=tmp_path / "packs", registry=registry)  # a packed cache is read without locks
    monkeypatch.setattr("fcntl.flock", no_locks)
    result = train(read("train.steps=1"), out=tmp_path / "run", registry=registry)
    assert any(
        "cannot lock files, so nothing keeps processes of other machines out (No locks" in warning
        for warning in result.warnings
    )
    run = RunFolder(tmp_path / "run")
    parent = {"pid": os.getppid(), "host": socket.gethostname(), "since": 0}
    for owner, free in (
        (parent, False),
        ({**parent, "host": "elsewhere"}, True),
        ({**parent, "pid": 2**22 + 1}, True),  # more than there are
        ({}, True),
    ):
        run.owner.write_text(json.dumps(owner), encoding="utf-8")
        expected = nullcontext() if free else pytest.raises(FacekitError, match=f"process {os.getppid()} on .* owns")
        with expected, run.owned():
            assert json.loads(run.owner.read_text(encoding="utf-8"))["pid"] == os.getpid()


@pytest.mark.parametrize("kind", [StepLogged, SamplesSaved])
def test_a_run_whose_folder_is_removed_ends_with_a_sentence(read, registry, tmp_path: Path, kind: Any) -> None:
    def remove(event: Any) -> None:
        if isinstance(event, kind) and event.step >= 3:
            while event.run.exists():  # a checkpoint may be written meanwhile
                shutil.rmtree(event.run, ignore_errors=True)

    with pytest.raises(RunFailure, match="the run folder was removed while the run was going on"):
        train(read(), out=tmp_path / "run", registry=registry, observer=remove)
    assert not (tmp_path / "run").exists()


def test_errors_about_the_files_of_a_run_are_sentences_and_others_pass(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    sentence = r"samples/a\.png: this file of the run cannot be read or written: Perm"
    with pytest.raises(RunFailure, match=sentence), folder_errors(run):
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "samples" / "a.png"))
    for error in (OSError(errno.EIO, "Input/output error"), FileNotFoundError(2, "No such file", "/elsewhere/a.png")):
        with pytest.raises(type(error)), folder_errors(run):
            raise error
    with pytest.raises(OSError, match="Too many"), folder_errors(run):
        raise OSError(errno.EMFILE, "Too many open files", str(tmp_path / "lock.json"))


def denied(*arguments: Any, **options: Any) -> Any:
    raise PermissionError(errno.EACCES, "Permission denied", str(arguments[0]))


def test_a_folder_of_checkpoints_that_may_not_be_read_is_a_sentence(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(Path, "iterdir", denied)
    with pytest.raises(FacekitError, match="the checkpoints cannot be read: Permission denied"):
        steps_on_disk(tmp_path)


def test_a_checkpoint_that_may_not_be_read_is_not_passed_over(tmp_path: Path, monkeypatch: Any) -> None:
    folder = checkpoints.write(tmp_path, step=1, tensors={}, state={})
    checkpoints.write(tmp_path, step=2, tensors={}, state={})
    monkeypatch.setattr(checkpoints, "sha256", denied)
    with pytest.raises(FacekitError, match=r"state\.json: a checkpoint cannot be read: Permission denied"):
        checkpoints.newest(tmp_path)
    # Too few descriptors say nothing of the checkpoint either; a disk that fails does.
    monkeypatch.setattr(checkpoints, "sha256", lambda file: fail(errno.EMFILE))
    with pytest.raises(OSError, match="failed"):
        checkpoints.check(folder)
    monkeypatch.setattr(checkpoints, "sha256", lambda file: fail(errno.EIO))
    assert "it cannot be read" in str(checkpoints.check(folder))


def fail(code: int) -> str:
    raise OSError(code, "failed")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.EMFILE, "Too many open files", "a.png"), "a.png: no more files can be opened at once"),
        (MemoryError(), "too little memory for this: it does not say how much"),
        (MemoryError("Unable to allocate 7.28 TiB for an array"), "unable to allocate 7.28 TiB for an array"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 36000000000000 bytes."),
            "33,528 GiB were asked for at once",
        ),
    ],
)
def test_what_the_machine_lacks_is_a_sentence_and_no_defect(error: Exception, said: str, capsys: Any) -> None:
    assert exit_code_of(error, debug=False) == 1
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told
    assert "defect" not in told
