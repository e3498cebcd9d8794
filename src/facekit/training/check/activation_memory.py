"""Counts what forward passes keep for their backward passes; works on fake tensors, which keep nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from facekit.interfaces import map_tensors
from facekit.training.networks import FaceModel


class SavedBytes:
    """The bytes that passes keep for their backward passes; each memory once.

    Args:
        uncounted: tensors that are held in any case.
    """

    def __init__(self, uncounted: Iterable[Tensor]) -> None:
        self.bytes = 0
        # The tensors are held, so that no two of them can have had the same storage one after the other.
        self._seen = {storage_of(tensor): tensor for tensor in uncounted}

    def see(self, tensor: Tensor) -> Tensor:
        """Count a tensor that is kept, and return it."""
        if storage_of(tensor) not in self._seen:
            self._seen[storage_of(tensor)] = tensor
            self.bytes += tensor.untyped_storage().nbytes()
        return tensor


@contextmanager
def counting_saved(*uncounted: Tensor) -> Iterator[SavedBytes]:
    """Count what passes keep while the context lasts; the innermost context counts alone."""
    saved = SavedBytes(uncounted)
    with torch.autograd.graph.saved_tensors_hooks(saved.see, lambda tensor: tensor):
        yield saved


class RecomputedParts:
    """Calls the parts that a run would compute again, and finds the one that keeps most while that is done.

    Args:
        model: the model.
        kept: counts what is kept until the backward pass: of these parts, what they are given.
    """

    def __init__(self, model: FaceModel, kept: SavedBytes) -> None:
        self.largest = 0
        self._model = model
        self._kept = kept

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a part."""
        if not torch.is_grad_enabled():
            return function(*arguments)
        given = [value for value in arguments if isinstance(value, Tensor)]
        with counting_saved(*self._model.parameters(), *given) as saved:
            result = function(*arguments)
        if _leads_to_a_weight(result):  # else nothing is computed again, and nothing kept for it
            for value in given:
                self._kept.see(value)
            self.largest = max(self.largest, saved.bytes)
        return result


def _leads_to_a_weight(result: Any) -> bool:
    found: list[bool] = []

    def look(tensor: Tensor) -> Tensor:
        found.append(tensor.requires_grad)
        return tensor

    map_tensors(result, look)
    return any(found)


def tensor_bytes(tensor: Tensor) -> int:
    """Return the bytes of a tensor's elements."""
    return tensor.numel() * tensor.element_size()


def storage_of(tensor: Tensor) -> int:
    """Return what tensors over one memory have in common, and others have not."""
    return tensor.untyped_storage()._cdata
