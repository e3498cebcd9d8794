"""Official StarGAN checkpoints become the same networks here, or are refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from facekit.interfaces import BuildContext, Condition, FacekitError, Generated, LabelClass, LabelMap
from facekit.interfaces.importing import ImportedNetwork
from facekit.testing import ImportContract, assert_equals, golden_tensors, imported_network, imported_weights
from facekit_stargan.command import import_stargan
from facekit_stargan.official_layout import convert
from facekit_stargan.plugin import facekit_components

PARITY = Path(__file__).resolve().parents[4] / "shared" / "parity"
LABELS = LabelMap("one", (LabelClass("face", (0, 0, 0)),))
NAMES = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")
SPECS = {spec.id: spec for spec in facekit_components()}


# --- the published networks as plain sequences, with the names of official checkpoints ------------


def norm(channels: int) -> nn.InstanceNorm2d:
    return nn.InstanceNorm2d(channels, affine=True, track_running_stats=True)


class Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        first = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        second = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.main = nn.Sequential(first, norm(channels), nn.ReLU(), second, norm(channels))

    def forward(self, features: Tensor) -> Tensor:
        return features + self.main(features)


class OfficialGenerator(nn.Module):
    def __init__(self, *, attributes: int = 5, filters: int = 4, blocks: int = 3) -> None:
        super().__init__()
        plan = [nn.Conv2d(3 + attributes, filters, 7, 1, 3, bias=False), norm(filters), nn.ReLU()]
        for width in (filters, 2 * filters):
            plan += [nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False), norm(2 * width), nn.ReLU()]
        plan += [Block(4 * filters) for _ in range(blocks)]
        for width in (4 * filters, 2 * filters):
            plan += [nn.ConvTranspose2d(width, width // 2, 4, 2, 1, bias=False), norm(width // 2), nn.ReLU()]
        self.main = nn.Sequential(*plan, nn.Conv2d(filters, 3, 7, 1, 3, bias=False), nn.Tanh())

    def forward(self, photo: Tensor, attributes: Tensor) -> Tensor:
        planes = attributes[:, :, None, None].expand(-1, -1, *photo.shape[2:])
        return self.main(torch.cat([photo, planes], 1))


class OfficialDiscriminator(nn.Module):
    def __init__(self, *, attributes: int = 5, size: int = 32, filters: int = 4, layers: int = 3) -> None:
        super().__init__()
        plan: list[nn.Module] = []
        for narrow, wide in [(3, filters), *((filters * 2**i, filters * 2 ** (i + 1)) for i in range(layers - 1))]:
            plan += [nn.Conv2d(narrow, wide, 4, 2, 1), nn.LeakyReLU(0.01)]
        wide = filters * 2 ** (layers - 1)
        self.main = nn.Sequential(*plan)
        self.conv1 = nn.Conv2d(wide, 1, 3, 1, 1, bias=False)
        self.conv2 = nn.Conv2d(wide, attributes, size // 2**layers, bias=False)

    def forward(self, photo: Tensor) -> tuple[Tensor, Tensor]:
        features = self.main(photo)
        return self.conv1(features), self.conv2(features).flatten(1)


def randomise(network: nn.Module, seed: int = 0) -> nn.Module:
    """Weights and statistics large enough that every layer matters to the result."""
    random = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.randn(tensor.shape, generator=random)
            tensor.copy_(0.5 + noise.abs() if name.endswith("running_var") else 0.2 * noise)
    return network.eval()


def component(network: ImportedNetwork, tensors: dict[str, Tensor] | None = None, size: int = 32) -> nn.Module:
    """The component that the weights are of, built as a recipe would, with the weights in it."""
    spec = SPECS[network.component]
    built: nn.Module = spec.build(spec.options(**network.options), BuildContext(LABELS, NAMES, size))
    built.load_state_dict(dict(network.tensors) if tensors is None else tensors)
    return built.eval()


def photos(size: int = 32) -> Tensor:
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(5)) * 2 - 1


def wanted() -> Tensor:
    return torch.tensor([[1.0, 0, 0, 1, 0], [0.0, 1, 0, 0, 1]])


# --- the same results -----------------------------------------------------------------------------


@pytest.mark.parametrize("blocks", [1, 6])
def test_a_generator_changes_photos_the_same_way_with_the_same_gradients(blocks: int) -> None:
    official = randomise(OfficialGenerator(blocks=blocks))
    (network,) = convert(official.state_dict())
    assert network.options == {"filters": 4, "blocks": blocks, "statistics": "running"}
    assert network.dimensions == {"attributes": 5}
    assert network.parameters == sum(parameter.numel() for parameter in official.parameters())
    ours = component(network)
    inputs = [photos().requires_grad_() for _ in range(2)]
    results = [
        ours(Condition(None, attributes=wanted(), source_image=inputs[0]), None).image,
        official(inputs[1], wanted()),
    ]
    assert_equals(results[0].detach(), results[1].detach())
    projection = torch.randn(results[0].shape, generator=torch.Generator().manual_seed(1))
    weights = [
        [inputs[0], ours.stem.convolution.weight, ours.blocks[0].second.norm.weight, ours.ups[1].convolution.weight],
        [inputs[1], official.main[0].weight, official.main[9].main[4].weight, official.main[12 + blocks].weight],
    ]
    gradients = [torch.autograd.grad((each * projection).sum(), of) for each, of in zip(results, weights, strict=True)]
    for found, expected in zip(*gradients, strict=True):
        assert_equals(found, expected, 1e-3)


@torch.no_grad()
def test_with_the_statistics_of_the_image_it_is_the_published_test_script() -> None:
    official = randomise(OfficialGenerator())
    (network,) = convert(official.state_dict(), statistics="image")
    assert network.options["statistics"] == "image"
    result = component(network)(Condition(None, attributes=wanted(), source_image=photos()), None).image
    # That script never calls eval(): its norms look at each image.
    assert_equals(result, official.train()(photos(), wanted()))
    without = {name: each for name, each in official.state_dict().items() if "running" not in name}
    assert convert(without)[0].options["statistics"] == "image"
    with pytest.raises(FacekitError, match=r"has no 'main\.1\.running_mean'"):
        convert(without, statistics="running")


def test_running_statistics_move_in_training_as_the_published_ones() -> None:
    official = randomise(OfficialGenerator()).train()
    ours = component(convert(official.state_dict())[0]).train()
    condition = Condition(None, attributes=wanted(), source_image=photos())
    assert_equals(ours(condition, None).image.detach(), official(photos(), wanted()).detach())
    again = convert(official.state_dict())[0].tensors
    for name, tensor in ours.state_dict().items():
        torch.testing.assert_close(tensor, again[name], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("layers", "size"), [(3, 32), (4, 64)])
def test_a_discriminator_scores_the_same_with_the_same_gradients(layers: int, size: int) -> None:
    official = randomise(OfficialDiscriminator(layers=layers, size=size))
    (network,) = convert({f"module.{name}": tensor for name, tensor in official.state_dict().items()})
    assert network.options == {"filters": 4, "layers": layers}
    assert network.dimensions == {"attributes": 5, "size": size}
    ours = component(network, size=size)
    inputs = [photos(size).requires_grad_() for _ in range(2)]
    output = ours(Generated(inputs[0]), Condition(None))
    results = [(output.scales[0].logits, output.class_logits), official(inputs[1])]
    for found, expected in zip(*results, strict=True):
        assert_equals(found.detach(), expected.detach())
    random = torch.Generator().manual_seed(1)
    projections = [torch.randn(each.shape, generator=random) for each in results[1]]
    weights = [
        [inputs[0], ours.layers[0].weight, ours.layers[-1].weight, ours.classify.weight],
        [inputs[1], official.main[0].weight, official.main[-2].weight, official.conv2.weight],
    ]
    gradients = [
        torch.autograd.grad(sum((each * by).sum() for each, by in zip(made, projections, strict=True)), of)
        for made, of in zip(results, weights, strict=True)
    ]
    for found, expected in zip(*gradients, strict=True):
        assert_equals(found, expected, 1e-3)


@torch.no_grad()
@pytest.mark.parametrize("name", ["generator", "discriminator"])
def test_golden_tensors_of_the_official_network_pass_through_the_command(name: str, tmp_path: Path) -> None:
    weights, inputs, outputs = golden_tensors(PARITY / f"stargan_{name}.safetensors")
    document = imported_weights(import_stargan, weights, tmp_path)
    ours = imported_network(document, name, BuildContext(LABELS, NAMES, 64))
    if name == "generator":
        condition = Condition(None, attributes=inputs["attributes"], source_image=inputs["image"])
        assert_equals(ours(condition, None).image, outputs["image"])
        return
    scored = ours(Generated(inputs["image"]), Condition(None))
    assert_equals(scored.scales[0].logits, outputs["source"])
    assert_equals(scored.class_logits, outputs["classes"])


@pytest.mark.parametrize(("blocks", "attributes", "count"), [(6, 5, 8_430_528)])
def test_the_published_generator_has_this_many_parameters(blocks: int, attributes: int, count: int) -> None:
    (network,) = convert(OfficialGenerator(filters=64, blocks=blocks, attributes=attributes).state_dict())
    assert network.parameters == count


# --- files of other networks ----------------------------------------------------------------------


def changed(state: dict[str, Tensor], name: str, tensor: Tensor | None) -> dict[str, Tensor]:
    rest = {key: value for key, value in state.items() if key != name}
    return rest if tensor is None else rest | {name: tensor}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({}, "no name in it begins with"),
        ({"fc.weight": torch.zeros(2, 2)}, "no name in it begins with"),
        ({"main.0.weight": torch.zeros(4, 8, 7, 7)}, "no residual blocks"),
        (changed(OfficialGenerator().state_dict(), "main.3.weight", None), "has no 'main.3.weight'"),
        (changed(OfficialGenerator().state_dict(), "main.3.bias", torch.zeros(8)), "has 'main.3.bias'"),
        (changed(OfficialGenerator().state_dict(), "main.3.weight", torch.zeros(9, 4, 4, 4)), r"\(9, 4, 4, 4\)"),
        (OfficialGenerator(attributes=0).state_dict(), "a photo and no attributes"),
        (changed(OfficialGenerator().state_dict(), "main.0.weight", torch.full((4, 8, 7, 7), float("nan"))), "finite"),
        (changed(OfficialDiscriminator().state_dict(), "conv2.weight", None), "has no 'conv2.weight'"),
        (changed(OfficialDiscriminator().state_dict(), "conv2.weight", torch.zeros(5)), r"has the shape \(5,\)"),
    ],
)
def test_other_layouts_are_refused_in_words(state: dict[str, Tensor], message: str) -> None:
    with pytest.raises(FacekitError, match=message):
        convert(state)


class TestImport(ImportContract):
    command = import_stargan
    words = ("--statistics", "image")
    line = "generator: {use: stargan, filters: 4, blocks: 3, statistics: image"

    def state(self) -> dict[str, Tensor]:
        return dict(OfficialGenerator().state_dict())
