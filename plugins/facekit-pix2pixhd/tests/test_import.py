"""Official checkpoints become the same networks here, or are refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.interfaces import (
    BuildContext,
    Condition,
    DiscriminatorOutput,
    FacekitError,
    Generated,
    LabelClass,
    LabelMap,
)
from facekit.interfaces.importing import ImportedNetwork
from facekit.registry import load_registry
from facekit.testing import ImportContract, assert_equals, golden_tensors, imported_network, imported_weights
from facekit_layers import average_by_region, spread_over_regions
from facekit_pix2pixhd.command import import_pix2pixhd
from facekit_pix2pixhd.official_layout import convert

PARITY = Path(__file__).resolve().parents[4] / "shared" / "parity"
CLASSES = 7
LABELS = LabelMap("seven", tuple(LabelClass(f"class{index}", (index, 0, 0)) for index in range(CLASSES)))


# --- the published networks as plain sequences, with the names of official checkpoints ------------


def norm(channels: int) -> nn.InstanceNorm2d:
    return nn.InstanceNorm2d(channels, affine=False)


class Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            norm(channels),
            nn.ReLU(),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            norm(channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        return features + self.conv_block(features)


def stem(inputs: int, filters: int) -> list[nn.Module]:
    return [nn.ReflectionPad2d(3), nn.Conv2d(inputs, filters, 7), norm(filters), nn.ReLU()]


def down(channels: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1), norm(2 * channels), nn.ReLU()]


def up(channels: int) -> list[nn.Module]:
    half = channels // 2
    return [nn.ConvTranspose2d(channels, half, 3, stride=2, padding=1, output_padding=1), norm(half), nn.ReLU()]


def head(filters: int, outputs: int = 3) -> list[nn.Module]:
    return [nn.ReflectionPad2d(3), nn.Conv2d(filters, outputs, 7), nn.Tanh()]


class OfficialGlobal(nn.Module):
    """Keys ``model.N...``; without blocks it is the feature encoder."""

    def __init__(
        self, *, inputs: int, filters: int, downsamplings: int, blocks: int, outputs: int = 3, last: bool = True
    ) -> None:
        super().__init__()
        plan = stem(inputs, filters)
        for level in range(downsamplings):
            plan += down(filters * 2**level)
        plan += [Block(filters * 2**downsamplings) for _ in range(blocks)]
        for level in range(downsamplings, 0, -1):
            plan += up(filters * 2**level)
        self.model = nn.Sequential(*plan, *(head(filters, outputs) if last else []))

    def forward(self, planes: Tensor) -> Tensor:
        return self.model(planes)


class OfficialEnhancer(nn.Module):
    """Keys ``model.N...``, ``model1_1.N...``, ``model1_2.N...``."""

    def __init__(self, *, inputs: int, filters: int, downsamplings: int, blocks: int, local_blocks: int) -> None:
        super().__init__()
        inner = OfficialGlobal(
            inputs=inputs, filters=2 * filters, downsamplings=downsamplings, blocks=blocks, last=False
        )
        self.model = inner.model
        self.model1_1 = nn.Sequential(*stem(inputs, filters), *down(filters))
        self.model1_2 = nn.Sequential(
            *[Block(2 * filters) for _ in range(local_blocks)], *up(2 * filters), *head(filters)
        )

    def forward(self, planes: Tensor) -> Tensor:
        half = F.avg_pool2d(planes, 3, stride=2, padding=1, count_include_pad=False)
        return self.model1_2(self.model1_1(planes) + self.model(half))


class OfficialDiscriminator(nn.Module):
    """Keys ``scaleI_layerJ.N...``, or ``layerI.N...`` without intermediate features; the last scale is the finest."""

    def __init__(self, *, inputs: int, filters: int, layers: int, scales: int, intermediate: bool = True) -> None:
        super().__init__()
        self.count, self.scales, self.intermediate = layers + 2, scales, intermediate
        for scale in range(scales):
            plan: list[list[nn.Module]] = [[nn.Conv2d(inputs, filters, 4, 2, 2), nn.LeakyReLU(0.2)]]
            width = filters
            for layer in range(1, layers + 1):
                wider = min(2 * width, 512)
                stride = 2 if layer < layers else 1
                plan.append([nn.Conv2d(width, wider, 4, stride, 2), norm(wider), nn.LeakyReLU(0.2)])
                width = wider
            plan.append([nn.Conv2d(width, 1, 4, 1, 2)])
            if intermediate:
                for layer, modules in enumerate(plan):
                    setattr(self, f"scale{scale}_layer{layer}", nn.Sequential(*modules))
            else:
                setattr(self, f"layer{scale}", nn.Sequential(*[module for modules in plan for module in modules]))

    def forward(self, pair: Tensor) -> list[list[Tensor]]:
        """All maps of each scale, full resolution first; the last of each are the logits."""
        results = []
        for scale in reversed(range(self.scales)):
            maps = [pair]
            if self.intermediate:
                for layer in range(self.count):
                    maps.append(getattr(self, f"scale{scale}_layer{layer}")(maps[-1]))
            else:
                maps.append(getattr(self, f"layer{scale}")(pair))
            results.append(maps[1:])
            pair = F.avg_pool2d(pair, 3, stride=2, padding=1, count_include_pad=False)
        return results


def randomise(network: nn.Module, seed: int) -> nn.Module:
    """Weights large enough that every layer matters to the result."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=random) * 0.1)
    return network.eval()


