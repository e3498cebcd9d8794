"""What was made in a turn: which image is which, and what the discriminator gave for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from facekit.interfaces import Condition, DiscriminatorOutput, Generated, Step

REAL = "real"


@dataclass
class Turn:
    """The images of one turn, and what the discriminator gave for them.

    Args:
        made: images by name, with the conditions that they were made for.
        outputs: what the discriminator gave, by the same names.
        others: images that a loss asked for beside these.
    """

    made: dict[str, tuple[Generated, Condition]] = field(default_factory=dict)
    outputs: dict[str, DiscriminatorOutput] = field(default_factory=dict)
    others: list[tuple[Generated, Condition]] = field(default_factory=list)

    def name_of(self, image: Generated) -> str | None:
        """Return the name of one of these very images, None for any other."""
        return next((name for name, (made, _) in self.made.items() if made is image), None)


# As long as a step lives, and no longer: images hold on to their graphs.
_TURNS: WeakKeyDictionary[Step, Turn] = WeakKeyDictionary()


def turn_of(step: Step) -> Turn:
    """Return what was made in the turn of a step."""
    return _TURNS.setdefault(step, Turn())
