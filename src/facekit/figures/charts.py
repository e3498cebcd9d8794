"""Line charts: axes, ticks, the values faint and their smoothed course strong, a hover readout."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

Series = list[tuple[int, float]]
"""Values over steps, in the order of the steps."""

WIDTH, HEIGHT = 640, 280
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 14, 26
MOST_POINTS = 400
COLOURS = 8
"""How many series colours the style sheet has; further series use them again."""


def line_geometry(curves: Mapping[str, Series], *, smooth: bool = True) -> dict[str, Any] | None:
    """Return what the template ``figures/parts.html`` draws a chart from; None where there is nothing to draw.

    Args:
        curves: values over steps, by name.
        smooth: draw a running mean over the values; for noisy ones.
    """
    drawn = {name: _thin(points) for name, points in curves.items() if points}
    if not drawn:
        return None
    smoothed = {name: _smooth(points) if smooth and len(points) > 8 else points for name, points in drawn.items()}
    steps = [step for points in drawn.values() for step, _ in points]
    first, last = min(steps), max(steps)
    if first == last:
        first, last = first - 1, last + 1
    low, high = _extent(drawn, smoothed)
    ticks = nice_ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])

    def x(step: float) -> float:
        return round(LEFT + (step - first) / (last - first) * (WIDTH - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM), 1)

    def path(points: Series) -> str:
        # A single value has no line; draw a short one so that it is seen.
        if len(points) == 1:
            return f"M{x(points[0][0]) - 4:.1f} {y(points[0][1])}h8"
        return "M" + "L".join(f"{x(step)} {y(value)}" for step, value in points)

    return {
        **{
            "width": WIDTH,
            "height": HEIGHT,
            "left": LEFT,
            "right": WIDTH - RIGHT,
            "top": TOP,
            "bottom": HEIGHT - BOTTOM,
        },
        "clip": f"clip-{zlib.crc32(repr(drawn).encode()):08x}",
        "rows": [(y(tick), number(tick)) for tick in ticks],
        "columns": [
            (x(tick), f"{int(tick):,}")
            for tick in nice_ticks(first, last, most=6)
            if first <= tick <= last and float(tick).is_integer()
        ],
        "curves": [
            (name, f"c{index % COLOURS}", "" if smoothed[name] is points else path(points), path(smoothed[name]))
            for index, (name, points) in enumerate(drawn.items())
        ],
        "values": {name: number(points[-1][1]) for name, points in smoothed.items()},
        # What the page's script reads.
        "data": {
            **{"first": first, "last": last, "left": LEFT / WIDTH, "right": 1 - RIGHT / WIDTH},
            "series": [
                {
                    "name": name,
                    "steps": [step for step, _ in points],
                    "values": [float(f"{value:.5g}") for _, value in points],
                }
                for name, points in smoothed.items()
            ],
        },
    }


def nice_ticks(low: float, high: float, *, most: int = 5) -> list[float]:
    """Return at most ``most`` + 1 round numbers that cover a range."""
    if not high - low > 1e-90:  # equal, or so close that no step fits between
        high = low + max(abs(low) * 0.1, 1e-9)
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    start = math.floor(low / step + 1e-9)
    end = math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(start, end + 1)]


def number(value: float) -> str:
    """Return a number as people read it: ``0.0002`` as ``2e-4``, ``12345`` as ``12,345``."""
    if value == 0:
        return "0"
    size = abs(value)
    if size < 1e-3 or size >= 1e6:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    if size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def _thin(points: Series) -> Series:
    """Return at most ``MOST_POINTS`` points: the mean of neighbours, at the last of their steps."""
    if len(points) <= MOST_POINTS:
        return points
    bucket = math.ceil(len(points) / MOST_POINTS)
    groups: Sequence[Series] = [points[start : start + bucket] for start in range(0, len(points), bucket)]
    return [(group[-1][0], sum(value for _, value in group) / len(group)) for group in groups]


def _smooth(points: Series) -> Series:
    """Return the running mean: exponential over about a twentieth of the points, without a bias at the start."""
    keep = max(0.6, 1 - 20 / len(points))
    total = weight = 0.0
    smoothed: Series = []
    for step, value in points:
        total = keep * total + (1 - keep) * value
        weight = keep * weight + (1 - keep)
        smoothed.append((step, total / weight))
    return smoothed


def _extent(drawn: Mapping[str, Series], smoothed: Mapping[str, Series]) -> tuple[float, float]:
    """Return the range of the vertical axis: all smoothed values, and the values but for their wildest hundredths."""
    means = [value for points in smoothed.values() for _, value in points]
    values = sorted(value for points in drawn.values() for _, value in points)
    cut = len(values) // 100
    low = min(*means, values[cut])
    high = max(*means, values[len(values) - 1 - cut])
    # Start at zero where that costs little: the eye then reads proportions.
    if 0 < low < 0.4 * high:
        low = 0.0
    if low == high:
        low, high = low - max(abs(low) * 0.1, 1e-9), high + max(abs(high) * 0.1, 1e-9)
    return low, high
