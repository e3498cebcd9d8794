"""Further arrays of samples by the names of their ports: what is wrong with them, and how they are mirrored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from facekit.interfaces import FaceDataset, FacekitError, FaceSample, MirrorsExtra

if TYPE_CHECKING:
    from numpy.typing import NDArray

DTYPES = ("float32", "int64", "int32", "uint8", "bool")
"""What the arrays may be made of."""

_FIELDS = frozenset(
    ("image", "mask", "attributes", "reference", "source_image", "extra", "keys", "style", "generated", "discriminated")
)
"""Names that have a place of their own in batches and conditions, and the roots of such names."""


@dataclass(frozen=True, slots=True)
class ArrayKind:
    """What an array is like: its name, its shape for one sample, and its dtype by numpy's name."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        return f"{self.dtype} {self.shape}"

    @property
    def stored(self) -> np.dtype[Any]:
        """The dtype in files: little-endian."""
        return np.dtype(self.dtype).newbyteorder("<")

    @property
    def row_bytes(self) -> int:
        """Bytes of one sample in files."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.stored.itemsize

    def document(self) -> dict[str, Any]:
        """Return it as plain JSON data."""
        return {"name": self.name, "shape": list(self.shape), "dtype": self.dtype}

    @staticmethod
    def from_document(document: Mapping[str, Any]) -> ArrayKind:
        """Return what :meth:`document` wrote down."""
        return ArrayKind(document["name"], tuple(document["shape"]), document["dtype"])


def kinds_of(extra: Mapping[str, NDArray[Any]]) -> tuple[ArrayKind, ...]:
    """Return what the arrays of a sample are like, by name."""
    return tuple(ArrayKind(name, array.shape, array.dtype.name) for name, array in sorted(extra.items()))


def extra_problems(sample: FaceSample) -> list[str]:
    """Return what is wrong with the further arrays of a sample; empty where nothing is."""
    return [*_mapping_problems(sample.extra, "the array")]


def _mapping_problems(extra: Any, what: str) -> Iterable[str]:
    if not isinstance(extra, Mapping):
        yield f"`extra` is a {type(extra).__name__}, not a mapping of arrays by the names of their ports"
        return
    for name, array in extra.items():
        if not isinstance(name, str) or not name:
            yield f"{what} {name!r} has no name; arrays are named after their ports"
        elif name.split(".")[0] in _FIELDS:
            yield f"{what} {name!r} has the name of something else; give its port another name"
        elif not isinstance(array, np.ndarray | np.generic):  # numpy makes numbers of arrays without dimensions
            yield f"{what} {name!r} is a {type(array).__name__}, not a numpy array"
        elif array.dtype.name not in DTYPES:
            yield f"{what} {name!r} is of {array.dtype.name}; arrays are of {', '.join(DTYPES)}"
        elif not array.size:
            yield f"{what} {name!r} of shape {array.shape} holds no numbers"
        elif not np.isfinite(array).all():
            yield f"{what} {name!r} holds numbers that are not finite"


def kind_problems(
    wanted: tuple[ArrayKind, ...], found: tuple[ArrayKind, ...], *, of: str, shapes: bool = True
) -> list[str]:
    """Return how the arrays of a sample differ from those of another one, which ``of`` names in the messages; without
    ``shapes`` only in the number of their dimensions."""
    first, second = ({kind.name: kind for kind in kinds} for kinds in (wanted, found))
    problems = [f"the array {name!r} is missing; {of} has it" for name in first if name not in second]
    problems += [f"there is an array {name!r}; {of} has none" for name in second if name not in first]
    for name in first.keys() & second.keys():
        a, b = first[name], second[name]
        same_shape = a.shape == b.shape if shapes else len(a.shape) == len(b.shape)
        if a.dtype != b.dtype or not same_shape:
            problems.append(f"the array {name!r} is {b}; that of {of} is {a}")
    return sorted(problems)


def mirrored_extra(dataset: FaceDataset, extra: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
    """Return the further arrays of a sample for the mirrored photo; none where the dataset cannot mirror them.

    Raises:
        FacekitError: what the dataset's ``mirror_extra`` gives is no array that could stand for the original.
    """
    if not extra or not isinstance(dataset, MirrorsExtra):
        return {}
    # Copies, so that a method that changes its argument cannot change what is packed.
    mirrored = dataset.mirror_extra({name: array.copy() for name, array in extra.items()})
    problems = [*_mapping_problems(mirrored, "the mirrored array")]
    if not problems:
        problems = kind_problems(kinds_of(extra), kinds_of(mirrored), of="the original")
        problems = [problem.replace("the array", "the mirrored array") for problem in problems]
    if problems:
        raise FacekitError(problems[0], remedy="correct the method mirror_extra of the dataset")
    return mirrored


def check_mirror(names: Iterable[str], *, can_mirror: bool) -> None:
    """Raise FacekitError where photos are to be mirrored whose further arrays cannot be."""
    given = ", ".join(sorted(names))
    if given and not can_mirror:
        raise FacekitError(
            f"photos are to be mirrored, and the dataset does not say how a mirrored sample has its {given}",
            where="data.mirror",
            remedy="set it to false, or give the dataset a method mirror_extra (facekit.interfaces.MirrorsExtra)",
        )
