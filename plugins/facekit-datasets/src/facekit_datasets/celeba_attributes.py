"""The dataset ``celeba_attributes``: CelebA's aligned photos with their 40 attributes and without masks.

Liu, Luo, Wang, Tang: Deep Learning Face Attributes in the Wild, ICCV 2015. The data set is for non-commercial research.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from facekit.interfaces import DatasetContext, FaceDataset, Options, PortContext, Ports
from facekit_datasets.options import AttributeNames, dataset_ports

Share = Annotated[float, Field(ge=0, le=1)]


class CelebAAttributesOptions(Options):
    """Options of ``celeba_attributes``."""

    root: Path
    """The folder that holds ``img_align_celeba`` and ``list_attr_celeba.txt``."""
    split: Literal["auto", "official", "by_identity"] = "auto"
    """``official`` follows ``list_eval_partition.txt``; ``by_identity`` draws people by ``identity_CelebA.txt``;
    ``auto`` is official where that file is there. In neither is anybody on two sides."""
    validation: Share = 0.2
    """``by_identity``: share of the people whose photos are for validation."""
    test: Share = 0.0
    """``by_identity``: share of the people whose photos are for tests."""
    attributes: AttributeNames = None
    """Attributes to give, in this order; all columns of the attribute file when left out."""

    @model_validator(mode="after")
    def _leaves_some(self) -> CelebAAttributesOptions:
        if self.validation + self.test >= 1:
            raise ValueError("validation and test together must leave people to train on")
        return self


def ports(options: CelebAAttributesOptions, context: PortContext) -> Ports:
    """Return what the dataset gives: photos and attributes, and no masks."""
    return dataset_ports(classes=0, attributes=None if options.attributes is None else len(options.attributes))


def create(options: CelebAAttributesOptions, context: DatasetContext) -> FaceDataset:
    """Open the dataset. Raises FacekitError as :class:`~facekit_datasets.celeba.CelebAAttributes`."""
    from facekit_datasets.celeba import CelebAAttributes

    return CelebAAttributes(options)
