"""What ``facekit components show`` prints, as lines of text."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from facekit.components.describe import ComponentDescription, PortGroup
    from facekit.components.options import OptionDescription
    from facekit.interfaces import Port, Ports
    from facekit.registry.source import SourceLocation

INDENT = "  "
GAP = "  "

_NARROWEST, _WIDEST, _WITHOUT_TERMINAL = 60, 120, 100
_WIDEST_NAME = 24

_DTYPES = {
    "float": "real numbers",
    "class_ids": "class ids",
    "binary": "zeros and ones",
    "noise": "standard normal numbers, drawn by the engine",
}


def page_width() -> int:
    """Return the columns to write for: those of the terminal, within what reads well."""
    columns = shutil.get_terminal_size((_WITHOUT_TERMINAL, 24)).columns
    return min(max(columns, _NARROWEST), _WIDEST)


def component_page(
    description: ComponentDescription, *, fragment: str, beside: Sequence[str], width: int
) -> Iterator[str]:
    """Yield the lines that describe a component; the recipe fragment comes last, ready to be copied.

    Args:
        description: the component.
        fragment: YAML that uses it; empty where recipes have no place for it.
        beside: keys of the core that stand beside its options.
        width: columns to wrap at. Lines of the fragment, and words longer than a line, may go beyond.
    """
    spec = description.entry.spec
    yield click.style(f"{spec.kind} {spec.id}", bold=True)
    yield from _wrapped(spec.summary, width, INDENT)
    yield ""
    yield from _table(list(_facts(description)), width)
    yield ""
    if description.options:
        yield click.style("Options", bold=True)
        yield from _options(description.options, width)
    else:
        yield click.style("No options.", bold=True)
    if beside:
        *most, last = (f"`{key}`" for key in beside)
        keys = f"{', '.join(most)} and {last}" if most else last
        yield from _wrapped(f"Beside its own, every {spec.kind} has {keys}.", width, INDENT)
    for group in description.ports:
        yield from _ports(group, description, width)
    if description.ports_problem is not None:
        yield ""
        yield click.style("Ports", bold=True)
        yield from _wrapped(f"cannot be told: {description.ports_problem}", width, INDENT)
    if not fragment:
        return
    yield ""
    yield click.style("In a recipe", bold=True)
    example = description.example
    if example.problem is not None:
        yield from _wrapped(f"The plugin's example is refused: {example.problem}", width, INDENT)
    elif example.made_up:
        names = ", ".join(f"`{name}`" for name in example.made_up)
        yield from _wrapped(f"(The plugin gives no example; what stands for {names} is made up.)", width, INDENT)
    yield ""
    yield from fragment.rstrip("\n").splitlines()


def _facts(description: ComponentDescription) -> Iterator[tuple[str, str]]:
    entry, spec = description.entry, description.entry.spec
    if spec.kind == "loss":
        yield "for", f"the {' and the '.join(spec.players)}"
    if spec.kind == "discriminator" and spec.batch_dependent:
        yield "batches", "a sample's output depends on the others in its batch: real and fake are judged apart"
    if spec.paper:
        yield "paper", spec.paper
    yield "licence", spec.licence
    yield "weights", spec.weights_licence or "loads no pretrained weights"
    # A plugin that is one file stands under "source".
    yield "plugin", entry.origin.name + (f", of {entry.origin}" if entry.origin.version else "")
    if description.homepage:
        yield "homepage", description.homepage
    if description.source is not None:
        yield "source", _source(description.source)
    else:
        yield "source", f"{spec.factory}, which cannot be found: {description.source_problem}"
    yield "version", f"{spec.version}, written for version {spec.interface_version} of the interfaces"
    for migration in spec.migrations:
        yield "", f"since version {migration.to}: {migration.summary}"


def _source(source: SourceLocation) -> str:
    """Return a place as it is shortest from here, so that editors and terminals open it."""
    here = Path.cwd()
    file = source.file.relative_to(here) if source.file.is_relative_to(here) else source.file
    return f"{file}:{source.line}" if source.line else str(file)


def _options(options: Sequence[OptionDescription], width: int) -> Iterator[str]:
    rows = list(_flat(options, 0))
    lengths = [len(INDENT) * level + len(option.name) for option, level in rows]
    column = max((length for length in lengths if length <= _WIDEST_NAME), default=_WIDEST_NAME)
    inner = " " * (len(INDENT) + column + len(GAP))
    for option, level in rows:
        label = f"{INDENT}{INDENT * level}{option.name}"
        head, *rest = _wrapped(_type_and_default(option), width, inner)
        if len(label) + len(GAP) > len(inner):  # a name longer than its column has a line for itself
            yield click.style(label, bold=True)
            yield head
        else:
            yield click.style(label, bold=True) + head[len(label) :]
        yield from rest
        for paragraph in option.description.splitlines():
            yield from _wrapped(paragraph, width, inner)


def _flat(options: Sequence[OptionDescription], level: int) -> Iterator[tuple[OptionDescription, int]]:
    for option in options:
        yield option, level
        yield from _flat(option.options, level + 1)


def _type_and_default(option: OptionDescription) -> str:
    from facekit.recipe.dump import dump_value

    if option.required:
        return f"{option.type}; required"
    # The defaults of what is inside it stand there.
    if option.options or not option.has_default:
        return option.type
    return f"{option.type}; default {dump_value(option.default)}"


def _ports(group: PortGroup, description: ComponentDescription, width: int) -> Iterator[str]:
    ports = group.ports
    whose = f" as a loss of the {' and the '.join(group.players)}" if len(description.ports) > 1 else ""
    with_options = " with the options of the example" if description.example.options else ""
    for heading, side in (("Needs", ports.needs), ("Gives", ports.gives)):
        if side:
            yield ""
            yield click.style(heading, bold=True) + f"{whose}{with_options}"
            yield from _port_rows(side, width)
    sizes = list(_sizes(ports))
    if sizes:
        yield ""
        yield from _table(sizes, width, indent="", bold=True)


def _port_rows(ports: Sequence[Port], width: int) -> Iterator[str]:
    rows = [(port.name, " x ".join(str(dimension) for dimension in port.shape), _values(port)) for port in ports]
    first, second = (max(len(row[index]) for row in rows) for index in (0, 1))
    for name, shape, values in rows:
        line = f"{INDENT}{name.ljust(first)}{GAP}{shape.ljust(second)}{GAP}"
        yield from _hanging(line, values, width)


def _values(port: Port) -> str:
    text = _DTYPES[port.dtype]
    if port.dtype == "class_ids" and port.classes is not None:
        text += f" below {port.classes}" if isinstance(port.classes, int) else f" below `{port.classes}`"
    if port.value_range is not None and port.dtype != "binary":
        text += f" in [{port.value_range[0]:g}, {port.value_range[1]:g}]"
    return text + ("; optional" if port.optional else "")


def _sizes(ports: Ports) -> Iterator[tuple[str, str]]:
    if ports.smallest_size > 1 or ports.size_multiple > 1:
        multiple = f", a multiple of {ports.size_multiple}" if ports.size_multiple > 1 else ""
        yield "Picture side", f"at least {ports.smallest_size} pixels{multiple}"
    if ports.smallest_batch > 1:
        yield "Batch", f"at least {ports.smallest_batch}"


def _table(rows: Sequence[tuple[str, str]], width: int, *, indent: str = INDENT, bold: bool = False) -> Iterator[str]:
    column = max(len(label) for label, _ in rows)
    for label, text in rows:
        head = f"{indent}{label.ljust(column)}{GAP}"
        yield from _hanging(head, text, width, bold=bold)


def _hanging(head: str, text: str, width: int, *, bold: bool = False) -> Iterator[str]:
    """Yield a text behind a head, its further lines under its first."""
    first, *rest = _wrapped(text, width, " " * len(head)) or [" " * len(head)]
    yield (click.style(head, bold=True) if bold else head) + first[len(head) :]
    yield from rest


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    # A column that is too narrow to read is left to run over.
    room = max(width, len(indent) + 30)
    return wrap(
        text, room, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
