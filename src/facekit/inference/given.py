"""What people give for an image: read from words, held against what the run reads, and put into a condition."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from facekit.data.geometry import same_aspect
from facekit.inference.networks import InferenceNetworks
from facekit.inference.pictures import Batch
from facekit.interfaces import DISCRIMINATOR, Condition, FacekitError, Generated, Reference, did_you_mean
from facekit.sampling.inputs import ATTRIBUTES, MASK, REFERENCE, REFERENCE_MASK, SOURCE, SamplingInputs

_WORDS = {
    SOURCE: "a source photo",
    MASK: "a mask",
    REFERENCE: "a reference photo",
    REFERENCE_MASK: "the reference's own mask",
    ATTRIBUTES: "the wanted attributes",
}
"""What people give, in the order in which sentences name it."""

_SWITCHES = {"1": True, "on": True, "true": True, "yes": True, "0": False, "off": False, "false": False, "no": False}

REGION_OPTION, REGION_MASK_OPTION = "--region-reference", "--region-reference-mask"

_PLURALS = {SOURCE: "source photos", MASK: "masks", REFERENCE: "references", ATTRIBUTES: "rows of attributes"}


def check_given(inputs: SamplingInputs, given: Collection[str], *, where: str) -> None:
    """Check that everything is given that a run needs, and nothing that it does not read.

    Args:
        inputs: what the run reads.
        given: what there is, by the names of :mod:`facekit.sampling.inputs`.
        where: the run, for messages.

    Raises:
        FacekitError: naming what is missing or not taken, and what the run needs.
    """
    refused = [name for name in _WORDS if name in given and not inputs.reads(name)]
    if refused:
        raise FacekitError(
            f"this run reads no {' and no '.join(_bare(name) for name in refused)}; {needs_of(inputs)}",
            where=where,
            remedy=f"leave out {_arguments(refused)}",
        )
    missing = [name for name in _WORDS if name in inputs.needed and name not in given]
    if missing == [REFERENCE_MASK]:
        raise FacekitError(
            "this run reads a reference with its mask, so a reference travels with its own mask, which is not given",
            where=where,
            remedy=f"give {_arguments(missing)}: the class ids of the reference photo, not the mask of the result, "
            "whose regions lie elsewhere",
        )
    if missing:
        are = "is" if len(missing) == 1 and missing != [ATTRIBUTES] else "are"
        raise FacekitError(
            f"this run needs {_listed(_WORDS[name] for name in missing)}, which {are} not given",
            where=where,
            remedy=f"give {_arguments(missing)}",
        )
    if REFERENCE_MASK in given and REFERENCE not in given:
        raise FacekitError(
            "there is a reference mask without a reference", where=where, remedy=f"give {_arguments([REFERENCE])}"
        )
    if inputs.own:
        raise FacekitError(
            f"this run also reads {', '.join(inputs.own)}, which its model family knows and facekit does not",
            where=where,
            remedy="use the family's own command, or in Python pipeline.networks.sample(condition.with_(...))",
        )


def needs_of(inputs: SamplingInputs) -> str:
    """Return what a run needs as the end of a sentence: ``it needs a mask and a reference photo``."""
    needed = [words for name, words in _WORDS.items() if name in inputs.needed] + list(inputs.own)
    if needed:
        return f"it needs {_listed(needed)}"
    return "it starts from noise alone" if inputs.noise else "it needs nothing"


def _bare(name: str) -> str:
    return _WORDS[name].removeprefix("a ").removeprefix("the ").replace("reference's own mask", "reference mask")


def _arguments(names: Iterable[str]) -> str:
    """Return the names of arguments as Python and the command line have them."""
    options = {name: f"--{'attribute' if name == ATTRIBUTES else name.replace('_', '-')}" for name in _WORDS}
    return ", ".join(f"{name} ({options[name]})" for name in names)


def _listed(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


@dataclass(frozen=True)
class RegionReference:
    """A photo whose style some regions have, and its own mask; one of each."""

    regions: tuple[str, ...]
    photo: Batch
    mask: Batch


def check_shows(region: str, shown: bool, *, where: str) -> None:
    """Raise FacekitError where a reference for a region does not show it."""
    if not shown:
        raise FacekitError(
            f"the reference for the region {region} does not show it: its mask has no such pixel",
            where=where,
            remedy="take a photo that shows the region, or leave the region out",
        )


@dataclass(frozen=True)
class Given:
    """What images are generated from, at the size of the run. Of everything there is one, or as many as there are
    images.

    Args:
        mask: the geometry.
        reference, reference_mask: the photos whose style is wanted, and their own masks.
        source: the photos that are changed.
        attributes: (N, A) in {0, 1}.
        region_references: photos whose style some regions have, the same for all images.

    Raises:
        FacekitError: numbers do not fit each other, or a reference mask is not the mask of its photo.
    """

    mask: Batch | None = None
    reference: Batch | None = None
    reference_mask: Batch | None = None
    source: Batch | None = None
    attributes: Tensor | None = None
    region_references: tuple[RegionReference, ...] = ()

    def __post_init__(self) -> None:
        several = {name: count for name, count in self._counts().items() if count != 1}
        if len(set(several.values())) > 1:
            first, one = next(iter(several.items()))
            second, other = next((name, count) for name, count in several.items() if count != one)
            raise FacekitError(
                f"{one} {_PLURALS[first]} cannot be paired with {other} {_PLURALS[second]}",
                remedy="give as many, or one of the two",
            )
        photos, masks = self.reference, self.reference_mask
        if photos is None or masks is None:
            return
        if len(photos) != len(masks):
            raise FacekitError(f"{len(photos)} references have {len(masks)} masks; each has its own")
        for photo_size, mask_size, name in zip(photos.sizes, masks.sizes, masks.names, strict=True):
            if not same_aspect(photo_size, mask_size):
                raise FacekitError(
                    f"the mask is {mask_size[1]}x{mask_size[0]} and its photo {photo_size[1]}x{photo_size[0]}: "
                    "one is not the mask of the other",
                    where=name,
                    remedy="a reference mask may differ from its photo in size, not in aspect",
                )

    def _counts(self) -> dict[str, int]:
        parts = {MASK: self.mask, REFERENCE: self.reference, SOURCE: self.source, ATTRIBUTES: self.attributes}
        return {name: len(part) for name, part in parts.items() if part is not None}

    def __len__(self) -> int:
        """How many images it is for."""
        return max(self._counts().values(), default=1)

    @property
    def single(self) -> bool:
        """Whether one picture of each kind was given, rather than batches or lists."""
        return all(part.single for part in (self.mask, self.reference, self.source) if part is not None)

    def condition(self, part: slice) -> Condition:
        """Return the condition of some of the images; what there is one of has one sample."""

        def cut(given: Batch | Tensor | None) -> Tensor | None:
            tensor = given.tensor if isinstance(given, Batch) else given
            return tensor if tensor is None or len(tensor) == 1 else tensor[part]

        photos = cut(self.reference)
        return Condition(
            mask=cut(self.mask),
            reference=None if photos is None else Reference(photos, cut(self.reference_mask)),
            attributes=cut(self.attributes),
            source_image=cut(self.source),
        )


def joined(parts: Sequence[Given], shared: Collection[str]) -> Given:
    """Return what single images are generated from as one batch; the fields ``shared`` are the same for all."""
    first = parts[0]
    changes: dict[str, Batch | Tensor] = {}
    for name in (MASK, REFERENCE, REFERENCE_MASK, SOURCE):
        if getattr(first, name) is not None and name not in shared:
            changes[name] = Batch.joined([getattr(part, name) for part in parts])
    if first.attributes is not None:
        changes["attributes"] = torch.cat([part.attributes for part in parts if part.attributes is not None])
    return replace(first, **changes)  # type: ignore[arg-type]


def check_attributes(names: Iterable[str], known: Sequence[str], *, where: str) -> None:
    """Raise FacekitError where one of some attributes is not one that the run knows."""
    for name in names:
        if name not in known:
            raise FacekitError(
                f"this run does not know the attribute {name!r}",
                where=where,
                remedy=did_you_mean(name, known) or f"it knows {', '.join(known)}",
            )


def target_attributes(
    wanted: Mapping[str, bool] | Tensor,
    known: Sequence[str],
    *,
    photos: Batch | None,
    networks: InferenceNetworks,
    batch: int,
    where: str,
) -> Tensor:
    """Return all attributes (N, A) in {0, 1} that images are to have.

    Args:
        wanted: those that are given by name; or all of them, (A,) or (N, A).
        known: the attributes of the run, in order.
        photos: the source photos; attributes that are not named stay as the discriminator reads them off these.
        batch: most photos to look at at once.
        where: the run, for messages.

    Raises:
        FacekitError: an attribute is not one of the run's, or one is not given and cannot be read off a photo.
    """
    if isinstance(wanted, Tensor):
        rows = wanted.detach().float()
        rows = rows[None] if rows.dim() == 1 else rows
        if rows.dim() != 2 or rows.shape[1] != len(known) or not len(rows):
            raise FacekitError(
                f"attributes of the shape {tuple(wanted.shape)} do not fit the run's {len(known)}",
                where=where,
                remedy=f"give (A,) or (N, A) in the order {', '.join(known)}",
            )
        return rows
    check_attributes(wanted, known, where=where)
    found = torch.zeros(1, len(known))
    if missing := [name for name in known if name not in wanted]:
        logits: list[Tensor | None] = [None]
        if photos is not None and DISCRIMINATOR in networks:
            parts = photos.tensor.split(batch)
            logits = [
                networks.discriminate(Generated(each), Condition(source_image=each)).class_logits for each in parts
            ]
        read = [(each > 0).float() for each in logits if each is not None]
        if not read:
            raise FacekitError(
                "this run cannot tell which attributes a photo has, so all must be given; missing: "
                f"{', '.join(missing)}",
                where=where,
                remedy=f"add {' '.join(f'--attribute {name}=0' for name in missing)}, or =1",
            )
        found = torch.cat(read)
    for name, value in wanted.items():
        found[:, known.index(name)] = float(value)
    return found


def parse_attributes(texts: Sequence[str]) -> dict[str, bool]:
    """Return wanted attributes from texts such as ``Smiling=1`` and ``Male=off``.

    Raises:
        FacekitError: a text is of another form, or two want the opposite.
    """
    found: dict[str, bool] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not name or not equals or value.lower() not in _SWITCHES:
            raise FacekitError(
                f"{text!r} does not say what is wanted",
                where="--attribute",
                remedy="write NAME=1 to give an attribute, NAME=0 to take it away (on and off will do)",
            )
        wanted = _SWITCHES[value.lower()]
        if found.setdefault(name, wanted) != wanted:
            raise FacekitError(f"{name} is wanted both on and off", where="--attribute")
    return found


def parse_region_references(photos: Sequence[str], masks: Sequence[str]) -> dict[str, tuple[Path, Path]]:
    """Return photo and mask by region from texts such as ``hair=other.jpg``, or ``u_lip,l_lip=other.jpg``.

    Args:
        photos: REGION=PHOTO.
        masks: REGION=MASK, of as many regions.

    Raises:
        FacekitError: a text is of another form, a region is named twice, or it has a photo or a mask alone.
    """
    found: dict[str, dict[str, Path]] = {REGION_OPTION: {}, REGION_MASK_OPTION: {}}
    for option, texts, what in ((REGION_OPTION, photos, "PHOTO"), (REGION_MASK_OPTION, masks, "MASK")):
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
                if region in found[option]:
                    raise FacekitError(f"the region {region} is given twice", where=option)
                found[option][region] = Path(file)
    of_photos, of_masks = found.values()
    for region in of_photos.keys() ^ of_masks.keys():
        given, missing = (REGION_OPTION, REGION_MASK_OPTION)[:: 1 if region in of_photos else -1]
        raise FacekitError(
            f"the region {region} has {given} without {missing}",
            where=given,
            remedy="a reference travels with its own mask: give both for the same regions",
        )
    return {region: (photo, of_masks[region]) for region, photo in of_photos.items()}
