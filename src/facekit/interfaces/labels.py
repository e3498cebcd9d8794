"""Label maps: what the class ids of a mask mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from facekit.interfaces.errors import FacekitError, did_you_mean

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
        classes: one entry an id. Data without masks has a label map without classes: :data:`NO_LABELS`.
        mirrored: pairs of class names that change places when an image is mirrored (left eye, right eye).
        description: where the classes come from.
        of: the finer label map that this one is a merged form of; empty for one that stands for itself.
        merges: pairs of a class of the finer label map and the class of this one that it becomes: ``("l_eye", "eye")``.
            Classes of the finer label map that are not named here keep their names.

    Raises:
        ValueError: a class name occurs twice, a mirrored pair or a merge names a class that does not exist, or merges
            are given without ``of``.
    """

    name: str
    classes: tuple[LabelClass, ...]
    mirrored: tuple[tuple[str, str], ...] = ()
    description: str = ""
    of: str = ""
    merges: tuple[tuple[str, str], ...] = ()

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
        if self.of == self.name or (self.merges and not self.of):
            raise ValueError(f"label map {self.name!r} must name in `of` the other label map whose classes it merges")
        finer = [name for name, _ in self.merges]
        for name, target in self.merges:
            if target not in names:
                raise ValueError(f"label map {self.name!r} merges {name!r} into {target!r}, which it does not have")
            if name in names or finer.count(name) > 1:
                why = "has that class itself" if name in names else "merges it twice"
                raise ValueError(f"label map {self.name!r} merges {name!r} into {target!r}, but {why}")

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
            there = ", ".join(self.names) or "none"
            raise KeyError(f"label map {self.name!r} has no class {name!r}; it has {there}") from None

    def merged_ids(self, finer: LabelMap) -> tuple[int, ...]:
        """Return the id that each class of a finer label map has here, in the order of the finer ids.

        Args:
            finer: the label map this one is a merged form of.

        Raises:
            ValueError: this is no merged form of that label map, a class of one has no place in the other, or mirroring
                and merging a mask would depend on which comes first.
        """
        if self.of != finer.name:
            raise ValueError(f"label map {self.name!r} is no merged form of {finer.name!r}")
        into = dict(self.merges)
        targets = [into.get(name, name) for name in finer.names]
        for names, problem in (
            (
                [name for name, target in zip(finer.names, targets, strict=True) if target not in self.names],
                f"{finer.name!r} has %s, which keeps no name and is merged into nothing",
            ),
            (
                [name for name in into if name not in finer.names],
                f"it merges %s, which {finer.name!r} does not have",
            ),
            ([name for name in self.names if name not in targets], f"nothing of {finer.name!r} becomes %s"),
        ):
            if names:
                raise ValueError(f"label map {self.name!r}: {problem % ', '.join(map(repr, names))}")
        ids = self.ids_of(targets)
        own, theirs = self._mirrored_ids(), finer._mirrored_ids()
        for identity, name in enumerate(finer.names):
            if own[ids[identity]] != ids[theirs[identity]]:
                there, here = finer.names[theirs[identity]], self.names[own[ids[identity]]]
                raise ValueError(
                    f"label map {self.name!r}: in a mirrored picture {name!r} of {finer.name!r} becomes {there!r}, but "
                    f"{targets[identity]!r} becomes {here!r}"
                )
        return ids

    def merge_table(self, finer: LabelMap) -> NDArray[np.uint8]:
        """Return the table (256,) uint8 that maps each id of a finer label map to its id here.

        Ids that are none of the finer label map stay as they are; they are outside this one as well.

        Raises:
            ValueError: as :meth:`merged_ids`.
        """
        import numpy as np

        table = np.arange(256, dtype=np.uint8)
        ids = self.merged_ids(finer)
        table[: len(ids)] = ids
        return table

    def mirror_table(self) -> NDArray[np.uint8]:
        """Return the table (256,) uint8 that maps each id to its id in the mirrored image."""
        import numpy as np

        table = np.arange(256, dtype=np.uint8)
        table[: len(self)] = self._mirrored_ids()
        return table

    def colour_table(self) -> NDArray[np.uint8]:
        """Return the colours (256, 3) uint8; ids outside the map are magenta so that they are seen."""
        import numpy as np

        table = np.full((256, 3), (255, 0, 255), dtype=np.uint8)
        for identity, entry in enumerate(self.classes):
            table[identity] = entry.colour
        return table

    def colourise(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the colours (H, W, 3) uint8 of a mask (H, W)."""
        return self.colour_table()[mask]

    def ids_of(self, names: Sequence[str]) -> tuple[int, ...]:
        """Return the ids of several class names, in their order."""
        return tuple(self.id_of(name) for name in names)

    def check_names(self, names: Iterable[str], *, where: str | None = None) -> None:
        """Raise FacekitError with the near names for a class name that is not in the map.

        Args:
            names: the class names.
            where: the option that has them, where it is known.
        """
        for name in names:
            if name not in self.names:
                raise FacekitError(
                    f"the label map {self.name} has no class {name!r}",
                    where=where,
                    remedy=did_you_mean(name, self.names) or f"classes: {', '.join(self.names)}",
                )

    def _mirrored_ids(self) -> list[int]:
        """Return the id that each class has in the mirrored image."""
        ids = list(range(len(self)))
        for left, right in self.mirrored:
            ids[self.id_of(left)], ids[self.id_of(right)] = self.id_of(right), self.id_of(left)
        return ids


NO_LABELS = LabelMap(name="none", classes=(), description="photos without masks")
"""The label map of data without masks; it has no classes, so it is false where a truth value is asked for."""
