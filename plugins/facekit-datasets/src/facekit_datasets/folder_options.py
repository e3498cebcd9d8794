"""The options that folders of photos have in common. Imports no numpy: recipes are checked by it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from facekit.interfaces import Options
from facekit_datasets.splitting import refuse_repeats

Split = Literal["train", "validation", "test", "extra"]


def _default_fractions() -> dict[Split, float]:
    return {"train": 0.8, "validation": 0.1, "test": 0.1}


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


class PhotoFolderOptions(Options):
    """Options of every dataset that reads a folder of photos."""

    root: Path
    """The folder that the other paths are in."""
    photos: Path
    """Folder of the photos (JPEG, PNG, WebP, BMP, TIFF), in ``root``; subfolders are read as well."""
    attribute_file: Path | None = None
    """A CSV file in ``root``: a column ``key`` (the photo's name without its ending), then one column of 0 and 1 for
    each attribute. No attributes when left out."""
    attributes: Annotated[tuple[str, ...] | None, AfterValidator(refuse_repeats)] = None
    """Attributes to give, in this order; all columns of the attribute file when left out."""
    fractions: Annotated[dict[Split, float], AfterValidator(_fractions)] = Field(default_factory=_default_fractions)
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
