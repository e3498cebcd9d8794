"""The networks of a model as a training step calls them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import nn

from facekit.engine.model import FaceModel
from facekit.engine.precision import Precision
from facekit.engine.tensors import map_tensors, to_float32
from facekit.interfaces import (
    Condition,
    FacekitError,
    Generated,
    Judgement,
    LabelMap,
    PortContext,
    ScaleJudgement,
    Style,
)
from facekit.recipe.resolved import ResolvedRecipe

T = TypeVar("T")

PYRAMID = "generated.pyramid"
"""The port of generators that paint several scales."""


class Networks:
    """The networks of a model as a step calls them: in the precision of the run, with results in float32 (feature maps
    of judgements stay as they were computed: see :func:`with_float32_features`).

    Args:
        model: the networks.
        precision: how they compute.
        gives_pyramid: the generator paints several scales, so that real photos need them too.
        batch_dependent: the discriminator's judgement of a sample depends on the others of its batch.
        compile: compile the networks. Penalties differentiate the discriminator twice, which compiled networks cannot;
            pictures other than those of a step are therefore judged by the plain network.
        cuda_graphs: record the kernels of each network once and replay them, compiled or not. :meth:`begin_step` then
            says that their results of the step before are no longer needed.
    """

    def __init__(
        self,
        model: FaceModel,
        precision: Precision,
        *,
        gives_pyramid: bool = False,
        batch_dependent: bool = False,
        compile: bool = False,
        cuda_graphs: bool = False,
    ) -> None:
        self.model = model
        self.precision = precision
        self.gives_pyramid = gives_pyramid
        self.batch_dependent = batch_dependent
        self.has_style_encoder = model.slot("style_encoder") is not None
        self._cuda_graphs = cuda_graphs

        def called(network: nn.Module | None) -> Any:
            if network is None or not (compile or cuda_graphs):
                return network
            # A step meets few sizes and meets them every time: code for each is faster than code for all.
            if not compile:
                return torch.compile(network, dynamic=False, backend="cudagraphs")
            return torch.compile(network, dynamic=False, mode="reduce-overhead" if cuda_graphs else None)

        self._encoder: Callable[..., Style] | None = called(model.slot("style_encoder"))
        self._generator: Callable[..., Generated] = called(model.generator)
        self._discriminator: Callable[..., Judgement] | None = called(model.slot("discriminator"))

    def begin_step(self) -> None:
        """Say that a step begins: CUDA graphs may write over what they gave in the step before."""
        if self._cuda_graphs:
            torch.compiler.cudagraph_mark_step_begin()

    def encode(self, image: torch.Tensor, mask: torch.Tensor) -> Style:
        """Return the style of photos with their own masks."""
        with self.precision.autocast():
            return self._own(self.model.encode(image, mask) if self._encoder is None else self._encoder(image, mask))

    def generate(self, condition: Condition, style: Style | None) -> Generated:
        """Return pictures; ``style`` is needed where the model has a style encoder."""
        if self.has_style_encoder and style is None:
            if condition.reference_image is None or condition.reference_mask is None:
                raise FacekitError("a loss asks for a picture in the look of a reference, and there is no reference")
            style = self.encode(condition.reference_image, condition.reference_mask)
        with self.precision.autocast():
            return self._own(self._generator(condition, style if self.has_style_encoder else None))

    def judge(self, picture: Generated, condition: Condition, *, full: bool = False, plain: bool = False) -> Judgement:
        """Return the judgement of pictures; ``full`` in fp32, ``plain`` without compiled code."""
        # Autocast that the caller has switched off stays off.
        with self.precision.autocast(full=full):
            if plain or full or self._discriminator is None:
                return self._own_judgement(self.model.judge(picture, condition), copy=False)
            return self._own_judgement(self._discriminator(picture, condition), copy=self._cuda_graphs)

    def _own(self, result: T) -> T:
        """Return a network's result in float32, in memory that no graph writes over."""
        # A run may keep a result for longer than a step: the replay pool does.
        return to_float32(result, copy=self._cuda_graphs)

    def _own_judgement(self, judgement: Judgement, *, copy: bool) -> Judgement:
        """Return a judgement with logits in float32 and feature maps in the type that they were computed in."""
        scales = tuple(
            ScaleJudgement(
                to_float32(scale.logits, copy=copy),
                map_tensors(scale.features, torch.Tensor.clone) if copy else scale.features,
            )
            for scale in judgement.scales
        )
        return replace(judgement, scales=scales, class_logits=to_float32(judgement.class_logits, copy=copy))


class _Float32Features(ScaleJudgement):
    """A scale's judgement whose feature maps are cast when they are looked at."""

    @property
    def features(self) -> tuple[torch.Tensor, ...]:
        """The feature maps in float32."""
        return to_float32(super().features)

    @features.setter
    def features(self, maps: tuple[torch.Tensor, ...]) -> None:
        vars(ScaleJudgement)["features"].__set__(self, maps)


def with_float32_features(judgement: Judgement) -> Judgement:
    """Return a judgement as losses see it: in float32.

    The maps are by far the larger part of a judgement, and most turns look at none of them; float32 copies of all would
    take a tenth of a step's memory.
    """
    scales = tuple(_Float32Features(scale.logits, scale.features) for scale in judgement.scales)
    return replace(judgement, scales=scales)


def make_networks(
    recipe: ResolvedRecipe,
    model: FaceModel,
    precision: Precision,
    *,
    label_maps: Mapping[str, LabelMap],
    compile: bool,
    cuda_graphs: bool = False,
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
        cuda_graphs=cuda_graphs,
    )
