"""The generators and style encoders of SPADE and SEAN behind facekit's interfaces."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from facekit.interfaces import BuildContext, Condition, FacekitError, Generated, Style
from facekit_layers import (
    CladeNorm,
    MaskBlock,
    ReflectedConvolution,
    RegionDense,
    RegionMeans,
    SeanNorm,
    SpadeNorm,
    doubling_convolution,
    initialise_xavier,
    instance_norm,
    one_hot,
    ordered_for,
)

from .plugin import SeanOptions, SeanStyleOptions, SpadeEncoderOptions, SpadeOptions, encoder_side

LEAKY_SLOPE = 0.2
PUBLISHED_GAIN = 0.02
"""Gain of the initial weights as published, and always that of layers whose result is normalised or is the image."""


def make_norm(options: SpadeOptions | SeanOptions, classes: int, styled: bool, channels: int) -> nn.Module:
    """Make a norm of so many channels that reads the mask, and in SEAN codes where it is ``styled``."""
    statistics = options.statistics
    if isinstance(options, SeanOptions):
        return SeanNorm(
            channels,
            classes=classes,
            hidden=options.hidden,
            statistics=statistics,
            code=options.code if styled else 0,
            dense=not options.share_dense,
            noise=options.noise,
        )
    if options.norm == "clade":
        return CladeNorm(channels, classes=classes, statistics=statistics)
    return SpadeNorm(channels, classes=classes, hidden=options.hidden, statistics=statistics)


class MaskGenerator(nn.Module):
    """SPADE's generator with any norm that reads the mask.

    Layer plan, with f for ``filters``: the one-hot mask at the smallest size, 3/1/1 to 16 f, or a style by a dense
    layer; blocks of 16 f, 16 f, 16 f, 8 f, 4 f, 2 f and f channels, and with 7 upsamplings f / 2, the size doubled
    before each but the first (and, with 5 upsamplings, but the third); leaky ReLU; 3/1/1 to the image; tanh.
    """

    last_layer = "to_image.weight"
    updated_early = True

    def __init__(self, options: SpadeOptions | SeanOptions, context: BuildContext) -> None:
        super().__init__()
        self.classes, self.upsamplings, filters = len(context.label_map), options.upsamplings, options.filters
        deepest = 16 * filters
        widths = [deepest] * 4 + [8 * filters, 4 * filters, 2 * filters, filters]
        if options.upsamplings == 7:
            widths.append(filters // 2)
        self.latent = latent = options.latent if isinstance(options, SpadeOptions) else 0
        self.start_side = side = context.size // 2**options.upsamplings
        self.start = nn.Linear(latent, deepest * side**2) if latent else nn.Conv2d(self.classes, deepest, 3, padding=1)
        # In SEAN the block that ends with `filters` channels reads no codes.
        self.blocks = nn.ModuleList(
            MaskBlock(inputs, outputs, partial(make_norm, options, self.classes, outputs != filters))
            for inputs, outputs in pairwise(widths)
        )
        self.to_image = nn.Conv2d(widths[-1], 3, 3, padding=1)
        initialise_xavier(self, gain=options.gain)
        initialise_xavier(self.to_image, gain=PUBLISHED_GAIN)
        for block in self.blocks:
            for name, layer in block.named_children():
                if name in ("first", "second", "shortcut"):
                    parametrizations.spectral_norm(layer)

    def generate(self, mask: Tensor, *, style: Tensor | None = None, codes: Tensor | None = None) -> Generated:
        """Return images (N, 3, H, W), float32 in [-1, 1], of class ids (N, H, W) that the upsamplings divide.

        Args:
            style: what it starts from (N, latent).
            codes: codes by region (N, classes, D).

        Raises:
            ValueError: height or width do not fit.
        """
        step = 2**self.upsamplings
        height, width = mask.shape[1:]
        if height % step or width % step or (style is not None and height * width != (step * self.start_side) ** 2):
            raise ValueError(f"a mask of {height}x{width} does not fit a generator that doubles the size to its sides")
        planes = self._planes(mask, step)
        features = self.start(planes if style is None else style)
        if style is not None:
            features = features.unflatten(1, (-1, *planes.shape[2:]))
        for index, block in enumerate(self.blocks):
            if index and (index != 2 or self.upsamplings > 5):
                step //= 2
                features = F.interpolate(features, scale_factor=2)
                planes = self._planes(mask, step)
            features = block(features, planes, codes)
        return Generated(torch.tanh(self.to_image(F.leaky_relu(features, LEAKY_SLOPE))).float())

    def _planes(self, mask: Tensor, step: int) -> Tensor:
        """Return the one-hot mask at a ``step``-th of its size, as nearest-neighbour resizing gives it."""
        return one_hot(mask[:, ::step, ::step], classes=self.classes, weight=self.to_image.weight)


class SpadeGenerator(MaskGenerator):
    """The SPADE or CLADE generator for label map and size of ``context``."""

    def forward(self, condition: Condition, style: Style | None) -> Generated:
        """Return images of the masks of ``condition``.

        Raises:
            FacekitError: it starts from a style, and there is none.
        """
        if self.latent and style is None:
            raise FacekitError(
                "the generator 'spade' with `latent` starts from a style, but was given none",
                remedy="give the recipe a style encoder: `model.style_encoder: {use: spade_encoder}`",
            )
        return self.generate(condition.require_mask(), style=style.code if self.latent and style else None)


class SeanGenerator(MaskGenerator):
    """The SEAN generator for the label map of ``context``."""

    def __init__(self, options: SeanOptions, context: BuildContext) -> None:
        super().__init__(options, context)
        self.dense = RegionDense(classes=self.classes, code=options.code) if options.share_dense else None
        if self.dense is not None:
            initialise_xavier(self.dense, gain=options.gain)

    def forward(self, condition: Condition, style: Style | None) -> Generated:
        """Return images of the masks of ``condition`` with the codes of ``style`` (N, classes, code).

        Raises:
            FacekitError: there is no style.
        """
        if style is None:
            raise FacekitError(
                "the generator 'sean' needs a code for every region, and there is none",
                remedy="give the recipe its style encoder: `model.style_encoder: {use: sean_style}`",
            )
        codes = style.code if self.dense is None else self.dense(style.code)
        return self.generate(condition.require_mask(), codes=codes)


@dataclass(frozen=True, slots=True)
class SpadeStyle(Style):
    """A style (N, D), and mean and log-variance (N, D) of the normal distribution that it was drawn from."""

    mean: Tensor | None = None
    log_variance: Tensor | None = None


class SpadeEncoder(nn.Module):
    """SPADE's image encoder: 3/2/1 convolutions with spectral and instance norm down to 4 pixels, and two dense layers.

    In training the style is drawn from the distribution that it reads, and is the distribution's mean elsewhere.
    """

    updated_early = True

    def __init__(self, options: SpadeEncoderOptions, context: BuildContext) -> None:
        super().__init__()
        self.side = encoder_side(options, context.size)
        widths = [3, *(options.filters * min(2**level, 8) for level in range(self.side.bit_length() - 3))]
        self.layers = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False) for inputs, outputs in pairwise(widths)
        )
        self.mean, self.log_variance = (nn.Linear(16 * widths[-1], options.latent) for _ in range(2))
        initialise_xavier(self, gain=PUBLISHED_GAIN)
        for layer in self.layers:
            parametrizations.spectral_norm(layer)

    def forward(self, image: Tensor, mask: Tensor | None) -> SpadeStyle:
        """Return the styles (N, latent) of photos (N, 3, H, W) in [-1, 1]; the mask is not read."""
        if image.shape[2:] != (self.side, self.side):
            image = F.interpolate(image, size=(self.side, self.side), mode="bilinear")
        for layer in self.layers:
            image = instance_norm(layer(image), slope=LEAKY_SLOPE)
        numbers = image.flatten(1)
        mean, log_variance = self.mean(numbers).float(), self.log_variance(numbers).float()
        code = mean + torch.randn_like(mean) * (log_variance / 2).exp() if self.training else mean
        return SpadeStyle(code, mean=mean, log_variance=log_variance)


class SeanStyleEncoder(nn.Module):
    """SEAN's style encoder: the photo to features at half of its size, averaged over each region.

    Layer plan, with instance norm and leaky ReLU after each but the last: reflected 3/1 to f; 3/2/1 to 2 f and 4 f;
    transposed 3/2/1 to 8 f; reflected 3/1 to the code; tanh.

    A region that a photo does not show has the mean code of those that did in training, and zeros before any did.
    """

    updated_early = True

    def __init__(self, options: SeanStyleOptions, context: BuildContext) -> None:
        super().__init__()
        self.classes, filters = len(context.label_map), options.filters
        halvings = (nn.Conv2d(wide, 2 * wide, 3, stride=2, padding=1) for wide in (filters, 2 * filters))
        doubling = doubling_convolution(4 * filters, 8 * filters, "transposed")
        self.layers = nn.ModuleList([ReflectedConvolution(3, filters, kernel=3), *halvings, doubling])
        self.last = ReflectedConvolution(8 * filters, options.code, kernel=3)
        self.means = RegionMeans(self.classes, options.code)
        initialise_xavier(self, gain=PUBLISHED_GAIN)
        initialise_xavier(self.last, gain=options.gain)

    def forward(self, image: Tensor, mask: Tensor) -> Style:
        """Return the codes (N, classes, code) in [-1, 1] of photos (N, 3, H, W) with their class ids (N, H, W)."""
        image = ordered_for(self.last.weight, image)
        for layer in self.layers:
            image = instance_norm(layer(image), slope=LEAKY_SLOPE)
        planes = one_hot(mask[:, ::2, ::2], classes=self.classes, weight=self.last.weight)
        codes, present = self.means(torch.tanh(self.last(image)), planes)
        return Style(codes, "regions", present)
