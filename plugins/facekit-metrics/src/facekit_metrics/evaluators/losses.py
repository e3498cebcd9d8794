"""The losses of segmenters. Importing this module does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facekit.interfaces import Step
from facekit.registry import loss

from .options import FACE_SEGMENTER, SEGMENTER_LOGITS

if TYPE_CHECKING:
    from torch import Tensor


def read_masks(step: Step) -> tuple[Tensor, Tensor]:
    """Return what the segmenter reads from varied photos, and what it should: once a step, shared by its losses.

    Returns:
        logits (N, C, h, w), float32, and class ids (N, h, w) at their places.
    """

    from .variations import varied

    def read() -> tuple[Tensor, Tensor]:
        photos, masks = varied(step.batch.image, step.batch.require_mask(), step.random)
        assert masks is not None
        logits: Tensor = step.networks[FACE_SEGMENTER](photos)
        every = masks.shape[-1] // logits.shape[-1]
        # Of the pixels under each logit one is learned from, another at each step: a quarter of the work.
        down, across = step.index // every % every, step.index % every
        return logits.float(), masks[:, down::every, across::every]

    return step.once("masks of varied photos", read)


@loss("metrics/mask_cross_entropy", needs=("image", "mask", SEGMENTER_LOGITS))
def mask_cross_entropy(step: Step) -> Tensor:
    """Cross-entropy of what the segmenter reads from varied photos."""
    from torch.nn import functional as F

    return F.cross_entropy(*read_masks(step))


@loss("metrics/mask_dice", needs=("image", "mask", SEGMENTER_LOGITS))
def mask_dice(step: Step) -> Tensor:
    """One minus the Dice coefficient, a mean over the classes that are shown: rare ones count as much as large ones.

    Paper: Milletari et al., V-Net, 3DV 2016
    """
    import torch

    logits, masks = read_masks(step)
    classes = torch.arange(logits.shape[1], device=masks.device)
    truth = (masks[:, None] == classes[:, None, None]).float()
    answer = logits.softmax(1)
    there = truth.sum((0, 2, 3))
    dice = (2 * (truth * answer).sum((0, 2, 3)) + 1) / (there + answer.sum((0, 2, 3)) + 1)
    shown = (there > 0).float()
    return 1 - (dice * shown).sum() / shown.sum()
