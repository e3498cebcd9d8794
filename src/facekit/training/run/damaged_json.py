"""Reading the JSON of run folders that may be damaged: whatever comes back is safe to format, draw and write again.

facekit writes finite numbers of ordinary size, text without lone surrogates, and shallow documents. A file that holds
anything else was damaged or edited. Its good values are still worth a report.
"""

from __future__ import annotations

import json
from typing import Any

LARGEST = 1e100
"""Numbers beyond this one are damage: fp64 losses end long before, and their sums and ranges must stay finite."""

_DIGITS = 18
"""Integers of more digits are damage."""

_DEEPEST = 32
"""Documents that nest deeper are damage."""


def read_json(text: str) -> Any:
    """Return the document that a text holds.

    NaN, infinities and numbers beyond any that facekit writes come back as None, lone surrogates as question marks.

    Raises:
        ValueError: the text is no JSON, or nests deeper than any document of facekit.
    """
    try:
        document = json.loads(text, parse_constant=lambda name: None, parse_float=_real_number, parse_int=_whole_number)
    except RecursionError:
        raise ValueError("it nests too deeply") from None
    return _safe(document, _DEEPEST)


def readable(text: str) -> str:
    """Return a text with its lone surrogates, which no file and no terminal takes, as question marks."""
    return text.encode("utf-8", errors="replace").decode("utf-8")


def step_of(line: Any) -> int | None:
    """Return the step of a line of ``metrics.jsonl``; None where it states none."""
    step = line.get("step")
    return step if isinstance(step, int) and not isinstance(step, bool) and step >= 0 else None


def _real_number(digits: str) -> float | None:
    value = float(digits)
    return value if abs(value) <= LARGEST else None


def _whole_number(digits: str) -> int | None:
    return int(digits) if len(digits.lstrip("-")) <= _DIGITS else None


def _safe(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else readable(value)
    if isinstance(value, (dict, list)):
        if not depth:
            raise ValueError("it nests too deeply")
        if isinstance(value, dict):
            return {readable(key): _safe(entry, depth - 1) for key, entry in value.items()}
        return [_safe(entry, depth - 1) for entry in value]
    return value
