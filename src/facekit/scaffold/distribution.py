"""A new plugin as a distribution of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from facekit.interfaces import FacekitError
from facekit.registry import Kind
from facekit.scaffold.names import PluginName
from facekit.scaffold.parts import (
    LONGEST_LINE,
    Part,
    chosen_parts,
    fill,
    import_field,
    import_line,
    raw,
    return_line,
    write_spec,
)
from facekit.scaffold.recipe import distributions_of, write_recipe
from facekit.version import __version__

_HEADER = '"""{summary}"""\n\nfrom __future__ import annotations\n\n'


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
    files = _files(name, parts)
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise FacekitError(
                "there is something here already", where=str(folder), remedy="choose another name, or remove it"
            )
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise FacekitError(f"the plugin cannot be written: {error.strerror or error}", where=str(folder)) from error
    return [folder / path for path in files]


def _files(name: PluginName, parts: Sequence[Part]) -> dict[str, str]:
    source = f"src/{name.module}"
    modules = {f"{source}/{part.kind}.py": _component(name, part) for part in parts}
    first = f"{name.namespace}/{parts[0].name}"
    titles = ", ".join(part.kind.replace("_", " ") for part in parts)
    article = "An" if titles.startswith("o") else "A"
    summary = f"{article} {titles} for facekit." if len(parts) == 1 else f"Components for facekit: {titles}."
    if len(f'    return PluginInfo(summary="{summary}")') > LONGEST_LINE:
        summary = f"Components of {len(parts)} kinds for facekit."
    table = "| component | kind | what it is |\n|---|---|---|\n" + "\n".join(
        f"| `{name.namespace}/{part.name}` | {part.kind} | {part.title} |" for part in parts
    )
    changes = "\n".join(f"- `{name.namespace}/{part.name}`: {part.title}." for part in parts)
    told = {
        "name": name.distribution,
        "module": name.module,
        "namespace": name.namespace,
        "summary": summary,
        "recipe": name.namespace,
    }
    needed = ", ".join(f'"{entry}"' for entry in _dependencies(parts))
    tested = ", ".join(f'"{entry}"' for entry in ("pytest>=8", *distributions_of(parts)))
    run = f"facekit run {name.distribution}/recipes/{name.namespace}.yaml"
    return {
        "README.md": fill("project", "README.md", **told, first_id=first, table=table),
        "pyproject.toml": fill("project", "pyproject.toml", **told, dependencies=needed, test_dependencies=tested),
        f"{source}/plugin.py": _plugin(name, parts, summary),
        f"{source}/options.py": _options(parts),
        **modules,
        f"{source}/__init__.py": fill("project", "init.py", **told),
        f"{source}/py.typed": "",
        f"recipes/{name.namespace}.yaml": write_recipe(name, parts, command=run),
        "tests/test_contract.py": _contract(name, parts),
        ".github/workflows/tests.yml": fill("project", "workflow.yml", **told),
        ".gitignore": raw("project", "gitignore"),
        "CHANGELOG.md": fill("project", "CHANGELOG.md", changes=changes),
    }


def _dependencies(parts: Sequence[Part]) -> list[str]:
    major, minor = __version__.split(".")[:2]
    release = f">={major}.{minor},<{major}.{int(minor) + 1}"
    kinds = {part.kind for part in parts}
    found = [f"facekit-toolkit{release}"]
    found += [f"facekit-gan{release}"] if "loss" in kinds else []
    found += ["torch>=2.6"] if kinds - {"dataset", "metric", "sampler", "schedule"} else []
    return [*found, "numpy>=1.26"] if "dataset" in kinds else found


def _plugin(name: PluginName, parts: Sequence[Part], summary: str) -> str:
    label_maps = any(part.kind == "dataset" for part in parts)
    interfaces = [entry for part in parts for entry in part.interfaces]
    specs = "\n\n\n".join(write_spec(part, name.namespace, f"{name.module}.{part.kind}") for part in parts)
    imports = ["from pathlib import Path"]
    if label_maps:
        imports.insert(0, "from dataclasses import replace")
    lines = [
        _HEADER.format(summary="What this plugin offers to facekit. Importing this module must not import torch."),
        "\n".join(imports),
        "\n\n",
        import_line("facekit.interfaces", interfaces) + "\n" if interfaces else "",
        import_line("facekit.registry", ["ComponentSpec", "PluginInfo", "hookimpl"]),
        "\n\n",
        import_line(".options", [part.options for part in parts]),
        # As formatters want it: two blank lines before a function, one before a value.
        "\n\n\n" if specs.startswith("def ") else "\n\n",
    ]
    hooks = f'''

@hookimpl
def facekit_plugin_info() -> PluginInfo:
    """Say what this plugin is."""
    return PluginInfo(summary="{summary}")


@hookimpl
def facekit_components() -> list[ComponentSpec]:
    """Offer the components."""
{return_line([part.spec for part in parts])}
'''
    if label_maps:
        hooks += '''

@hookimpl
def facekit_label_maps() -> list[LabelMap]:
    """Offer the classes of the dataset's masks."""
    return [LABEL_MAP]
'''
    hooks += '''

@hookimpl
def facekit_recipes() -> list[Path]:
    """Offer the recipes: those in the installed package, or those of the checkout."""
    here = Path(__file__).parent
    packaged = here / "recipes"
    return [packaged if packaged.is_dir() else here.parents[1] / "recipes"]
'''
    return "".join(lines) + specs + "\n" + hooks


def _options(parts: Sequence[Part]) -> str:
    header = _HEADER.format(summary="The options of the components. Importing this module must not import torch.")
    classes = "\n\n".join(raw(part.kind, "options.py") for part in parts)
    return header + "from facekit.interfaces import Options\n" + import_field(parts) + "\n\n" + classes


def _component(name: PluginName, part: Part) -> str:
    header = _HEADER.format(summary=f"The {part.kind.replace('_', ' ')}: {part.title}.")
    own = f"\n\nfrom .options import {part.options}\n"
    if part.kind == "dataset":
        own += "from .plugin import LABEL_MAP\n"
    return header + raw(part.kind, "imports.py").strip() + own + "\n\n" + raw(part.kind, "body.py")


def _contract(name: PluginName, parts: Sequence[Part]) -> str:
    header = _HEADER.format(summary="What every component promises; see facekit.testing.")
    standard, others = (sorted(line for part in parts for line in part.contract_imports[which]) for which in (0, 1))
    # As formatters want it: what is imported as a whole stands first.
    others.sort(key=lambda line: line.startswith("from "))
    testing = "".join(f"{line}\n" for line in standard) + ("\n" if standard else "")
    testing += "".join(f"{line}\n" for line in others)
    testing += import_line("facekit.testing", [part.contract for part in parts])
    plugin = import_line(f"{name.module}.plugin", [part.spec for part in parts])
    classes = "\n\n".join(raw(part.kind, "contract.py") for part in parts)
    return f"{header}{testing}\n\n{plugin}\n\n\n{classes}"