# --- the same results -----------------------------------------------------------------------------


def component(weights: ImportedNetwork) -> nn.Module:
    """The component that the weights are of, built as a recipe would, with the weights in it."""
    kinds = ("generator", "discriminator", "style_encoder")
    registry = load_registry()
    (found,) = [
        registry.components[kind, weights.component]
        for kind in kinds
        if (kind, weights.component) in registry.components
    ]
    network = found.spec.build(found.spec.options(**weights.options), BuildContext(LABELS, (), 64))
    network.load_state_dict(dict(weights.tensors), strict=True)
    return network.eval()


def masks(batch: int = 2, size: int = 64) -> Tensor:
    return torch.randint(0, CLASSES, (batch, size, size), generator=torch.Generator().manual_seed(5))


def planes(mask: Tensor) -> Tensor:
    return F.one_hot(mask, CLASSES).permute(0, 3, 1, 2).float()


def small_global(**changes: int) -> OfficialGlobal:
    return OfficialGlobal(**{"inputs": CLASSES, "filters": 8, "downsamplings": 3, "blocks": 2} | changes)


def small_enhancer() -> OfficialEnhancer:
    return OfficialEnhancer(inputs=CLASSES, filters=6, downsamplings=2, blocks=2, local_blocks=3)


def small_discriminator(**changes: int) -> OfficialDiscriminator:
    return OfficialDiscriminator(**{"inputs": CLASSES + 3, "filters": 8, "layers": 3, "scales": 3} | changes)


@torch.no_grad()
@pytest.mark.parametrize("blocks", [1, 4])
@pytest.mark.parametrize("downsamplings", [1, 4])
def test_a_global_generator_paints_the_same_picture(blocks: int, downsamplings: int) -> None:
    official = randomise(small_global(blocks=blocks, downsamplings=downsamplings), seed=1)
    (weights,) = convert(official.state_dict())
    assert weights.component == "pix2pixhd/pix2pixhd_global"
    assert weights.options == {"filters": 8, "downsamplings": downsamplings, "blocks": blocks}
    assert weights.dimensions == {"input_channels": CLASSES}
    mask = masks()
    # In float64, where the order of sums does not matter: what is compared is which weights go where.
    expected = official.double()(planes(mask).double()).float()
    assert expected.std() > 0.1
    picture = component(weights).double()(Condition(mask), None).image
    torch.testing.assert_close(picture, expected, atol=1e-6, rtol=0)


