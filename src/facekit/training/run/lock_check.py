"""What a run's ``lock.json`` must hold to be used: a stranger's, or one with a flipped bit, ends in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facekit.data.store import label_map_from
from facekit.interfaces import FacekitError, LabelMap

_REMEDY = "put the file back as the run wrote it"

_TYPES: Mapping[str, tuple[type, type | None, str]] = {
    "label_map": (dict, None, "a label map"),
    "attribute_names": (list, str, "a list of names"),
    "data_fingerprint": (str, None, "text"),
    "plugin_files": (list, str, "a list of files"),
    "frozen": (dict, None, "SHA-256 by the names of networks"),
}
"""The type of an entry that the run is used or continued by, that of what is in its list, and what to call it."""


def check_lock(document: object, file: Path) -> dict[str, Any]:
    """Return the contents of a ``lock.json`` where the entries that are used have the right types.

    Raises:
        FacekitError: it is no record of a run, or an entry is of another type.
    """
    if not isinstance(document, dict):
        raise FacekitError("lock.json is not the record of a run", where=str(file), remedy=_REMEDY)
    for key, (kind, of, name) in _TYPES.items():
        if key not in document:
            continue
        value: Any = document[key]
        right = isinstance(value, kind)
        if right and of is not None:
            right = all(isinstance(each, of) for each in document[key])
        if not right:
            raise FacekitError(f"lock.json cannot be read ({key} is not {name})", where=str(file), remedy=_REMEDY)
    return document


def labels_in(lock: Mapping[str, Any], file: Path) -> tuple[LabelMap, tuple[str, ...]]:
    """Return label map and attribute names of a run's record.

    Args:
        lock: the record.
        file: its ``lock.json``, for messages.

    Raises:
        FacekitError: they are missing, or damaged.
    """
    try:
        label_map = label_map_from(lock["label_map"])
        for entry in label_map.classes:
            if not isinstance(entry.name, str) or not all(isinstance(v, int) and 0 <= v <= 255 for v in entry.colour):
                raise ValueError(f"the class {entry.name!r} has no name or no colour")
        return label_map, tuple(lock["attribute_names"])
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        said = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise FacekitError(
            f"lock.json does not hold the label map that the run was trained with ({said})",
            where=str(file),
            remedy=_REMEDY,
        ) from error
