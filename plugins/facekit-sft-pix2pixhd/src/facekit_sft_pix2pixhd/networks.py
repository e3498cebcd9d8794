"""The SFT/AdaIN pix2pixHD as plain torch modules.

From "Facial Image Regeneration", a re-implementation of the dense mapping network of MaskGAN (Lee et al.,
CVPR 2020): a style encoder that reads a photo knowing where each part of the face is, and a generator that
draws a mask in that style. They know nothing of facekit: tensors in, tensors out, every option an explicit
keyword argument.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit_layers import (
    ReflectedConvolution,
    Upsampling,
    doubling_convolution,
    initialise_as_published,
    instance_norm,
)

from .initialisation import Initialisation, initialise_he, initialise_sft_he
from .layers import (
    AdaptiveResidualBlock,
    PlainResidualBlock,
    SftForm,
    SpatialFeatureTransform,
)
from .masks import COLOURS_A_REGION, region_colours
from .style_size import CONCATENATED_STYLE_CHANNELS, style_dimension

__all__ = ["AdaInGenerator", "LabelEncoder", "LabelFeatures", "StyleEncoder", "style_dimension"]

#: Channels of the encoders after their first, second and every later convolution.
ENCODER_WIDTHS = (16, 32, 64)

#: How much smaller than the photo the coarse features of the encoders are.
ENCODER_STEP = 32


class LabelFeatures(NamedTuple):
    """What the label encoder says of a mask: ``fine`` N,64,H/4,W/4 and, with two levels, ``coarse``
    N,64,H/32,W/32."""

    fine: Tensor
    coarse: Tensor | None


class LabelEncoder(nn.Module):
    """One-hot mask to the conditions of the style encoder's spatial feature transforms.

    Layer plan, reflection-padded and without norm: 7/1/3 to 16, ReLU; 4/2/1 to 32, ReLU; 4/2/1 to 64
    (``fine``); with two levels, ReLU; twice 4/2/1 to 64, ReLU; 4/2/1 to 64 (``coarse``).

    Args:
        classes: channels of the one-hot mask.
        levels: 1 for ``fine`` only, or 2.
        init: initial weights.

    Raises:
        ValueError: when ``levels`` is neither 1 nor 2.
    """

    def __init__(self, *, classes: int = 19, levels: int = 2, init: Initialisation = "scale_preserving") -> None:
        super().__init__()
        if levels not in (1, 2):
            raise ValueError(f"a label encoder has 1 or 2 levels, not {levels}")
        first, second, wide = ENCODER_WIDTHS
        self.stem = ReflectedConvolution(classes, first, kernel=7)
        self.fine = nn.ModuleList(
            [
                ReflectedConvolution(first, second, kernel=4, stride=2),
                ReflectedConvolution(second, wide, kernel=4, stride=2),
            ]
        )
        self.coarse = nn.ModuleList(
            ReflectedConvolution(wide, wide, kernel=4, stride=2) for _ in range(3 if levels == 2 else 0)
        )
        if init == "published":
            initialise_as_published(self)
        else:
            # Of a one-hot mask only one channel a pixel is not zero.
            initialise_he(self.stem, fan_in=self.stem.weight[0, 0].numel())
            for level in (self.fine, self.coarse):
                for position, convolution in enumerate(level, start=1):
                    # The last convolution of each level has no ReLU before the transform that reads it.
                    initialise_he(convolution, slope=1.0 if position == len(level) else 0.0)

    def forward(self, mask: Tensor) -> LabelFeatures:
        """Encode ``mask``, N,classes,H,W one-hot; with two levels H and W are multiples of 32."""
        features = F.relu(self.stem(mask))
        features = F.relu(self.fine[0](features))
        fine = self.fine[1](features)
        if not len(self.coarse):
            return LabelFeatures(fine, None)
        features = fine
        for convolution in self.coarse:
            features = convolution(F.relu(features))
        return LabelFeatures(fine, features)


class StyleEncoder(nn.Module):
    """Photo and its own mask to the style vector: the spatial-aware style encoder.

    Layer plan, reflection-padded and without norm: 7/1/3 to 16, ReLU; 4/2/1 to 32, ReLU; 4/2/1 to 64, ReLU;
    SFT by the label encoder's fine features; three times 4/2/1 to 64, ReLU; SFT by its coarse features;
    mean over the picture; 1x1 to the style vector. The whole picture's style is one vector of 64 numbers
    before that last layer.

    Args:
        classes: channels of the one-hot mask.
        filters: filters of the generator that takes the style.
        blocks: its residual blocks.
        downsamplings: its downsamplings.
        adain: whether it takes the style by AdaIN or concatenated.
        style_numbers: length of the style vector, for whoever does not know the generator; by default what one with
            the options above takes. When it is given, nothing is assumed of what the numbers mean: all start around 0.
        sft: form of the spatial feature transforms.
        sft_levels: 0 (the mask is not read), 1 (fine only) or 2.
        sft_skip: add the features before the first transform to its output.
        init: initial weights. ``published`` lets almost nothing of the photo through at first; ``scale_preserving``
            keeps the signal's scale through both encoders and, unless ``style_numbers`` is given, starts every AdaIN
            scale at 1.
        sft_gain: factor on the initial weights that give gamma and beta, for ``scale_preserving``; small ones start
            residual transforms near the identity.
        style_gain: factor on the initial weights that give the style vector, for ``scale_preserving``.
        colours: give the mean colour of every region of the photo to the head as well, beside the 64 numbers.
        head_hidden: channels of a hidden 1x1, ReLU before the last one; 0 for none, as published.

    Raises:
        ValueError: when ``sft_levels`` is not 0, 1 or 2, or ``sft_skip`` is asked for without a transform.
    """

    def __init__(
        self,
        *,
        classes: int = 19,
        filters: int = 64,
        blocks: int = 4,
        downsamplings: int = 4,
        adain: bool = True,
        style_numbers: int | None = None,
        sft: SftForm = "residual",
        sft_levels: int = 2,
        sft_skip: bool = False,
        init: Initialisation = "scale_preserving",
        sft_gain: float = 1.0,
        style_gain: float = 1.0,
        colours: bool = False,
        head_hidden: int = 0,
    ) -> None:
        super().__init__()
        if sft_levels not in (0, 1, 2):
            raise ValueError(f"sft_levels must be 0, 1 or 2, not {sft_levels}")
        if sft_skip and not sft_levels:
            raise ValueError("sft_skip adds to the output of the first transform, but sft_levels is 0")
        self.sft_skip = sft_skip
        if style_numbers is None:
            self.style_dimension = style_dimension(
                filters=filters, blocks=blocks, downsamplings=downsamplings, adain=adain
            )
        else:
            self.style_dimension = style_numbers
        first, second, wide = ENCODER_WIDTHS
        self.labels = LabelEncoder(classes=classes, levels=sft_levels, init=init) if sft_levels else None
        self.stem = ReflectedConvolution(3, first, kernel=7)
        self.fine = nn.ModuleList(
            [
                ReflectedConvolution(first, second, kernel=4, stride=2),
                ReflectedConvolution(second, wide, kernel=4, stride=2),
            ]
        )
        self.fine_sft = SpatialFeatureTransform(wide, form=sft) if sft_levels >= 1 else None
        self.coarse = nn.ModuleList(ReflectedConvolution(wide, wide, kernel=4, stride=2) for _ in range(3))
        self.coarse_sft = SpatialFeatureTransform(wide, form=sft) if sft_levels >= 2 else None
        self.colours = colours
        self.recompute: Callable[..., Any] = plainly
        summary = wide + (COLOURS_A_REGION * classes if colours else 0)
        self.hidden = nn.Conv2d(summary, head_hidden, 1) if head_hidden else None
        self.head = nn.Conv2d(head_hidden or summary, self.style_dimension, 1)
        if init == "published":
            initialise_as_published(self)
        else:
            self._initialise_scale_preserving(sft_gain=sft_gain, style_gain=style_gain)
            if adain and style_numbers is None and self.head.bias is not None:
                # The order of the style vector: layer by layer, first the shifts, then the scales.
                shift_and_scale = self.head.bias.data.view(blocks * 2, 2, filters * 2**downsamplings)
                shift_and_scale[:, 1] = 1.0

    def _initialise_scale_preserving(self, *, sft_gain: float, style_gain: float) -> None:
        for convolution in (self.stem, *self.fine, *self.coarse):
            initialise_he(convolution)
        for transform in (self.fine_sft, self.coarse_sft):
            if transform is not None:
                initialise_sft_he(transform, gain=sft_gain)
        if self.hidden is not None:
            initialise_he(self.hidden)
        initialise_he(self.head, slope=1.0, gain=style_gain)

    def forward(self, photo: Tensor, mask: Tensor | None) -> Tensor:
        """Read the style.

        Args:
            photo: N,3,H,W in [-1, 1]; H and W multiples of 32.
            mask: N,classes,H,W, the one-hot mask of the same photo, or the same with other positive values than 1;
                None without levels of SFT, which alone read it.

        Returns:
            N,style_dimension.

        Raises:
            ValueError: when height or width do not fit, or the mask is missing.
        """
        if mask is None and (self.labels is not None or self.colours):
            raise ValueError("the style encoder reads the mask of the photo, and there is none")
        height, width = photo.shape[-2:]
        if height % ENCODER_STEP or width % ENCODER_STEP:
            raise ValueError(
                f"a reference of {height}x{width} does not fit the style encoder: height and width must be "
                f"multiples of {ENCODER_STEP}"
            )
        summary = self.recompute(self._summarise, photo, mask)
        if self.colours and mask is not None:
            found = region_colours(photo, mask)[:, :, None, None]
            summary = torch.cat([summary, found.to(summary.dtype)], dim=1)
        if self.hidden is not None:
            summary = F.relu(self.hidden(summary))
        # On a single place a 1x1 convolution is a linear layer, for which there are faster kernels.
        return F.linear(summary.flatten(1), self.head.weight.flatten(1), self.head.bias)

    def _summarise(self, photo: Tensor, mask: Tensor | None) -> Tensor:
        """Return the mean features of the picture, N,64,1,1."""
        labels = None if self.labels is None or mask is None else self.labels(mask)
        features = F.relu(self.stem(photo))
        for convolution in self.fine:
            features = F.relu(convolution(features))
        if self.fine_sft is not None and labels is not None:
            transformed = self.fine_sft(features, labels.fine)
            features = transformed + features if self.sft_skip else transformed
        for convolution in self.coarse:
            features = F.relu(convolution(features))
        if self.coarse_sft is not None and labels is not None:
            features = self.coarse_sft(features, labels.coarse)
        return features.mean(dim=(2, 3), keepdim=True)


class AdaInGenerator(nn.Module):
    """Mask and style vector to photo: G1 of pix2pixHD with the style in its residual blocks.

    Layer plan, with IN for instance norm without affine: reflected 7x7 to ``filters``, IN, ReLU;
    ``downsamplings`` times 3/2/1 to twice the channels, IN, ReLU; ``blocks`` residual blocks with AdaIN;
    ``downsamplings`` times transposed 3/2/1 to half the channels, IN, ReLU; reflected 7x7 to 3, tanh.
    Without AdaIN the style is joined to the features before the blocks at every place, a 1x1 brings both to
    the old number of channels, and the blocks use IN.

    Weights start at N(0, 0.02) as published, in both initialisations of the encoders: all its layers but
    the last are normalised, which makes their scale meaningless.

    Args:
        classes: channels of the one-hot mask.
        filters: channels at full resolution (64 as published).
        blocks: residual blocks (4 in the paper).
        downsamplings: how often height and width are halved (4 as published).
        adain: whether the style comes by AdaIN or concatenated.
        adain_decoder: AdaIN in place of IN after every upsampling as well. IN takes the mean and the deviation of every
            channel away, and with them what the blocks knew of absolute colours; AdaIN puts them back from the style.
        scale_offset: added to every AdaIN scale that the style gives: 0 as published; 1 so that a style of zeros
            normalises and does no more, for encoders whose numbers start around 0.
        upsampling: how the decoder doubles height and width; ``resize`` in place of the transposed convolutions.
    """

    def __init__(
        self,
        *,
        classes: int = 19,
        filters: int = 64,
        blocks: int = 4,
        downsamplings: int = 4,
        adain: bool = True,
        adain_decoder: bool = False,
        scale_offset: float = 0.0,
        upsampling: Upsampling = "transposed",
    ) -> None:
        super().__init__()
        if adain_decoder and not adain:
            raise ValueError("adain_decoder puts AdaIN into the decoder, but adain is off")
        self.scale_offset = scale_offset
        self.downsamplings = downsamplings
        self.style_dimension = style_dimension(
            filters=filters, blocks=blocks, downsamplings=downsamplings, adain=adain, adain_decoder=adain_decoder
        )
        widths = [filters * 2**level for level in range(downsamplings + 1)]
        deepest = widths[-1]
        # The style vector: first the blocks, one after the other, then the upsamplings.
        self._block_styles = [4 * deepest] * blocks if adain else []
        self._decoder_styles = [2 * narrow for narrow in reversed(widths[:-1])] if adain_decoder else []
        self.stem = ReflectedConvolution(classes, filters, kernel=7)
        self.downs = nn.ModuleList(nn.Conv2d(wide, wider, 3, stride=2, padding=1) for wide, wider in pairwise(widths))
        self.join = None if adain else nn.Conv2d(deepest + CONCATENATED_STYLE_CHANNELS, deepest, 1)
        self.blocks = nn.ModuleList(
            AdaptiveResidualBlock(deepest) if adain else PlainResidualBlock(deepest) for _ in range(blocks)
        )
        self.ups = nn.ModuleList(
            doubling_convolution(2 * narrow, narrow, upsampling) for narrow in reversed(widths[:-1])
        )
        self.head = ReflectedConvolution(filters, 3, kernel=7)
        self.recompute: Callable[..., Any] = plainly
        initialise_as_published(self)

    def forward(self, mask: Tensor, style: Tensor) -> Tensor:
        """Draw ``mask`` in ``style``.

        Args:
            mask: one-hot planes N,classes,H,W; H and W multiples of 2**downsamplings and at least twice that.
            style: N,style_dimension from :class:`StyleEncoder`.

        Returns:
            N,3,H,W in [-1, 1].

        Raises:
            ValueError: when height, width or the length of the style do not fit.
        """
        step = 2**self.downsamplings
        height, width = mask.shape[-2:]
        if height % step or width % step or min(height, width) < 2 * step:
            raise ValueError(
                f"a mask of {height}x{width} does not fit {self.downsamplings} downsamplings: "
                f"height and width must be multiples of {step} and at least {2 * step}"
            )
        if style.shape[1] != self.style_dimension:
            raise ValueError(
                f"the style has {style.shape[1]} numbers, but the generator takes {self.style_dimension}: "
                "filters, blocks, downsamplings and adain must be the same in encoder and generator"
            )
        # The first and the last level, by far the largest, are parts of their own.
        features = self.recompute(self._enter, mask)
        features = self.recompute(self._encode, features)
        if self.join is not None:
            planes = style.to(features.dtype)[:, :, None, None].expand(-1, -1, *features.shape[-2:])
            features = self.join(torch.cat([features, planes], dim=1))
            for block in self.blocks:
                features = self.recompute(block, features)
            return self._decode(features, [])
        styles = [
            self._with_offset(part, layers=2 if index < len(self.blocks) else 1)
            for index, part in enumerate(style.split([*self._block_styles, *self._decoder_styles], dim=1))
        ]
        for block, block_style in zip(self.blocks, styles, strict=False):
            features = self.recompute(block, features, block_style)
        return self._decode(features, styles[len(self.blocks) :])

    def _with_offset(self, style: Tensor, *, layers: int) -> Tensor:
        """Add the offset to the scales of a style of ``layers`` times shift and scale."""
        if not self.scale_offset:
            return style
        shift, scale = style.unflatten(1, (layers, 2, -1)).unbind(2)
        return torch.stack([shift, scale + self.scale_offset], dim=2).flatten(1)

    def _decode(self, features: Tensor, styles: list[Tensor]) -> Tensor:
        """Enlarge the features to the picture; without ``styles`` the norms are plain."""
        last = len(self.ups) - 1
        features = self.recompute(self._enlarge, features, range(last), *styles[:last])
        picture: Tensor = self.recompute(self._leave, features, *styles[last:])
        return picture

    def _enter(self, mask: Tensor) -> Tensor:
        features = instance_norm(self.stem(mask), slope=0.0)
        return instance_norm(self.downs[0](features), slope=0.0)

    def _encode(self, features: Tensor) -> Tensor:
        for down in self.downs[1:]:
            features = instance_norm(down(features), slope=0.0)
        return features

    def _enlarge(self, features: Tensor, levels: Sequence[int], *styles: Tensor) -> Tensor:
        for index, level in enumerate(levels):
            features = self.ups[level](features)
            if styles:
                shift, scale = styles[index].chunk(2, dim=1)
                features = instance_norm(features, shift=shift, scale=scale, slope=0.0)
            else:
                features = instance_norm(features, slope=0.0)
        return features

    def _leave(self, features: Tensor, *styles: Tensor) -> Tensor:
        last = len(self.ups) - 1
        return torch.tanh(self.head(self._enlarge(features, range(last, last + 1), *styles)))


def plainly(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function: what networks call their parts by until somebody wants them computed twice."""
    return function(*arguments)
