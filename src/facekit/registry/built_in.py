"""The components that need no plugin: facekit's own optimisers and schedules, and torch's. Imports no torch."""

from __future__ import annotations

from functools import cache

from pydantic import Field

from facekit.interfaces import INTERFACE_VERSION, NoOptions, Options
from facekit.registry import torch_optimisers
from facekit.registry.discovery import PluginOrigin
from facekit.registry.spec import ComponentSpec, Kind
from facekit.version import __version__

OWN = PluginOrigin("facekit", "facekit-toolkit", __version__, "facekit.registry.built_in")
"""Where facekit's own components come from."""


class AdamOptions(Options):
    """Options of ``adam`` and ``adamw``."""

    betas: tuple[float, float] = (0.5, 0.999)
    """Decay of the first and second moments."""
    eps: float = Field(1e-8, gt=0)
    """Added to the denominator."""
    weight_decay: float = Field(0.0, ge=0)
    """Decoupled for adamw, L2 for adam."""


class AdamWOptions(AdamOptions):
    """Options of ``adamw``."""


class LinearDecayOptions(Options):
    """Options of ``linear_decay``."""

    decay_from: float = Field(0.5, ge=0, le=1)
    """Where the decay starts, as a share of all steps."""


class FinalOptions(Options):
    """Options of ``linear`` and ``cosine``."""

    final: float = Field(0.0, ge=0)
    """The factor that the end of the run is led to."""


class StepOptions(Options):
    """Options of ``step``."""

    every: int = Field(ge=1)
    """Steps from one drop to the next."""
    gamma: float = Field(0.1, gt=0)
    """Factor of each drop."""


class PolynomialOptions(FinalOptions):
    """Options of ``polynomial``."""

    power: float = Field(1.0, gt=0)
    """Power of the share of the run that is left."""


def _spec(
    kind: Kind, name: str, summary: str, options: type[Options], paper: str | None = None, **example: float
) -> ComponentSpec:
    factory = "optimiser:build_adam" if kind == "optimiser" else f"schedule:{name}"
    return ComponentSpec(
        interface_version=INTERFACE_VERSION,
        kind=kind,
        id=f"facekit/{name}",
        summary=summary,
        options=options,
        factory=f"facekit.training.{factory}",
        paper=paper,
        example=example,
    )


_ADAM = "Kingma and Ba, Adam: A Method for Stochastic Optimization, ICLR 2015"
_ADAMW = "Loshchilov and Hutter, Decoupled Weight Decay Regularization, ICLR 2019"
_COSINE = "Loshchilov and Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, ICLR 2017"
_HOLD = "Holds the learning rate, then lowers it to zero at the end of the run."
_POWER = "Lowers the learning rate with a power of what is left of the run."

SPECS: tuple[ComponentSpec, ...] = (
    _spec("optimiser", "adam", "Adam, fused.", AdamOptions, _ADAM),
    _spec("optimiser", "adamw", "Adam with decoupled weight decay, fused.", AdamWOptions, _ADAMW),
    _spec("schedule", "linear_decay", _HOLD, LinearDecayOptions),
    _spec("schedule", "linear", "Changes the learning rate evenly.", FinalOptions),
    _spec("schedule", "constant", "Holds the learning rate.", NoOptions),
    _spec("schedule", "cosine", "Lowers the learning rate along half a cosine.", FinalOptions, _COSINE),
    _spec("schedule", "step", "Multiplies the learning rate at equal distances.", StepOptions, every=10000),
    _spec("schedule", "polynomial", _POWER, PolynomialOptions, power=0.9),
)
"""Facekit's own components."""

KINDS_WITH_OWN: tuple[Kind, ...] = ("optimiser", "schedule")
"""The kinds of which facekit itself has components. Their short names never mean a plugin's."""


@cache
def built_in(kind: Kind) -> dict[str, tuple[ComponentSpec, PluginOrigin]]:
    """Return the components of a kind that need no plugin, by id: facekit's own, then torch's optimisers."""
    found = {spec.id: (spec, OWN) for spec in SPECS if spec.kind == kind}
    if kind == "optimiser":
        origin = torch_optimisers.origin()
        found |= {spec.id: (spec, origin) for spec in torch_optimisers.specs()}
    return found


def find_built_in(kind: Kind, name: str) -> tuple[ComponentSpec, PluginOrigin] | None:
    """Return the component that needs no plugin and that a recipe means by a name; None where there is none.

    Args:
        kind: its kind.
        name: its id, or its short name. Optimisers may be written as torch writes them: ``RMSprop``.
    """
    if kind not in KINDS_WITH_OWN:
        return None
    for spec in SPECS:  # before torch's files are read
        if spec.kind == kind and name in (spec.id, spec.name):
            return spec, OWN
    of_torch = name.startswith(f"{torch_optimisers.NAMESPACE}/")
    if kind != "optimiser" or ("/" in name and not of_torch):
        return None
    plain = name.rpartition("/")[2].replace("_", "").lower()
    for spec, origin in built_in(kind).values():
        if spec.name.replace("_", "") == plain and not (of_torch and origin is OWN):
            return spec, origin
    return None


def is_built_in(kind: Kind, name: str) -> bool:
    """Tell whether a name means a component that needs no plugin."""
    return find_built_in(kind, name) is not None
