"""The networks behind facekit's interfaces.

Each component is a subclass of its network, so that parameters keep the network's own names
(``generator.global_generator``, not ``generator.network.global_generator``): recipes name parts of a model by them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from facekit.interfaces import BuildContext, Condition, DiscriminatorOutput, FacekitError, Generated, ScaleOutput, Style
from facekit_layers import one_hot, ordered_for, spread_over_regions

from .networks import FeatureEncoder, GlobalGenerator, LocalEnhancer, MultiScaleDiscriminator, UNet
from .plugin import (
    FEATURE_CHANNELS,
    DiscriminatorOptions,
    GlobalGeneratorOptions,
    LocalEnhancerOptions,
    RegionFeaturesOptions,
    UNetOptions,
    unet_noise,
)

PHOTO_CHANNELS = 3


class Pix2PixHdGlobalGenerator(GlobalGenerator):
    """G1 as a facekit generator.

    Args:
        options: its options.
        classes: classes of the masks.
    """

    def __init__(self, options: GlobalGeneratorOptions, *, classes: int) -> None:
        super().__init__(
            inputs=input_channels(classes, features=options.features),
            filters=options.filters,
            downsamplings=options.downsamplings,
            blocks=options.blocks,
            upsampling=options.upsampling,
        )
        self.classes = classes
        self.joins_features = options.features

    def forward(self, condition: Condition, style: Style | None) -> Generated:  # type: ignore[override]
        """Return pictures (N, 3, H, W), float32 in [-1, 1], of the masks of ``condition``.

        Raises:
            FacekitError: features are to be joined, and there are none.
            ValueError: height or width do not fit.
        """
        planes = input_planes(
            condition.require_mask(), style, joins=self.joins_features, classes=self.classes, weight=self.stem.weight
        )
        return Generated(super().forward(planes).float())


class Pix2PixHdLocalEnhancer(LocalEnhancer):
    """G2 as a facekit generator; the G1 inside is its part ``global_generator``.

    Args:
        options: its options.
        classes: classes of the masks.
    """

    def __init__(self, options: LocalEnhancerOptions, *, classes: int) -> None:
        super().__init__(
            inputs=input_channels(classes, features=options.features),
            filters=options.filters,
            global_downsamplings=options.global_downsamplings,
            global_blocks=options.global_blocks,
            local_blocks=options.local_blocks,
            upsampling=options.upsampling,
        )
        self.classes = classes
        self.joins_features = options.features

    def forward(self, condition: Condition, style: Style | None) -> Generated:  # type: ignore[override]
        """Return pictures (N, 3, H, W), float32 in [-1, 1], of the masks of ``condition``.

        Raises:
            FacekitError: features are to be joined, and there are none.
            ValueError: height or width do not fit.
        """
        planes = input_planes(
            condition.require_mask(), style, joins=self.joins_features, classes=self.classes, weight=self.stem.weight
        )
        return Generated(super().forward(planes).float())


class Pix2PixUNet(UNet):
    """pix2pix's U-Net as a facekit generator.

    Args:
        options: its options.
        classes: classes of the masks.
    """

    def __init__(self, options: UNetOptions, *, classes: int) -> None:
        super().__init__(
            inputs=classes,
            filters=options.filters,
            levels=options.levels,
            norm=options.norm,
            skips=options.skips,
            dropout=options.dropout,
        )
        self.classes = classes
        self.varied = options.varied
        self.noise = [port.name for port in unet_noise(options, 1)]

    def forward(self, condition: Condition, style: Style | None) -> Generated:  # type: ignore[override]
        """Return images (N, 3, H, W), float32 in [-1, 1], of the masks of ``condition``."""
        planes = one_hot(condition.require_mask(), classes=self.classes, weight=next(self.parameters()))
        dropped = self.noise if self.training or self.varied else ()
        return Generated(super().forward(planes, [condition.extra[name] for name in dropped]).float())


class MultiScalePatchDiscriminator(MultiScaleDiscriminator):
    """The multi-scale patch discriminator as a facekit discriminator.

    Args:
        options: its options.
        classes: classes of the masks.
        attributes: how many attributes the data has; only read with ``classify``.
    """

    def __init__(self, options: DiscriminatorOptions, *, classes: int, attributes: int = 0) -> None:
        super().__init__(
            inputs=classes + PHOTO_CHANNELS,
            filters=options.filters,
            layers=options.layers,
            last_stride=options.last_stride,
            scales=options.scales,
            norm=options.norm,
            spectral_norm=options.spectral_norm,
            attributes=attributes if options.classify else 0,
        )
        self.classes = classes

    def forward(self, picture: Generated, condition: Condition) -> DiscriminatorOutput:  # type: ignore[override]
        """Discriminate images together with the masks they should show, full resolution first.

        Args:
            picture: (N, 3, H, W) in [-1, 1].
            condition: its masks are class ids (N, H, W).
        """
        # Any parameter of a convolution does: with spectral norm, reading `weight` would run a power iteration.
        weight = next(parameter for parameter in self.parameters() if parameter.dim() == 4)
        planes = one_hot(condition.require_mask(), classes=self.classes, weight=weight)
        pair = join(planes, picture.image)
        judged = super().forward(pair)
        return DiscriminatorOutput(
            scales=tuple(ScaleOutput(scale.logits, scale.features) for scale in judged),
            class_logits=None if self.classifier is None else self.classify(picture.image),
        )


class RegionFeatures(FeatureEncoder):
    """The feature encoder as a facekit style encoder.

    Args:
        options: its options.
        classes: classes of the masks.
    """

    def __init__(self, options: RegionFeaturesOptions, *, classes: int) -> None:
        super().__init__(features=FEATURE_CHANNELS, filters=options.filters, downsamplings=options.downsamplings)
        self.classes = classes

    def forward(self, image: Tensor, mask: Tensor) -> Style:  # type: ignore[override]
        """Return :data:`FEATURE_CHANNELS` numbers a region (N, classes, FEATURE_CHANNELS) in [-1, 1].

        Args:
            image: photos (N, 3, H, W) in [-1, 1].
            mask: their own class ids (N, H, W).
        """
        weight = self.generator.stem.weight
        planes = one_hot(mask, classes=self.classes, weight=weight)
        return Style(super().forward(ordered_for(weight, image), planes), "regions", planes.flatten(2).amax(2) > 0)


def input_channels(classes: int, *, features: bool) -> int:
    """Return the channels of a generator's input."""
    return classes + (FEATURE_CHANNELS if features else 0)


