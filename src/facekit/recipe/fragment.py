"""A component's place in a recipe, as YAML to copy: ``losses: generator: - {use: ...}``. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from facekit.recipe.lock import RecipeDumper
from facekit.recipe.network_kinds import NETWORK_KINDS
from facekit.registry import RegisteredComponent, Registry

_WIDEST_LINE = 96


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
    if spec.kind in ("optimiser", "schedule"):
        return {"train": {spec.kind: choice}}
    if spec.kind == "augmentation":
        return {"train": {"augment": choice}}
    if spec.kind == "network":  # called by any name
        return {"model": {spec.name: choice}}
    return {"model": {spec.kind: choice}} if spec.kind in NETWORK_KINDS else {}


def dump_fragment(fragment: Mapping[str, Any]) -> str:
    """Return part of a recipe as people write it: short maps in braces, lists indented, long maps one key a line."""
    text = _dump(fragment, flow=None)
    return text if max(map(len, text.splitlines())) <= _WIDEST_LINE else _dump(fragment, flow=False)


def dump_value(value: Any) -> str:
    """Return a value in one line, as a recipe would have it: ``[0.5, 0.999]``, ``{hair: 4.0}``, ``null``."""
    return _dump(value, flow=True).removesuffix("...\n").strip()


def _dump(value: Any, *, flow: bool | None) -> str:
    return yaml.dump(
        value, Dumper=_FragmentDumper, sort_keys=False, allow_unicode=True, width=10**9, default_flow_style=flow
    )


class _FragmentDumper(RecipeDumper):
    """The dumper of recipes, with lists indented."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)
