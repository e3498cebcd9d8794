"""The JSON Schema of a component's options: every default written out, descriptions as prose. Torch-free."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

_ROLE = re.compile(r":[a-z]+(?::[a-z]+)?:`~?([^`]+)`")
_CODE = re.compile(r"``([^`]+)``")
_ITEM = re.compile(r"(?:[-*] |\d+\. )")

_DATA = ("default", "examples", "const", "enum")
"""Keywords whose values are data, not schemas."""


def options_schema(model: type[BaseModel], *, ref_template: str = "#/$defs/{model}") -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a class of options.

    Unlike pydantic's own, it has the defaults that a factory makes, leaves out titles that only repeat the key, has its
    descriptions as prose (see :func:`prose`), and says "this or null" as one schema with two types. What JSON Schema
    cannot say of a type is left open rather than refused.

    Args:
        model: the options.
        ref_template: how a definition is referred to, where definitions are moved elsewhere.
    """
    try:
        schema = model.model_json_schema(ref_template=ref_template, schema_generator=_Generator)
    except Exception as error:  # types of a plugin's own bring code of their own
        reason = f"{type(error).__name__}: {error}"
        schema = {
            "type": "object",
            "title": model.__name__,
            "description": f"{inspect.getdoc(model) or ''}\n\nIts types cannot be described ({reason}).",
            "properties": {
                field.alias or name: {"description": field.description or ""}
                for name, field in model.model_fields.items()
            },
            "required": [field.alias or name for name, field in model.model_fields.items() if field.is_required()],
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
                made = factory()  # type: ignore[call-arg]
            except Exception:
                # Then there is no default to show; using the option says what its factory raised.
                return super().default_schema(schema)
            schema = {**schema, "default": made}
        return super().default_schema(schema)

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> JsonSchemaValue:
        """Leave a type open that JSON Schema has no word for."""
        return {}

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Set no titles: pydantic's own only repeat the name."""
        return False


def _cleaned(schema: Any, *, is_map_of_schemas: bool = False) -> Any:
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
        elif key in _DATA:
            if key != "default" or _is_finite(value):
                found[key] = value
        else:
            found[key] = _cleaned(value, is_map_of_schemas=key in ("properties", "patternProperties", "$defs"))
    return found if is_map_of_schemas else _with_null_inside(found)


def _with_null_inside(schema: dict[str, Any]) -> dict[str, Any]:
    """Return "this or null" as one schema with two types: editors then tell what is wrong with the value itself."""
    options = schema.get("anyOf")
    if not isinstance(options, list) or len(options) != 2 or options[1] != {"type": "null"}:
        return schema
    inner, around = options[0], {key: value for key, value in schema.items() if key != "anyOf"}
    if not isinstance(inner.get("type"), str) or set(inner) & (set(around) | {"const", "anyOf", "oneOf", "allOf"}):
        return schema
    both = {**inner, **around, "type": [inner["type"], "null"]}
    if around.get("default", inner) is None:
        both["type"].reverse()  # a language server that makes a snippet of the default looks at the first type
    return {**both, "enum": [*inner["enum"], None]} if "enum" in inner else both


def _is_finite(value: Any) -> bool:
    """Tell whether a default can be written as JSON."""
    if isinstance(value, Mapping):
        return all(_is_finite(inner) for inner in value.values())
    if isinstance(value, list):
        return all(_is_finite(inner) for inner in value)
    return not isinstance(value, float) or math.isfinite(value)
