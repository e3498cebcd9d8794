"""Style encoder and generator behind facekit's interfaces."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from facekit.interfaces import BuildContext, Condition, FacekitError, LabelClass, LabelMap, Options, PortContext, Style
from facekit.registry import load_registry
from facekit_layers import one_hot
from facekit_sft_pix2pixhd.masks import balance_areas, region_colours

CLASSES = 19
LABELS = LabelMap("nineteen", tuple(LabelClass(f"class{index}", (index, 0, 0)) for index in range(CLASSES)))
SMALL = {"filters": 4, "blocks": 2, "downsamplings": 4}
SMALL_STYLE = 2 * 2 * 2 * 64


def options_of(kind: Any, name: str, **options: Any) -> Options:
    return load_registry().find(kind, name).spec.options(**options)


def build(kind: Any, name: str, dimensions: dict[str, int] | None = None, **options: Any) -> Any:
    spec = load_registry().find(kind, name).spec
    return spec.build(spec.options(**options), BuildContext(LABELS, (), 128, dimensions or {}))


def ports(kind: Any, name: str, **options: Any) -> Any:
    spec = load_registry().find(kind, name).spec
    return spec.ports(spec.options(**options), PortContext(size=128))


def small_pair(**encoder: Any) -> tuple[nn.Module, nn.Module]:
    return (
        build("style_encoder", "sft_style", {"style": SMALL_STYLE}, **encoder),
        build("generator", "sft_pix2pixhd", **SMALL),
    )


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def photo(batch: int = 2, size: int = 64) -> Tensor:
    return torch.rand(batch, 3, size, size) * 2 - 1


def masks(batch: int = 2, size: int = 64) -> Tensor:
    return torch.randint(0, CLASSES, (batch, size, size))


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


# --- before anything is built ---------------------------------------------------------------------


def test_specs_do_not_import_torch() -> None:
    code = (
        "import sys; from facekit.interfaces import PortContext; import facekit_sft_pix2pixhd.plugin as plugin\n"
        "for spec in plugin.facekit_components(): spec.ports(spec.options(), PortContext(size=128))\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("options", "numbers"),
    [({}, 16_384), ({"filters": 32}, 8_192), ({"blocks": 9}, 36_864), ({"adain": False}, 64)],
)
def test_the_generator_asks_for_a_style_of_its_own_length(options: dict[str, Any], numbers: int) -> None:
    (style,) = [port for port in ports("generator", "sft_pix2pixhd", **options).needs if port.name == "style"]
    assert style.shape == ("batch", numbers)


def test_the_encoder_gives_what_is_asked_for_unless_told_a_number() -> None:
    assert ports("style_encoder", "sft_style").gives[0].shape == ("batch", "style")
    assert ports("style_encoder", "sft_style", style_dim=8_192).gives[0].shape == ("batch", 8_192)


@pytest.mark.parametrize("downsamplings", [2, 4])
def test_sizes_that_the_ports_allow_are_painted_and_smaller_ones_refused(downsamplings: int) -> None:
    needed = ports("generator", "sft_pix2pixhd", filters=4, blocks=1, downsamplings=downsamplings)
    generator = build("generator", "sft_pix2pixhd", filters=4, blocks=1, downsamplings=downsamplings)
    style = Style(torch.zeros(1, generator.style_dimension))
    for size in (needed.smallest_size, needed.smallest_size + needed.size_multiple):
        assert generator(Condition(masks(1, size)), style).image.shape == (1, 3, size, size)
    for size in (needed.smallest_size - needed.size_multiple, needed.smallest_size + needed.size_multiple // 2):
        with pytest.raises(ValueError, match="does not fit"):
            generator(Condition(masks(1, size)), style)


def test_the_smallest_size_of_the_encoder_works() -> None:
    needed = ports("style_encoder", "sft_style")
    size = needed.smallest_size
    encoder, _ = small_pair()
    assert encoder(photo(1, size), masks(1, size)).code.shape == (1, SMALL_STYLE)
    with pytest.raises(ValueError, match=f"multiples of {needed.size_multiple}"):
        encoder(photo(1, size // 2), masks(1, size // 2))


@pytest.mark.parametrize(
    ("kind", "name", "options", "message"),
    [
        ("style_encoder", "sft_style", {"sft_levels": 3}, "sft_levels"),
        ("style_encoder", "sft_style", {"sft_levels": 0, "sft_skip": True}, "sft_levels is 0"),
        ("style_encoder", "sft_style", {"filters": 64}, "Extra inputs"),
        ("style_encoder", "sft_style", {"style_gain": 0}, "greater than 0"),
        ("style_encoder", "sft_style", {"style_gain": 0.5, "init": "published"}, "style_gain is about"),
        ("generator", "sft_pix2pixhd", {"blocks": 0}, "greater than or equal to 1"),
        ("generator", "sft_pix2pixhd", {"adain": False, "adain_scale": "published"}, "adain: false"),
    ],
)
def test_options_that_make_no_sense_are_refused(kind: str, name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        options_of(kind, name, **options)


def test_an_encoder_without_anyone_to_ask_for_a_style_is_refused() -> None:
    with pytest.raises(FacekitError, match="how many numbers"):
        build("style_encoder", "sft_style")


# --- what is built --------------------------------------------------------------------------------


def test_parameters_are_those_of_the_layer_plan() -> None:
    with torch.device("meta"):
        generator = build("generator", "sft_pix2pixhd")
        encoder = build("style_encoder", "sft_style", {"style": 16_384})
    assert count(generator) == 88_111_363
    assert count(encoder.labels) == 252_768
    assert count(encoder) - count(encoder.labels) == 1_338_464


def test_parameters_keep_the_names_of_the_network() -> None:
    encoder, generator = small_pair()
    assert "stem.weight" in generator.state_dict()
    assert "labels.stem.weight" in encoder.state_dict()


@pytest.mark.parametrize("levels", [0, 1, 2])
def test_levels_decide_whether_a_mask_is_needed_and_read(levels: int) -> None:
    needs = {port.name for port in ports("style_encoder", "sft_style", sft_levels=levels).needs}
    assert ("mask" in needs) == (levels > 0)
    encoder, _ = small_pair(sft_levels=levels)
    photos = photo(1)
    same = torch.equal(encoder(photos, masks(1)).code, encoder(photos, masks(1)).code)
    assert same == (levels == 0)


def test_a_residual_scale_adds_one_to_every_scale_of_the_style() -> None:
    residual = build("generator", "sft_pix2pixhd", **SMALL)
    published = build("generator", "sft_pix2pixhd", adain_scale="published", **SMALL)
    published.load_state_dict(residual.state_dict())
    condition, code = Condition(masks()), torch.randn(2, SMALL_STYLE)
    offset = torch.zeros(4, 2, 64)
    offset[:, 1] = 1
    expected = published(condition, Style(code + offset.flatten())).image
    torch.testing.assert_close(residual(condition, Style(code)).image, expected, atol=1e-6, rtol=1e-5)
    assert not torch.allclose(published(condition, Style(code)).image, expected, atol=1e-3)


def test_a_style_starts_around_zero_and_differs_from_photo_to_photo() -> None:
    encoder, _ = small_pair()
    mask = masks(1, 64).expand(8, -1, -1)
    colours = (torch.rand(8, 3, 1, 1) * 2 - 1).expand(-1, -1, 64, 64)
    with torch.no_grad():
        code = encoder(colours, mask).code
    assert code.mean().abs() < 0.2 * code.std()
    assert code.std(0).mean() > 0.05 * code.abs().mean()


@pytest.mark.parametrize("hidden", [0, 8])
def test_a_small_style_gain_starts_near_plain_instance_norm(hidden: int) -> None:
    codes = []
    for gain in (1.0, 0.1):
        torch.manual_seed(0)
        encoder, _ = small_pair(style_gain=gain, head_hidden=hidden)
        with torch.no_grad():
            codes.append(encoder(photo(2, 64), masks(2, 64)).code)
    torch.testing.assert_close(codes[1], 0.1 * codes[0])
    assert codes[0].std() > 0.05


def test_residual_transforms_start_near_the_identity_and_published_ones_do_not_shut_the_photo_out() -> None:
    features, condition = torch.randn(2, 64, 8, 8), torch.randn(2, 64, 8, 8)
    residual, _ = small_pair(sft="residual")
    published, _ = small_pair(sft="published")
    with torch.no_grad():
        for transform in (residual.fine_sft, residual.coarse_sft):
            assert (transform(features, condition) - features).std() < 0.3
        for transform in (published.fine_sft, published.coarse_sft):
            assert transform(features, condition).std() > 0.5


def test_gradients_go_from_the_picture_to_the_reference() -> None:
    encoder, generator = small_pair()
    reference = photo().requires_grad_()
    generator(Condition(masks()), encoder(reference, masks())).image.square().mean().backward()
    assert reference.grad is not None
    assert reference.grad.abs().max() > 0


def test_a_generator_without_a_style_says_what_to_do() -> None:
    _, generator = small_pair()
    with pytest.raises(FacekitError, match="use: sft_style"):
        generator(Condition(masks()), None)


def test_a_concatenated_style_is_painted() -> None:
    encoder = build("style_encoder", "sft_style", {"style": 64})
    generator = build("generator", "sft_pix2pixhd", adain=False, **SMALL)
    assert generator(Condition(masks()), encoder(photo(), masks())).image.shape == (2, 3, 64, 64)


# --- layout and precision -------------------------------------------------------------------------


@pytest.mark.parametrize("channels_last", [True, False])
def test_masks_become_planes_in_the_layout_of_the_weights(channels_last: bool) -> None:
    convolution = nn.Conv2d(CLASSES, 4, 7)
    if channels_last:
        convolution = convolution.to(memory_format=torch.channels_last)
    mask = masks(2, 8)
    planes = one_hot(mask, classes=CLASSES, weight=convolution.weight)
    assert planes.is_contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    assert planes.dtype == torch.float32
    assert torch.equal(planes.argmax(1), mask)
    assert torch.equal(planes.sum(1), torch.ones(2, 8, 8))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert one_hot(mask, classes=CLASSES, weight=convolution.weight).dtype == torch.bfloat16


def test_bf16_and_channels_last_paint_nearly_the_same_in_float32() -> None:
    encoder, generator = small_pair()
    photos, mask = photo(), masks()
    with torch.no_grad():
        exact = generator(Condition(mask), encoder(photos, mask)).image
        for network in (encoder, generator):
            network.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = generator(Condition(mask), encoder(photos, mask)).image
    assert rounded.dtype == torch.float32
    assert rounded.is_contiguous(memory_format=torch.channels_last)
    assert (rounded - exact).abs().mean() < 0.02


def test_area_balanced_planes_have_the_same_sum_for_every_region() -> None:
    mask = torch.zeros(1, 8, 8, dtype=torch.long)
    mask[:, :2] = 1  # a quarter of the picture
    mask[:, 2, 0] = 2  # a single pixel
    weight = torch.zeros(4, 3, 3, 3)
    planes = balance_areas(one_hot(mask, classes=3, weight=weight))
    sums = planes.sum((2, 3))[0]
    assert sums[0] == pytest.approx(0.2 * 64)
    assert sums[1] == pytest.approx(0.2 * 64)
    assert sums[2] == pytest.approx(5.0)  # the largest value: one pixel does not drown the rest


def test_planes_change_what_the_encoder_reads() -> None:
    torch.manual_seed(0)
    image, mask = torch.rand(2, 3, 32, 32) * 2 - 1, torch.randint(19, (2, 32, 32))
    balanced = build("style_encoder", "sft_style", {"style": 64})
    published = build("style_encoder", "sft_style", {"style": 64}, planes="one_hot")
    published.load_state_dict(balanced.state_dict())
    with torch.no_grad():
        assert not torch.allclose(balanced(image, mask).code, published(image, mask).code)


def test_a_hidden_layer_before_the_style_vector() -> None:
    encoder = build("style_encoder", "sft_style", {"style": 64}, head_hidden=32)
    plain = build("style_encoder", "sft_style", {"style": 64})
    added = sum(p.numel() for p in encoder.parameters()) - sum(p.numel() for p in plain.parameters())
    assert added == (64 * 32 + 32) + (32 * 64 + 64) - (64 * 64 + 64)
    code = encoder(torch.rand(2, 3, 32, 32), torch.randint(19, (2, 32, 32))).code
    assert code.shape == (2, 64)
    code.square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in encoder.parameters())


def test_region_colours_against_numpy() -> None:
    image, mask = torch.rand(2, 3, 8, 8) * 2 - 1, torch.randint(3, (2, 8, 8))
    planes = balance_areas(one_hot(mask, classes=5, weight=torch.zeros(4, 5, 3, 3)))
    found = region_colours(image, planes).view(2, 5, 4)
    for sample in range(2):
        for region in range(3):
            wanted = image[sample].numpy()[:, (mask[sample] == region).numpy()].mean(1)
            assert found[sample, region, :3].tolist() == pytest.approx(wanted.tolist(), abs=1e-6)
    assert (found[:, :3, 3] == 1).all()
    assert (found[:, 3:] == 0).all()


def test_colours_reach_the_style() -> None:
    encoder = build("style_encoder", "sft_style", {"style": 64}, colours=True, head_hidden=32)
    image, mask = photo(), masks()
    with torch.no_grad():
        for convolution in (encoder.stem, *encoder.fine, *encoder.coarse):
            convolution.weight.zero_()  # the convolutions are blind, the colours are not
        assert not torch.allclose(encoder(image, mask).code, encoder(-image, mask).code)
