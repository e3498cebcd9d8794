"""Official pix2pixHD state dicts to the weights of this plugin's networks.

The published code numbers the layers of long sequences: ``model.N...`` for G1 and for the feature encoder,
``model.N...``, ``model1_1.N...`` and ``model1_2.N...`` for G2, ``scaleI_layerJ.N...`` or ``layerI.N...`` for the
discriminator. What a sequence is made of is deduced from the shapes of its weights.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from facekit.interfaces import FacekitError
from facekit.interfaces.importing import (
    NORM_BUFFERS,
    ImportedNetwork,
    OptionValue,
    fitted_network,
    unknown_checkpoint,
    unwrapped,
)

from .networks import FeatureEncoder, GlobalGenerator, LocalEnhancer, MultiScaleDiscriminator
from .plugin import FEATURE_CHANNELS

FAMILY = "pix2pixHD"
_LAYER = re.compile(r"(?P<index>\d+)\.(?:conv_block\.(?P<inner>\d+)\.)?(?P<field>\w+)")
_ENHANCER = re.compile(r"model(?P<level>\d+)_(?P<half>[12])\.(?P<rest>.+)")
_SCALE_WITH_FEATURES = re.compile(r"scale(?P<scale>\d+)_layer(?P<layer>\d+)\.(?P<rest>.+)")
_SCALE = re.compile(r"layer(?P<scale>\d+)\.(?P<rest>.+)")

PHOTO_CHANNELS = 3


@dataclass(frozen=True)
class _Convolution:
    name: str
    weight: Tensor
    bias: Tensor

    @property
    def kernel(self) -> int:
        return self.weight.shape[-1]


@dataclass(frozen=True)
class _Block:
    name: str
    first: _Convolution
    second: _Convolution


_Layer = _Convolution | _Block


def convert(state: Mapping[str, Tensor]) -> tuple[ImportedNetwork]:
    """Return the network that an official state dict belongs to.

    Args:
        state: the state dict of G1, G2, the feature encoder or the discriminator. Keys may begin with ``module.``
            (DataParallel); buffers of norms are left out.

    Raises:
        FacekitError: the keys or the shapes are of no network that this plugin has, naming the first that is not.
    """
    state = {name: tensor for name, tensor in unwrapped(state).items() if not name.endswith(NORM_BUFFERS)}
    if any(_SCALE_WITH_FEATURES.match(name) or _SCALE.match(name) for name in state):
        return (_discriminator(state),)
    if any(_ENHANCER.match(name) for name in state):
        return (_local_enhancer(state),)
    if any(name.startswith("model.") for name in state):
        return (_global_generator(state),)
    raise unknown_checkpoint(FAMILY, state, "`model.`, `model1_1.`, `scale0_layer0.` or `layer0.`")


def _global_generator(state: Mapping[str, Tensor]) -> ImportedNetwork:
    layers = _layers(state, prefix="model.")
    tensors, downsamplings, blocks = _encoder_decoder(layers, where="model")
    head = _expect_convolution(layers[-1], kernel=7, role="the last layer")
    tensors |= _named("head", head)
    stem = tensors["stem.weight"]
    filters, inputs, outputs = stem.shape[0], stem.shape[1], head.weight.shape[0]
    if not blocks:
        return _feature_encoder(tensors, filters=filters, inputs=inputs, outputs=outputs, downsamplings=downsamplings)
    if outputs != PHOTO_CHANNELS:
        raise FacekitError(f"this generator paints {outputs} channels; a picture has {PHOTO_CHANNELS}")
    options = {"filters": filters, "downsamplings": downsamplings, "blocks": blocks}
    return _fitted(
        "generator",
        "pix2pixhd_global",
        options,
        inputs,
        tensors,
        lambda: GlobalGenerator(inputs=inputs, upsampling="transposed", **options),
    )


def _feature_encoder(
    tensors: dict[str, Tensor], *, filters: int, inputs: int, outputs: int, downsamplings: int
) -> ImportedNetwork:
    if inputs != PHOTO_CHANNELS or outputs != FEATURE_CHANNELS:
        raise FacekitError(
            f"a network without residual blocks that turns {inputs} channels into {outputs} is no feature encoder, "
            f"which turns a photo's {PHOTO_CHANNELS} into {FEATURE_CHANNELS}"
        )
    options = {"filters": filters, "downsamplings": downsamplings}
    generator = {f"generator.{name}": tensor for name, tensor in tensors.items()}
    return _fitted("style_encoder", "region_features", options, inputs, generator, lambda: FeatureEncoder(**options))


def _local_enhancer(state: Mapping[str, Tensor]) -> ImportedNetwork:
    halves: dict[tuple[str, str], dict[str, Tensor]] = defaultdict(dict)
    inner: dict[str, Tensor] = {}
    for name, tensor in state.items():
        match = _ENHANCER.match(name)
        if match:
            halves[match["level"], match["half"]][match["rest"]] = tensor
        else:
            inner[name] = tensor
    levels = sorted({level for level, _ in halves}, key=int)
    if levels != ["1"]:
        raise FacekitError(
            f"this checkpoint has {len(levels)} local enhancers; facekit's has one",
            remedy="only checkpoints with model1_1 and model1_2 beside model can be converted",
        )
    if not inner or ("1", "1") not in halves or ("1", "2") not in halves:
        raise _unknown("a local enhancer has the parts model, model1_1 and model1_2, and one of them is missing", state)
    inner_layers = _layers(inner, prefix="model.")
    # The sequence of G1 ends with its last upsampling here: its final convolution is not in use.
    inner_tensors, downsamplings, blocks = _encoder_decoder(inner_layers, where="model", has_head=False)
    first = _layers(halves["1", "1"], prefix="", shown="model1_1.")
    second = _layers(halves["1", "2"], prefix="", shown="model1_2.")
    local_blocks = [layer for layer in second if isinstance(layer, _Block)]
    if len(first) != 2 or len(second) != len(local_blocks) + 2 or second[: len(local_blocks)] != local_blocks:
        raise _unknown("model1_1 has two convolutions, model1_2 residual blocks and then two convolutions", state)
    stem = _expect_convolution(first[0], kernel=7, role="the first layer of model1_1")
    head = _expect_convolution(second[-1], kernel=7, role="the last layer of model1_2")
    tensors = {f"global_generator.{name}": tensor for name, tensor in inner_tensors.items()}
    tensors |= _named("stem", stem)
    tensors |= _named("down", _expect_convolution(first[1], kernel=3, role="the second layer of model1_1"))
    for index, block in enumerate(local_blocks):
        tensors |= _named_block(f"blocks.{index}", block)
    tensors |= _named("up", _expect_convolution(second[-2], kernel=3, role="the upsampling of model1_2"))
    tensors |= _named("head", head)
    if head.weight.shape[0] != PHOTO_CHANNELS:
        raise FacekitError(f"this generator paints {head.weight.shape[0]} channels; a picture has {PHOTO_CHANNELS}")
    options = {
        "filters": stem.weight.shape[0],
        "global_downsamplings": downsamplings,
        "global_blocks": blocks,
        "local_blocks": len(local_blocks),
    }
    inputs = stem.weight.shape[1]
    return _fitted(
        "generator",
        "pix2pixhd_local_enhancer",
        options,
        inputs,
        tensors,
        lambda: LocalEnhancer(inputs=inputs, upsampling="transposed", **options),
    )


def _discriminator(state: Mapping[str, Tensor]) -> ImportedNetwork:
    groups: dict[tuple[int, int], dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in state.items():
        if match := _SCALE_WITH_FEATURES.match(name):
            groups[int(match["scale"]), int(match["layer"])][match["rest"]] = tensor
        elif match := _SCALE.match(name):
            groups[int(match["scale"]), 0][match["rest"]] = tensor
        else:
            raise _unknown(f"{name!r} is not of a discriminator", state)
    plans: dict[int, list[_Convolution]] = defaultdict(list)
    for (scale, part), tensors in sorted(groups.items()):
        for layer in _layers(tensors, prefix="", shown=f"scale {scale}, layer {part}: "):
            plans[scale].append(_expect_convolution(layer, kernel=4, role=f"a layer of scale {scale}"))
    if sorted(plans) != list(range(len(plans))):
        raise FacekitError(f"this checkpoint has the scales {sorted(plans)}: some are missing")
    depths = {len(plan) for plan in plans.values()}
    if len(depths) != 1 or min(depths) < 3:
        raise _unknown(f"its scales have {sorted(depths)} convolutions; they have equally many, at least 3", state)
    first = plans[0][0].weight
    inputs = first.shape[1]
    scales, layers, filters = len(plans), depths.pop() - 2, first.shape[0]
    options = {"scales": scales, "layers": layers, "filters": filters}
    named: dict[str, Tensor] = {}
    for scale, plan in plans.items():
        # The published code gives its last scale the full resolution; here the first one has it.
        own = scales - 1 - scale
        for index, convolution in enumerate(plan):
            named |= _named(f"scales.{own}.layers.{index}", convolution)
    return _fitted(
        "discriminator",
        "multiscale_patch",
        options,
        inputs,
        named,
        lambda: MultiScaleDiscriminator(inputs=inputs, scales=scales, layers=layers, filters=filters),
    )


def _encoder_decoder(layers: list[_Layer], *, where: str, has_head: bool = True) -> tuple[dict[str, Tensor], int, int]:
    """Return the named weights of stem, downs, blocks and ups, the number of downsamplings and that of blocks."""
    body = layers[1:-1] if has_head else layers[1:]
    stem = _expect_convolution(layers[0], kernel=7, role=f"the first layer of {where}")
    blocks = [layer for layer in body if isinstance(layer, _Block)]
    resampling = len(body) - len(blocks)
    half = resampling // 2
    if not resampling or resampling % 2 or body[half : half + len(blocks)] != blocks:
        raise FacekitError(
            f"{where} is not built as pix2pixHD's generators are: downsamplings, residual blocks, as many upsamplings "
            f"({resampling} layers beside {len(blocks)} blocks)"
        )
    tensors = _named("stem", stem)
    for index in range(half):
        down = _expect_convolution(body[index], kernel=3, role=f"a downsampling of {where}")
        up = _expect_convolution(body[half + len(blocks) + index], kernel=3, role=f"an upsampling of {where}")
        tensors |= _named(f"downs.{index}", down) | _named(f"ups.{index}", up)
    for index, block in enumerate(blocks):
        tensors |= _named_block(f"blocks.{index}", block)
    return tensors, half, len(blocks)


def _layers(state: Mapping[str, Tensor], *, prefix: str, shown: str = "") -> list[_Layer]:
    """Return the layers of a sequence that have weights, in order."""
    fields: dict[tuple[int, int | None], dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in state.items():
        match = _LAYER.fullmatch(name.removeprefix(prefix)) if name.startswith(prefix) else None
        if match is None or match["field"] not in ("weight", "bias"):
            raise FacekitError(f"{shown + name!r} is a name that pix2pixHD's networks do not have")
        inner = None if match["inner"] is None else int(match["inner"])
        fields[int(match["index"]), inner][match["field"]] = tensor
    blocks: dict[int, list[_Convolution]] = defaultdict(list)
    layers: dict[int, _Layer] = {}
    for (index, inner), tensors in sorted(fields.items(), key=lambda entry: (entry[0][0], entry[0][1] or 0)):
        name = f"{shown}{prefix}{index}" + ("" if inner is None else f".conv_block.{inner}")
        convolution = _convolution(name, tensors)
        if inner is None:
            layers[index] = convolution
        else:
            blocks[index].append(convolution)
    for index, convolutions in blocks.items():
        name = f"{shown}{prefix}{index}"
        if index in layers or len(convolutions) != 2:
            raise FacekitError(f"{name!r} has {len(convolutions)} convolutions; a residual block has two")
        layers[index] = _Block(name, *convolutions)
    if len(layers) < 1:
        raise FacekitError(f"{shown + prefix!r} has no layers with weights")
    return [layers[index] for index in sorted(layers)]


def _convolution(name: str, tensors: Mapping[str, Tensor]) -> _Convolution:
    weight, bias = tensors.get("weight"), tensors.get("bias")
    if weight is None or weight.dim() != 4:
        raise FacekitError(
            f"{name!r} is a norm with weights of its own (batch norm, or instance norm with affine)",
            remedy="facekit's pix2pixHD has instance norm without weights, as the published checkpoints",
        )
    if bias is None:
        raise FacekitError(f"the convolution {name!r} has no bias; those of pix2pixHD have one")
    return _Convolution(name, weight, bias)


def _expect_convolution(layer: _Layer, *, kernel: int, role: str) -> _Convolution:
    if isinstance(layer, _Block):
        raise FacekitError(f"{layer.name!r}, {role}, is a residual block where a convolution is expected")
    if layer.kernel != kernel:
        raise FacekitError(f"{layer.name!r}, {role}, has a kernel of {layer.kernel}, not {kernel}")
    return layer


def _named(name: str, convolution: _Convolution) -> dict[str, Tensor]:
    return {f"{name}.weight": convolution.weight, f"{name}.bias": convolution.bias}


def _named_block(name: str, block: _Block) -> dict[str, Tensor]:
    return _named(f"{name}.first", block.first) | _named(f"{name}.second", block.second)


def _fitted(
    network: str,
    component: str,
    options: Mapping[str, OptionValue],
    inputs: int,
    tensors: Mapping[str, Tensor],
    build: Callable[[], nn.Module],
) -> ImportedNetwork:
    return fitted_network(
        network, f"pix2pixhd/{component}", options, tensors, build, dimensions={"input_channels": inputs}
    )


def _unknown(problem: str, state: Mapping[str, Tensor]) -> FacekitError:
    names = ", ".join(sorted(state)[:3]) or "none"
    return FacekitError(
        f"this is no checkpoint of {FAMILY} that facekit knows: {problem}",
        remedy=f"its {len(state)} names begin with: {names}",
    )
