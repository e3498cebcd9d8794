"""Where trained evaluators are kept: a folder each, named by what it was made of."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from facekit.faces.copies import THUMBNAIL_SIDE
from facekit.interfaces import FacekitError, LabelClass, LabelMap, cache_folder, did_you_mean

from .options import AUTO, NEWEST
from .seen import LearnedFrom

WEIGHTS, CARD, LEARNED_FROM = "weights.safetensors", "evaluator.json", "learned_from.safetensors"
FORMAT = 2
THUMBNAILS = "thumbnails"

SEGMENTER, ATTRIBUTES = "segmenter", "attributes"
"""The kinds of evaluators; the recipes that train them have the same names."""

_AGAIN = "train it again: see `facekit evaluator add --help`"
_SPOKEN = {SEGMENTER: "segmenter", ATTRIBUTES: "attribute classifier"}


_AS_THEY_ARE = ("kind", "id", "settings", "data", "accuracy")
"""Fields that stand in an evaluator's card as they are."""


@dataclass(frozen=True)
class KeptEvaluator:
    """A trained evaluator on disk.

    Args:
        kind: ``segmenter`` or ``attributes``.
        id: the beginning of a hash of its weights and of the photos it learned from.
        label_map: the classes it tells apart; of an attribute classifier, those of the data it learned from.
        attributes: the attributes it tells; none for a segmenter.
        settings: how it was trained.
        data: the dataset components, and how many photos it learned from and was tested on.
        accuracy: its own figures on photos it did not learn from.
        made: when, in seconds since 1970.
        folder: where.
        weights_sha256: of its weight file.
    """

    kind: str
    id: str
    label_map: LabelMap
    attributes: tuple[str, ...]
    settings: Mapping[str, Any]
    data: Mapping[str, Any]
    accuracy: Mapping[str, float]
    made: float
    folder: Path = Path()
    weights_sha256: str = ""

    @property
    def provenance(self) -> str:
        """Its id and the hash of its weights."""
        return f"{self.kind} {self.id}, weights sha256 {self.weights_sha256[:16]}"

    @property
    def own_accuracy(self) -> str:
        """Its own figures on photos that it did not learn from, in a sentence."""
        figures = self.accuracy
        told = (
            f"pixel accuracy {figures['pixel_accuracy']:.2%}, mean IoU {figures['mean_iou']:.3f}"
            if self.kind == SEGMENTER
            else f"accuracy {figures['accuracy']:.2%}, balanced {figures['balanced_accuracy']:.2%}, "
            f"means over {len(self.attributes)} attributes"
        )
        return f"on {self.data['tested_on']} photos it did not learn from: {told}"

    @property
    def datasets(self) -> tuple[str, ...]:
        """The ids of the dataset components it learned from."""
        return tuple(str(self.data["dataset"]).split(", "))


def folder_of_evaluators() -> Path:
    """Return the folder that holds all evaluators."""
    return cache_folder() / "evaluators"


def identity(**made_of: Any) -> str:
    """Return the id of an evaluator that is made of these."""
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:12]


def kept_evaluators(kind: str | None = None) -> list[KeptEvaluator]:
    """Return the evaluators that are there, the newest first; folders that are no whole evaluators are passed over."""
    found = [_read(card.parent) for card in sorted(folder_of_evaluators().glob(f"*/{CARD}"))]
    return sorted((each for each in found if kind in (None, each.kind)), key=lambda each: each.made, reverse=True)


def kept_evaluator(kind: str, evaluator_id: str) -> KeptEvaluator | None:
    """Return the evaluator of an id, where it is there."""
    return next((evaluator for evaluator in kept_evaluators(kind) if evaluator.id == evaluator_id), None)


def find(
    kind: str,
    name: str,
    *,
    label_map: str | None = None,
    dataset: str = "",
    attributes: Sequence[str] = (),
) -> KeptEvaluator:
    """Return an evaluator by id or folder, or the newest that fits.

    Args:
        kind: ``segmenter`` or ``attributes``.
        name: its id, its folder, or ``newest`` (``auto`` is another word for it).
        label_map: only one for this label map; None for any.
        dataset: of the newest: only one that learned from this dataset component; empty for any.
        attributes: what it must tell, whatever its name.

    Raises:
        FacekitError: there is none, or it is of another kind or does not tell an attribute; the message says how to
            train one.
    """
    newest = name in (NEWEST, AUTO)
    if not newest and ("/" in name or Path(name).is_dir()):
        return _telling(_read(Path(name).expanduser()), kind, attributes)
    evaluators = [each for each in kept_evaluators(kind) if label_map is None or each.label_map.name == label_map]
    for each in evaluators:
        if newest and (not dataset or dataset in each.datasets) and set(attributes) <= set(each.attributes):
            return each
        if each.id == name:
            return _telling(each, kind, attributes)
    limits = [
        "" if newest else f" {name!r}",
        f" for the label map {label_map}" if label_map else "",
        f" that learned from {dataset}" if dataset and newest else "",
        f" that tells {', '.join(attributes)}" if attributes else "",
    ]
    photos = dataset.partition("/")[2] or ("celebamask_hq" if kind == SEGMENTER else "celeba_attributes")
    hint = None if newest else did_you_mean(name, [evaluator.id for evaluator in evaluators])
    raise FacekitError(
        f"there is no {_SPOKEN[kind]}{''.join(limits)}",
        where=str(folder_of_evaluators()),
        remedy=hint
        or f"train one: `facekit run evaluators/{kind} --set 'data.of=[{{use: {photos}, root: DATA}}]'`, then `facekit "
        "evaluator add RUN`; or name one of `facekit evaluator ls` in `evaluator:`",
    )


