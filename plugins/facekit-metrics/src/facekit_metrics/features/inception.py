"""Inception v3 with the weights of 2015, whose features FID is defined over."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.interfaces import FacekitError, cache_folder
from facekit.interfaces.files import read_weight_file

FILES = ("weights-inception-2015-12-05-6726825d.pth", "pt_inception-2015-12-05-6726825d.pth")
"""What torch-fidelity and pytorch-fid call their conversions of the original TensorFlow graph."""

VARIABLE = "FACEKIT_INCEPTION_WEIGHTS"
"""Environment variable with the path of the file."""

SIDE = 299
"""Side of the images it was trained on."""

DIMENSION = 2048
CLASSES = 1008
"""Outputs of the original classifier; torchvision's Inception, which has other weights, has 1,000."""

BATCH_NORM_EPSILON = 1e-3

_POOLS: dict[str, Callable[[Tensor], Tensor]] = {
    "halve": lambda hidden: F.max_pool2d(hidden, 3, 2),
    "mean": lambda hidden: F.avg_pool2d(hidden, 3, 1, 1, count_include_pad=False),
    "max": lambda hidden: F.max_pool2d(hidden, 3, 1, 1),
}

_Chain = tuple["str | _Chain", ...]
"""Layers one after the other: a pool, or a convolution's name, outputs, kernel (1x1 if left out) and, where it has no
padding, ``/`` and its stride. A tuple in it is a fork: its outputs are joined."""

_STEM: _Chain = (
    *("Conv2d_1a_3x3 32 3x3 /2", "Conv2d_2a_3x3 32 3x3 /1", "Conv2d_2b_3x3 64 3x3", "halve"),
    *("Conv2d_3b_1x1 80", "Conv2d_4a_3x3 192 3x3 /1", "halve"),
)


def _at_35(pooled: int) -> tuple[_Chain, ...]:
    return (
        ("branch1x1 64",),
        ("branch5x5_1 48", "branch5x5_2 64 5x5"),
        ("branch3x3dbl_1 64", "branch3x3dbl_2 96 3x3", "branch3x3dbl_3 96 3x3"),
        ("mean", f"branch_pool {pooled}"),
    )


def _at_17(inner: int) -> tuple[_Chain, ...]:
    double = [f"branch7x7dbl_{part} {inner} {kernel}" for part, kernel in enumerate(("1x1", "7x1", "1x7", "7x1"), 1)]
    return (
        ("branch1x1 192",),
        (f"branch7x7_1 {inner}", f"branch7x7_2 {inner} 1x7", "branch7x7_3 192 7x1"),
        (*double, "branch7x7dbl_5 192 1x7"),
        ("mean", "branch_pool 192"),
    )


def _at_8(pool: str) -> tuple[_Chain, ...]:
    return (
        ("branch1x1 320",),
        ("branch3x3_1 384", ("branch3x3_2a 384 1x3", "branch3x3_2b 384 3x1")),
        (
            *("branch3x3dbl_1 448", "branch3x3dbl_2 384 3x3"),
            ("branch3x3dbl_3a 384 1x3", "branch3x3dbl_3b 384 3x1"),
        ),
        (pool, "branch_pool 192"),
    )


_BLOCKS: dict[str, tuple[_Chain, ...]] = {
    "Mixed_5b.": _at_35(32),
    "Mixed_5c.": _at_35(64),
    "Mixed_5d.": _at_35(64),
    "Mixed_6a.": (
        ("branch3x3 384 3x3 /2",),
        ("branch3x3dbl_1 64", "branch3x3dbl_2 96 3x3", "branch3x3dbl_3 96 3x3 /2"),
        ("halve",),
    ),
    "Mixed_6b.": _at_17(128),
    "Mixed_6c.": _at_17(160),
    "Mixed_6d.": _at_17(160),
    "Mixed_6e.": _at_17(192),
    "Mixed_7a.": (
        ("branch3x3_1 192", "branch3x3_2 320 3x3 /2"),
        ("branch7x7x3_1 192", "branch7x7x3_2 192 1x7", "branch7x7x3_3 192 7x1", "branch7x7x3_4 192 3x3 /2"),
        ("halve",),
    ),
    "Mixed_7b.": _at_8("mean"),
    "Mixed_7c.": _at_8("max"),
}
"""The blocks in their order: branches whose outputs are joined."""


class _Convolution(NamedTuple):
    """A convolution without bias, batch norm and ReLU."""

    shape: tuple[int, int, int, int]
    stride: int
    padding: tuple[int, int]


