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
from facekit.interfaces.imported import ImportedNetwork, fitted_network, shape_of, unknown_checkpoint, unwrapped

from .components import build_sean, build_sean_style, build_spade, build_spade_encoder
from .plugin import SeanOptions, SeanStyleOptions, SpadeEncoderOptions, SpadeOptions

_PHOTO = {"input_channels": 3}

_LAYERS = {"conv_0": "first", "conv_1": "second", "conv_s": "shortcut"}
_NORMS = {"0": "first_norm", "1": "second_norm", "s": "shortcut_norm"}
_BLOCKS = ("head_0", "G_middle_0", "G_middle_1", *(f"up_{level}" for level in range(5)))
_SPECTRAL = {"weight_orig": "original", "weight_u": "0._u", "weight_v": "0._v"}
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
    state = {_older(name): tensor for name, tensor in unwrapped(state).items()}
    if "conv_img.weight" in state:
        return _generator(state, upsamplings)
    if "fc_mu.weight" in state:
        return [_encoder(state)]
    if "discriminator_0.model0.0.weight" in state:
        return [_discriminator(state, last_stride=2 if family == "SEAN" else 1)]
    raise unknown_checkpoint(family, state, "`conv_img.`, `fc_mu.` or `discriminator_0.`")


def _older(name: str) -> str:
    """Return a name with those of spectral norm in torch's older form."""
    name = name.replace("parametrizations.weight.original", "weight_orig")
    return name.replace("parametrizations.weight.0._", "weight_")


