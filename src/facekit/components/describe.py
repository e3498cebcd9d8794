"""All that can be told of a component without building it. Torch-free."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from pydantic import ValidationError

from facekit.components.options import OptionDescription, describe_options, options_schema
from facekit.interfaces import FacekitError, Options, Port, PortContext, Ports
from facekit.registry.plugins import PluginOrigin
from facekit.registry.registry import RegisteredComponent, Registry
from facekit.registry.source import SourceLocation, SourceNotFound, find_source
from facekit.registry.spec import ComponentSpec

SIZE = 128
"""The picture side, in pixels, that ports are computed for."""

_HOME_LABELS = ("homepage", "home", "repository", "source", "source code", "documentation")


@dataclass(frozen=True)
class Example:
    """Options for an example of a component.

    Args:
        options: as plain data, what a recipe would write.
        made_up: the required options that the spec's example leaves out, so that their values are inventions.
        validated: the options as the component takes them; None where it refuses them.
        problem: why it refuses them.
    """

    options: Mapping[str, Any]
    made_up: tuple[str, ...]
    validated: Options | None
    problem: str | None


@dataclass(frozen=True)
class PortGroup:
    """The ports of a component; of a loss those that it has for ``players``, which are empty for anything else."""

    players: tuple[str, ...]
    ports: Ports


@dataclass(frozen=True)
class ComponentDescription:
    """A component, told: its options in words and as JSON Schema, and where its factory is written.

    The ports are those with the options of the example; several where they differ from player to player. What cannot be
    told has a problem that says why.
    """

    entry: RegisteredComponent
    homepage: str | None
    options: tuple[OptionDescription, ...]
    options_schema: Mapping[str, Any]
    example: Example
    ports: tuple[PortGroup, ...]
    ports_problem: str | None
    source: SourceLocation | None
    source_problem: str | None

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""

        def side(ports: tuple[Port, ...]) -> list[dict[str, Any]]:
            names = ("name", "shape", "dtype", "value_range", "classes", "optional")
            found = [{name: getattr(port, name) for name in names} for port in ports]
            return [{key: list(v) if isinstance(v, tuple) else v for key, v in port.items()} for port in found]

        sizes = ("smallest_size", "size_multiple", "smallest_batch")
        ports = [
            {
                "players": list(group.players),
                "needs": side(group.ports.needs),
                "gives": side(group.ports.gives),
                **{name: getattr(group.ports, name) for name in sizes},
            }
            for group in self.ports
        ]
        return {
            **component_facts(self.entry),
            "homepage": self.homepage,
            "source": None if self.source is None else {"file": str(self.source.file), "line": self.source.line},
            "source_problem": self.source_problem,
            "options": [option.as_json() for option in self.options],
            "options_schema": dict(self.options_schema),
            "ports": ports,
            "ports_problem": self.ports_problem,
            "example": dict(self.example.options),
            "example_made_up": list(self.example.made_up),
            "example_problem": self.example.problem,
        }


def describe_component(registry: Registry, entry: RegisteredComponent) -> ComponentDescription:
    """Return everything known of a component. Neither its factory's module nor torch is imported.

    What a plugin's own code cannot answer (its ports, its example) is told as a problem, never raised.
    """
    example = example_of(entry.spec)
    ports: tuple[PortGroup, ...] = ()
    ports_problem = source_problem = None
    source: SourceLocation | None = None
    if example.validated is None:
        ports_problem = f"its example options are refused ({example.problem})"
    else:
        try:
            ports = _port_groups(registry, entry, example.validated)
        except FacekitError as error:
            ports_problem = error.message
        except Exception as error:  # the plugin's code
            ports_problem = f"{type(error).__name__}: {error}"
    try:
        source = find_source(entry.spec.factory)
    except SourceNotFound as error:
        source_problem = str(error)
    return ComponentDescription(
        entry=entry,
        homepage=homepage(registry, entry.origin),
        options=describe_options(entry.spec.options),
        options_schema=options_schema(entry.spec.options),
        example=example,
        ports=ports,
        ports_problem=ports_problem,
        source=source,
        source_problem=source_problem,
    )


def component_facts(entry: RegisteredComponent) -> dict[str, Any]:
    """Return what the spec and the plugin say of a component, as plain data, without its options and ports."""
    spec, origin = entry.spec, entry.origin
    as_they_are = ("kind", "id", "name", "summary", "version", "interface_version")
    return {
        **{name: getattr(spec, name) for name in as_they_are},
        "migrations": [{"to": migration.to, "summary": migration.summary} for migration in spec.migrations],
        "players": list(spec.players) if spec.kind == "loss" else None,
        "batch_dependent": spec.batch_dependent if spec.kind == "discriminator" else None,
        **{name: getattr(spec, name) for name in ("paper", "licence", "weights_licence", "factory", "probe")},
        "plugin": origin.name,
        "distribution": origin.distribution,
        "distribution_version": origin.version or None,
    }


def homepage(registry: Registry, origin: PluginOrigin) -> str | None:
    """Return the homepage that a plugin gives, or else the one its distribution's metadata gives."""
    for other, info in registry.plugins.call("facekit_plugin_info"):
        if other == origin and info.homepage:
            return str(info.homepage)
    try:
        about = metadata.metadata(origin.distribution)
    except (metadata.PackageNotFoundError, ValueError):
        return None  # a plugin file belongs to no distribution
    if about["Home-page"]:
        return str(about["Home-page"])
    pairs = [line.partition(",") for line in about.get_all("Project-URL") or []]
    links = {label.strip().lower(): address.strip() for label, _, address in pairs}
    return next((links[label] for label in _HOME_LABELS if label in links), None)