def _add_convolutions(chain: _Chain, block: str, inputs: int, found: dict[str, _Convolution]) -> int:
    """Add the convolutions of a chain by their names in the weight files; return how many channels it gives."""
    for part in chain:
        if isinstance(part, tuple):
            inputs = sum(_add_convolutions((each,), block, inputs, found) for each in part)
        elif part not in _POOLS:
            name, outputs, *more = part.split()
            height, width = (int(side) for side in (more[0] if more else "1x1").split("x"))
            padding = (height // 2, width // 2) if len(more) < 2 else (0, 0)
            stride = 1 if len(more) < 2 else int(more[1][1:])
            found[f"{block}{name}"] = _Convolution((int(outputs), inputs, height, width), stride, padding)
            inputs = int(outputs)
    return inputs


def _convolutions() -> dict[str, _Convolution]:
    found: dict[str, _Convolution] = {}
    channels = _add_convolutions(_STEM, "", 3, found)
    for block, branches in _BLOCKS.items():
        channels = sum(_add_convolutions(branch, block, channels, found) for branch in branches)
    return found


CONVOLUTIONS = _convolutions()


def find_weights(path: str | None = None) -> Path:
    """Return the weight file: the given one, that of the environment variable, or one in the usual caches.

    Args:
        path: a certain file.

    Raises:
        FacekitError: there is none; says which file to put where.
    """
    folders = (Path(torch.hub.get_dir()) / "checkpoints", cache_folder() / "weights")
    places = "\n    ".join(str(folder / FILES[0]) for folder in folders)
    remedy = (
        f"put torch-fidelity's {FILES[0]} or pytorch-fid's {FILES[1]} (their release pages on GitHub have them) where "
        f"`weights:` or {VARIABLE} says, or at\n    {places}\n  Without it, measure frechet_distance or kid: "
        "their network comes in a package"
    )
    for given, what in ((path, "`weights:`"), (os.environ.get(VARIABLE), VARIABLE)):
        if given:
            file = Path(given).expanduser()
            if not file.is_file():
                raise FacekitError(
                    f"the weights of Inception that {what} names are not there", where=str(file), remedy=remedy
                )
            return file
    for folder in folders:
        for name in FILES:
            if (folder / name).is_file():
                return folder / name
    raise FacekitError("FID needs the weights of Inception v3 of 2015, and they are not there", remedy=remedy)


class Inception(nn.Module):
    """Inception v3 (Szegedy et al., CVPR 2016) as FID uses it. ``weights_sha256`` names the weights in a protocol.

    It differs from torchvision's network as the original TensorFlow graph does: average pools do not count their
    padding, and the last block pools by maximum. Batch norms are folded into the convolutions. Weights are buffers that
    are not saved.

    Args:
        weights: the file, torch-fidelity's or pytorch-fid's; they hold the same tensors by the same names.

    Raises:
        FacekitError: the file cannot be read, or holds another network, such as torchvision's.
    """

    def __init__(self, weights: Path) -> None:
        super().__init__()
        self._path = weights
        state = read_weight_file(weights, what="Inception", missing="fetch the file again")
        self._take(state, "fc.weight", (CLASSES, DIMENSION))
        # Of the tensors, so that it does not depend on how which project wrapped them in a file.
        digest = hashlib.sha256()
        for name, convolution in CONVOLUTIONS.items():
            shape = convolution.shape
            weight = self._take(state, f"{name}.conv.weight", shape)
            scale, shift, mean, variance = (
                self._take(state, f"{name}.bn.{part}", shape[:1])
                for part in ("weight", "bias", "running_mean", "running_var")
            )
            for tensor in (weight, scale, shift, mean, variance):
                digest.update(tensor.contiguous().numpy().tobytes())
            factor = scale / (variance + BATCH_NORM_EPSILON).sqrt()
            key = name.replace(".", "_")
            self.register_buffer(f"{key}_weight", weight * factor.view(-1, 1, 1, 1), persistent=False)
            self.register_buffer(f"{key}_bias", shift - mean * factor, persistent=False)
        self.weights_sha256 = digest.hexdigest()

    @staticmethod
    def normalise(image: Tensor) -> Tensor:
        """Return pictures in [-1, 1] as (x - 128) / 128 with x in 0..255: what the graph does."""
        return (image * 127.5 - 0.5) / 128

    def forward(self, image: Tensor) -> Tensor:
        """Return the features before the classifier.

        Args:
            image: normalised pictures (N, 3, 299, 299).

        Returns:
            (N, 2048), at least 0.
        """
        hidden = self._run(_STEM, "", image)
        for block, branches in _BLOCKS.items():
            hidden = torch.cat([self._run(branch, block, hidden) for branch in branches], 1)
        return hidden.mean((2, 3))

    def _run(self, chain: _Chain, block: str, hidden: Tensor) -> Tensor:
        for part in chain:
            if isinstance(part, tuple):
                hidden = torch.cat([self._run((each,), block, hidden) for each in part], 1)
            elif part in _POOLS:
                hidden = _POOLS[part](hidden)
            else:
                name = f"{block}{part.split()[0]}"
                key, convolution = name.replace(".", "_"), CONVOLUTIONS[name]
                weight: Tensor = getattr(self, f"{key}_weight")
                bias: Tensor = getattr(self, f"{key}_bias")
                hidden = F.conv2d(hidden, weight, bias, stride=convolution.stride, padding=convolution.padding)
                hidden = F.relu(hidden)
        return hidden

    def _take(self, state: dict[str, Tensor], key: str, shape: tuple[int, ...]) -> Tensor:
        tensor = state.get(key)
        if not isinstance(tensor, Tensor) or tuple(tensor.shape) != shape:
            found = f"has shape {tuple(tensor.shape)}, not {shape}" if isinstance(tensor, Tensor) else "is missing"
            raise FacekitError(
                f"tensor {key!r} {found}: these are not the weights of 2015 that FID is defined over",
                where=str(self._path),
                remedy=f"FID needs {FILES[0]} or {FILES[1]}; torchvision's Inception is another network",
            )
        return tensor.float()
