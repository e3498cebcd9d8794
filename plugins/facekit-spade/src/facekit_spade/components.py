"""The generators, style encoders and the loss of SPADE and SEAN behind facekit's interfaces."""

from __future__ import annotations

from collections.abc import Callable
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
    ReflectedConvolution,
    RegionDense,
    SeanNorm,
    SpadeNorm,
    instance_norm,
    one_hot,
)

from .plugin import SeanOptions, SeanStyleOptions, SpadeEncoderOptions, SpadeOptions, encoder_side

LEAKY_SLOPE = 0.2
PUBLISHED_GAIN = 0.02
"""Gain of the initial weights as published, and always that of layers whose result is normalised or is the image."""

WINDOW = 2000
"""So many photos, about the last ones, the mean code of a region is taken over: codes change while they are learnt."""

MakeNorm = Callable[[bool, int], nn.Module]
"""Makes a norm, for a block that reads codes or for one that does not, of so many channels."""


def initialise(module: nn.Module, *, gain: float) -> None:
    """Draw the weights of every convolution and dense layer from Xavier's normal times ``gain``; biases are 0."""
    for part in module.modules():
        if isinstance(part, RegionDense):
            for weight in part.weight:
                nn.init.xavier_normal_(weight, gain)
        elif isinstance(part, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.xavier_normal_(part.weight, gain)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


class Block(nn.Module):
    """Two 3x3 convolutions, each behind a norm that reads the mask and leaky ReLU, plus the features as they were.

    Where the channels change, a norm and a 1x1 convolution without bias stand in the shortcut.

    Args:
        inputs: channels that it takes.
        outputs: channels that it gives.
        norm: makes a norm of so many channels.
    """

    def __init__(self, inputs: int, outputs: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        middle = min(inputs, outputs)
        self.first_norm, self.second_norm = norm(inputs), norm(middle)
        self.first = nn.Conv2d(inputs, middle, 3, padding=1)
        self.second = nn.Conv2d(middle, outputs, 3, padding=1)
        self.shortcut_norm = norm(inputs) if inputs != outputs else None
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False) if inputs != outputs else None

    def forward(self, features: Tensor, planes: Tensor, codes: Tensor | None) -> Tensor:
        """N,inputs,H,W to N,outputs,H,W, by the one-hot mask of that size and codes by region."""
        hidden = self.first(F.leaky_relu(self.first_norm(features, planes, codes), LEAKY_SLOPE, inplace=True))
        hidden = self.second(F.leaky_relu(self.second_norm(hidden, planes, codes), LEAKY_SLOPE, inplace=True))
        if self.shortcut is None or self.shortcut_norm is None:
            return features + hidden
        kept: Tensor = self.shortcut(self.shortcut_norm(features, planes, codes))
        return kept + hidden


class MaskGenerator(nn.Module):
    """SPADE's generator with any norm that reads the mask.

    Layer plan, with f for ``filters``: the one-hot mask at the smallest size, 3/1/1 to 16 f, or a style by a dense
    layer; blocks of 16 f, 16 f, 16 f, 8 f, 4 f, 2 f and f channels, and with 7 upsamplings f / 2, the size doubled
    before each but the first (and, with 5 upsamplings, but the third); leaky ReLU; 3/1/1 to the image; tanh.

    Args:
        options: its options.
        classes: classes of the masks.
        norm: makes the norms.
        latent: numbers of the style that it starts from; 0 for none.
        start: side of the features at the smallest size; only read with ``latent``.
    """

    last_layer = "to_image.weight"
    updated_early = True

    def __init__(
        self, options: SpadeOptions | SeanOptions, *, classes: int, norm: MakeNorm, latent: int = 0, start: int = 0
    ) -> None:
        super().__init__()
        self.classes, self.upsamplings, self.latent, self.start_side = classes, options.upsamplings, latent, start
        filters = options.filters
        widths = [16 * filters] * 4 + [8 * filters, 4 * filters, 2 * filters, filters]
        if options.upsamplings == 7:
            widths.append(filters // 2)
        self.start = nn.Linear(latent, widths[0] * start**2) if latent else nn.Conv2d(classes, widths[0], 3, padding=1)
        # In SEAN the block that ends with `filters` channels reads no codes.
        self.blocks = nn.ModuleList(
            Block(inputs, outputs, partial(norm, outputs != filters)) for inputs, outputs in pairwise(widths)
        )
        self.to_image = nn.Conv2d(widths[-1], 3, 3, padding=1)
        initialise(self, gain=options.gain)
        initialise(self.to_image, gain=PUBLISHED_GAIN)
        for block in self.blocks:
            for name, layer in block.named_children():
                if name in ("first", "second", "shortcut"):
                    parametrizations.spectral_norm(layer)

    def generate(self, mask: Tensor, *, style: Tensor | None = None, codes: Tensor | None = None) -> Generated:
        """Return images (N, 3, H, W), float32 in [-1, 1].

        Args:
            mask: class ids (N, H, W); H and W multiples of 2^upsamplings.
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
    """The SPADE or CLADE generator as a facekit generator."""

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
    """The SEAN generator as a facekit generator.

    Args:
        options: its options.
        classes: classes of the masks.
    """

    def __init__(self, options: SeanOptions, *, classes: int) -> None:
        def norm(styled: bool, channels: int) -> nn.Module:
            return SeanNorm(
                channels,
                classes=classes,
                hidden=options.hidden,
                statistics=options.statistics,
                code=options.code if styled else 0,
                dense=not options.share_dense,
                noise=options.noise,
            )

        super().__init__(options, classes=classes, norm=norm)
        self.dense = RegionDense(classes=classes, code=options.code) if options.share_dense else None
        if self.dense is not None:
            initialise(self.dense, gain=options.gain)

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
    """A style and the normal distribution that it was drawn from.

    Args:
        mean: (N, D).
        log_variance: (N, D).
    """

    mean: Tensor | None = None
    log_variance: Tensor | None = None


class SpadeEncoder(nn.Module):
    """SPADE's image encoder: 3/2/1 convolutions with spectral and instance norm down to 4 pixels, and two dense layers.

    In training the style is drawn from the distribution that it reads, and is the distribution's mean elsewhere.

    Args:
        options: its options.
        side: side in pixels that photos are resized to.
    """

    updated_early = True

    def __init__(self, options: SpadeEncoderOptions, *, side: int) -> None:
        super().__init__()
        self.side = side
        widths = [3, *(options.filters * min(2**level, 8) for level in range(side.bit_length() - 3))]
        self.layers = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False) for inputs, outputs in pairwise(widths)
        )
        self.mean, self.log_variance = (nn.Linear(16 * widths[-1], options.latent) for _ in range(2))
        initialise(self, gain=PUBLISHED_GAIN)
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

    Args:
        options: its options.
        classes: classes of the masks.
    """

    updated_early = True
    mean_code: Tensor
    seen: Tensor

    def __init__(self, options: SeanStyleOptions, *, classes: int) -> None:
        super().__init__()
        self.classes, filters = classes, options.filters
        self.layers = nn.ModuleList(
            [
                ReflectedConvolution(3, filters, kernel=3),
                nn.Conv2d(filters, 2 * filters, 3, stride=2, padding=1),
                nn.Conv2d(2 * filters, 4 * filters, 3, stride=2, padding=1),
                nn.ConvTranspose2d(4 * filters, 8 * filters, 3, stride=2, padding=1, output_padding=1),
            ]
        )
        self.last = ReflectedConvolution(8 * filters, options.code, kernel=3)
        self.register_buffer("mean_code", torch.zeros(classes, options.code))
        self.register_buffer("seen", torch.zeros(classes, dtype=torch.int64))
        initialise(self, gain=PUBLISHED_GAIN)
        initialise(self.last, gain=options.gain)

    def forward(self, image: Tensor, mask: Tensor) -> Style:
        """Return the codes (N, classes, code) in [-1, 1] of photos (N, 3, H, W) with their class ids (N, H, W)."""
        if self.last.weight.is_contiguous(memory_format=torch.channels_last):
            image = image.contiguous(memory_format=torch.channels_last)
        for layer in self.layers:
            image = instance_norm(layer(image), slope=LEAKY_SLOPE)
        features = torch.tanh(self.last(image)).float().flatten(2)
        planes = F.one_hot(mask[:, ::2, ::2].flatten(1).long(), self.classes).transpose(1, 2).float()
        with torch.autocast(image.device.type, enabled=False):
            area = planes.sum(2, keepdim=True)
            codes = planes @ features.transpose(1, 2) / area.clamp_min(1)
        present = area > 0
        found = torch.where(present, codes, self.mean_code)
        if self.training:
            self._remember(codes.detach(), present)
        return Style(found, "regions", present[..., 0])

    @torch.no_grad()
    def _remember(self, codes: Tensor, present: Tensor) -> None:
        """Count the codes (N, classes, code) of regions that are present (N, classes, 1) in the mean."""
        count = present.sum(0)
        self.seen += count[:, 0]
        share = (count / self.seen.clamp(1, WINDOW)[:, None]).clamp_max(1)
        # Codes of absent regions are zeros.
        self.mean_code.lerp_(codes.sum(0) / count.clamp_min(1), share)


def build_spade(options: SpadeOptions, context: BuildContext) -> SpadeGenerator:
    """Build the SPADE or CLADE generator for label map and size of ``context``."""
    classes = len(context.label_map)

    def norm(styled: bool, channels: int) -> nn.Module:
        if options.norm == "clade":
            return CladeNorm(channels, classes=classes, statistics=options.statistics)
        return SpadeNorm(channels, classes=classes, hidden=options.hidden, statistics=options.statistics)

    start = context.size // 2**options.upsamplings
    return SpadeGenerator(options, classes=classes, norm=norm, latent=options.latent, start=start)


def build_sean(options: SeanOptions, context: BuildContext) -> SeanGenerator:
    """Build the SEAN generator for the label map of ``context``."""
    return SeanGenerator(options, classes=len(context.label_map))


def build_spade_encoder(options: SpadeEncoderOptions, context: BuildContext) -> SpadeEncoder:
    """Build the image encoder for the size of ``context``."""
    return SpadeEncoder(options, side=encoder_side(options, context.size))


def build_sean_style(options: SeanStyleOptions, context: BuildContext) -> SeanStyleEncoder:
    """Build SEAN's style encoder for the label map of ``context``."""
    return SeanStyleEncoder(options, classes=len(context.label_map))
