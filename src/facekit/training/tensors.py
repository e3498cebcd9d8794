"""Working on all tensors of a container at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from facekit.interfaces import DiscriminatorOutput, FacekitError, Generated, ScaleOutput, map_tensors

T = TypeVar("T")

_CORE = Generated.__module__
"""The module of the core's own containers."""


def detach(container: T) -> T:
    """Return a container cut from the graph that made it, the fields of a model family included."""
    return map_tensors(container, Tensor.detach)


def to_float32(container: T, *, copy: bool = False) -> T:
    """Return a network's result with half-precision tensors as float32; others stay as they are, or are copied.

    The fields that a model family adds to a container of the core are left alone: a latent that was cast would no
    longer lead to the image, and a loss could not differentiate the one with respect to the other.
    """

    def convert(tensor: Tensor) -> Tensor:
        if tensor.dtype in (torch.bfloat16, torch.float16):
            return tensor.float()
        return tensor.clone() if copy else tensor

    if is_dataclass(container) and not isinstance(container, type):
        core = next((base for base in type(container).__mro__ if base.__module__ == _CORE), None)
        if core is None:
            return container
        own = {each.name: map_tensors(getattr(container, each.name), convert) for each in fields(cast("Any", core))}
        return cast("T", replace(cast("Any", container), **own))
    return map_tensors(container, convert)


class _Float32Features(ScaleOutput):
    """A scale's output whose feature maps are cast when they are looked at."""

    @property
    def features(self) -> tuple[Tensor, ...]:
        """The feature maps in float32."""
        return to_float32(super().features)

    @features.setter
    def features(self, maps: tuple[Tensor, ...]) -> None:
        vars(ScaleOutput)["features"].__set__(self, maps)


def logits_in_float32(output: DiscriminatorOutput, *, copy: bool) -> DiscriminatorOutput:
    """Return a discriminator's output as losses see it: in float32, feature maps once somebody looks at them.

    The maps are by far the larger part of it, and most turns look at none of them; float32 copies of all would take a
    tenth of a step's memory.
    """
    scales = tuple(
        _Float32Features(
            to_float32(scale.logits, copy=copy),
            map_tensors(_raw_features(scale), Tensor.clone) if copy else _raw_features(scale),
        )
        for scale in output.scales
    )
    return replace(output, scales=scales, class_logits=to_float32(output.class_logits, copy=copy))


def _raw_features(scale: ScaleOutput) -> tuple[Tensor, ...]:
    """Return the feature maps as they were computed."""
    maps: tuple[Tensor, ...] = vars(ScaleOutput)["features"].__get__(scale)
    return maps


def check_finite(module: nn.Module, *, where: str) -> None:
    """Check that a model's weights are finite numbers, so that it does not generate black images without a word.

    Buffers may hold infinities (the masks of attention do), and no NaN.

    Raises:
        FacekitError: a weight is NaN or infinite; the message names the first tensor with one.
    """
    floating = {name: buffer for name, buffer in module.named_buffers() if buffer.is_floating_point()}
    buffers = {name: buffer.masked_fill(buffer.isinf(), 0) for name, buffer in floating.items()}
    wrong = all_finite({**dict(module.named_parameters()), **buffers})
    if wrong is not None:
        raise FacekitError(
            f"the weights hold values that are not finite numbers: {wrong}",
            where=where,
            remedy="take an earlier checkpoint of the run (--step), or other weights (--weights)",
        )


def all_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """Return the name of the first tensor with a NaN or an infinity, None when there is none."""
    floating = {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}
    if not floating:
        return None
    finite = torch.stack([torch.isfinite(tensor).all() for tensor in floating.values()])
    if bool(finite.all()):
        return None
    return list(floating)[int(finite.logical_not().nonzero()[0])]
