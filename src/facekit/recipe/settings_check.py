"""Validates a map of the recipe against a pydantic model, and says each mistake in plain words at its place."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from facekit.interfaces import FacekitError, Options, did_you_mean
from facekit.recipe.nodes import Entry, ListNode, MapNode, Node, ScalarNode, describe, plain
from facekit.recipe.problems import Path, Problems
from facekit.recipe.resolved import Mark
from facekit.recipe.settings import DataSettings, TrainSettings

SettingsType = TypeVar("SettingsType", bound=Options)

_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "path_type": "a path",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "dict_type": "a map",
    "model_type": "a map of settings",
    "model_attributes_type": "a map of settings",
    "dataclass_type": "a map of settings",
    "none_required": "null",
}


_LIMITS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
    "multiple_of": ("multiple_of", "a multiple of"),
}


class _Found(NamedTuple):
    """Where an error of pydantic's lies in the tree."""

    path: Path
    node: Node
    key_mark: Mark
    rest: tuple[int | str, ...]


def check_settings(
    model: type[SettingsType],
    entries: Mapping[str, Entry],
    *,
    path: Path,
    mark: Mark,
    problems: Problems,
    also_known: Iterable[str] = (),
    in_recipe: bool = True,
) -> SettingsType | None:
    """Validate part of the recipe.

    Values are checked as JSON is in pydantic's strict mode: ``"8"``, ``true`` and ``2.5`` are no whole numbers, lists
    may stand for tuples.

    Args:
        model: the settings.
        entries: the keys and values.
        path: where in the recipe they stand.
        mark: what holds them: where a missing key is reported.
        problems: collects the mistakes.
        also_known: keys that may stand there too, for the hint at an unknown key.
        in_recipe: the document is a recipe, so that a key may belong into another section of it.

    Returns:
        The settings, or None if anything is wrong.
    """
    document = json.dumps({key: plain(entry.node) for key, entry in entries.items()})
    try:
        return model.model_validate_json(document, strict=True)
    except ValidationError as failure:
        tree = MapNode(entries, mark)
        groups: dict[tuple[Path, bool], list[tuple[_Found, ErrorDetails]]] = {}
        for error in failure.errors():
            found = _locate(tree, error["loc"], path, mark)
            about_itself = error["type"] not in ("missing", "extra_forbidden")
            spot = found.path if about_itself else (*found.path, *found.rest)
            groups.setdefault((spot, about_itself), []).append((found, error))
        for group in groups.values():
            _report(group, model, problems, also_known, in_recipe=in_recipe)
    except FacekitError as error:
        problems.add(error.message, mark, path, error.remedy)
    except Exception as error:  # a validator of a plugin may raise anything
        problems.add(f"its options could not be checked: {type(error).__name__}: {error}", mark, path)
    return None


def _locate(tree: MapNode, location: tuple[int | str, ...], path: Path, mark: Mark) -> _Found:
    """Walk as far into the tree as the location goes, passing over what pydantic adds (tags of unions)."""
    node: Node = tree
    key_mark = mark
    walked: Path = path
    rest: tuple[int | str, ...] = ()
    for index, part in enumerate(location):
        if isinstance(node, MapNode) and isinstance(part, str) and part in node.entries:
            key_mark, node = node.entries[part].key_mark, node.entries[part].node
        elif isinstance(node, ListNode) and isinstance(part, int) and part < len(node.items):
            node = node.items[part]
            key_mark = node.mark
        else:
            rest = (part,) if index == len(location) - 1 else rest
            continue
        walked = (*walked, part)
    return _Found(walked, node, key_mark, rest)


def _report(
    group: list[tuple[_Found, ErrorDetails]],
    model: type[Options],
    problems: Problems,
    also_known: Iterable[str],
    *,
    in_recipe: bool,
) -> None:
    found, error = group[0]
    kind, context = error["type"], error.get("ctx") or {}
    if kind == "missing":
        if found.rest and isinstance(found.rest[0], int):
            length = len(found.node.items) if isinstance(found.node, ListNode) else 0
            problems.add(f"expected a longer list, found {length} {_items(length)}", found.node.mark, found.path)
        else:
            problems.add(f"needs `{error['loc'][-1]}`", found.key_mark, found.path)
        return
    if kind == "extra_forbidden":
        known = [*_fields_at(model, error["loc"][:-1]), *(also_known if len(error["loc"]) == 1 else ())]
        name = str(error["loc"][-1])
        hint = unknown_key_hint(name, known, in_recipe=in_recipe)
        problems.add(f"unknown key {name!r}", found.key_mark, found.path, hint)
        return
    value, mark = found.node, found.node.mark
    if found.rest == ("[key]",):
        mark = found.key_mark
        value = ScalarNode(str(found.path[-1]), mark)
    if not found.path or (isinstance(value, MapNode) and kind in ("value_error", "assertion_error")):
        mark = found.key_mark
    if len(group) > 1:  # the members of a union all said no
        named = [
            (one.get("ctx") or {})["expected"]
            if one["type"] in ("literal_error", "enum")
            else _EXPECTED.get(one["type"])
            for _, one in group
        ]
        expected = list(dict.fromkeys(filter(None, named)))
        if expected:
            problems.add(f"expected {' or '.join(expected)}, found {describe(value)}", mark, found.path)
            return
    message, remedy = _sentence(kind, context, error["msg"], value)
    problems.add(message, mark, found.path, remedy)


