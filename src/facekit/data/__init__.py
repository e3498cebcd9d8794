"""The data room: packed caches, loaders, checks, previews and exports of any dataset; knows none in particular.

Importing this package does not import torch, and nothing else before it is used: the names below are looked up in their
modules when first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facekit.data.cache import find_prepared, prepare
    from facekit.data.checks import AttributeFrequency, CheckReport, ClassFrequency, check_dataset
    from facekit.data.export import Export, export_folder
    from facekit.data.loader import (
        FaceLoader,
        fixed_batch,
        to_unit_range,
    )
    from facekit.data.parallel import Progress, ProgressCallback
    from facekit.data.preview import write_preview
    from facekit.data.reference import PlainReference, ReferenceAugmentation, check_reference, is_drawn
    from facekit.data.sampling import drawn_donors, steps_for_epochs, swapped_pairs
    from facekit.data.store import DamagedCache, PackedFaces

_HOMES = {
    "cache": ("find_prepared", "prepare"),
    "checks": ("AttributeFrequency", "CheckReport", "ClassFrequency", "check_dataset"),
    "export": ("Export", "export_folder"),
    "loader": ("FaceLoader", "fixed_batch", "to_unit_range"),
    "preview": ("write_preview",),
    "parallel": ("Progress", "ProgressCallback"),
    "reference": ("PlainReference", "ReferenceAugmentation", "check_reference", "is_drawn"),
    "sampling": ("drawn_donors", "steps_for_epochs", "swapped_pairs"),
    "store": ("DamagedCache", "PackedFaces"),
}

__all__ = [
    "AttributeFrequency",
    "CheckReport",
    "ClassFrequency",
    "DamagedCache",
    "Export",
    "FaceLoader",
    "PackedFaces",
    "PlainReference",
    "Progress",
    "ProgressCallback",
    "ReferenceAugmentation",
    "check_dataset",
    "check_reference",
    "drawn_donors",
    "export_folder",
    "find_prepared",
    "fixed_batch",
    "is_drawn",
    "prepare",
    "steps_for_epochs",
    "swapped_pairs",
    "to_unit_range",
    "write_preview",
]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"facekit.data.{home}"), name)
    raise AttributeError(f"module 'facekit.data' has no attribute {name!r}")
