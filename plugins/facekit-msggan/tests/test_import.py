"""Official MSG-ProGAN checkpoints become the same networks here, or are refused in words."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.interfaces import NO_LABELS, BuildContext, Condition, FacekitError, Generated
from facekit.interfaces.importing import ImportedNetwork
from facekit.testing import ImportContract, assert_equals, golden_tensors, imported_network, imported_weights
from facekit_msggan.command import import_msggan
from facekit_msggan.official_layout import convert
from facekit_msggan.plugin import facekit_components

PARITY = Path(__file__).resolve().parents[4] / "shared" / "parity"
SPECS = {spec.kind: spec for spec in facekit_components() if spec.name == "msg_progan"}


# --- the published networks, with the names of official checkpoints -------------------------------


class Equalised(nn.Module):
    """A convolution whose weights are scaled by the root of two over their inputs at run time."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, padding: int = 0, transposed: bool = False) -> None:
        super().__init__()
        pair = (inputs, outputs) if transposed else (outputs, inputs)
        self.weight = nn.Parameter(torch.randn(*pair, kernel, kernel))
        self.bias = nn.Parameter(0.3 * torch.randn(outputs))
        self.padding, self.transposed = padding, transposed
        self.scale = (2 / (inputs if transposed else inputs * kernel**2)) ** 0.5

    def forward(self, features: Tensor) -> Tensor:
        convolve = F.conv_transpose2d if self.transposed else F.conv2d
        return convolve(features, self.scale * self.weight, self.bias, padding=self.padding)


def normalised(features: Tensor) -> Tensor:
    return features / (features.square().mean(1, keepdim=True) + 1e-8).sqrt()


def leaky(features: Tensor) -> Tensor:
    return F.leaky_relu(features, 0.2)


class Pair(nn.Module):
    """Two convolutions called conv_1 and conv_2, and perhaps a conv_3."""

    def __init__(self, *convolutions: Equalised) -> None:
        super().__init__()
        for number, convolution in enumerate(convolutions, start=1):
            setattr(self, f"conv_{number}", convolution)


