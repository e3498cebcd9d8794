"""Charts: ticks, numbers, thinning and smoothing."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest

from facekit.figures.charts import MOST_POINTS, Series, line_geometry, nice_ticks, number


@pytest.mark.parametrize(
    "extent", [(0, 1), (0.25, 0.55), (-3, 17), (1e-6, 2e-4), (0, 123456), (5, 5), (0, 0), (-2, -1)]
)
def test_ticks_are_round_even_and_cover_the_range(extent: tuple[float, float]) -> None:
    low, high = extent
    ticks = nice_ticks(low, high)
    assert 2 <= len(ticks) <= 8
    assert ticks[0] <= low
    assert ticks[-1] >= high
    steps = [after - before for before, after in pairwise(ticks)]
    assert steps == pytest.approx([steps[0]] * len(steps))
    assert float(f"{steps[0]:.0e}") == pytest.approx(steps[0], rel=0.26)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.0002, "2e-4"), (-0.00025, "-2.5e-4"), (0.4712345, "0.4712"), (12345.6, "12,346"), (2e9, "2e9")],
)
def test_numbers_read_well(value: float, text: str) -> None:
    assert number(value) == text


def test_nothing_to_draw_is_no_chart() -> None:
    assert line_geometry({}) is None
    assert line_geometry({"a": []}) is None


def _drawn(points: Series, *, smooth: bool = True) -> dict[str, Any]:
    found = line_geometry({"a": points}, smooth=smooth)
    assert found is not None
    return found


def test_a_single_value_is_seen() -> None:
    ((name, _, raw, line),) = _drawn([(3, 1.0)])["curves"]
    assert (name, raw) == ("a", "")
    assert re.fullmatch(r"M[\d.]+ [\d.]+h8", line)


def test_long_curves_are_thinned_to_means_that_end_at_the_last_step() -> None:
    (series,) = _drawn([(step, float(step % 2)) for step in range(1, 10_001)], smooth=False)["data"]["series"]
    assert len(series["steps"]) <= MOST_POINTS
    assert series["steps"][-1] == 10_000
    assert series["values"][0] == pytest.approx(0.5, abs=0.03)


def test_smoothing_has_no_bias_at_the_start_and_keeps_the_values_visible() -> None:
    chart = _drawn([(step, 4.0) for step in range(1, 101)])
    assert chart["data"]["series"][0]["values"] == pytest.approx([4.0] * 100)
    assert chart["curves"][0][2], "the values themselves are drawn too"


def _labels(chart: dict[str, Any]) -> list[float]:
    return [float(text.replace(",", "")) for _, text in chart["rows"]]


def test_one_wild_value_flattens_only_curves_that_are_not_smoothed() -> None:
    points = [*((step, 1.0) for step in range(1, 200)), (200, 50.0), *((step, 1.0) for step in range(201, 400))]
    assert max(_labels(_drawn(points, smooth=False))) >= 50
    assert max(_labels(_drawn(points))) < 10
