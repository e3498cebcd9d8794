"""The networks: a U-Net that fills holes, and a discriminator that looks at them.

The generator sees what lies around the hole and what the mask asks for. What it makes replaces the hole and nothing
else, so that all other pixels are the photo's. Nothing in it is normalised over the image: a hole takes light and tone
from what lies around it.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from facekit.interfaces import (
    HOLE,
    BuildContext,
    Condition,
    DiscriminatorOutput,
    FacekitError,
    Generated,
    ScaleOutput,
    Style,
)
from facekit_layers import instance_norm, one_hot, ordered_for

from .first_fill import fill_by_region, fill_smoothly
from .plugin import NOISE_LEVELS, STEP, TEXTURED, DiscriminatorOptions, GeneratorOptions, noise_name

SLOPE = 0.2
"""Slope of every leaky ReLU for negative values."""

HEADS = 4
"""Heads of the attention."""

START = 0.1
"""Initial factor on what residual blocks, attention and region codes add."""


KEPT = 0.8
"""How much less the network changes a place that has the detail of its region than one that has none."""

LARGEST_VALUE = 0.98
"""Largest value, either way, that a hole begins with: tanh reaches 1 nowhere."""


class ResidualBlock(nn.Module):
    """Features plus a small multiple of two 3x3 convolutions of them, with leaky ReLU before each.

    Args:
        channels: channels of the features.
        dilation: of the first convolution.
    """

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.gain = nn.Parameter(torch.full((1, channels, 1, 1), START))

    def forward(self, features: Tensor) -> Tensor:
        """N,channels,H,W to the same shape."""
        hidden = self.first(F.leaky_relu(features, SLOPE))
        added: Tensor = self.gain * self.second(F.leaky_relu(hidden, SLOPE))
        return features + added


class ContextAttention(nn.Module):
    """Attention of all places to those that lie outside the hole.

    Args:
        channels: channels of the features, a multiple of :data:`HEADS`.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, channels, 1)
        self.key_value = nn.Conv2d(channels, 2 * channels, 1)
        self.last = nn.Conv2d(channels, channels, 1)
        self.gain = nn.Parameter(torch.full((1, channels, 1, 1), START))

    def forward(self, features: Tensor, visible: Tensor) -> Tensor:
        """Attend.

        Args:
            features: (N, channels, h, w).
            visible: (N, 1, h, w), the share of each place that the photo shows.
        """
        hidden = F.leaky_relu(features, SLOPE)

        def heads(planes: Tensor) -> Tensor:
            return planes.flatten(2).unflatten(1, (HEADS, -1)).transpose(2, 3)

        query = heads(self.query(hidden))
        key, value = (heads(each) for each in self.key_value(hidden).chunk(2, dim=1))
        # Places that are all hole get almost no weight; none is shut out, so that a hole over all stays finite.
        bias = visible.flatten(2).clamp_min(1e-4).log()[:, :, None].to(query.dtype)
        found = F.scaled_dot_product_attention(query, key, value, attn_mask=bias.expand(-1, HEADS, query.shape[2], -1))
        planes = found.transpose(2, 3).flatten(1, 2).unflatten(2, features.shape[-2:])
        added: Tensor = self.gain * self.last(planes)
        return features + added


