"""The multi-scale patch discriminator of pix2pixHD."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from facekit_layers import initialise_as_published, instance_norm, ordered_for

from .recompute import plainly

#: Norm between the layers: ``instance`` as published, or none (for gradient penalties and spectral norm).
PatchNorm = Literal["instance", "none"]

#: Which weights are divided by their largest singular value: all, none, or those between the first and the last layer.
SpectralNorm = bool | Literal["middle"]

#: Slope of every leaky ReLU for negative values.
LEAKY_SLOPE = 0.2


class ScaleOutput(NamedTuple):
    """What one scale says of a picture.

    Attributes:
        logits: N,1,h,w, a number for each patch; no activation.
        features: the maps before it, finest first, for feature matching.
    """

    logits: Tensor
    features: tuple[Tensor, ...]


class PatchDiscriminator(nn.Module):
    """One scale: 4/2/2 to ``filters``; ``layers - 1`` times 4/2/2 and once 4/1/2 to twice the channels (at
    most 512) with instance norm; 4/1/2 to one logit a patch. Leaky ReLU 0.2 after all but the last.

    Args:
        inputs: channels of mask and photo together.
        filters: channels after the first layer (64 as published).
        layers: layers between the first and the last (3 as published).
        last_stride: stride of the last of these (1 as published, 2 in SEAN).
        norm: norm of these layers.
        bias: whether they have a bias, which instance norm takes away.
    """

    def __init__(
        self,
        *,
        inputs: int = 22,
        filters: int = 64,
        layers: int = 3,
        last_stride: int = 1,
        norm: PatchNorm = "instance",
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.norm = norm
        widths = [min(filters * 2**level, 512) for level in range(layers + 1)]
        plan = [nn.Conv2d(inputs, widths[0], 4, stride=2, padding=2)]
        for level in range(1, layers + 1):
            stride = 2 if level < layers else last_stride
            plan.append(nn.Conv2d(widths[level - 1], widths[level], 4, stride=stride, padding=2, bias=bias))
        plan.append(nn.Conv2d(widths[-1], 1, 4, stride=1, padding=2))
        self.layers = nn.ModuleList(plan)

    def forward(self, pair: Tensor, recompute: Callable[..., Any] = plainly) -> ScaleOutput:
        """Discriminate every patch of ``pair`` (N,inputs,H,W); layers are called by ``recompute``."""
        features: list[Tensor] = []
        hidden = pair
        for index, layer in enumerate(list(self.layers)[:-1]):
            normalised = self.norm == "instance" and index > 0
            hidden = recompute(self._normalised_layer if normalised else self._plain_layer, layer, hidden)
            features.append(hidden)
        return ScaleOutput(logits=self.layers[-1](hidden), features=tuple(features))

    @staticmethod
    def _plain_layer(layer: nn.Module, hidden: Tensor) -> Tensor:
        return F.leaky_relu(layer(hidden), LEAKY_SLOPE, inplace=True)

    @staticmethod
    def _normalised_layer(layer: nn.Module, hidden: Tensor) -> Tensor:
        return instance_norm(layer(hidden), slope=LEAKY_SLOPE)


class AttributeHead(nn.Module):
    """The features of a scale to one logit an attribute.

    3/1/1 to ``hidden`` channels, leaky ReLU, mean over the picture, and a linear layer. The convolution stands before
    the mean because instance norm leaves every channel the same mean.

    Args:
        inputs: channels of the features.
        hidden: channels of the convolution.
        attributes: how many attributes.
    """

    def __init__(self, *, inputs: int, hidden: int, attributes: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, hidden, 3, padding=1)
        self.head = nn.Linear(hidden, attributes)

    def forward(self, features: Tensor) -> Tensor:
        """N,inputs,h,w to N,attributes."""
        hidden = F.leaky_relu(self.convolution(features), LEAKY_SLOPE)
        logits: Tensor = self.head(hidden.mean((2, 3)))
        return logits


class MultiScaleDiscriminator(nn.Module):
    """PatchGAN at several scales (Wang et al., CVPR 2018) on the concatenation of one-hot mask and photo.

    ``scales[0]`` judges full resolution, each later one the input average-pooled (3/2/1, padding not
    counted) once more. The published code counts the other way round: its ``scale0`` is the coarsest.

    Args:
        inputs: channels of mask and photo together.
        filters: channels after the first layer of each scale.
        layers: layers of each scale between the first and the last.
        scales: number of scales.
        last_stride: stride of the last of these layers.
        norm: norm of these layers.
        spectral_norm: divide every weight by its largest singular value (Miyato et al., ICLR 2018); ``middle`` those of
            these layers alone, which then have no bias before instance norm (Park et al., CVPR 2019).
        attributes: attributes that :meth:`classify` reads off a picture; 0 for none. Other weights start as without.
    """

    def __init__(
        self,
        *,
        inputs: int = 22,
        filters: int = 64,
        layers: int = 3,
        scales: int = 2,
        last_stride: int = 1,
        norm: PatchNorm = "instance",
        spectral_norm: SpectralNorm = False,
        attributes: int = 0,
    ) -> None:
        super().__init__()
        self.inputs = inputs
        bias = norm != "instance" or spectral_norm != "middle"
        plan = {"filters": filters, "layers": layers, "last_stride": last_stride}
        self.scales = nn.ModuleList(
            PatchDiscriminator(inputs=inputs, **plan, norm=norm, bias=bias) for _ in range(scales)
        )
        initialise_as_published(self)
        width = min(filters * 2**layers, 512)
        self.classifier = AttributeHead(inputs=width, hidden=2 * filters, attributes=attributes) if attributes else None
        if not spectral_norm:  # which changes a buffer whenever a weight is read
            self.recompute: Callable[..., Any] = plainly
        if spectral_norm:
            normed = [module for module in self.modules() if isinstance(module, nn.Conv2d)]
            if spectral_norm == "middle":
                middle = [list(scale.layers)[1:-1] for scale in self.scales if isinstance(scale, PatchDiscriminator)]
                normed = [layer for scale in middle for layer in scale if isinstance(layer, nn.Conv2d)]
            for layer in normed:
                parametrizations.spectral_norm(layer)

    def classify(self, photo: Tensor) -> Tensor:
        """Read attributes off a picture, with the layers of the coarsest scale.

        The mask is blank here: much of what an attribute means can be read off it (glasses are a class of their own),
        and what can be read off the mask asks nothing of the picture.

        Args:
            photo: N,3,H,W in [-1, 1].

        Returns:
            N,attributes logits.

        Raises:
            ValueError: the discriminator was made without attributes.
        """
        if self.classifier is None:
            raise ValueError("this discriminator was made without attributes")
        for _ in range(len(self.scales) - 1):
            photo = F.avg_pool2d(photo, 3, stride=2, padding=1, count_include_pad=False)
        # The photo's channels are the last ones of a pair.
        pair = F.pad(photo, (0, 0, 0, 0, self.inputs - photo.shape[1], 0))
        weight = self.classifier.head.weight
        convolution = next(parameter for parameter in self.scales.parameters() if parameter.dim() == 4)
        pair = ordered_for(convolution, pair).to(weight.dtype)
        logits: Tensor = self.classifier(self.scales[-1](pair).features[-1])
        return logits

    def forward(self, pair: Tensor) -> tuple[ScaleOutput, ...]:
        """Discriminate ``pair`` at every scale.

        Args:
            pair: N,inputs,H,W, the one-hot mask (0 or 1) and the photo ([-1, 1]) joined along channels.

        Returns:
            One output a scale, full resolution first.
        """
        discriminator_outputs: list[ScaleOutput] = []
        for index, scale in enumerate(self.scales):
            if index:
                pair = F.avg_pool2d(pair, 3, stride=2, padding=1, count_include_pad=False)
            discriminator_outputs.append(scale(pair, getattr(self, "recompute", plainly)))
        return tuple(discriminator_outputs)
