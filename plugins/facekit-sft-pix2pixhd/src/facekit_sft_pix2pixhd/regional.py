"""The regional form of the SFT/AdaIN pix2pixHD: a code for every region, and the reference's features over the mask.

Three things of a reference reach the result. The mask in the mean colours of its regions, blurred, is what an image
begins with. AdaIN with one code a region, in place of one for the image (after SEAN, Zhu et al., CVPR 2020, and CLADE,
Tan et al., TPAMI 2021), carries statistics. Spatial feature transforms (Wang et al., CVPR 2018), conditioned on the
features of the reference, carry what has a place: an eye's colour, a beard, a curl. The features of every region are
first moved to where the mask has that region.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.interfaces import BuildContext, Condition, FacekitError, Generated, Style
from facekit_layers import (
    ReflectedConvolution,
    RegionMeans,
    doubling_convolution,
    initialise_as_published,
    instance_norm,
    one_hot,
    ordered_for,
    spread_over_regions,
)

from .aligned_features import RegionRoles, aligned_features
from .initialisation import initialise_he
from .layers import SFT_LEAKY_SLOPE
from .plugin import RegionalGeneratorOptions, RegionalStyleOptions, detail_channels

COLOUR_NUMBERS = 6
"""Mean and deviation of red, green and blue of a region."""

COLOURS = 3
"""Numbers at the end of a code: the mean colour of the region, with which a generator begins."""

LARGEST_COLOUR = 0.95
"""Largest value, either way, that an image begins with: tanh reaches 1 nowhere."""

SOFT_REACH = 1 / 32
"""How far, as a share of the side, colours are averaged, twice: with hard borders, faces look cut out of paper."""

PLANES_BESIDE_DETAILS = 2
"""Where the reference shows anything at all, and how far its features were moved."""

TEXTURE_REGIONS = ("hair",)
"""Regions of one texture, where the recipe names none."""

SKIN, NOSE, MOUTH = "skin", "nose", ("mouth", "u_lip", "l_lip")
"""Regions by which it is told whether skin may have the reference's features."""

START = 0.3
"""Factor on the initial weights of what changes features by those of the reference: shapes are learnt before places of
references tell them apart."""


@dataclass(frozen=True, slots=True)
class RegionalStyle(Style):
    """One code a region, and the features of the references that they were read from.

    Args:
        full: features (N, S, C, H, W) of S references; None for none, as for all that follows.
        half: the same at half of the size.
        quarter: the same at a quarter.
        mask: their class ids (N, S, H, W).
        share: what each reference counts in a region, (N, R, S); its sum over S is 1.
    """

    full: Tensor | None = None
    half: Tensor | None = None
    quarter: Tensor | None = None
    mask: Tensor | None = None
    share: Tensor | None = None

    def take(self, other: Style, where: Sequence[int]) -> Style:
        """Return this style with some regions' codes and features of another one."""
        mixed = cast("RegionalStyle", Style.take(self, other, where))
        share = torch.zeros(self.code.shape[1], device=self.code.device)
        share[list(where)] = 1
        return self._with_features(mixed, other, share)

    def towards(self, other: Style, share: float) -> Style:
        """Return the style ``share`` of the way to another one; the features of both are mixed, at most all of one."""
        mixed = cast("RegionalStyle", Style.towards(self, other, share))
        whole = torch.full(self.code.shape[1:2], min(max(share, 0.0), 1.0), device=self.code.device)
        return self._with_features(mixed, other, whole)

    def _with_features(self, mixed: RegionalStyle, other: Style, share: Tensor) -> RegionalStyle:
        own, theirs = _details_of(self), _details_of(other)
        if (own is None) != (theirs is None):
            raise ValueError(
                "the styles are of different style encoders: only one of them has the reference's features"
            )
        if own is None or theirs is None:
            return mixed
        count = len(self.code)

        def both(first: Tensor, second: Tensor) -> Tensor:
            return torch.cat([first, second.to(first.dtype).expand(count, *second.shape[1:])], dim=1)

        kept, taken = own.share * (1 - share)[:, None], theirs.share * share[:, None]
        full, half, quarter = (both(*levels) for levels in zip(own.levels, theirs.levels, strict=True))
        return replace(
            mixed,
            full=full,
            half=half,
            quarter=quarter,
            mask=both(own.mask, theirs.mask),
            share=torch.cat([kept, taken.expand(count, *taken.shape[1:])], dim=2),
        )


class _Details(NamedTuple):
    """The features of references: see :class:`RegionalStyle`."""

    levels: tuple[Tensor, ...]
    mask: Tensor
    share: Tensor


