"""The networks of MSG-StyleGAN (Karnewar and Wang, CVPR 2020): StyleGAN with an image at every size."""

from __future__ import annotations

from itertools import pairwise
from math import log2

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.interfaces import BuildContext, Condition, DiscriminatorOutput, Generated, ScaleOutput, Style
from facekit_layers import EqualisedConvolution, pixel_norm

from .networks import LATENT, activate
from .plugin import NOISE_PLANES, MsgStyleGanGeneratorOptions, MsgStyleGanOptions, style_channels

MAPPING_RATE = 0.01
"""Factor on the learning rate of the mapping network."""

AVERAGE_KEPT = 0.995
"""Share that the mean style keeps at each training step."""

GROUP = 4
"""Samples over which the discriminator sees how much features vary."""


def blurred(features: Tensor) -> Tensor:
    """Return features (N, C, H, W) after the filter [1, 2, 1] in both directions, with zeros around them."""
    line = features.new_tensor([1.0, 2.0, 1.0]) / 4
    kernel = torch.outer(line, line).expand(features.shape[1], 1, 3, 3)
    return F.conv2d(features, kernel, padding=1, groups=features.shape[1])


class EqualisedDense(nn.Module):
    """A fully connected layer with equalised weights: N(0, 1) / rate, scaled by gain * rate / root of the inputs.

    Args:
        inputs: numbers of a sample (N, inputs).
        outputs: numbers of its result.
        gain: the square root of 2 before rectifiers.
        rate: factor on the learning rate, on the bias's too.
    """

    def __init__(self, inputs: int, outputs: int, *, gain: float = 2**0.5, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.rate = rate
        self.scale = gain * rate / inputs**0.5

    def forward(self, features: Tensor) -> Tensor:
        """Return the result (N, outputs)."""
        return F.linear(features, self.weight * self.scale, self.bias * self.rate)


class StyledLayer(nn.Module):
    """One layer of the synthesis: convolution, noise, bias, leaky ReLU, instance norm, scale and shift by the style.

    Args:
        inputs: channels of the features; None leaves the convolution out, for the learned start.
        outputs: channels of the result.
        latent: numbers of the style w.
        doubled: double height and width before the convolution, and blur after it.
    """

    def __init__(self, inputs: int | None, outputs: int, latent: int, *, doubled: bool = False) -> None:
        super().__init__()
        self.weight = None if inputs is None else nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.scale = 1.0 if inputs is None else (2 / (9 * inputs)) ** 0.5
        self.strength = nn.Parameter(torch.zeros(outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.style = EqualisedDense(latent, 2 * outputs, gain=1.0)
        self.doubled = doubled

    def forward(self, features: Tensor, w: Tensor, noise: Tensor) -> Tensor:
        """Return features (N, outputs, H, W) of features, styles (N, latent) and noise (N, 1, H, W)."""
        if self.doubled:
            features = F.interpolate(features, scale_factor=2)
        if self.weight is not None:
            features = F.conv2d(features, self.weight * self.scale, padding=1)
        if self.doubled:
            features = blurred(features)
        features = features + noise * self.strength[:, None, None]
        features = F.instance_norm(activate(features + self.bias[:, None, None]), eps=1e-8)
        scale, shift = self.style(w)[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(shift, features, 1 + scale)


class MsgStyleGanGenerator(nn.Module):
    """A latent vector to an image at every size from 4 pixels to ``size``, by mapping network and synthesis.

    Args:
        options: its options.
        size: side of the finest image, a power of two.
    """

    mean_style: Tensor

    def __init__(self, options: MsgStyleGanGeneratorOptions, size: int) -> None:
        super().__init__()
        latent = options.latent
        self.truncation, self.truncated_layers = options.truncation, options.truncated_layers
        self.mapping = nn.ModuleList(
            EqualisedDense(latent, latent, rate=MAPPING_RATE) for _ in range(options.mapping_layers)
        )
        self.register_buffer("mean_style", torch.zeros(latent))
        widths = [style_channels(2**level, options) for level in range(2, int(log2(size)) + 1)]
        self.start = nn.Parameter(torch.ones(1, widths[0], 4, 4))
        layers = [StyledLayer(None, widths[0], latent), StyledLayer(widths[0], widths[0], latent)]
        for wide, narrow in pairwise(widths):
            layers += [StyledLayer(wide, narrow, latent, doubled=True), StyledLayer(narrow, narrow, latent)]
        self.layers = nn.ModuleList(layers)
        self.images = nn.ModuleList(EqualisedConvolution(width, 3, 1, gain=1.0) for width in widths)

    def styles(self, latent: Tensor) -> Tensor:
        """Return the styles w (N, D) of latent vectors (N, D)."""
        w = pixel_norm(latent)
        for layer in self.mapping:
            w = activate(layer(w))
        return w

    def sizes(self, w: Tensor, noise: Tensor) -> list[Tensor]:
        """Return images (N, 3, S, S), coarsest first; nothing bounds their values.

        Args:
            w: a style for each layer, (N, layers, D).
            noise: N(0, 1) for every place of every layer, (N, numbers), coarsest first.
        """
        features = self.start.expand(len(w), -1, -1, -1)
        made, used = [], 0
        for index, layer in enumerate(self.layers):
            side = 4 * 2 ** (index // 2)
            plane = noise[:, used : used + side * side].view(-1, 1, side, side)
            features = layer(features, w[:, index], plane)
            used += side * side
            if index % 2:
                made.append(self.images[index // 2](features))
        return made

    def forward(self, condition: Condition, style: Style | None) -> Generated:
        """Return the finest image, and the others as its pyramid."""
        w = self.styles(condition.extra[LATENT])
        if self.training:
            with torch.no_grad():
                self.mean_style.lerp_(w.detach().float().mean(0), 1 - AVERAGE_KEPT)
        layers = w[:, None].expand(-1, len(self.layers), -1)
        if not self.training and self.truncation < 1:
            mean = self.mean_style.to(w.dtype)
            near = mean + self.truncation * (layers - mean)
            layers = torch.cat([near[:, : self.truncated_layers], layers[:, self.truncated_layers :]], dim=1)
        *coarser, finest = self.sizes(layers, condition.extra[NOISE_PLANES])
        return Generated(finest, tuple(reversed(coarser)))


def with_deviation(features: Tensor) -> Tensor:
    """Return features (N, C, H, W) with a plane more: how much they vary within groups of at most 4 samples.

    A batch that does not divide into groups of 4 is divided into the largest that it does.
    """
    count = len(features)
    group = next(each for each in range(min(GROUP, count), 0, -1) if count % each == 0)
    grouped = features.view(group, count // group, *features.shape[1:]).float()
    deviation = (grouped.var(0, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3)).to(features.dtype)
    plane = deviation.repeat(group).view(count, 1, 1, 1).expand(-1, 1, *features.shape[2:])
    return torch.cat([features, plane], 1)


class StyleShrinkingBlock(nn.Module):
    """Features at one size to features at half the size.

    Args:
        inputs: channels that it takes.
        outputs: channels that it gives.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = EqualisedConvolution(inputs + 1, inputs, 3, padding=1)
        self.second = EqualisedConvolution(inputs, outputs, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Return the features at half the size."""
        hidden = activate(self.first(with_deviation(features)))
        return activate(F.avg_pool2d(self.second(blurred(hidden)), 2))


class MsgStyleGanDiscriminator(nn.Module):
    """Images at every size to one score.

    Args:
        options: its options.
        size: side of the finest image, a power of two.
    """

    def __init__(self, options: MsgStyleGanOptions, size: int) -> None:
        super().__init__()
        widths = [style_channels(2**level, options) for level in range(2, int(log2(size)) + 1)]
        self.images = nn.ModuleList(EqualisedConvolution(3, width // 2, 1) for width in widths[:-1])
        self.images.append(EqualisedConvolution(3, widths[-1], 1))
        # Joins what came down with the image of a coarser size, without bias or activation.
        self.joins = nn.ParameterList(torch.randn(width, width + width // 2, 1, 1) for width in widths[:-1])
        self.blocks = nn.ModuleList(StyleShrinkingBlock(wide, narrow) for narrow, wide in pairwise(widths))
        self.last = EqualisedConvolution(widths[0] + 1, widths[0], 3, padding=1)
        self.hidden = EqualisedDense(16 * widths[0], widths[0])
        self.output = EqualisedDense(widths[0], 1, gain=1.0)

    def score(self, sizes: tuple[Tensor, ...]) -> Tensor:
        """Return scores (N, 1) of images at all sizes, finest first."""
        finest, *coarser = sizes
        *readers, reader = self.images
        features = activate(reader(finest))
        for block, join, converter, image in zip(
            reversed(self.blocks), reversed(self.joins), reversed(readers), coarser, strict=True
        ):
            pair = torch.cat([block(features), activate(converter(image))], 1)
            features = F.conv2d(pair, join / pair.shape[1] ** 0.5)
        features = activate(self.last(with_deviation(features)))
        score: Tensor = self.output(activate(self.hidden(features.flatten(1))))
        return score

    def forward(self, picture: Generated, condition: Condition) -> DiscriminatorOutput:
        """Return the scores of images with their pyramids."""
        return DiscriminatorOutput((ScaleOutput(self.score((picture.image, *picture.pyramid))),))


def build_generator(options: MsgStyleGanGeneratorOptions, context: BuildContext) -> MsgStyleGanGenerator:
    """Build the generator from a recipe's options."""
    return MsgStyleGanGenerator(options, context.size)


def build_discriminator(options: MsgStyleGanOptions, context: BuildContext) -> MsgStyleGanDiscriminator:
    """Build the discriminator from a recipe's options."""
    return MsgStyleGanDiscriminator(options, context.size)
