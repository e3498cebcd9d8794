"""``facekit components``: what recipes can use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from facekit.cli.output import note, page_width, print_json, print_table
from facekit.cli.state import State, plugin_file_option

if TYPE_CHECKING:
    from facekit.registry import RegisteredComponent, Registry

KINDS = (
    *("dataset", "style_encoder", "generator", "discriminator", "network", "sampler"),
    *("loss", "metric", "optimiser", "schedule", "augmentation", "segmenter", "face_detector", "executor"),
)
"""Those of the registry, which imports pydantic."""


@click.group(short_help="List and show what recipes can use.")
def components() -> None:
    """List and show what recipes, editing and grids can use: datasets, networks, losses, metrics, executors ...

    \b
    Example:
      facekit components ls loss
      facekit components show feature_matching
    """


@components.command(name="ls")
@click.argument("kind", type=click.Choice(KINDS), required=False, metavar="[KIND]")
@click.option("--plugin", metavar="NAME", help="Only those of this plugin, or of this distribution.")
@click.option(
    "--player", type=click.Choice(["generator", "discriminator"]), help="Only losses that this player can have."
)
@click.option("--search", metavar="TEXT", help="Only those with this text in their id, summary or paper.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with versions, papers and licences.")
@plugin_file_option
@click.pass_obj
def list_components(
    state: State, kind: str | None, plugin: str | None, player: str | None, search: str | None, as_json: bool
) -> None:
    """List the components that recipes can use, or those of one KIND.

    KIND is dataset, style_encoder, generator, discriminator, network, sampler, loss, metric, optimiser, schedule,
    augmentation, segmenter, face_detector or executor.

    \b
    Example:
      facekit components ls
      facekit components ls generator
      facekit components ls loss --player discriminator
      facekit components ls --plugin facekit-metrics --search colour
    """
    from facekit.interfaces import FacekitError, did_you_mean

    registry = state.registry()
    origins = [each.origin for each in registry.plugins.loaded] + [each.origin for each in registry.everything()]
    known = {name for origin in origins for name in (origin.name, origin.distribution)}
    if plugin is not None and plugin not in known:
        raise FacekitError(
            f"no loaded plugin or distribution is called {plugin!r}",
            remedy=did_you_mean(plugin, sorted(known)) or "`facekit plugins ls` lists them",
        )
    text = (search or "").casefold()
    chosen = [
        entry
        for entry in _in_order(registry.everything())
        if (kind is None or entry.spec.kind == kind)
        and (plugin is None or plugin in (entry.origin.name, entry.origin.distribution))
        and (player is None or (entry.spec.kind == "loss" and player in entry.spec.players))
        and text in "\n".join((entry.spec.id, entry.spec.summary, entry.spec.paper or "")).casefold()
    ]
    if as_json:
        from facekit.components.describe import component_facts

        print_json([component_facts(entry) for entry in chosen])
        return
    if not chosen:
        note("there are none of these; `facekit components ls` lists all that there are")
        return
    print_table(
        ("KIND", "NAME", "PLUGIN", "SUMMARY"),
        [(entry.spec.kind, entry.spec.name, entry.origin.name, entry.spec.summary) for entry in chosen],
    )


@components.command()
@click.argument("component", nargs=-1, required=True, metavar="[KIND] NAME")
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON, with the options' JSON Schema.")
@plugin_file_option
@click.pass_obj
def show(state: State, component: tuple[str, ...], as_json: bool) -> None:
    """Show a component: its options, ports, paper, licences, source, and how to use it.

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

    from facekit.cli.component_page import component_page
    from facekit.components.describe import describe_component
    from facekit.recipe.dump import dump_fragment, recipe_fragment
    from facekit.recipe.network_kinds import core_settings

    registry = state.registry()
    described = [describe_component(registry, entry) for entry in _find(registry, name, kinds[0] if kinds else None)]
    fragments = [recipe_fragment(registry, each.entry, each.example.options) for each in described]
    if as_json:
        both = zip(described, fragments, strict=True)
        print_json([{**each.as_json(), "recipe": fragment} for each, fragment in both])
        return
    for index, (each, fragment) in enumerate(zip(described, fragments, strict=True)):
        if index:
            click.echo("\n")
        beside = list(core_settings(each.entry.spec.kind).model_fields)
        text = dump_fragment(fragment) if fragment else ""
        for line in component_page(each, fragment=text, beside=beside, width=page_width()):
            click.echo(line)


def _find(registry: Registry, name: str, kind: str | None) -> list[RegisteredComponent]:
    """Return the components that a person means by a name or an id.

    Raises:
        FacekitError: there are none, or several plugins claim the id; with the registry's hints.
    """
    from facekit.interfaces import FacekitError, did_you_mean
    from facekit.registry import KINDS as ALL_KINDS
    from facekit.registry.install_hints import where_else

    wanted = [one for one in ALL_KINDS if kind in (None, one)]
    found = [
        entry
        for entry in registry.everything()
        if name in (entry.spec.id, entry.spec.name) and entry.spec.kind in wanted
    ]
    if found:
        return _in_order(found)
    withheld = [(clash.kind, clash.id) for clash in registry.clashes]
    withheld += [(refusal.kind, refusal.id) for refusal in registry.refused]
    for one in wanted:
        if kind is not None or any(other == one and name in (id_, id_.split("/")[1]) for other, id_ in withheld):
            registry.find(one, name)  # raises what is wrong with it
    near = did_you_mean(name, sorted({entry.spec.name for entry in registry.everything()}))
    remedies = [near, where_else(name, plugins=registry.plugins)]
    raise FacekitError(
        f"no component is called {name!r}",
        remedy="; or ".join(filter(None, remedies)) or "`facekit components ls` lists what there is",
    )


def _in_order(entries: Iterable[RegisteredComponent]) -> list[RegisteredComponent]:
    from facekit.registry import KINDS as ALL_KINDS

    return sorted(entries, key=lambda entry: (ALL_KINDS.index(entry.spec.kind), entry.spec.id))
