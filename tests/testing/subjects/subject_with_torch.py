"""A module that declares a component and imports torch, which it must not."""

from __future__ import annotations

import torch
from subject_specs import SubjectOptions

from facekit.interfaces import GENERATED, MASK, STYLE, PortContext, Ports
from facekit.registry import ComponentSpec


def ports(options: SubjectOptions, context: PortContext) -> Ports:
    return Ports(needs=(MASK, STYLE), gives=(GENERATED,))


GENERATOR = ComponentSpec(
    interface_version=1,
    kind="generator",
    id="subjects/generator",
    summary=f"A subject that knows {torch.__name__}.",
    options=SubjectOptions,
    factory="subject_parts:generator",
    ports=ports,
)
