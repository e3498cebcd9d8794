"""Reading official checkpoint files and writing converted weights. Nothing is ever unpickled but tensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from facekit.interfaces import FacekitError, imported

from .official_layout import ConvertedWeights

METADATA_COMPONENT = "facekit.component"
METADATA_OPTIONS = "facekit.options"
METADATA_INPUT_CHANNELS = "facekit.input_channels"


def read_state(path: Path) -> dict[str, Tensor]:
    """Read a state dict from a torch file (``.pth``, ``.pt``) or a safetensors file.

    Raises:
        FacekitError: the file does not exist, is damaged, or holds anything but tensors by name.
    """
    if not path.is_file():
        raise FacekitError("there is no such checkpoint", where=str(path))
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise FacekitError(f"this safetensors file cannot be read: {error}", where=str(path)) from error
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes make torch's reader raise almost anything: KeyError, struct.error ...
        raise FacekitError(
            f"this torch file cannot be read: {str(error).splitlines()[0] if str(error) else type(error).__name__}",
            where=str(path),
            remedy="it must be a state dict of tensors only (torch.save(network.state_dict(), file)); anything else is "
            "code, and is not run",
        ) from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        shown = f"a {type(state).__name__}"
        if isinstance(state, Mapping):
            others = [str(name) for name, value in state.items() if not isinstance(value, Tensor)]
            shown = f"entries that are no tensors ({', '.join(others[:3])})"
        raise FacekitError(
            f"this file holds {shown}, not a state dict",
            where=str(path),
            remedy="save the network's state_dict() alone",
        )
    return {str(name): tensor for name, tensor in state.items()}


def write_weights(weights: ConvertedWeights, path: Path, *, source: Path) -> None:
    """Write converted weights as safetensors, with what they are in the file's metadata.

    Args:
        weights: what to write.
        path: the file.
        source: the checkpoint they come from; its name and SHA-256 are recorded.

    Raises:
        FacekitError: the file cannot be written.
    """
    metadata = {
        METADATA_COMPONENT: weights.component,
        METADATA_OPTIONS: json.dumps(dict(weights.options)),
        METADATA_INPUT_CHANNELS: str(weights.input_channels),
    }
    imported.write_weights(weights.tensors, path, metadata, source)
