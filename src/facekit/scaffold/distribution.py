"""A new plugin as a distribution of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from facekit.interfaces import FacekitError
from facekit.registry import Kind
from facekit.scaffold.names import PluginName
from facekit.scaffold.parts import LONGEST_LINE, Part, chosen_parts, fill, import_line, raw
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
    return {
        "README.md": fill("project", "README.md", **told, first_id=first, table=table),
        "pyproject.toml": fill(
            "project",
            "pyproject.toml",
            **told,
            dependencies=", ".join(f'"{entry}"' for entry in _dependencies(parts)),
            test_dependencies=_listed(["pytest>=8", *distributions_of(parts)]),
        ),
        f"{source}/plugin.py": _plugin(name, parts, summary),
        f"{source}/options.py": _options(parts, summary),
        **modules,
        f"{source}/__init__.py": fill("project", "init.py", **told),
        f"{source}/py.typed": "",
        f"recipes/{name.namespace}.yaml": write_recipe(
            name, parts, command=f"facekit run {name.distribution}/recipes/{name.namespace}.yaml"
        ),
        "tests/test_contract.py": _contract(name, parts),
        ".github/workflows/tests.yml": fill("project", "workflow.yml", **told),
        ".gitignore": raw("project", "gitignore"),
        "CHANGELOG.md": fill("project", "CHANGELOG.md", changes=changes),
    }


def _dependencies(parts: Sequence[Part]) -> list[str]:
    major, minor = __version__.split(".")[:2]
    found = [f"facekit-toolkit>={major}.{minor},<{major}.{int(minor) + 1}"]
    if any(part.kind not in ("dataset", "metric", "schedule") for part in parts):
        found.append("torch>=2.6")
    if any(part.kind == "dataset" for part in parts):
        found.append("numpy>=1.26")
    return found


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _plugin(name: PluginName, parts: Sequence[Part], summary: str) -> str:
    label_maps = any(part.kind == "dataset" for part in parts)
    interfaces = [entry for part in parts for entry in part.interfaces]
    specs = "\n\n\n".join(_spec(name, part, f"{name.module}.{part.kind}").strip() for part in parts)
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
    return [{", ".join(part.spec for part in parts)}]
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


def _spec(name: PluginName, part: Part, module: str) -> str:
    return fill(part.kind, "spec.py", namespace=name.namespace, **{f"factory_{part.kind}": f"{module}:{part.build}"})


def _options(parts: Sequence[Part], summary: str) -> str:
    header = _HEADER.format(summary="The options of the components. Importing this module must not import torch.")
    pydantic = "from pydantic import Field\n" if any("Field(" in raw(p.kind, "options.py") for p in parts) else ""
    classes = "\n\n".join(raw(part.kind, "options.py") for part in parts)
    return header + "from facekit.interfaces import Options\n" + pydantic + "\n\n" + classes


def _component(name: PluginName, part: Part) -> str:
    header = _HEADER.format(summary=f"The {part.kind.replace('_', ' ')}: {part.title}.")
    own = f"\n\nfrom .options import {part.options}\n"
    if part.kind == "dataset":
        own += "from .plugin import LABEL_MAP\n"
    return header + raw(part.kind, "imports.py").strip() + own + "\n\n" + raw(part.kind, "body.py")


def _contract(name: PluginName, parts: Sequence[Part]) -> str:
    header = _HEADER.format(summary="What every component promises; see facekit.testing.")
    testing = import_line("facekit.testing", [part.contract for part in parts])
    plugin = import_line(f"{name.module}.plugin", [part.spec for part in parts])
    classes = "\n\n".join(raw(part.kind, "contract.py") for part in parts)
    return f"{header}{testing}\n\n{plugin}\n\n\n{classes}"
