from __future__ import annotations

import pytest
import torch

from facekit.interfaces import DiscriminatorOutput, ScaleOutput
from facekit_losses.feature_matching import FeatureMatchingLoss, feature_matching_loss


def discriminator_output(*scales: tuple[torch.Tensor, ...]) -> DiscriminatorOutput:
    return DiscriminatorOutput(tuple(ScaleOutput(torch.zeros(1, 1), features) for features in scales))


def test_smoke_and_only_results_get_a_gradient(make_step) -> None:  # type: ignore[no-untyped-def]
    step = make_step()
    value = FeatureMatchingLoss()(step)
    assert value.shape == ()
    assert value.dtype == torch.float32
    value.backward()
    assert all(p.grad.abs().sum() > 0 for p in step.generator.parameters())


def test_weight_is_the_published_one() -> None:
    """Two scales of a discriminator with three strided layers: four maps each, weight 4 / (3 + 1) / 2 a map."""
    torch.manual_seed(0)
    fake = [tuple(torch.randn(2, 3, 4 + k, 4 + k) for k in range(4)) for _ in range(2)]
    real = [tuple(torch.randn_like(feature) for feature in scale) for scale in fake]
    layers, scales = 3, 2
    expected = sum(
        (4 / (layers + 1)) / scales * float((f - r).abs().mean())
        for fake_scale, real_scale in zip(fake, real)
        for f, r in zip(fake_scale, real_scale)
    )
    value = feature_matching_loss(discriminator_output(*fake), discriminator_output(*real))
    assert value.item() == pytest.approx(expected, rel=1e-5)


def test_number_of_layers_does_not_change_the_size() -> None:
    ones, zeros = torch.ones(1, 2, 3, 3), torch.zeros(1, 2, 3, 3)
    for count in (1, 4, 6):
        assert (
            feature_matching_loss(discriminator_output((ones,) * count), discriminator_output((zeros,) * count)).item()
            == 4.0
        )


def test_dtype() -> None:
    features = (torch.full((1, 2, 3, 3), 1.0, dtype=torch.bfloat16),)
    value = feature_matching_loss(discriminator_output(features), discriminator_output((features[0] * 0,)))
    assert value.dtype == torch.float32


def test_gradient() -> None:
    torch.manual_seed(0)
    real = discriminator_output((torch.randn(2, 2, 3, 3, dtype=torch.float64),))
    fake = torch.randn(2, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f: feature_matching_loss(discriminator_output((f,)), real), (fake,))


def test_photos_get_no_gradient() -> None:
    real = torch.randn(1, 2, 3, 3, requires_grad=True)
    fake = torch.randn(1, 2, 3, 3, requires_grad=True)
    feature_matching_loss(discriminator_output((fake,)), discriminator_output((real,))).backward()
    assert real.grad is None
    assert fake.grad is not None


def test_exception() -> None:
    feature = torch.zeros(1, 2, 3, 3)
    with pytest.raises(ValueError, match="do not pair up"):
        feature_matching_loss(discriminator_output((feature,)), discriminator_output((feature, feature)))
    with pytest.raises(ValueError, match="1 scales and photos at 2"):
        feature_matching_loss(discriminator_output((feature,)), discriminator_output((feature,), (feature,)))
    with pytest.raises(ValueError, match="do not pair up"):
        feature_matching_loss(discriminator_output(()), discriminator_output(()))
    with pytest.raises(ValueError, match="shapes"):
        feature_matching_loss(discriminator_output((feature,)), discriminator_output((feature[:, :1],)))
