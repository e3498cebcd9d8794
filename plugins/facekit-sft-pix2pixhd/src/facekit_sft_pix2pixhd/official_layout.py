"""MaskGAN's released state dict (``latest_net_G.pth``) to the weights of this plugin's published form."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from facekit.interfaces import FacekitError
from facekit.interfaces.importing import (
    NORM_BUFFERS,
    ImportedNetwork,
    OptionValue,
    fitted_network,
    renamed,
    shape_of,
    unknown_checkpoint,
    unwrapped,
)

from .networks import AdaInGenerator, StyleEncoder
from .style_size import style_dimension

FAMILY = "MaskGAN"
_OF = "MaskGAN's dense mapping network"
LARGEST_DOWNSAMPLINGS = 8
"""As many as the generator's options allow."""


def convert(state: Mapping[str, Tensor]) -> tuple[ImportedNetwork, ImportedNetwork]:
    """Return the generator and the style encoder that MaskGAN's dense mapping network is made of.

    Args:
        state: ``latest_net_G.pth``: names in ``model.``, ``enc_style.`` and ``enc_label.``, perhaps after ``module.``.
            The statistics of its norms are placeholders and are left out.

    Raises:
        FacekitError: a name or a shape is not of that network, naming the first that is not.
    """
    state = {name: tensor for name, tensor in unwrapped(state).items() if not name.endswith(NORM_BUFFERS)}
    parts = {name.split(".")[0] for name in state}
    if not {"model", "enc_style", "enc_label"} <= parts:
        raise unknown_checkpoint(FAMILY, state, "`model.`, `enc_style.` or `enc_label.`; all three are needed")
    generator_names, downsamplings, blocks = _generator_names(state)
    encoder_names = _style_encoder_names()
    moved = renamed(state, generator_names | encoder_names, of=_OF)
    filters, classes = shape_of(state, "model.1.weight", dimensions=4, of=_OF)[:2]
    if downsamplings > LARGEST_DOWNSAMPLINGS:
        raise FacekitError(f"this checkpoint halves its input {downsamplings} times; {_OF} does so up to 8 times")

    options: dict[str, OptionValue] = {"filters": filters, "blocks": blocks, "downsamplings": downsamplings}
    style = style_dimension(filters=filters, blocks=blocks, downsamplings=downsamplings)
    sizes = {"input_channels": classes}
    generator = fitted_network(
        "generator",
        "sft_pix2pixhd/sft_pix2pixhd",
        {**options, "adain_scale": "published"},
        {own: moved[own] for own in generator_names.values()},
        lambda: AdaInGenerator(classes=classes, filters=filters, blocks=blocks, downsamplings=downsamplings),
        dimensions=sizes,
    )
    encoder_options: dict[str, OptionValue] = {
        "sft": "published",
        "init": "published",
        "planes": "one_hot",
        "style_dim": style,
    }
    # Both networks have a `stem` and a `head`; the encoder's are marked until they are apart.
    encoder = fitted_network(
        "style_encoder",
        "sft_pix2pixhd/sft_style",
        encoder_options,
        {own.removeprefix(_ENCODER): moved[own] for own in encoder_names.values()},
        lambda: StyleEncoder(classes=classes, style_numbers=style, sft="published", init="published"),
        dimensions=sizes,
    )
    return generator, encoder


_ENCODER = "style_encoder."


def _generator_names(state: Mapping[str, Tensor]) -> tuple[dict[str, str], int, int]:
    """Return the names of the generator's weights, and how many downsamplings and residual blocks it has.

    The published sequence counts all layers: padding, convolution, norm and ReLU at the start, then three layers for
    each downsampling, one for each block, three for each upsampling, and padding and convolution at the end.
    """
    places: dict[bool, set[str]] = {True: set(), False: set()}
    for name in state:
        path = name.split(".")
        if path[0] == "model" and len(path) > 2:
            places[path[2] == "conv_block"].add(path[1])
    blocks = len(places[True])
    downsamplings = (len(places[False]) - 2) // 2
    if not blocks or downsamplings < 1:
        raise FacekitError(
            f"this is no checkpoint of {_OF}: it has {len(places[False])} convolutions beside {blocks} residual blocks"
        )
    names = _pair("model.1", "stem")
    first_block = 4 + 3 * downsamplings
    first_up = first_block + blocks
    for level in range(downsamplings):
        names |= _pair(f"model.{4 + 3 * level}", f"downs.{level}")
        names |= _pair(f"model.{first_up + 3 * level}", f"ups.{level}")
    for index in range(blocks):
        for layer, own in enumerate(("first", "second")):
            names |= _pair(f"model.{first_block + index}.conv_block.{layer}.conv", f"blocks.{index}.{own}")
    names |= _pair(f"model.{first_up + 3 * downsamplings + 1}", "head")
    return names, downsamplings, blocks


def _style_encoder_names() -> dict[str, str]:
    """Return the names of the style encoder's weights, which have one plan whatever the generator's size."""
    names = _pair("enc_style.model.0.conv", "stem") | _pair("enc_style.model_last.1", "head")
    names |= _pair("enc_label.model.0.conv", "labels.stem")
    for index in range(2):
        names |= _pair(f"enc_style.model.{index + 1}.conv", f"fine.{index}")
        names |= _pair(f"enc_label.model.{index + 1}.conv", f"labels.fine.{index}")
    for index in range(3):
        names |= _pair(f"enc_style.model_middle.{index}.conv", f"coarse.{index}")
        names |= _pair(f"enc_label.model_last.{index + 1}.conv", f"labels.coarse.{index}")
    for official, own in (("sft1", "fine_sft"), ("sft2", "coarse_sft")):
        for published, number in (("scale", "gamma"), ("shift", "beta")):
            names |= _pair(f"enc_style.{official}.SFT_{published}_conv1", f"{own}.{number}_hidden")
            names |= _pair(f"enc_style.{official}.SFT_{published}_conv2", f"{own}.{number}")
    return {official: _ENCODER + own for official, own in names.items()}


def _pair(official: str, own: str) -> dict[str, str]:
    return {f"{official}.{each}": f"{own}.{each}" for each in ("weight", "bias")}
