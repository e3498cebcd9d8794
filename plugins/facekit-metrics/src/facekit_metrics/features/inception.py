"""Inception v3 with the weights of 2015, whose features FID is defined over."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.interfaces import FacekitError, cache_folder
from facekit.interfaces.weight_files import read_weight_file

FILES = ("weights-inception-2015-12-05-6726825d.pth", "pt_inception-2015-12-05-6726825d.pth")
"""What torch-fidelity and pytorch-fid call their conversions of the original TensorFlow graph."""

VARIABLE = "FACEKIT_INCEPTION_WEIGHTS"
"""Environment variable with the path of the file."""

SIDE = 299
"""Side of the pictures it was trained on."""

DIMENSION = 2048
CLASSES = 1008
"""Outputs of the original classifier; torchvision's Inception, which has other weights, has 1,000."""

BATCH_NORM_EPSILON = 1e-3


class Convolution(NamedTuple):
    """A convolution without bias, batch norm and ReLU. ``padded``: keeps the size of what it is given."""

    inputs: int
    outputs: int
    kernel: tuple[int, int]
    stride: int = 1
    padded: bool = True


def _square(inputs: int, outputs: int, side: int = 1, *, stride: int = 1, padded: bool = True) -> Convolution:
    return Convolution(inputs, outputs, (side, side), stride, padded)


def _at_35(inputs: int, pooled: int) -> dict[str, Convolution]:
    return {
        "branch1x1": _square(inputs, 64),
        "branch5x5_1": _square(inputs, 48),
        "branch5x5_2": _square(48, 64, 5),
        "branch3x3dbl_1": _square(inputs, 64),
        "branch3x3dbl_2": _square(64, 96, 3),
        "branch3x3dbl_3": _square(96, 96, 3),
        "branch_pool": _square(inputs, pooled),
    }


def _at_17(inner: int) -> dict[str, Convolution]:
    return {
        "branch1x1": _square(768, 192),
        "branch7x7_1": _square(768, inner),
        "branch7x7_2": Convolution(inner, inner, (1, 7)),
        "branch7x7_3": Convolution(inner, 192, (7, 1)),
        "branch7x7dbl_1": _square(768, inner),
        "branch7x7dbl_2": Convolution(inner, inner, (7, 1)),
        "branch7x7dbl_3": Convolution(inner, inner, (1, 7)),
        "branch7x7dbl_4": Convolution(inner, inner, (7, 1)),
        "branch7x7dbl_5": Convolution(inner, 192, (1, 7)),
        "branch_pool": _square(768, 192),
    }


def _at_8(inputs: int) -> dict[str, Convolution]:
    return {
        "branch1x1": _square(inputs, 320),
        "branch3x3_1": _square(inputs, 384),
        "branch3x3_2a": Convolution(384, 384, (1, 3)),
        "branch3x3_2b": Convolution(384, 384, (3, 1)),
        "branch3x3dbl_1": _square(inputs, 448),
        "branch3x3dbl_2": _square(448, 384, 3),
        "branch3x3dbl_3a": Convolution(384, 384, (1, 3)),
        "branch3x3dbl_3b": Convolution(384, 384, (3, 1)),
        "branch_pool": _square(inputs, 192),
    }


