"""Events: read-only to the innermost entry, and documented field by field."""

from __future__ import annotations

import copy
import json
import pickle
import re
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from facekit.interfaces import (
    CheckpointSaved,
    Evaluated,
    Measurement,
    ReadOnlyDict,
    RunEvent,
    RunFinished,
    RunStarted,
    SamplesSaved,
    StepLogged,
    Warned,
    plain_data,
    read_only,
)

RUN = Path("runs/first")
RECIPE = {"train": {"betas": [0.5, 0.999], "ema": {"decay": 0.998}}, "losses": {"generator": [{"use": "l1"}]}}
PSNR = Measurement("psnr", 20.0, "dB", "higher", protocol={"peak": "1"}, count=5)
EVENTS = [
    RunStarted(RUN, RECIPE, 0, 10, {"generator": 5}, versions={"facekit": "1"}),
    StepLogged(RUN, 1, {"generator/l1": 1.0}, {"generator": 1e-4}, 0.1, {"changes_with_reference": 0.5}),
    SamplesSaved(RUN, 1, RUN / "samples" / "step-00000001.png", "ema"),
    CheckpointSaved(RUN, 1, RUN / "checkpoints" / "step-00000001"),
    Evaluated(RUN, 1, "test", "ema", "abc", (PSNR,), {"size": "32"}, {"psnr": "def"}, {"psnr": (19.0, 21.0)}),
    Warned(RUN, 1, "careful"),
    RunFinished(RUN, 1, "failed", "why", "ValueError"),
]

CHANGES = {
    "assign": lambda shown: shown.__setitem__("new", 1),
    "delete": lambda shown: shown.__delitem__(next(iter(shown))),
    "update": lambda shown: shown.update(new=1),
    "or": lambda shown: shown.__ior__({"new": 1}),
    "pop": lambda shown: shown.pop(next(iter(shown))),
    "popitem": lambda shown: shown.popitem(),
    "clear": lambda shown: shown.clear(),
    "setdefault": lambda shown: shown.setdefault("new", 1),
}


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    """Every mapping in an event, at any depth. A list would be found out here: it can be changed."""
    assert not isinstance(value, list | set)
    if isinstance(value, Measurement):
        return _mappings(value.protocol)
    if isinstance(value, tuple):
        return [found for entry in value for found in _mappings(entry)]
    if isinstance(value, Mapping):
        return [value, *(found for entry in value.values() for found in _mappings(entry))]
    return []


PAGE = Path(__file__).parents[2] / "docs" / "plugins" / "events.md"


@pytest.mark.parametrize("kind", get_args(RunEvent), ids=lambda kind: kind.__name__)
def test_every_field_is_documented(kind: Any) -> None:
    (section,) = re.findall(
        rf"^### {kind.__name__}$(.*?)(?=^###|\Z)", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    documented = [name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert documented == [entry.name for entry in fields(kind)]


def test_every_event_is_here() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(RunEvent))


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_no_field_can_be_assigned(event: Any) -> None:
    for entry in fields(event):
        with pytest.raises(FrozenInstanceError):
            setattr(event, entry.name, None)


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_inside_an_event_can_be_changed(change: str) -> None:
    found = [shown for event in EVENTS for entry in fields(event) for shown in _mappings(getattr(event, entry.name))]
    assert len(found) >= 12
    for shown in found:
        before = dict(shown)
        if before or change in ("assign", "update", "or", "setdefault", "clear"):
            with pytest.raises(TypeError, match="cannot be changed"):
                CHANGES[change](shown)
        assert dict(shown) == before


def test_an_event_is_a_copy() -> None:
    recipe = {"train": {"lr": 1.0, "betas": [0.5]}}
    event = RunStarted(RUN, recipe, 0, 1, {})
    recipe["train"]["lr"] = 2.0
    recipe["train"]["betas"].append(0.9)  # type: ignore[attr-defined]
    assert event.recipe == {"train": {"lr": 1.0, "betas": (0.5,)}}


def test_what_is_shown_can_be_written_copied_and_sent() -> None:
    shown = read_only(RECIPE)
    assert json.loads(json.dumps(shown)) == RECIPE
    assert yaml.safe_load(yaml.safe_dump(plain_data(shown))) == RECIPE
    assert pickle.loads(pickle.dumps(shown)) == copy.deepcopy(shown) == shown
    assert isinstance(copy.deepcopy(shown), ReadOnlyDict)
    mine = plain_data(shown)
    mine["train"]["betas"].append(1)
    mine["train"]["new"] = 1
    assert shown["train"] == {"betas": (0.5, 0.999), "ema": {"decay": 0.998}}
    assert shown.copy() | {"more": 1} == {**shown, "more": 1}
    for event in EVENTS:
        assert pickle.loads(pickle.dumps(event)) == event
