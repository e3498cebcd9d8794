"""The names of the recipes that come with facekit and with plugins, and the files behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from facekit.registry import PluginOrigin

DISTRIBUTION = "facekit-toolkit"
_PACKAGE = Path(__file__).parents[1]

RecipesOfPlugins = Callable[[], Iterable[tuple[PluginOrigin, Path]]]
"""Gives the recipe files that plugins ship, each with its plugin."""


@dataclass(frozen=True)
class ShippedFile:
    """The file of a shipped recipe, and the distribution it comes with."""

    path: Path
    source: str


def shipped_folder() -> Path | None:
    """Return the folder of facekit's own recipes: that of a source checkout, else the one in the package."""
    checkout = _PACKAGE.parents[1]
    project = checkout / "pyproject.toml"
    if (checkout / "recipes").is_dir() and project.is_file() and f'"{DISTRIBUTION}"' in project.read_text("utf-8"):
        return checkout / "recipes"
    packaged = _PACKAGE / "shipped_recipes"
    return packaged if packaged.is_dir() else None


def shipped_files(of_plugins: Iterable[tuple[PluginOrigin, Path]]) -> Mapping[str, ShippedFile]:
    """Return the recipes of facekit and of plugins by what they are called, in the order of their names.

    Files whose name starts with an underscore are parts that other recipes extend, and are left out. A plugin's recipe
    whose name is taken is called ``distribution:name``.
    """
    found: dict[str, ShippedFile] = {}
    folder = shipped_folder()
    if folder is not None:
        for path in sorted(folder.rglob("*.yaml")):
            if not path.name.startswith("_"):
                found[path.relative_to(folder).with_suffix("").as_posix()] = ShippedFile(path, DISTRIBUTION)
    files = {recipe.path for recipe in found.values()}
    for origin, path in of_plugins:
        if path.name.startswith("_") or path in files:  # a plugin may name a file and the folder it lies in
            continue
        files.add(path)
        whole = f"{origin.distribution}:{path.stem}"
        names = (path.stem, whole, f"{origin.distribution}:{path.parent.name}/{path.stem}", f"{whole} ({path})")
        found[next(name for name in names if name not in found)] = ShippedFile(path, origin.distribution)
    return {name: found[name] for name in sorted(found)}
