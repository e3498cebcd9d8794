"""Feature matching in the discriminator (pix2pixHD)."""

from __future__ import annotations

import torch
from torch import Tensor

from facekit.interfaces import BuildContext, DiscriminatorOutput, NoOptions, Step
from facekit_gan import discriminate, fake, real

from .numeric import mean_absolute_difference


def feature_matching_loss(fake: DiscriminatorOutput, real: DiscriminatorOutput) -> Tensor:
    """Return the distance between the discriminator's feature maps of results and of photos.

    Wang et al., CVPR 2018, as in the published code: the sum over scales and maps of the mean absolute difference,
    times 4 / (layers + 1) / scales, where ``layers`` is the number of strided layers of a scale. A patch discriminator
    with n strided layers shows n + 1 feature maps (the last, the logits, is not matched), so ``layers + 1`` is simply
    the number of features in the output, and the whole is four times the mean over maps and scales. With the
    weight 10 in the recipe it is the published term. Photos carry no gradient.

    Args:
        fake: discriminator_output of the results, feature maps (N, C, h, w) at each scale.
        real: discriminator_output of the photos in the same order.

    Returns:
        a scalar.

    Raises:
        ValueError: no features, or outputs whose scales or features do not pair up.
    """
    if len(fake.scales) != len(real.scales) or not fake.scales:
        raise ValueError(f"results were judged at {len(fake.scales)} scales and photos at {len(real.scales)}")
    total: list[Tensor] = []
    for fake_scale, real_scale in zip(fake.scales, real.scales, strict=True):
        # Looked at once: a run in bf16 casts the maps whenever they are.
        fake_maps, real_maps = fake_scale.features, real_scale.features
        if len(fake_maps) != len(real_maps) or not fake_maps:
            raise ValueError(f"feature maps do not pair up: results have {len(fake_maps)}, photos {len(real_maps)}")
        for fake_map, real_map in zip(fake_maps, real_maps, strict=True):
            difference = mean_absolute_difference(fake_map, real_map.detach())
            total.append(difference * (4 / len(fake_maps) / len(fake.scales)))
    return torch.stack(total).sum()


class FeatureMatchingLoss:
    """Feature matching between fakes and real photos."""

    def __call__(self, step: Step) -> Tensor:
        """Return the loss, a scalar."""
        return feature_matching_loss(discriminate(step, fake(step)), discriminate(step, real(step)))


def build(options: NoOptions, context: BuildContext) -> FeatureMatchingLoss:
    """Build the loss from a recipe's options."""
    return FeatureMatchingLoss()
