"""A component's options in words: types, limits, defaults and descriptions, sub-options included. Torch-free."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from facekit.components.options_schema import options_schema

Schema = Mapping[str, Any]

_WORDS = {
    "integer": ("whole number", "whole numbers"),
    "number": ("number", "numbers"),
    "string": ("text", "texts"),
    "boolean": ("true or false", "values true or false"),
    "null": ("null", "nulls"),
}
_FORMATS = {
    "path": ("path", "paths"),
    "file-path": ("path of a file that exists", "paths of files that exist"),
    "directory-path": ("path of a folder that exists", "paths of folders that exist"),
}
_REFERENCE = "#/$defs/"


@dataclass(frozen=True)
class OptionDescription:
    """One option.

    Args:
        name: the key. Of sub-options it is ``[].key`` inside each item of a list, ``*.key`` inside each value of a map.
        type: what it takes, in words, limits included: ``whole number, 1 to 8``.
        required: it has no default.
        default: the default as plain data; None where it has none, and where it is null.
        has_default: whether ``default`` says anything; False as well where it follows from other options.
        description: the docstring under it, as prose.
        options: the options inside it, where it is a map of settings or holds some.
    """

    name: str
    type: str
    required: bool
    default: Any
    has_default: bool
    description: str
    options: tuple[OptionDescription, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        found: dict[str, Any] = {"name": self.name, "type": self.type, "required": self.required}
        if self.has_default:
            found["default"] = self.default
        found["description"] = self.description
        if self.options:
            found["options"] = [option.as_json() for option in self.options]
        return found


def describe_options(model: type[BaseModel]) -> tuple[OptionDescription, ...]:
    """Return the options of a class in the order they are declared in."""
    schema = options_schema(model)
    return _options_of(schema, schema.get("$defs", {}), (), "")


def describe_type(schema: Schema, definitions: Mapping[str, Schema]) -> str:
    """Return what a schema takes, in words: ``list of numbers``, ``lsgan | hinge``, ``whole number, 1 to 8, or null``.

    ``definitions`` are the schemas that it may refer to, by what stands after ``#/$defs/``.
    """
    return _Words(definitions).of(schema)


def _options_of(
    schema: Schema, definitions: Mapping[str, Schema], above: tuple[str, ...], prefix: str
) -> tuple[OptionDescription, ...]:
    """Describe the properties of a schema; ``above`` are the definitions it stands in, so that circles end."""
    required = schema.get("required", ())
    return tuple(
        OptionDescription(
            name=f"{prefix}{name}",
            type=describe_type(inner, definitions),
            required=name in required,
            default=inner.get("default"),
            has_default="default" in inner,
            description=inner.get("description", ""),
            options=_inside(inner, definitions, above, ""),
        )
        for name, inner in schema.get("properties", {}).items()
    )


def _inside(
    schema: Schema, definitions: Mapping[str, Schema], above: tuple[str, ...], prefix: str
) -> tuple[OptionDescription, ...]:
    """Describe the options inside a value: of a map of settings, of each item of a list, of each value of a map."""
    name = _referred(schema)
    if name is not None:
        if name in above or name not in definitions:
            return ()
        return _inside(definitions[name], definitions, (*above, name), prefix)
    if "properties" in schema:
        return _options_of(schema, definitions, above, prefix)
    found: list[OptionDescription] = []
    for key, deeper in (("items", f"{prefix}[]."), ("additionalProperties", f"{prefix}*.")):
        if isinstance(schema.get(key), Mapping):
            found.extend(_inside(schema[key], definitions, above, deeper))
    for index, item in enumerate(schema.get("prefixItems", ())):
        found.extend(_inside(item, definitions, above, f"{prefix}[{index}]."))
    alternatives = [option for key in ("anyOf", "oneOf", "allOf") for option in schema.get(key, ())]
    groups = [(option, inner) for option in alternatives if (inner := _inside(option, definitions, above, prefix))]
    if len(groups) == 1:
        found.extend(groups[0][1])
    for option, inner in groups if len(groups) > 1 else ():
        # Several kinds of settings may stand here: each is a group under its own name.
        settings = _resolved(option, definitions)
        title = settings.get("title") or _referred(option) or "settings"
        about = settings.get("description", "")
        found.append(OptionDescription(f"{prefix}({title})", "map of settings", False, None, False, about, inner))
    return tuple(found)


def _referred(schema: Schema) -> str | None:
    """Return the definition that a schema refers to; None where it is none."""
    reference = schema.get("$ref")
    return reference.removeprefix(_REFERENCE) if isinstance(reference, str) else None


def _resolved(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    name = _referred(schema)
    return schema if name is None else definitions.get(name, {})


class _Words:
    """Says schemas in words."""

    def __init__(self, definitions: Mapping[str, Schema]) -> None:
        self._definitions = definitions

    def of(self, schema: Schema, *, several: bool = False) -> str:
        """Return the words for a schema; ``several`` for its plural."""
        schema = self._settled(schema)
        for key in ("anyOf", "oneOf"):
            if key in schema:
                return self._either(schema[key], several=several)
        if "const" in schema:
            return _shown(schema["const"])
        if "enum" in schema:
            return " | ".join(_shown(value) for value in schema["enum"])
        kinds = schema.get("type")
        if isinstance(kinds, list):
            return self._either([{**schema, "type": kind} for kind in kinds], several=several)
        if kinds == "array":
            return self._list(schema, several=several)
        if kinds == "object" or "properties" in schema:
            return self._map(schema, several=several)
        if not isinstance(kinds, str):
            return "any values" if several else "any value"
        words = _FORMATS.get(schema.get("format", ""), _WORDS.get(kinds, (kinds, kinds)))
        if kinds == "string" and "format" in schema and schema["format"] not in _FORMATS:
            words = (f"{words[0]} ({schema['format']})", f"{words[1]} ({schema['format']})")
        limits = _number_limits(schema) if kinds in ("integer", "number") else []
        if kinds == "string":
            limits = _count(schema.get("minLength"), schema.get("maxLength"), "character")
            limits += [f"of the form {schema['pattern']}"] if "pattern" in schema else []
        return ", ".join([words[several], *limits])

    def _settled(self, schema: Schema) -> Schema:
        """Follow a reference, and unwrap an ``allOf`` of one that pydantic puts around it."""
        for _ in range(16):
            if "$ref" in schema:
                schema = _resolved(schema, self._definitions)
            elif len(schema.get("allOf", ())) == 1:
                schema = schema["allOf"][0]
            else:
                break
        return schema

    def _either(self, options: Sequence[Schema], *, several: bool) -> str:
        settled = [self._settled(option) for option in options]
        settings = [option for option in settled if "properties" in option]
        words = [
            f"map of settings ({option.get('title', 'settings')})"
            if "properties" in option and len(settings) > 1
            else self.of(option, several=several)
            for option in sorted(settled, key=lambda option: option.get("type") == "null")
        ]
        words = list(dict.fromkeys(words))
        if len(words) == 1:
            return words[0]
        # With more than a word inside, "whole number, at least 1, or null" reads better with a comma before the "or".
        comma = "," if len(words) > 2 or any(sign in word for word in words for sign in (",", " | ", " to ")) else ""
        return f"{', '.join(words[:-1])}{comma} or {words[-1]}"

    def _list(self, schema: Schema, *, several: bool) -> str:
        word = "lists" if several else "list"
        fixed = [self.of(item) for item in schema.get("prefixItems", ())]
        if fixed and not isinstance(schema.get("items"), Mapping):
            if len(set(fixed)) == 1:
                plural = self._inner(schema["prefixItems"][0])
                return f"{word} of {len(fixed)} {plural}" if len(fixed) > 1 else f"{word} of one {fixed[0]}"
            return f"{word} of {len(fixed)}: {'; '.join(fixed)}"
        items = schema.get("items")
        inner = self._inner(items) if isinstance(items, Mapping) else "any values"
        distinct = "distinct " if schema.get("uniqueItems") else ""
        limits = _count(schema.get("minItems"), schema.get("maxItems"), "item")
        return ", ".join([f"{word} of {distinct}{inner}", *limits])

    def _inner(self, schema: Schema) -> str:
        """Return the plural for what is inside of something, its limits in brackets."""
        text = self.of(schema, several=True)
        if isinstance(self._settled(schema).get("type"), str) and "enum" not in self._settled(schema):
            noun, comma, limits = text.partition(", ")
            return f"{noun} ({limits})" if comma else text
        return f"({text})" if "," in text or " | " in text else text

    def _map(self, schema: Schema, *, several: bool) -> str:
        word = "maps" if several else "map"
        values = schema.get("additionalProperties")
        if "properties" in schema or values is False:
            return f"{word} of settings"
        inner = self.of(values) if isinstance(values, Mapping) else "any value"
        names = schema.get("propertyNames")
        keys = self.of(names) if isinstance(names, Mapping) else "text"
        limits = _count(schema.get("minProperties"), schema.get("maxProperties"), "entry", "entries")
        keys, inner = (f"({text})" if "," in text or " | " in text else text for text in (keys, inner))
        return ", ".join([f"{word} of {keys} to {inner}", *limits])


def _number_limits(schema: Schema) -> list[str]:
    low, high = schema.get("minimum"), schema.get("maximum")
    limits = [("at least", low), ("more than", schema.get("exclusiveMinimum")), ("at most", high)]
    found: list[str] = []
    if low is not None and high is not None:
        found, limits = [f"{_figure(low)} to {_figure(high)}"], limits[1:2]
    limits += [("less than", schema.get("exclusiveMaximum")), ("a multiple of", schema.get("multipleOf"))]
    return found + [f"{words} {_figure(limit)}" for words, limit in limits if limit is not None]


def _figure(number: float) -> str:
    if float(number).is_integer() and abs(number) < 1e15:
        return f"{int(number):,}"
    short = f"{number:g}"
    return short if float(short) == number else repr(number)


def _count(low: int | None, high: int | None, noun: str, nouns: str | None = None) -> list[str]:
    nouns = nouns or f"{noun}s"
    if low is not None and high is not None:
        return [f"{low} {noun if low == 1 else nouns}" if low == high else f"{low} to {high} {nouns}"]
    if low:
        return [f"at least {low} {noun if low == 1 else nouns}"]
    return [f"at most {high} {noun if high == 1 else nouns}"] if high is not None else []


def _shown(value: Any) -> str:
    """Return a choice as a recipe would have it: text bare, anything else as JSON."""
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
