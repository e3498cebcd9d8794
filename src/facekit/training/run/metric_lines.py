"""The lines of ``metrics.jsonl``: one JSON object each, whose last entry is a checksum of all before it. Torch-free.

A line without a checksum was written by an older version, and is read as it is. A line that its checksum does not fit
is left out and told of; where damage joined lines, those of them that are whole are still found.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from facekit.training.run.damaged_json import read_json
from facekit.training.run.folder import METRICS

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
        event = _whole(line)
        if event is not None:
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