def _port_groups(registry: Registry, entry: RegisteredComponent, options: Options) -> tuple[PortGroup, ...]:
    found: list[tuple[Ports, list[str]]] = []
    for player in entry.spec.players if entry.spec.kind == "loss" else (None,):
        context = PortContext(size=SIZE, label_maps=registry.label_maps, player=player)
        ports = entry.spec.ports(options, context)
        if not isinstance(ports, Ports):
            raise TypeError(f"its ports are of type {type(ports).__name__}, not Ports")
        whose = next((whose for other, whose in found if other == ports), None)
        if whose is None:
            found.append((ports, whose := []))
        whose += [player] if player else []
    return tuple(PortGroup(tuple(whose), ports) for ports, whose in found)


def example_of(spec: ComponentSpec) -> Example:
    """Return the example of a component: :attr:`ComponentSpec.example`, completed where options are required.

    It is checked as recipes are, so an example that the component itself refuses says so.
    """
    schema = options_schema(spec.options)
    made_up = tuple(name for name in schema.get("required", ()) if name not in spec.example)
    # Those first: an invented path behind the example's own options would look like an afterthought.
    options: dict[str, Any] = {
        name: _value(name, schema["properties"].get(name, {}), schema.get("$defs", {}), 0) for name in made_up
    }
    options |= spec.example
    try:
        validated = spec.options.model_validate_json(json.dumps(options), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return Example(options, made_up, None, f"{place}: {first['msg']}" if place else first["msg"])
    except Exception as error:  # no plain data, or a validator of the plugin's own
        return Example(options, made_up, None, f"{type(error).__name__}: {error}")
    return Example(options, made_up, validated, None)


def _value(name: str, schema: Mapping[str, Any], definitions: Mapping[str, Any], depth: int) -> Any:
    """Make up a value of a schema: the simplest within its limits."""
    if "default" in schema:
        return schema["default"]
    if "$ref" in schema and depth < 8:
        return _value(name, definitions.get(schema["$ref"].removeprefix("#/$defs/"), {}), definitions, depth + 1)
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return _value(name, schema[key][0], definitions, depth + 1)
    if "const" in schema or "enum" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if kind in ("integer", "number"):
        return _number(schema, whole=kind == "integer")
    if kind == "boolean":
        return False
    if kind == "null":
        return None
    if kind == "array":
        items = list(schema.get("prefixItems", ()))
        missing = max(schema.get("minItems", 1) - len(items), 0)
        items += [schema["items"]] * missing if isinstance(schema.get("items"), Mapping) else []
        return [_value(name, item, definitions, depth + 1) for item in items]
    if kind == "object":
        inner = schema.get("properties", {})
        return {key: _value(key, inner.get(key, {}), definitions, depth + 1) for key in schema.get("required", ())}
    text = f"path/to/{name}" if str(schema.get("format", "")).endswith("path") else name
    return text.ljust(schema.get("minLength", 0), "_")[: schema.get("maxLength")]


def _number(schema: Mapping[str, Any], *, whole: bool) -> float:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    step = schema.get("multipleOf", 1)
    number = 1.0 if low is None else float(low)
    if low is None and high is not None:
        number = min(number, float(high))
    number = math.ceil(number / step) * step if whole or "multipleOf" in schema else number
    if number == schema.get("exclusiveMinimum"):
        number = number + step if whole or high is None or number + step < high else (number + high) / 2
    if number == schema.get("exclusiveMaximum"):
        number = number - step if whole or low is None else (number + low) / 2
    return int(number) if whole else number
