"""The exponential moving average of the weights that generate."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from facekit.recipe.resolved import ResolvedRecipe
from facekit.recipe.settings import EmaSettings
from facekit.training.networks import FaceModel
from facekit.training.schedule import decay_at


def averaged_networks(recipe: ResolvedRecipe) -> tuple[str, ...]:
    """Return the names of the networks that are averaged: all but discriminators and those that are frozen."""
    left_out = recipe.model.discriminators | recipe.model.frozen
    return tuple(name for name in recipe.model.networks if name not in left_out)


class Ema:
    """A copy of the networks whose weights follow those of the model slowly.

    Parameters are averaged in fp32; buffers (running statistics) are copied. Frozen networks are shared with the model.

    Args:
        settings: how fast they follow; the average must be on.
        images: images a step, over all processes and micro-batches.
    """

    def __init__(self, model: FaceModel, settings: EmaSettings, networks: Sequence[str], *, images: int) -> None:
        self.settings = settings
        self.images = images
        source = model.only(networks)
        frozen = {id(network): network for name, network in model.named_children() if name in model.frozen}
        self.model: FaceModel = copy.deepcopy(model.only((*networks, *model.frozen)), frozen)
        self.model.eval().requires_grad_(False)
        averaged = self.model.only(networks)
        self._averages: list[Tensor] = list(averaged.parameters())
        self._weights: list[Tensor] = list(source.parameters())
        self._buffers = list(zip(averaged.buffers(), source.buffers(), strict=True))

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Follow the model after the update of a step (counted from 0)."""
        torch._foreach_lerp_(self._averages, self._weights, 1 - decay_at(self.settings, step, images=self.images))
        for average, buffer in self._buffers:
            average.copy_(buffer)