class RegionCodes(nn.Module):
    """Scale and shift of every place by the mean features of what the photo shows of the place's region.

    Args:
        read: channels of the features that are averaged.
        classes: classes of the masks.
        changed: channels of the features that are scaled and shifted.
    """

    def __init__(self, read: int, classes: int, changed: int) -> None:
        super().__init__()
        self.of_code = nn.Linear(read, 2 * changed)
        self.of_class = nn.Parameter(torch.zeros(classes, 2 * changed))
        nn.init.normal_(self.of_code.weight, std=START / read**0.5)
        nn.init.zeros_(self.of_code.bias)

    def forward(self, features: Tensor, read: Tensor, seen: Tensor, planes: Tensor) -> Tensor:
        """Transform ``features`` (N, changed, h, w).

        Args:
            features: what is transformed.
            read: features (N, read, H, W) that are averaged.
            seen: planes (N, classes, H, W) of what the photo shows of every region.
            planes: planes (N, classes, h, w) of the wanted regions.
        """
        weight = seen.flatten(2).to(read.dtype)
        count = weight.sum(2, keepdim=True)
        code = weight @ read.flatten(2).transpose(1, 2) / count.clamp_min(1e-3)
        # A region of a pixel or two counts little, one that the photo does not show nothing.
        table = self.of_code(code) * (count / (count + 1)) + self.of_class
        places = (table.transpose(1, 2) @ planes.flatten(2).to(table.dtype)).unflatten(2, features.shape[-2:])
        shift, scale = places.chunk(2, dim=1)
        return torch.addcmul(features + shift, features, scale)


