"""Official SPADE and SEAN state dicts to the weights of components.

Options are deduced from shapes; what shapes do not tell (6 upsamplings in place of 5, the discriminator's last stride)
is asked for or follows from the family.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from math import isqrt
from typing import Any

import torch
from torch import Tensor

from facekit.interfaces import BuildContext, FacekitError, LabelClass, LabelMap
from facekit.interfaces.importing import ImportedNetwork, fitted_network, shape_of, unknown_checkpoint, unwrapped
from facekit.registry import load_registry

from .components import SeanGenerator, SeanStyleEncoder, SpadeEncoder, SpadeGenerator
from .plugin import SeanOptions, SeanStyleOptions, SpadeEncoderOptions, SpadeOptions

_PHOTO = {"input_channels": 3}
# The parts of official names, and what they are called here. Gamma and beta, of one layer each, are one layer here.
_TABLE = """
head_0:blocks.0 G_middle_0:blocks.1 G_middle_1:blocks.2 up_0:blocks.3 up_1:blocks.4 up_2:blocks.5 up_3:blocks.6
up_4:blocks.7 conv_0:first conv_1:second conv_s:shortcut fc:start conv_img:to_image
norm_0:first_norm norm_1:second_norm norm_s:shortcut_norm ace_0:first_norm ace_1:second_norm ace_s:shortcut_norm
mlp_shared:mask.hidden mlp_gamma:mask.last conv_gamma:style blending_gamma:blend
param_free_norm:statistics noise_var:noise fc_mu:mean fc_var:log_variance
weight_orig:parametrizations.weight.original
weight_u:parametrizations.weight.0._u weight_v:parametrizations.weight.0._v
"""
_NAMES = dict(pair.split(":") for pair in _TABLE.split())
_STYLE_LAYERS = {"1": "layers.0", "4": "layers.1", "7": "layers.2", "10": "layers.3", "14": "last"}


def convert(state: Mapping[str, Tensor], *, family: str, upsamplings: int = 5) -> list[ImportedNetwork]:
    """Return the weights of the components that an official state dict belongs to, the generator first.

    Args:
        state: the state dict of a generator (with SEAN's style encoder in it), an image encoder or a discriminator.
        family: ``SPADE`` or ``SEAN``.
        upsamplings: of the generator, 5 or 6; one with 7 is known by its shapes.

    Raises:
        FacekitError: names or shapes are of no network that this plugin has.
    """
    state = unwrapped(state)
    if "conv_img.weight" in state:
        return _generator(state, upsamplings)
    if "fc_mu.weight" in state:
        return [_encoder(state)]
    if "discriminator_0.model0.0.weight" in state:
        return [_discriminator(state, last_stride=2 if family == "SEAN" else 1)]
    raise unknown_checkpoint(family, state, "`conv_img.`, `fc_mu.` or `discriminator_0.`")


def _own(name: str) -> str:
    """Return the name that a weight has here."""
    # The only layer with weights of a published sequence, and its place in ours.
    name = re.sub(r"(mlp_shared|layer\d+|model\d+)(\.0)+\.(?!_)", r"\1.", name)
    name = re.sub(r"^layer(\d+)", lambda match: f"layers.{int(match[1]) - 1}", name)
    name = re.sub(r"^discriminator_(\d+)\.model(\d+)", r"scales.\1.layers.\2", name)
    return ".".join(_NAMES.get(part, part) for part in name.split(".") if part != "Spade")


def _generator(state: Mapping[str, Tensor], upsamplings: int) -> list[ImportedNetwork]:
    of = "a generator of SPADE or SEAN"
    sean = any(".ace_" in name for name in state)
    norm = "head_0.ace_0.Spade" if sean else "head_0.norm_0"
    hidden, classes = shape_of(state, f"{norm}.mlp_shared.0.weight", dimensions=4, of=of)[:2]
    deepest = shape_of(state, "head_0.conv_0.bias", dimensions=1, of=of)[0]
    doublings = 7 if any(name.startswith("up_4.") for name in state) else upsamplings
    options: dict[str, Any] = {"filters": deepest // 16, "hidden": hidden, "upsamplings": doublings}
    inputs = {"input_channels": classes}
    start = state["fc.weight"].shape if "fc.weight" in state else ()
    tensors: dict[str, Tensor] = {}
    style: dict[str, Tensor] = {}
    dense: dict[str, dict[int, Tensor]] = {}
    for name, tensor in state.items():
        if name.startswith("Zencoder."):
            index, _, rest = name.removeprefix("Zencoder.model.").partition(".")
            style[f"{_STYLE_LAYERS.get(index, index)}.{rest}"] = tensor
        elif match := re.search(r"fc_mu(\d+)", name):
            dense.setdefault(_own(name.replace(match[0], "dense")), {})[int(match[1])] = tensor
        elif "_gamma" in name:
            other = state.get(name.replace("_gamma", "_beta"), tensor[:0])
            tensors[_own(name)] = torch.cat([tensor, other])
        elif "_beta" not in name and "Spade.param_free_norm" not in name:
            tensors[_own(name)] = tensor
    tensors |= {name: torch.stack([parts[index] for index in sorted(parts)]) for name, parts in dense.items()}
    if not sean:
        if len(start) == 2:  # a dense layer of the style, to features of one side
            options["latent"] = start[1]
        side = isqrt(start[0] // deepest) if len(start) == 2 else 1
        generator = partial(SpadeGenerator, SpadeOptions(**options), _context(classes, size=side * 2**doublings))
        return [fitted_network("generator", "spade/spade", options, tensors, generator, dimensions=inputs)]
    options["code"] = shape_of(state, "head_0.ace_0.conv_gamma.weight", dimensions=4, of=of)[1]
    sean_generator = partial(SeanGenerator, SeanOptions(**options), _context(classes))
    found = [fitted_network("generator", "spade/sean", options, tensors, sean_generator, dimensions=inputs)]
    if style:
        filters = shape_of(state, "Zencoder.model.1.weight", dimensions=4, of=of)[0]
        own: dict[str, Any] = {"code": options["code"], "filters": filters}
        # The published network has no mean codes: absent regions have zeros, as there.
        style |= {"means.mean": torch.zeros(classes, own["code"]), "means.seen": torch.zeros(classes)}
        encoder = partial(SeanStyleEncoder, SeanStyleOptions(**own), _context(classes))
        found.append(fitted_network("style_encoder", "spade/sean_style", own, style, encoder, dimensions=_PHOTO))
    return found


def _encoder(state: Mapping[str, Tensor]) -> ImportedNetwork:
    layers = len({name.split(".")[0] for name in state if name.startswith("layer")})
    latent, features = shape_of(state, "fc_mu.weight", dimensions=2, of="SPADE's image encoder")
    filters = features // 8 // min(2**layers, 16)
    options: dict[str, Any] = {"filters": filters, "latent": latent, "side": 2 ** (layers + 2)}
    tensors = {_own(name): tensor for name, tensor in state.items()}
    build = partial(SpadeEncoder, SpadeEncoderOptions(**options), _context(1))
    return fitted_network("style_encoder", "spade/spade_encoder", options, tensors, build, dimensions=_PHOTO)


def _discriminator(state: Mapping[str, Tensor], *, last_stride: int) -> ImportedNetwork:
    """Convert a discriminator: ``multiscale_patch`` of facekit-pix2pixhd, whose first scale is the finest as well."""
    scales = len({name.split(".")[0] for name in state})
    depth = len({name.split(".")[1] for name in state if name.startswith("discriminator_0.")})
    filters, inputs = shape_of(state, "discriminator_0.model0.0.weight", dimensions=4, of="SPADE's discriminator")[:2]
    if depth < 3 or inputs < 4:
        raise FacekitError(f"this discriminator has {depth} layers and takes {inputs} channels: some are missing")
    options: dict[str, Any] = {"filters": filters, "layers": depth - 2, "scales": scales, "spectral_norm": "middle"}
    if last_stride != 1:
        options["last_stride"] = last_stride
    spec = load_registry().find("discriminator", "pix2pixhd/multiscale_patch").spec
    tensors = {_own(name): tensor for name, tensor in state.items()}
    build = partial(spec.build, spec.options(**options), _context(inputs - 3))
    return fitted_network("discriminator", spec.id, options, tensors, build, dimensions={"input_channels": inputs})


def _context(classes: int, size: int = 256) -> BuildContext:
    if classes > 255:
        raise FacekitError(f"this checkpoint reads masks of {classes} classes; those here have 255 at most")
    labels = tuple(LabelClass(f"class_{index}", (index, 0, 0)) for index in range(classes))
    return BuildContext(label_map=LabelMap("imported", labels), attribute_names=(), size=size)