def _sentence(kind: str, context: Mapping[str, Any], message: str, value: Node) -> tuple[str, str | None]:
    """Return what is wrong with a value, and what to do about it."""
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}, found {describe(value)}", _conversion_hint(kind, value)
    if kind in ("literal_error", "enum"):
        choices = [choice.strip(" '") for choice in str(context["expected"]).replace(" or ", ",").split(",")]
        text = value.value if isinstance(value, ScalarNode) else None
        near = did_you_mean(text, choices) if isinstance(text, str) else None
        return f"expected {context['expected']}, found {describe(value)}", near
    if kind in _LIMITS:
        key, words = _LIMITS[kind]
        found = describe(value) if kind == "multiple_of" else describe(value).removeprefix("the number ")
        return f"must be {words} {context[key]:g}, found {found}", None
    if kind in ("too_short", "too_long"):
        limit = context.get("min_length" if kind == "too_short" else "max_length")
        actual = len(value.items) if isinstance(value, ListNode) else context.get("actual_length")
        bound = "at least" if kind == "too_short" else "at most"
        return f"expected {bound} {limit} {_items(limit)}, found {actual}", None
    if kind == "string_pattern_mismatch":
        return f"{describe(value)} does not fit the form {context['pattern']}", None
    if kind in ("value_error", "assertion_error"):
        cause = context.get("error")
        if isinstance(cause, FacekitError):
            return cause.message, cause.remedy
        return str(cause) if cause else message, None
    return message[:1].lower() + message[1:], None


def _conversion_hint(kind: str, value: Node) -> str | None:
    if not isinstance(value, ScalarNode):
        return None
    if kind in ("int_type", "int_from_float", "float_type") and isinstance(value.value, str):
        try:
            float(value.value)
        except ValueError:
            return None
        return "remove the quotes" if "_" not in value.value else "write the number without underscores"
    if kind in ("int_type", "int_from_float") and isinstance(value.value, float) and value.value.is_integer():
        return f"write {int(value.value)}"
    if kind == "bool_type" and isinstance(value.value, str):
        yes = value.value.lower() in ("on", "yes", "true", "y")
        no = value.value.lower() in ("off", "no", "false", "n")
        return "write true" if yes else "write false" if no else None
    if kind == "string_type" and value.value is not None:
        return "put it in quotes if it is meant as text"
    return None


def _items(count: Any) -> str:
    return "item" if count == 1 else "items"


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Return the keys that the model knows at a place inside it."""
    models: list[type[BaseModel]] = [model]
    for part in location:
        if isinstance(part, str):
            fields = [outer.model_fields[part] for outer in models if part in outer.model_fields]
            models = [inner for field in fields for inner in _models_in(field.annotation)] or models
    return [field.alias or name for entry in models for name, field in entry.model_fields.items()]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def unknown_key_hint(name: str, known: Iterable[str], *, in_recipe: bool = True) -> str | None:
    """Return the hint for a key that is not known: one that looks like it, the place it belongs to, or all that are."""
    known = list(dict.fromkeys(known))
    near = did_you_mean(name, known)
    if near:
        return near
    for section, model in (("train", TrainSettings), ("data", DataSettings)) if in_recipe else ():
        for place, names in _sections(section, model):
            if name in names:
                return f"{name!r} belongs under `{place}:`"
    return f"known keys: {', '.join(known)}" if known else "there is nothing to set here"


def _sections(name: str, model: type[BaseModel]) -> list[tuple[str, list[str]]]:
    found = [(name, list(model.model_fields))]
    for key, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found.extend(_sections(f"{name}.{key}", field.annotation))
    return found