def _telling(evaluator: KeptEvaluator, kind: str, attributes: Sequence[str]) -> KeptEvaluator:
    """Check that an evaluator is of a kind and tells what it is asked for."""
    if evaluator.kind != kind:
        raise FacekitError(
            f"this evaluator is of the kind {evaluator.kind}, not {kind}",
            where=str(evaluator.folder),
            remedy="name another",
        )
    missing = [name for name in attributes if name not in evaluator.attributes]
    if missing:
        raise FacekitError(
            f"the evaluator {evaluator.id} does not tell {', '.join(missing)}",
            where="evaluator",
            remedy=f"it tells {', '.join(evaluator.attributes)}; train another: `facekit run evaluators/{kind}`",
        )
    return evaluator


def save(evaluator: KeptEvaluator, state: Mapping[str, Tensor], learned_from: Tensor) -> KeptEvaluator:
    """Keep a trained evaluator; its folder is written beside and renamed, so that it is whole or not there.

    Args:
        evaluator: what is known of it, but for its folder and the hash of its weights, which are returned with it.
        state: its weights by name.
        learned_from: the thumbnails (N, 3, 32, 32) of the photos it learned from.

    Raises:
        FacekitError: it cannot be written.
    """
    from safetensors.torch import save_file

    label_map, target = evaluator.label_map, folder_of_evaluators() / f"{evaluator.kind}-{evaluator.id}"
    try:
        folder_of_evaluators().mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=folder_of_evaluators()))
        try:
            save_file({name: value.detach().cpu().contiguous() for name, value in state.items()}, beside / WEIGHTS)
            save_file({THUMBNAILS: learned_from.contiguous()}, beside / LEARNED_FROM)
            card = {
                "format": FORMAT,
                **{name: getattr(evaluator, name) for name in (*_AS_THEY_ARE, "attributes", "made")},
                "label_map": {
                    "name": label_map.name,
                    "classes": [[entry.name, list(entry.colour)] for entry in label_map.classes],
                    "mirrored": label_map.mirrored,
                },
                "weights_sha256": _sha256(beside / WEIGHTS),
            }
            (beside / CARD).write_text(json.dumps(card, indent=1), encoding="utf-8")
            if target.exists():
                shutil.rmtree(target)
            beside.rename(target)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise FacekitError(f"the evaluator cannot be written: {error}", where=str(target)) from error
    return _read(target)


def load_weights(evaluator: KeptEvaluator, network: nn.Module) -> None:
    """Load an evaluator's weights into its network.

    Raises:
        FacekitError: the file is damaged, or belongs to another network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file = evaluator.folder / WEIGHTS
    try:
        if _sha256(file) != evaluator.weights_sha256:
            raise FacekitError("the weights are not those that were written", where=str(file), remedy=_AGAIN)
        network.load_state_dict(load_file(file))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise FacekitError(
            f"the weights of the evaluator cannot be read: {error}", where=str(file), remedy=_AGAIN
        ) from error


def learned_from(evaluator: KeptEvaluator) -> LearnedFrom:
    """Return the photos an evaluator learned from.

    Raises:
        FacekitError: the list is missing or damaged, or of an older facekit.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file = evaluator.folder / LEARNED_FROM
    try:
        known = load_file(file)[THUMBNAILS]
    except (OSError, SafetensorError, KeyError) as error:
        raise FacekitError(
            f"the list of photos that this evaluator learned from cannot be read: {error}",
            where=str(file),
            remedy=_AGAIN,
        ) from error
    if known.shape[1:] != (3, THUMBNAIL_SIDE, THUMBNAIL_SIDE):
        raise FacekitError(
            f"the photos that this evaluator learned from are kept at {known.shape[-1]} x {known.shape[-1]} places, "
            "which is too coarse to know them in other tones",
            where=str(file),
            remedy=_AGAIN,
        )
    return LearnedFrom(known, f"{evaluator.kind} {evaluator.id}")


def _read(folder: Path) -> KeptEvaluator:
    file = folder / CARD
    try:
        card = json.loads(file.read_text(encoding="utf-8"))
        if card["format"] != FORMAT:
            raise ValueError(f"it is of format {card['format']}, not {FORMAT}")
        label_map = card["label_map"]
        return KeptEvaluator(
            folder=folder,
            label_map=LabelMap(
                name=label_map["name"],
                classes=tuple(LabelClass(name, tuple(colour)) for name, colour in label_map["classes"]),
                mirrored=tuple((left, right) for left, right in label_map["mirrored"]),
            ),
            attributes=tuple(card.get("attributes", ())),
            made=float(card["made"]),
            **{name: card[name] for name in (*_AS_THEY_ARE, "weights_sha256")},
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FacekitError(
            f"this is no whole evaluator: {type(error).__name__}: {error}",
            where=str(file),
            remedy=f"remove the folder and {_AGAIN}",
        ) from error


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
