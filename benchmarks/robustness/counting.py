"""What came of an attack."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Count:
    """How often an attack was tried, and what came of it.

    Args:
        name: of the attack.
        noticed: times that it was told, or did no harm because the program is made for it.
        harmless: times that it changed nothing that is read.
        fell: a sentence for each time that it was neither.
        notes: further figures, for the table.
    """

    name: str
    noticed: int = 0
    harmless: int = 0
    fell: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def tried(self) -> int:
        """How often it was tried."""
        return self.noticed + self.harmless + len(self.fell)

    def row(self, seconds: float) -> str:
        """Return the line of the table."""
        notes = "; ".join(self.notes) or "-"
        cells = (self.name, self.tried, self.noticed, self.harmless, len(self.fell), f"{seconds:.0f} s", notes)
        return f"| {' | '.join(map(str, cells))} |"


def flip(file: Path, chance: random.Random) -> tuple[bytes, str]:
    """Change one bit of a file whose date stays. Returns what the file held, and which bit it was."""
    status, content = file.stat(), file.read_bytes()
    place, bit = chance.randrange(len(content)), chance.randrange(8)
    damaged = bytearray(content)
    damaged[place] ^= 1 << bit
    put(file, bytes(damaged), status.st_mtime_ns)
    return content, f"{file.name}: bit {bit} of byte {place}"


def put(file: Path, content: bytes, modified: int) -> None:
    """Write a file's contents and set its date, in nanoseconds."""
    file.write_bytes(content)
    os.utime(file, ns=(modified, modified))


def flips(name: str, files: list[Path], evaluator: Callable[[Path, str], str], *, count: int, seed: int) -> Count:
    """Flip single bits of files, one at a time, each file as often as the others.

    Args:
        name: of the attack.
        files: the files; each is put back before the next flip.
        evaluator: is given the damaged file and which bit it was; returns ``noticed``, ``harmless``, or what is wrong.
        count: how many flips.
        seed: of the choice of bits.
    """
    chance, found = random.Random(seed), Count(name)
    for number in range(count):
        file = files[number % len(files)]
        modified = file.stat().st_mtime_ns
        content, which = flip(file, chance)
        try:
            outcome = evaluator(file, which)
        except Exception as error:  # a traceback is what this looks for
            outcome = f"{which}: {type(error).__name__}: {error}"
        finally:
            put(file, content, modified)
        if outcome == "noticed":
            found.noticed += 1
        elif outcome == "harmless":
            found.harmless += 1
        else:
            found.fell.append(outcome)
    return found
