from __future__ import annotations

from pathlib import Path

import pytest

from facekit.interfaces import FacekitError
from facekit_tensorboard.settings import Settings


@pytest.mark.parametrize(
    ("word", "on"), [(None, True), ("", True), ("on", True), ("1", True), ("OFF", False), ("0", False), (" no ", False)]
)
def test_the_switch(word: str | None, on: bool) -> None:
    assert Settings.read({} if word is None else {"FACEKIT_TENSORBOARD": word}).on is on


def test_a_word_that_is_neither_is_told() -> None:
    with pytest.raises(FacekitError, match="FACEKIT_TENSORBOARD is 'maybe', which is neither on nor off"):
        Settings.read({"FACEKIT_TENSORBOARD": "maybe"})


def test_the_folder(tmp_path: Path) -> None:
    assert Settings.read({}).log_of(Path("runs/first")) == Path("runs/first/tensorboard")
    settings = Settings.read({"FACEKIT_TENSORBOARD_DIR": str(tmp_path)})
    assert settings.log_of(Path("runs/first")) == tmp_path / "first"
    assert Settings.read({"FACEKIT_TENSORBOARD_DIR": "~/logs"}).folder == Path.home() / "logs"
    (tmp_path / "file").touch()
    with pytest.raises(FacekitError, match="FACEKIT_TENSORBOARD_DIR names a file"):
        Settings.read({"FACEKIT_TENSORBOARD_DIR": str(tmp_path / "file")})
