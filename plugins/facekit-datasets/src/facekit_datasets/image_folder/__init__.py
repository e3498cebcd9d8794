"""The dataset ``image_folder``: any folder of photos, without masks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from facekit.interfaces import DatasetContext, PortContext, Ports
from facekit_datasets.folder_options import PhotoFolderOptions
from facekit_datasets.ports import dataset_ports

if TYPE_CHECKING:
    from facekit_datasets.image_folder.dataset import ImageFolder


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


def create(options: ImageFolderOptions, context: DatasetContext) -> ImageFolder:
    """Open the dataset.

    Raises:
        FacekitError: what :class:`ImageFolder` raises.
    """
    from facekit_datasets.image_folder.dataset import ImageFolder

    return ImageFolder(options)
