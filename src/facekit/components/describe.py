"""All that can be told of a component without building it. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from facekit.components.example import Example, example_of
from facekit.components.options_reference import OptionDescription, describe_options
from facekit.components.options_schema import options_schema
from facekit.interfaces import FacekitError, Options, Port, PortContext, Ports
from facekit.registry.plugins import PluginOrigin
from facekit.registry.registry import RegisteredComponent, Registry
from facekit.registry.source import SourceLocation, SourceNotFound, find_source

SIZE = 128
"""The picture side, in pixels, that ports are computed for."""

_HOME_LABELS = ("homepage", "home", "repository", "source", "source code", "documentation")


@dataclass(frozen=True)
class PortGroup:
    """The ports of a component; of a loss those that it has for ``players``, which are empty for anything else."""

    players: tuple[str, ...]
    ports: Ports


@dataclass(frozen=True)
class ComponentDescription:
    """A component, told.

    Args:
        entry: the component and the plugin it comes from.
        homepage: the plugin's, or else its distribution's.
        options: its options in words.
        options_schema: their JSON Schema.
        example: options for an example.
        ports: its ports with the options of the example; several where they differ from player to player.
        ports_problem: why the ports cannot be told.
        source: where its factory is written.
        source_problem: why that cannot be told.
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
        return {
            **component_facts(self.entry),
            "homepage": self.homepage,
            "source": None if self.source is None else {"file": str(self.source.file), "line": self.source.line},
            "source_problem": self.source_problem,
            "options": [option.as_json() for option in self.options],
            "options_schema": dict(self.options_schema),
            "ports": [_ports_as_json(group) for group in self.ports],
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
            ports = tuple(_port_groups(registry, entry, example.validated))
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


def _port_groups(registry: Registry, entry: RegisteredComponent, options: Options) -> Iterator[PortGroup]:
    players = entry.spec.players if entry.spec.kind == "loss" else ()
    found: list[tuple[Ports, list[str]]] = []
    for player in players or (None,):
        context = PortContext(size=SIZE, label_maps=registry.label_maps, player=player)
        ports = entry.spec.ports(options, context)
        if not isinstance(ports, Ports):
            raise TypeError(f"its ports are of type {type(ports).__name__}, not Ports")
        whose = next((whose for other, whose in found if other == ports), None)
        if whose is None:
            found.append((ports, whose := []))
        whose += [player] if player else []
    return (PortGroup(tuple(whose), ports) for ports, whose in found)


def _ports_as_json(group: PortGroup) -> dict[str, Any]:
    ports = group.ports
    return {
        "players": list(group.players),
        "needs": [_port_as_json(port) for port in ports.needs],
        "gives": [_port_as_json(port) for port in ports.gives],
        **{name: getattr(ports, name) for name in ("smallest_size", "size_multiple", "smallest_batch")},
    }


def _port_as_json(port: Port) -> dict[str, Any]:
    found = {name: getattr(port, name) for name in ("name", "shape", "dtype", "value_range", "classes", "optional")}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}
