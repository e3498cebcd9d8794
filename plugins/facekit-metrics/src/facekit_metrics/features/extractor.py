"""Feature extractors: a network, a resize and a layer, under one name and one hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.weak import WeakIdKeyDictionary

from facekit_backbones import EfficientNetLite0
from facekit_backbones.efficientnet_lite0 import packaged_weights

from ..squeezenet import SqueezeNet
from ..squeezenet import packaged_weights as squeezenet_weights
from .inception import DIMENSION, SIDE, Inception, find_weights

ExtractorName = Literal["efficientnet_lite0", "inception", "squeezenet"]
"""``efficientnet_lite0``: 320 features, weights from a package. ``squeezenet``: 512, weights from the package of an
extra. ``inception``: 2,048, weights from a file."""


@dataclass(frozen=True)
class Resize:
    """A way to resize.

    Args:
        name: for protocols.
        function: takes float pictures (N, 3, H, W) and a side S, returns (N, 3, S, S).
    """

    name: str
    function: Callable[[Tensor, int], Tensor]


def bicubic_antialiased(image: Tensor, side: int) -> Tensor:
    """Return pictures at another size: bicubic (a = -0.5), the kernel widened when shrinking, values not rounded.

    That is how Pillow resizes floats, and what Parmar et al. (On Aliased Resizing and Surprising Subtleties in GAN
    Evaluation, CVPR 2022) recommend. Pictures that have the size already stay as they are.

    Args:
        image: (N, 3, H, W), float.
        side: the size wanted.

    Returns:
        (N, 3, side, side); bicubic kernels overshoot, so values may leave the input's range a little.
    """
    if image.shape[-2:] == (side, side):
        return image
    return F.interpolate(image, size=(side, side), mode="bicubic", align_corners=False, antialias=True)


BICUBIC_ANTIALIASED = Resize("bicubic, antialiased, in float", bicubic_antialiased)
"""The only one that metrics use."""


class FeatureExtractor:
    """Turns pictures into vectors.

    Features of a batch that another metric has asked for already are not computed again: metrics over one extractor
    share one pass. Pictures go through the network one by one, since convolutions choose their algorithm, and with it
    the last bits, by the size of the batch.

    Args:
        name: the network's name, for measurements.
        network: takes normalised pictures (N, 3, side, side).
        features: takes what the network returns, gives (N, dimension).
        normalise: takes pictures in [-1, 1].
        side: size of the pictures that the network sees.
        dimension: length of a vector.
        protocol: network, weights and layer, in words.
        resize: how pictures get to that size.
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        *,
        features: Callable[[Any], Tensor],
        normalise: Callable[[Tensor], Tensor],
        side: int,
        dimension: int,
        protocol: Mapping[str, str],
        resize: Resize = BICUBIC_ANTIALIASED,
    ) -> None:
        self.name = name
        self.dimension = dimension
        self.protocol = {**protocol, "resize": f"{resize.name}, to {side} x {side}"}
        self._network = network.eval()
        self._features = features
        self._normalise = normalise
        self._side = side
        self._resize = resize
        self._seen = WeakIdKeyDictionary()

    @property
    def id(self) -> str:
        """The beginning of the SHA-256 of the protocol: features of equal ids can be compared."""
        text = json.dumps({"name": self.name, **self.protocol}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def __call__(self, image: Tensor) -> Tensor:
        """Return the features of pictures.

        Args:
            image: (N, 3, H, W) in [-1, 1]; the network follows them to their device.

        Returns:
            (N, dimension) float32 on the CPU.
        """
        # A tensor that was changed in place since is another one; inference tensors do not tell.
        version = None if image.is_inference() else image._version
        if version is not None and image in self._seen and self._seen[image][0] == version:
            seen: Tensor = self._seen[image][1]
            return seen
        self._network.to(image.device)
        found = torch.cat([self._one(picture) for picture in image.split(1)]).cpu()
        if version is not None:
            self._seen[image] = (version, found)
        return found

    @torch.no_grad()
    def _one(self, picture: Tensor) -> Tensor:
        with torch.autocast(picture.device.type, enabled=False):
            resized = self._resize.function(picture.detach().float(), self._side)
            return self._features(self._network(self._normalise(resized)))


_shared: WeakValueDictionary[tuple[str, str, int, int], FeatureExtractor] = WeakValueDictionary()


def extractor(name: ExtractorName, weights: str | None = None) -> FeatureExtractor:
    """Return an extractor by name; one that another metric still holds is shared.

    Args:
        name: which.
        weights: its weight file, in place of the one in its package or the usual caches.

    Raises:
        FacekitError: the weights are not there or belong to another network.
    """
    if name == "inception":
        path = find_weights(weights)
    elif weights is not None:
        path = Path(weights).expanduser()
    else:
        path = squeezenet_weights() if name == "squeezenet" else packaged_weights()
    status = path.stat() if path.is_file() else None
    key = (name, str(path), status.st_size if status else 0, status.st_mtime_ns if status else 0)
    found = _shared.get(key)
    if found is None:
        made = {"inception": inception, "efficientnet_lite0": efficientnet_lite0, "squeezenet": squeezenet}
        found = _shared[key] = made[name](path)
    return found


def inception(weights: Path, *, resize: Resize = BICUBIC_ANTIALIASED) -> FeatureExtractor:
    """Return the extractor of FID. Raises FacekitError for weights that are not those."""
    network = Inception(weights)
    return FeatureExtractor(
        "inception",
        network,
        features=lambda output: output,
        normalise=Inception.normalise,
        side=SIDE,
        dimension=DIMENSION,
        protocol={
            "extractor": "Inception v3 of 2015 (TensorFlow graph)",
            "weights": f"sha256 of the tensors {network.weights_sha256}",
            "layer": "before the classifier, 2048 features",
            "input": "(x - 128) / 128",
        },
        resize=resize,
    )


def efficientnet_lite0(weights: Path, *, resize: Resize = BICUBIC_ANTIALIASED) -> FeatureExtractor:
    """Return the extractor over EfficientNet-Lite0. Raises FacekitError for weights of another network."""
    network = EfficientNetLite0(layers=("block15",), weights=weights)
    return _mean_of_layer(
        "efficientnet_lite0", network, "EfficientNet-Lite0", "block15", 320, "(x - 127) / 128", resize
    )


def squeezenet(weights: Path, *, resize: Resize = BICUBIC_ANTIALIASED) -> FeatureExtractor:
    """Return the extractor over SqueezeNet 1.1. Raises FacekitError for weights of another network."""
    network = SqueezeNet(layers=("fire9",), weights=weights)
    values = "BGR in 0..255 less 104, 117, 123"
    return _mean_of_layer("squeezenet", network, "SqueezeNet 1.1", "fire9", 512, values, resize)


def _mean_of_layer(
    name: str,
    network: EfficientNetLite0 | SqueezeNet,
    spoken: str,
    layer: str,
    dimension: int,
    values: str,
    resize: Resize,
) -> FeatureExtractor:
    """Return the extractor whose features are the means over positions of one layer of a network of ImageNet."""
    return FeatureExtractor(
        name,
        network,
        features=lambda output: output[layer].mean((2, 3)),
        normalise=network.normalise,
        side=224,
        dimension=dimension,
        protocol={
            "extractor": spoken,
            "weights": f"sha256 {network.weights_sha256}",
            "layer": f"{layer}, mean over positions, {dimension} features",
            "input": values,
        },
        resize=resize,
    )
