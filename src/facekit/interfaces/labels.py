"""Label maps: what the class ids of a mask mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class LabelClass:
    """One class of a mask: its name, and the colour (R, G, B in 0..255) people see it in."""

    name: str
    colour: tuple[int, int, int]


@dataclass(frozen=True)
class LabelMap:
    """The classes of a mask in id order (the first has id 0).

    Args:
        name: the name recipes use, e.g. ``celebamask_hq``.
        classes: one entry an id.
        mirrored: pairs of class names that change places when a picture is mirrored (left eye, right eye).
        description: where the classes come from.

    Raises:
        ValueError: a class name occurs twice, or a mirrored pair names a class that does not exist.
    """

    name: str
    classes: tuple[LabelClass, ...]
    mirrored: tuple[tuple[str, str], ...] = ()
    description: str = ""

    def __post_init__(self) -> None:
        names = [entry.name for entry in self.classes]
        if len(set(names)) != len(names):
            raise ValueError(f"label map {self.name!r} names a class twice: {names}")
        if len(names) > 255:
            raise ValueError(
                f"label map {self.name!r} has {len(names)} classes; ids are kept in 8 bits, so at most 255"
            )
        for pair in self.mirrored:
            for name in pair:
                if name not in names:
                    raise ValueError(f"label map {self.name!r} mirrors {name!r}, which is not one of its classes")

    def __len__(self) -> int:
        return len(self.classes)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The class names in id order."""
        return tuple(entry.name for entry in self.classes)

    def id_of(self, name: str) -> int:
        """Return the id of a class name. Raises KeyError for a name that is not in the map."""
        try:
            return self.names.index(name)
        except ValueError:
            raise KeyError(f"label map {self.name!r} has no class {name!r}; it has {', '.join(self.names)}") from None

    def mirror_table(self) -> NDArray[np.uint8]:
        """Return the table (256,) uint8 that maps each id to its id in the mirrored picture."""
        import numpy as np

        table = np.arange(256, dtype=np.uint8)
        for left, right in self.mirrored:
            table[self.id_of(left)], table[self.id_of(right)] = self.id_of(right), self.id_of(left)
        return table

    def colour_table(self) -> NDArray[np.uint8]:
        """Return the colours (256, 3) uint8; ids outside the map are magenta so that they are seen."""
        import numpy as np

        table = np.full((256, 3), (255, 0, 255), dtype=np.uint8)
        table[: len(self.classes)] = [entry.colour for entry in self.classes]
        return table

    def colourise(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the colours (H, W, 3) uint8 of a mask (H, W) of class ids."""
        return self.colour_table()[mask]

    def ids_of(self, names: Sequence[str]) -> tuple[int, ...]:
        """Return the ids of several class names, in their order."""
        return tuple(self.id_of(name) for name in names)
