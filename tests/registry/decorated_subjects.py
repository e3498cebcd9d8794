"""A plugin of decorated functions, for ``test_decorators.py``. It imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from facekit.registry import components, loss, metric

if TYPE_CHECKING:
    from torch import Tensor

    from facekit.interfaces import Observation, Step


@loss("tested/charbonnier", needs=("image", "generated"), example={"epsilon": 0.01})
def charbonnier(
    step: Step,
    *,
    epsilon: Annotated[float, Field(gt=0)] = 1e-3,
    norm: Literal["mean", "root"] = "mean",
) -> Tensor:
    """Smooth absolute difference between the pixels of fake
    and real image.

    More about it, which is no part of the summary.

    Args:
        epsilon: below this difference the loss is round,
            above it is straight.
        norm (str): how the values are joined.

    Paper: Charbonnier et al., Two Deterministic Half-Quadratic
        Regularization Algorithms, ICIP 1994

    Returns:
        a scalar.
    """
    from facekit_gan import fake

    difference = (fake(step).image - step.batch.image).float()
    value = ((difference.square() + epsilon**2).sqrt() - epsilon).mean((1, 2, 3))
    return value.mean() if norm == "mean" else value.sqrt().mean()


@metric("tested/absolute_error", needs=("image", "generated"), better="lower", unit="levels")
def absolute_error(observation: Observation, *, scale: float = 127.5) -> Tensor:
    """Mean absolute difference between reconstruction and photo.

    Args:
        scale: what the range [-1, 1] is multiplied with.
    """
    return (observation.generated.image - observation.target).abs().double().mean((1, 2, 3)) * scale


@metric("tested/change", needs=("generated",), better="higher", tasks=("reconstruction", "style_copy"))
def change(observation: Observation) -> Tensor:
    """Mean absolute value of the images, of two tasks."""
    return observation.generated.image.abs().double().mean((1, 2, 3))


facekit_components = components(charbonnier, absolute_error, change)
