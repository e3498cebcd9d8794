"""The dataset ``image_folder``: any folder of photos, without masks."""

from __future__ import annotations

from pathlib import Path

from facekit.interfaces import DatasetContext, FaceDataset, PortContext, Ports
from facekit_datasets.options import PhotoFolderOptions, dataset_ports


class ImageFolderOptions(PhotoFolderOptions):
    """Options of ``image_folder``."""

    root: Path
    """The folder of the photos; the other paths are in it."""
    photos: Path = Path()
    """Folder of the photos (JPEG, PNG, WebP, BMP, TIFF), in ``root``; ``root`` itself when left out. Subfolders are
    read as well, but for hidden ones."""


def ports(options: ImageFolderOptions, context: PortContext) -> Ports:
    """Return what the dataset gives: no masks; how many attributes there are is known only when they are chosen."""
    return dataset_ports(classes=0, attributes=options.attribute_count)


def create(options: ImageFolderOptions, context: DatasetContext) -> FaceDataset:
    """Open the dataset. Raises FacekitError as :class:`~facekit_datasets.folders.ImageFolder`."""
    from facekit_datasets.folders import ImageFolder

    return ImageFolder(options)
