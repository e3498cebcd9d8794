"""The norms compute what the papers say: compared with the straight form, loops and spread codes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit_layers import CladeNorm, SeanNorm, SpadeNorm
from facekit_layers.mask_norm import convolve_by_region

CLASSES, CHANNELS, CODE, SIDE = 5, 6, 4, 8


@pytest.fixture
def mask() -> Tensor:
    """Class ids (3, 8, 8); class 4 is nowhere in the first sample."""
    ids = torch.randint(0, CLASSES, (3, SIDE, SIDE), generator=torch.Generator().manual_seed(1))
    ids[0][ids[0] == 4] = 0
    return ids


def planes_of(mask: Tensor) -> Tensor:
    return F.one_hot(mask, CLASSES).permute(0, 3, 1, 2).float()


def randomise(module: nn.Module) -> nn.Module:
    random = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for tensor in module.parameters():
            tensor.copy_(torch.randn(tensor.shape, generator=random) * 0.3)
    return module


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def spread(mask: Tensor, codes: Tensor) -> Tensor:
    """The official way: the code of each region written onto each of its pixels, sample by sample, region by region."""
    spread = torch.zeros(len(mask), codes.shape[2], *mask.shape[1:])
    for sample in range(len(mask)):
        for region in range(CLASSES):
            inside = mask[sample] == region
            if inside.any():
                spread[sample][:, inside] = codes[sample, region][:, None]
    return spread


def straight_spade(norm: SpadeNorm | SeanNorm, planes: Tensor) -> tuple[Tensor, Tensor]:
    """Return gamma and beta of the mask."""
    hidden = F.relu(F.conv2d(planes, norm.mask.hidden.weight, norm.mask.hidden.bias, padding=1))
    both = F.conv2d(hidden, norm.mask.last.weight, norm.mask.last.bias, padding=1)
    return both[:, :CHANNELS], both[:, CHANNELS:]


def test_codes_are_convolved_as_if_they_had_been_spread(mask: Tensor) -> None:
    codes = drawn(3, CLASSES, CODE).requires_grad_()
    weight = torch.randn(2 * CHANNELS, CODE, 3, 3, generator=torch.Generator().manual_seed(4)).requires_grad_()
    found = convolve_by_region(planes_of(mask), codes, weight)
    expected = F.conv2d(spread(mask, codes), weight, padding=1)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    projection = torch.randn(found.shape, generator=torch.Generator().manual_seed(5))
    ours = torch.autograd.grad((found * projection).sum(), (codes, weight))
    theirs = torch.autograd.grad((expected * projection).sum(), (codes, weight))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_other_devices_convolve_groups_to_the_same(mask: Tensor) -> None:
    planes, codes, weight = planes_of(mask), drawn(3, CLASSES, CODE), drawn(12, CODE, 3, 3)
    kernels = torch.einsum("ncd,odhw->nochw", codes, weight)
    grouped = F.conv2d(planes.flatten(0, 1)[None], kernels.flatten(0, 1), padding=1, groups=3)
    torch.testing.assert_close(convolve_by_region(planes, codes, weight), grouped.unflatten(1, (3, 12))[0])


def test_spade_is_the_norm_times_one_plus_gamma_plus_beta(mask: Tensor) -> None:
    norm = randomise(SpadeNorm(CHANNELS, classes=CLASSES, hidden=7, statistics="batch"))
    features, planes = drawn(3, CHANNELS, SIDE, SIDE), planes_of(mask)
    gamma, beta = straight_spade(norm, planes)
    expected = F.batch_norm(features, None, None, training=True) * (1 + gamma) + beta
    torch.testing.assert_close(norm(features, planes, None), expected, atol=1e-5, rtol=1e-5)


def test_clade_looks_scale_and_shift_up_by_class(mask: Tensor) -> None:
    norm = CladeNorm(CHANNELS, classes=CLASSES, statistics="instance")
    features, planes = drawn(3, CHANNELS, SIDE, SIDE), planes_of(mask)
    torch.testing.assert_close(norm(features, planes, None), F.instance_norm(features), atol=1e-5, rtol=0)
    randomise(norm)
    gamma, beta = (half.t()[mask].permute(0, 3, 1, 2) for half in norm.table.split(CHANNELS))
    expected = F.instance_norm(features) * gamma + beta
    torch.testing.assert_close(norm(features, planes, None), expected, atol=1e-5, rtol=1e-5)


def sean() -> SeanNorm:
    norm = SeanNorm(CHANNELS, classes=CLASSES, hidden=7, statistics="batch", code=CODE, dense=True, noise=True)
    return randomise(norm).eval()


def test_sean_mixes_the_masks_gamma_and_beta_with_those_of_the_codes(mask: Tensor) -> None:
    norm, features, planes, codes = sean(), drawn(3, CHANNELS, SIDE, SIDE), planes_of(mask), drawn(3, CLASSES, CODE)
    assert norm.dense is not None
    assert norm.style is not None
    layers = [F.linear(codes[:, index], norm.dense.weight[index], norm.dense.bias[index]) for index in range(CLASSES)]
    styled = spread(mask, F.relu(torch.stack(layers, 1)))
    gamma_style, beta_style = F.conv2d(styled, norm.style.weight, norm.style.bias, padding=1).chunk(2, 1)
    gamma_mask, beta_mask = straight_spade(norm, planes)
    share_gamma, share_beta = norm.blend.sigmoid()
    gamma = share_gamma * gamma_style + (1 - share_gamma) * gamma_mask
    beta = share_beta * beta_style + (1 - share_beta) * beta_mask
    expected = features / (1 + 1e-5) ** 0.5 * (1 + gamma) + beta
    torch.testing.assert_close(norm(features, planes, codes), expected, atol=1e-5, rtol=1e-5)


def test_a_regions_code_changes_nothing_beyond_a_pixel_around_it(mask: Tensor) -> None:
    norm, features, codes = sean(), drawn(3, CHANNELS, SIDE, SIDE), drawn(3, CLASSES, CODE)
    mask = torch.zeros_like(mask)
    mask[:, 2:4, 2:4] = 1
    other = codes.clone()
    other[:, 1] = 7
    changed = (norm(features, planes_of(mask), codes) != norm(features, planes_of(mask), other)).any(1)
    reach = torch.zeros_like(changed)
    reach[:, 1:5, 1:5] = True
    assert bool(changed[:, 2:4, 2:4].all())
    assert not bool(changed[~reach].any())


def test_noise_is_added_in_training_alone(mask: Tensor) -> None:
    norm, features, planes, codes = sean(), drawn(3, CHANNELS, SIDE, SIDE), planes_of(mask), drawn(3, CLASSES, CODE)
    assert torch.equal(norm(features, planes, codes), norm(features, planes, codes))
    norm.train()
    assert not torch.equal(norm(features, planes, codes), norm(features, planes, codes))


@pytest.mark.parametrize("channels", [1, 6, 8, 32])
def test_groups_divide_any_number_of_channels(channels: int) -> None:
    norm = CladeNorm(channels, classes=CLASSES, statistics="group")
    assert norm(drawn(2, channels, 4, 4), torch.zeros(2, CLASSES, 4, 4), None).shape == (2, channels, 4, 4)
