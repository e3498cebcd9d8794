"""A new plugin as one file, for ``--plugin-file``."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

from facekit.interfaces import FacekitError
from facekit.registry import Kind
from facekit.scaffold.names import PluginName
from facekit.scaffold.parts import Part, chosen_parts, import_field, import_line, raw, return_line, write_spec
from facekit.scaffold.recipe import write_recipe


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
    command = f"facekit run {recipe.name} --plugin-file {plugin.name}"
    try:
        for path in (plugin, recipe):
            if path.exists():
                raise FacekitError("this file exists", where=str(path), remedy="choose another name, or remove it")
        folder.mkdir(parents=True, exist_ok=True)
        plugin.write_text(_source(name, parts, command), encoding="utf-8")
        recipe.write_text(write_recipe(name, parts, command=command), encoding="utf-8")
    except OSError as error:
        raise FacekitError(f"the plugin cannot be written: {error.strerror or error}", where=str(folder)) from error
    return [plugin, recipe]


def _source(name: PluginName, parts: Sequence[Part], command: str) -> str:
    label_maps = any(part.kind == "dataset" for part in parts)
    contexts = {part.context for part in parts}
    interfaces = [*(entry for part in parts for entry in part.interfaces), "Options", *contexts]
    head = [
        f'"""A plugin for facekit in one file.\n\n    {command}\n\n'
        'Importing it must not import torch: what needs it is imported inside the factories.\n"""\n',
        "from __future__ import annotations\n",
        ("from dataclasses import replace\n" if label_maps else "") + "from typing import Any\n",
        import_line("facekit.interfaces", interfaces)
        + "\n"
        + import_line("facekit.registry", ["ComponentSpec", "hookimpl"])
        + "\n"
        + import_field(parts),
    ]
    pieces = []
    for part in parts:
        spec = write_spec(part, name.namespace, name.module)
        pieces += [raw(part.kind, "options.py").strip(), spec, _factory(part)]
    hooks = [
        "@hookimpl\ndef facekit_components() -> list[ComponentSpec]:\n"
        '    """Offer the components."""\n'
        f"{return_line([part.spec for part in parts])}"
    ]
    if label_maps:
        hooks.append(
            "@hookimpl\ndef facekit_label_maps() -> list[LabelMap]:\n"
            '    """Offer the classes of the dataset\'s masks."""\n    return [LABEL_MAP]'
        )
    return "\n".join(head) + "\n\n" + "\n\n\n".join([*pieces, *hooks]) + "\n"


def _factory(part: Part) -> str:
    """Return the factory, with the component and its imports inside."""
    body = raw(part.kind, "body.py")
    start = body.index(f"def {part.build}(")
    inside, factory = body[:start].strip(), body[start:]
    signature, rest = factory.split("\n", 1)
    signature = re.sub(r"-> \w+:", "-> Any:", signature)
    docstring, statements = rest.split("\n", 1)
    # Already imported at the top of the file.
    taken = {*part.interfaces, part.context, "Options"}
    used = set(re.findall(r"\w+", inside + statements))
    imports = []
    for line in raw(part.kind, "imports.py").strip().splitlines():
        module, _, names = line.partition(" import ")
        if module == "from typing":  # at the top of the file as well
            continue
        if module == "from facekit.interfaces":
            kept = [entry for entry in names.split(", ") if entry not in taken and entry in used]
            if not kept:
                continue
            line = f"{module} import {', '.join(kept)}"
        imports.append(line)
    text = "\n".join(imports).strip()
    inner = textwrap.indent("\n\n".join(filter(None, (text, inside))), "    ")
    inner = re.sub(r"\n\n\n+", "\n\n", inner)  # one blank line between classes inside a function
    own = statements.strip("\n")
    return f"{signature}\n{docstring}\n{inner}\n\n{own}"
