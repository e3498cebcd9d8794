"""How steeply a discriminator's output changes with the picture: what gradient penalties punish."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from facekit.interfaces import DiscriminatorOutput, Generated

from .options import PatchReduction


def squared_gradient_norms(
    discriminate: Callable[[Generated], DiscriminatorOutput], picture: Generated, *, patches: PatchReduction = "sum"
) -> list[Tensor]:
    """Return, for each scale, the squared norm of the gradient of its logits with respect to each picture.

    The mask that a conditional discriminator sees beside the picture is fixed: the gradient is with respect to the
    picture alone, all the levels of a pyramid together. It can be differentiated again.

    Args:
        discriminate: the discriminator with its condition, in full precision.
        picture: where the slope is measured, (N, 3, H, W) and the levels of its pyramid. Cut from its graph here.
        patches: whether a picture's logits are summed or averaged first.

    Returns:
        one tensor (N,) a scale.
    """

    def watched(tensor: Tensor) -> Tensor:
        # A view, since operations cannot be counted by module where a module reads a leaf that is differentiated.
        leaf = tensor.detach().requires_grad_(True)
        return leaf.view_as(leaf)

    with torch.enable_grad():
        pictures = replace(
            picture, image=watched(picture.image), pyramid=tuple(watched(level) for level in picture.pyramid)
        )
        inputs = (pictures.image, *pictures.pyramid)
        discriminator_output = discriminate(pictures)
        norms: list[Tensor] = []
        for scale in discriminator_output.scales:
            logits = scale.logits.flatten(1)
            each = logits.sum(1) if patches == "sum" else logits.mean(1)
            # Discriminators of pyramids need not look at every level at every scale.
            gradients = torch.autograd.grad(each.sum(), inputs, create_graph=True, allow_unused=True)
            squares = [gradient.flatten(1).square().sum(1) for gradient in gradients if gradient is not None]
            norms.append(torch.stack(squares).sum(0))
    return norms
