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
    """

    kind: Kind
    name: str
    spec: str
    options: str
    contract: str
    interfaces: tuple[str, ...]
    title: str

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
            "look",
            "LOOK",
            "LookOptions",
            "StyleEncoderContract",
            ("IMAGE", "STYLE", "Port", "PortContext", "Ports"),
            "one style vector a photo",
        ),
        Part(
            "generator",
            "painter",
            "PAINTER",
            "PainterOptions",
            "GeneratorContract",
            ("GENERATED", "MASK", "STYLE", "PortContext", "Ports"),
            "a small encoder and decoder that paints a mask",
        ),
        Part(
            "discriminator",
            "critic",
            "CRITIC",
            "CriticOptions",
            "DiscriminatorContract",
            ("IMAGE", "JUDGEMENT", "JUDGEMENT_FEATURES", "MASK", "PortContext", "Ports"),
            "logits and features for patches",
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
    )
}
"""By kind, in the order in which a recipe names them."""

LONGEST_LINE = 120
"""Characters of a line of new code, as its own settings for formatters have it."""

DEFAULT_KINDS: tuple[Kind, ...] = ("generator",)
"""What a new plugin offers when nobody says."""


def chosen_parts(kinds: Sequence[Kind]) -> list[Part]:
    """Return the parts of the kinds, each once, in the order of recipes."""
    return [part for kind, part in PARTS.items() if kind in kinds]


def fill(folder: str, file: str, **values: str) -> str:
    """Return a template with its names filled in."""
    text = resources.files("facekit.scaffold").joinpath("templates", folder, f"{file}.txt").read_text("utf-8")
    return Template(text).substitute(interface_version=str(INTERFACE_VERSION), **values)


def raw(folder: str, file: str) -> str:
    """Return a template that has no names to fill in."""
    return resources.files("facekit.scaffold").joinpath("templates", folder, f"{file}.txt").read_text("utf-8")


def needs_style(parts: Sequence[Part]) -> bool:
    """Whether the recipe has a style encoder of the plugin's."""
    return any(part.kind == "style_encoder" for part in parts)


def import_line(module: str, names: Sequence[str]) -> str:
    """Return an import as a formatter writes it: constants, classes, functions, each sorted."""

    def order(name: str) -> tuple[int, str]:
        return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)

    sorted_names = sorted(set(names), key=order)
    line = f"from {module} import {', '.join(sorted_names)}"
    if len(line) <= LONGEST_LINE:
        return line
    return f"from {module} import (\n" + "".join(f"    {name},\n" for name in sorted_names) + ")"
