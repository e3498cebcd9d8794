"""The networks of pix2pixHD: sizes, counts, gradients, layer plans."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit_layers import ResizeConvolution, doubling_convolution, instance_norm
from facekit_pix2pixhd.networks import GlobalGenerator, LocalEnhancer, MultiScaleDiscriminator, UNet

CLASSES = 19


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def conv(inputs: int, outputs: int, kernel: int) -> int:
    """Parameters of one convolution with bias."""
    return inputs * outputs * kernel * kernel + outputs


def one_hot(batch: int, height: int, width: int | None = None) -> Tensor:
    ids = torch.randint(0, CLASSES, (batch, height, width or height))
    return F.one_hot(ids, CLASSES).permute(0, 3, 1, 2).float()


def small_global() -> GlobalGenerator:
    return GlobalGenerator(filters=4, blocks=2)


def small_enhancer() -> LocalEnhancer:
    return LocalEnhancer(filters=4, global_blocks=1, local_blocks=2)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


# --- counts ---------------------------------------------------------------------------------------


def global_count(blocks: int) -> int:
    widths = [64, 128, 256, 512, 1024]
    resampling = sum(conv(narrow, wide, 3) + conv(wide, narrow, 3) for narrow, wide in pairwise(widths))
    return conv(19, 64, 7) + resampling + blocks * 2 * conv(1024, 1024, 3) + conv(64, 3, 7)


@pytest.mark.parametrize(("blocks", "parameters"), [(4, 88_111_363), (9, 182_493_443)])
def test_global_generator_has_the_published_number_of_parameters(blocks: int, parameters: int) -> None:
    assert global_count(blocks) == parameters
    with torch.device("meta"):
        assert count(GlobalGenerator(blocks=blocks)) == parameters


def test_local_enhancer_is_g1_without_its_last_layer_and_its_own() -> None:
    own = conv(19, 32, 7) + conv(32, 64, 3) + 3 * 2 * conv(64, 64, 3) + conv(64, 32, 3) + conv(32, 3, 7)
    by_hand = global_count(9) - conv(64, 3, 7) + own
    assert by_hand == 182_777_091
    with torch.device("meta"):
        assert count(LocalEnhancer()) == by_hand


def test_discriminator_has_the_published_number_of_parameters() -> None:
    scale = conv(22, 64, 4) + conv(64, 128, 4) + conv(128, 256, 4) + conv(256, 512, 4) + conv(512, 1, 4)
    assert scale == 2_784_193
    assert count(MultiScaleDiscriminator(scales=2)) == 2 * scale == 5_568_386


# --- shapes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 64), (48, 80)])
def test_global_generator_keeps_the_size(height: int, width: int) -> None:
    picture = small_global()(one_hot(2, height, width))
    assert picture.shape == (2, 3, height, width)
    assert picture.abs().max() <= 1


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 128)])
def test_local_enhancer_keeps_the_size(height: int, width: int) -> None:
    picture = small_enhancer()(one_hot(2, height, width))
    assert picture.shape == (2, 3, height, width)
    assert picture.abs().max() <= 1


def test_sizes_that_do_not_fit_are_refused_in_words() -> None:
    with pytest.raises(ValueError, match=r"40x40 does not fit 4 downsamplings: .*multiples of 16"):
        small_global()(one_hot(1, 40))
    with pytest.raises(ValueError, match="at least 32"):
        small_global()(one_hot(1, 16))
    with pytest.raises(ValueError, match="63x63 cannot be halved"):
        small_enhancer()(one_hot(1, 63))


def published_patch_sizes(size: int) -> list[int]:
    """Side of every map of one scale: three layers 4/2/2, two layers 4/1/2."""
    sizes = []
    for stride in (2, 2, 2, 1, 1):
        size = (size + 4 - 4) // stride + 1
        sizes.append(size)
    return sizes


@pytest.mark.parametrize("scales", [1, 2, 3])
@pytest.mark.parametrize("size", [64, 100])
def test_discriminator_gives_logits_and_features_at_every_scale(scales: int, size: int) -> None:
    discriminator_outputs = MultiScaleDiscriminator(filters=8, scales=scales)(torch.randn(2, 22, size, size))
    assert len(discriminator_outputs) == scales
    for discriminator_output in discriminator_outputs:
        *feature_sizes, logit_size = published_patch_sizes(size)
        assert [feature.shape[-1] for feature in discriminator_output.features] == feature_sizes
        assert [feature.shape[1] for feature in discriminator_output.features] == [8, 16, 32, 64]
        assert discriminator_output.logits.shape == (2, 1, logit_size, logit_size)
        size = (size + 1) // 2


def test_channels_of_the_discriminator_stop_at_512() -> None:
    with torch.device("meta"):
        scale = MultiScaleDiscriminator(layers=5, scales=1).scales[0]
    assert [layer.out_channels for layer in scale.layers] == [64, 128, 256, 512, 512, 512, 1]


def test_pooling_between_scales_does_not_count_the_padding() -> None:
    """On a flat input every scale sees the same value everywhere, borders included."""
    discriminator = MultiScaleDiscriminator(filters=4, scales=2)
    discriminator.scales[1].load_state_dict(discriminator.scales[0].state_dict())
    flat = torch.full((1, 22, 128, 128), 0.7)
    with torch.no_grad():
        coarse = discriminator(flat)[1]
        direct = discriminator.scales[0](flat[:, :, :64, :64])
    torch.testing.assert_close(coarse.logits, direct.logits)


# --- gradients and independence -------------------------------------------------------------------


def assert_gradients_reach(module: nn.Module) -> None:
    # A bias before an instance norm is subtracted again: its gradient is rounding, or exactly zero.
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert name.endswith("bias") or parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("build", [small_global, small_enhancer])
def test_gradients_reach_every_parameter_of_a_generator(build: type[nn.Module]) -> None:
    generator = build()
    generator(one_hot(2, 64)).square().mean().backward()
    assert_gradients_reach(generator)


def test_gradients_reach_every_parameter_of_the_discriminator_and_its_input() -> None:
    discriminator = MultiScaleDiscriminator(filters=4, scales=2)
    pair = torch.randn(2, 22, 64, 64, requires_grad=True)
    sum(discriminator_output.logits.square().mean() for discriminator_output in discriminator(pair)).backward()
    assert_gradients_reach(discriminator)
    assert pair.grad is not None
    assert pair.grad.abs().max() > 0


def test_discriminator_can_be_differentiated_twice() -> None:
    """A gradient penalty needs this."""
    discriminator = MultiScaleDiscriminator(filters=4, scales=1)
    pair = torch.randn(1, 22, 32, 32, requires_grad=True)
    (gradient,) = torch.autograd.grad(discriminator(pair)[0].logits.sum(), pair, create_graph=True)
    gradient.square().sum().backward()
    weight = discriminator.scales[0].layers[1].weight
    assert weight.grad is not None
    assert weight.grad.abs().max() > 0


@pytest.mark.parametrize("build", [small_global, small_enhancer])
def test_samples_of_a_batch_do_not_touch_each_other(build: type[nn.Module]) -> None:
    generator = build().eval()
    masks = one_hot(3, 64)
    with torch.no_grad():
        together = generator(masks)
        alone = torch.cat([generator(mask[None]) for mask in masks])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("build", [small_global, small_enhancer])
def test_the_same_mask_gives_the_same_picture_in_train_and_eval(build: type[nn.Module]) -> None:
    generator = build()
    masks = one_hot(1, 64)
    with torch.no_grad():
        torch.testing.assert_close(generator.train()(masks), generator.eval()(masks), atol=0, rtol=0)


def test_bf16_autocast_and_channels_last_give_nearly_the_same_discriminator_output() -> None:
    discriminator = MultiScaleDiscriminator(filters=8).eval()
    pair = torch.randn(1, 22, 64, 64)
    with torch.no_grad():
        exact = discriminator(pair)[0]
        discriminator = discriminator.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = discriminator(pair.to(memory_format=torch.channels_last))[0]
    assert all(feature.is_contiguous(memory_format=torch.channels_last) for feature in rounded.features)
    assert (rounded.logits.float() - exact.logits).abs().mean() < 0.02


# --- layer plan -----------------------------------------------------------------------------------


def test_global_generator_is_the_published_sequence() -> None:
    """The module equals a plain sequential build of the same layers in the published order."""
    generator = small_global()
    plan: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(19, 4, 7), nn.InstanceNorm2d(4), nn.ReLU()]
    width = 4
    for _ in range(4):
        plan += [nn.Conv2d(width, 2 * width, 3, 2, 1), nn.InstanceNorm2d(2 * width), nn.ReLU()]
        width *= 2
    plan += [_PlainBlock(width) for _ in range(2)]
    for _ in range(4):
        plan += [
            nn.ConvTranspose2d(width, width // 2, 3, 2, 1, output_padding=1),
            nn.InstanceNorm2d(width // 2),
            nn.ReLU(),
        ]
        width //= 2
    plan += [nn.ReflectionPad2d(3), nn.Conv2d(4, 3, 7), nn.Tanh()]
    plain = nn.Sequential(*plan)
    ours, theirs = generator.state_dict(), plain.state_dict()
    assert len(ours) == len(theirs)
    plain.load_state_dict(dict(zip(theirs, ours.values(), strict=True)))
    masks = one_hot(2, 64)
    with torch.no_grad():
        torch.testing.assert_close(generator(masks), plain(masks), atol=1e-5, rtol=0)


class _PlainBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3),
            nn.InstanceNorm2d(width),
            nn.ReLU(),
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3),
            nn.InstanceNorm2d(width),
        )

    def forward(self, features: Tensor) -> Tensor:
        return features + self.conv_block(features)


def test_enhancer_takes_a_trained_global_generator_and_can_fix_it() -> None:
    enhancer = small_enhancer()
    trained = GlobalGenerator(filters=8, blocks=1)
    enhancer.load_global(trained)
    for name, value in enhancer.global_generator.state_dict().items():
        assert torch.equal(value, trained.state_dict()[name]), name
    enhancer.set_global_trainable(False)
    enhancer(one_hot(1, 64)).mean().backward()
    assert all(parameter.grad is None for parameter in enhancer.global_generator.parameters())
    assert enhancer.stem.weight.grad is not None
    enhancer.set_global_trainable(True)
    enhancer(one_hot(1, 64)).mean().backward()
    assert enhancer.global_generator.stem.weight.grad is not None
    with pytest.raises(RuntimeError, match="size mismatch"):
        enhancer.load_global(GlobalGenerator(filters=4, blocks=1))


@pytest.mark.parametrize("build", [small_global, small_enhancer, lambda: MultiScaleDiscriminator(filters=8)])
def test_weights_start_with_deviation_of_two_hundredths(build: type[nn.Module]) -> None:
    weights = torch.cat([value.flatten() for name, value in build().state_dict().items() if "weight" in name])
    assert weights.std().item() == pytest.approx(0.02, rel=0.02)
    assert abs(weights.mean().item()) < 5e-4


def test_instance_norm_uses_biased_variance_and_the_published_epsilon() -> None:
    features = torch.randn(2, 3, 4, 5)
    mean = features.mean((2, 3), keepdim=True)
    variance = (features - mean).square().mean((2, 3), keepdim=True)
    torch.testing.assert_close(instance_norm(features), (features - mean) / (variance + 1e-5).sqrt())


# --- upsampling -----------------------------------------------------------------------------------


def test_resize_repeats_pixels_and_convolves() -> None:
    """Numbers and gradients are those of the two steps, though they are computed as one."""
    layer = ResizeConvolution(5, 4).double()
    plain = nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(5, 4, 3, padding=1)).double()
    plain[1].load_state_dict(layer.state_dict())
    features = torch.randn(2, 5, 6, 9, dtype=torch.float64, requires_grad=True)
    weighting = torch.randn(2, 4, 12, 18, dtype=torch.float64)
    ours, theirs = layer(features), plain(features)
    torch.testing.assert_close(ours, theirs)
    gradients = [
        torch.autograd.grad((result * weighting).sum(), [features, *module.parameters()])
        for result, module in ((ours, layer), (theirs, plain))
    ]
    torch.testing.assert_close(gradients[0], gradients[1])


def test_resize_lays_no_grid_over_an_even_area() -> None:
    even = torch.ones(1, 5, 8, 8)
    spread = {
        form: float(doubling_convolution(5, 4, form)(even)[..., 2:-2, 2:-2].detach().std(dim=(2, 3)).max())
        for form in ("transposed", "resize")
    }
    assert spread["resize"] < 1e-6
    assert spread["transposed"] > 0.01


def test_both_generators_enlarge_as_they_are_told() -> None:
    g1 = GlobalGenerator(filters=4, blocks=1, upsampling="resize")
    g2 = LocalEnhancer(filters=4, global_blocks=1, local_blocks=1, upsampling="resize")
    assert all(isinstance(layer, ResizeConvolution) for layer in (*g1.ups, *g2.global_generator.ups, g2.up))
    assert count(g1) == count(GlobalGenerator(filters=4, blocks=1))
    assert g1(one_hot(2, 32, 48)).shape == (2, 3, 32, 48)
    assert g2(one_hot(2, 64)).shape == (2, 3, 64, 64)


@pytest.mark.parametrize(
    ("inputs", "levels", "count"), [(3, 8, 54_419_459), (19, 8, 54_435_843), (19, 7, 41_849_859), (19, 6, 29_263_875)]
)
def test_unet_has_the_published_parameters(inputs, levels, count):
    with torch.device("meta"):
        network = UNet(inputs=inputs, levels=levels)
    assert sum(parameter.numel() for parameter in network.parameters()) == count


@pytest.mark.parametrize("skips", [True, False])
def test_connections_across_carry_what_the_deepest_features_do_not(skips):
    network = UNet(inputs=5, filters=4, levels=4, norm="instance", skips=skips).eval()
    torch.nn.init.zeros_(network.downs[-1].weight)
    with torch.no_grad():
        one, other = (
            network(torch.randn(1, 5, 16, 16, generator=torch.Generator().manual_seed(seed))) for seed in (0, 1)
        )
    assert torch.equal(one, other) is not skips


def test_dropout_of_the_unet_follows_its_noise():
    network = UNet(inputs=5, filters=4, levels=3, norm="instance", dropout=0.25).eval()
    planes = torch.randn(1, 5, 8, 8)
    noise = torch.randn(20_000)
    assert abs(float((noise < network.threshold).float().mean()) - 0.25) < 0.01
    kept, dropped = (torch.full((1, 8, 2, 2), value) for value in (9.0, -9.0))
    with torch.no_grad():
        whole, scaled, without = network(planes), network(planes, [kept]), network(planes, [dropped])
    assert not torch.equal(whole, scaled)  # kept features count more, so that their mean stays
    assert not torch.equal(whole, without)
