"""Gradients of a random projection against straight references, which spread codes and loop over classes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.interfaces import BuildContext, Condition, LabelClass, LabelMap, Style
from facekit.testing import assert_equals
from facekit_layers import CladeNorm, SeanNorm
from facekit_spade.plugin import facekit_components

CLASSES = 4
LABELS = LabelMap("four", tuple(LabelClass(f"class{index}", (index, 0, 0)) for index in range(CLASSES)))
SPECS = {spec.name: spec for spec in facekit_components()}
SMALL = {"filters": 2, "gain": 1.0}


def build(name: str, options: dict[str, Any]) -> nn.Module:
    """The component in evaluation mode and float64, with numbers drawn that start at zero or one."""
    torch.manual_seed(0)
    spec = SPECS[name]
    network = spec.build(spec.options(**options), BuildContext(label_map=LABELS, attribute_names=(), size=32)).double()
    for key, tensor in network.state_dict().items():
        if tensor.is_floating_point() and not key.endswith(("._u", "._v", "original")):
            noise = torch.randn_like(tensor) * 0.1
            tensor.add_(noise.abs() if key.endswith("running_var") else noise)
    return network.eval()


def convolved(layer: nn.Module, features: Tensor, **more: Any) -> Tensor:
    weight = layer.weight
    if hasattr(layer, "parametrizations"):
        norm, original = layer.parametrizations.weight[0], layer.parametrizations.weight.original
        weight = original / (norm._u @ original.flatten(1) @ norm._v)
    return F.conv2d(features, weight, layer.bias, **{"padding": weight.shape[-1] // 2} | more)


def normalised(features: Tensor) -> Tensor:
    centred = features - features.mean((2, 3), keepdim=True)
    return centred / (centred.square().mean((2, 3), keepdim=True) + 1e-5).sqrt()


def leaky(features: Tensor) -> Tensor:
    return torch.maximum(features, 0.2 * features)


def norm(module: nn.Module, features: Tensor, mask: Tensor, codes: Tensor | None) -> Tensor:
    """Batch norm by its running statistics, then what each pixel is scaled and shifted by."""
    mean, variance = module.statistics.running_mean, module.statistics.running_var
    features = (features - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt()
    if isinstance(module, CladeNorm):
        gamma, beta = module.table.t()[mask].permute(0, 3, 1, 2).chunk(2, 1)
        return features * gamma + beta
    planes = F.one_hot(mask, CLASSES).permute(0, 3, 1, 2).double()
    gamma, beta = convolved(module.mask.last, F.relu(convolved(module.mask.hidden, planes))).chunk(2, 1)
    if isinstance(module, SeanNorm) and module.style is not None:
        spread = torch.zeros(len(mask), codes.shape[2], *mask.shape[1:], dtype=torch.float64)
        for region in range(CLASSES):
            code = codes[:, region]
            if module.dense is not None:
                code = F.relu(code @ module.dense.weight[region].t() + module.dense.bias[region])
            spread = torch.where((mask == region)[:, None], code[:, :, None, None], spread)
        of_codes = convolved(module.style, spread).chunk(2, 1)
        shares = [1 / (1 + (-number).exp()) for number in module.blend]
        gamma, beta = (a * own + (1 - a) * other for a, own, other in zip(shares, of_codes, (gamma, beta), strict=True))
    return features * (1 + gamma) + beta


def generated(network: nn.Module, mask: Tensor, style: Tensor | None, codes: Tensor | None) -> Tensor:
    mask_at = {step: mask[:, ::step, ::step] for step in (1, 2, 4, 8, 16, 32)}
    if style is None:
        features = convolved(network.start, F.one_hot(mask_at[32], CLASSES).permute(0, 3, 1, 2).double())
    else:
        features = (style @ network.start.weight.t() + network.start.bias).view(len(mask), -1, 1, 1)
    for block, step in zip(network.blocks, (32, 16, 16, 8, 4, 2, 1), strict=True):
        here = mask_at[step]
        features = features.repeat_interleave(here.shape[1] // features.shape[2], 2)
        features = features.repeat_interleave(here.shape[2] // features.shape[3], 3)
        hidden = convolved(block.first, leaky(norm(block.first_norm, features, here, codes)))
        hidden = convolved(block.second, leaky(norm(block.second_norm, hidden, here, codes)))
        if block.shortcut is not None:
            features = convolved(block.shortcut, norm(block.shortcut_norm, features, here, codes))
        features = features + hidden
    return torch.tanh(convolved(network.to_image, leaky(features)))


def masks() -> Tensor:
    coarse = torch.randint(0, 3, (2, 8, 8), generator=torch.Generator().manual_seed(1))
    return coarse.repeat_interleave(4, 1).repeat_interleave(4, 2)


def compare(network: nn.Module, found: list[Tensor], expected: list[Tensor], inputs: list[Tensor]) -> None:
    """Results, and gradients of inputs and of every weight that both reach."""
    by = [torch.randn_like(each) for each in expected]
    of = [*inputs, *network.parameters()]
    gradients = [
        torch.autograd.grad(sum((each * one).sum() for each, one in zip(made, by, strict=True)), of, allow_unused=True)
        for made in (found, expected)
    ]
    reached = 0
    for one, other in zip([*found, *gradients[0]], [*expected, *gradients[1]], strict=True):
        assert (one is None) == (other is None)
        if one is None or one.numel() == 1:
            continue
        if float(other.detach().abs().max()) > 1e-9:
            assert_equals(one.detach(), other.detach(), 1e-3)
            reached += 1
        else:  # nothing but rounding, as a bias before a norm has
            assert float(one.detach().abs().max()) < 1e-6
    assert reached > len(inputs) + 5


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("spade", {"hidden": 3}),
        ("spade", {"hidden": 3, "latent": 5}),
        ("spade", {"norm": "clade"}),
        ("sean", {"hidden": 3, "code": 5}),
        ("sean", {"hidden": 3, "code": 5, "share_dense": True}),
    ],
    ids=["spade", "spade with a style", "clade", "sean", "sean with shared dense layers"],
)
def test_generators(name: str, options: dict[str, Any]) -> None:
    network, mask = build(name, SMALL | options), masks()
    if name == "sean":
        codes = torch.randn(2, CLASSES, 5, dtype=torch.float64, requires_grad=True)
        read = codes
        if network.dense is not None:
            dense = zip(codes.unbind(1), network.dense.weight, network.dense.bias, strict=True)
            read = torch.stack([F.relu(code @ weight.t() + bias) for code, weight, bias in dense], 1)
        given, expected = Style(codes), generated(network, mask, None, read)
        inputs = [codes]
    elif "latent" in options:
        style = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
        given, expected, inputs = Style(style), generated(network, mask, style, None), [style]
    else:
        given, expected, inputs = None, generated(network, mask, None, None), []
    # Images are float32 at last; before that, all is float64.
    compare(network, [network(Condition(mask), given).image.double()], [expected], inputs)


def test_the_image_encoder() -> None:
    network = build("spade_encoder", {"filters": 2, "latent": 5})
    photo = (torch.rand(2, 3, 32, 32, dtype=torch.float64) * 2 - 1).requires_grad_()
    features = photo
    for layer in network.layers:
        features = leaky(normalised(convolved(layer, features, stride=2)))
    dense = [features.flatten(1) @ each.weight.t() + each.bias for each in (network.mean, network.log_variance)]
    style = network(photo, None)
    compare(network, [style.mean.double(), style.log_variance.double()], dense, [photo])


def test_the_style_encoder() -> None:
    network, mask = build("sean_style", {"filters": 2, "code": 5, "gain": 1.0}), masks()
    photo = (torch.rand(2, 3, 32, 32, dtype=torch.float64) * 2 - 1).requires_grad_()

    def reflected(layer: nn.Module, features: Tensor) -> Tensor:
        return F.conv2d(F.pad(features, (1, 1, 1, 1), mode="reflect"), layer.weight, layer.bias)

    first, half, quarter, doubling = network.layers
    features = leaky(normalised(reflected(first, photo)))
    for layer in (half, quarter):
        features = leaky(normalised(F.conv2d(features, layer.weight, layer.bias, 2, 1)))
    features = leaky(normalised(F.conv_transpose2d(features, doubling.weight, doubling.bias, 2, 1, 1)))
    features = torch.tanh(reflected(network.last, features))
    expected = []
    for sample in range(2):
        for region in range(CLASSES):
            inside = mask[sample, ::2, ::2] == region
            expected.append(features[sample][:, inside].mean(1) if inside.any() else network.means.mean[region])
    found = network(photo, mask).code.double()
    compare(network, [found], [torch.stack(expected).view(2, CLASSES, 5)], [photo])
