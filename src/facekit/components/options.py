"""A class of options as JSON Schema, and in words: types, limits, defaults, descriptions. Torch-free."""

from __future__ import annotations

import inspect
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

Schema = Mapping[str, Any]

_ROLE = re.compile(r":[a-z]+(?::[a-z]+)?:`~?([^`]+)`")
_CODE = re.compile(r"``([^`]+)``")
_ITEM = re.compile(r"(?:[-*] |\d+\. )")
_REFERENCE = "#/$defs/"

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


def options_schema(model: type[BaseModel], *, ref_template: str = f"{_REFERENCE}{{model}}") -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a class of options.

    Unlike pydantic's own, it has the defaults that a factory makes, leaves out titles that only repeat the key, has its
    descriptions as prose (see :func:`prose`), and says "this or null" as one schema with two types. What JSON Schema
    cannot say of a type is left open rather than refused. Definitions are referred to by ``ref_template``.
    """
    try:
        schema = model.model_json_schema(ref_template=ref_template, schema_generator=_Generator)
    except Exception as error:  # types of a plugin's own bring code of their own
        reason = f"{type(error).__name__}: {error}"
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        schema = {
            "type": "object",
            "title": model.__name__,
            "description": f"{inspect.getdoc(model) or ''}\n\nIts types cannot be described ({reason}).",
            "properties": {name: {"description": field.description or ""} for name, field in fields.items()},
            "required": [name for name, field in fields.items() if field.is_required()],
            "additionalProperties": False,
        }
    cleaned = _cleaned(schema)
    assert isinstance(cleaned, dict)
    return cleaned


def prose(docstring: str) -> str:
    """Return a docstring as text to be wrapped: lines joined, ```` ``code`` ```` and roles in single backticks.

    Paragraphs, and items of lists, stay apart.
    """
    text = _CODE.sub(r"`\1`", _ROLE.sub(r"`\1`", inspect.cleandoc(docstring)))
    lines: list[str] = []
    fresh = True
    for line in text.splitlines():
        stripped = line.strip()
        if not stripped or fresh or _ITEM.match(stripped):
            lines.append(stripped)
        else:
            lines[-1] += f" {stripped}"
        fresh = not stripped
    return "\n".join(lines).strip()


class _Generator(GenerateJsonSchema):
    """Pydantic's generator, for people who read the result."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012 - as the base class has it

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Write out what a factory makes, where it does not depend on other options."""
        factory = schema.get("default_factory")
        if "default" not in schema and factory is not None and not schema.get("default_factory_takes_data"):
            try:
                schema = {**schema, "default": factory()}  # type: ignore[call-arg]
            except Exception:
                # Then there is no default to show; using the option says what its factory raised.
                return super().default_schema(schema)
        return super().default_schema(schema)

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> JsonSchemaValue:
        """Leave a type open that JSON Schema has no word for."""
        return {}

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Set no titles: pydantic's own only repeat the name."""
        return False