def _details_of(style: Style) -> _Details | None:
    """Return the features of a style, of whatever class; None where it has none."""
    names = ("full", "half", "quarter", "mask", "share")
    found = [tensor for tensor in (getattr(style, name, None) for name in names) if tensor is not None]
    return _Details(tuple(found[:3]), found[3], found[4]) if len(found) == len(names) else None


def region_statistics(image: Tensor, member: Tensor) -> Tensor:
    """Return mean and deviation of the colours of every region.

    Args:
        image: (N, 3, H, W) in [-1, 1].
        member: one-hot planes (N, classes, H, W).

    Returns:
        (N, classes, 6) float32; for absent regions zeros and the smallest deviation, 0.01.
    """
    with torch.autocast(image.device.type, enabled=False):
        pixels = image.float().flatten(2).transpose(1, 2)
        planes = member.flatten(2).float()
        moments = planes @ torch.cat([pixels, pixels.square()], dim=2) / planes.sum(2, keepdim=True).clamp_min(1)
        mean, square = moments.chunk(2, dim=2)
        return torch.cat([mean, (square - mean.square()).clamp_min(1e-4).sqrt()], dim=2)


class RegionalStyleEncoder(nn.Module):
    """Reads a code for every region of a photo, and features at three sizes.

    Layer plan, reflection-padded and without norm: 7/1/3 to ``filters``, ReLU; 4/2/1 to twice as many, ReLU; 4/2/1 to
    four times as many, ReLU; 3/1/1 to as many. The last ones are averaged over each region; with the region's mean
    colour, its deviation and its class they go through a hidden layer to the code, whose last three numbers are the
    mean colour itself. A region that a photo does not show has the mean code of those that did in training: a learnt
    one has no photo to learn from but where regions are hidden, and glows after 800 steps.

    Args:
        options: its options.
        classes: classes of the masks.
    """

    def __init__(self, options: RegionalStyleOptions, *, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.gives_details = options.details
        fine, middle, coarse = detail_channels(options.filters)
        self.stem: ReflectedConvolution | None = None
        pooled = 0
        if options.convolutions:
            self.stem = ReflectedConvolution(3, fine, kernel=7)
            self.downs = nn.ModuleList(
                [
                    ReflectedConvolution(fine, middle, kernel=4, stride=2),
                    ReflectedConvolution(middle, coarse, kernel=4, stride=2),
                ]
            )
            self.last = ReflectedConvolution(coarse, coarse, kernel=3)
            pooled = coarse
            for convolution in (self.stem, *self.downs, self.last):
                initialise_he(convolution)
        self.hidden = nn.Linear(pooled + COLOUR_NUMBERS + classes, options.hidden)
        self.head = nn.Linear(options.hidden, options.code - COLOURS)
        self.codes = RegionMeans(classes, options.code)
        nn.init.kaiming_normal_(self.hidden.weight, nonlinearity="relu")
        nn.init.zeros_(self.hidden.bias)
        nn.init.normal_(self.head.weight, std=1 / options.hidden**0.5)
        nn.init.zeros_(self.head.bias)

    def forward(self, image: Tensor, mask: Tensor) -> RegionalStyle:
        """Return the codes of photos (N, 3, H, W) in [-1, 1] with their own class ids (N, H, W); H and W by 4."""
        weight = self.hidden.weight if self.stem is None else self.stem.weight
        image = ordered_for(weight, image)
        member = one_hot(mask, classes=self.classes, weight=self.hidden.weight)
        colours = region_statistics(image, member)
        read = [colours]
        details: list[Tensor] = []
        if self.stem is not None:
            features = F.relu(self.stem(image))
            details.append(features)
            for down in self.downs:
                features = F.relu(down(features))
                details.append(features)
            planes = F.avg_pool2d(member, 4).flatten(2)
            pooled = planes @ self.last(features).to(planes.dtype).flatten(2).transpose(1, 2)
            read.insert(0, pooled / planes.sum(2, keepdim=True).clamp_min(1e-3))
        who = torch.eye(self.classes, device=mask.device).expand(mask.shape[0], -1, -1)
        code = self.head(F.relu(self.hidden(torch.cat([*read, who], dim=2))))
        code = torch.cat([code, colours[..., :COLOURS].to(code.dtype)], dim=2)
        present = member.flatten(2).sum(2) > 0
        code = self.codes.fill(code, present)
        if not self.gives_details:
            return RegionalStyle(code, "regions", present)
        full, half, quarter = (features[:, None] for features in details)
        return RegionalStyle(
            code,
            "regions",
            present,
            full=full,
            half=half,
            quarter=quarter,
            mask=mask[:, None],
            share=torch.ones_like(code[..., :1]),
        )


class RegionalNorm(nn.Module):
    """Instance norm, then the scale and shift of every place's region: those of its class and of its code.

    Args:
        channels: channels of the features.
        classes: classes of the masks.
        code: numbers in a region's code.
    """

    def __init__(self, channels: int, *, classes: int, code: int) -> None:
        super().__init__()
        self.of_code = nn.Linear(code, 2 * channels)
        self.of_class = nn.Parameter(torch.zeros(classes, 2 * channels))
        nn.init.normal_(self.of_code.weight, std=1 / code**0.5)
        nn.init.zeros_(self.of_code.bias)

    def forward(self, features: Tensor, code: Tensor, planes: Tensor) -> Tensor:
        """Transform features (N, channels, H, W) by codes (N, classes, D), laid out by planes (N, classes, H, W)."""
        table = self.of_code(code) + self.of_class
        places = (table.transpose(1, 2) @ planes.flatten(2).to(table.dtype)).unflatten(2, planes.shape[-2:])
        shift, scale = places.chunk(2, dim=1)
        return torch.addcmul(shift, instance_norm(features).to(shift.dtype), 1 + scale)


class RegionalBlock(nn.Module):
    """Two reflected 3x3 convolutions, each with a regional norm, ReLU between them, plus the identity."""

    def __init__(self, channels: int, *, classes: int, code: int) -> None:
        super().__init__()
        self.first = ReflectedConvolution(channels, channels, kernel=3)
        self.second = ReflectedConvolution(channels, channels, kernel=3)
        self.first_norm = RegionalNorm(channels, classes=classes, code=code)
        self.second_norm = RegionalNorm(channels, classes=classes, code=code)

    def forward(self, features: Tensor, code: Tensor, planes: Tensor) -> Tensor:
        """N,channels,H,W (at least 2x2) to the same shape."""
        hidden = F.relu(self.first_norm(self.first(features), code, planes))
        return features + self.second_norm(self.second(hidden), code, planes)


class DetailTransform(nn.Module):
    """A residual spatial feature transform: features times 1 + gamma, plus beta, place by place.

    Gamma and beta come from the reference's features by 3x3, leaky ReLU 0.1, 1x1. The 3x3 makes up for a pixel by which
    the features may lie beside their place.

    Args:
        channels: channels of the features that are transformed.
        details: channels of the reference's features.
    """

    def __init__(self, channels: int, details: int) -> None:
        super().__init__()
        self.hidden = ReflectedConvolution(details + PLANES_BESIDE_DETAILS, channels, kernel=3)
        self.last = nn.Conv2d(channels, 2 * channels, 1)
        initialise_he(self.hidden, slope=SFT_LEAKY_SLOPE)
        initialise_he(self.last, slope=1.0, gain=START)

    def forward(self, features: Tensor, details: Tensor) -> Tensor:
        """Transform N,channels,H,W by N,details + 2,H,W."""
        here = details[:, -PLANES_BESIDE_DETAILS : 1 - PLANES_BESIDE_DETAILS]
        gamma, beta = (here * self.last(F.leaky_relu(self.hidden(details), SFT_LEAKY_SLOPE))).chunk(2, dim=1)
        return torch.addcmul(features + beta, features, gamma)


class RegionalGenerator(nn.Module):
    """Mask, codes and the reference's features to an image: G1 of pix2pixHD with regional norms and SFT in its decoder.

    Layer plan: as :class:`facekit_sft_pix2pixhd.networks.AdaInGenerator`, with :class:`RegionalNorm` in place of every
    AdaIN, and a :class:`DetailTransform` before the residual blocks and after every upsampling where the reference has
    features of that size. The last convolution gives by what the image differs, before its tanh, from the mask in the
    mean colours of the codes, blurred: these are right from the first step on; shapes and light are left to learn.

    Args:
        options: its options.
        classes: classes of the masks.
        roles: classes that have a part of their own in aligning features.
    """

    def __init__(self, options: RegionalGeneratorOptions, *, classes: int, roles: RegionRoles | None = None) -> None:
        super().__init__()
        self.classes = classes
        self.roles = roles or RegionRoles()
        self.detail_dropout = options.detail_dropout
        self.step = 2**options.downsamplings
        widths = [options.filters * 2**level for level in range(options.downsamplings + 1)]
        deepest, regional = widths[-1], {"classes": classes, "code": options.code}
        self.stem = ReflectedConvolution(classes, options.filters, kernel=7)
        self.downs = nn.ModuleList(nn.Conv2d(wide, wider, 3, stride=2, padding=1) for wide, wider in pairwise(widths))
        self.blocks = nn.ModuleList(RegionalBlock(deepest, **regional) for _ in range(options.blocks))
        self.ups = nn.ModuleList(doubling_convolution(2 * narrow, narrow, "resize") for narrow in reversed(widths[:-1]))
        self.norms = nn.ModuleList(RegionalNorm(narrow, **regional) for narrow in reversed(widths[:-1]))
        self.head = ReflectedConvolution(options.filters, 3, kernel=7)
        initialise_as_published(self)
        # By level, finest first; a level of the decoder that the encoder has no features for has no transform.
        self.details = nn.ModuleList()
        if options.sft:
            levels = zip(widths, detail_channels(options.encoder_filters), strict=False)
            self.details = nn.ModuleList(DetailTransform(wide, numbers) for wide, numbers in levels)

    def forward(self, condition: Condition, style: Style | None) -> Generated:
        """Return images (N, 3, H, W), float32 in [-1, 1], of the masks of ``condition`` in ``style``.

        Raises:
            FacekitError: there is no style, or it has no features although the options ask for them.
        """
        given = None if style is None else _details_of(style)
        if style is None or (self.details and given is None):
            raise FacekitError(
                "the generator 'regional_sft_pix2pixhd' needs a code for every region and the reference's features",
                remedy="give the recipe its style encoder: `model.style_encoder: {use: regional_style}`",
            )
        mask, code = condition.require_mask(), style.code
        planes = [one_hot(mask, classes=self.classes, weight=self.head.weight)]
        for _ in self.downs:
            planes.append(F.avg_pool2d(planes[-1], 2))
        details: list[Tensor] = []
        if given is not None:
            levels = given.levels[: len(self.details)]
            roles, dropout = self.roles, 0.0
            if self.training:
                # With skin left out of whole faces whose truth is not known, skin had no shading after 300 steps.
                roles, dropout = roles._replace(nose=None), self.detail_dropout
            details = aligned_features(mask, planes[0], levels, given.mask, given.share, roles, dropout=dropout)
        features = instance_norm(self.stem(planes[0]), slope=0.0)
        for down in self.downs:
            features = instance_norm(down(features), slope=0.0)
        features = self._with_details(features, details, len(self.downs))
        for block in self.blocks:
            features = block(features, code, planes[-1])
        for level, up, norm in zip(reversed(range(len(self.ups))), self.ups, self.norms, strict=True):
            features = F.relu(norm(up(features), code, planes[level]))
            features = self._with_details(features, details, level)
        with torch.autocast(features.device.type, enabled=False):
            begun = spread_over_regions(code[..., -COLOURS:], planes[0].float()).clamp(-LARGEST_COLOUR, LARGEST_COLOUR)
            reach = max(1, round(begun.shape[-1] * SOFT_REACH))
            for _ in range(2):
                begun = F.avg_pool2d(begun, 2 * reach + 1, stride=1, padding=reach, count_include_pad=False)
        return Generated(torch.tanh(self.head(features).float() + torch.atanh(begun)))

    def _with_details(self, features: Tensor, details: Sequence[Tensor], level: int) -> Tensor:
        transformed: Tensor = self.details[level](features, details[level]) if level < len(details) else features
        return transformed


def build_style_encoder(options: RegionalStyleOptions, context: BuildContext) -> RegionalStyleEncoder:
    """Build the style encoder for the label map of ``context``."""
    return RegionalStyleEncoder(options, classes=len(context.label_map))


def build_generator(options: RegionalGeneratorOptions, context: BuildContext) -> RegionalGenerator:
    """Build the generator for the label map of ``context``.

    Raises:
        FacekitError: ``texture_regions`` names a region that the label map lacks.
    """
    label_map = context.label_map
    names = label_map.names
    texture = options.texture_regions
    if texture is None:
        texture = [name for name in TEXTURE_REGIONS if name in names]
    label_map.check_names(texture, where="texture_regions")
    roles = RegionRoles(texture=label_map.ids_of(texture))
    if options.skin_follows == "mask" and SKIN in names:
        roles = roles._replace(
            skin=label_map.id_of(SKIN),
            nose=label_map.id_of(NOSE) if NOSE in names else None,
            mouth=label_map.ids_of([name for name in MOUTH if name in names]),
        )
    return RegionalGenerator(options, classes=len(names), roles=roles)
