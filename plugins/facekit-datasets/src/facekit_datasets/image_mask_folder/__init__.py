"""The dataset ``image_mask_folder``: photos in one folder, class-id masks of the same names in another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from facekit.interfaces import DatasetContext, Options, PortContext, Ports
from facekit_datasets.ports import dataset_ports
from facekit_datasets.splitting import refuse_repeats

if TYPE_CHECKING:
    from facekit_datasets.image_mask_folder.dataset import ImageMaskFolder

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


class ImageMaskFolderOptions(Options):
    """Options of ``image_mask_folder``."""

    root: Path
    """The folder that the other paths are in."""
    photos: Path = Path("photos")
    """Folder of the photos (JPEG, PNG, WebP, BMP, TIFF), in ``root``; subfolders are read as well."""
    masks: Path = Path("masks")
    """Folder of the masks, in ``root``: for each photo a PNG of the same name, indexed or greyscale, one id a pixel."""
    label_map: str = "celebamask_hq"
    """What the ids mean: the name of a label map that a plugin offers."""
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


def ports(options: ImageMaskFolderOptions, context: PortContext) -> Ports:
    """Return what the dataset gives; how many attributes there are is known only when they are chosen."""
    label_map = context.label_maps.get(options.label_map)
    attributes: int | None = 0
    if options.attribute_file is not None:
        attributes = None if options.attributes is None else len(options.attributes)
    return dataset_ports(classes=None if label_map is None else len(label_map), attributes=attributes)


def create(options: ImageMaskFolderOptions, context: DatasetContext) -> ImageMaskFolder:
    """Open the dataset.

    Raises:
        FacekitError: what :class:`ImageMaskFolder` raises, or no plugin offers the label map.
    """
    from facekit_datasets.image_mask_folder.dataset import ImageMaskFolder

    return ImageMaskFolder(options, context.label_maps)