class HoleUNet(nn.Module):
    """A U-Net over a photo with a hole, and a change of what the hole begins with.

    Layer plan, with leaky ReLU 0.2 between all: 5x5 to ``filters``; 4/2/1 to 2, 4 and 5 times as many; residual blocks
    of dilation 1, 2, 4 and 1 with attention in their middle; three times pixels repeated, joined to the features of
    that size, 3x3, noise, a residual block; 5x5 to 3.

    Args:
        options: of the generator.
        classes: classes of the masks.
    """

    def __init__(self, options: GeneratorOptions, *, classes: int) -> None:
        super().__init__()
        full = options.filters
        widths = (full, 2 * full, 4 * full, 5 * full)
        deepest = widths[-1]
        self.enter = nn.Conv2d(3 + 1 + classes, full, 5, padding=2)
        self.downs = nn.ModuleList(nn.Conv2d(wide, wider, 4, stride=2, padding=1) for wide, wider in pairwise(widths))
        self.before = nn.Sequential(ResidualBlock(deepest), ResidualBlock(deepest, 2))
        self.attention = ContextAttention(deepest) if options.attention else None
        self.codes = RegionCodes(widths[2], classes, deepest) if options.region_codes else None
        self.after = nn.Sequential(ResidualBlock(deepest, 4), ResidualBlock(deepest))
        # By level, finest first, as widths are.
        self.joins = nn.ModuleList(
            nn.Conv2d(widths[level + 1] + widths[level], widths[level], 3, padding=1) for level in range(NOISE_LEVELS)
        )
        self.blocks = nn.ModuleList(ResidualBlock(widths[level]) for level in range(NOISE_LEVELS))
        self.noise_gains = nn.ParameterList(nn.Parameter(torch.zeros(1, width, 1, 1)) for width in widths[:-1])
        self.leave = nn.Conv2d(full, 3, 5, padding=2)
        nn.init.normal_(self.leave.weight, std=0.01)
        if self.leave.bias is not None:
            nn.init.zeros_(self.leave.bias)

    def forward(self, given: Tensor, finer: Tensor | None, condition: Condition) -> tuple[Tensor, Tensor]:
        """Return features and change.

        Args:
            given: (N, 4 + classes, h, w): photo with its hole begun, hole, and planes of the mask.
            finer: (N, filters, h, w), added to the first features; None for nothing.
            condition: has the noise.

        Returns:
            (N, filters, h, w) after a leaky ReLU, and (N, 3, h, w).
        """
        hole, planes = given[:, 3:4], given[:, 4:]
        features: Tensor = self.enter(given)
        features = features if finer is None else features + finer
        skips: list[Tensor] = []
        for down in self.downs:
            skips.append(features)
            features = down(F.leaky_relu(features, SLOPE))
        features = self.before(features)
        if self.attention is not None:
            features = self.attention(features, F.avg_pool2d(1 - hole, STEP))
        if self.codes is not None:
            visible = F.avg_pool2d(planes * (1 - hole), STEP // 2)
            features = self.codes(features, skips[2], visible, F.avg_pool2d(planes, STEP))
        features = self.after(features)
        for level in reversed(range(NOISE_LEVELS)):
            wider = F.interpolate(F.leaky_relu(features, SLOPE), scale_factor=2, mode="nearest")
            features = self.joins[level](torch.cat([wider, skips[level]], dim=1))
            noise = condition.extra[noise_name(level)].to(features.dtype)
            features = self.blocks[level](features + self.noise_gains[level] * noise)
        features = F.leaky_relu(features, SLOPE)
        return features, self.leave(features)


class LocalEditGenerator(nn.Module):
    """Fills the hole of a photo: a first fill begins, and :class:`HoleUNet` changes what it began with.

    With ``fold`` the U-Net sees the photo at a half or a quarter of its side. Two layers join it to the full size: one
    adds what squares of pixels show to its first features, one adds to its change what differs within them (Shi et al.,
    CVPR 2016). Both begin at zero, so that a U-Net that was trained on smaller images goes on where it was.

    Args:
        options: its options.
        classes: classes of the masks.
        textured: (classes,), 1 for those whose texture goes on into a hole.
    """

    textured: Tensor

    def __init__(self, options: GeneratorOptions, *, classes: int, textured: Tensor) -> None:
        super().__init__()
        self.classes = classes
        self.fold = options.fold
        self.by_region = options.first_fill == "by_region"
        self.register_buffer("textured", textured.clone(), persistent=False)
        self.core = HoleUNet(options, classes=classes)
        self.fold_in: nn.Conv2d | None = None
        self.fold_out: nn.Conv2d | None = None
        if options.fold > 1:
            squares = options.fold**2
            self.fold_in = nn.Conv2d((3 + 1 + classes) * squares, options.filters, 3, padding=1, bias=False)
            self.fold_out = nn.Conv2d(options.filters, 3 * squares, 3, padding=1, bias=False)
            for layer in (self.fold_in, self.fold_out):
                nn.init.zeros_(layer.weight)

    def forward(self, condition: Condition, style: Style | None) -> Generated:
        """Return the photos of ``condition`` with their holes filled by its masks, (N, 3, H, W) float32 in [-1, 1].

        Raises:
            FacekitError: there is no photo or no hole.
        """
        photo, hole = condition.source_image, condition.extra.get(HOLE.name)
        if photo is None or hole is None:
            raise FacekitError(
                "the generator 'local_edit' fills a hole in a photo, and was not given both",
                remedy="train it on windows of photos: `data: {use: celebamask_hq, windows: {}}`",
            )
        ids = condition.require_mask()
        planes = one_hot(ids, classes=self.classes, weight=self.core.enter.weight)
        if self.by_region:
            begun, detailed = fill_by_region(photo, hole, ids, planes, self.textured)
        else:
            begun, detailed = fill_smoothly(photo, hole), torch.zeros_like(hole)
        given = torch.cat([begun.to(planes.dtype), hole.to(planes.dtype), planes], dim=1)
        finer = None
        if self.fold_in is not None:
            finer = self.fold_in(F.pixel_unshuffle(given, self.fold))
            given = F.avg_pool2d(given, self.fold)
        features, change = self.core(ordered_for(self.core.enter.weight, given), finer, condition)
        change = change.float()
        if self.fold_out is not None:
            change = F.interpolate(change, scale_factor=self.fold, mode="bilinear", align_corners=False)
            change = change + F.pixel_shuffle(self.fold_out(features).float(), self.fold)
        change = change * (1 - KEPT * detailed.float())
        made = torch.tanh(change + torch.atanh(begun.float().clamp(-LARGEST_VALUE, LARGEST_VALUE)))
        return Generated(torch.where(hole > 0, made, photo.float()))


class HoleDiscriminator(nn.Module):
    """Discriminates patches of a hole, with photo, hole and mask before it.

    Layer plan, with leaky ReLU 0.2 between all: 4/2/1 to ``filters``, 4/2/1 to twice and then to four times as many,
    as often as ``halvings`` says, 3/1/1 to as many, each but the first with instance norm or all with spectral norm
    (Miyato et al., ICLR 2018). Logits by 3x3 after the second layer, of patches of 18 pixels, and after the last one,
    of 54 where the image was halved three times.

    Args:
        options: its options.
        classes: classes of the masks.
    """

    def __init__(self, options: DiscriminatorOptions, *, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.patches = options.patches
        widths = [options.filters * min(2**level, 4) for level in range(options.halvings)]
        middle, wide = widths[1], widths[-1]
        halvings = [nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairwise((3 + 1 + classes, *widths))]
        plan = [*halvings, nn.Conv2d(wide, wide, 3, padding=1)]
        self.layers = nn.ModuleList(plan)
        self.fine = nn.Conv2d(middle, 1, 3, padding=1)
        self.coarse = nn.Conv2d(wide, 1, 3, padding=1)
        self.spectral = options.norm == "spectral"
        for layer in (*plan, self.fine, self.coarse):
            if self.spectral:
                parametrizations.spectral_norm(layer)
            else:
                nn.init.normal_(layer.weight, std=0.02)

    def forward(self, image: Generated, condition: Condition) -> DiscriminatorOutput:
        """Discriminate images (N, 3, H, W) by what they show in the holes of ``condition``.

        Raises:
            FacekitError: there is no hole.
        """
        hole = condition.extra.get(HOLE.name)
        if hole is None:
            raise FacekitError("the discriminator 'hole_patch' discriminates holes, and was given none")
        planes = one_hot(condition.require_mask(), classes=self.classes, weight=image.image)
        hidden = torch.cat([image.image.to(planes.dtype), hole.to(planes.dtype), planes], dim=1)
        hidden = hidden.contiguous(memory_format=torch.channels_last)
        features: list[Tensor] = []
        for number, layer in enumerate(self.layers):
            plain = self.spectral or number == 0
            hidden = F.leaky_relu(layer(hidden), SLOPE) if plain else instance_norm(layer(hidden), slope=SLOPE)
            features.append(hidden)
        fine = within(self.fine(features[1]), hole, self.patches)
        coarse = within(self.coarse(hidden), hole, self.patches)
        return DiscriminatorOutput((ScaleOutput(fine, tuple(features[:2])), ScaleOutput(coarse, tuple(features[2:]))))


def within(logits: Tensor, hole: Tensor, count: int) -> Tensor:
    """Return the logits of places spread evenly over holes, so that a small hole counts as much as a large one.

    Args:
        logits: (N, 1, h, w).
        hole: (N, 1, H, W), 1 inside; H and W multiples of h and w. Where a hole is empty, all places count.
        count: places that are taken; a place counts several times where a hole has fewer.

    Returns:
        (N, 1, count).
    """
    share = F.adaptive_avg_pool2d(hole.float(), (logits.shape[-2], logits.shape[-1])).flatten(1)
    share = torch.where(share.sum(1, keepdim=True) > 0, share, torch.ones_like(share))
    until = share.cumsum(1)
    middles = (torch.arange(count, device=logits.device) + 0.5) / count
    places = torch.searchsorted(until, middles * until[:, -1:]).clamp_max(share.shape[1] - 1)
    return logits.flatten(2).gather(2, places[:, None])


def build_generator(options: GeneratorOptions, context: BuildContext) -> LocalEditGenerator:
    """Build the generator for the label map of ``context``.

    Raises:
        FacekitError: ``textured`` names a region that the label map lacks.
    """
    names = context.label_map.names
    chosen = TEXTURED if options.textured is None else options.textured
    context.label_map.check_names(options.textured or (), where="model.generator.textured")
    textured = torch.tensor([float(name in chosen) for name in names])
    return LocalEditGenerator(options, classes=len(names), textured=textured)


def build_discriminator(options: DiscriminatorOptions, context: BuildContext) -> HoleDiscriminator:
    """Build the discriminator for the label map of ``context``."""
    return HoleDiscriminator(options, classes=len(context.label_map))