class OfficialGenerator(nn.Module):
    def __init__(self, depth: int = 4, latent: int = 16) -> None:
        super().__init__()
        first = Pair(Equalised(latent, latent, 4, transposed=True), Equalised(latent, latent, 3, padding=1))
        widths = [latent if level < 4 else latent // 2 ** (level - 3) for level in range(depth)]
        blocks = [
            Pair(Equalised(wide, narrow, 3, padding=1), Equalised(narrow, narrow, 3, padding=1))
            for wide, narrow in pairwise(widths)
        ]
        self.layers = nn.ModuleList([first, *blocks])
        self.rgb_converters = nn.ModuleList(Equalised(width, 3, 1) for width in widths)

    def forward(self, latent: Tensor) -> list[Tensor]:
        features, images = latent[:, :, None, None], []
        for level, (block, converter) in enumerate(zip(self.layers, self.rgb_converters, strict=True)):
            if level:
                features = normalised(leaky(block.conv_1(F.interpolate(features, scale_factor=2))))
            else:
                features = leaky(block.conv_1(features))
            features = normalised(leaky(block.conv_2(features)))
            images.append(converter(features))
        return images


class OfficialDiscriminator(nn.Module):
    def __init__(self, depth: int = 4, latent: int = 16) -> None:
        super().__init__()
        blocks, readers = [], []
        for level in range(depth - 1):
            wide = latent if level <= 2 else latent // 2 ** (level - 2)
            narrow = latent // 2 if level <= 2 else wide
            blocks.append(Pair(Equalised(wide, wide, 3, padding=1), Equalised(wide, narrow, 3, padding=1)))
            readers.append(Equalised(3, wide if level == depth - 2 else wide // 2, 1))
        self.layers, self.rgb_to_features = nn.ModuleList(blocks), nn.ModuleList(readers)
        self.final_converter = Equalised(3, latent // 2, 1)
        self.final_block = Pair(
            Equalised(latent + 1, latent, 3, padding=1), Equalised(latent, latent, 4), Equalised(latent, 1, 1)
        )

    def forward(self, images: list[Tensor]) -> Tensor:
        """Images coarsest first."""
        features = self.rgb_to_features[-1](images[-1])
        for level in reversed(range(len(self.layers))):
            block = self.layers[level]
            features = F.avg_pool2d(leaky(block.conv_2(leaky(block.conv_1(features)))), 2)
            reader = self.rgb_to_features[level - 1] if level else self.final_converter
            features = torch.cat([reader(images[level]), features], 1)
        deviation = (features.var(0, unbiased=False) + 1e-8).sqrt().mean()
        features = torch.cat([features, deviation.expand(len(features), 1, 4, 4)], 1)
        final = self.final_block
        return final.conv_3(leaky(final.conv_2(leaky(final.conv_1(features))))).flatten()


def component(network: ImportedNetwork, tensors: dict[str, Tensor] | None = None) -> nn.Module:
    """The component that the weights are of, built as a recipe would, with the weights in it."""
    spec = SPECS[network.network]
    assert spec.id == network.component
    context = BuildContext(NO_LABELS, (), network.dimensions["size"])
    built: nn.Module = spec.build(spec.options(**network.options), context)
    built.load_state_dict(dict(network.tensors) if tensors is None else tensors)
    return built.eval()


def condition(latent: Tensor) -> Condition:
    return Condition(None, extra={"latent": latent})


# --- the same results -----------------------------------------------------------------------------


@pytest.mark.parametrize(("depth", "latent"), [(3, 16), (5, 32)])
def test_a_generator_gives_the_same_images_with_the_same_gradients(depth: int, latent: int) -> None:
    torch.manual_seed(0)
    official = OfficialGenerator(depth, latent)
    (network,) = convert({f"module.{name}": tensor for name, tensor in official.state_dict().items()})
    assert network.options == {"latent": latent, "sphere": False}
    assert network.dimensions == {"size": 2 ** (depth + 1)}
    ours = component(network)
    inputs = [(2 * torch.randn(3, latent, generator=torch.Generator().manual_seed(1))).requires_grad_() for _ in "ab"]
    generated = ours(condition(inputs[0]), None)
    results = [[*reversed(generated.pyramid), generated.image], official(inputs[1])]
    for image, expected in zip(*results, strict=True):
        assert_equals(image.detach(), expected.detach())
    sums = [sum((image * (1 + image.detach().sign())).sum() for image in images) for images in results]
    weights = [
        [inputs[0], ours.blocks[0].first.weight, ours.blocks[2].second.weight, ours.images[1].weight],
        [
            inputs[1],
            official.layers[0].conv_1.weight,
            official.layers[2].conv_2.weight,
            official.rgb_converters[1].weight,
        ],
    ]
    gradients = [torch.autograd.grad(total, of) for total, of in zip(sums, weights, strict=True)]
    for found, expected in zip(*gradients, strict=True):
        assert_equals(found, expected, 1e-3)


@pytest.mark.parametrize(("depth", "latent"), [(3, 16), (5, 32)])
def test_a_discriminator_gives_the_same_scores_with_the_same_gradients(depth: int, latent: int) -> None:
    torch.manual_seed(0)
    official = OfficialDiscriminator(depth, latent)
    wrapped = {
        ".".join([*name.split(".")[:2], "module", *name.split(".")[2:]]) if name.startswith("layers.") else name: tensor
        for name, tensor in official.state_dict().items()
    }
    (network,) = convert(wrapped)
    assert network.options == {"latent": latent}
    ours = component(network)
    images = [torch.randn(4, 3, 4 * 2**level, 4 * 2**level, requires_grad=True) for level in range(depth)]
    finest, *coarser = reversed(images)
    scores = ours(Generated(finest, tuple(coarser)), Condition(None)).scales[0].logits[:, 0]
    expected = official(images)
    assert_equals(scores.detach(), expected.detach())
    pairs = zip(torch.autograd.grad(scores.sum(), images), torch.autograd.grad(expected.sum(), images), strict=True)
    for found, theirs in pairs:
        assert_equals(found, theirs, 1e-3)


@torch.no_grad()
@pytest.mark.parametrize("name", ["generator", "discriminator"])
def test_golden_tensors_of_the_official_network_pass_through_the_command(name: str, tmp_path: Path) -> None:
    weights, inputs, outputs = golden_tensors(PARITY / f"msggan_{name}.safetensors")
    document = imported_weights(import_msggan, weights, tmp_path)
    ours = imported_network(document, name, BuildContext(NO_LABELS, (), document["size"]))
    if name == "generator":
        generated = ours(condition(inputs["z"]), None)
        for image in (generated.image, *generated.pyramid):
            assert_equals(image, outputs[f"image{image.shape[-1]}"])
        return
    sizes = [inputs[f"image{side}"] for side in (64, 32, 16, 8, 4)]
    assert_equals(
        ours(Generated(sizes[0], tuple(sizes[1:])), Condition(None)).scales[0].logits[:, 0], outputs["logits"]
    )


# --- files of other networks ----------------------------------------------------------------------


def changed(state: dict[str, Tensor], name: str, tensor: Tensor | None) -> dict[str, Tensor]:
    rest = {key: value for key, value in state.items() if key != name}
    return rest if tensor is None else rest | {name: tensor}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({}, "no name in it begins with"),
        ({"style.weight": torch.zeros(2, 2)}, "no name in it begins with"),
        (changed(OfficialGenerator().state_dict(), "layers.2.conv_1.bias", None), "has no 'layers.2.conv_1.bias'"),
        (changed(OfficialGenerator().state_dict(), "layers.0.conv_1.weight", None), "has no 'layers.0.conv_1.weight'"),
        (changed(OfficialGenerator().state_dict(), "layers.0.conv_1.weight", torch.zeros(3)), r"the shape \(3,\)"),
        (changed(OfficialGenerator().state_dict(), "extra.weight", torch.zeros(3)), "has 'extra.weight'"),
        (changed(OfficialGenerator().state_dict(), "layers.1.conv_1.bias", torch.zeros(9)), r"the shape \(9,\)"),
        (OfficialGenerator(latent=12).state_dict(), "12 numbers"),
        ({f"rgb_converters.{index}.weight": torch.zeros(1) for index in range(17)}, "17 layers"),
        (changed(OfficialDiscriminator().state_dict(), "final_converter.bias", None), "has no 'final_converter.bias'"),
    ],
)
def test_other_layouts_are_refused_in_words(state: dict[str, Tensor], message: str) -> None:
    with pytest.raises(FacekitError, match=message):
        convert(state)


class TestImport(ImportContract):
    command = import_msggan
    line = "generator: {use: msg_progan, latent: 16, sphere: false"

    def state(self) -> dict[str, Tensor]:
        return dict(OfficialGenerator().state_dict())
