"""A distribution whose files are damaged, beside which libraries fail that ask for all entry points."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import FEW_PLUGINS

from facekit.interfaces import options

Install = Any
FACEKIT = Path(sys.executable).with_name("facekit")


def _run(site: Path, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FACEKIT_")}
    environment = {**kept, "PYTHONPATH": str(site), "COLUMNS": "200", **more}
    return subprocess.run(command, env=environment, cwd=site, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    "text", [b"[facekit.plugins]\nnothing\n", b"[facekit.plugins]\n\xff = x\n", b"[other]\nnothing\n"]
)
def test_facekit_goes_on_and_the_doctor_names_it(install: Install, text: bytes) -> None:
    info: Path = install("face-torn", "")
    (info / "entry_points.txt").write_bytes(text)
    # Without facekit's help, not one class of options could be made.
    alone = _run(install.site, sys.executable, "-c", "import pydantic\nclass A(pydantic.BaseModel): ...")
    assert alone.returncode == 1
    assert _run(install.site, str(FACEKIT), "components", "ls").returncode == 0
    assert _run(install.site, sys.executable, "-c", "import facekit.interfaces, torch").returncode == 0
    doctor = _run(install.site, str(FACEKIT), "plugins", "doctor", FACEKIT_PLUGINS=FEW_PLUGINS)
    if b"facekit" in text:
        assert doctor.returncode == 1
        assert "(face-torn 1.2) is broken" in doctor.stdout or "(face_torn 1.2) is broken" in doctor.stdout
        assert "failed while reading its entry points" in doctor.stdout
        assert "`pip install --force-reinstall" in doctor.stdout
    else:  # somebody else's, with no plugins for facekit
        assert doctor.returncode == 0, doctor.stdout


def test_other_errors_of_pydantic_come_through(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise RuntimeError("of pydantic itself")

    monkeypatch.setattr(options, "create_model", fail)
    with pytest.raises(RuntimeError, match="of pydantic itself"):
        options._tolerate_damaged_distributions()
    assert "PYDANTIC_DISABLE_PLUGINS" not in os.environ
