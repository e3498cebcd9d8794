"""Recipes as YAML: the locked recipe with every default written out, and a component's part of a recipe to copy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from facekit.recipe.layers import RECIPE_FORMAT
from facekit.recipe.network_kinds import NETWORK_KINDS
from facekit.recipe.resolved import ComponentChoice, ResolvedRecipe
from facekit.recipe.settings import WeightRamp
from facekit.recipe.yaml_source import read_scalar
from facekit.registry import RegisteredComponent, Registry, join_use

_WIDEST_LINE = 96


def document_of(recipe: ResolvedRecipe) -> dict[str, Any]:
    """Return a recipe as plain data.

    Components are named by their whole id and their version, so that it means the same tomorrow.
    """

    def component(choice: ComponentChoice, **core: Any) -> dict[str, Any]:
        spec = choice.component.spec
        return {"use": join_use(spec.id, spec.version), **core, **choice.options.model_dump(mode="json")}

    losses: dict[str, list[dict[str, Any]]] = {}
    for loss in recipe.losses:
        weight = loss.weight
        dumped = weight.model_dump(mode="json", by_alias=True) if isinstance(weight, WeightRamp) else weight
        losses.setdefault(loss.player, []).append(
            component(loss.choice, weight=dumped, every=loss.every, label=loss.label)
        )
    return {
        "facekit": RECIPE_FORMAT,
        "name": recipe.name,
        "description": recipe.description,
        "data": {**component(recipe.dataset), **recipe.data.model_dump(mode="json")},
        "model": {  # of a network's settings only what was set: most are trained from scratch
            name: component(network.choice, **network.settings.model_dump(mode="json", exclude_defaults=True))
            for name, network in recipe.model.networks.items()
        },
        "losses": losses,
        "metrics": [component(metric) for metric in recipe.metrics],
        "train": recipe.train.model_dump(mode="json"),
    }


def dump_document(document: Mapping[str, Any]) -> str:
    """Return plain data as YAML that reads back to the same data, by this package and by YAML 1.1 readers."""
    return _dump(dict(document), flow=None, width=110, dumper=_RecipeDumper)


def recipe_fragment(registry: Registry, entry: RegisteredComponent, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a recipe that uses a component, as plain data; empty for kinds that recipes have no place for.

    A loss that both players can have stands with both. The component has its short name, or its whole id where another
    namespace has the name too.

    Args:
        registry: all components, to see whether the name is unique.
        entry: the component.
        options: its options.
    """
    spec = entry.spec
    namesakes = [other for other in registry.of_kind(spec.kind) if other.spec.name == spec.name]
    choice = {"use": spec.name if len(namesakes) == 1 else spec.id, **options}
    if spec.kind == "dataset":
        return {"data": choice}
    if spec.kind == "loss":
        return {"losses": {player: [choice] for player in spec.players}}
    if spec.kind == "metric":
        return {"metrics": [choice]}
    if spec.kind in ("optimiser", "schedule", "augmentation"):
        return {"train": {"augment" if spec.kind == "augmentation" else spec.kind: choice}}
    if spec.kind in NETWORK_KINDS:  # one of the kind network is called by any name
        return {"model": {spec.name if spec.kind == "network" else spec.kind: choice}}
    return {}


def dump_fragment(fragment: Mapping[str, Any]) -> str:
    """Return part of a recipe as people write it: short maps in braces, lists indented, long maps one key a line."""
    text = _dump(fragment, flow=None)
    return text if max(map(len, text.splitlines())) <= _WIDEST_LINE else _dump(fragment, flow=False)


def dump_value(value: Any) -> str:
    """Return a value in one line, as a recipe would have it: ``[0.5, 0.999]``, ``{hair: 4.0}``, ``null``."""
    return _dump(value, flow=True).removesuffix("...\n").strip()


class _RecipeDumper(yaml.SafeDumper):
    """PyYAML's dumper, with quotes around text that YAML 1.2 would read as something else, and no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


class _FragmentDumper(_RecipeDumper):
    """The dumper of recipes, with lists indented."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    try:
        style = None if isinstance(read_scalar(text), str) else "'"
    except ValueError:  # a number of too many digits
        style = "'"
    if any(not character.isprintable() and character != "\n" for character in text):
        style = '"'  # escapes what would be lost, or break the line
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_RecipeDumper.add_representer(str, _represent_text)


def _dump(value: Any, *, flow: bool | None, width: int = 10**9, dumper: type[yaml.SafeDumper] = _FragmentDumper) -> str:
    return yaml.dump(value, Dumper=dumper, sort_keys=False, allow_unicode=True, width=width, default_flow_style=flow)
