"""The networks of MSG-StyleGAN (Karnewar and Wang, CVPR 2020): StyleGAN with an image at every size."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.interfaces import BuildContext, Condition, Generated, Style
from facekit_layers import EqualisedConvolution, EqualisedDense, pixel_norm, with_deviation

from .networks import ScoringAllSizes, activate
from .plugin import LATENT, NOISE_PLANES, MsgStyleGanGeneratorOptions, MsgStyleGanOptions

MAPPING_RATE = 0.01
"""Factor on the learning rate of the mapping network."""

AVERAGE_KEPT = 0.995
"""Share that the mean style keeps at each training step."""

GROUP = 4
"""Samples over which the discriminator sees how much features vary."""


def widths_by_size(options: MsgStyleGanOptions, size: int) -> list[int]:
    """Return the channels at 4, 8, 16 pixels and so on to ``size``: even numbers."""
    sides = (2**level for level in range(2, size.bit_length()))
    return [max(2, min(2 * options.base // side, options.most) // 2 * 2) for side in sides]


def blurred(features: Tensor) -> Tensor:
    """Return features (N, C, H, W) after the filter [1, 2, 1] in both directions, with zeros around them."""
    line = features.new_tensor([1.0, 2.0, 1.0]) / 4
    kernel = torch.outer(line, line).expand(features.shape[1], 1, 3, 3)
    return F.conv2d(features, kernel, padding=1, groups=features.shape[1])


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
    """A latent vector to an image at every size from 4 pixels on, by mapping network and synthesis."""

    mean_style: Tensor

    def __init__(self, options: MsgStyleGanGeneratorOptions, context: BuildContext) -> None:
        super().__init__()
        latent = options.latent
        self.truncation, self.truncated_layers = options.truncation, options.truncated_layers
        self.mapping = nn.ModuleList(
            EqualisedDense(latent, latent, rate=MAPPING_RATE) for _ in range(options.mapping_layers)
        )
        self.register_buffer("mean_style", torch.zeros(latent))
        widths = widths_by_size(options, context.size)
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
        features = self.start.expand(w.shape[0], -1, -1, -1)
        made, used = [], 0
        for index, layer in enumerate(self.layers):
            side = 4 * 2 ** (index // 2)
            plane = noise[:, used : used + side * side].unflatten(1, (1, side, side))
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


class StyleShrinkingBlock(nn.Module):
    """Features (N, inputs, S, S) to (N, outputs, S/2, S/2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = EqualisedConvolution(inputs + 1, inputs, 3, padding=1)
        self.second = EqualisedConvolution(inputs, outputs, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Return the features at half the size."""
        hidden = activate(self.first(with_deviation(features, GROUP)))
        return activate(F.avg_pool2d(self.second(blurred(hidden)), 2))


class MsgStyleGanDiscriminator(ScoringAllSizes):
    """Images at every size to one score."""

    def __init__(self, options: MsgStyleGanOptions, context: BuildContext) -> None:
        super().__init__()
        widths = widths_by_size(options, context.size)
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
        features = activate(self.last(with_deviation(features, GROUP)))
        score: Tensor = self.output(activate(self.hidden(features.flatten(1))))
        return score
