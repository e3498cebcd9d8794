"""Norms whose scale and shift are read off the mask, SPADE, CLADE and SEAN, and the residual block that they stand in.

All of them are called with features (N, channels, H, W), the one-hot mask at their size (N, classes, H, W), and codes
by region (N, classes, D), which SEAN alone reads.
"""

from __future__ import annotations

from collections.abc import Callable
from math import gcd
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .norm import instance_norm

#: What features are normalised over: the batch, groups of channels of a sample, or single channels of a sample.
Statistics = Literal["batch", "group", "instance"]

SLOPE = 0.2
"""Slope of a block's leaky ReLU for negative values."""

CHANNELS_A_GROUP = 8
"""Channels that a group norm takes together, or as many of them as divide the channels evenly."""


class InstanceNorm(nn.Module):
    """Instance norm without weights."""

    def forward(self, features: Tensor) -> Tensor:
        """N,C,H,W with more than one pixel to the same shape."""
        return instance_norm(features)


def statistics_norm(statistics: Statistics, channels: int) -> nn.Module:
    """Return a norm without weights over the batch, groups of channels, or single channels of a sample."""
    if statistics == "batch":
        return nn.BatchNorm2d(channels, affine=False)
    if statistics == "group":
        return nn.GroupNorm(channels // gcd(channels, CHANNELS_A_GROUP), channels, affine=False)
    return InstanceNorm()


def scale_and_shift(features: Tensor, table: Tensor) -> Tensor:
    """Return features times the first half of the table's channels, plus its second half."""
    scale, shift = table.chunk(2, dim=1)
    return torch.addcmul(shift, features.to(shift.dtype), scale)


class MaskToTable(nn.Module):
    """The one-hot mask to the scale and shift of every place: 3/1/1 to ``hidden``, ReLU, 3/1/1 to both.

    Args:
        channels: channels of the features.
        classes: classes of the masks.
        hidden: channels in between.
    """

    one: Tensor

    def __init__(self, channels: int, *, classes: int, hidden: int) -> None:
        super().__init__()
        self.hidden = nn.Conv2d(classes, hidden, 3, padding=1)
        self.last = nn.Conv2d(hidden, 2 * channels, 3, padding=1)
        # The published scale is 1 + gamma. Added to the bias, the 1 takes no pass over the features.
        self.register_buffer("one", torch.arange(2 * channels).lt(channels).float(), persistent=False)

    def forward(self, planes: Tensor, share: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
        """Return scale and shift (N, 2 * channels, H, W), 1 and 0 where the weights are 0.

        Args:
            planes: the one-hot mask.
            share: (2 * channels), what gamma and beta are multiplied with; 1 by default.
            shift: (2 * channels), what is added to them; 0 by default.
        """
        weight, bias = self.last.weight, self.last.bias
        assert bias is not None
        if share is not None:
            weight, bias = weight * share[:, None, None, None], bias * share
        bias = bias + self.one if shift is None else bias + self.one + shift
        return F.conv2d(F.relu(self.hidden(planes), inplace=True), weight, bias, padding=1)


class SpadeNorm(nn.Module):
    """A norm without weights, times (1 + gamma) plus beta, which the mask is convolved to (Park et al., CVPR 2019).

    Args:
        channels: channels of the features.
        classes: classes of the masks.
        hidden: channels between the mask and gamma and beta.
        statistics: what is normalised over.
    """

    def __init__(self, channels: int, *, classes: int, hidden: int, statistics: Statistics) -> None:
        super().__init__()
        self.statistics = statistics_norm(statistics, channels)
        self.mask = MaskToTable(channels, classes=classes, hidden=hidden)

    def forward(self, features: Tensor, planes: Tensor, codes: Tensor | None) -> Tensor:
        """Return the normalised features, scaled and shifted by the mask."""
        return scale_and_shift(self.statistics(features), self.mask(planes))


class CladeNorm(nn.Module):
    """A norm without weights, times gamma plus beta, which are looked up by class (Tan et al., TPAMI 2021).

    Args:
        channels: channels of the features.
        classes: classes of the masks.
        statistics: what is normalised over.
    """

    def __init__(self, channels: int, *, classes: int, statistics: Statistics) -> None:
        super().__init__()
        self.statistics = statistics_norm(statistics, channels)
        self.table = nn.Parameter(torch.cat([torch.ones(channels, classes), torch.zeros(channels, classes)]))

    def forward(self, features: Tensor, planes: Tensor, codes: Tensor | None) -> Tensor:
        """Return the normalised features, scaled and shifted by class."""
        # A look-up of one-hot planes as a product of matrices, the same each time on every device.
        return scale_and_shift(self.statistics(features), F.conv2d(planes, self.table[:, :, None, None]))


class RegionDense(nn.Module):
    """A dense layer for every region, and ReLU.

    Args:
        classes: how many regions.
        code: numbers in the code of a region, before and after.
    """

    def __init__(self, *, classes: int, code: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(classes, code, code))
        self.bias = nn.Parameter(torch.zeros(classes, code))

    def forward(self, codes: Tensor) -> Tensor:
        """N,classes,code to the same shape, not negative."""
        found = torch.baddbmm(self.bias[:, None], codes.transpose(0, 1), self.weight.transpose(1, 2))
        return F.relu(found).transpose(0, 1)


def convolve_by_region(planes: Tensor, codes: Tensor, weight: Tensor) -> Tensor:
    """Spread the code of each region over its pixels and convolve the result 3/1/1, without spreading anything.

    The codes are put through the kernel first, and a kernel of each sample's own then convolves the one-hot mask:
    ``classes`` channels at full size in place of D.

    Args:
        planes: the one-hot mask (N, classes, H, W).
        codes: (N, classes, D).
        weight: outputs, D, 3, 3.

    Returns:
        N,outputs,H,W.
    """
    if isinstance(planes.shape[0], torch.SymInt):  # a traced batch, of which nobody knows how many samples it has
        spread = torch.einsum("nkhw,nkd->ndhw", planes, codes.to(planes.dtype))
        return F.conv2d(spread, weight.to(planes.dtype), padding=1)
    outputs = len(weight)
    kernels = (codes @ weight.transpose(0, 1).flatten(1).to(codes.dtype)).unflatten(2, (outputs, 3, 3)).transpose(1, 2)
    kernels = kernels.to(planes.dtype)
    if planes.device.type == "cpu":  # whose grouped convolutions take up to eight times as long on the way back
        pairs = zip(planes.split(1), kernels, strict=True)
        return torch.cat([F.conv2d(plane, kernel, padding=1) for plane, kernel in pairs])
    joined = F.conv2d(planes.flatten(0, 1)[None], kernels.flatten(0, 1), padding=1, groups=len(planes))
    return joined.unflatten(1, (len(planes), outputs))[0]


class SeanNorm(nn.Module):
    """A norm whose gamma and beta are mixed of the mask's and of the codes of its regions (Zhu et al., CVPR 2020).

    In training, noise is added to the features first: one normal plane a sample, times a learned number a channel.

    Args:
        channels: channels of the features.
        classes: classes of the masks.
        hidden: channels between the mask and gamma and beta.
        statistics: what is normalised over.
        code: numbers in the code of a region; 0 for a norm that reads the mask alone.
        dense: whether the norm has dense layers of its own for the codes.
        noise: whether noise is added in training.
    """

    def __init__(
        self, channels: int, *, classes: int, hidden: int, statistics: Statistics, code: int, dense: bool, noise: bool
    ) -> None:
        super().__init__()
        self.channels = channels
        self.statistics = statistics_norm(statistics, channels)
        self.mask = MaskToTable(channels, classes=classes, hidden=hidden)
        self.noise = nn.Parameter(torch.zeros(channels)) if noise else None
        self.style = nn.Conv2d(code, 2 * channels, 3, padding=1) if code else None
        self.dense = RegionDense(classes=classes, code=code) if code and dense else None
        # The shares of the codes in gamma and in beta before the sigmoid: an even mix at first. A norm that reads no
        # codes has nothing to mix; the published one has the two numbers all the same.
        self.blend = nn.Parameter(torch.zeros(2))

    def forward(self, features: Tensor, planes: Tensor, codes: Tensor) -> Tensor:
        """Return the normalised features, scaled and shifted by mask and codes."""
        if self.noise is not None and self.training:
            plane = torch.randn_like(features[:, :1])
            features = torch.addcmul(features, plane, self.noise[:, None, None].to(features.dtype))
        normalised = self.statistics(features)
        if self.style is None:
            return scale_and_shift(normalised, self.mask(planes))
        assert self.style.bias is not None
        # What is mixed are the weights, not planes as large as the features.
        share = self.blend.sigmoid().repeat_interleave(self.channels)
        table = self.mask(planes, 1 - share, self.style.bias * share)
        codes = codes if self.dense is None else self.dense(codes)
        styled = convolve_by_region(planes, codes, self.style.weight * share[:, None, None, None])
        return scale_and_shift(normalised, table + styled)


class MaskBlock(nn.Module):
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
        hidden = self.first(F.leaky_relu(self.first_norm(features, planes, codes), SLOPE, inplace=True))
        hidden = self.second(F.leaky_relu(self.second_norm(hidden, planes, codes), SLOPE, inplace=True))
        if self.shortcut is None or self.shortcut_norm is None:
            return features + hidden
        kept: Tensor = self.shortcut(self.shortcut_norm(features, planes, codes))
        return kept + hidden
