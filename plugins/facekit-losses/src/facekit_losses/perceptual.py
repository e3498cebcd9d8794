"""Perceptual losses: pictures compared in the features of a frozen ImageNet network."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.interfaces import BuildContext, Step
from facekit_backbones import EfficientNetLite0
from facekit_gan import fake, real

from .numeric import at_least_float32
from .options import Distance, PerceptualOptions, Precision
from .vgg19 import VGG19

SMALLEST_SCALE = 1e-6
"""Smallest mean feature that a relative distance is divided by."""


def feature_distance(result: Tensor, photo: Tensor, *, distance: Distance) -> Tensor:
    """Return the mean distance between two feature maps.

    Args:
        result: (N, C, h, w), of the results.
        photo: (N, C, h, w), of the photos.
        distance: ``l1`` is mean |a - b|; ``relative_l1`` divides it, picture by picture, by mean |b|; ``unit_squared``
            is the squared distance of the channel vectors, each scaled to length 1, averaged over positions.

    Returns:
        a scalar, the mean over the N pictures of their own distances.

    Raises:
        ValueError: the shapes differ.
    """
    if result.shape != photo.shape:
        raise ValueError(f"cannot compare features of shapes {tuple(result.shape)} and {tuple(photo.shape)}")
    result, photo = at_least_float32(result), at_least_float32(photo)
    if distance == "unit_squared":
        return (F.normalize(result, dim=1) - F.normalize(photo, dim=1)).square().sum(1).mean()
    difference = (result - photo).abs().mean((1, 2, 3))
    if distance == "relative_l1":
        difference = difference / photo.abs().mean((1, 2, 3)).clamp_min(SMALLEST_SCALE)
    return difference.mean()


def perceptual_loss(
    result: Mapping[str, Tensor], photo: Mapping[str, Tensor], *, weights: Mapping[str, float], distance: Distance
) -> Tensor:
    """Return the weighted sum of the distances of several layers, a scalar.

    Args:
        result: features of the results by layer, (N, C, h, w) each.
        photo: features of the photos by layer.
        weights: weight by layer; these layers are compared.
        distance: see :func:`feature_distance`.

    Raises:
        KeyError: a layer of ``weights`` is in neither.
        ValueError: features differ in shape.
    """
    terms = [
        weight * feature_distance(result[layer], photo[layer], distance=distance) for layer, weight in weights.items()
    ]
    return torch.stack(terms).sum()


class PerceptualLoss(nn.Module):
    """The perceptual difference between fakes and real photos (Johnson et al., ECCV 2016).

    It has no parameters and an empty state dict: the backbone's weights are frozen, and checkpoints do not hold them.

    Args:
        backbone: maps normalised pictures (N, 3, H, W) to features by layer, and has ``normalise``.
        weights: weight by layer.
        distance: see :func:`feature_distance`.
        normalise: give the backbone the pictures it was trained with; else pictures in [-1, 1].
        precision: of the backbone's convolutions: ``bf16`` (autocast), ``fp32``, or ``auto`` for fp32 on a
            processor and bf16 elsewhere. Distances are always fp32.
    """

    def __init__(
        self,
        backbone: EfficientNetLite0 | VGG19,
        *,
        weights: Mapping[str, float],
        distance: Distance,
        normalise: bool = True,
        precision: Precision = "auto",
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.weights = dict(weights)
        self.distance: Distance = distance
        self.normalise = normalise
        self.precision: Precision = precision
        self._halved: list[EfficientNetLite0 | VGG19] = []  # in a list, so that it is no part of this module

    def features(self, image: Tensor) -> dict[str, Tensor]:
        """Return the backbone's features of pictures (N, 3, H, W) in [-1, 1]."""
        image = at_least_float32(image)
        if self.normalise:
            image = self.backbone.normalise(image)
        on_cpu = image.device.type == "cpu"
        half = self.precision == "bf16" or (self.precision == "auto" and not on_cpu)
        backbone = self.in_half() if half and not on_cpu else self.backbone
        with torch.autocast(image.device.type, dtype=torch.bfloat16, enabled=half):
            features: dict[str, Tensor] = backbone(image)
        return features

    def in_half(self) -> EfficientNetLite0 | VGG19:
        """Return the backbone with its frozen weights in bf16: cast once, in place of at each use."""
        if not self._halved:
            self._halved.append(copy.deepcopy(self.backbone).to(torch.bfloat16))
        return self._halved[0]

    def compare(self, result: Tensor, photo: Tensor) -> Tensor:
        """Return the loss of results against photos, both (N, 3, H, W) in [-1, 1], a scalar; photos get no gradient."""
        with torch.no_grad():
            wanted = self.features(photo)
        return perceptual_loss(self.features(result), wanted, weights=self.weights, distance=self.distance)

    def forward(self, step: Step) -> Tensor:
        """Return the loss of a step, a scalar."""
        return self.compare(fake(step).image, real(step).image)


def build(options: PerceptualOptions, context: BuildContext) -> PerceptualLoss:
    """Build the loss from a recipe's options.

    Raises:
        FacekitError: the backbone's weights are not there; the message says which file to put where.
    """
    weights = options.chosen_layers()
    backbones: dict[str, type[EfficientNetLite0] | type[VGG19]] = {
        "efficientnet_lite0": EfficientNetLite0,
        "vgg19": VGG19,
    }
    path = None if options.weights is None else Path(options.weights).expanduser()
    return PerceptualLoss(
        backbones[options.backbone](layers=tuple(weights), weights=path),
        weights=weights,
        distance=options.chosen_distance(),
        normalise=options.normalise,
        precision=options.precision,
    )