def _convolutions() -> dict[str, Convolution]:
    """Return every convolution by its name in the weight files."""
    found = {
        "Conv2d_1a_3x3": _square(3, 32, 3, stride=2, padded=False),
        "Conv2d_2a_3x3": _square(32, 32, 3, padded=False),
        "Conv2d_2b_3x3": _square(32, 64, 3),
        "Conv2d_3b_1x1": _square(64, 80),
        "Conv2d_4a_3x3": _square(80, 192, 3, padded=False),
    }
    blocks = {
        "Mixed_5b": _at_35(192, 32),
        "Mixed_5c": _at_35(256, 64),
        "Mixed_5d": _at_35(288, 64),
        "Mixed_6a": {
            "branch3x3": _square(288, 384, 3, stride=2, padded=False),
            "branch3x3dbl_1": _square(288, 64),
            "branch3x3dbl_2": _square(64, 96, 3),
            "branch3x3dbl_3": _square(96, 96, 3, stride=2, padded=False),
        },
        "Mixed_6b": _at_17(128),
        "Mixed_6c": _at_17(160),
        "Mixed_6d": _at_17(160),
        "Mixed_6e": _at_17(192),
        "Mixed_7a": {
            "branch3x3_1": _square(768, 192),
            "branch3x3_2": _square(192, 320, 3, stride=2, padded=False),
            "branch7x7x3_1": _square(768, 192),
            "branch7x7x3_2": Convolution(192, 192, (1, 7)),
            "branch7x7x3_3": Convolution(192, 192, (7, 1)),
            "branch7x7x3_4": _square(192, 192, 3, stride=2, padded=False),
        },
        "Mixed_7b": _at_8(1280),
        "Mixed_7c": _at_8(2048),
    }
    for block, parts in blocks.items():
        found |= {f"{block}.{part}": convolution for part, convolution in parts.items()}
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
            shape = (convolution.outputs, convolution.inputs, *convolution.kernel)
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
        hidden = self._chain(image, "Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3")
        hidden = self._chain(F.max_pool2d(hidden, 3, 2), "Conv2d_3b_1x1", "Conv2d_4a_3x3")
        hidden = F.max_pool2d(hidden, 3, 2)
        for block in ("Mixed_5b.", "Mixed_5c.", "Mixed_5d."):
            hidden = torch.cat(
                (
                    self._chain(hidden, f"{block}branch1x1"),
                    self._chain(hidden, f"{block}branch5x5_1", f"{block}branch5x5_2"),
                    self._chain(hidden, *(f"{block}branch3x3dbl_{part}" for part in (1, 2, 3))),
                    self._chain(_mean_pool(hidden), f"{block}branch_pool"),
                ),
                1,
            )
        hidden = torch.cat(
            (
                self._chain(hidden, "Mixed_6a.branch3x3"),
                self._chain(hidden, *(f"Mixed_6a.branch3x3dbl_{part}" for part in (1, 2, 3))),
                F.max_pool2d(hidden, 3, 2),
            ),
            1,
        )
        for block in ("Mixed_6b.", "Mixed_6c.", "Mixed_6d.", "Mixed_6e."):
            hidden = torch.cat(
                (
                    self._chain(hidden, f"{block}branch1x1"),
                    self._chain(hidden, *(f"{block}branch7x7_{part}" for part in (1, 2, 3))),
                    self._chain(hidden, *(f"{block}branch7x7dbl_{part}" for part in (1, 2, 3, 4, 5))),
                    self._chain(_mean_pool(hidden), f"{block}branch_pool"),
                ),
                1,
            )
        hidden = torch.cat(
            (
                self._chain(hidden, "Mixed_7a.branch3x3_1", "Mixed_7a.branch3x3_2"),
                self._chain(hidden, *(f"Mixed_7a.branch7x7x3_{part}" for part in (1, 2, 3, 4))),
                F.max_pool2d(hidden, 3, 2),
            ),
            1,
        )
        hidden = self._last(hidden, "Mixed_7b.", _mean_pool(hidden))
        hidden = self._last(hidden, "Mixed_7c.", F.max_pool2d(hidden, 3, 1, 1))
        return hidden.mean((2, 3))

    def _last(self, hidden: Tensor, block: str, pooled: Tensor) -> Tensor:
        """Return a block at 8 x 8, whose branches fork at their ends."""
        once = self._chain(hidden, f"{block}branch3x3_1")
        twice = self._chain(hidden, f"{block}branch3x3dbl_1", f"{block}branch3x3dbl_2")
        return torch.cat(
            (
                self._chain(hidden, f"{block}branch1x1"),
                self._chain(once, f"{block}branch3x3_2a"),
                self._chain(once, f"{block}branch3x3_2b"),
                self._chain(twice, f"{block}branch3x3dbl_3a"),
                self._chain(twice, f"{block}branch3x3dbl_3b"),
                self._chain(pooled, f"{block}branch_pool"),
            ),
            1,
        )

    def _chain(self, hidden: Tensor, *names: str) -> Tensor:
        for name in names:
            convolution = CONVOLUTIONS[name]
            key = name.replace(".", "_")
            height, width = convolution.kernel
            padding = (height // 2, width // 2) if convolution.padded else (0, 0)
            weight: Tensor = getattr(self, f"{key}_weight")
            bias: Tensor = getattr(self, f"{key}_bias")
            hidden = F.relu(F.conv2d(hidden, weight, bias, stride=convolution.stride, padding=padding))
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


def _mean_pool(hidden: Tensor) -> Tensor:
    return F.avg_pool2d(hidden, 3, 1, 1, count_include_pad=False)
