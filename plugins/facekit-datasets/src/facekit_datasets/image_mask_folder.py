"""The dataset ``image_mask_folder``: photos in one folder, class-id masks of the same names in another."""

from __future__ import annotations

from pathlib import Path

from pydantic import model_validator

from facekit.interfaces import DatasetContext, FaceDataset, PortContext, Ports
from facekit_datasets.options import DerivedOptions, PhotoFolderOptions, dataset_ports


class ImageMaskFolderOptions(DerivedOptions, PhotoFolderOptions):
    """Options of ``image_mask_folder``."""

    photos: Path = Path("photos")
    """Folder of the photos (JPEG, PNG, WebP, BMP, TIFF), in ``root``; subfolders are read as well."""
    masks: Path = Path("masks")
    """Folder of the masks, in ``root``: for each photo a PNG of the same name, indexed or greyscale, one id a pixel."""
    label_map: str = "celebamask_hq"
    """What the ids mean: the name of a label map that a plugin offers."""

    @model_validator(mode="after")
    def _consistent(self) -> ImageMaskFolderOptions:
        self.require_derived(self.attributes)
        return self

    @property
    def attribute_count(self) -> int | None:
        """How many attributes the dataset gives; None where only the attribute file can tell."""
        return len(self.derived_names) if self.attribute_file is None else super().attribute_count


def ports(options: ImageMaskFolderOptions, context: PortContext) -> Ports:
    """Return what the dataset gives; how many attributes there are is known only when they are chosen."""
    label_map = context.label_maps.get(options.label_map)
    classes = None if label_map is None else len(label_map)
    return dataset_ports(classes=classes, attributes=options.attribute_count, windows=options.windows)


def create(options: ImageMaskFolderOptions, context: DatasetContext) -> FaceDataset:
    """Open the dataset. Raises FacekitError as :class:`~facekit_datasets.folders.ImageMaskFolder`."""
    from facekit_datasets.folders import ImageMaskFolder

    return options.cut(ImageMaskFolder(options, context.label_maps))
