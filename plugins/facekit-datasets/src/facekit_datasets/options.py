"""Options that several datasets have, and the ports that follow. Imports no numpy: recipes are checked by it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from facekit.faces.attributes import TINTED_GLASSES, ShownAttribute
from facekit.interfaces import ATTRIBUTES, HOLE, IMAGE, MASK, FacekitError, Options, Port, Ports, did_you_mean

if TYPE_CHECKING:
    from facekit.interfaces import FaceDataset

Split = Literal["train", "validation", "test", "extra"]

HoleKind = Literal["mouth", "eyes", "glasses", "nose", "hair", "patch"]
"""What a hole hides. ``mouth``: mouth and lips. ``eyes``: one eye or both, with brows or without. ``glasses``: what a
pair of glasses would cover, or its frame alone. ``nose``. ``hair``: a piece at the edge of the hair. ``patch``: any
place of the face."""

_RANGE = re.compile(r"(\d+)(?:\s*-\s*(\d+))?")


def _no_repeats(names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if names is not None and len(set(names)) < len(names):
        raise ValueError(f"an attribute is named twice: {', '.join(names)}")
    return names


def _fractions(given: dict[Split, float]) -> dict[Split, float]:
    if any(share < 0 for share in given.values()):
        raise ValueError("shares cannot be negative")
    if not 0 < sum(given.values()) <= 1 + 1e-9:
        raise ValueError(f"the shares add up to {sum(given.values()):g}; they may add up to 1 at most, and not to 0")
    return given


def _not_empty(given: dict[Split, Path] | None) -> dict[Split, Path] | None:
    if given is not None and not given:
        raise ValueError("name a file for at least one split")
    return given


AttributeNames = Annotated[tuple[str, ...] | None, AfterValidator(_no_repeats)]


class WindowOptions(Options):
    """How windows are cut out of photos, and holes into windows."""

    per_photo: int = Field(12, ge=1, le=1000)
    """Windows of each photo of the splits ``train`` and ``extra``."""
    held_out: int = Field(3, ge=1, le=1000)
    """Windows of each photo of the splits ``validation`` and ``test``."""
    # What has to be invented comes most often: teeth, and eyes behind dark glasses.
    holes: dict[HoleKind, float] = Field(
        {"mouth": 3.0, "eyes": 3.0, "glasses": 3.0, "nose": 0.3, "hair": 2.0, "patch": 1.0}
    )
    """How often each kind of hole comes, in any unit. A photo that lacks the region gets a ``patch`` instead."""
    smallest_side: int = Field(96, ge=16)
    """Smallest side of a window in pixels of the photo."""
    context: tuple[float, float] = (1.4, 2.2)
    """Smallest and largest side of a window, in extents of its hole."""
    seed: int = Field(0, ge=0)
    """Seed of windows and holes."""

    @model_validator(mode="after")
    def _sound(self) -> WindowOptions:
        if min(self.holes.values(), default=0) < 0 or not sum(self.holes.values()):
            raise ValueError("holes gives each kind a number of at least 0, and one of them a positive one")
        if not 1.3 <= self.context[0] <= self.context[1]:
            raise ValueError("context is a smallest and a largest side, in extents of the hole; at least 1.3")
        return self


class CutOptions(Options):
    """Options of datasets with masks, whose photos can be given in windows."""

    windows: WindowOptions | None = None
    """Give windows of the photos with holes in them, for models that fill in a part of a photo; see
    :class:`~facekit_datasets.options.WindowOptions`. Whole faces when left out."""

    def cut(self, dataset: FaceDataset) -> FaceDataset:
        """Return a dataset of the windows of a dataset's photos; the dataset itself where there are none to cut.

        Raises:
            FacekitError: the dataset has no masks.
        """
        if self.windows is None:
            return dataset
        from facekit_datasets.windows import WindowDataset

        return WindowDataset(dataset, self.windows)


class DerivedOptions(CutOptions):
    """Options of datasets with masks that can read attributes off them."""

    mask_attributes: dict[ShownAttribute, Annotated[float, Field(ge=0, lt=1)]] = Field(default_factory=dict)
    """Attributes that are read off the masks, in place of the attribute file's column where it has one. Each holds
    where its class (``eye_g``, ``mouth``, ``ear_r``, ``hat``, ``neck_l``) covers more than this share of the image:
    ``{Mouth_Slightly_Open: 0.004}``. None by default, since people see more than a mask shows."""
    tinted_glasses: bool = False
    """Give the attribute ``Tinted_Glasses``: the photo shows that lenses hide the skin behind them. Masks have one
    class for clear and tinted glasses."""

    @property
    def derived_names(self) -> tuple[str, ...]:
        """The attributes that are read off masks and photos."""
        return (*self.mask_attributes, *((TINTED_GLASSES,) if self.tinted_glasses else ()))

    def require_derived(self, chosen: Sequence[str] | None) -> None:
        """Raise ValueError where attributes are to be read off masks, but others are chosen."""
        unused = [name for name in self.derived_names if chosen is not None and name not in chosen]
        if unused:
            raise ValueError(f"{', '.join(unused)} would be read off the masks, but `attributes` does not name it")


class PhotoFolderOptions(Options):
    """Options of every dataset that reads a folder of photos."""

    root: Path
    """The folder that the other paths are in."""
    photos: Path
    """Folder of the photos (JPEG, PNG, WebP, BMP, TIFF), in ``root``; subfolders are read as well."""
    attribute_file: Path | None = None
    """A CSV file in ``root``: a column ``key`` (the photo's name without its ending), then one column of 0 and 1 for
    each attribute. No attributes when left out."""
    attributes: AttributeNames = None
    """Attributes to give, in this order; all columns of the attribute file when left out."""
    fractions: Annotated[dict[Split, float], AfterValidator(_fractions)] = Field(
        {"train": 0.8, "validation": 0.1, "test": 0.1}
    )
    """Share of the photos in each split, drawn at random by ``seed``; what is left over belongs to none."""
    seed: int = Field(0, ge=0)
    """Seed of the random split."""
    split_files: Annotated[dict[Split, Path] | None, AfterValidator(_not_empty)] = None
    """Text files in ``root`` that list the photos of each split, one name without ending a line; in place of
    ``fractions``."""

    @property
    def attribute_count(self) -> int | None:
        """How many attributes the dataset gives; None where only the attribute file can tell."""
        if self.attribute_file is None:
            return 0
        return None if self.attributes is None else len(self.attributes)


def dataset_ports(*, classes: int | None, attributes: int | None, windows: WindowOptions | None = None) -> Ports:
    """Return the ports of a dataset.

    Args:
        classes: how many classes its masks have; 0 for photos without masks, None where only the files can tell.
        attributes: how many attributes it has; 0 for none, None where only the files can tell.
        windows: how it is cut into windows; None for whole photos.
    """
    gives: list[Port] = [IMAGE]
    if classes != 0:
        gives.append(MASK if classes is None else replace(MASK, classes=classes))
    if attributes != 0:
        gives.append(ATTRIBUTES if attributes is None else replace(ATTRIBUTES, shape=("batch", attributes)))
    return Ports(gives=(*gives, HOLE) if windows else tuple(gives))


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
    spans = sorted((span.start, span.stop - 1, split) for split, ranges in splits.items() for span in ranges)
    for (_, last, split), (first, _, other) in pairwise(spans):
        if first <= last:
            sides = f"{split} and {other} share" if split != other else f"{split} names twice"
            raise ValueError(f"{sides} index {first}; no photo may be in two splits")


def select_attributes(known: Sequence[str], wanted: Sequence[str] | None, *, where: str) -> list[int]:
    """Return the columns of the wanted attributes, in their order; all of them for None.

    Raises:
        FacekitError: an attribute is not among the known ones.
    """
    for name in wanted or ():
        if name not in known:
            raise FacekitError(
                f"there is no attribute {name!r}, which the option `attributes` asks for",
                where=where,
                remedy=did_you_mean(name, known) or f"there are: {', '.join(known) or 'none'}",
            )
    return [known.index(name) for name in (known if wanted is None else wanted)]
