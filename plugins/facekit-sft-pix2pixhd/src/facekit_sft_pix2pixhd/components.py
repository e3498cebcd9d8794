"""The networks behind facekit's interfaces.

Each component is a subclass of its network, so that parameters keep the network's own names (``generator.stem.weight``,
not ``generator.network.stem.weight``): recipes name parts of a model by them.
"""

from __future__ import annotations

from torch import Tensor

from facekit.interfaces import BuildContext, Condition, FacekitError, Generated, Style
from facekit_layers import one_hot, ordered_for

from .masks import balance_areas
from .networks import AdaInGenerator, StyleEncoder
from .plugin import GeneratorOptions, StyleEncoderOptions

SFT_START = 0.1
"""Factor on the initial gamma and beta of residual transforms, which so start near the identity."""


class SftStyleEncoder(StyleEncoder):
    """The spatial-aware style encoder as a facekit style encoder.

    Args:
        options: its options.
        classes: classes of the masks.
        style_numbers: length of the style vector.
    """

    def __init__(self, options: StyleEncoderOptions, *, classes: int, style_numbers: int) -> None:
        super().__init__(
            classes=classes,
            style_numbers=style_numbers,
            sft=options.sft,
            sft_levels=options.sft_levels,
            sft_skip=options.sft_skip,
            init=options.init,
            # Published transforms multiply by gamma alone: a small one would shut the reference out.
            sft_gain=SFT_START if options.sft == "residual" else 1.0,
            style_gain=options.style_gain,
            colours=options.colours,
            head_hidden=options.head_hidden,
        )
        self.classes = classes
        self.balanced = options.planes == "area_balanced"

    def forward(self, image: Tensor, mask: Tensor | None) -> Style:  # type: ignore[override]
        """Return one vector a photo.

        Args:
            image: photos (N, 3, H, W) in [-1, 1]; H and W multiples of 32.
            mask: their own class ids (N, H, W); None without levels of SFT, which alone read it.

        Raises:
            ValueError: height or width do not fit.
        """
        weight = self.stem.weight
        image = ordered_for(weight, image)
        if mask is None or self.labels is None:  # the mask is not read
            return Style(super().forward(image, None))
        planes = one_hot(mask, classes=self.classes, weight=weight)
        return Style(super().forward(image, balance_areas(planes) if self.balanced else planes))


class SftPix2PixHdGenerator(AdaInGenerator):
    """The AdaIN generator as a facekit generator.

    Args:
        options: its options.
        classes: classes of the masks.
    """

    def __init__(self, options: GeneratorOptions, *, classes: int) -> None:
        super().__init__(
            classes=classes,
            filters=options.filters,
            blocks=options.blocks,
            downsamplings=options.downsamplings,
            adain=options.adain,
            adain_decoder=options.adain_decoder,
            scale_offset=1.0 if options.adain and options.adain_scale == "residual" else 0.0,
            upsampling=options.upsampling,
        )
        self.classes = classes

    def forward(self, condition: Condition, style: Style | None) -> Generated:  # type: ignore[override]
        """Return pictures (N, 3, H, W), float32 in [-1, 1], of the masks of ``condition`` in ``style``.

        Raises:
            FacekitError: there is no style.
            ValueError: height, width or the length of the style do not fit.
        """
        if style is None:
            raise FacekitError(
                "the generator 'sft_pix2pixhd' paints in a style, but was given none",
                remedy="give the recipe a style encoder: `model.style_encoder: {use: sft_style}`",
            )
        planes = one_hot(condition.require_mask(), classes=self.classes, weight=self.stem.weight)
        return Generated(super().forward(planes, style.code).float())


def build_style_encoder(options: StyleEncoderOptions, context: BuildContext) -> SftStyleEncoder:
    """Build the style encoder for the label map and the style length of ``context``.

    Raises:
        FacekitError: nothing says how long the style is.
    """
    if options.style_dim is None and "style" not in context.dimensions:
        raise FacekitError(
            "nothing in the recipe says how many numbers the style of 'sft_style' has",
            remedy="use a generator that takes a style (sft_pix2pixhd), or set style_dim",
        )
    numbers = context.dimension("style") if options.style_dim is None else options.style_dim
    return SftStyleEncoder(options, classes=len(context.label_map), style_numbers=numbers)


def build_generator(options: GeneratorOptions, context: BuildContext) -> SftPix2PixHdGenerator:
    """Build the generator for the label map of ``context``."""
    return SftPix2PixHdGenerator(options, classes=len(context.label_map))
