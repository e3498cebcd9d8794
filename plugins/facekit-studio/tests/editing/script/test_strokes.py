"""Strokes cover the same pixels as the formula that defines them, and cost their rows."""

from __future__ import annotations

import time

import numpy as np
import pytest

from facekit.interfaces import FacekitError
from facekit_studio.editing.script import EditContext, apply_script, parse_script
from facekit_studio.editing.script.shapes import Stroke


def by_formula(stroke: Stroke, height: int, width: int) -> np.ndarray:
    """Return the pixels whose middle is at most the radius away from a segment, each pixel tried with each segment."""
    rows, columns = np.indices((height, width), dtype=np.float64)
    radius = stroke.width * max(height, width) / 2
    places = [(x * width - 0.5, y * height - 0.5) for x, y in stroke.points]
    found = np.zeros((height, width), dtype=bool)
    for (x, y), (next_x, next_y) in zip(places, places[1:] or places, strict=False):
        along_x, along_y = next_x - x, next_y - y
        length = along_x**2 + along_y**2
        share = 0.0 if length == 0 else ((columns - x) * along_x + (rows - y) * along_y) / length
        share = np.clip(share, 0, 1)
        found |= np.hypot(columns - x - share * along_x, rows - y - share * along_y) <= radius
    return found


def test_strokes_are_what_the_formula_says():
    numbers = np.random.default_rng(0)
    for case in range(600):
        height, width = (int(side) for side in numbers.integers(1, 70, 2))
        points = numbers.uniform(-1, 2, (numbers.integers(1, 7), 2)) if case % 3 else numbers.uniform(0, 1, (4, 2))
        if case % 4 == 0:
            points = np.round(points * height) / height
        if case % 5 == 0:
            points = (np.round(points * 8) + 0.5) / 8  # pixel middles: edges that lie on them exactly
        if case % 7 == 0:
            points[-1] = points[0]
        points = np.clip(points, -1, 2)
        brush = [numbers.uniform(0.001, 1), numbers.integers(1, 10) / max(height, width), 0.1][case % 3]
        stroke = Stroke(points=tuple(map(tuple, points.tolist())), width=min(1.0, float(brush)))
        assert np.array_equal(stroke.pixels(height, width), by_formula(stroke, height, width)), (case, height, width)


def walk(points: int, seed: int = 0) -> str:
    places = np.random.default_rng(seed).uniform(0, 1, (points, 2)).round(3).tolist()
    return f"{{do: set, region: skin, stroke: {{width: 0.02, points: {places}}}}}"


def test_a_long_stroke_on_a_large_mask_takes_seconds_and_not_an_hour(label_map):
    script = parse_script(f"facekit_edit: 1\noperations: [{walk(2000)}]", label_map=label_map)
    began = time.process_time()
    apply_script(script, np.zeros((2048, 2048), np.uint8), EditContext(label_map))
    assert time.process_time() - began < 10  # 0.6 s; 85 processor minutes before for five times the points


def test_strokes_that_would_take_too_long_are_refused_before_anything_is_drawn(label_map):
    text = "facekit_edit: 1\noperations: [" + ", ".join(walk(10_000, seed) for seed in range(4)) + "]"
    script = parse_script(text, label_map=label_map)
    asked: list[int] = []
    context = EditContext(label_map, go_on=lambda: asked.append(1))
    with pytest.raises(FacekitError, match=r"operations: the strokes of the script take .* rows of pixels on a mask"):
        apply_script(script, np.zeros((2048, 2048), np.uint8), context)
    assert not asked
    apply_script(script, np.zeros((64, 64), np.uint8), context)
    assert asked


def test_drawing_and_reading_end_when_they_are_told_to(label_map):
    class Enough(Exception):
        pass

    calls = 0

    def go_on() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise Enough

    text = f"facekit_edit: 1\noperations: [{walk(2000)}]"
    with pytest.raises(Enough):
        parse_script(text, label_map=label_map, go_on=go_on)
    script, calls = parse_script(text, label_map=label_map), 0
    with pytest.raises(Enough):
        apply_script(script, np.zeros((2048, 2048), np.uint8), EditContext(label_map, go_on=go_on))
