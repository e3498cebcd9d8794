"""The loss of attribute classifiers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.interfaces import BuildContext, FacekitError, NoOptions, Step

from .options import ATTRIBUTE_CLASSIFIER, KNOWN
from .variations import varied

MOST_WEIGHT = 12.0
"""The weight of a rare answer beside a common one ends here."""

_PRIOR = 32.0
"""Photos that are counted before the first, half of them with each attribute."""


def build(options: NoOptions, context: BuildContext) -> AttributeCrossEntropy:
    """Build the loss. Raises FacekitError when the data has no attributes."""
    if not context.attribute_names:
        raise FacekitError(
            "the data has no attributes to learn", remedy="put the attribute file beside the photos, or name them"
        )
    return AttributeCrossEntropy(len(context.attribute_names))


class AttributeCrossEntropy(nn.Module):
    """Binary cross-entropy in which both answers to each attribute count the same in sum.

    How many photos have an attribute is counted as they are seen; no answer weighs more than :data:`MOST_WEIGHT` times
    the other. What a photo's dataset does not say teaches nothing.

    Args:
        count: how many attributes.
    """

    shown: Tensor
    known: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("shown", torch.full((count,), _PRIOR / 2))
        self.register_buffer("known", torch.full((count,), _PRIOR))

    def forward(self, step: Step) -> Tensor:
        """Return the loss, a scalar."""
        photos, _ = varied(step.batch.image, None, step.random)
        truth = step.batch.attributes
        assert truth is not None  # its ports need them
        known = step.batch.extra.get(KNOWN, torch.ones_like(truth))
        # New tensors in place of the old: the check of shapes computes without numbers.
        self.known = self.known.to(truth) + known.sum(0)
        self.shown = self.shown.to(truth) + (truth * known).sum(0)
        logits: Tensor = step.networks[ATTRIBUTE_CLASSIFIER](photos)
        share = (self.shown / self.known).clamp(1 / (1 + MOST_WEIGHT), MOST_WEIGHT / (1 + MOST_WEIGHT))
        weight = torch.where(truth > 0, 0.5 / share, 0.5 / (1 - share)) * known
        entropy = F.binary_cross_entropy_with_logits(logits.float(), truth, weight=weight, reduction="sum")
        return entropy / known.sum().clamp_min(1)
