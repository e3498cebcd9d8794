"""Line charts as inline SVG: axes, ticks, the values faint and their smoothed course strong, a hover readout."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from html import escape

Series = list[tuple[int, float]]
"""Values over steps, in the order of the steps."""

WIDTH, HEIGHT = 640, 280
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 14, 26
MOST_POINTS = 400
COLOURS = 8
"""How many series colours the style sheet has; further series use them again."""


def line_chart(title: str, curves: Mapping[str, Series], *, note: str = "", smooth: bool = True) -> str:
    """Return a figure with one chart; an empty string where there is nothing to draw.

    Args:
        title: what the values are.
        curves: values over steps, by name.
        note: a sentence under the title.
        smooth: draw a running mean over the values; for noisy ones.
    """
    drawn = {name: _thin(points) for name, points in curves.items() if points}
    if not drawn:
        return ""
    smoothed = {name: _smooth(points) if smooth and len(points) > 8 else points for name, points in drawn.items()}
    steps = [step for points in drawn.values() for step, _ in points]
    first, last = min(steps), max(steps)
    if first == last:
        first, last = first - 1, last + 1
    low, high = _extent(drawn, smoothed)
    ticks = nice_ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])

    def x(step: float) -> float:
        return LEFT + (step - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    def path(points: Series) -> str:
        # A single value has no line; draw a short one so that it is seen.
        if len(points) == 1:
            return f"M{x(points[0][0]) - 4:.1f} {y(points[0][1]):.1f}h8"
        return "M" + "L".join(f"{x(step):.1f} {y(value):.1f}" for step, value in points)

    clip = "clip-" + re.sub(r"\W+", "-", title.lower())
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}" class="chart">',
        f'<clipPath id="{clip}"><rect x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" '
        f'height="{HEIGHT - TOP - BOTTOM}"/></clipPath>',
    ]
    parts += [
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
        f'<text class="tick" x="{LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{number(tick)}</text>'
        for tick in ticks
    ]
    parts += [
        f'<text class="tick" x="{x(tick):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{int(tick):,}</text>'
        for tick in nice_ticks(first, last, most=6)
        if first <= tick <= last and float(tick).is_integer()
    ]
    parts.append(f'<text class="axis" x="{LEFT - 18}" y="{HEIGHT - BOTTOM + 18}" text-anchor="end">step</text>')
    parts.append(f'<g clip-path="url(#{clip})">')
    for index, (name, points) in enumerate(drawn.items()):
        colour = f"c{index % COLOURS}"
        group = f'<g class="series {colour}" data-series="{index}">'
        if smoothed[name] is not points:
            group += f'<path class="raw" d="{path(points)}"/>'
        parts.append(f'{group}<path class="line" d="{path(smoothed[name])}"/></g>')
    parts.append("</g>")
    parts.append(f'<line class="cursor" y1="{TOP}" y2="{HEIGHT - BOTTOM}" x1="0" x2="0"/></svg>')
    data = {
        "first": first,
        "last": last,
        "left": LEFT / WIDTH,
        "right": 1 - RIGHT / WIDTH,
        "series": [
            {"name": name, "steps": [step for step, _ in points], "values": [_short(value) for _, value in points]}
            for name, points in smoothed.items()
        ],
    }
    legend = "".join(
        f'<button type="button" class="key c{index % COLOURS}" data-series="{index}" aria-pressed="true"><i></i>'
        f"{escape(name)} <b>{number(points[-1][1])}</b></button>"
        for index, (name, points) in enumerate(smoothed.items())
    )
    subtitle = f"<p>{escape(note)}</p>" if note else ""
    return (
        f'<figure class="plot" data-chart="{escape(json.dumps(data))}"><figcaption><h3>{escape(title)}</h3>{subtitle}'
        f'</figcaption><div class="canvas">{"".join(parts)}<div class="readout" hidden></div></div>'
        f'<div class="legend">{legend}</div></figure>'
    )


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


def _short(value: float) -> float:
    return float(f"{value:.5g}")


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
