"""The networks of the SFT/AdaIN pix2pixHD: sizes, counts, gradients and what each option changes."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit_layers import ResizeConvolution, doubling_convolution, instance_norm
from facekit_sft_pix2pixhd.initialisation import initialise_he
from facekit_sft_pix2pixhd.layers import SpatialFeatureTransform
from facekit_sft_pix2pixhd.networks import AdaInGenerator, LabelEncoder, StyleEncoder, style_dimension

CLASSES = 19
SMALL = {"filters": 4, "blocks": 2, "downsamplings": 4}


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def conv(inputs: int, outputs: int, kernel: int) -> int:
    """Parameters of one convolution with bias."""
    return inputs * outputs * kernel * kernel + outputs


def one_hot(batch: int, height: int, width: int | None = None) -> Tensor:
    ids = torch.randint(0, CLASSES, (batch, height, width or height))
    return F.one_hot(ids, CLASSES).permute(0, 3, 1, 2).float()


def photo(batch: int, size: int) -> Tensor:
    return torch.rand(batch, 3, size, size) * 2 - 1


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def assert_gradients_reach(module: nn.Module) -> None:
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


# --- counts ---------------------------------------------------------------------------------------


def test_label_encoder_has_the_published_number_of_parameters() -> None:
    by_hand = conv(19, 16, 7) + conv(16, 32, 4) + conv(32, 64, 4) + 3 * conv(64, 64, 4)
    assert by_hand == 252_768
    assert count(LabelEncoder()) == by_hand


def test_style_encoder_has_the_published_number_of_parameters() -> None:
    transform = 4 * conv(64, 64, 1)
    by_hand = (
        conv(3, 16, 7)
        + conv(16, 32, 4)
        + conv(32, 64, 4)
        + transform
        + 3 * conv(64, 64, 4)
        + transform
        + conv(64, 16_384, 1)
    )
    encoder = StyleEncoder()
    assert encoder.labels is not None
    assert by_hand == 1_338_464
    assert count(encoder) - count(encoder.labels) == by_hand


def test_generator_has_the_published_number_of_parameters() -> None:
    widths = [64, 128, 256, 512, 1024]
    resampling = sum(conv(narrow, wide, 3) + conv(wide, narrow, 3) for narrow, wide in pairwise(widths))
    by_hand = conv(19, 64, 7) + resampling + 4 * 2 * conv(1024, 1024, 3) + conv(64, 3, 7)
    assert by_hand == 88_111_363
    with torch.device("meta"):
        assert count(AdaInGenerator()) == by_hand


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ({}, 16_384),
        ({"filters": 32}, 8_192),
        ({"blocks": 9}, 36_864),
        ({"downsamplings": 3}, 8_192),
        ({"blocks": 0}, 0),
        ({"adain": False}, 64),
    ],
)
def test_style_dimension_counts_shift_and_scale_of_every_adain_channel(options: dict, numbers: int) -> None:
    assert style_dimension(**options) == numbers


# --- shapes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [32, 64, 96])
@pytest.mark.parametrize("adain", [True, False])
def test_encoder_and_generator_fit_together_at_several_sizes(size: int, adain: bool) -> None:
    encoder, generator = StyleEncoder(adain=adain, **SMALL), AdaInGenerator(adain=adain, **SMALL)
    style = encoder(photo(2, size), one_hot(2, size))
    assert style.shape == (2, encoder.style_dimension)
    assert encoder.style_dimension == generator.style_dimension
    picture = generator(one_hot(2, size), style)
    assert picture.shape == (2, 3, size, size)
    assert picture.abs().max() <= 1


def test_generator_draws_masks_that_are_not_square() -> None:
    generator = AdaInGenerator(**SMALL)
    assert generator(one_hot(1, 48, 80), torch.randn(1, generator.style_dimension)).shape == (1, 3, 48, 80)


def test_label_features_are_a_quarter_and_a_thirty_second() -> None:
    features = LabelEncoder()(one_hot(2, 64))
    assert features.fine.shape == (2, 64, 16, 16)
    assert features.coarse is not None
    assert features.coarse.shape == (2, 64, 2, 2)
    assert LabelEncoder(levels=1)(one_hot(2, 64)).coarse is None


def test_sizes_that_do_not_fit_are_refused_in_words() -> None:
    generator = AdaInGenerator(**SMALL)
    style = torch.zeros(1, generator.style_dimension)
    with pytest.raises(ValueError, match=r"40x40 does not fit 4 downsamplings: .*multiples of 16"):
        generator(one_hot(1, 40), style)
    with pytest.raises(ValueError, match="at least 32"):
        generator(one_hot(1, 16), style)
    with pytest.raises(ValueError, match="multiples of 32"):
        StyleEncoder(**SMALL)(photo(1, 48), one_hot(1, 48))
    with pytest.raises(ValueError, match="has 7 numbers, but the generator takes 512"):
        generator(one_hot(1, 32), torch.zeros(1, 7))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sft_levels": 3}, "must be 0, 1 or 2, not 3"),
        ({"sft_levels": 0, "sft_skip": True}, "sft_levels is 0"),
    ],
)
def test_impossible_options_are_refused_in_words(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StyleEncoder(**SMALL, **options)


# --- gradients and independence -------------------------------------------------------------------


@pytest.mark.parametrize("init", ["published", "scale_preserving"])
@pytest.mark.parametrize("sft", ["published", "residual"])
@pytest.mark.parametrize(("levels", "skip"), [(0, False), (1, False), (2, False), (2, True)])
def test_gradients_reach_every_parameter(init: str, sft: str, levels: int, skip: bool) -> None:
    encoder = StyleEncoder(sft_levels=levels, sft_skip=skip, sft=sft, init=init, **SMALL)
    generator = AdaInGenerator(**SMALL)
    style = encoder(photo(2, 64), one_hot(2, 64))
    picture = generator(one_hot(2, 64), style)
    (picture - photo(2, 64)).square().mean().backward()
    assert_gradients_reach(encoder)
    # A bias before an instance norm is subtracted again: its gradient is rounding, or exactly zero.
    for name, parameter in generator.named_parameters():
        assert parameter.grad is not None
        assert torch.isfinite(parameter.grad).all(), name
        assert name.endswith("bias") or parameter.grad.abs().max() > 0, name


def test_gradients_reach_every_parameter_of_a_concatenated_style() -> None:
    encoder, generator = StyleEncoder(adain=False, **SMALL), AdaInGenerator(adain=False, **SMALL)
    picture = generator(one_hot(2, 64), encoder(photo(2, 64), one_hot(2, 64)))
    picture.square().mean().backward()
    assert_gradients_reach(encoder)
    assert generator.join is not None
    assert_gradients_reach(generator.join)


def test_samples_of_a_batch_do_not_touch_each_other() -> None:
    encoder, generator = StyleEncoder(**SMALL).eval(), AdaInGenerator(**SMALL).eval()
    photos, masks = photo(3, 64), one_hot(3, 64)
    with torch.no_grad():
        together = generator(masks, encoder(photos, masks))
        alone = torch.cat([generator(masks[i : i + 1], encoder(photos[i : i + 1], masks[i : i + 1])) for i in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_the_same_input_gives_the_same_picture_in_train_and_eval() -> None:
    generator = AdaInGenerator(**SMALL)
    mask, style = one_hot(1, 32), torch.randn(1, generator.style_dimension)
    with torch.no_grad():
        torch.testing.assert_close(generator.train()(mask, style), generator.eval()(mask, style), atol=0, rtol=0)


def test_bf16_autocast_and_channels_last_give_nearly_the_same_picture() -> None:
    generator = AdaInGenerator(**SMALL).eval()
    mask, style = one_hot(1, 64), torch.randn(1, generator.style_dimension)
    with torch.no_grad():
        exact = generator(mask, style)
        generator = generator.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = generator(mask.to(memory_format=torch.channels_last), style)
    assert rounded.is_contiguous(memory_format=torch.channels_last)
    assert (rounded.float() - exact).abs().mean() < 0.01


# --- what the options mean ------------------------------------------------------------------------


def test_both_forms_of_the_transform() -> None:
    features, condition = torch.randn(2, 8, 4, 4), torch.randn(2, 8, 4, 4)
    published = SpatialFeatureTransform(8, form="published")
    residual = SpatialFeatureTransform(8, form="residual")
    residual.load_state_dict(published.state_dict())
    gamma = published.gamma(F.leaky_relu(published.gamma_hidden(condition), 0.1))
    beta = published.beta(F.leaky_relu(published.beta_hidden(condition), 0.1))
    torch.testing.assert_close(published(features, condition), features * gamma + beta)
    torch.testing.assert_close(residual(features, condition), features * (1 + gamma) + beta)


def test_skip_adds_the_features_before_the_first_transform() -> None:
    with_skip = StyleEncoder(sft="published", sft_skip=True, **SMALL)
    without = StyleEncoder(sft="residual", **SMALL)
    without.load_state_dict(with_skip.state_dict())
    # x * gamma + beta + x is x * (1 + gamma) + beta: only the coarse transform may differ, so make it the
    # same.
    for encoder in (with_skip, without):
        assert encoder.coarse_sft is not None
        encoder.coarse_sft.form = "residual"
    photos, masks = photo(1, 64), one_hot(1, 64)
    torch.testing.assert_close(with_skip(photos, masks), without(photos, masks), atol=1e-5, rtol=1e-4)


def test_levels_decide_whether_the_mask_is_read() -> None:
    photos, mask, other = photo(1, 64), one_hot(1, 64), one_hot(1, 64)
    for levels in (0, 1, 2):
        encoder = StyleEncoder(sft_levels=levels, **SMALL)
        assert torch.equal(encoder(photos, mask), encoder(photos, other)) == (levels == 0)


def test_adaptive_instance_norm_gives_each_channel_its_mean_and_deviation() -> None:
    features = torch.randn(2, 3, 16, 16) * 5 + 2
    shift, scale = torch.randn(2, 3), torch.rand(2, 3) + 0.5
    result = instance_norm(features, shift=shift, scale=scale)
    deviation, mean = torch.std_mean(result, dim=(2, 3), correction=0)
    torch.testing.assert_close(mean, shift, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(deviation, scale, atol=1e-5, rtol=1e-4)


def test_the_first_block_takes_shift_before_scale_from_the_front_of_the_style() -> None:
    generator = AdaInGenerator(**SMALL)
    channels = 4 * 16
    style = torch.zeros(1, generator.style_dimension)
    block = generator.blocks[0]
    features = torch.randn(1, channels, 4, 4)
    numbers = torch.randn(4, channels)
    shift, scale, second_shift, second_scale = numbers[:, :, None, None]
    hidden = F.relu(instance_norm(block.first(features)) * scale + shift)
    second = instance_norm(block.second(hidden)) * second_scale + second_shift
    style[0, : 4 * channels] = numbers.flatten()
    torch.testing.assert_close(block(features, style[:, : 4 * channels]), features + second, atol=1e-5, rtol=1e-4)


def test_instance_norm_uses_biased_variance_and_the_published_epsilon() -> None:
    features = torch.randn(2, 3, 4, 5)
    mean = features.mean((2, 3), keepdim=True)
    variance = (features - mean).square().mean((2, 3), keepdim=True)
    torch.testing.assert_close(instance_norm(features), (features - mean) / (variance + 1e-5).sqrt())


# --- initialisation -------------------------------------------------------------------------------


def relative_spread(encoder: StyleEncoder) -> float:
    """How much the style differs between photos, against its own size."""
    masks = one_hot(1, 64).expand(8, -1, -1, -1)
    colours = torch.rand(8, 3, 1, 1) * 2 - 1
    with torch.no_grad():
        styles = encoder(colours.expand(-1, -1, 64, 64), masks)
    return float(styles.std(dim=0).mean() / styles.abs().mean())


def test_scale_preserving_initialisation_lets_the_photo_reach_the_style() -> None:
    assert relative_spread(StyleEncoder(init="scale_preserving", sft="residual", **SMALL)) > 0.05
    assert relative_spread(StyleEncoder(init="published", sft="published", **SMALL)) < 1e-3


def test_adain_scales_start_at_one_and_shifts_at_zero() -> None:
    bias = StyleEncoder(**SMALL).head.bias
    assert bias is not None
    layers = bias.detach().view(4, 2, 64)
    assert torch.equal(layers[:, 0], torch.zeros(4, 64))
    assert torch.equal(layers[:, 1], torch.ones(4, 64))


def test_published_weights_have_deviation_of_two_hundredths() -> None:
    encoder, generator = StyleEncoder(init="published"), AdaInGenerator(filters=16)
    assert encoder.labels is not None
    for weight in (encoder.head.weight, encoder.labels.coarse[0].weight, generator.blocks[0].first.weight):
        assert weight.std().item() == pytest.approx(0.02, rel=0.02)
        assert abs(weight.mean().item()) < 5e-4


def test_he_initialisation_keeps_the_mean_square() -> None:
    convolution = nn.Conv2d(64, 64, 3)
    initialise_he(convolution)
    features = torch.randn(4, 64, 16, 16)
    with torch.no_grad():
        assert F.relu(convolution(features)).square().mean().item() == pytest.approx(1.0, rel=0.15)
    with pytest.raises(TypeError, match="not Linear"):
        initialise_he(nn.Linear(2, 2))


def test_the_decoder_takes_its_part_of_the_style() -> None:
    torch.manual_seed(0)
    options = {"filters": 4, "blocks": 2, "downsamplings": 2}
    generator = AdaInGenerator(**options, adain_decoder=True, scale_offset=1.0).eval()
    plain = AdaInGenerator(**options, scale_offset=1.0).eval()
    plain.load_state_dict(generator.state_dict())
    # Blocks: 2 blocks x 2 layers x (shift, scale) x 16 channels; upsamplings: (shift, scale) x 8 and x 4 channels.
    assert plain.style_dimension == 2 * 2 * 2 * 16
    assert generator.style_dimension == plain.style_dimension + 2 * 8 + 2 * 4
    mask, style = one_hot(1, 32), torch.randn(1, plain.style_dimension)
    with torch.no_grad():
        neutral = generator(mask, torch.cat([style, torch.zeros(1, 24)], dim=1))
        torch.testing.assert_close(neutral, plain(mask, style))
        moved = torch.cat([style, 0.1 * torch.randn(1, 24)], dim=1)
        assert not torch.allclose(generator(mask, moved), neutral)
    style = moved.clone().requires_grad_()
    generator(mask, style).square().sum().backward()
    assert (style.grad[:, -24:] != 0).all()


def test_adain_in_the_decoder_needs_adain() -> None:
    with pytest.raises(ValueError, match="adain is off"):
        AdaInGenerator(filters=4, adain=False, adain_decoder=True)


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


def test_the_generator_enlarges_as_it_is_told() -> None:
    forms = {form: AdaInGenerator(**SMALL, upsampling=form) for form in ("transposed", "resize")}
    assert all(isinstance(layer, nn.ConvTranspose2d) for layer in forms["transposed"].ups)
    assert all(isinstance(layer, ResizeConvolution) for layer in forms["resize"].ups)
    assert count(forms["transposed"]) == count(forms["resize"])
    picture = forms["resize"](one_hot(2, 64, 32), torch.randn(2, forms["resize"].style_dimension))
    assert picture.shape == (2, 3, 64, 32)
    picture.mean().backward()
    assert_gradients_reach(forms["resize"].ups)