def _generator(state: Mapping[str, Tensor], upsamplings: int) -> list[ImportedNetwork]:
    of = "a generator of SPADE or SEAN"
    sean = any(".ace_" in name for name in state)
    norm = "head_0.ace_0.Spade" if sean else "head_0.norm_0"
    hidden, classes = shape_of(state, f"{norm}.mlp_shared.0.weight", dimensions=4, of=of)[:2]
    deepest = shape_of(state, "head_0.conv_0.weight_orig", dimensions=4, of=of)[0]
    doublings = 7 if any(name.startswith("up_4.") for name in state) else upsamplings
    options: dict[str, Any] = {"filters": deepest // 16, "hidden": hidden, "upsamplings": doublings}
    inputs = {"input_channels": classes}
    start = state["fc.weight"].shape if "fc.weight" in state else ()
    styles = {name: tensor for name, tensor in state.items() if name.startswith("Zencoder.")}
    tensors = _named({name: tensor for name, tensor in state.items() if name not in styles})
    if not sean:
        if len(start) == 2:  # a dense layer of the style, to features of one side
            options["latent"] = start[1]
        side = isqrt(start[0] // deepest) if len(start) == 2 else 1
        generator = partial(build_spade, SpadeOptions(**options), _context(classes, size=side * 2**doublings))
        return [fitted_network("generator", "spade/spade", options, tensors, generator, dimensions=inputs)]
    options["code"] = shape_of(state, "head_0.ace_0.conv_gamma.weight", dimensions=4, of=of)[1]
    sean_generator = partial(build_sean, SeanOptions(**options), _context(classes))
    found = [fitted_network("generator", "spade/sean", options, tensors, sean_generator, dimensions=inputs)]
    if styles:
        renamed: dict[str, Tensor] = {}
        for name, tensor in styles.items():
            _, _, index, rest = f"{name}...".split(".")[:4]
            renamed[f"{_STYLE_LAYERS.get(index, name)}.{rest}"] = tensor
        filters = shape_of(state, "Zencoder.model.1.weight", dimensions=4, of=of)[0]
        own: dict[str, Any] = {"code": options["code"], "filters": filters}
        # The published network has no mean codes: absent regions have zeros, as there.
        renamed |= {"mean_code": torch.zeros(classes, own["code"]), "seen": torch.zeros(classes)}
        encoder = partial(build_sean_style, SeanStyleOptions(**own), _context(classes))
        found.append(fitted_network("style_encoder", "spade/sean_style", own, renamed, encoder, dimensions=_PHOTO))
    return found


def _named(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a generator's weights by the names they have here."""
    named: dict[str, Tensor] = {}
    dense: dict[str, dict[int, Tensor]] = {}
    for name, tensor in state.items():
        block, _, rest = name.partition(".")
        if block not in _BLOCKS:
            named[{"fc": "start", "conv_img": "to_image"}.get(block, block) + f".{rest}"] = tensor
            continue
        prefix = f"blocks.{_BLOCKS.index(block)}"
        layer, _, rest = rest.partition(".")
        if layer in _LAYERS:
            place = f"parametrizations.weight.{_SPECTRAL[rest]}" if rest in _SPECTRAL else rest
            named[f"{prefix}.{_LAYERS[layer]}.{place}"] = tensor
            continue
        place = f"{prefix}.{_NORMS.get(layer[-1:], layer)}"
        rest = rest.removeprefix("Spade.") if not rest.startswith("Spade.param_free_norm") else ""
        if match := re.fullmatch(r"fc_mu(\d+)\.(weight|bias)", rest):
            dense.setdefault(f"{place}.dense.{match[2]}", {})[int(match[1])] = tensor
        elif rest.startswith(("mlp_gamma", "conv_gamma", "blending_gamma")):
            # Gamma and beta, of one layer each, are one layer here.
            other = state.get(name.replace("gamma", "beta"), tensor[:0])
            kind, _, field_name = rest.partition(".")
            own = {"mlp_gamma": "mask.last", "conv_gamma": "style", "blending_gamma": "blend"}[kind]
            named[f"{place}.{own}" + (f".{field_name}" if field_name else "")] = torch.cat([tensor, other])
        elif rest and "_beta" not in rest:
            changed = rest.replace("mlp_shared.0", "mask.hidden").replace("param_free_norm", "statistics")
            named[f"{place}.{changed.replace('noise_var', 'noise')}"] = tensor
    return named | {name: torch.stack([parts[index] for index in sorted(parts)]) for name, parts in dense.items()}


def _encoder(state: Mapping[str, Tensor]) -> ImportedNetwork:
    of = "SPADE's image encoder"
    layers = len({name.split(".")[0] for name in state if name.startswith("layer")})
    options: dict[str, Any] = {
        "filters": shape_of(state, "layer1.0.weight_orig", dimensions=4, of=of)[0],
        "latent": shape_of(state, "fc_mu.weight", dimensions=2, of=of)[0],
        "side": 2 ** (layers + 2),
    }
    tensors = {}
    for name, tensor in state.items():
        layer, _, rest = name.partition(".")
        if match := re.fullmatch(r"layer(\d+)\.0\.(weight_\w+)", name):
            place = _SPECTRAL.get(match[2], match[2])
            tensors[f"layers.{int(match[1]) - 1}.parametrizations.weight.{place}"] = tensor
        else:
            tensors[{"fc_mu": "mean", "fc_var": "log_variance"}.get(layer, layer) + f".{rest}"] = tensor
    build = partial(build_spade_encoder, SpadeEncoderOptions(**options), _context(1))
    return fitted_network("style_encoder", "spade/spade_encoder", options, tensors, build, dimensions=_PHOTO)


def _discriminator(state: Mapping[str, Tensor], *, last_stride: int) -> ImportedNetwork:
    """Convert a discriminator: ``multiscale_patch`` of facekit-pix2pixhd, whose first scale is the finest as well."""
    tensors: dict[str, Tensor] = {}
    for name, tensor in state.items():
        match = re.fullmatch(r"discriminator_(\d+)\.model(\d+)\.(?:0\.)+(\w+)", name)
        if match is None:
            raise FacekitError(f"{name!r} is a name that SPADE's discriminator does not have")
        last = f"parametrizations.weight.{_SPECTRAL[match[3]]}" if match[3] in _SPECTRAL else match[3]
        tensors[f"scales.{match[1]}.layers.{match[2]}.{last}"] = tensor.float().contiguous()
    places = {tuple(int(part) for part in name.split(".")[1:4:2]) for name in tensors}
    scales, depth = (max(numbers) + 1 for numbers in zip(*places, strict=True))
    filters, inputs = shape_of(state, "discriminator_0.model0.0.weight", dimensions=4, of="SPADE's discriminator")[:2]
    if len(places) != scales * depth or depth < 3:
        raise FacekitError(f"this discriminator has {len(places)} layers at {scales} scales: some are missing")
    options: dict[str, Any] = {"filters": filters, "layers": depth - 2, "scales": scales, "spectral_norm": "middle"}
    if last_stride != 1:
        options["last_stride"] = last_stride
    spectral = frozenset(name for name in tensors if name.endswith(("._u", "._v")))
    component = "pix2pixhd/multiscale_patch"
    return ImportedNetwork("discriminator", component, options, tensors, {"input_channels": inputs}, spectral)


def _context(classes: int, size: int = 256) -> BuildContext:
    labels = tuple(LabelClass(f"class_{index}", (index % 256, index // 256, 0)) for index in range(classes))
    return BuildContext(label_map=LabelMap("imported", labels), attribute_names=(), size=size)
