"""What the options of datasets say about splits and attributes, before any file is opened."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

from facekit.interfaces import FacekitError, did_you_mean

_RANGE = re.compile(r"(\d+)(?:\s*-\s*(\d+))?")


def parse_ranges(text: str) -> tuple[range, ...]:
    """Return the ranges that ``"0-399"`` or ``"0-99, 200, 300-349"`` names; both ends belong to a range.

    Raises:
        ValueError: the text is not of that form, or a range runs backwards.
    """
    ranges: list[range] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        match = _RANGE.fullmatch(part)
        if match is None:
            raise ValueError(f"{part!r} is not a range of indices; write 0-399, or 0-99,200-249")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise ValueError(f"the range {part!r} runs backwards")
        ranges.append(range(first, last + 1))
    return tuple(ranges)


def refuse_overlaps(splits: Mapping[str, Sequence[range]]) -> None:
    """Raise ValueError when two ranges, of one split or of two, share an index."""
    spans = sorted(
        ((span.start, span.stop - 1, split) for split, ranges in splits.items() for span in ranges),
    )
    for (_, last, split), (first, _, other) in pairwise(spans):
        if first <= last:
            sides = f"{split} and {other} share" if split != other else f"{split} names twice"
            raise ValueError(f"{sides} index {first}; no photo may be in two splits")


def select_attributes(known: Sequence[str], wanted: Sequence[str] | None, *, where: str) -> list[int]:
    """Return the columns of the wanted attributes, in their order; all of them for None.

    Raises:
        FacekitError: an attribute is not among the known ones.
    """
    if wanted is None:
        return list(range(len(known)))
    columns = []
    for name in wanted:
        if name not in known:
            remedy = did_you_mean(name, known) or f"there are: {', '.join(known) or 'none'}"
            raise FacekitError(
                f"there is no attribute {name!r}, which the option `attributes` asks for", where=where, remedy=remedy
            )
        columns.append(known.index(name))
    return columns


def refuse_repeats(names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Return the names; raise ValueError when one occurs twice."""
    if names is not None and len(set(names)) < len(names):
        raise ValueError(f"an attribute is named twice: {', '.join(names)}")
    return names
