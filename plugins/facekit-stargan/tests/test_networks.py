"""Layer plans, parameters, and what the networks do with photo and attributes."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from facekit.interfaces import BuildContext, Condition, FacekitError, Generated, LabelClass, LabelMap, PortContext
from facekit_stargan.components import build_discriminator, build_generator
from facekit_stargan.networks import AttributeDiscriminator, AttributeGenerator
from facekit_stargan.plugin import DiscriminatorOptions, GeneratorOptions, discriminator_ports, generator_ports

LABELS = LabelMap("one", (LabelClass("face", (0, 0, 0)),))
NAMES = ("Smiling", "Male", "Eyeglasses")


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def convolution(inputs: int, outputs: int, kernel: int, *, bias: bool = False) -> int:
    return inputs * outputs * kernel * kernel + (outputs if bias else 0)


def photo(batch: int = 2, size: int = 32) -> Tensor:
    return torch.rand(batch, 3, size, size) * 2 - 1


def condition(source: Tensor | None, attributes: Tensor | None) -> Condition:
    return Condition(torch.zeros(2, 32, 32, dtype=torch.int64), attributes=attributes, source_image=source)


def context(names: tuple[str, ...] = NAMES, size: int = 32) -> BuildContext:
    return BuildContext(label_map=LABELS, attribute_names=names, size=size)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


class TestParameters:
    """By hand, from the layer tables of the paper's appendix."""

    def test_generator(self) -> None:
        def normed(inputs: int, outputs: int, kernel: int) -> int:
            return convolution(inputs, outputs, kernel) + 2 * outputs  # scale and shift of the norm

        by_hand = (
            normed(3 + 5, 64, 7)
            + normed(64, 128, 4)
            + normed(128, 256, 4)
            + 6 * 2 * normed(256, 256, 3)
            + normed(256, 128, 4)
            + normed(128, 64, 4)
            + convolution(64, 3, 7)
        )
        assert by_hand == 8_430_528
        with torch.device("meta"):
            assert count(AttributeGenerator(attributes=5)) == by_hand

    def test_discriminator(self) -> None:
        widths = [3, 64, 128, 256, 512, 1024, 2048]
        layers = sum(convolution(*pair, 4, bias=True) for pair in pairwise(widths))
        by_hand = layers + convolution(2048, 1, 3) + convolution(2048, 5, 2)
        assert by_hand == 44_762_048
        with torch.device("meta"):
            assert count(AttributeDiscriminator(attributes=5)) == by_hand
            assert count(AttributeDiscriminator(attributes=8)) == 44_786_624


class TestGenerator:
    def test_attributes_and_photo_change_the_result(self) -> None:
        network = AttributeGenerator(attributes=3, filters=4, blocks=1)
        source, none, smile = photo(), torch.zeros(2, 3), torch.tensor([[1.0, 0, 0]] * 2)
        result = network(source, none)
        assert result.shape == source.shape
        assert result.abs().max() <= 1
        assert (network(source, smile) - result).abs().mean() > 1e-3
        assert (network(photo(), none) - result).abs().mean() > 1e-3

    def test_gradient_reaches_the_photo_from_the_far_end(self) -> None:
        source = photo().requires_grad_()
        network = AttributeGenerator(attributes=3, filters=4, blocks=2)
        network(source, torch.ones(2, 3)).square().mean().backward()
        assert source.grad is not None
        assert bool((source.grad.abs().amax((1, 2, 3)) > 0).all())

    def test_layout_of_the_weights_is_kept_throughout(self) -> None:
        network = AttributeGenerator(attributes=3, filters=4, blocks=1).to(memory_format=torch.channels_last)
        seen = []
        for layer in (*network.downs, *network.blocks, *network.ups, network.head):
            layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        network(photo(), torch.ones(2, 3))
        assert seen
        assert all(features.is_contiguous(memory_format=torch.channels_last) for features in seen)

    def test_it_takes_no_mask(self) -> None:
        ports = generator_ports(GeneratorOptions(), PortContext(size=32))
        assert {port.name for port in ports.needs} == {"image", "attributes"}

    @pytest.mark.parametrize(
        ("source", "attributes", "message"),
        [
            (None, torch.ones(2, 3), "changes a photo, and there is none"),
            (photo(), None, "there are none"),
            (photo(), torch.ones(2, 5), "5 attributes are wanted of 2 photos; this generator changes 3"),
            (
                photo(),
                torch.ones(1, 3),
                "3 attributes are wanted of 1 photos; this generator changes 3, and there are 2",
            ),
        ],
    )
    def test_exception(self, source: Tensor | None, attributes: Tensor | None, message: str) -> None:
        generator = build_generator(GeneratorOptions(filters=2, blocks=1), context())
        with pytest.raises(FacekitError, match=message):
            generator(condition(source, attributes), None)


class TestDiscriminator:
    @pytest.mark.parametrize(("size", "layers", "patches"), [(32, 4, 2), (64, 4, 4), (32, 5, 1)])
    def test_class_head_covers_what_is_left(self, size: int, layers: int, patches: int) -> None:
        options = DiscriminatorOptions(filters=2, layers=layers)
        network = build_discriminator(options, context(size=size))
        discriminator_output = network(Generated(photo(2, size)), condition(None, None))
        assert discriminator_output.scales[0].logits.shape == (2, 1, patches, patches)
        assert discriminator_output.class_logits is not None
        assert discriminator_output.class_logits.shape == (2, 3)
        assert network.classify.kernel_size == (patches, patches)
        assert discriminator_ports(options, PortContext(size=size)).size_multiple == 2**layers

    def test_both_heads_see_the_picture(self) -> None:
        network = AttributeDiscriminator(attributes=3, size=32, filters=4, layers=3)
        for head in range(2):
            picture = photo().requires_grad_()
            network(picture)[head].sum().backward()
            assert picture.grad is not None
            assert picture.grad.abs().max() > 0


@pytest.mark.parametrize("build", [build_generator, build_discriminator])
def test_data_without_attributes(build) -> None:  # type: ignore[no-untyped-def]
    options = GeneratorOptions() if build is build_generator else DiscriminatorOptions()
    with pytest.raises(FacekitError, match="changes attributes, and the data has none"):
        build(options, context(()))
