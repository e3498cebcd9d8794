"""What a function says of the component it is: its options, from its parameters; their words, from its docstring."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple

from pydantic import Field, create_model

from facekit.interfaces import FacekitError, Options, did_you_mean

_SECTION = re.compile(r"(Args|Paper|Returns|Raises|Yields|Note|Notes|Example|Examples):\s*(.*)")
_ENTRY = re.compile(r"(\w+)(?: \([^)]*\))?:\s*(.*)")


class Description(NamedTuple):
    """The words of a docstring: its first paragraph, and what stands under ``Paper:`` and, by parameter, ``Args:``."""

    summary: str
    paper: str | None
    arguments: Mapping[str, str]


def location_of(function: Callable[..., Any]) -> str:
    """Return ``file:line`` of a function, for errors."""
    code = inspect.unwrap(function).__code__
    return f"{code.co_filename}:{code.co_firstlineno}"


def described_in(function: Callable[..., Any]) -> Description:
    """Return the words of a function's docstring.

    Raises:
        FacekitError: there is no docstring, or it describes a parameter that the function does not have.
    """
    text = inspect.getdoc(function)
    if not text:
        raise FacekitError(
            f"{function.__name__} has no docstring",
            where=location_of(function),
            remedy="write one: its first paragraph is the summary that `facekit components show` prints",
        )
    sections: dict[str, list[str]] = {"": []}
    current = sections[""]
    for line in text.splitlines():
        found = _SECTION.fullmatch(line)
        if found is not None:
            current = sections.setdefault(found[1], [])
            line = found[2]
        current.append(line)
    summary = "\n".join(sections[""]).split("\n\n")[0]
    arguments = _entries(sections.get("Args", []))
    parameters = inspect.signature(function).parameters
    for name in arguments:
        if name not in parameters:
            raise FacekitError(
                f"the docstring of {function.__name__} describes {name!r}, which is none of its parameters",
                where=location_of(function),
                remedy=did_you_mean(name, parameters) or f"it has {', '.join(parameters)}",
            )
    return Description(_joined(summary), _joined("\n".join(sections.get("Paper", []))) or None, arguments)


def options_of(function: Callable[..., Any], words: Description) -> type[Options]:
    """Return the options class of a function: a field for each parameter after the ``*``.

    Args:
        function: takes one argument, and options by keyword only.
        words: describe the options.

    Raises:
        FacekitError: a parameter is no option and not the one argument, has no type, or one that cannot be read.
    """
    fields: dict[str, Any] = {}
    positional = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            positional.append(str(parameter))
            continue
        annotation: Any = Annotated[
            _type_of(function, parameter), Field(description=words.arguments.get(parameter.name))
        ]
        required = parameter.default is inspect.Parameter.empty
        fields[parameter.name] = (annotation, ... if required else parameter.default)
    if len(positional) != 1 or positional[0].startswith("*"):
        raise FacekitError(
            f"{function.__name__} takes ({', '.join(positional)}) beside its options, not one argument",
            where=location_of(function),
            remedy=f"options are keyword-only: def {function.__name__}(step, *, option: float = 1.0)",
        )
    title = "".join(word.capitalize() for word in function.__name__.split("_")) + "Options"
    try:
        # The base class decides how options are read; the module tells whose they are.
        return create_model(
            title,
            __base__=Options,
            __module__=function.__module__,
            __doc__=f"Options of ``{function.__name__}``.",
            **fields,
        )
    except Exception as error:  # pydantic's own errors are of many classes
        raise FacekitError(
            f"the options of {function.__name__} cannot be made of its parameters: {error}",
            where=location_of(function),
            remedy="types are numbers, text, Literal, lists, or classes derived from Options",
        ) from error


def _type_of(function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    name, annotation = parameter.name, parameter.annotation
    if annotation is inspect.Parameter.empty:
        default = 1.0 if parameter.default is inspect.Parameter.empty else parameter.default
        raise FacekitError(
            f"the option {name!r} of {function.__name__} has no type",
            where=location_of(function),
            remedy=f"write one: {name}: {type(default).__name__} = {default!r}",
        )
    if not isinstance(annotation, str):
        return annotation
    try:
        # As written under `from __future__ import annotations`. The types of options alone are read: that of the step
        # may be one that is imported for type checkers only.
        return eval(annotation, function.__globals__)
    except Exception as error:
        raise FacekitError(
            f"the type {annotation!r} of the option {name!r} of {function.__name__} cannot be read: {error}",
            where=location_of(function),
            remedy="import it at the top of the module, outside `if TYPE_CHECKING:`",
        ) from error


def _entries(lines: list[str]) -> dict[str, str]:
    """Return the entries of a section by name; a line that is indented more goes on with the entry above it."""
    filled = [line for line in lines if line.strip()]
    if not filled:
        return {}
    indent = min(len(line) - len(line.lstrip()) for line in filled)
    found: dict[str, list[str]] = {}
    name = ""
    for line in filled:
        entry = _ENTRY.fullmatch(line.strip())
        if entry is not None and len(line) - len(line.lstrip()) == indent:
            name = entry[1]
            found[name] = [entry[2]]
        elif name:
            found[name].append(line)
    texts = {key: _joined("\n".join(text)) for key, text in found.items()}
    # As sentences, as others stand beside them: an entry of ``Args`` begins in lower case.
    return {key: text[:1].upper() + text[1:] for key, text in texts.items()}


def _joined(text: str) -> str:
    return " ".join(text.split())
