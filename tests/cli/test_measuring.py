"""What `facekit evaluate` prints of measurements."""

from __future__ import annotations

import pytest

from facekit.cli.evaluate import print_measurements
from facekit.evaluation.results import EvaluationResult
from facekit.interfaces import Measurement


@pytest.fixture
def result() -> EvaluationResult:
    shown = Measurement("style_following/mean", 0.8, "share", "higher")
    details = (Measurement(f"style_following/{part}", 0.7, "share", "higher", detail=True) for part in ("hat", "neck"))
    return EvaluationResult("model", "test", "ema", 1, {}, (shown, *details))


def test_details_are_counted_and_printed_when_asked_for(
    result: EvaluationResult, capsys: pytest.CaptureFixture[str]
) -> None:
    print_measurements([result])
    text = capsys.readouterr().out
    assert "style_following/mean" in text
    assert "style_following/hat" not in text
    assert "2 more rows of single regions and classes: in the report; `facekit evaluate --details` prints them" in text
    assert all(len(line) <= 120 for line in text.splitlines())
    print_measurements([result], details=True)
    text = capsys.readouterr().out
    assert "style_following/hat" in text
    assert "more row" not in text
