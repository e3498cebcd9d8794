"""Reading the weight file of a backbone."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import Tensor

from facekit.interfaces import FacekitError


def read_weights(path: Path, *, backbone: str, remedy: str) -> dict[str, Tensor]:
    """Return the tensors of a weight file: safetensors, or a state dict that torch reads without running code.

    Args:
        path: the file.
        backbone: the backbone's name, for messages.
        remedy: what to do when the file is missing.

    Raises:
        FacekitError: the file is missing, or is no file of tensors by name.
    """
    if not path.is_file():
        raise FacekitError(f"the weights of {backbone} are not there", where=str(path), remedy=remedy)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, pickle.UnpicklingError, EOFError) as error:
        raise FacekitError(
            f"the weights of {backbone} cannot be read: {error}", where=str(path), remedy="fetch the file again"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise FacekitError(f"the weights of {backbone} are not tensors by name", where=str(path))
    return state


def tensor_of(state: dict[str, Tensor], key: str, *, shape: tuple[int, ...], path: Path) -> Tensor:
    """Return one float32 tensor of a weight file.

    Raises:
        FacekitError: it is missing or of another shape: the file belongs to another network.
    """
    if key not in state:
        raise FacekitError(f"the file has no tensor {key!r}: it belongs to another network", where=str(path))
    if tuple(state[key].shape) != shape:
        raise FacekitError(
            f"tensor {key!r} has shape {tuple(state[key].shape)}, not {shape}: the file belongs to another network",
            where=str(path),
        )
    return state[key].float()
