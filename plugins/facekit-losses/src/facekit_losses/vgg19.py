"""VGG19 (Simonyan and Zisserman, ICLR 2015) in torchvision's layout, from torchvision's weight file."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.interfaces.files import read_weight_file
from facekit_backbones import tensor_of

FILE_NAME = "vgg19-dcbb9e9d.pth"
ADDRESS = f"https://download.pytorch.org/models/{FILE_NAME}"
STAGES = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""Channels and convolutions of each stage; stages are parted by 2x2 max pooling."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


def cached_weights() -> Path:
    """Return where torch keeps the file once it is downloaded: ``$TORCH_HOME/hub/checkpoints`` or the user's cache."""
    return Path(torch.hub.get_dir()) / "checkpoints" / FILE_NAME


class VGG19(nn.Module):
    """The features of VGG19 after its ReLUs, frozen.

    Weights are buffers that are not saved: they follow the module to a device, have no gradient, and are in no
    checkpoint. Nothing is ever downloaded.

    Args:
        layers: which features to return: ``relu1_1`` to ``relu5_4``. Nothing is computed beyond the deepest.
        weights: weight file, a state dict of torchvision's ``vgg19``; by default the one in torch's cache.

    Raises:
        FacekitError: the weights are not there (the message says which file to put where) or belong to another network.
    """

    def __init__(self, *, layers: Collection[str], weights: Path | None = None) -> None:
        super().__init__()
        names = [f"relu{stage}_{index}" for stage, (_, count) in enumerate(STAGES, 1) for index in range(1, count + 1)]
        unknown = sorted(set(layers) - set(names))
        if unknown or not layers:
            raise ValueError(f"vgg19 has no layers {unknown}" if unknown else "no layers are asked for")
        self.layers = frozenset(layers)
        self.plan = names[: max(names.index(name) for name in layers) + 1]
        path = cached_weights() if weights is None else weights
        state = read_weight_file(
            path,
            what="vgg19",
            missing=f"fetch {ADDRESS} (549 MB) and put it at {cached_weights()}, or name the file in the option "
            f"`weights:`; `backbone: efficientnet_lite0` needs no download",
        )
        position, inputs = 0, 3
        for stage, (channels, count) in enumerate(STAGES, 1):
            for index in range(1, count + 1):
                name = f"relu{stage}_{index}"
                if name in self.plan:
                    shape = (channels, inputs, 3, 3)
                    weight = tensor_of(state, f"features.{position}.weight", shape=shape, path=path)
                    bias = tensor_of(state, f"features.{position}.bias", shape=(channels,), path=path)
                    weight = weight.contiguous(memory_format=torch.channels_last)
                    self.register_buffer(f"{name}_weight", weight, persistent=False)
                    self.register_buffer(f"{name}_bias", bias, persistent=False)
                inputs, position = channels, position + 2
            position += 1

    @staticmethod
    def normalise(image: Tensor) -> Tensor:
        """Return pictures in [-1, 1] with ImageNet's mean and standard deviation taken out of their [0, 1] form."""
        mean = image.new_tensor(IMAGENET_MEAN).view(1, 3, 1, 1)
        deviation = image.new_tensor(IMAGENET_DEVIATION).view(1, 3, 1, 1)
        return ((image + 1) / 2 - mean) / deviation

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the asked-for features, finest first.

        Args:
            image: normalised pictures (N, 3, H, W).

        Returns:
            by layer name, maps (N, C, h, w).
        """
        features: dict[str, Tensor] = {}
        hidden = image.contiguous(memory_format=torch.channels_last)
        for name in self.plan:
            if name.endswith("_1") and name != "relu1_1":
                hidden = F.max_pool2d(hidden, 2)
            weight, bias = self.get_buffer(f"{name}_weight"), self.get_buffer(f"{name}_bias")
            hidden = F.relu(F.conv2d(hidden, weight, bias, padding=1))
            if name in self.layers:
                features[name] = hidden
        return features
