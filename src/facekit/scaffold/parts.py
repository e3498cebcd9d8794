"""The components a new plugin can have, one for each kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from string import Template

from facekit.interfaces import INTERFACE_VERSION
from facekit.registry import Kind


@dataclass(frozen=True)
class Part:
    """The component of one kind.

    Args:
        kind: which kind.
        name: the component's name after the namespace.
        spec: the name of its spec in the plugin module.
        options: its options class.
        contract: the contract class its test subclasses.
        interfaces: what the spec needs of ``facekit.interfaces``.
        title: what it is, for tables.
        contract_imports: what its contract test imports beside facekit.testing: of the standard library, and of others.
    """

    kind: Kind
    name: str
    spec: str
    options: str
    contract: str
    interfaces: tuple[str, ...]
    title: str
    contract_imports: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

    @property
    def build(self) -> str:
        """The name of its factory."""
        return f"build_{self.kind}"

    @property
    def context(self) -> str:
        """What its factory takes beside the options."""
        contexts = {"dataset": "DatasetContext", "optimiser": "TrainingContext", "schedule": "TrainingContext"}
        return contexts.get(self.kind, "BuildContext")


PARTS: dict[Kind, Part] = {
    part.kind: part
    for part in (
        Part(
            "dataset",
            "shapes",
            "SHAPES",
            "ShapesOptions",
            "DatasetContract",
            ("IMAGE", "MASK", "LabelClass", "LabelMap", "PortContext", "Ports"),
            "faces made of ovals, with a label map of four classes",
        ),
        Part(
            "style_encoder",
            "pooled_style",
            "POOLED_STYLE",
            "PooledStyleOptions",
            "StyleEncoderContract",
            ("IMAGE", "STYLE", "Port", "PortContext", "Ports"),
            "one style vector a photo",
        ),
        Part(
            "network",
            "mapping",
            "MAPPING",
            "MappingOptions",
            "FamilyNetworkContract",
            ("STYLE", "Port", "PortContext", "Ports"),
            "noise to style vectors",
        ),
        Part(
            "generator",
            "encoder_decoder",
            "ENCODER_DECODER",
            "EncoderDecoderOptions",
            "GeneratorContract",
            ("GENERATED", "MASK", "STYLE", "PortContext", "Ports"),
            "a small encoder and decoder that generates an image of a mask",
        ),
        Part(
            "discriminator",
            "patches",
            "PATCHES",
            "PatchesOptions",
            "DiscriminatorContract",
            ("IMAGE", "DISCRIMINATOR_OUTPUT", "DISCRIMINATOR_FEATURES", "MASK", "PortContext", "Ports"),
            "logits and features for patches",
        ),
        Part(
            "sampler",
            "from_noise",
            "FROM_NOISE",
            "FromNoiseOptions",
            "SamplerContract",
            ("MASK", "Port", "PortContext", "Ports"),
            "images of masks in styles drawn from noise",
            (
                ("from collections.abc import Callable", "from typing import Any"),
                ("import torch", "from facekit.interfaces import Condition, Generated, Style"),
            ),
        ),
        Part(
            "loss",
            "charbonnier",
            "CHARBONNIER",
            "CharbonnierOptions",
            "LossContract",
            ("GENERATED", "IMAGE", "PortContext", "Ports"),
            "smooth absolute difference of pixels",
        ),
        Part(
            "metric",
            "absolute_error",
            "ABSOLUTE_ERROR",
            "AbsoluteErrorOptions",
            "MetricContract",
            ("GENERATED", "IMAGE", "PortContext", "Ports"),
            "mean absolute difference of pixels",
        ),
        Part(
            "optimiser",
            "lion",
            "LION",
            "LionOptions",
            "OptimiserContract",
            (),
            "an optimiser that follows signs",
        ),
        Part(
            "schedule",
            "restarts",
            "RESTARTS",
            "RestartsOptions",
            "ScheduleContract",
            (),
            "learning rates that fall several times in a run",
        ),
        Part(
            "augmentation",
            "light",
            "LIGHT",
            "LightOptions",
            "AugmentationContract",
            (),
            "a brightness that is added to what discriminators are shown",
        ),
    )
}
"""By kind, in the order in which a recipe names them."""

LONGEST_LINE = 120
"""Characters of a line of new code, as its own settings for formatters have it."""

DEFAULT_KINDS: tuple[Kind, ...] = ("generator",)
"""What a new plugin offers when nobody says."""

TOGETHER: frozenset[Kind] = frozenset({"network", "sampler"})
"""Kinds that come together: a network of a family's own is called by a sampler, and that one calls networks."""


def chosen_parts(kinds: Sequence[Kind]) -> list[Part]:
    """Return the parts of the kinds and of those that come with them, each once, in the order of recipes."""
    wanted = {*kinds, *(TOGETHER if TOGETHER & set(kinds) else ())}
    return [part for kind, part in PARTS.items() if kind in wanted]


def fill(folder: str, file: str, **values: str) -> str:
    """Return a template with its names filled in."""
    text = resources.files("facekit.scaffold").joinpath("templates", folder, f"{file}.txt").read_text("utf-8")
    return Template(text).substitute(interface_version=str(INTERFACE_VERSION), **values)


def raw(folder: str, file: str) -> str:
    """Return a template that has no names to fill in."""
    return resources.files("facekit.scaffold").joinpath("templates", folder, f"{file}.txt").read_text("utf-8")


def has_kind(parts: Sequence[Part], kind: Kind) -> bool:
    """Whether the plugin has a component of a kind."""
    return any(part.kind == kind for part in parts)


def import_line(module: str, names: Sequence[str]) -> str:
    """Return an import as a formatter writes it: constants, classes, functions, each sorted."""

    def order(name: str) -> tuple[int, str]:
        return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)

    sorted_names = sorted(set(names), key=order)
    line = f"from {module} import {', '.join(sorted_names)}"
    if len(line) <= LONGEST_LINE:
        return line
    return f"from {module} import (\n" + "".join(f"    {name},\n" for name in sorted_names) + ")"


def return_line(names: Sequence[str]) -> str:
    """Return the statement that returns a list of names in a function, as a formatter writes it."""
    line = f"    return [{', '.join(names)}]"
    if len(line) <= LONGEST_LINE:
        return line
    return "    return [\n" + "".join(f"        {name},\n" for name in names) + "    ]"
