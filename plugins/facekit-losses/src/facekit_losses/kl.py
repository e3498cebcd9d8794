"""How far the distribution of a style lies from the standard normal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

from torch import Tensor

from facekit.interfaces import BuildContext, Step
from facekit_gan import style as style_of

from .options import KlOptions


class Distribution(Protocol):
    """The style of an encoder that reads a normal distribution: its fields, (N, D) each."""

    mean: Tensor
    log_variance: Tensor


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the divergence of normal distributions (N, D) from the standard normal, a scalar: the sum over all N."""
    mean, log_variance = mean.float(), log_variance.float()
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()


@dataclass(frozen=True)
class KlDivergence:
    """The divergence of the style encoder's distribution from the standard normal.

    Args:
        mean: of the samples, in place of their sum.
    """

    mean: bool = False

    def __call__(self, step: Step) -> Tensor:
        """Return the loss, a scalar."""
        style = cast("Distribution", style_of(step))
        divergence = kl_divergence(style.mean, style.log_variance)
        return divergence / len(style.mean) if self.mean else divergence


def build(options: KlOptions, context: BuildContext) -> KlDivergence:
    """Build the loss from a recipe's options."""
    return KlDivergence(options.reduction == "mean")
