"""A JSON Schema of recipes, built from the installed components, for editors that complete and check YAML."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from facekit.components.options import describe_type, options_schema
from facekit.interfaces import NoOptions
from facekit.recipe.dump import dump_value
from facekit.recipe.layers import RECIPE_FORMAT
from facekit.recipe.network_kinds import NAMED_KINDS, USUAL_PLAYERS, core_settings
from facekit.recipe.settings import NETWORK_NAME, AugmentSettings, OptimiserSettings, ScheduleSettings, TrainSettings
from facekit.registry import Kind, RegisteredComponent, Registry
from facekit.registry.built_in import class_name, find_built_in

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_OTHER_NAME = f"^(?!(?:{'|'.join((*NAMED_KINDS, *USUAL_PLAYERS))})$){NETWORK_NAME}$"
"""Names of networks and players beside the usual ones."""

_NETWORKS = {
    "style_encoder": "Reads the style of a reference photo; leave it out for a generator that takes none.",
    "generator": "Generates the image.",
    "discriminator": "Tells real from generated images; leave it out where no loss needs it.",
    "sampler": "Makes images with the networks of this recipe, where the generator alone does not.",
}
_PLAYERS = {
    "generator": "What the generator and all networks that no other player trains minimise together.",
    "discriminator": "What the discriminator minimises.",
}


def recipe_schema(registry: Registry) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the recipes that the installed components allow.

    Each place that takes a component is a choice by ``use:``, with that component's options, their descriptions and
    defaults. ``use:`` may be a short name, an id, or either with the version the recipe was written for (``name@1``);
    editors offer the shortest. Options that a migration renamed or removed are accepted and marked as deprecated.

    A recipe that extends another may leave anything out, ``use:`` included. What only facekit itself checks (ports, one
    of ``steps`` and ``epochs``, what validators of options say) is not in the schema.

    Beside what JSON Schema defines, it has ``markdownDescription``, ``enumDescriptions``, ``deprecationMessage`` and
    ``doNotSuggest``, which the language servers for YAML and JSON understand and others pass over.
    """
    make = _Schema(registry)
    networks: dict[str, Any] = {}
    for kind in NAMED_KINDS:
        # One of the kind `network` may have the name, too, where a sampler calls it.
        about = {"title": kind.replace("_", " "), "description": _NETWORKS[kind]}
        networks[kind] = _nullable({**make.choice(kind, "network"), **about})
    others = [kind for kind in NAMED_KINDS if kind != "sampler"]
    any_network = {**make.choice("network", *others), "title": "network", "description": "A network of any name."}
    losses: dict[str, Any] = {}
    for player in USUAL_PLAYERS:
        about = {"title": f"losses of the {player}", "description": _PLAYERS[player]}
        losses[player] = _nullable({**make.items("loss", player), **about})
    properties: dict[str, Any] = {
        "facekit": {"const": RECIPE_FORMAT, "description": "The version of the recipe format."},
        "extends": {
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
            "description": "Recipes to build on: paths from this file, or names of shipped ones; later ones win.",
        },
        "name": {"type": "string", "description": "What runs of it are called; by default the file's name."},
        "description": {"type": "string", "description": "One sentence for lists of recipes."},
        "data": {**make.choice("dataset"), "description": "The dataset, and what is done with its photos."},
        "model": {
            **_object(networks, "The networks of the model, by name."),
            "patternProperties": {_OTHER_NAME: _nullable(any_network)},
        },
        "losses": {
            **_object(losses, "What each player minimises."),
            "patternProperties": {_OTHER_NAME: _nullable(make.items("loss"))},
        },
        "metrics": _nullable({**make.items("metric"), "description": "What is measured on the test split."}),
        "train": {**_train(make), "description": "How the model is trained."},
    }
    for key in ("data", "model", "losses", "metrics", "train"):
        properties[key]["title"] = key
    for key in ("data", "model", "losses"):
        # Editors offer these from the branches below instead, and with `use:` where it is needed.
        properties[key]["doNotSuggest"] = True
    # What is marked is written by editors as part of what stands around it, and offered from elsewhere by itself.
    uses = {"type": "object", "properties": {"use": {"type": "string", "doNotSuggest": True}}, "required": ["use"]}
    model: dict[str, Any] = {"generator": {**uses, "doNotSuggest": True}}
    for kind in NAMED_KINDS:
        rules = make.required_options(kind)
        if rules:
            model[kind] = _with_rules(model.get(kind, {}), rules)
    complete = {
        "required": ["facekit", "data", "model", "losses", "train"],
        "properties": {
            "data": _with_rules(uses, make.required_options("dataset")),
            "model": {
                "type": "object",
                "properties": model,
                "anyOf": [{"required": ["generator"]}, {"required": ["sampler"]}],
            },
            "losses": {"type": "object", "minProperties": 1},
        },
    }
    return {
        "$schema": DIALECT,
        "title": "facekit recipe",
        **_object(properties, "A facekit recipe."),
        "if": {"not": {"required": ["extends"]}},
        "then": complete,
        "else": {"properties": {key: {"type": "object"} for key in ("data", "model", "losses")}},
        "$defs": make.definitions,
    }


