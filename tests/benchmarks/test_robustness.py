"""The attacks of ``python -m benchmarks.robustness``, few of each: that they run, and that nothing falls."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from benchmarks.robustness import bit_rot, mutated
from benchmarks.robustness.counting import Count, flip, flips


def test_a_flip_is_one_bit_and_keeps_the_date(tmp_path: Path) -> None:
    file = tmp_path / "file.bin"
    file.write_bytes(bytes(100))
    modified = file.stat().st_mtime_ns
    before, _ = flip(file, random.Random(0))
    assert sum(byte.bit_count() for byte in file.read_bytes()) == 1
    assert (before, file.stat().st_mtime_ns) == (bytes(100), modified)


def test_what_is_not_noticed_and_what_raises_falls(tmp_path: Path) -> None:
    file = tmp_path / "file.bin"
    file.write_bytes(bytes(100))
    outcomes = iter(["noticed", "harmless", "another number", None])

    def evaluator(damaged: Path, which: str) -> str:
        outcome = next(outcomes)
        if outcome is None:
            raise KeyError("label_map")
        return outcome

    found = flips("flips", [file], evaluator, count=4, seed=0)
    assert (found.tried, found.noticed, found.harmless) == (4, 1, 1)
    assert found.fell[0] == "another number"
    assert "KeyError" in found.fell[1]
    assert file.read_bytes() == bytes(100)
    assert found.row(1.0) == "| flips | 4 | 1 | 1 | 2 | 1 s | - |"


@pytest.mark.parametrize("attack", [bit_rot.cache, mutated.scripts, mutated.recipes, mutated.images])
def test_nothing_falls(attack, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(Path(__file__).parents[2])
    found: Count = attack(count=26, seed=1)
    assert found.tried >= 26
    assert not found.fell
    assert found.noticed
