"""Taking tensors from the weight file of a backbone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from facekit.interfaces import FacekitError


def tensor_of(state: Mapping[str, Tensor], key: str, *, shape: tuple[int, ...], path: Path) -> Tensor:
    """Return one float32 tensor of a weight file.

    Raises:
        FacekitError: it is missing or of another shape: the file belongs to another network.
    """
    if key not in state:
        raise FacekitError(f"tensor {key!r} is missing: the file belongs to another network", where=str(path))
    if tuple(state[key].shape) != shape:
        raise FacekitError(
            f"tensor {key!r} has shape {tuple(state[key].shape)}, not {shape}: the file belongs to another network",
            where=str(path),
        )
    return state[key].float()
