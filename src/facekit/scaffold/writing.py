"""Writes a new plugin from the templates of its parts: a distribution of its own, or one file."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from facekit.interfaces import INTERFACE_VERSION, FacekitError
from facekit.registry import Kind
from facekit.scaffold.names import PluginName
from facekit.scaffold.parts import PARTS, Part, chosen_parts
from facekit.version import __version__

LONGEST_LINE = 120
"""Characters of a line of new code, as its own settings for formatters have it."""

SHIPPED = {
    "dataset": "facekit-datasets",
    "style_encoder": "facekit-sft-pix2pixhd",
    "generator": "facekit-pix2pixhd",
    "discriminator": "facekit-pix2pixhd",
    "loss": "facekit-losses",
    "metric": "facekit-metrics",
}
"""The distributions that fill the places the plugin leaves."""


def write_distribution(name: PluginName, kinds: Sequence[Kind], folder: Path) -> list[Path]:
    """Write a whole distribution.

    Args:
        name: its names.
        kinds: the kinds of components it offers.
        folder: where; it must not exist, or be empty.

    Returns:
        the files, in the order in which they are best read.

    Raises:
        FacekitError: the folder holds something, or cannot be written.
    """
    parts = chosen_parts(kinds)
    titles = ", ".join(part.kind.replace("_", " ") for part in parts)
    summary = f"Components for facekit: {titles}."
    if len(parts) == 1:
        summary = f"{'An' if titles.startswith('o') else 'A'} {titles} for facekit."
    elif len(f'    return PluginInfo(summary="{summary}")') > LONGEST_LINE:
        summary = f"Components of {len(parts)} kinds for facekit."
    render = _renderer(name, parts, f"facekit run {name.distribution}/recipes/{name.namespace}.yaml", summary=summary)
    source = f"src/{name.module}"
    options, contracts = (
        "\n\n".join(render(f"{part.kind}/{file}.py") for part in parts).rstrip() for file in ("options", "contract")
    )
    needed, tested = (", ".join(f'"{entry}"' for entry in entries) for entries in _dependencies(parts))
    specs = [render(f"{part.kind}/spec.py", factory=f"{name.module}.{part.kind}:build_{part.kind}") for part in parts]
    components = {
        f"{source}/{part.kind}.py": render(
            "project/component.py",
            part=part,
            imports=render(f"{part.kind}/imports.py").strip(),
            body=render(f"{part.kind}/body.py").rstrip(),
        )
        for part in parts
    }
    files = {
        "README.md": render("project/README.md"),
        "pyproject.toml": render("project/pyproject.toml", dependencies=needed, test_dependencies=tested),
        f"{source}/plugin.py": render(
            "project/plugin.py",
            interfaces=[entry for part in parts for entry in part.interfaces],
            specs="\n\n\n".join(spec.strip() for spec in specs),
        ),
        f"{source}/options.py": render("project/options.py", options=options),
        **components,
        f"{source}/__init__.py": render("project/init.py"),
        f"{source}/py.typed": "",
        f"recipes/{name.namespace}.yaml": render("project/recipe.yaml"),
        "tests/test_contract.py": render("project/contract.py", contracts=contracts),
        ".github/workflows/tests.yml": render("project/workflow.yml"),
        ".gitignore": render("project/gitignore"),
        "CHANGELOG.md": render("project/CHANGELOG.md"),
    }
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FacekitError(
            "there is something here already", where=str(folder), remedy="choose another name, or remove it"
        )
    return _write({folder / path: text for path, text in files.items()}, folder)


def write_single_file(name: PluginName, kinds: Sequence[Kind], folder: Path) -> list[Path]:
    """Write a plugin of one file, and a recipe that uses it.

    What needs torch is imported inside the factories, so that the file itself stays quick to import.

    Args:
        name: its names; the file is ``MODULE.py``.
        kinds: the kinds of components it offers.
        folder: where.

    Returns:
        the plugin and its recipe.

    Raises:
        FacekitError: one of the files exists, or cannot be written.
    """
    parts = chosen_parts(kinds)
    plugin, recipe = folder / f"{name.module}.py", folder / f"{name.namespace}.yaml"
    render = _renderer(name, parts, f"facekit run {recipe.name} --plugin-file {plugin.name}")
    pieces = []
    for part in parts:
        spec = render(f"{part.kind}/spec.py", factory=f"{name.module}:build_{part.kind}").strip()
        body, imports = render(f"{part.kind}/body.py"), render(f"{part.kind}/imports.py")
        pieces += [render(f"{part.kind}/options.py").strip(), spec, _factory(part, body, imports)]
    interfaces = [*(entry for part in parts for entry in (*part.interfaces, part.context)), "Options"]
    files = {
        plugin: render("project/single_file.py", interfaces=interfaces, components="\n\n\n".join(pieces)),
        recipe: render("project/recipe.yaml"),
    }
    for path in files:
        if path.exists():
            raise FacekitError("this file exists", where=str(path), remedy="choose another name, or remove it")
    return _write(files, folder)


def _write(files: dict[Path, str], folder: Path) -> list[Path]:
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise FacekitError(f"the plugin cannot be written: {error.strerror or error}", where=str(folder)) from error
    return [*files]


def _renderer(name: PluginName, parts: Sequence[Part], command: str, **more: str) -> Any:
    """Return a function that fills a template: its path without ``.txt``, and values that it alone has."""
    environment = Environment(
        loader=PackageLoader("facekit.scaffold"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "name": name,
        "parts": parts,
        "kinds": [part.kind for part in parts],
        "own": dict.fromkeys(PARTS, "") | {part.kind: f"{name.namespace}/{part.name}" for part in parts},
        "command": command,
        "interface_version": INTERFACE_VERSION,
        "import_line": _import_line,
        "return_line": _return_line,
        **more,
    }
    return lambda path, **values: environment.get_template(f"{path}.txt").render(**values)


def _dependencies(parts: Sequence[Part]) -> tuple[list[str], list[str]]:
    """Return what the plugin needs, and what its tests and its recipe need beside it."""
    kinds = {part.kind for part in parts}
    major, minor = __version__.split(".")[:2]
    release = f">={major}.{minor},<{major}.{int(minor) + 1}"
    needed = [f"facekit-toolkit{release}"]
    needed += [f"facekit-gan{release}"] if "loss" in kinds else []
    needed += ["torch>=2.10"] if kinds - {"dataset", "metric", "sampler", "schedule"} else []
    needed += ["numpy>=1.26"] if "dataset" in kinds else []
    used = {"loss", "metric", *({"dataset", "discriminator"} - kinds)}
    if "generator" not in kinds:
        used.add("style_encoder" if kinds & {"style_encoder", "sampler"} else "generator")
    return needed, ["pytest>=8", *sorted({SHIPPED[kind] for kind in used})]


def _import_line(module: str, names: Sequence[str]) -> str:
    """Return an import as a formatter writes it: constants, classes, functions, each sorted."""
    ranked = sorted(set(names), key=lambda name: (0 if name.isupper() else 1 if name[0].isupper() else 2, name))
    line = f"from {module} import {', '.join(ranked)}"
    if len(line) <= LONGEST_LINE:
        return line
    return f"from {module} import (\n" + "".join(f"    {name},\n" for name in ranked) + ")"


def _return_line(names: Sequence[str]) -> str:
    """Return the statement that returns a list of names in a function, as a formatter writes it."""
    line = f"    return [{', '.join(names)}]"
    if len(line) <= LONGEST_LINE:
        return line
    return "    return [\n" + "".join(f"        {name},\n" for name in names) + "    ]"


def _factory(part: Part, body: str, imports: str) -> str:
    """Return the factory, with the component and its imports inside."""
    start = body.index(f"def build_{part.kind}(")
    inside, factory = body[:start].strip(), body[start:]
    signature, docstring, statements = factory.split("\n", 2)
    signature = re.sub(r"-> \w+:", "-> Any:", signature)
    # Already imported at the top of the file.
    taken = {*part.interfaces, part.context, "Options"}
    used = set(re.findall(r"\w+", inside + statements))
    kept = []
    for line in imports.strip().splitlines():
        module, _, names = line.partition(" import ")
        if module == "from facekit.interfaces":
            wanted = [entry for entry in names.split(", ") if entry not in taken and entry in used]
            kept += [f"{module} import {', '.join(wanted)}"] if wanted else []
        elif module != "from typing":  # at the top of the file as well
            kept.append(line)
    text = "\n".join(kept).strip()
    inner = textwrap.indent("\n\n".join(filter(None, (text, inside))), "    ")
    inner = re.sub(r"\n\n\n+", "\n\n", inner)  # one blank line between classes inside a function
    return "\n".join((signature, docstring, f"{inner}\n", statements.strip("\n")))
