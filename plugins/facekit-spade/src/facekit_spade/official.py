"""Official SPADE and SEAN state dicts to the weights of components.

Options are deduced from shapes; what shapes do not tell (6 upsamplings in place of 5, the discriminator's last stride)
is asked for or follows from the family.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isqrt
from typing import Any

import torch
from torch import Tensor, nn

from facekit.interfaces import BuildContext, FacekitError, LabelClass, LabelMap

from .components import build_sean, build_sean_style, build_spade, build_spade_encoder
from .plugin import SeanOptions, SeanStyleOptions, SpadeEncoderOptions, SpadeOptions

PHOTO_CHANNELS = 3

_LAYERS = {"conv_0": "first", "conv_1": "second", "conv_s": "shortcut"}
_NORMS = {"0": "first_norm", "1": "second_norm", "s": "shortcut_norm"}
_BLOCKS = ("head_0", "G_middle_0", "G_middle_1", *(f"up_{level}" for level in range(5)))
_SPECTRAL = {"weight_orig": "original", "weight_u": "0._u", "weight_v": "0._v"}
_STYLE_LAYERS = {"1": "layers.0", "4": "layers.1", "7": "layers.2", "10": "layers.3", "14": "last"}
_BUFFERS = ("_u", "_v", "running_mean", "running_var", "num_batches_tracked", "mean_code", "seen")


@dataclass(frozen=True)
class Converted:
    """Weights of one component.

    Args:
        component: the component's id.
        options: the options it must have, as a recipe gives them.
        input_channels: channels of the input of its first convolution.
        tensors: float32 weights by the component's own names.
    """

    component: str
    options: Mapping[str, Any]
    input_channels: int
    tensors: Mapping[str, Tensor] = field(repr=False)

    @property
    def parameters(self) -> int:
        """How many numbers are trained."""
        return sum(tensor.numel() for name, tensor in self.tensors.items() if not name.endswith(_BUFFERS))


def convert(state: Mapping[str, Tensor], *, family: str, upsamplings: int | None = None) -> list[Converted]:
    """Return the weights of the components that an official state dict belongs to, the generator first.

    Args:
        state: the state dict of a generator (with SEAN's style encoder in it), an image encoder or a discriminator.
        family: ``spade`` or ``sean``.
        upsamplings: of the generator, where it is 6; 5 and 7 differ in their shapes.

    Raises:
        FacekitError: names or shapes are of no network that this plugin has.
    """
    state = {_without_prefix(name): tensor for name, tensor in state.items()}
    if "conv_img.weight" in state:
        return _generator(state, upsamplings)
    if "fc_mu.weight" in state:
        return [_encoder(state)]
    if "discriminator_0.model0.0.weight" in state:
        return [_discriminator(state, last_stride=2 if family == "sean" else 1)]
    raise FacekitError(
        f"this is no checkpoint of {family.upper()} that facekit knows",
        remedy=f"its {len(state)} names begin with: {', '.join(sorted(state)[:3]) or 'none'}",
    )


def _without_prefix(name: str) -> str:
    """Return a name without DataParallel's prefix, and spectral norm's by their older form."""
    name = name.removeprefix("module.").replace("parametrizations.weight.original", "weight_orig")
    return name.replace("parametrizations.weight.0._", "weight_")


def _generator(state: Mapping[str, Tensor], upsamplings: int | None) -> list[Converted]:
    sean = any(".ace_" in name for name in state)
    norm = "head_0.ace_0.Spade" if sean else "head_0.norm_0"
    hidden, classes = _shape(state, f"{norm}.mlp_shared.0.weight")[:2]
    deepest = _shape(state, "head_0.conv_0.weight_orig")[0]
    doublings = 7 if any(name.startswith("up_4.") for name in state) else upsamplings or 5
    options: dict[str, Any] = {"filters": deepest // 16, "hidden": hidden, "upsamplings": doublings}
    start = _shape(state, "fc.weight")
    styles = {name: tensor for name, tensor in state.items() if name.startswith("Zencoder.")}
    tensors = _named({name: tensor for name, tensor in state.items() if name not in styles})
    if not sean:
        if len(start) == 2:  # a dense layer of the style, to features of one side
            options["latent"] = start[1]
        side = isqrt(start[0] // deepest) if len(start) == 2 else 1
        built = build_spade(SpadeOptions(**options), _context(classes, size=side * 2**doublings))
        return [_checked("spade/spade", options, classes, tensors, built)]
    options["code"] = _shape(state, "head_0.ace_0.conv_gamma.weight")[1]
    found = [_checked("spade/sean", options, classes, tensors, build_sean(SeanOptions(**options), _context(classes)))]
    if styles:
        renamed = {}
        for name, tensor in styles.items():
            _, _, index, rest = f"{name}...".split(".")[:4]
            renamed[f"{_STYLE_LAYERS.get(index, name)}.{rest}"] = tensor
        own = {"code": options["code"], "filters": _shape(state, "Zencoder.model.1.weight")[0]}
        encoder = build_sean_style(SeanStyleOptions(**own), _context(classes))
        # The published network has no mean codes: absent regions have zeros, as there.
        renamed |= {name: tensor.clone() for name, tensor in encoder.named_buffers()}
        found.append(_checked("spade/sean_style", own, PHOTO_CHANNELS, renamed, encoder))
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


def _encoder(state: Mapping[str, Tensor]) -> Converted:
    layers = len({name.split(".")[0] for name in state if name.startswith("layer")})
    options = {
        "filters": _shape(state, "layer1.0.weight_orig")[0],
        "latent": _shape(state, "fc_mu.weight")[0],
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
    built = build_spade_encoder(SpadeEncoderOptions(**options), _context(1))
    return _checked("spade/spade_encoder", options, PHOTO_CHANNELS, tensors, built)


def _discriminator(state: Mapping[str, Tensor], *, last_stride: int) -> Converted:
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
    filters, inputs = _shape(state, "discriminator_0.model0.0.weight")[:2]
    if len(places) != scales * depth or depth < 3:
        raise FacekitError(f"this discriminator has {len(places)} layers at {scales} scales: some are missing")
    options = {"filters": filters, "layers": depth - 2, "scales": scales, "spectral_norm": "middle"}
    if last_stride != 1:
        options["last_stride"] = last_stride
    return Converted("pix2pixhd/multiscale_patch", options, inputs, tensors)


def _shape(state: Mapping[str, Tensor], name: str) -> tuple[int, ...]:
    if name not in state:
        raise FacekitError(f"the weight {name!r} is missing", remedy="a whole state dict of one network is needed")
    return tuple(state[name].shape)


def _context(classes: int, size: int = 256) -> BuildContext:
    labels = tuple(LabelClass(f"class_{index}", (index % 256, index // 256, 0)) for index in range(classes))
    return BuildContext(label_map=LabelMap("imported", labels), attribute_names=(), size=size)


def _checked(
    component: str, options: Mapping[str, Any], inputs: int, tensors: dict[str, Tensor], built: nn.Module
) -> Converted:
    """Return the weights, once every one of them has the shape that the network with these options has."""
    wanted = built.state_dict()
    # Files written without the counters of batch norms are whole all the same: nothing reads them.
    tensors = {name: tensor for name, tensor in wanted.items() if name.endswith("num_batches_tracked")} | tensors
    for name in sorted(wanted.keys() | tensors.keys()):
        found = tuple(tensors[name].shape) if name in tensors else None
        expected = tuple(wanted[name].shape) if name in wanted else None
        if found != expected:
            plan = ", ".join(f"{key} {value}" for key, value in options.items())
            raise FacekitError(
                f"the weight {name!r} has the shape {found}, but {component} with {plan} has {expected}",
                remedy="the checkpoint is of a network that is like the published one, and not the same",
            )
    converted = {name: tensors[name].detach().to(wanted[name].dtype).contiguous() for name in wanted}
    return Converted(component, options, inputs, converted)
