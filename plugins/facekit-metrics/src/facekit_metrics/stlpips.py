"""ST-LPIPS (Ghildyal and Liu, ECCV 2022): LPIPS that a shift by a pixel hardly moves; its weights come in a package."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.interfaces.files import read_weight_file
from facekit_backbones import tensor_of

from .packaged import package_folder

SHA256 = "b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee"
"""Of ``stlpips_pytorch/weights/vST0.0/alex_shift_tolerant.pth`` in the package ``stlpips-pytorch`` 0.0.2."""

INSTALL = "pip install 'facekit-metrics[stlpips]'"

_IN_PACKAGE = ("weights", "vST0.0", "alex_shift_tolerant.pth")

CONVOLUTIONS = {
    "relu1": ("net.slice1.0", (64, 3, 11, 11), 2),
    "relu2": ("net.slice2.5", (192, 64, 5, 5), 2),
    "relu3": ("net.slice3.9", (384, 192, 3, 3), 1),
    "relu4": ("net.slice4.11", (256, 384, 3, 3), 1),
    "relu5": ("net.slice5.13", (256, 256, 3, 3), 1),
}
"""AlexNet's five convolutions by the layer that they give: name in the file, shape, zero padding. All of stride 1."""

LAYERS = tuple(CONVOLUTIONS)

POOLED = ("relu2", "relu3")
"""Layers before whose convolution the map is pooled over 3x3 (stride 1), blurred and halved."""

SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
"""LPIPS's normalisation of colours in [-1, 1]."""

EPSILON = 1e-10
"""Added to the length of a channel vector."""


def packaged_weights() -> Path:
    """Return the weight file inside the package ``stlpips-pytorch``, which is looked for and not imported.

    Raises:
        FacekitError: the package is not installed.
    """
    remedy = f"{INSTALL}, or name its file alex_shift_tolerant.pth by `weights:`"
    folder = package_folder("stlpips_pytorch", missing="the weights of stlpips", remedy=remedy)
    return folder.joinpath(*_IN_PACKAGE)


class StLpips(nn.Module):
    """The shift-tolerant AlexNet of ST-LPIPS and its learned layer weights. ``weights_sha256`` names the weights.

    AlexNet with every stride replaced by a blur ([1, 2, 1] both ways, reflected by 2 pixels) that takes every second
    place; the first convolution computes every place and is blurred before its ReLU. Frozen weights are buffers that
    are not saved: they follow the module to a device, have no gradient, and are in no checkpoint.

    Args:
        weights: a file of tensors by the names of the package's; by default the one in the package.

    Raises:
        FacekitError: the weights are not there, damaged, or belong to another network.
    """

    blur: Tensor

    def __init__(self, *, weights: Path | None = None) -> None:
        super().__init__()
        self._path = packaged_weights() if weights is None else weights
        state = read_weight_file(
            self._path,
            what="stlpips",
            missing=f"correct `weights:`, or leave it out and {INSTALL}",
            again=f"{INSTALL} again: it is a file of stlpips-pytorch 0.0.2",
            sha256=SHA256 if weights is None else None,
        )
        self.weights_sha256 = SHA256 if weights is None else hashlib.sha256(weights.read_bytes()).hexdigest()
        line = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("blur", torch.outer(line, line), persistent=False)
        for index, (layer, (name, shape, _)) in enumerate(CONVOLUTIONS.items()):
            self._add(state, f"{name}.weight", f"{layer}_weight", shape)
            self._add(state, f"{name}.bias", f"{layer}_bias", shape[:1])
            self._add(state, f"lin{index}.model.1.weight", f"{layer}_importance", (1, shape[0], 1, 1))

    @staticmethod
    def normalise(image: Tensor) -> Tensor:
        """Return images in [-1, 1] as the network was trained with them."""
        shift, scale = (image.new_tensor(each).view(3, 1, 1) for each in (SHIFT, SCALE))
        return (image - shift) / scale

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the features of all five layers, finest first, each after its ReLU.

        Args:
            image: normalised images (N, 3, H, W), of 32 pixels a side or more.

        Returns:
            by layer name, maps (N, C, h, w).
        """
        features: dict[str, Tensor] = {}
        hidden = image
        for layer, (_, _, padding) in CONVOLUTIONS.items():
            if layer in POOLED:
                hidden = self._halve(F.max_pool2d(hidden, 3, stride=1))
            weight, bias = (getattr(self, f"{layer}_{part}") for part in ("weight", "bias"))
            hidden = F.conv2d(hidden, weight, bias, padding=padding)
            hidden = F.relu(self._halve(hidden) if layer == LAYERS[0] else hidden)
            features[layer] = hidden
        return features

    def distance(self, first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> Tensor:
        """Return the ST-LPIPS distance of the features of two batches.

        Squared differences of channel vectors of length 1, weighed by the learned weights, averaged over positions and
        summed over layers.

        Args:
            first: features as :meth:`forward` gives them.
            second: features of the same shapes.

        Returns:
            (N,) float64, at least 0.
        """
        distances = []
        for layer, features in first.items():
            one, other = (
                each / (torch.linalg.vector_norm(each, dim=1, keepdim=True) + EPSILON)
                for each in (features.double(), second[layer].double())
            )
            importance: Tensor = getattr(self, f"{layer}_importance")
            distances.append(((one - other).square() * importance.double()).sum(1).mean((1, 2)))
        return torch.stack(distances).sum(0)

    def _halve(self, hidden: Tensor) -> Tensor:
        kernel = self.blur.expand(hidden.shape[1], 1, 3, 3)
        return F.conv2d(F.pad(hidden, (2, 2, 2, 2), mode="reflect"), kernel, stride=2, groups=hidden.shape[1])

    def _add(self, state: Mapping[str, Tensor], key: str, own: str, shape: tuple[int, ...]) -> None:
        self.register_buffer(own, tensor_of(state, key, shape=shape, path=self._path), persistent=False)
