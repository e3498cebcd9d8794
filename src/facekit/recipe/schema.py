"""A JSON Schema of recipes, built from the installed components, for editors that complete and check YAML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from facekit.interfaces import NoOptions
from facekit.recipe.layers import RECIPE_FORMAT
from facekit.recipe.schema_check import PLAYERS, SLOTS
from facekit.recipe.settings import DataSettings, LossSettings, TrainSettings
from facekit.registry import Kind, RegisteredComponent, Registry

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_REQUIRED = ("facekit", "data", "model", "losses", "train")


def recipe_schema(registry: Registry) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the recipes that the installed components allow.

    Each place that takes a component is a choice by ``use:``, with that component's options and their descriptions. A
    recipe that extends another may leave anything out, ``use:`` included. What only facekit itself checks (ports, one
    of ``steps`` and ``epochs``) is not in the schema.
    """
    return _Schema(registry).build()


class _Schema:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._definitions: dict[str, Any] = {}

    def build(self) -> dict[str, Any]:
        slots: dict[str, Any] = {slot: _nullable(self._choice(slot, NoOptions), slot != "generator") for slot in SLOTS}
        losses: dict[str, Any] = {
            player: _nullable(self._list("loss", LossSettings, player), True) for player in PLAYERS
        }
        properties = {
            "facekit": {"const": RECIPE_FORMAT, "description": "The version of the recipe format."},
            "extends": {
                "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
                "description": "Recipes this one builds on, relative to this file; later ones win.",
            },
            "name": {"type": "string", "description": "What runs of it are called; by default the file's name."},
            "description": {"type": "string", "description": "One sentence for lists of recipes."},
            "data": self._choice("dataset", DataSettings),
            "model": _object(slots, "The components of the model."),
            "losses": _object(losses, "What each player minimises."),
            "metrics": _nullable(self._list("metric", NoOptions), True),
            "train": self._settings(TrainSettings, "train"),
        }
        return {
            "$schema": DIALECT,
            "title": "facekit recipe",
            **_object(properties, "A facekit recipe."),
            "if": {"not": {"required": ["extends"]}},
            "then": {
                "required": list(_REQUIRED),
                "properties": {
                    "data": {"required": ["use"]},
                    "model": {"required": ["generator"]},
                    "losses": {"required": ["generator"]},
                },
            },
            "$defs": self._definitions,
        }

    def _list(self, kind: Kind, core: type[BaseModel], player: str | None = None) -> dict[str, Any]:
        choice = self._choice(kind, core, player)
        return {"type": "array", "items": {**choice, "required": ["use"]}}

    def _choice(self, kind: Kind, core: type[BaseModel], player: str | None = None) -> dict[str, Any]:
        """Return the schema of a map with ``use:``: the options follow from the component it names."""
        entries = [entry for entry in self._registry.of_kind(kind) if player is None or player in entry.spec.players]
        cases = [
            {
                "if": {"properties": {"use": {"enum": self._names(entry)}}, "required": ["use"]},
                "then": {"$ref": f"#/$defs/{self._component(entry, core)}"},
            }
            for entry in entries
        ]
        names = [{"const": name, "description": entry.spec.summary} for entry in entries for name in self._names(entry)]
        use = {"anyOf": names} if names else {"type": "string"}
        return {"type": "object", "properties": {"use": use}, "allOf": cases}

    def _names(self, entry: RegisteredComponent) -> list[str]:
        namesakes = [other for other in self._registry.of_kind(entry.spec.kind) if other.spec.name == entry.spec.name]
        return [entry.spec.name, entry.spec.id] if len(namesakes) == 1 else [entry.spec.id]

    def _component(self, entry: RegisteredComponent, core: type[BaseModel]) -> str:
        key = f"{entry.spec.kind}.{entry.spec.id.replace('/', '.')}"
        if key not in self._definitions:
            own = self._settings(entry.spec.options, key)
            shared = self._settings(core, core.__name__)
            properties = {
                "use": {"enum": self._names(entry)},
                **shared.get("properties", {}),
                **own.get("properties", {}),
            }
            self._definitions[key] = {**_object(properties, entry.spec.summary), "title": entry.spec.id}
        return key

    def _settings(self, model: type[BaseModel], key: str) -> dict[str, Any]:
        """Return the schema of settings, with the models inside them moved to the common definitions.

        Nothing is required: what a recipe leaves out may stand in one that it extends.
        """
        schema = model.model_json_schema(ref_template=f"#/$defs/{key}.{{model}}")
        for name, inner in schema.pop("$defs", {}).items():
            self._definitions[f"{key}.{name}"] = inner
        schema.pop("required", None)
        return schema


def _object(properties: dict[str, Any], description: str) -> dict[str, Any]:
    return {"type": "object", "description": description, "properties": properties, "additionalProperties": False}


def _nullable(schema: dict[str, Any], is_nullable: bool) -> dict[str, Any]:
    kinds: Sequence[dict[str, Any]] = ({"type": "null"}, schema)
    return {"anyOf": list(kinds)} if is_nullable else schema
