"""The networks of a model as a training step calls them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import nn

from facekit.engine.model import FaceModel
from facekit.engine.precision import Precision
from facekit.engine.tensors import to_float32
from facekit.interfaces import Condition, FacekitError, Generated, Judgement, LabelMap, PortContext, Style
from facekit.recipe.resolved import ResolvedRecipe

PYRAMID = "generated.pyramid"
"""The port of generators that paint several scales."""


class Networks:
    """The networks of a model as a step calls them: in the precision of the run, with results in float32.

    Args:
        model: the networks.
        precision: how they compute.
        gives_pyramid: the generator paints several scales, so that real photos need them too.
        batch_dependent: the discriminator's judgement of a sample depends on the others of its batch.
        compile: compile generator and discriminator. Penalties differentiate the discriminator twice, which compiled
            networks cannot; pictures other than those of a step are therefore judged by the plain network.
    """

    def __init__(
        self,
        model: FaceModel,
        precision: Precision,
        *,
        gives_pyramid: bool = False,
        batch_dependent: bool = False,
        compile: bool = False,
    ) -> None:
        self.model = model
        self.precision = precision
        self.gives_pyramid = gives_pyramid
        self.batch_dependent = batch_dependent
        self.has_style_encoder = model.slot("style_encoder") is not None
        self._generator: Callable[..., Generated] = model.generator
        self._discriminator: Callable[..., Judgement] | None = cast(
            "Callable[..., Judgement] | None", model.slot("discriminator")
        )
        if compile:
            self._generator = cast("Callable[..., Generated]", torch.compile(model.generator))
            if self._discriminator is not None:
                self._discriminator = cast(
                    "Callable[..., Judgement]", torch.compile(cast("nn.Module", self._discriminator))
                )

    def encode(self, image: torch.Tensor, mask: torch.Tensor) -> Style:
        """Return the style of photos with their own masks."""
        with self.precision.autocast():
            return to_float32(self.model.encode(image, mask))

    def generate(self, condition: Condition, style: Style | None) -> Generated:
        """Return pictures; ``style`` is needed where the model has a style encoder."""
        if self.has_style_encoder and style is None:
            if condition.reference_image is None or condition.reference_mask is None:
                raise FacekitError("a loss asks for a picture in the look of a reference, and there is no reference")
            style = self.encode(condition.reference_image, condition.reference_mask)
        with self.precision.autocast():
            return to_float32(self._generator(condition, style if self.has_style_encoder else None))

    def judge(self, picture: Generated, condition: Condition, *, full: bool = False, plain: bool = False) -> Judgement:
        """Return the judgement of pictures; ``full`` in fp32, ``plain`` without compiled code."""
        # Autocast that the caller has switched off stays off.
        with self.precision.autocast(full=full):
            if plain or full or self._discriminator is None:
                return to_float32(self.model.judge(picture, condition))
            return to_float32(self._discriminator(picture, condition))


def make_networks(
    recipe: ResolvedRecipe,
    model: FaceModel,
    precision: Precision,
    *,
    label_maps: Mapping[str, LabelMap],
    compile: bool,
) -> Networks:
    """Return the networks of a recipe's model as their specs say they are to be called."""
    generator, discriminator = recipe.model.generator, recipe.model.discriminator
    ports = generator.ports(PortContext(size=recipe.data.size, label_maps=label_maps))
    return Networks(
        model,
        precision,
        gives_pyramid=any(port.name == PYRAMID for port in ports.gives),
        batch_dependent=discriminator is not None and discriminator.component.spec.batch_dependent,
        compile=compile,
    )