@torch.no_grad()
def test_a_local_enhancer_paints_the_same_picture() -> None:
    official = randomise(small_enhancer(), seed=2)
    (weights,) = convert(official.state_dict())
    assert weights.component == "pix2pixhd/pix2pixhd_local_enhancer"
    assert weights.options == {"filters": 6, "global_downsamplings": 2, "global_blocks": 2, "local_blocks": 3}
    mask = masks()
    expected = official(planes(mask))
    assert expected.std() > 0.1
    picture = component(weights)(Condition(mask), None).image
    torch.testing.assert_close(picture, expected, atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("intermediate", [True, False])
@pytest.mark.parametrize(("layers", "scales"), [(3, 2), (2, 1), (4, 3)])
def test_a_discriminator_judges_the_same(intermediate: bool, layers: int, scales: int) -> None:
    official = randomise(small_discriminator(layers=layers, scales=scales, intermediate=intermediate), seed=3)
    (weights,) = convert(official.state_dict())
    assert weights.component == "pix2pixhd/multiscale_patch"
    assert weights.options == {"scales": scales, "layers": layers, "filters": 8}
    mask = masks()
    photo = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(6)) * 2 - 1
    expected = official(torch.cat([planes(mask), photo], dim=1))
    discriminator_output = component(weights)(Generated(photo), Condition(mask))
    assert len(discriminator_output.scales) == scales
    for ours, theirs in zip(discriminator_output.scales, expected, strict=True):
        torch.testing.assert_close(ours.logits, theirs[-1], atol=1e-5, rtol=1e-5)
        if intermediate:
            for feature, other in zip(ours.features, theirs[:-1], strict=True):
                torch.testing.assert_close(feature, other, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_feature_encoder_gives_the_same_map_averaged_over_regions() -> None:
    official = randomise(OfficialGlobal(inputs=3, filters=8, downsamplings=2, blocks=0), seed=4)
    (weights,) = convert(official.state_dict())
    assert weights.component == "pix2pixhd/region_features"
    mask = masks()
    photo = torch.rand(2, 3, 64, 64) * 2 - 1
    code = component(weights)(photo, mask).code
    generated = official(photo)
    for sample in range(2):
        for region in range(CLASSES):
            mean = generated[sample][:, mask[sample] == region].mean(1)
            torch.testing.assert_close(code[sample, region], mean, atol=1e-5, rtol=1e-5)


def test_gradients_of_a_projection_are_those_of_the_published_networks() -> None:
    """With respect to photos where a network reads them, and to the first, a middle and the last weight."""
    mask, random = masks(size=32), torch.Generator().manual_seed(7)
    photo = (torch.rand(2, 3, 32, 32, generator=random, dtype=torch.float64) * 2 - 1).requires_grad_()

    def judged(output: DiscriminatorOutput) -> list[Tensor]:
        return [each for scale in output.scales for each in (*scale.features, scale.logits)]

    cases = [
        (small_global(), lambda own: [own(Condition(mask), None).image], lambda net: [net(planes(mask).double())]),
        (small_enhancer(), lambda own: [own(Condition(mask), None).image], lambda net: [net(planes(mask).double())]),
        (
            small_discriminator(),
            lambda own: judged(own(Generated(photo), Condition(mask))),
            lambda net: [each for scale in net(torch.cat([planes(mask), photo], 1)) for each in scale],
        ),
        (
            OfficialGlobal(inputs=3, filters=8, downsamplings=2, blocks=0),
            lambda own: [spread_over_regions(own(photo, mask).code, planes(mask).double())],
            lambda net: [spread_over_regions(average_by_region(net(photo), planes(mask)), planes(mask).double())],
        ),
    ]
    for official, ours, theirs in cases:
        randomise(official, seed=8)
        (weights,) = convert(official.state_dict())
        own, official = component(weights).double(), official.double()
        moved = dict(own.named_parameters())
        pairs = []
        for place in official.parameters():
            if place.dim() == 4:
                same = [each for each in moved.values() if torch.equal(each.float(), place.float())]
                assert len(same) == 1
                pairs.append((same[0], place))
        pairs = [pairs[0], pairs[len(pairs) // 2], pairs[-1]]
        results = ours(own), theirs(official)
        projections = [torch.randn(each.shape, generator=random, dtype=torch.float64) for each in results[0]]
        found, expected = (
            torch.autograd.grad(
                sum((each * by).sum() for each, by in zip(result, projections, strict=True)),
                [photo, *weights],
                allow_unused=True,
            )
            for result, weights in zip(results, zip(*pairs, strict=True), strict=True)
        )
        assert (found[0] is None) == (expected[0] is None)
        for one, other in zip(found, expected, strict=True):
            if one is not None:
                assert_equals(one, other, 1e-3)


@torch.no_grad()
@pytest.mark.parametrize("name", ["global", "local", "discriminator", "encoder"])
def test_golden_tensors_of_the_official_networks_pass_through_the_command(name: str, tmp_path: Path) -> None:
    weights, inputs, outputs = golden_tensors(PARITY / f"pix2pixhd_{name}.safetensors")
    document = imported_weights(import_pix2pixhd, weights, tmp_path)
    labels = LabelMap("nineteen", tuple(LabelClass(f"class{index}", (index, 0, 0)) for index in range(19)))
    (kind,) = document["networks"]
    network = imported_network(document, kind, BuildContext(labels, (), 64))
    if kind == "generator":
        assert_equals(network(Condition(inputs["mask"]), None).image, outputs["image"])
    elif kind == "discriminator":
        scales = network(Generated(inputs["image"]), Condition(inputs["mask"])).scales
        for scale, output in enumerate(scales):
            for layer, found in enumerate((*output.features, output.logits)):
                assert_equals(found, outputs[f"scale{scale}.layer{layer}"])
    else:  # the published encoder averages over instances, which are classes here, and spreads the means again
        ids = torch.unique(inputs["instance"], return_inverse=True)[1][:, 0]
        code = network(inputs["image"], ids).code
        spread = spread_over_regions(code, F.one_hot(ids, 19).permute(0, 3, 1, 2).float())
        assert_equals(spread, outputs["features"])


def test_wrapping_and_running_statistics_and_half_precision_are_read() -> None:
    official = small_global()
    (plain,) = convert(official.state_dict())
    wrapped = {f"module.{name}": tensor for name, tensor in official.state_dict().items()}
    wrapped |= {"module.model.2.running_mean": torch.zeros(8), "module.model.2.running_var": torch.ones(8)}
    wrapped |= {"module.model.13.conv_block.2.num_batches_tracked": torch.tensor(3)}
    for name, tensor in convert(wrapped)[0].tensors.items():
        assert torch.equal(tensor, plain.tensors[name]), name
    (halved,) = convert({name: tensor.half() for name, tensor in official.state_dict().items()})
    assert {tensor.dtype for tensor in halved.tensors.values()} == {torch.float32}


def test_blocks_with_dropout_are_read() -> None:
    official = small_global()
    moved = {name.replace("conv_block.5", "conv_block.6"): tensor for name, tensor in official.state_dict().items()}
    assert torch.equal(
        convert(moved)[0].tensors["blocks.0.second.weight"],
        convert(official.state_dict())[0].tensors["blocks.0.second.weight"],
    )


def changed(state: dict[str, Tensor], name: str, tensor: Tensor | None) -> dict[str, Tensor]:
    rest = {key: value for key, value in state.items() if key != name}
    return rest if tensor is None else rest | {name: tensor}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({}, "no checkpoint of pix2pixHD"),
        ({"fc.weight": torch.zeros(2, 2)}, "no checkpoint of pix2pixHD"),
        ({"layer1.0.conv1.weight": torch.zeros(2, 2, 3, 3)}, "is a name that pix2pixHD's networks do not have"),
        (changed(small_global().state_dict(), "model.2.weight", torch.ones(8)), "norm with weights of its own"),
        (changed(small_global().state_dict(), "model.1.bias", None), "has no bias"),
        (changed(small_global().state_dict(), "model.4.weight", torch.zeros(9, 8, 3, 3)), "downs.0.weight.*9, 8, 3, 3"),
        (changed(small_global().state_dict(), "model.4.weight", torch.zeros(16, 8, 5, 5)), "kernel of 5, not 3"),
        (changed(small_global().state_dict(), "model.13.conv_block.5.weight", None), "model.13.conv_block.5"),
        (changed(small_enhancer().state_dict(), "model2_1.1.weight", torch.zeros(3, 7, 7, 7)), "2 local enhancers"),
        ({k: v for k, v in small_enhancer().state_dict().items() if "model1_2" not in k}, "one of them is missing"),
        ({k: v for k, v in small_discriminator().state_dict().items() if "scale1" not in k}, r"the scales \[0, 2\]"),
        (small_global(outputs=4).state_dict(), "paints 4 channels"),
        (OfficialGlobal(inputs=5, filters=4, downsamplings=1, blocks=0).state_dict(), "no feature encoder"),
    ],
    ids=[
        "empty",
        "other names",
        "another network",
        "norm with weights",
        "no bias",
        "wrong width",
        "wrong kernel",
        "half a block",
        "two enhancers",
        "half an enhancer",
        "scale missing",
        "four channels",
        "no feature encoder",
    ],
)
def test_other_layouts_are_refused_in_words(state: dict[str, Tensor], message: str) -> None:
    with pytest.raises(FacekitError, match=message):
        convert(state)


class TestImportOfTheGlobalGenerator(ImportContract):
    command = import_pix2pixhd
    line = "generator: {use: pix2pixhd_global, filters: 8, downsamplings: 3, blocks: 2"

    def state(self) -> dict[str, Tensor]:
        return dict(randomise(small_global(), seed=1).state_dict())


class TestImportOfTheDiscriminator(ImportContract):
    command = import_pix2pixhd
    line = "discriminator: {use: multiscale_patch, scales: 3, layers: 3, filters: 8"

    def state(self) -> dict[str, Tensor]:
        return dict(randomise(small_discriminator(), seed=3).state_dict())
