"""The exponential moving average of the weights that paint."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from facekit.engine.model import FaceModel
from facekit.engine.schedule import decay_at
from facekit.recipe.settings import EmaSettings


class Ema:
    """A copy of generator and style encoder whose weights follow those of the model slowly.

    Parameters are averaged in fp32; buffers (running statistics) are copied.

    Args:
        model: the model in training.
        settings: how fast they follow; the average must be on.
        images: images a step, over all processes and micro-batches.
    """

    def __init__(self, model: FaceModel, settings: EmaSettings, *, images: int) -> None:
        self.settings = settings
        self.images = images
        encoder = model.slot("style_encoder")
        self.model = FaceModel(
            generator=copy.deepcopy(model.generator),
            style_encoder=copy.deepcopy(encoder) if encoder is not None else None,
        )
        self.model.eval().requires_grad_(False)
        source = FaceModel(generator=model.generator, style_encoder=encoder)
        self._averages: list[Tensor] = list(self.model.parameters())
        self._weights: list[Tensor] = list(source.parameters())
        self._buffers = list(zip(self.model.buffers(), source.buffers(), strict=True))

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Follow the model after the update of a step (counted from 0)."""
        torch._foreach_lerp_(self._averages, self._weights, 1 - decay_at(self.settings, step, images=self.images))
        for average, buffer in self._buffers:
            average.copy_(buffer)
