"""Holds what a component gave against the ports that it declares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

from facekit.interfaces import DiscriminatorOutput, Generated, Port, Ports, Style
from facekit.training.failures import Culprit

_EXPECTED: dict[str, type] = {"style_encoder": Style, "generator": Generated, "discriminator": DiscriminatorOutput}
_SAMPLER = "sampler"

Outputs = Mapping[str, tuple[Tensor, ...]]
"""What a component gave, by the names of its ports."""


def outputs_by_port(result: Any, ports: Ports) -> dict[str, tuple[Tensor, ...]]:
    """Return the tensors of what a component gave under the names of ports.

    ``style`` is the code of a :class:`Style`, ``generated`` the image of a :class:`Generated`, ``discriminated``
    the logits of a :class:`DiscriminatorOutput`; ``style.mean`` is the field ``mean`` of a family's subclass,
    ``generated.depth`` a field or one of the maps. Of anything else: a tensor is the only port that is declared, a
    mapping or a dataclass has its own names.
    """
    if isinstance(result, Style):
        return {"style": (result.code,), **_own_fields(result, Style, "style")}
    if isinstance(result, Generated):
        maps = {f"generated.{name}": (tensor,) for name, tensor in result.maps.items()}
        pyramid = {"generated.pyramid": result.pyramid} if result.pyramid else {}
        return {"generated": (result.image,), **pyramid, **maps, **_own_fields(result, Generated, "generated")}
    if isinstance(result, DiscriminatorOutput):
        features = tuple(feature for scale in result.scales for feature in scale.features)
        logits = () if result.class_logits is None else (result.class_logits,)
        return {
            "discriminated": tuple(scale.logits for scale in result.scales),
            **({"discriminated.features": features} if features else {}),
            **({"discriminated.class_logits": logits} if logits else {}),
            **_own_fields(result, DiscriminatorOutput, "discriminated"),
        }
    if isinstance(result, Tensor):
        return {ports.gives[0].name: (result,)} if len(ports.gives) == 1 else {}
    if isinstance(result, Mapping):
        return {str(name): (value,) for name, value in result.items() if isinstance(value, Tensor)}
    if is_dataclass(result) and not isinstance(result, type):
        found = {each.name: getattr(result, each.name) for each in fields(result)}
        return {name: (value,) for name, value in found.items() if isinstance(value, Tensor)}
    return {}


def _own_fields(result: Any, core: type, prefix: str) -> dict[str, tuple[Tensor, ...]]:
    known = {each.name for each in fields(core)}
    own = {each.name: getattr(result, each.name) for each in fields(result) if each.name not in known}
    return {f"{prefix}.{name}": (value,) for name, value in own.items() if isinstance(value, Tensor)}


def mismatch(port: Port, given: tuple[Tensor, ...], settled: Mapping[str, int]) -> str | None:
    """Return what is wrong with the tensors of a port, None where nothing is.

    Args:
        port: what is declared.
        given: the tensors.
        settled: the numbers behind named dimensions; others may be any number.
    """
    expected = [settled.get(side, None) if isinstance(side, str) else side for side in port.shape]
    declared = f"({', '.join(str(side) for side in port.shape)}{', ...' if port.leading else ''})"
    named = {side: settled[side] for side in port.shape if isinstance(side, str) and side in settled}
    if named:
        declared += f" with {', '.join(f'{name} = {number}' for name, number in named.items())}"
    for tensor in given:
        shape = list(tensor.shape)
        compared = shape[: len(expected)] if port.leading else shape
        if len(compared) != len(expected) or any(e not in (None, s) for e, s in zip(expected, compared, strict=True)):
            return f"`{port.name}` of shape {tuple(shape)}, and its port says {declared}"
        if port.dtype == "class_ids" and tensor.is_floating_point():
            return f"`{port.name}` as {tensor.dtype}, and its port says class ids (integers)"
        if port.dtype != "class_ids" and tensor.dtype not in (torch.float32, torch.bfloat16, torch.float16):
            return f"`{port.name}` as {tensor.dtype}, and its port says {port.dtype} numbers, which are float32 here"
    return None


def check_outputs(culprit: Culprit, kind: str, ports: Ports, result: Any, settled: Mapping[str, int]) -> None:
    """Check what a component gave.

    Raises:
        FacekitError: it is not of the type of its kind, lacks what a port declares, or has another shape or type.
    """
    expected = _EXPECTED.get(kind, Generated if kind == _SAMPLER else None)
    if expected is not None and not isinstance(result, expected):
        found = "a tensor" if isinstance(result, Tensor) else type(result).__name__  # a fake one in the shape check
        raise culprit.error(
            f"{culprit.title} gave {found}, not {expected.__name__}",
            remedy=f"wrap what it returns: facekit.interfaces.{expected.__name__}(...)",
        )
    given = outputs_by_port(result, ports)
    for port in ports.gives:
        tensors = given.get(port.name)
        if tensors is None:
            if kind == "network" and not given:
                continue  # a network's own kind of result, which only its family can read
            raise culprit.error(
                f"{culprit.title} declares that it gives `{port.name}`, and did not",
                remedy=f"it gave {', '.join(given) or 'nothing that a port names'}",
            )
        wrong = mismatch(port, tensors, settled)
        if wrong is not None:
            raise culprit.error(f"{culprit.title} gave {wrong}", remedy="correct the ports, or what it returns")