def input_planes(mask: Tensor, style: Style | None, *, joins: bool, classes: int, weight: Tensor) -> Tensor:
    """Return the one-hot mask, with the features of each region joined where ``joins``; see :func:`join_features`."""
    if joins:
        return join_features(mask, style, classes=classes, weight=weight)
    return one_hot(mask, classes=classes, weight=weight)


def join_features(mask: Tensor, style: Style | None, *, classes: int, weight: Tensor) -> Tensor:
    """Return the one-hot mask with the features of each region joined.

    Args:
        mask: class ids (N, H, W).
        style: features of the regions (N, classes, FEATURE_CHANNELS).
        classes: classes of the masks.
        weight: weight of the convolution that reads the result.

    Raises:
        FacekitError: there are no features.
    """
    if style is None:
        raise FacekitError(
            "the generator joins features to the mask, but was given none",
            remedy="give the recipe a style encoder: `model.style_encoder: {use: region_features}`",
        )
    planes = one_hot(mask, classes=classes, weight=weight)
    return join(planes, spread_over_regions(style.code, planes))


def join(planes: Tensor, other: Tensor) -> Tensor:
    """Return both along channels, in the dtype and the memory format of ``planes``."""
    # Of tensors in different formats, torch.cat makes a contiguous one, which every later convolution would reorder.
    channels_last = planes.is_contiguous(memory_format=torch.channels_last)
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    return torch.cat([planes, other.to(dtype=planes.dtype, memory_format=memory_format)], dim=1)


def build_global_generator(options: GlobalGeneratorOptions, context: BuildContext) -> Pix2PixHdGlobalGenerator:
    """Build G1 for the label map of ``context``."""
    return Pix2PixHdGlobalGenerator(options, classes=len(context.label_map))


def build_local_enhancer(options: LocalEnhancerOptions, context: BuildContext) -> Pix2PixHdLocalEnhancer:
    """Build G2 for the label map of ``context``."""
    return Pix2PixHdLocalEnhancer(options, classes=len(context.label_map))


def build_unet(options: UNetOptions, context: BuildContext) -> Pix2PixUNet:
    """Build the U-Net for the label map of ``context``."""
    return Pix2PixUNet(options, classes=len(context.label_map))


def build_discriminator(options: DiscriminatorOptions, context: BuildContext) -> MultiScalePatchDiscriminator:
    """Build the discriminator for the label map of ``context``."""
    attributes = len(context.attribute_names)
    if options.classify and not attributes:
        raise FacekitError(
            "there are no attributes to classify",
            where="model.discriminator.classify",
            remedy="take a dataset with attributes, or leave `classify` off",
        )
    return MultiScalePatchDiscriminator(options, classes=len(context.label_map), attributes=attributes)


def build_region_features(options: RegionFeaturesOptions, context: BuildContext) -> RegionFeatures:
    """Build the feature encoder for the label map of ``context``."""
    return RegionFeatures(options, classes=len(context.label_map))
