"""The networks of MSG-ProGAN (Karnewar and Wang, CVPR 2020), with the numbers of the published code."""

from __future__ import annotations

import itertools
from math import log2

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.interfaces import BuildContext, Condition, DiscriminatorOutput, Generated, ScaleOutput, Style
from facekit_layers import EqualisedConvolution, EqualisedTransposedConvolution, pixel_norm, with_deviation

from .plugin import LATENT, MsgProGanGeneratorOptions, MsgProGanOptions


def activate(features: Tensor) -> Tensor:
    """Return leaky rectified features."""
    return F.leaky_relu(features, 0.2)


class FirstBlock(nn.Module):
    """A latent vector (N, D) to features (N, D, 4, 4)."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.first = EqualisedTransposedConvolution(latent, latent, 4)
        self.second = EqualisedConvolution(latent, latent, 3, padding=1)

    def forward(self, latent: Tensor) -> Tensor:
        """Return the features."""
        features = activate(self.first(latent[:, :, None, None]))
        return pixel_norm(activate(self.second(features)))


class GrowingBlock(nn.Module):
    """Features (N, inputs, S, S) to (N, outputs, 2S, 2S)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = EqualisedConvolution(inputs, outputs, 3, padding=1)
        self.second = EqualisedConvolution(outputs, outputs, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Return the features at twice the size."""
        features = F.interpolate(features, scale_factor=2)
        return pixel_norm(activate(self.second(pixel_norm(activate(self.first(features))))))


class MsgProGanGenerator(nn.Module):
    """A latent vector to an image at every size from 4 pixels to ``size``.

    Args:
        latent: numbers of the vector.
        size: side of the finest image, a power of two.
        sphere: scale each vector to the length of the root of ``latent``.
    """

    def __init__(self, latent: int, size: int, *, sphere: bool = True) -> None:
        super().__init__()
        self.sphere = sphere
        # By size from 4 pixels on: `latent` up to 32 pixels, then half as many each time.
        channels = [latent // 2 ** max(0, index - 3) for index in range(int(log2(size)) - 1)]
        growing = [GrowingBlock(inputs, outputs) for inputs, outputs in itertools.pairwise(channels)]
        self.blocks = nn.ModuleList([FirstBlock(latent), *growing])
        self.images = nn.ModuleList(EqualisedConvolution(each, 3, 1) for each in channels)

    def sizes(self, latent: Tensor) -> list[Tensor]:
        """Return images (N, 3, S, S) of latent vectors (N, D), coarsest first; nothing bounds their values."""
        # Almost all of a normal distribution lies near this sphere anyway.
        features = F.normalize(latent) * latent.shape[1] ** 0.5 if self.sphere else latent
        made = []
        for block, image in zip(self.blocks, self.images, strict=True):
            features = block(features)
            made.append(image(features))
        return made

    def forward(self, condition: Condition, style: Style | None) -> Generated:
        """Return the finest image, and the others as its pyramid."""
        *coarser, finest = self.sizes(condition.extra[LATENT])
        return Generated(finest, tuple(reversed(coarser)))


class ShrinkingBlock(nn.Module):
    """Features (N, inputs, S, S) to (N, outputs, S/2, S/2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = EqualisedConvolution(inputs, inputs, 3, padding=1)
        self.second = EqualisedConvolution(inputs, outputs, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Return the features at half the size."""
        return F.avg_pool2d(activate(self.second(activate(self.first(features)))), 2)


class FinalBlock(nn.Module):
    """Features (N, channels, 4, 4) to a score (N, 1, 1, 1); it sees how much the features vary over the batch."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = EqualisedConvolution(channels + 1, channels, 3, padding=1)
        self.second = EqualisedConvolution(channels, channels, 4)
        self.third = EqualisedConvolution(channels, 1, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return the score."""
        features = activate(self.first(with_deviation(features)))
        score: Tensor = self.third(activate(self.second(features)))
        return score


class ScoringAllSizes(nn.Module):
    """A discriminator of one score for an image with all of its sizes."""

    def score(self, sizes: tuple[Tensor, ...]) -> Tensor:
        """Return scores (N, 1) of images at all sizes, finest first."""
        raise NotImplementedError

    def forward(self, picture: Generated, condition: Condition) -> DiscriminatorOutput:
        """Return the scores of images with their pyramids."""
        return DiscriminatorOutput((ScaleOutput(self.score((picture.image, *picture.pyramid))),))


class MsgProGanDiscriminator(ScoringAllSizes):
    """Images at every size to one score.

    Args:
        latent: channels at the coarsest size.
        size: side of the finest image, a power of two.
    """

    def __init__(self, latent: int, size: int) -> None:
        super().__init__()
        # Block i reads images of 2^(i + 3) pixels; the finest is read first.
        channels = [latent // 2 ** max(0, index - 2) for index in range(int(log2(size)) - 2)]
        self.blocks = nn.ModuleList(
            ShrinkingBlock(each, each // 2 if index <= 2 else each) for index, each in enumerate(channels)
        )
        widths = [latent // 2, *(each // 2 for each in channels[:-1]), channels[-1]]
        self.images = nn.ModuleList(EqualisedConvolution(3, each, 1) for each in widths)
        self.final = FinalBlock(latent)

    def score(self, sizes: tuple[Tensor, ...]) -> Tensor:
        """Return scores (N, 1) of images at all sizes, finest first."""
        finest, *coarser = sizes
        *readers, reader = self.images
        features = reader(finest)
        for block, converter, image in zip(reversed(self.blocks), reversed(readers), coarser, strict=True):
            features = torch.cat([converter(image), block(features)], 1)
        return self.final(features).flatten(1)


def build_generator(options: MsgProGanGeneratorOptions, context: BuildContext) -> MsgProGanGenerator:
    """Build the generator from a recipe's options."""
    return MsgProGanGenerator(options.latent, context.size, sphere=options.sphere)


def build_discriminator(options: MsgProGanOptions, context: BuildContext) -> MsgProGanDiscriminator:
    """Build the discriminator from a recipe's options."""
    return MsgProGanDiscriminator(options.latent, context.size)
