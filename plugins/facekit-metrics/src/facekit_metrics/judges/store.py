"""Where trained judges are kept: a folder each, named by what it was made of."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from facekit.interfaces import FacekitError, LabelClass, LabelMap, cache_folder, did_you_mean

from .options import NEWEST

WEIGHTS, CARD = "weights.safetensors", "judge.json"
FORMAT = 1


@dataclass(frozen=True)
class KeptJudge:
    """A trained judge on disk.

    Args:
        folder: where.
        kind: ``segmenter``.
        id: the beginning of the hash of its data, settings and first weights.
        label_map: the classes it tells apart.
        settings: how it was trained.
        data: the dataset: its component, fingerprint and how many photos.
        accuracy: its own figures on photos it did not learn from.
        weights_sha256: of its weight file.
        made: when, in seconds since 1970.
    """

    folder: Path
    kind: str
    id: str
    label_map: LabelMap
    settings: Mapping[str, Any]
    data: Mapping[str, Any]
    accuracy: Mapping[str, float]
    weights_sha256: str
    made: float


def folder_of_judges() -> Path:
    """Return the folder that holds all judges."""
    return cache_folder() / "judges"


def identity(**made_of: Any) -> str:
    """Return the id of a judge that is made of these."""
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:12]


def kept_judges(kind: str | None = None) -> list[KeptJudge]:
    """Return the judges that are there, the newest first; folders that are no whole judges are passed over."""
    found = []
    for card in sorted(folder_of_judges().glob(f"*/{CARD}")):
        judge = _read(card.parent)
        if kind is None or judge.kind == kind:
            found.append(judge)
    return sorted(found, key=lambda judge: judge.made, reverse=True)


def find(kind: str, name: str, *, label_map: str | None = None) -> KeptJudge:
    """Return a judge by id or folder, or the newest.

    Raises:
        FacekitError: there is none, saying how to train one.
    """
    if name != NEWEST and ("/" in name or Path(name).is_dir()):
        return _read(Path(name).expanduser())
    judges = [judge for judge in kept_judges(kind) if label_map is None or judge.label_map.name == label_map]
    of_name = judges if name == NEWEST else [judge for judge in judges if judge.id == name]
    if of_name:
        return of_name[0]
    wanted = f"no {kind}" if name == NEWEST else f"no {kind} {name!r}"
    hint = did_you_mean(name, [judge.id for judge in judges]) if name != NEWEST else None
    raise FacekitError(
        f"there is {wanted}" + (f" for the label map {label_map}" if label_map else ""),
        where=str(folder_of_judges()),
        remedy=hint or f"train one: `facekit judge train {kind} celebamask_hq --set root=DATA`",
    )


def save(
    kind: str,
    judge_id: str,
    network: nn.Module,
    *,
    label_map: LabelMap,
    settings: Mapping[str, Any],
    data: Mapping[str, Any],
    accuracy: Mapping[str, float],
    made: float,
) -> KeptJudge:
    """Keep a trained judge; its folder is written beside and renamed, so that it is whole or not there.

    Raises:
        FacekitError: it cannot be written.
    """
    from safetensors.torch import save_file

    target = folder_of_judges() / f"{kind}-{judge_id}"
    try:
        folder_of_judges().mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=folder_of_judges()))
        try:
            state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
            save_file(state, beside / WEIGHTS)
            card = {
                "format": FORMAT,
                "kind": kind,
                "id": judge_id,
                "label_map": {
                    "name": label_map.name,
                    "classes": [[entry.name, list(entry.colour)] for entry in label_map.classes],
                    "mirrored": [list(pair) for pair in label_map.mirrored],
                },
                "settings": dict(settings),
                "data": dict(data),
                "accuracy": dict(accuracy),
                "weights_sha256": _sha256(beside / WEIGHTS),
                "made": made,
            }
            (beside / CARD).write_text(json.dumps(card, indent=1), encoding="utf-8")
            if target.exists():
                shutil.rmtree(target)
            beside.rename(target)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise FacekitError(f"the judge cannot be written: {error}", where=str(target)) from error
    return _read(target)


def load_weights(judge: KeptJudge, network: nn.Module) -> None:
    """Load a judge's weights into its network.

    Raises:
        FacekitError: the file is damaged, or belongs to another network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file = judge.folder / WEIGHTS
    again = "train it again with `facekit judge train`"
    try:
        if _sha256(file) != judge.weights_sha256:
            raise FacekitError("the weights are not those that were written", where=str(file), remedy=again)
        network.load_state_dict(load_file(file))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise FacekitError(
            f"the weights of the judge cannot be read: {error}", where=str(file), remedy=again
        ) from error


def _read(folder: Path) -> KeptJudge:
    file = folder / CARD
    try:
        card = json.loads(file.read_text(encoding="utf-8"))
        label_map = card["label_map"]
        return KeptJudge(
            folder=folder,
            kind=card["kind"],
            id=card["id"],
            label_map=LabelMap(
                name=label_map["name"],
                classes=tuple(LabelClass(name, tuple(colour)) for name, colour in label_map["classes"]),
                mirrored=tuple((left, right) for left, right in label_map["mirrored"]),
            ),
            settings=card["settings"],
            data=card["data"],
            accuracy=card["accuracy"],
            weights_sha256=card["weights_sha256"],
            made=float(card["made"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FacekitError(
            f"this is no whole judge: {type(error).__name__}: {error}",
            where=str(file),
            remedy="remove the folder and train it again with `facekit judge train`",
        ) from error


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
