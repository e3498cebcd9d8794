"""What ``facekit components show`` prints, as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facekit.cli.output import GAP, hanging, wrapped

if TYPE_CHECKING:
    from facekit.components.describe import ComponentDescription, PortGroup
    from facekit.components.options import OptionDescription
    from facekit.interfaces import Port

INDENT = "  "

_WIDEST_NAME = 24

_DTYPES = {
    "float": "real numbers",
    "class_ids": "class ids",
    "binary": "zeros and ones",
    "noise": "standard normal numbers, drawn by the engine",
}


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
    yield from wrapped(spec.summary, width, INDENT)
    yield ""
    facts = list(_facts(description))
    column = max(len(label) for label, _ in facts)
    for label, text in facts:
        yield from hanging(f"{INDENT}{label.ljust(column)}{GAP}", text, width)
    yield ""
    yield click.style("Options" if description.options else "No options.", bold=True)
    yield from _options(description.options, width)
    if beside:
        *most, last = (f"`{key}`" for key in beside)
        keys = f"{', '.join(most)} and {last}" if most else last
        yield from wrapped(f"Beside its own, every {spec.kind} has {keys}.", width, INDENT)
    for group in description.ports:
        yield from _ports(group, description, width)
    if description.ports_problem is not None:
        yield ""
        yield click.style("Ports", bold=True)
        yield from wrapped(f"cannot be told: {description.ports_problem}", width, INDENT)
    if not fragment:
        return
    yield ""
    yield click.style("In a recipe", bold=True)
    example = description.example
    if example.problem is not None:
        yield from wrapped(f"The plugin's example is refused: {example.problem}", width, INDENT)
    elif example.made_up:
        names = ", ".join(f"`{name}`" for name in example.made_up)
        yield from wrapped(f"(The plugin gives no example; what stands for {names} is made up.)", width, INDENT)
    yield ""
    yield from fragment.rstrip("\n").splitlines()


def _facts(description: ComponentDescription) -> Iterator[tuple[str, str]]:
    entry, spec, source = description.entry, description.entry.spec, description.source
    if spec.kind == "loss":
        yield "for", f"the {' and the '.join(spec.players)}"
    if spec.kind == "discriminator" and spec.batch_dependent:
        yield "batches", "a sample's output depends on the others in its batch: real and fake are discriminated apart"
    if spec.paper:
        yield "paper", spec.paper
    yield "licence", spec.licence
    yield "weights", spec.weights_licence or "loads no pretrained weights"
    # A plugin that is one file stands under "source".
    yield "plugin", entry.origin.name + (f", of {entry.origin}" if entry.origin.version else "")
    if description.homepage:
        yield "homepage", description.homepage
    if source is None:
        yield "source", f"{spec.factory}, which cannot be found: {description.source_problem}"
    else:
        # As it is shortest from here, so that editors and terminals open it.
        here = Path.cwd()
        file = source.file.relative_to(here) if source.file.is_relative_to(here) else source.file
        yield "source", f"{file}:{source.line}" if source.line else str(file)
    yield "version", f"{spec.version}, written for version {spec.interface_version} of the interfaces"
    for migration in spec.migrations:
        yield "", f"since version {migration.to}: {migration.summary}"


def _options(options: Sequence[OptionDescription], width: int) -> Iterator[str]:
    from facekit.recipe.dump import dump_value

    rows = list(_flat(options, 0))
    lengths = [len(INDENT) * level + len(option.name) for option, level in rows]
    column = max((length for length in lengths if length <= _WIDEST_NAME), default=_WIDEST_NAME)
    inner = " " * (len(INDENT) + column + len(GAP))
    for option, level in rows:
        text = option.type
        if option.required:
            text += "; required"
        elif option.has_default and not option.options:  # the defaults of what is inside it stand there
            text += f"; default {dump_value(option.default)}"
        label = f"{INDENT}{INDENT * level}{option.name}"
        if len(label) + len(GAP) > len(inner):  # a name longer than its column has a line for itself
            yield click.style(label, bold=True)
            label = ""
        head, *rest = wrapped(text, width, inner)
        yield (click.style(label, bold=True) if label else "") + head[len(label) :]
        yield from rest
        for paragraph in option.description.splitlines():
            yield from wrapped(paragraph, width, inner)


def _flat(options: Sequence[OptionDescription], level: int) -> Iterator[tuple[OptionDescription, int]]:
    for option in options:
        yield option, level
        yield from _flat(option.options, level + 1)


def _ports(group: PortGroup, description: ComponentDescription, width: int) -> Iterator[str]:
    ports = group.ports
    whose = f" as a loss of the {' and the '.join(group.players)}" if len(description.ports) > 1 else ""
    with_options = " with the options of the example" if description.example.options else ""
    for heading, side in (("Needs", ports.needs), ("Gives", ports.gives)):
        if side:
            yield ""
            yield click.style(heading, bold=True) + f"{whose}{with_options}"
        rows = [(port.name, " x ".join(str(dimension) for dimension in port.shape), _values(port)) for port in side]
        first, second = (max((len(row[index]) for row in rows), default=0) for index in (0, 1))
        for name, shape, values in rows:
            yield from hanging(f"{INDENT}{name.ljust(first)}{GAP}{shape.ljust(second)}{GAP}", values, width)
    sizes = []
    if ports.smallest_size > 1 or ports.size_multiple > 1:
        multiple = f", a multiple of {ports.size_multiple}" if ports.size_multiple > 1 else ""
        sizes.append(("Picture side", f"at least {ports.smallest_size} pixels{multiple}"))
    if ports.smallest_batch > 1:
        sizes.append(("Batch", f"at least {ports.smallest_batch}"))
    if sizes:
        yield ""
    for label, text in sizes:
        yield from hanging(label.ljust(max(len(label) for label, _ in sizes)) + GAP, text, width, bold=True)


def _values(port: Port) -> str:
    text = _DTYPES[port.dtype]
    if port.dtype == "class_ids" and port.classes is not None:
        text += f" below {port.classes}" if isinstance(port.classes, int) else f" below `{port.classes}`"
    if port.value_range is not None and port.dtype != "binary":
        text += f" in [{port.value_range[0]:g}, {port.value_range[1]:g}]"
    return text + ("; optional" if port.optional else "")
