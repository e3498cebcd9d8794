"""Validates a map of the recipe against a pydantic model, and says each mistake in plain words at its place."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from facekit.interfaces import FacekitError, Options, did_you_mean
from facekit.recipe.nodes import Entry, ListNode, MapNode, Node, ScalarNode, describe, entry_at, plain, text_of
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

_CHOICES = ("literal_error", "enum")

_LIMITS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
    "multiple_of": ("multiple_of", "a multiple of"),
}


class _Found(NamedTuple):
    """Where an error of pydantic's lies in the tree; ``rest`` is the end of its place that the tree does not have."""

    path: Path
    node: Node
    key_mark: Mark
    rest: tuple[int | str, ...]
    error: ErrorDetails


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
        in_recipe: a key may belong into another section of the recipe.

    Returns:
        The settings, or None if anything is wrong.
    """
    document = json.dumps({key: plain(entry.node) for key, entry in entries.items()})
    try:
        return model.model_validate_json(document, strict=True)
    except ValidationError as failure:
        groups: dict[tuple[Path, bool], list[_Found]] = {}
        for error in failure.errors():
            # As far into the tree as the location goes, passing over what pydantic adds (tags of unions).
            node: Node = MapNode(entries, mark)
            key_mark, walked = mark, path
            rest: tuple[int | str, ...] = ()
            for index, part in enumerate(error["loc"]):
                inner = entry_at(node, (part,))
                if inner is not None:
                    key_mark, node, walked = inner.key_mark, inner.node, (*walked, part)
                elif index == len(error["loc"]) - 1:
                    rest = (part,)
            about_itself = error["type"] not in ("missing", "extra_forbidden")
            spot = walked if about_itself else (*walked, *rest)
            groups.setdefault((spot, about_itself), []).append(_Found(walked, node, key_mark, rest, error))
        for group in groups.values():
            _report(group, model, problems, also_known, in_recipe=in_recipe)
    except FacekitError as error:
        problems.add(error.message, mark, path, error.remedy)
    except Exception as error:  # a validator of a plugin may raise anything
        problems.add(f"its options could not be checked: {type(error).__name__}: {error}", mark, path)
    return None


def _report(
    group: list[_Found], model: type[Options], problems: Problems, also_known: Iterable[str], *, in_recipe: bool
) -> None:
    """Add one problem for the errors at one place; several are of the members of a union, which all said no."""
    path, value, key_mark, rest, error = group[0]
    kind, context, mark = error["type"], error.get("ctx") or {}, group[0].node.mark
    if kind == "missing":
        if rest and isinstance(rest[0], int):
            count = len(value.items) if isinstance(value, ListNode) else 0
            problems.add(f"expected a longer list, found {count} {'item' if count == 1 else 'items'}", mark, path)
        else:
            problems.add(f"needs `{error['loc'][-1]}`", key_mark, path)
        return
    if kind == "extra_forbidden":
        known = [*_fields_at(model, error["loc"][:-1]), *(also_known if len(error["loc"]) == 1 else ())]
        name = str(error["loc"][-1])
        problems.add(f"unknown key {name!r}", key_mark, path, unknown_key_hint(name, known, in_recipe=in_recipe))
        return
    if rest == ("[key]",):
        value, mark = ScalarNode(str(path[-1]), key_mark), key_mark
    if not path or (isinstance(value, MapNode) and kind in ("value_error", "assertion_error")):
        mark = key_mark
    found, remedy = describe(value), None
    wanted = [
        (each.get("ctx") or {})["expected"] if each["type"] in _CHOICES else _EXPECTED.get(each["type"])
        for each in (one.error for one in group)
    ]
    expected = " or ".join(dict.fromkeys(filter(None, wanted)))
    if len(group) > 1 and expected:
        message = f"expected {expected}, found {found}"
    elif kind in _EXPECTED:
        message, remedy = f"expected {_EXPECTED[kind]}, found {found}", _conversion_hint(kind, value)
    elif kind in _CHOICES:
        choices = [choice.strip(" '") for choice in str(context["expected"]).replace(" or ", ",").split(",")]
        message = f"expected {context['expected']}, found {found}"
        remedy = did_you_mean(text, choices) if (text := text_of(value)) is not None else None
    elif kind in _LIMITS:
        key, words = _LIMITS[kind]
        found = found if kind == "multiple_of" else found.removeprefix("the number ")
        message = f"must be {words} {context[key]:g}, found {found}"
    elif kind in ("too_short", "too_long"):
        limit = context.get("min_length" if kind == "too_short" else "max_length")
        actual = len(value.items) if isinstance(value, ListNode) else context.get("actual_length")
        bound = "at least" if kind == "too_short" else "at most"
        message = f"expected {bound} {limit} {'item' if limit == 1 else 'items'}, found {actual}"
    elif kind == "string_pattern_mismatch":
        message = f"{found} does not fit the form {context['pattern']}"
    else:
        message, cause = error["msg"][:1].lower() + error["msg"][1:], context.get("error")
        if isinstance(cause, FacekitError):
            message, remedy = cause.message, cause.remedy
        elif cause:
            message = str(cause)
    problems.add(message, mark, path, remedy)


def _conversion_hint(kind: str, value: Node) -> str | None:
    text = text_of(value)
    is_number = kind in ("int_type", "int_from_float", "float_type")
    if is_number and text is not None:
        try:
            float(text)
        except ValueError:
            return None
        return "remove the quotes" if "_" not in text else "write the number without underscores"
    number = value.value if isinstance(value, ScalarNode) else None
    if is_number and kind != "float_type" and isinstance(number, float) and number.is_integer():
        return f"write {int(number)}"
    if kind == "bool_type" and text is not None:
        yes, no = (text.lower() in words for words in (("on", "yes", "true", "y"), ("off", "no", "false", "n")))
        return "write true" if yes else "write false" if no else None
    return "put it in quotes if it is meant as text" if kind == "string_type" and number is not None else None


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Return the keys that the model knows at a place inside it."""

    def models_in(annotation: Any) -> list[type[BaseModel]]:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return [annotation]
        return [model for argument in get_args(annotation) for model in models_in(argument)]

    models: list[type[BaseModel]] = [model]
    for part in location:
        fields = [outer.model_fields[part] for outer in models if part in outer.model_fields and isinstance(part, str)]
        models = [inner for field in fields for inner in models_in(field.annotation)] or models
    return [field.alias or name for entry in models for name, field in entry.model_fields.items()]


def unknown_key_hint(name: str, known: Iterable[str], *, in_recipe: bool = True) -> str | None:
    """Return the hint for a key that is not known: one that looks like it, the place it belongs to, or all that are."""
    known = list(dict.fromkeys(known))
    near = did_you_mean(name, known)
    if near:
        return near
    sections: list[tuple[str, Any]] = [("train", TrainSettings), ("data", DataSettings)] if in_recipe else []
    for place, model in sections:  # it grows by the settings inside
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            continue
        if name in model.model_fields:
            return f"{name!r} belongs under `{place}:`"
        sections += [(f"{place}.{key}", field.annotation) for key, field in model.model_fields.items()]
    return f"known keys: {', '.join(known)}" if known else "there is nothing to set here"
