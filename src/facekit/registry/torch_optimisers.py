"""The optimisers of the installed torch, read from its source as text, so that looking at a recipe imports no torch."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from types import UnionType
from typing import Any, NamedTuple, Optional, Union, get_args, get_origin

from pydantic import Field, create_model

from facekit.interfaces import INTERFACE_VERSION, Options
from facekit.registry.discovery import PluginOrigin
from facekit.registry.source import SourceNotFound, find_module
from facekit.registry.spec import ComponentSpec

NAMESPACE = "torch"
FACTORY = "facekit.training.optimiser:build"

_OWN = ("adam", "adamw")
"""Those that facekit has itself, fused."""
_CORE = ("self", "params", "lr")
_SWITCHES = ("capturable", "differentiable")
"""Arguments for code around the optimiser that facekit does not have."""


class _Tensor:
    """Stands for torch's tensors in annotations."""


_TYPES = {"Tensor": _Tensor, "Optional": Optional, "Union": Union, "Tuple": tuple}
"""What annotations of constructors speak of beside Python's own types."""

_FIRST_OF_WORD = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")


class _Found(NamedTuple):
    """What the source says of the optimisers: their specs, and why others cannot be used, by name."""

    specs: tuple[ComponentSpec, ...]
    refused: Mapping[str, str]


def specs() -> tuple[ComponentSpec, ...]:
    """Return a component for every optimiser of torch that can be used; none where torch's source is not to be found.

    Its options are the arguments of the constructor but the learning rate, with their types and defaults.
    """
    return _read().specs


def why_refused(name: str) -> str | None:
    """Return why an optimiser of torch cannot be used; None for those that can, and for all other names."""
    plain = name.removeprefix(f"{NAMESPACE}/").replace("_", "").lower()
    return _read().refused.get(plain)


def class_name(spec: ComponentSpec) -> str | None:
    """Return the name of the class in ``torch.optim`` that a component is; None for other components."""
    return spec.options.__name__ if spec.factory == FACTORY else None


@cache
def origin() -> PluginOrigin:
    """Return where they come from."""
    try:
        version = metadata.version("torch")
    except metadata.PackageNotFoundError:  # built from source and put on the path
        version = ""
    return PluginOrigin("torch", "torch", version, "torch.optim")


@cache
def _read() -> _Found:
    try:
        place = find_module("torch.optim").origin
    except SourceNotFound:
        place = None
    if place is None or not place.endswith(".py"):
        return _Found((), {})
    found: list[ComponentSpec] = []
    refused: dict[str, str] = {}
    for statement in _tree(Path(place)).body:
        if not isinstance(statement, ast.ImportFrom) or not (statement.module or "").startswith("torch.optim."):
            continue
        file = Path(place).with_name(f"{(statement.module or '').rpartition('.')[2]}.py")
        tree = _tree(file) if file.is_file() else ast.Module([], [])
        for definition in tree.body:
            if not isinstance(definition, ast.ClassDef):
                continue
            name = definition.name
            is_optimiser = any(isinstance(base, ast.Name) and base.id == "Optimizer" for base in definition.bases)
            if not is_optimiser or name not in {alias.name for alias in statement.names}:
                continue
            step = _method(definition, "step")
            if step is not None and len(step.args.args) - len(step.args.defaults) > 1:  # a closure that it needs
                refused[name.lower()] = f"torch.optim.{name} computes the losses several times in an update"
            elif name == "SparseAdam":
                refused[name.lower()] = "torch.optim.SparseAdam takes sparse gradients only, which no network here has"
            elif name.lower() not in _OWN:
                found.append(_spec(definition, tree))
    return _Found(tuple(sorted(found, key=lambda spec: spec.id)), refused)


def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _method(definition: ast.ClassDef, name: str) -> ast.FunctionDef | None:
    return next((one for one in definition.body if isinstance(one, ast.FunctionDef) and one.name == name), None)


def _spec(definition: ast.ClassDef, tree: ast.Module) -> ComponentSpec:
    name = definition.name
    constants: dict[str, Any] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            constants |= _value(statement.targets[0].id, statement.value, {})
    fields: dict[str, Any] = dict(_fields(definition, constants))
    options = create_model(name, __base__=Options, __doc__=f"Options of ``torch.optim.{name}``.", **fields)
    return ComponentSpec(
        interface_version=INTERFACE_VERSION,
        kind="optimiser",
        id=f"{NAMESPACE}/{_FIRST_OF_WORD.sub('_', name).lower()}",
        summary=f"torch.optim.{name}.",
        options=options,
        factory=FACTORY,
        licence="BSD-3-Clause",
    )


def _fields(definition: ast.ClassDef, constants: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Yield name, type and default of every argument of the constructor that recipes may set."""
    constructor = _method(definition, "__init__")
    if constructor is None:
        return
    arguments = constructor.args
    given = [None] * (len(arguments.args) - len(arguments.defaults)) + list(arguments.defaults)
    pairs = [*zip(arguments.args, given), *zip(arguments.kwonlyargs, arguments.kw_defaults)]
    for argument, default in pairs:
        name = argument.arg
        if name in _CORE or name in _SWITCHES or name.startswith("_"):
            continue
        kind = _type(argument.annotation)
        about = f"As torch.optim.{definition.name} takes it."
        if default is None:
            yield name, (kind, Field(description=about))
            continue
        value = _value(name, default, constants)
        if value:  # a default that is computed can be had by leaving the argument out only
            exact = float(value[name]) if kind is float and isinstance(value[name], int) else value[name]
            yield name, (kind, Field(exact, description=about))


def _value(name: str, node: ast.expr, constants: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an expression is, under a name; nothing where it cannot be told without running it."""
    if isinstance(node, ast.Name):
        return {name: constants[node.id]} if node.id in constants else {}
    if isinstance(node, ast.Tuple):
        items = [_value(name, item, constants) for item in node.elts]
        return {name: tuple(item[name] for item in items)} if all(items) else {}
    try:
        return {name: ast.literal_eval(node)}
    except ValueError:
        return {}


def _type(node: ast.expr | None) -> Any:
    """Return the type that an annotation stands for; tensors are no values of recipes, and are left out of unions."""
    if node is None:
        return Any
    try:
        return _without_tensors(eval(ast.unparse(node), dict(_TYPES)))
    except (NameError, TypeError):  # types of torch's own
        return Any


def _without_tensors(kind: Any) -> Any:
    inner = get_args(kind)
    if get_origin(kind) in (Union, UnionType):
        members = [_without_tensors(member) for member in inner if member is not _Tensor]
        return Any if Any in members else Union[tuple(members)]  # noqa: UP007 - of values, not of names
    if get_origin(kind) is tuple:
        return tuple[tuple(_without_tensors(member) for member in inner)]  # type: ignore[misc]
    return kind if kind in (float, int, bool, str, type(None)) else Any
