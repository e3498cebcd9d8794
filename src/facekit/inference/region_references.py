"""References of single regions: the hair of one photo, the lips of another, the rest of a third."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from facekit.inference.networks import InferenceNetworks
from facekit.inference.pictures import Batch, MaskInput, PhotoInput, read_photos
from facekit.interfaces import FacekitError, Style
from facekit.sampling.inputs import REFERENCE, REFERENCE_MASK, SamplingInputs

OPTION, MASK_OPTION = "--region-reference", "--region-reference-mask"
ROLE = "region_reference"


@dataclass(frozen=True)
class RegionReference:
    """A photo whose style some regions have.

    Args:
        regions: their names.
        photo: the photo, one.
        mask: its own mask.
    """

    regions: tuple[str, ...]
    photo: Batch
    mask: Batch


class Run(Protocol):
    """What is asked of a loaded run: a :class:`~facekit.inference.pipeline.FacePipeline`."""

    run: Path
    inputs: SamplingInputs
    networks: InferenceNetworks
    size: int

    def read_masks(self, mask: MaskInput, *, role: str) -> Batch:
        """Return masks as the model takes them."""
        ...


def read_region_references(
    pipeline: Run, given: Mapping[str, tuple[PhotoInput, MaskInput]]
) -> tuple[RegionReference, ...]:
    """Return references of regions as the networks take them, those of one photo together.

    Args:
        pipeline: the run.
        given: by the name of the region, a photo and its own mask.

    Raises:
        FacekitError: the run has no style of a reference to mix, its label map lacks a region, a reference does not
            show its region, or there is more than one photo for a region.
    """
    check_region_references(pipeline, list(given))
    read: dict[tuple[int, int], RegionReference] = {}
    for region, (photo, mask) in given.items():
        key = id(photo), id(mask)
        if key in read:
            same = read[key]
            one = RegionReference((*same.regions, region), same.photo, same.mask)
        else:
            photos = read_photos(photo, size=pipeline.size, role=f"{ROLE}[{region}]")
            one = RegionReference((region,), photos, pipeline.read_masks(mask, role=f"{ROLE}_mask[{region}]"))
        if (len(one.photo), len(one.mask)) != (1, 1):
            raise FacekitError(
                f"the region {region} has {len(one.photo)} photos with {len(one.mask)} masks; it takes one of each",
                where=f"{ROLE}[{region}]",
            )
        (number,) = pipeline.networks.regions([region])
        check_shows(region, bool((one.mask.tensor == number).any()), where=one.photo.names[0])
        read[key] = one
    return tuple(read.values())


def check_region_references(pipeline: Run, regions: Sequence[str]) -> None:
    """Raise FacekitError where a run cannot take the style of single regions from photos, or knows no such region."""
    if not regions:
        return
    inputs = pipeline.inputs
    if not (inputs.reads(REFERENCE) and inputs.reads(REFERENCE_MASK) and pipeline.networks.gives_styles):
        raise FacekitError(
            "this run has no style by region, so that single regions cannot have a reference of their own",
            where=str(pipeline.run),
            remedy=f"leave out region_references ({OPTION}), or take a run with a code for every region: "
            "`sft_pix2pixhd` and `sean` are such recipes",
        )
    pipeline.networks.regions(regions)


def check_shows(region: str, shown: bool, *, where: str) -> None:
    """Raise FacekitError where a reference for a region does not show it."""
    if not shown:
        raise FacekitError(
            f"the reference for the region {region} does not show it: its mask has no such pixel",
            where=where,
            remedy="take a photo that shows the region, or leave the region out",
        )


def with_regions(networks: InferenceNetworks, style: Style, references: Sequence[RegionReference]) -> Style:
    """Return a style in which some regions have the style of other photos.

    Raises:
        FacekitError: the style has one vector an image or a layer.
    """
    for reference in references:
        other = networks.encode(reference.photo.tensor, reference.mask.tensor)
        style = networks.mix(style, other, reference.regions)
    return style


def parse_region_references(photos: Sequence[str], masks: Sequence[str]) -> dict[str, tuple[Path, Path]]:
    """Return photo and mask by region from texts such as ``hair=other.jpg``, or ``u_lip,l_lip=other.jpg``.

    Args:
        photos: REGION=PHOTO.
        masks: REGION=MASK, of as many regions.

    Raises:
        FacekitError: a text is of another form, a region is named twice, or it has a photo or a mask alone.
    """
    found, own = _by_region(photos, OPTION, "PHOTO"), _by_region(masks, MASK_OPTION, "MASK")
    for region in found.keys() ^ own.keys():
        given, missing = (OPTION, MASK_OPTION) if region in found else (MASK_OPTION, OPTION)
        raise FacekitError(
            f"the region {region} has {given} without {missing}",
            where=given,
            remedy="a reference travels with its own mask: give both for the same regions",
        )
    return {region: (photo, own[region]) for region, photo in found.items()}


def _by_region(texts: Sequence[str], option: str, what: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for text in texts:
        names, equals, file = text.partition("=")
        regions = [name.strip() for name in names.split(",")]
        if not equals or not file.strip() or not all(regions):
            raise FacekitError(
                f"{text!r} does not say which region and which file",
                where=option,
                remedy=f"write REGION={what}, for several regions REGION,REGION={what}",
            )
        for region in regions:
            if region in found:
                raise FacekitError(f"the region {region} is given twice", where=option)
            found[region] = Path(file)
    return found
