"""A JSON Schema of recipes, built from the installed components, for editors that complete and check YAML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from facekit.components.options_reference import describe_type
from facekit.components.options_schema import options_schema
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

_REQUIRED = ("facekit", "data", "model", "losses", "train")

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
    return _Schema(registry).build()


class _Schema:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._definitions: dict[str, Any] = {}

    def build(self) -> dict[str, Any]:
        """Return the whole schema."""
        networks: dict[str, Any] = {}
        for kind in NAMED_KINDS:
            # One of the kind `network` may have the name, too, where a sampler calls it.
            about = {"title": kind.replace("_", " "), "description": _NETWORKS[kind]}
            networks[kind] = _nullable({**self._choice(kind, also=("network",)), **about})
        model = _object(networks, "The networks of the model, by name.")
        others = [kind for kind in NAMED_KINDS if kind != "sampler"]
        about = {"title": "network", "description": "A network of any name."}
        any_network = {**self._choice("network", also=others), **about}
        model = {**model, "patternProperties": {_OTHER_NAME: _nullable(any_network)}}
        losses: dict[str, Any] = {}
        for player in USUAL_PLAYERS:
            items = {**self._list("loss", player), "title": f"losses of the {player}"}
            losses[player] = _nullable({**items, "description": _PLAYERS[player]})
        other_players = {"patternProperties": {_OTHER_NAME: _nullable(self._list("loss"))}}
        metrics = {**self._list("metric"), "title": "metrics", "description": "What is measured on the test split."}
        about = {"title": "data", "description": "The dataset, and what is done with its photos."}
        data = {**self._choice("dataset"), **about}
        train = self._train()
        properties: dict[str, Any] = {
            "facekit": {"const": RECIPE_FORMAT, "description": "The version of the recipe format."},
            "extends": {
                "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
                "description": "Recipes to build on: paths from this file, or names of shipped ones; later ones win.",
            },
            "name": {"type": "string", "description": "What runs of it are called; by default the file's name."},
            "description": {"type": "string", "description": "One sentence for lists of recipes."},
            "data": data,
            "model": {**model, "title": "model"},
            "losses": {**_object(losses, "What each player minimises."), **other_players, "title": "losses"},
            "metrics": _nullable(metrics),
            "train": {**train, "title": "train", "description": "How the model is trained."},
        }
        for key in ("data", "model", "losses"):
            # Editors offer them from the branches below instead, and with `use:` where it is needed.
            properties[key] = {**properties[key], "doNotSuggest": True}
        return {
            "$schema": DIALECT,
            "title": "facekit recipe",
            **_object(properties, "A facekit recipe."),
            "if": {"not": {"required": ["extends"]}},
            "then": self._complete(),
            "else": {"properties": {key: {"type": "object"} for key in ("data", "model", "losses")}},
            "$defs": self._definitions,
        }

    def _train(self) -> dict[str, Any]:
        """Return the schema of ``train:``; its optimiser, its schedule and its augmentation are components."""
        train = self._settings(TrainSettings, "train")
        for settings in (OptimiserSettings, ScheduleSettings, AugmentSettings):
            del self._definitions[f"train.{settings.__name__}"]
        places: dict[str, Kind] = {"optimiser": "optimiser", "schedule": "schedule", "augment": "augmentation"}
        for key, kind in places.items():
            own = train["properties"][key]
            about = {each: own[each] for each in ("description", "markdownDescription") if each in own}
            choice = {**self._choice(kind), **about, "title": kind}
            train["properties"][key] = _nullable(choice) if key == "augment" else choice
        # A player's own schedule is a schedule like any other.
        schedule = train["properties"]["schedule"]
        schedule["properties"]["of"] = {
            **schedule["properties"]["of"],
            "additionalProperties": {"$ref": "#/properties/train/properties/schedule"},
        }
        return train

    def _complete(self) -> dict[str, Any]:
        """Return what a recipe needs that extends no other."""
        # What is marked is written by editors as part of what stands around it, and offered from elsewhere by itself.
        uses = {"type": "object", "properties": {"use": {"type": "string", "doNotSuggest": True}}, "required": ["use"]}
        model: dict[str, Any] = {"generator": {**uses, "doNotSuggest": True}}
        for kind in NAMED_KINDS:
            rules = self._required_options(kind)
            if rules:
                model[kind] = _with_rules(model.get(kind, {}), rules)
        has = [{"required": ["generator"]}, {"required": ["sampler"]}]
        return {
            "required": list(_REQUIRED),
            "properties": {
                "data": _with_rules(uses, self._required_options("dataset")),
                "model": {"type": "object", "properties": model, "anyOf": has},
                "losses": {"type": "object", "minProperties": 1},
            },
        }

    def _list(self, kind: Kind, player: str | None = None) -> dict[str, Any]:
        # Lists replace, so what an item leaves out stands nowhere else.
        items = _with_rules(self._choice(kind, player), self._required_options(kind, player))
        return {"type": "array", "items": {**items, "title": kind, "required": ["use"]}}

    def _choice(self, kind: Kind, player: str | None = None, *, also: Sequence[Kind] = ()) -> dict[str, Any]:
        """Return the schema of a map with ``use:``: the options follow from the component it names.

        Args:
            kind: the kind of component.
            player: for losses: whose they are.
            also: further kinds that stand there.
        """
        entries = [entry for each in (kind, *also) for entry in self._entries(each, player)]
        core = core_settings(kind)
        shared = self._settings(core, core.__name__).get("properties", {})
        cases = [
            {"if": self._is(entry), "then": {"$ref": f"#/$defs/{self._component(entry, shared)}"}} for entry in entries
        ]
        return _with_rules({"type": "object", "properties": {"use": self._use(entries), **shared}}, cases)

    def _required_options(self, kind: Kind, player: str | None = None) -> list[dict[str, Any]]:
        """Return the rules for components with options that have no default."""
        rules: list[dict[str, Any]] = []
        for entry in self._entries(kind, player):
            required = list(options_schema(entry.spec.options).get("required", ()))
            old = {name for migration in entry.spec.migrations for name in migration.renamed}
            if required and not old:  # else an old name may stand for a required one
                rules.append({"if": self._is(entry), "then": {"required": required}})
        return rules

    def _entries(self, kind: Kind, player: str | None) -> list[RegisteredComponent]:
        return [entry for entry in self._registry.of_kind(kind) if player is None or player in entry.spec.players]

    def _use(self, entries: Sequence[RegisteredComponent]) -> dict[str, Any]:
        """Return the schema of ``use:``; only the shortest names are offered, whatever else is accepted."""
        about = {"description": "The name of a component."}
        if not entries:
            return {"type": "string", **about}
        offered = {
            "type": "string",
            "enum": [self._names(entry)[0] for entry in entries],
            "enumDescriptions": [entry.spec.summary for entry in entries],
        }
        patterns = "|".join(self._pattern(entry) for entry in entries)
        return {"anyOf": [offered, {"type": "string", "pattern": patterns}], **about}

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
            as_in_torch = [name for name in (class_name(spec),) if name is not None]
            return [spec.name, spec.id, *as_in_torch] if own[0].id == spec.id else [spec.id]
        namesakes = [other for other in self._registry.of_kind(spec.kind) if other.spec.name == spec.name]
        return [spec.name, spec.id] if len(namesakes) == 1 else [spec.id]

    def _component(self, entry: RegisteredComponent, shared: Iterable[str]) -> str:
        """Define a component's own options; the keys beside them are described where the choice is.

        Options that a migration renamed or removed are marked as old.
        """
        spec = entry.spec
        key = f"{spec.kind}.{spec.id.replace('/', '.')}"
        if key not in self._definitions:
            known = dict(self._settings(spec.options, key).get("properties", {}))
            for migration in spec.migrations:
                since = f"since version {migration.to} of {spec.name}"
                gone = {old: f"Called `{new}` {since}." for old, new in migration.renamed.items()}
                gone |= {name: f"Gone {since}: {advice}" for name, advice in migration.removed.items()}
                for name, said in gone.items():
                    old = {"description": said, "deprecated": True, "doNotSuggest": True, "deprecationMessage": said}
                    known.setdefault(name, old)
            properties = {"use": True, **dict.fromkeys(shared, True), **known}
            title = f"{spec.kind.replace('_', ' ')} {spec.id}"
            self._definitions[key] = {**_object(properties, spec.summary), "title": title}
        return key

    def _settings(self, model: type[BaseModel], key: str) -> dict[str, Any]:
        """Return the schema of settings, with the models inside them moved to the common definitions.

        Nothing is required: what a recipe leaves out may stand in one that it extends.
        """
        if model is NoOptions:
            return {}
        schema = options_schema(model, ref_template=f"#/$defs/{key}.{{model}}")
        moved = {f"{key}.{name}": inner for name, inner in schema.pop("$defs", {}).items()}
        self._definitions.update(moved)
        for part in (schema, *moved.values()):
            self._say_more(part)
        schema.pop("required", None)
        schema.pop("title", None)
        return schema

    def _say_more(self, schema: dict[str, Any]) -> None:
        """Give every option what an editor shows over it: description, type with limits, default."""
        for name, inner in schema.get("properties", {}).items():
            kind = describe_type(inner, self._definitions)
            if name in schema.get("required", ()):
                kind += "; required"
            elif "default" in inner:
                kind += f"; default `{dump_value(inner['default'])}`"
            inner["markdownDescription"] = "\n\n".join(filter(None, (inner.get("description"), f"*{kind}*")))


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