def _train(make: _Schema) -> dict[str, Any]:
    """Return the schema of ``train:``; its optimiser, its schedule and its augmentation are components."""
    train = make.settings(TrainSettings, "train")
    for settings in (OptimiserSettings, ScheduleSettings, AugmentSettings):
        del make.definitions[f"train.{settings.__name__}"]
    places: dict[str, Kind] = {"optimiser": "optimiser", "schedule": "schedule", "augment": "augmentation"}
    for key, kind in places.items():
        own = train["properties"][key]
        about = {each: own[each] for each in ("description", "markdownDescription") if each in own}
        choice = {**make.choice(kind), **about, "title": kind}
        train["properties"][key] = _nullable(choice) if key == "augment" else choice
    # A player's own schedule is a schedule like any other.
    of = train["properties"]["schedule"]["properties"]["of"]
    of["additionalProperties"] = {"$ref": "#/properties/train/properties/schedule"}
    return train


class _Schema:
    """Makes the schemas of places in a recipe; ``definitions`` are what they refer to."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.definitions: dict[str, Any] = {}

    def choice(self, *kinds: Kind, player: str | None = None) -> dict[str, Any]:
        """Return the schema of a map with ``use:``: the options follow from the component it names.

        The first kind says which settings of the core stand beside them; ``player`` is whose losses they are.
        """
        entries = [entry for kind in kinds for entry in self._entries(kind, player)]
        core = core_settings(kinds[0])
        shared = self.settings(core, core.__name__).get("properties", {})
        use: dict[str, Any] = {"type": "string", "description": "The name of a component."}
        if entries:  # only the shortest names are offered, whatever else is accepted
            offered = {
                "type": "string",
                "enum": [self._names(entry)[0] for entry in entries],
                "enumDescriptions": [entry.spec.summary for entry in entries],
            }
            patterns = "|".join(self._pattern(entry) for entry in entries)
            use = {"anyOf": [offered, {"type": "string", "pattern": patterns}], "description": use["description"]}
        cases: list[dict[str, Any]] = []
        for entry in entries:
            spec = entry.spec
            key = f"{spec.kind}.{spec.id.replace('/', '.')}"
            cases.append({"if": self._is(entry), "then": {"$ref": f"#/$defs/{key}"}})
            if key in self.definitions:
                continue
            known = dict(self.settings(spec.options, key).get("properties", {}))
            for migration in spec.migrations:
                since = f"since version {migration.to} of {spec.name}"
                gone = {old: f"Called `{new}` {since}." for old, new in migration.renamed.items()}
                gone |= {name: f"Gone {since}: {advice}" for name, advice in migration.removed.items()}
                for name, said in gone.items():
                    old = {"description": said, "deprecated": True, "doNotSuggest": True, "deprecationMessage": said}
                    known.setdefault(name, old)
            # The keys beside the options are described where the choice is.
            own = _object({"use": True, **dict.fromkeys(shared, True), **known}, spec.summary)
            self.definitions[key] = {**own, "title": f"{spec.kind.replace('_', ' ')} {spec.id}"}
        return _with_rules({"type": "object", "properties": {"use": use, **shared}}, cases)

    def items(self, kind: Kind, player: str | None = None) -> dict[str, Any]:
        """Return the schema of a list of components; lists replace, so what an item leaves out stands nowhere else."""
        items = _with_rules(self.choice(kind, player=player), self.required_options(kind, player))
        return {"type": "array", "items": {**items, "title": kind, "required": ["use"]}}

    def required_options(self, kind: Kind, player: str | None = None) -> list[dict[str, Any]]:
        """Return the rules for components with options that have no default."""
        rules: list[dict[str, Any]] = []
        for entry in self._entries(kind, player):
            required = list(options_schema(entry.spec.options).get("required", ()))
            if required and not any(one.renamed for one in entry.spec.migrations):  # an old name may stand for one
                rules.append({"if": self._is(entry), "then": {"required": required}})
        return rules

    def settings(self, model: type[BaseModel], key: str) -> dict[str, Any]:
        """Return the schema of settings, with the models inside them moved to the common definitions.

        Nothing is required: what a recipe leaves out may stand in one that it extends. Every option has what an editor
        shows over it: description, type with limits, default.
        """
        if model is NoOptions:
            return {}
        schema = options_schema(model, ref_template=f"#/$defs/{key}.{{model}}")
        moved = {f"{key}.{name}": inner for name, inner in schema.pop("$defs", {}).items()}
        self.definitions.update(moved)
        for part in (schema, *moved.values()):
            for name, inner in part.get("properties", {}).items():
                kind = describe_type(inner, self.definitions)
                if name in part.get("required", ()):
                    kind += "; required"
                elif "default" in inner:
                    kind += f"; default `{dump_value(inner['default'])}`"
                inner["markdownDescription"] = "\n\n".join(filter(None, (inner.get("description"), f"*{kind}*")))
        schema.pop("required", None)
        schema.pop("title", None)
        return schema

    def _entries(self, kind: Kind, player: str | None) -> list[RegisteredComponent]:
        return [entry for entry in self._registry.of_kind(kind) if player is None or player in entry.spec.players]

    def _is(self, entry: RegisteredComponent) -> dict[str, Any]:
        """Return the condition that a map names this component.

        The types are said so that neither an empty place nor an unfinished ``use:`` fulfils it, for which editors would
        offer the options of every component at once.
        """
        use = {"type": "string", "pattern": self._pattern(entry)}
        return {"type": "object", "properties": {"use": use}, "required": ["use"]}

    def _pattern(self, entry: RegisteredComponent) -> str:
        names = "|".join(re.escape(name) for name in self._names(entry))
        return f"^(?:{names})(?:@(?:{'|'.join(map(str, range(1, entry.spec.version + 1)))}))?$"

    def _names(self, entry: RegisteredComponent) -> list[str]:
        """Return what recipes may call a component, the shortest first."""
        spec = entry.spec
        own = find_built_in(spec.kind, spec.name)
        if own is not None:
            in_torch = class_name(spec)
            return [spec.name, spec.id, *([in_torch] if in_torch else [])] if own[0].id == spec.id else [spec.id]
        namesakes = [other for other in self._registry.of_kind(spec.kind) if other.spec.name == spec.name]
        return [spec.name, spec.id] if len(namesakes) == 1 else [spec.id]


def _object(properties: dict[str, Any], description: str) -> dict[str, Any]:
    return {"type": "object", "description": description, "properties": properties, "additionalProperties": False}


def _with_rules(schema: Mapping[str, Any], rules: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return a schema that keeps to more rules; there may be none, which ``allOf`` cannot say."""
    together = [*schema.get("allOf", ()), *rules]
    return {**schema, "allOf": together} if together else dict(schema)


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema of an object or a list that takes null as well.

    As a second type rather than as an alternative: editors then say what is wrong inside it, and nothing else.
    """
    return {**schema, "type": [schema["type"], "null"]}
