"""The components a new plugin can have, one for each kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from facekit.registry import Kind


@dataclass(frozen=True)
class Part:
    """The component of one kind.

    Args:
        kind: which kind.
        name: the component's name after the namespace.
        title: what it is, for tables.
        interfaces: what the spec needs of ``facekit.interfaces``.
    """

    kind: Kind
    name: str
    title: str
    interfaces: tuple[str, ...] = ()

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
    def context(self) -> str:
        """What its factory takes beside the options."""
        contexts = {"dataset": "DatasetContext", "optimiser": "TrainingContext", "schedule": "TrainingContext"}
        return contexts.get(self.kind, "BuildContext")


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


_PORTS = ("PortContext", "Ports")
_FACES = ("IMAGE", "MASK", "LabelClass", "LabelMap", *_PORTS)
_CRITIC = ("IMAGE", "DISCRIMINATOR_OUTPUT", "DISCRIMINATOR_FEATURES", "MASK", *_PORTS)

PARTS: dict[Kind, Part] = {
    part.kind: part
    for part in (
        Part("dataset", "shapes", "faces made of ovals, with a label map of four classes", _FACES),
        Part("style_encoder", "pooled_style", "one style vector a photo", ("IMAGE", "STYLE", "Port", *_PORTS)),
        Part("network", "mapping", "noise to style vectors", ("STYLE", "Port", *_PORTS)),
        Part(
            "generator",
            "encoder_decoder",
            "a small encoder and decoder that generates an image of a mask",
            ("GENERATED", "MASK", "STYLE", *_PORTS),
        ),
        Part("discriminator", "patches", "logits and features for patches", _CRITIC),
        Part("sampler", "from_noise", "images of masks in styles drawn from noise", ("MASK", "Port", *_PORTS)),
        Part("loss", "charbonnier", "smooth absolute difference of pixels", ("GENERATED", "IMAGE", *_PORTS)),
        Part("metric", "absolute_error", "mean absolute difference of pixels", ("GENERATED", "IMAGE", *_PORTS)),
        Part("optimiser", "lion", "an optimiser that follows signs"),
        Part("schedule", "restarts", "learning rates that fall several times in a run"),
        Part("augmentation", "light", "a brightness that is added to what discriminators are shown"),
    )
}
"""By kind, in the order in which a recipe names them."""

DEFAULT_KINDS: tuple[Kind, ...] = ("generator",)
"""What a new plugin offers when nobody says."""

TOGETHER: frozenset[Kind] = frozenset({"network", "sampler"})
"""Kinds that come together: a network of a family's own is called by a sampler, and that one calls networks."""


def chosen_parts(kinds: Sequence[Kind]) -> list[Part]:
    """Return the parts of the kinds and of those that come with them, each once, in the order of recipes."""
    wanted = {*kinds, *(TOGETHER if TOGETHER & set(kinds) else ())}
    return [part for kind, part in PARTS.items() if kind in wanted]
