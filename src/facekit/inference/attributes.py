"""The attributes that images are to have: as people write them, and as the networks read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from facekit.inference.networks import InferenceNetworks
from facekit.inference.pictures import Batch
from facekit.interfaces import DISCRIMINATOR, Condition, FacekitError, Generated, did_you_mean

_WORDS = {"1": True, "on": True, "true": True, "yes": True, "0": False, "off": False, "false": False, "no": False}


def parse_attributes(texts: Sequence[str]) -> dict[str, bool]:
    """Return wanted attributes from texts such as ``Smiling=1`` and ``Male=off``.

    Raises:
        FacekitError: a text is of another form, or two want the opposite.
    """
    found: dict[str, bool] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not name or not equals or value.lower() not in _WORDS:
            raise FacekitError(
                f"{text!r} does not say what is wanted",
                where="--attribute",
                remedy="write NAME=1 to give an attribute, NAME=0 to take it away (on and off will do)",
            )
        wanted = _WORDS[value.lower()]
        if found.setdefault(name, wanted) != wanted:
            raise FacekitError(f"{name} is wanted both on and off", where="--attribute")
    return found


def check_names(names: Iterable[str], known: Sequence[str], *, where: str) -> None:
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
        networks: the networks.
        batch: most photos to look at at once.
        where: the run, for messages.

    Raises:
        FacekitError: an attribute is not one of the run's, or one is not given and cannot be read off a photo.
    """
    if isinstance(wanted, Tensor):
        rows = wanted.detach().cpu().float()
        rows = rows[None] if rows.dim() == 1 else rows
        if rows.dim() != 2 or rows.shape[1] != len(known) or not len(rows):
            raise FacekitError(
                f"attributes of the shape {tuple(wanted.shape)} do not fit the run's {len(known)}",
                where=where,
                remedy=f"give (A,) or (N, A) in the order {', '.join(known)}",
            )
        return rows
    check_names(wanted, known, where=where)
    missing = [name for name in known if name not in wanted]
    read = _read(photos, networks, batch=batch) if missing else torch.zeros(1, len(known))
    if read is None:
        raise FacekitError(
            f"this run cannot tell which attributes a photo has, so all must be given; missing: {', '.join(missing)}",
            where=where,
            remedy=f"add {' '.join(f'--attribute {name}=0' for name in missing)}, or =1",
        )
    for name, value in wanted.items():
        read[:, known.index(name)] = float(value)
    return read


def _read(photos: Batch | None, networks: InferenceNetworks, *, batch: int) -> Tensor | None:
    """Return the attributes (N, A) in {0, 1} that the discriminator sees; None where nothing tells any."""
    if photos is None or DISCRIMINATOR not in networks:
        return None
    found = []
    for part in photos.tensor.split(batch):
        logits = networks.discriminate(Generated(part), Condition(source_image=part)).class_logits
        if logits is None:
            return None
        found.append((logits > 0).float().cpu())
    return torch.cat(found)
