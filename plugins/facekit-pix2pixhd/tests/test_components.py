"""Both generators, the discriminator and the feature encoder behind facekit's interfaces."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.interfaces import BuildContext, Condition, FacekitError, Generated, LabelClass, LabelMap, PortContext
from facekit.registry import load_registry
from facekit_layers import average_by_region, spread_over_regions

CLASSES = 19
LABELS = LabelMap("nineteen", tuple(LabelClass(f"class{index}", (index, 0, 0)) for index in range(CLASSES)))
SMALL_G1 = {"filters": 4, "blocks": 1}
SMALL_G2 = {"filters": 4, "global_blocks": 1, "local_blocks": 1}
GENERATORS = [("pix2pixhd_global", SMALL_G1), ("pix2pixhd_local_enhancer", SMALL_G2)]


def build(kind: Any, name: str, **options: Any) -> Any:
    spec = load_registry().find(kind, name).spec
    return spec.build(spec.options(**options), BuildContext(LABELS, (), 128))


def ports(kind: Any, name: str, **options: Any) -> Any:
    spec = load_registry().find(kind, name).spec
    return spec.ports(spec.options(**options), PortContext(size=128))


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def photo(batch: int = 2, size: int = 64) -> Tensor:
    return torch.rand(batch, 3, size, size) * 2 - 1


def masks(batch: int = 2, size: int = 64) -> Tensor:
    return torch.randint(0, CLASSES, (batch, size, size))


def planes(mask: Tensor) -> Tensor:
    return F.one_hot(mask, CLASSES).permute(0, 3, 1, 2).float()


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def test_specs_do_not_import_torch() -> None:
    code = (
        "import sys; from facekit.interfaces import PortContext; import facekit_pix2pixhd.plugin as plugin\n"
        "for spec in plugin.facekit_components(): spec.ports(spec.options(), PortContext(size=128))\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_parameters_are_those_of_the_layer_plan() -> None:
    with torch.device("meta"):
        assert count(build("generator", "pix2pixhd_global")) == 182_493_443
        assert count(build("generator", "pix2pixhd_global", blocks=4)) == 88_111_363
        assert count(build("generator", "pix2pixhd_local_enhancer")) == 182_777_091
        assert count(build("discriminator", "multiscale_patch")) == 5_568_386
        assert count(build("discriminator", "multiscale_patch", scales=3)) == 8_352_579


@pytest.mark.parametrize(("name", "options"), GENERATORS)
def test_sizes_that_the_ports_allow_are_painted_and_others_refused(name: str, options: dict[str, Any]) -> None:
    needed = ports("generator", name, **options)
    generator = build("generator", name, **options)
    for size in (needed.smallest_size, needed.smallest_size + needed.size_multiple):
        assert generator(Condition(masks(1, size)), None).image.shape == (1, 3, size, size)
    for size in (needed.smallest_size - needed.size_multiple, needed.smallest_size + needed.size_multiple // 2):
        with pytest.raises(ValueError, match="does not fit"):
            generator(Condition(masks(1, size)), None)


@pytest.mark.parametrize("scales", [1, 2, 4])
def test_the_smallest_size_of_the_discriminator_works(scales: int) -> None:
    size = ports("discriminator", "multiscale_patch", scales=scales).smallest_size
    discriminator = build("discriminator", "multiscale_patch", scales=scales, filters=4)
    discriminator_output = discriminator(Generated(photo(1, size)), Condition(masks(1, size)))
    assert len(discriminator_output.scales) == scales
    assert all(torch.isfinite(scale.logits).all() for scale in discriminator_output.scales)


@pytest.mark.parametrize(("name", "options"), GENERATORS)
def test_a_generator_needs_a_style_only_for_features(name: str, options: dict[str, Any]) -> None:
    assert {port.name for port in ports("generator", name).needs} == {"mask"}
    (style,) = [port for port in ports("generator", name, features=True).needs if port.name == "style"]
    assert style == ports("style_encoder", "region_features").gives[0]
    with pytest.raises(FacekitError, match="region_features"):
        build("generator", name, features=True, **options)(Condition(masks()), None)


@pytest.mark.parametrize(("name", "options"), GENERATORS)
def test_features_of_a_region_change_the_picture(name: str, options: dict[str, Any]) -> None:
    encoder = build("style_encoder", "region_features", filters=4, downsamplings=2)
    generator = build("generator", name, features=True, **options)
    mask, reference = masks(), photo().requires_grad_()
    style = encoder(reference, mask)
    assert style.code.shape == (2, CLASSES, 3)
    assert style.code.abs().max() <= 1
    first = generator(Condition(mask), style).image
    assert not torch.allclose(first, generator(Condition(mask), style.roll()).image)
    first.square().mean().backward()
    assert reference.grad is not None
    assert reference.grad.abs().max() > 0


def test_features_are_averaged_over_regions_and_spread_back() -> None:
    features, mask = torch.randn(2, 3, 8, 8), masks(2, 8) % 4
    numbers = average_by_region(features, planes(mask))
    assert numbers.shape == (2, CLASSES, 3)
    for sample in range(2):
        for region in range(4):
            inside = mask[sample] == region
            torch.testing.assert_close(numbers[sample, region], features[sample][:, inside].mean(1))
    assert numbers[:, 4:].abs().max() == 0
    spread = spread_over_regions(numbers, planes(mask))
    for sample in range(2):
        expected = numbers[sample][mask[sample]].permute(2, 0, 1)
        torch.testing.assert_close(spread[sample], expected)


def test_averages_are_exact_for_large_regions_in_half_precision() -> None:
    features = torch.full((1, 3, 256, 256), 0.1)
    mask = torch.zeros(1, 256, 256, dtype=torch.long)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        numbers = average_by_region(features, planes(mask))
    # How exact a sum of 65,536 numbers in fp32 is depends on the processor; one in bf16 would not get past 256.
    torch.testing.assert_close(numbers[0, 0], torch.full((3,), 0.1), rtol=2e-3, atol=0)


def test_the_discriminator_judges_mask_and_picture_together() -> None:
    discriminator = build("discriminator", "multiscale_patch", filters=4).eval()
    picture, mask = photo(), masks()
    first = discriminator(Generated(picture), Condition(mask))
    other_mask = discriminator(Generated(picture), Condition(masks()))
    other_picture = discriminator(Generated(photo()), Condition(mask))
    for other in (other_mask, other_picture):
        assert not torch.allclose(first.scales[0].logits, other.scales[0].logits)
    assert [len(scale.features) for scale in first.scales] == [4, 4]


@pytest.mark.parametrize(("norm", "change"), [("instance", 1.0), ("none", 3.0)])
def test_norm_undoes_the_scale_of_a_layer_unless_it_is_left_out(norm: str, change: float) -> None:
    discriminator = build("discriminator", "multiscale_patch", filters=4, scales=1, norm=norm)
    layer, picture, condition = discriminator.scales[0].layers[1], Generated(photo()), Condition(masks())
    with torch.no_grad():
        layer.weight.mul_(50)  # far above the epsilon of the norm
        before = discriminator(picture, condition).scales[0].features[1]
        layer.weight.mul_(3)
        layer.bias.mul_(3)
        after = discriminator(picture, condition).scales[0].features[1]
    torch.testing.assert_close(after, change * before, atol=1e-3, rtol=1e-3)


def test_spectral_norm_bounds_every_layer() -> None:
    discriminator = build("discriminator", "multiscale_patch", filters=4, spectral_norm=True)
    picture, condition = Generated(photo()), Condition(masks())
    for _ in range(30):
        discriminator(picture, condition)
    for scale in discriminator.eval().scales:
        for layer in scale.layers:
            largest = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), ord=2)
            assert largest.item() == pytest.approx(1, abs=0.05)


def test_a_head_that_classifies_sees_the_picture_and_never_the_mask() -> None:
    torch.manual_seed(1)
    plain = build("discriminator", "multiscale_patch", filters=4)
    spec = load_registry().find("discriminator", "multiscale_patch").spec
    torch.manual_seed(1)
    context = BuildContext(LABELS, ("Smiling", "Eyeglasses", "Male"), 128)
    classifying = spec.build(spec.options(filters=4, classify=True), context)
    # Off, nothing is there; on, the rest starts as without.
    assert plain.state_dict().keys() < classifying.state_dict().keys()
    for name, tensor in plain.state_dict().items():
        assert torch.equal(tensor, classifying.state_dict()[name]), name
    extra = count(classifying) - count(plain)
    assert extra == (32 * 8 * 9 + 8) + (8 * 3 + 3)
    picture = photo().requires_grad_()
    first, other = (classifying(Generated(picture), Condition(masks())).class_logits for _ in range(2))
    assert first.shape == (2, 3)
    assert torch.equal(first, other)
    first.square().sum().backward()
    assert picture.grad.abs().max() > 0
    assert not torch.equal(first, classifying(Generated(photo()), Condition(masks())).class_logits)
    assert plain(Generated(picture), Condition(masks())).class_logits is None
    assert "discriminated.class_logits" in {
        port.name for port in ports("discriminator", "multiscale_patch", classify=True).gives
    }
    assert "discriminated.class_logits" not in {port.name for port in ports("discriminator", "multiscale_patch").gives}
    with pytest.raises(FacekitError, match="no attributes to classify"):
        build("discriminator", "multiscale_patch", classify=True)


def test_one_pass_of_spectral_norm_is_one_power_iteration() -> None:
    """Reading the weight for its layout would be a second one."""
    discriminator = build("discriminator", "multiscale_patch", filters=4, scales=1, spectral_norm=True)
    runs = []
    parametrization = discriminator.scales[0].layers[0].parametrizations.weight[0]
    parametrization.register_forward_hook(lambda *_: runs.append(1))
    discriminator(Generated(photo()), Condition(masks()))
    assert len(runs) == 1


@pytest.mark.parametrize("channels_last", [True, False])
def test_pictures_are_judged_in_the_layout_of_the_weights(channels_last: bool) -> None:
    layout = torch.channels_last if channels_last else torch.contiguous_format
    discriminator = build("discriminator", "multiscale_patch", filters=4).to(memory_format=layout)
    picture = photo().contiguous(memory_format=torch.contiguous_format if channels_last else torch.channels_last)
    seen = []
    discriminator.scales[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    discriminator(Generated(picture), Condition(masks()))
    assert seen[0].is_contiguous(memory_format=layout)


@pytest.mark.parametrize(("name", "options"), GENERATORS)
def test_bf16_paints_nearly_the_same_in_float32(name: str, options: dict[str, Any]) -> None:
    generator = build("generator", name, **options)
    condition = Condition(masks())
    with torch.no_grad():
        exact = generator(condition, None).image
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = generator.to(memory_format=torch.channels_last)(condition, None).image
    assert rounded.dtype == torch.float32
    assert (rounded - exact).abs().mean() < 0.02


def test_weights_of_a_global_generator_fit_the_one_inside_the_local_enhancer() -> None:
    """Coarse-to-fine training copies them by these names."""
    trained = build("generator", "pix2pixhd_global", filters=8, blocks=1).state_dict()
    inside = build("generator", "pix2pixhd_local_enhancer", **SMALL_G2).global_generator.state_dict()
    assert trained.keys() - inside.keys() == {"head.weight", "head.bias"}
    assert all(trained[name].shape == tensor.shape for name, tensor in inside.items())
