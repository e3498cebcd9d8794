"""What docs/editing.md says holds: its script is read, its code runs, and its tables list every operation and field."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facekit.registry import load_registry
from facekit_studio.editing.script import OPERATIONS, parse_script
from facekit_studio.editing.script.shapes import SHAPES, Shape

PAGE = Path(__file__).parents[4] / "docs" / "editing.md"
# The scripts that edits are measured by stand in a table of their own.
TEXT = PAGE.read_text("utf-8").split("## How good are the edits")[0]
# The first block of each language.
BLOCKS = dict(reversed(re.findall(r"^```(yaml|python)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)))


def rows() -> dict[str, set[str]]:
    """Return the names in the first column of all tables, with the words in code of the second."""
    found = re.findall(r"^\| `(\w+)` \| (.*?) \|", TEXT.replace("| |", "|  |"), re.MULTILINE)
    return {name: set(re.findall(r"`(\w+)`", fields)) for name, fields in found}


def test_every_operation_and_field_is_listed() -> None:
    listed = rows()
    assert set(listed) == set(OPERATIONS) | set(SHAPES)
    for name, kind in OPERATIONS.items():
        fields = set(kind.model_fields) - {"do"} - (set(SHAPES) if issubclass(kind, Shape) else set())
        assert listed[name] == fields, name
    for name in ("stroke", "ellipse", "polygon", "flood"):
        model = Shape.model_fields[name].annotation.__args__[0]  # type: ignore[union-attr]
        assert listed[name] == set(model.model_fields), name


def test_the_script_is_read() -> None:
    script = parse_script(BLOCKS["yaml"], label_map=load_registry().label_maps["celebamask_hq"])
    assert [operation.do for operation in script.operations] == ["raise_brows", "open_mouth", "remove"]


def test_the_code_runs(
    styled_run: Path, face: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "first").symlink_to(styled_run)
    one = face(1)
    one.photo.save("photo.png")
    one.mask.save("photo_mask.png")
    Path("surprised.yaml").write_text(BLOCKS["yaml"])
    names: dict[str, Any] = {}
    exec(compile(BLOCKS["python"], str(PAGE), "exec"), names)
    edited = names["edited"]
    assert edited.photo.shape == (64, 64, 3)
    assert np.array_equal(edited.photo[~edited.touched], np.asarray(one.photo)[~edited.touched])
