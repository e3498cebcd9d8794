"""The components that need no plugin: facekit's own, and torch's optimisers.

Those of the installed torch are read from its source as text, so that looking at a recipe imports no torch.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple, Optional, Union

from pydantic import Field, create_model

from facekit.interfaces import INTERFACE_VERSION, NoOptions, Options
from facekit.registry.discovery import PluginOrigin
from facekit.registry.source import SourceNotFound, find_module
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


class LocalExecutorOptions(Options):
    """Options of ``local``."""

    workers: int | None = Field(None, ge=1)
    """Runs at the same time; by default one on the CPU, and as many as the GPUs take."""
    per_gpu: int = Field(1, ge=1)
    """Runs at the same time on one GPU."""
    threads: int | None = Field(None, ge=1)
    """Computing threads of each; by default the machine's cores are shared among them."""


class PolynomialOptions(FinalOptions):
    """Options of ``polynomial``."""

    power: float = Field(1.0, gt=0)
    """Power of the share of the run that is left."""


def _spec(
    kind: Kind, name: str, summary: str, options: type[Options], paper: str | None = None, **example: float
) -> ComponentSpec:
    factories = {"optimiser": "training.optimiser:build_adam", "executor": "experiments.executor:build_local"}
    return ComponentSpec(
        interface_version=INTERFACE_VERSION,
        kind=kind,
        id=f"facekit/{name}",
        summary=summary,
        options=options,
        factory=f"facekit.{factories.get(kind, f'training.schedule:{name}')}",
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
    _spec(
        "executor", "local", "Starts the runs of a grid on this machine, spread over its GPUs.", LocalExecutorOptions
    ),
)
"""Facekit's own components."""

KINDS_WITH_OWN: tuple[Kind, ...] = ("optimiser", "schedule", "executor")
"""The kinds of which facekit itself has components. Their short names never mean a plugin's."""


_TORCH = "torch"
_TORCH_FACTORY = "facekit.training.optimiser:build"
_NO_OPTIONS = ("self", "params", "lr", "capturable", "differentiable")
"""Arguments of torch's optimisers that recipes do not set; the last two are for code that facekit does not have."""


@cache
def built_in(kind: Kind) -> dict[str, tuple[ComponentSpec, PluginOrigin]]:
    """Return the components of a kind that need no plugin, by id: facekit's own, then torch's optimisers."""
    found = {spec.id: (spec, OWN) for spec in SPECS if spec.kind == kind}
    if kind == "optimiser":
        try:
            version = metadata.version(_TORCH)
        except metadata.PackageNotFoundError:  # built from source and put on the path
            version = ""
        origin = PluginOrigin(_TORCH, _TORCH, version, "torch.optim")
        found |= {spec.id: (spec, origin) for spec in _of_torch().specs}
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
    of_torch = name.startswith(f"{_TORCH}/")
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


def why_refused(name: str) -> str | None:
    """Return why an optimiser of torch cannot be used; None for those that can, and for all other names."""
    return _of_torch().refused.get(name.removeprefix(f"{_TORCH}/").replace("_", "").lower())


def class_name(spec: ComponentSpec) -> str | None:
    """Return the name of the class in ``torch.optim`` that a component is; None for other components."""
    return spec.options.__name__ if spec.factory == _TORCH_FACTORY else None


class _OfTorch(NamedTuple):
    """What the source says of the optimisers: their specs, and why others cannot be used, by name."""

    specs: tuple[ComponentSpec, ...]
    refused: Mapping[str, str]


@cache
def _of_torch() -> _OfTorch:
    """Read a component for every optimiser of torch that can be used; none where torch's source is not to be found."""
    try:
        place = find_module("torch.optim").origin or ""
    except SourceNotFound:
        place = ""
    if not place.endswith(".py"):
        return _OfTorch((), {})
    found: list[ComponentSpec] = []
    refused: dict[str, str] = {}
    for statement in ast.parse(Path(place).read_text(encoding="utf-8")).body:
        if not isinstance(statement, ast.ImportFrom) or not (statement.module or "").startswith("torch.optim."):
            continue
        file = Path(place).with_name(f"{(statement.module or '').rpartition('.')[2]}.py")
        tree = ast.parse(file.read_text(encoding="utf-8") if file.is_file() else "")
        exported = {alias.name for alias in statement.names}
        for definition in tree.body:
            if not isinstance(definition, ast.ClassDef) or definition.name not in exported:
                continue
            if not any(isinstance(base, ast.Name) and base.id == "Optimizer" for base in definition.bases):
                continue
            name = definition.name
            methods = {one.name: one.args for one in definition.body if isinstance(one, ast.FunctionDef)}
            step = methods.get("step")
            if step is not None and len(step.args) - len(step.defaults) > 1:  # a closure that it needs
                refused[name.lower()] = f"torch.optim.{name} computes the losses several times in an update"
            elif name == "SparseAdam":
                refused[name.lower()] = "torch.optim.SparseAdam takes sparse gradients only, which no network here has"
            elif name.lower() not in ("adam", "adamw") and "__init__" in methods:  # these facekit has itself, fused
                found.append(_spec_of_torch(name, methods["__init__"], tree))
    return _OfTorch(tuple(sorted(found, key=lambda spec: spec.id)), refused)


def _spec_of_torch(name: str, arguments: ast.arguments, tree: ast.Module) -> ComponentSpec:
    """Return the component of an optimiser; its options are the arguments of the constructor but the learning rate."""

    def value(node: ast.expr, constants: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return what an expression is, alone in a tuple; nothing where that cannot be told without running it."""
        if isinstance(node, ast.Name):
            return (constants[node.id],) if node.id in constants else ()
        if isinstance(node, ast.Tuple):
            items = [value(item, constants) for item in node.elts]
            return (tuple(item[0] for item in items),) if all(items) else ()
        try:
            return (ast.literal_eval(node),)
        except ValueError:
            return ()

    constants: dict[str, Any] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            for constant in value(statement.value, {}):
                constants[statement.targets[0].id] = constant
    fields: dict[str, Any] = {}
    given = [None] * (len(arguments.args) - len(arguments.defaults)) + list(arguments.defaults)
    for argument, default in [*zip(arguments.args, given), *zip(arguments.kwonlyargs, arguments.kw_defaults)]:
        if argument.arg in _NO_OPTIONS or argument.arg.startswith("_"):
            continue
        kind: Any = Any
        if argument.annotation is not None:
            # Tensors are no values of recipes: where one may stand, a number may as well.
            names = {"Tensor": float, "Optional": Optional, "Union": Union, "Tuple": tuple}
            with suppress(NameError, TypeError):  # types of torch's own
                kind = eval(ast.unparse(argument.annotation), names)
        about = f"As torch.optim.{name} takes it."
        if default is None:
            fields[argument.arg] = (kind, Field(description=about))
        for known in value(default, constants) if default is not None else ():  # one that is computed is left out
            exact = float(known) if kind is float and isinstance(known, int) else known
            fields[argument.arg] = (kind, Field(exact, description=about))
    return ComponentSpec(
        interface_version=INTERFACE_VERSION,
        kind="optimiser",
        id=f"{_TORCH}/{re.sub(r'(?<=[a-z])(?=[A-Z][a-z])', '_', name).lower()}",
        summary=f"torch.optim.{name}.",
        options=create_model(name, __base__=Options, __doc__=f"Options of ``torch.optim.{name}``.", **fields),
        factory=_TORCH_FACTORY,
        licence="BSD-3-Clause",
    )
