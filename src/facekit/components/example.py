"""Example options of a component: what its spec says, and values made up for required options. Torch-free."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from facekit.components.options_schema import options_schema
from facekit.interfaces import Options
from facekit.registry.spec import ComponentSpec

_REFERENCE = "#/$defs/"


@dataclass(frozen=True)
class Example:
    """Options for an example of a component.

    Args:
        options: as plain data, what a recipe would write.
        made_up: the required options that the spec's example leaves out, so that their values are inventions.
        validated: the options as the component takes them; None where it refuses them.
        problem: why it refuses them.
    """

    options: Mapping[str, Any]
    made_up: tuple[str, ...]
    validated: Options | None
    problem: str | None


def example_of(spec: ComponentSpec) -> Example:
    """Return the example of a component: :attr:`ComponentSpec.example`, completed where options are required.

    It is checked as recipes are, so an example that the component itself refuses says so.
    """
    schema = options_schema(spec.options)
    made_up = tuple(name for name in schema.get("required", ()) if name not in spec.example)
    # Those first: an invented path behind the example's own options would look like an afterthought.
    options: dict[str, Any] = {
        name: _value(name, schema["properties"].get(name, {}), schema.get("$defs", {}), 0) for name in made_up
    }
    options |= spec.example
    try:
        validated = spec.options.model_validate_json(json.dumps(options), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return Example(options, made_up, None, f"{place}: {first['msg']}" if place else first["msg"])
    except Exception as error:  # no plain data, or a validator of the plugin's own
        return Example(options, made_up, None, f"{type(error).__name__}: {error}")
    return Example(options, made_up, validated, None)


def _value(name: str, schema: Mapping[str, Any], definitions: Mapping[str, Any], depth: int) -> Any:
    """Make up a value of a schema: the simplest within its limits."""
    if "default" in schema:
        return schema["default"]
    if "$ref" in schema and depth < 8:
        return _value(name, definitions.get(schema["$ref"].removeprefix(_REFERENCE), {}), definitions, depth + 1)
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return _value(name, schema[key][0], definitions, depth + 1)
    if "const" in schema or "enum" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if kind in ("integer", "number"):
        return _number(schema, whole=kind == "integer")
    if kind == "boolean":
        return False
    if kind == "null":
        return None
    if kind == "array":
        items = list(schema.get("prefixItems", ()))
        missing = max(schema.get("minItems", 1) - len(items), 0)
        items += [schema["items"]] * missing if isinstance(schema.get("items"), Mapping) else []
        return [_value(name, item, definitions, depth + 1) for item in items]
    if kind == "object":
        inner = schema.get("properties", {})
        return {key: _value(key, inner.get(key, {}), definitions, depth + 1) for key in schema.get("required", ())}
    text = f"path/to/{name}" if str(schema.get("format", "")).endswith("path") else name
    return text.ljust(schema.get("minLength", 0), "_")[: schema.get("maxLength")]


def _number(schema: Mapping[str, Any], *, whole: bool) -> float:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    step = schema.get("multipleOf", 1)
    number = 1.0 if low is None else float(low)
    if low is None and high is not None:
        number = min(number, float(high))
    number = math.ceil(number / step) * step if whole or "multipleOf" in schema else number
    if number == schema.get("exclusiveMinimum"):
        number = number + step if whole or high is None or number + step < high else (number + high) / 2
    if number == schema.get("exclusiveMaximum"):
        number = number - step if whole or low is None else (number + low) / 2
    return int(number) if whole else number
