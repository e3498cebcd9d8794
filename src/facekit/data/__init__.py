"""The data room: packed caches, loaders, checks, previews and exports of any dataset; knows none in particular.

Importing this package does not import torch; :class:`FaceLoader` and :func:`fixed_batch` do when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from facekit.data.cache import cached_folders, default_cache, prepare
from facekit.data.progress import Progress, ProgressCallback
from facekit.data.sampling import steps_for_epochs, steps_per_epoch, swapped_pairs
from facekit.data.store import DamagedCache, PackedFaces

if TYPE_CHECKING:
    from facekit.data.loader import FaceLoader, PlainReference, ReferenceAugmentation, fixed_batch, to_unit_range

_NEEDS_TORCH = ("FaceLoader", "PlainReference", "ReferenceAugmentation", "fixed_batch", "to_unit_range")

__all__ = [
    "DamagedCache",
    "FaceLoader",
    "PackedFaces",
    "PlainReference",
    "Progress",
    "ProgressCallback",
    "ReferenceAugmentation",
    "cached_folders",
    "default_cache",
    "fixed_batch",
    "prepare",
    "steps_for_epochs",
    "steps_per_epoch",
    "swapped_pairs",
    "to_unit_range",
]


def __getattr__(name: str) -> Any:
    if name in _NEEDS_TORCH:
        from facekit.data import loader

        return getattr(loader, name)
    raise AttributeError(f"module 'facekit.data' has no attribute {name!r}")
