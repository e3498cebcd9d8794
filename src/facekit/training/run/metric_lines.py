"""The lines of ``metrics.jsonl``: one JSON object each, whose last entry is a checksum of all before it. Torch-free.

A line without a checksum was written by an older version, and is read as it is. A line that its checksum does not fit
is left out and told of; where damage joined lines, those of them that are whole are still found.

facekit writes finite numbers of ordinary size, text without lone surrogates, and shallow documents. A file that holds
anything else was damaged or edited; whatever comes back of it is safe to format, draw and write again.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from facekit.training.run.folder import METRICS

LARGEST = 1e100
"""Numbers beyond this one are damage: fp64 losses end long before, and their sums and ranges must stay finite."""

_DIGITS, _DEEPEST = 18, 32
"""Integers of more digits are damage, and documents that nest deeper."""


def read_json(text: str) -> Any:
    """Return the document that a text holds.

    NaN, infinities and numbers beyond any that facekit writes come back as None, lone surrogates as question marks.

    Raises:
        ValueError: the text is no JSON, or nests deeper than any document of facekit.
    """

    def safe(value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return value if value.isascii() else readable(value)
        if not isinstance(value, (dict, list)):
            return value
        if not depth:
            raise ValueError("it nests too deeply")
        if isinstance(value, dict):
            return {readable(key): safe(entry, depth - 1) for key, entry in value.items()}
        return [safe(entry, depth - 1) for entry in value]

    try:
        document = json.loads(
            text,
            parse_constant=lambda name: None,
            parse_float=lambda digits: value if abs(value := float(digits)) <= LARGEST else None,
            parse_int=lambda digits: int(digits) if len(digits.lstrip("-")) <= _DIGITS else None,
        )
    except RecursionError:
        raise ValueError("it nests too deeply") from None
    return safe(document, _DEEPEST)


def readable(text: str) -> str:
    """Return a text with its lone surrogates, which no file and no terminal takes, as question marks."""
    return text.encode("utf-8", errors="replace").decode("utf-8")


def step_of(line: Any) -> int | None:
    """Return the step of a line of ``metrics.jsonl``; None where it states none."""
    step = line.get("step")
    return step if isinstance(step, int) and not isinstance(step, bool) and step >= 0 else None


CRC32 = "crc32"
"""The last entry of a line: the CRC-32 of its bytes up to there, as eight hex digits."""

_OPENING = b'{"event":'
_ENDING = re.compile(rb',"crc32":"([0-9a-f]{8})"\}')
_CHECKED_ONCE = re.compile(rb':"[0-9a-f]{8}"\}$')
"""How a line ends whose checksum has lost its name. Lines of older versions end with a time."""


@dataclass
class MetricLines:
    """What ``metrics.jsonl`` holds.

    Args:
        events: the objects of the sound lines, in order, without their checksums.
        damaged: the lines that are not what was written, by their number from 1.
        cut: the last line is not whole: the run was stopped while it wrote it.
    """

    events: list[dict[str, Any]] = field(default_factory=list)
    damaged: dict[int, bytes] = field(default_factory=dict)
    cut: bool = False


def encode_line(document: Mapping[str, Any]) -> bytes:
    """Return a line for ``metrics.jsonl``, with its checksum and its line break.

    Raises:
        ValueError: a number is not finite.
    """
    entries = {name: value for name, value in document.items() if name != CRC32}
    text = json.dumps(entries, separators=(",", ":"), allow_nan=False).encode()[:-1]
    return text + f',"{CRC32}":"{zlib.crc32(text):08x}"}}\n'.encode()


def decode_lines(content: bytes) -> MetricLines:
    """Return what the contents of a ``metrics.jsonl`` say, whatever happened to them."""
    found = MetricLines()
    lines = content.split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if (event := _whole(line)) is not None:
            found.events.append(event)
            continue
        kept = list(_whole_within(line))
        found.events += kept
        if number == len(lines) and not kept:
            found.cut = True  # no line break ends it
        else:
            found.damaged[number] = line
    return found


def damaged_lines(found: MetricLines) -> str:
    """Return what to tell of damaged lines: ``metrics.jsonl is not what the run wrote in line 3 and 1 more``."""
    first, *others = found.damaged
    more = f" and {len(others)} more" if others else ""
    return f"{METRICS} is not what the run wrote in line {first}{more}"


def _whole(line: bytes) -> dict[str, Any] | None:
    """Return the object of a line; None where the line is not what was written."""
    ending = _ENDING.search(line, max(0, len(line) - 20))
    if ending is not None and ending.end() == len(line):
        if zlib.crc32(line[: ending.start()]) != int(ending[1], 16):
            return None
    elif _CHECKED_ONCE.search(line, max(0, len(line) - 12)):
        return None
    try:
        event = read_json(line.decode("utf-8", errors="replace"))
    except ValueError:
        return None
    if not isinstance(event, dict):
        return None
    checked = event.pop(CRC32, None) is not None
    return None if checked and ending is None else event


def _whole_within(line: bytes) -> Iterator[dict[str, Any]]:
    """Yield the objects of the checked lines that stand within one line: a line break was damaged or is missing."""
    begin = 0
    for ending in _ENDING.finditer(line):
        start = line.rfind(_OPENING, begin, ending.start())
        while start != -1:
            event = _whole(line[start : ending.end()])
            if event is not None:
                yield event
                begin = ending.end()
                break
            start = line.rfind(_OPENING, begin, start)
