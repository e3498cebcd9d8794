"""What people give for an image: held against what the run reads, and put into a condition."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from facekit.data.geometry import same_aspect
from facekit.inference.pictures import Batch
from facekit.inference.region_references import RegionReference
from facekit.interfaces import Condition, FacekitError, Reference
from facekit.sampling.inputs import ATTRIBUTES, MASK, REFERENCE, REFERENCE_MASK, SOURCE, SamplingInputs

_WORDS = {
    SOURCE: "a source photo",
    MASK: "a mask",
    REFERENCE: "a reference photo",
    REFERENCE_MASK: "the reference's own mask",
    ATTRIBUTES: "the wanted attributes",
}
"""What people give, in the order in which sentences name it."""

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
class Given:
    """What images are generated from, at the size of the run, on the CPU. Of everything there is one, or as many as
    there are images.

    Args:
        mask: the geometry.
        reference: the photos whose style is wanted.
        reference_mask: their own masks, one each.
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
            (first, one), (second, other) = [
                next((name, count) for name, count in several.items() if count == wanted)
                for wanted in list(dict.fromkeys(several.values()))[:2]
            ]
            raise FacekitError(
                f"{one} {_PLURALS[first]} cannot be paired with {other} {_PLURALS[second]}",
                remedy="give as many, or one of the two",
            )
        if self.reference is not None and self.reference_mask is not None:
            _check_masks(self.reference, self.reference_mask)

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

        def cut(tensor: Tensor | None) -> Tensor | None:
            return tensor if tensor is None or len(tensor) == 1 else tensor[part]

        def pictures(batch: Batch | None) -> Tensor | None:
            return None if batch is None else cut(batch.tensor)

        photos = pictures(self.reference)
        reference = None if photos is None else Reference(photos, pictures(self.reference_mask))
        return Condition(
            mask=pictures(self.mask),
            reference=reference,
            attributes=cut(self.attributes),
            source_image=pictures(self.source),
        )


def joined(parts: list[Given], shared: Collection[str]) -> Given:
    """Return what single images are generated from as one batch.

    Args:
        parts: one entry an image.
        shared: the fields that are the same for all; they are kept once.
    """
    first = parts[0]
    changes: dict[str, Batch | Tensor] = {}
    for name in ("mask", "reference", "reference_mask", "source"):
        if getattr(first, name) is not None and name not in shared:
            changes[name] = Batch.joined([getattr(part, name) for part in parts])
    if first.attributes is not None:
        changes["attributes"] = torch.cat([part.attributes for part in parts if part.attributes is not None])
    return replace(first, **changes)  # type: ignore[arg-type]


def _check_masks(photos: Batch, masks: Batch) -> None:
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
