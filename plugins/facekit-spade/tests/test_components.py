"""Generators, style encoders and the loss: parameters as published, styles by region, mean codes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from facekit.interfaces import BuildContext, Condition, FacekitError, LabelClass, LabelMap, PortContext, Style
from facekit.registry import load_registry
from facekit_spade.plugin import facekit_components

LABELS = LabelMap("nineteen", tuple(LabelClass(f"class{index}", (index, 0, 0)) for index in range(19)))
SPECS = {spec.name: spec for spec in facekit_components()}


def build(name: str, *, size: int = 64, **options: Any) -> nn.Module:
    spec = SPECS[name]
    torch.manual_seed(0)
    return spec.build(spec.options(**options), BuildContext(label_map=LABELS, attribute_names=(), size=size))


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        ("spade", {}, 92_538_819),
        ("spade", {"latent": 256}, 109_205_443),
        ("spade", {"filters": 32}, 29_787_619),
        ("spade", {"filters": 24}, 19_312_299),
        ("spade", {"filters": 16}, 10_921_971),
        ("spade", {"filters": 16, "norm": "clade"}, 4_320_435),
        ("spade_encoder", {}, 10_463_424),
        ("sean_style", {}, 1_568_576),
        # The published networks have the style encoder in the generator.
        ("sean", {}, 266_907_367 - 1_568_576),
        ("sean", {"filters": 16}, 111_833_287 - 1_568_576),
    ],
)
def test_the_published_networks_have_these_many_parameters(name: str, options: dict[str, Any], parameters: int) -> None:
    with torch.device("meta"):
        assert count(build(name, size=256, **options)) == parameters


@pytest.mark.parametrize(
    ("options", "parameters"), [({}, 5_566_594), ({"layers": 2, "last_stride": 2}, 1_364_098)], ids=["SPADE", "SEAN"]
)
def test_the_discriminators_are_options_of_the_multi_scale_one(options: dict[str, Any], parameters: int) -> None:
    spec = load_registry().components["discriminator", "pix2pixhd/multiscale_patch"].spec
    context = BuildContext(label_map=LABELS, attribute_names=(), size=64)
    with torch.device("meta"):
        assert count(spec.build(spec.options(spectral_norm="middle", **options), context)) == parameters


def faces(count: int = 2, size: int = 32) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    mask = torch.randint(0, 3, (count, size // 8, size // 8), generator=random)
    mask = mask.repeat_interleave(8, 1).repeat_interleave(8, 2)
    return torch.rand(count, 3, size, size, generator=random) * 2 - 1, mask


@torch.no_grad()
def test_one_region_takes_the_style_of_another_face() -> None:
    encoder = build("sean_style", filters=4, code=8, gain=1.0).eval()
    generator = build("sean", filters=2, hidden=4, code=8, gain=1.0).eval()
    image, mask = faces()
    own, other = encoder(image[:1], mask[:1]), encoder(image[1:], mask[1:])
    mixed = own.take(other, [1])
    assert torch.equal(mixed.code[:, 1], other.code[:, 1])
    assert torch.equal(mixed.code[:, [0, *range(2, 19)]], own.code[:, [0, *range(2, 19)]])
    condition = Condition(mask[:1])
    assert not torch.equal(generator(condition, mixed).image, generator(condition, own).image)


def test_codes_are_means_over_regions() -> None:
    encoder = build("sean_style", filters=4, code=8, gain=1.0).eval()
    image, mask = faces()
    seen = []
    encoder.last.register_forward_hook(lambda module, inputs, output: seen.append(torch.tanh(output)))
    style = encoder(image, mask)
    assert style.axis == "regions"
    for sample in range(2):
        for region in range(3):
            inside = mask[sample, ::2, ::2] == region
            expected = seen[0][sample][:, inside].mean(1)
            torch.testing.assert_close(style.code[sample, region], expected, atol=1e-6, rtol=1e-5)
    assert style.present is not None
    assert style.present.tolist() == [[region < 3 for region in range(19)]] * 2


@torch.no_grad()
def test_absent_regions_have_zeros_at_first_and_then_the_mean_of_training() -> None:
    encoder = build("sean_style", filters=4, code=8, gain=1.0)
    image, mask = faces()
    assert not encoder.eval()(image, mask).code[:, 3].any()
    mask[0, :8] = 3
    codes = [encoder.train()(image, mask).code[0, 3]]
    mask[:, :8] = 3
    codes += list(encoder(image, mask).code[:, 3])
    assert encoder.means.seen.tolist()[3] == 3
    torch.testing.assert_close(encoder.means.mean[3], torch.stack(codes).mean(0))
    saved = copy.deepcopy(encoder.state_dict())
    style = encoder.eval()(image, torch.zeros_like(mask))
    torch.testing.assert_close(style.code[:, 3], encoder.means.mean[3].expand(2, -1))
    assert not style.present[:, 3].any()
    assert all(torch.equal(tensor, saved[name]) for name, tensor in encoder.state_dict().items())


def test_the_style_is_drawn_in_training_and_is_the_mean_elsewhere() -> None:
    encoder = build("spade_encoder", filters=4, latent=8, side=32)
    nn.init.constant_(encoder.log_variance.bias, -2.0)
    image, _ = faces()
    style = encoder(image, None)
    noise = (style.code - style.mean) / (style.log_variance / 2).exp()
    assert 0.3 < float(noise.detach().std()) < 2
    style = encoder.eval()(image, None)
    assert torch.equal(style.code, style.mean)


@pytest.mark.parametrize(("upsamplings", "size"), [(5, 32), (6, 64), (7, 128)])
@torch.no_grad()
def test_the_published_numbers_of_upsamplings(upsamplings: int, size: int) -> None:
    network = build("spade", filters=2, norm="clade", upsamplings=upsamplings).eval()
    mask = torch.zeros(1, size, size, dtype=torch.int64)
    assert network(Condition(mask), None).image.shape == (1, 3, size, size)
    with pytest.raises(ValueError, match="does not fit"):
        network(Condition(mask[:, 1:]), None)


def test_what_is_missing_is_said() -> None:
    condition = Condition(torch.zeros(1, 64, 64, dtype=torch.int64))
    with pytest.raises(FacekitError, match="a code for every region"):
        build("sean", filters=2, hidden=2, code=2)(condition, None)
    with pytest.raises(FacekitError, match="starts from a style"):
        build("spade", filters=2, hidden=2, latent=2)(condition, None)
    spec = SPECS["spade_encoder"]
    with pytest.raises(FacekitError, match="power of two"):
        spec.ports(spec.options(), PortContext(size=96))
    assert spec.ports(spec.options(side=64), PortContext(size=96))


def test_a_style_that_the_generator_does_not_read_changes_nothing() -> None:
    network = build("spade", filters=2, norm="clade").eval()
    condition = Condition(torch.zeros(1, 32, 32, dtype=torch.int64))
    with torch.no_grad():
        assert torch.equal(network(condition, Style(torch.ones(1, 4))).image, network(condition, None).image)
