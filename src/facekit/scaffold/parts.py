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
        title: what it is, for tables.
        interfaces: what the spec needs of ``facekit.interfaces``.
        contract_imports: what its contract test imports beside facekit.testing: of the standard library, and of others.
    """

    kind: Kind
    name: str
    title: str
    interfaces: tuple[str, ...] = ()
    contract_imports: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

    @property
    def spec(self) -> str:
        """The name of its spec in the plugin module."""
        return self.name.upper()

    @property
    def options(self) -> str:
        """Its options class."""
        return f"{_camel(self.name)}Options"

    @property
    def contract(self) -> str:
        """The contract class that its test subclasses."""
        return "FamilyNetworkContract" if self.kind == "network" else f"{_camel(self.kind)}Contract"

    @property
    def build(self) -> str:
        """The name of its factory."""
        return f"build_{self.kind}"

    @property
    def context(self) -> str:
        """What its factory takes beside the options."""
        contexts = {"dataset": "DatasetContext", "optimiser": "TrainingContext", "schedule": "TrainingContext"}
        return contexts.get(self.kind, "BuildContext")


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


_PORTS = ("PortContext", "Ports")
_FROM_NOISE = (
    ("from collections.abc import Callable", "from typing import Any"),
    ("import torch", "from facekit.interfaces import Condition, Generated, Style"),
)
_CRITIC = ("IMAGE", "DISCRIMINATOR_OUTPUT", "DISCRIMINATOR_FEATURES", "MASK", *_PORTS)

PARTS: dict[Kind, Part] = {
    part.kind: part
    for part in (
        Part(
            "dataset",
            "shapes",
            "faces made of ovals, with a label map of four classes",
            ("IMAGE", "MASK", "LabelClass", "LabelMap", *_PORTS),
        ),
        Part("style_encoder", "pooled_style", "one style vector a photo", ("IMAGE", "STYLE", "Port", *_PORTS)),
        Part("network", "mapping", "noise to style vectors", ("STYLE", "Port", *_PORTS)),
        Part(
            "generator",
            "encoder_decoder",
            "a small encoder and decoder that generates an image of a mask",
            ("GENERATED", "MASK", "STYLE", *_PORTS),
        ),
        Part("discriminator", "patches", "logits and features for patches", _CRITIC),
        Part(
            "sampler",
            "from_noise",
            "images of masks in styles drawn from noise",
            ("MASK", "Port", *_PORTS),
            _FROM_NOISE,
        ),
        Part("loss", "charbonnier", "smooth absolute difference of pixels", ("GENERATED", "IMAGE", *_PORTS)),
        Part("metric", "absolute_error", "mean absolute difference of pixels", ("GENERATED", "IMAGE", *_PORTS)),
        Part("optimiser", "lion", "an optimiser that follows signs"),
        Part("schedule", "restarts", "learning rates that fall several times in a run"),
        Part("augmentation", "light", "a brightness that is added to what discriminators are shown"),
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


def raw(folder: str, file: str) -> str:
    """Return a template that has no names to fill in."""
    return resources.files("facekit.scaffold").joinpath("templates", folder, f"{file}.txt").read_text("utf-8")


def fill(folder: str, file: str, **values: str) -> str:
    """Return a template with its names filled in."""
    return Template(raw(folder, file)).substitute(interface_version=str(INTERFACE_VERSION), **values)


def write_spec(part: Part, namespace: str, module: str) -> str:
    """Return the spec of a component whose factory is in a module."""
    factory = {f"factory_{part.kind}": f"{module}:{part.build}"}
    return fill(part.kind, "spec.py", namespace=namespace, **factory).strip()


def import_field(parts: Sequence[Part]) -> str:
    """Return the import of pydantic's ``Field`` where options need it."""
    return "from pydantic import Field\n" if any("Field(" in raw(part.kind, "options.py") for part in parts) else ""


def has_kind(parts: Sequence[Part], kind: Kind) -> bool:
    """Whether the plugin has a component of a kind."""
    return any(part.kind == kind for part in parts)


def import_line(module: str, names: Sequence[str]) -> str:
    """Return an import as a formatter writes it: constants, classes, functions, each sorted."""
    ranked = sorted(set(names), key=lambda name: (0 if name.isupper() else 1 if name[0].isupper() else 2, name))
    line = f"from {module} import {', '.join(ranked)}"
    if len(line) <= LONGEST_LINE:
        return line
    return f"from {module} import (\n" + "".join(f"    {name},\n" for name in ranked) + ")"


def return_line(names: Sequence[str]) -> str:
    """Return the statement that returns a list of names in a function, as a formatter writes it."""
    line = f"    return [{', '.join(names)}]"
    if len(line) <= LONGEST_LINE:
        return line
    return "    return [\n" + "".join(f"        {name},\n" for name in names) + "    ]"
