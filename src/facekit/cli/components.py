"""``facekit components``: what recipes can use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import click

from facekit.cli.output import print_json, print_table
from facekit.cli.state import State, plugin_file_option

if TYPE_CHECKING:
    from facekit.interfaces import Options, Port, Ports
    from facekit.registry import RegisteredComponent, Registry

KINDS = ("dataset", "style_encoder", "generator", "discriminator", "loss", "metric")


@click.group(short_help="List and show what recipes can use.")
def components() -> None:
    """List and show what recipes can use: datasets, networks, losses and metrics.

    \b
    Example:
      facekit components ls loss
      facekit components show feature_matching
    """


@components.command(name="ls")
@click.argument("kind", type=click.Choice(KINDS), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@plugin_file_option
@click.pass_obj
def list_components(state: State, kind: str | None, as_json: bool) -> None:
    """List the components that recipes can use, or those of one KIND.

    \b
    Example:
      facekit components ls
      facekit components ls generator
    """
    registry = state.registry()
    found = sorted(registry.components.values(), key=lambda entry: (KINDS.index(entry.spec.kind), entry.spec.id))
    chosen = [entry for entry in found if kind is None or entry.spec.kind == kind]
    if as_json:
        print_json(
            [
                {
                    "kind": entry.spec.kind,
                    "id": entry.spec.id,
                    "name": entry.spec.name,
                    "plugin": entry.origin.name,
                    "version": entry.origin.version,
                    "summary": entry.spec.summary,
                }
                for entry in chosen
            ]
        )
        return
    print_table(
        ("KIND", "NAME", "PLUGIN", "SUMMARY"),
        [(entry.spec.kind, entry.spec.name, entry.origin.name, entry.spec.summary) for entry in chosen],
    )


@components.command()
@click.argument("component", nargs=-1, required=True, metavar="[KIND] NAME")
@click.option("--json", "as_json", is_flag=True, help="Print the options as JSON Schema.")
@plugin_file_option
@click.pass_obj
def show(state: State, component: tuple[str, ...], as_json: bool) -> None:
    """Show a component: what it is, its options with types and defaults, and its ports.

    NAME is a component's name, or its id (namespace/name). The KIND is needed only where several kinds have the name;
    without it they are all shown.

    \b
    Example:
      facekit components show multiscale_patch
      facekit components show loss adversarial
    """
    *kinds, name = component
    if len(kinds) > 1 or (kinds and kinds[0] not in KINDS):
        raise click.UsageError(f"expected [KIND] NAME; kinds are {', '.join(KINDS)}")
    kind = kinds[0] if kinds else None
    found = _find(state.registry(), name, kind)
    if as_json:
        print_json([{**_facts(entry), "options": entry.spec.options.model_json_schema()} for entry in found])
        return
    for index, entry in enumerate(found):
        if index:
            click.echo()
        _print_component(state.registry(), entry)


def _find(registry: Registry, name: str, kind: str | None) -> list[RegisteredComponent]:
    from facekit.interfaces import FacekitError, did_you_mean

    found = [
        entry
        for entry in registry.components.values()
        if name in (entry.spec.id, entry.spec.name) and (kind is None or entry.spec.kind == kind)
    ]
    if not found:
        known = sorted({entry.spec.name for entry in registry.components.values()})
        what = kind or "component"
        raise FacekitError(
            f"no {what} is called {name!r}",
            remedy=did_you_mean(name, known) or "`facekit components ls` lists what there is",
        )
    return sorted(found, key=lambda entry: (KINDS.index(entry.spec.kind), entry.spec.id))


def _facts(entry: RegisteredComponent) -> dict[str, Any]:
    spec = entry.spec
    return {
        "kind": spec.kind,
        "id": spec.id,
        "summary": spec.summary,
        "plugin": entry.origin.name,
        "distribution": str(entry.origin),
        "paper": spec.paper,
        "licence": spec.licence,
        "weights_licence": spec.weights_licence,
        "players": list(spec.players) if spec.kind == "loss" else None,
    }


def _print_component(registry: Registry, entry: RegisteredComponent) -> None:
    spec = entry.spec
    click.echo(click.style(f"{spec.kind} {spec.id}", bold=True))
    click.echo(f"  {spec.summary}")
    click.echo(f"  from {entry.origin.name} ({entry.origin})")
    if spec.kind == "loss":
        click.echo(f"  for the {' and the '.join(spec.players)}")
    if spec.paper:
        click.echo(f"  paper: {spec.paper}")
    click.echo(f"  licence: {spec.licence}" + (f"; weights: {spec.weights_licence}" if spec.weights_licence else ""))
    fields = spec.options.model_fields
    click.echo("\nOptions" if fields else "\nNo options.")
    for name, field in fields.items():
        default = (
            "required" if field.is_required() else f"default {_value(field.get_default(call_default_factory=True))}"
        )
        limits = _limits(field.metadata)
        click.echo(f"  {name}: {_type_name(field.annotation)}{limits}, {default}")
        for line in (field.description or "").splitlines():
            click.echo(f"      {line}")
    ports = _ports(registry, entry)
    if isinstance(ports, str):
        click.echo(f"\nPorts depend on its options: {ports}")
        return
    for heading, side in (("Needs", ports.needs), ("Gives", ports.gives)):
        if side:
            click.echo(f"\n{heading}")
            for port in side:
                click.echo(f"  {_port(port)}")
    _print_sizes(ports)


def _print_sizes(ports: Ports) -> None:
    if ports.smallest_size > 1 or ports.size_multiple > 1:
        click.echo(f"\nPicture side: at least {ports.smallest_size}, a multiple of {ports.size_multiple}")
    if ports.smallest_batch > 1:
        click.echo(f"\nBatch: at least {ports.smallest_batch}")


def _ports(registry: Registry, entry: RegisteredComponent) -> Ports | str:
    """Return the ports with every option at its default, or why they cannot be computed."""
    from facekit.interfaces import PortContext

    spec = entry.spec
    required = [name for name, field in spec.options.model_fields.items() if field.is_required()]
    if required:
        return f"give {', '.join(required)}"
    try:
        options: Options = spec.options()
        player = spec.players[0] if spec.kind == "loss" else None
        return spec.ports(options, PortContext(size=128, label_maps=registry.label_maps, player=player))
    except Exception as error:  # ports are a plugin's code
        return f"{type(error).__name__}: {error}"


def _port(port: Port) -> str:
    shape = " x ".join(str(dimension) for dimension in port.shape)
    extent = f" in [{port.value_range[0]:g}, {port.value_range[1]:g}]" if port.value_range else ""
    kind = "" if port.dtype == "float" else f" {port.dtype}" + (f" ({port.classes})" if port.classes else "")
    return f"{port.name}: {shape}{kind}{extent}" + (" (optional)" if port.optional else "")


def _type_name(annotation: Any) -> str:
    if annotation is type(None):
        return "none"
    arguments = get_args(annotation)
    if arguments and not hasattr(annotation, "__origin__"):
        return " or ".join(_type_name(argument) for argument in arguments)
    text = str(annotation)
    if text.startswith("typing.Literal"):
        return " | ".join(str(argument) for argument in arguments)
    if arguments and text.startswith(("typing.Union", "typing.Optional")):
        return " or ".join(_type_name(argument) for argument in arguments)
    return annotation.__name__ if isinstance(annotation, type) and not arguments else text.replace("typing.", "")


def _limits(metadata: list[Any]) -> str:
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "multiple_of": "multiple of"}
    found = [
        f"{sign} {getattr(entry, key)}" for entry in metadata for key, sign in signs.items() if hasattr(entry, key)
    ]
    return f" ({', '.join(found)})" if found else ""


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value.model_dump() if hasattr(value, "model_dump") else value)
