"""How many numbers a style vector has, computed without torch so that recipes can be checked before it is
loaded."""

from __future__ import annotations

#: Length of a style that is concatenated rather than applied by AdaIN: the width of the style encoder.
CONCATENATED_STYLE_CHANNELS = 64


def style_dimension(
    *,
    filters: int = 64,
    blocks: int = 4,
    downsamplings: int = 4,
    adain: bool = True,
    adain_decoder: bool = False,
) -> int:
    """Length of the style vector that the generator takes.

    With AdaIN: two layers a block, a shift and a scale each, for every channel of the deepest features
    (16,384 with the default options); and with AdaIN in the decoder, a shift and a scale for every channel of every
    upsampling. Without AdaIN: :data:`CONCATENATED_STYLE_CHANNELS`.
    """
    if not adain:
        return CONCATENATED_STYLE_CHANNELS
    deepest: int = filters * 2**downsamplings
    decoder = sum(2 * filters * 2**level for level in range(downsamplings)) if adain_decoder else 0
    return blocks * 2 * 2 * deepest + decoder
