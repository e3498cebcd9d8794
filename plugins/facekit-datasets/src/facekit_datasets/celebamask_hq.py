"""The dataset ``celebamask_hq``: CelebAMask-HQ in the layout its authors hand out.

Lee, Liu, Wu, Luo: MaskGAN: Towards Diverse and Interactive Facial Image Manipulation, CVPR 2020. The data set is for
non-commercial research and education and must be requested from its authors.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema, model_validator

from facekit.interfaces import DatasetContext, FaceDataset, PortContext, Ports
from facekit_datasets.label_maps import CELEBAMASK_HQ, choose_label_map
from facekit_datasets.options import AttributeNames, DerivedOptions, dataset_ports, parse_ranges, refuse_overlaps


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _is_ranges(text: str) -> str:
    parse_ranges(text)
    return text


Ranges = Annotated[
    str,
    BeforeValidator(_as_text),
    AfterValidator(_is_ranges),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer", "minimum": 0}]}),
]
"""Ranges of photo numbers, both ends included: ``0-399``, or ``0-99,200-249``; empty for none."""


class CelebAMaskHQOptions(DerivedOptions):
    """Options of ``celebamask_hq``."""

    root: Path
    """The folder that holds ``CelebA-HQ-img`` and ``CelebAMask-HQ-mask-anno``."""
    annotation: Literal["auto", "parts", "merged"] = "auto"
    """``parts`` merges the raw annotation of each part; ``merged`` reads id masks ``CelebAMask-HQ-mask/N.png``;
    ``auto`` takes merged masks where that folder is there."""
    split: Literal["auto", "official", "by_index"] = "auto"
    """``official`` follows CelebA's split by ``CelebA-HQ-to-CelebA-mapping.txt``; ``by_index`` takes the ranges below;
    ``auto`` is official where the mapping file is there."""
    train: Ranges = "0-399"
    """``by_index``: numbers of the training photos."""
    validation: Ranges = "400-449"
    """``by_index``: numbers of the validation photos."""
    test: Ranges = "450-499"
    """``by_index``: numbers of the test photos."""
    extra: Ranges = "500-899"
    """``by_index``: numbers of the photos for training evaluation networks only."""
    attributes: AttributeNames = None
    """Attributes to give, in this order; all columns of the attribute file, and those read off masks, when left out;
    none for ``[]``."""
    sides: Literal["repair", "keep"] = "repair"
    """``repair`` exchanges left and right (eyes, brows, ears) where the annotators put them on each other's side, which
    is so in 7 of 100 photos; ``keep`` reads the annotation as it is."""
    label_map: str = CELEBAMASK_HQ.name
    """The label map of the masks: `celebamask_hq`, or a merged form of it that a plugin offers, such as
    `celebamask_hq_merged`."""

    @model_validator(mode="after")
    def _consistent(self) -> CelebAMaskHQOptions:
        refuse_overlaps(self.ranges())
        self.require_derived(self.attributes)
        return self

    def ranges(self) -> dict[str, tuple[range, ...]]:
        """Return the ranges of ``by_index`` by split."""
        return {split: parse_ranges(getattr(self, split)) for split in ("train", "validation", "test", "extra")}


def ports(options: CelebAMaskHQOptions, context: PortContext) -> Ports:
    """Return what the dataset gives; how many attributes there are is known only when they are chosen."""
    classes = len(choose_label_map(options.label_map, context.label_maps))
    chosen = None if options.attributes is None else len(options.attributes)
    return dataset_ports(classes=classes, attributes=chosen, windows=options.windows)


def create(options: CelebAMaskHQOptions, context: DatasetContext) -> FaceDataset:
    """Open the dataset. Raises FacekitError as :class:`~facekit_datasets.celeba.CelebAMaskHQ`."""
    from facekit_datasets.celeba import CelebAMaskHQ

    return options.cut(CelebAMaskHQ(options, context.label_maps))