def _cleaned(schema: Any, *, is_map_of_schemas: bool = False) -> Any:
    """Return a schema with prose as descriptions, without defaults that JSON cannot hold, null as a second type."""
    if isinstance(schema, list):
        return [_cleaned(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    found: dict[str, Any] = {}
    for key, value in schema.items():
        if is_map_of_schemas:
            found[key] = _cleaned(value)
        elif key == "description" and isinstance(value, str):
            found[key] = prose(value)
        elif key in ("default", "examples", "const", "enum"):  # data, not schemas
            if key != "default" or _is_finite(value):
                found[key] = value
        else:
            found[key] = _cleaned(value, is_map_of_schemas=key in ("properties", "patternProperties", "$defs"))
    options = found.get("anyOf")
    if is_map_of_schemas or not isinstance(options, list) or len(options) != 2 or options[1] != {"type": "null"}:
        return found
    # "This or null" as one schema with two types: editors then tell what is wrong with the value itself.
    inner, around = options[0], {key: value for key, value in found.items() if key != "anyOf"}
    if not isinstance(inner.get("type"), str) or set(inner) & (set(around) | {"const", "anyOf", "oneOf", "allOf"}):
        return found
    both = {**inner, **around, "type": [inner["type"], "null"]}
    if around.get("default", inner) is None:
        both["type"].reverse()  # a language server that makes a snippet of the default looks at the first type
    return {**both, "enum": [*inner["enum"], None]} if "enum" in inner else both


def _is_finite(value: Any) -> bool:
    if isinstance(value, Mapping | list):
        return all(map(_is_finite, value.values() if isinstance(value, Mapping) else value))
    return not isinstance(value, float) or math.isfinite(value)


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
    return _inside({"properties": {}, **schema}, schema.get("$defs", {}), (), "")


def _inside(
    schema: Schema, definitions: Mapping[str, Schema], above: tuple[str, ...], prefix: str
) -> tuple[OptionDescription, ...]:
    """Describe the options inside a value: of a map of settings, of each item of a list, of each value of a map.

    ``above`` are the definitions it stands in, so that circles end.
    """
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_REFERENCE)
        known = name in definitions and name not in above
        return _inside(definitions[name], definitions, (*above, name), prefix) if known else ()
    if "properties" in schema:
        return tuple(
            OptionDescription(
                name=f"{prefix}{name}",
                type=describe_type(inner, definitions),
                required=name in schema.get("required", ()),
                default=inner.get("default"),
                has_default="default" in inner,
                description=inner.get("description", ""),
                options=_inside(inner, definitions, above, ""),
            )
            for name, inner in schema["properties"].items()
        )
    parts = [(schema.get("items"), f"{prefix}[]."), (schema.get("additionalProperties"), f"{prefix}*.")]
    parts += [(item, f"{prefix}[{index}].") for index, item in enumerate(schema.get("prefixItems", ()))]
    found: list[OptionDescription] = []
    for part, deeper in parts:
        found += _inside(part, definitions, above, deeper) if isinstance(part, Mapping) else ()
    alternatives = [option for key in ("anyOf", "oneOf", "allOf") for option in schema.get(key, ())]
    groups = [(option, inner) for option in alternatives if (inner := _inside(option, definitions, above, prefix))]
    if len(groups) == 1:
        found += groups[0][1]
    for option, inner in groups if len(groups) > 1 else ():
        # Several kinds of settings may stand here: each is a group under its own name.
        name = option.get("$ref", "").removeprefix(_REFERENCE)
        settings = definitions.get(name, {}) if name else option
        title, about = settings.get("title") or name or "settings", settings.get("description", "")
        found.append(OptionDescription(f"{prefix}({title})", "map of settings", False, None, False, about, inner))
    return tuple(found)


def describe_type(schema: Schema, definitions: Mapping[str, Schema], *, several: bool = False) -> str:
    """Return what a schema takes, in words: ``list of numbers``, ``lsgan | hinge``, ``whole number, 1 to 8, or null``.

    ``definitions`` are the schemas that it may refer to, by what stands after ``#/$defs/``.
    """
    schema = _settled(schema, definitions)
    kinds = schema.get("type")
    options = schema.get("anyOf", schema.get("oneOf"))
    if options is None and isinstance(kinds, list) and not {"enum", "const"} & schema.keys():
        options = [{**schema, "type": kind} for kind in kinds]
    if options is not None:
        return _either([_settled(option, definitions) for option in options], definitions, several=several)
    if "const" in schema or "enum" in schema:
        values = [schema["const"]] if "const" in schema else schema["enum"]
        shown = [one if isinstance(one, str) and one else json.dumps(one, ensure_ascii=False) for one in values]
        return " | ".join(shown)
    if kinds == "array":
        return _list(schema, definitions, several=several)
    if kinds == "object" or "properties" in schema:
        word, values = "maps" if several else "map", schema.get("additionalProperties")
        if "properties" in schema or values is False:
            return f"{word} of settings"
        inner = describe_type(values, definitions) if isinstance(values, Mapping) else "any value"
        names = schema.get("propertyNames")
        keys = describe_type(names, definitions) if isinstance(names, Mapping) else "text"
        limits = _count(schema.get("minProperties"), schema.get("maxProperties"), "entry", "entries")
        return ", ".join([f"{word} of {_bracketed(keys)} to {_bracketed(inner)}", *limits])
    if not isinstance(kinds, str):
        return "any values" if several else "any value"
    form = schema.get("format", "")
    words = _FORMATS.get(form, _WORDS.get(kinds, (kinds, kinds)))[several]
    if kinds == "string" and form and form not in _FORMATS:
        words = f"{words} ({form})"
    if kinds == "string":
        limits = _count(schema.get("minLength"), schema.get("maxLength"), "character", "characters")
        return ", ".join([words, *limits, *([f"of the form {schema['pattern']}"] if "pattern" in schema else [])])
    if kinds not in ("integer", "number"):
        return words
    low, high = schema.get("minimum"), schema.get("maximum")
    bounds = [("at least", low), ("more than", schema.get("exclusiveMinimum")), ("at most", high)]
    if low is not None and high is not None:
        words, bounds = f"{words}, {_figure(low)} to {_figure(high)}", bounds[1:2]
    bounds += [("less than", schema.get("exclusiveMaximum")), ("a multiple of", schema.get("multipleOf"))]
    return ", ".join([words, *(f"{how} {_figure(limit)}" for how, limit in bounds if limit is not None)])


def _settled(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """Follow a reference, and unwrap an ``allOf`` of one that pydantic puts around it."""
    while "$ref" in schema or len(schema.get("allOf", ())) == 1:
        name = schema.get("$ref", "").removeprefix(_REFERENCE)
        schema = definitions.get(name, {}) if name else schema["allOf"][0]
    return schema


def _either(options: Sequence[Schema], definitions: Mapping[str, Schema], *, several: bool) -> str:
    settings = [option for option in options if "properties" in option]
    words = [
        f"map of settings ({option.get('title', 'settings')})"
        if "properties" in option and len(settings) > 1
        else describe_type(option, definitions, several=several)
        for option in sorted(options, key=lambda option: option.get("type") == "null")
    ]
    *most, last = dict.fromkeys(words)
    if not most:
        return last
    # With more than a word inside, "whole number, at least 1, or null" reads better with a comma before the "or".
    comma = "," if len(most) > 1 or any(sign in word for word in words for sign in (",", " | ", " to ")) else ""
    return f"{', '.join(most)}{comma} or {last}"


def _list(schema: Schema, definitions: Mapping[str, Schema], *, several: bool) -> str:
    word, items = "lists" if several else "list", schema.get("items")

    def plural(inner: Schema) -> str:
        """Return what is inside, its limits in brackets."""
        text, settled = describe_type(inner, definitions, several=True), _settled(inner, definitions)
        if isinstance(settled.get("type"), str) and "enum" not in settled:
            noun, comma, limits = text.partition(", ")
            return f"{noun} ({limits})" if comma else text
        return _bracketed(text)

    fixed = [describe_type(item, definitions) for item in schema.get("prefixItems", ())]
    if fixed and not isinstance(items, Mapping):
        if len(fixed) == 1:
            return f"{word} of one {fixed[0]}"
        same = len(set(fixed)) == 1
        return (
            f"{word} of {len(fixed)} {plural(schema['prefixItems'][0])}"
            if same
            else (f"{word} of {len(fixed)}: {'; '.join(fixed)}")
        )
    inner = plural(items) if isinstance(items, Mapping) else "any values"
    distinct = "distinct " if schema.get("uniqueItems") else ""
    limits = _count(schema.get("minItems"), schema.get("maxItems"), "item", "items")
    return ", ".join([f"{word} of {distinct}{inner}", *limits])


def _bracketed(text: str) -> str:
    return f"({text})" if "," in text or " | " in text else text


def _figure(number: float) -> str:
    if float(number).is_integer() and abs(number) < 1e15:
        return f"{int(number):,}"
    short = f"{number:g}"
    return short if float(short) == number else repr(number)


def _count(low: int | None, high: int | None, noun: str, nouns: str) -> list[str]:
    if low is not None and high is not None:
        return [f"{low} {noun if low == 1 else nouns}" if low == high else f"{low} to {high} {nouns}"]
    if low:
        return [f"at least {low} {noun if low == 1 else nouns}"]
    return [f"at most {high} {noun if high == 1 else nouns}"] if high is not None else []
