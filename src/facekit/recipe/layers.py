"""Recipe files: their names, their text, and the recipes they extend."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from facekit.interfaces import did_you_mean
from facekit.interfaces.files import open_regular
from facekit.recipe.merging import merge, read_overrides
from facekit.recipe.nodes import MapNode, Node, describe, is_null, items_of, text_of
from facekit.recipe.problems import Problems
from facekit.recipe.resolved import Mark
from facekit.recipe.yaml_source import file_marks, parse_yaml
from facekit.registry import PluginOrigin
from facekit.registry.discovery import TOOLKIT

RECIPE_FORMAT = 1
"""The version of the recipe format, which a recipe states as ``facekit: 1``."""

GRID = "ablation"
"""The key that a grid of runs states its format by, and no recipe has."""

_PACKAGE = Path(__file__).parents[1]

_LARGEST_FILE = 2**20
_LONGEST_CHAIN = 50
"""Most recipes that extend one another in a row."""

_MOST_BASES = 200
"""Most recipes that a recipe extends in all, itself and through others, each time counted."""

_NOT_INHERITED = ("name", "description")

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
    if (checkout / "recipes").is_dir() and project.is_file() and f'"{TOOLKIT}"' in project.read_text("utf-8"):
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
                found[path.relative_to(folder).with_suffix("").as_posix()] = ShippedFile(path, TOOLKIT)
    files = {recipe.path for recipe in found.values()}
    for origin, path in of_plugins:
        if path.name.startswith("_") or path in files:  # a plugin may name a file and the folder it lies in
            continue
        files.add(path)
        whole = f"{origin.distribution}:{path.stem}"
        names = (path.stem, whole, f"{origin.distribution}:{path.parent.name}/{path.stem}", f"{whole} ({path})")
        found[next(name for name in names if name not in found)] = ShippedFile(path, origin.distribution)
    return {name: found[name] for name in sorted(found)}


def merge_layers(
    path: str | os.PathLike[str],
    *,
    of_plugins: RecipesOfPlugins,
    overrides: Sequence[str] = (),
    layers: Sequence[MapNode] = (),
    problems: Problems,
) -> MapNode:
    """Merge a recipe file, those it extends, the layers over it and the overrides, without looking at what they say.

    ``extends:`` is a path relative to the file it stands in, the name of a shipped recipe where there is no such file,
    or a list of these of which later ones win. ``name`` and ``description`` belong to the file that states them and are
    not inherited.

    Args:
        path: the recipe file.
        of_plugins: gives the recipes that plugins ship; called when one is asked for by name.
        overrides, layers: as for :func:`facekit.recipe.read_recipe`.
        problems: collects mistakes.

    Raises:
        RecipeError: a file cannot be read at all. Lesser mistakes stay in ``problems``.
    """

    @cache
    def shipped() -> Mapping[str, str]:
        return {name: str(file.path) for name, file in shipped_files(of_plugins()).items()}

    merged: Node | None = _Layers(problems, shipped).load(str(Path(path)))
    if isinstance(merged, MapNode) and GRID in merged.entries:
        mark = merged.entries[GRID].key_mark
        problems.add("this is a grid of runs, not a recipe", mark, (GRID,), "run it with `facekit ablate`", breaks=True)
    over = read_overrides(overrides, problems=problems)
    for layer in (*layers, *([] if over is None else [over])):
        merged = None if merged is None else merge(merged, layer, problems=problems)
    if problems.broken or not isinstance(merged, MapNode):
        problems.raise_if_any()
    assert isinstance(merged, MapNode)  # what is None has left a problem
    return merged


def parse_recipe(text: str, file: str, *, problems: Problems) -> MapNode | None:
    """Read the text of one recipe, without following ``extends:``."""
    before = len(problems.found)
    root = parse_yaml(text, marks=file_marks(text, file), problems=problems)
    problems.broken = problems.broken or not isinstance(root, MapNode)
    if root is None or is_null(root):
        if len(problems.found) == before:
            nothing = Mark(file, 1, 1, "")
            problems.add("the recipe is empty", nothing, remedy="`facekit recipes ls` lists recipes to copy")
        return None
    if not isinstance(root, MapNode):
        problems.add(f"a recipe is a map of settings; this is {describe(root)}", root.mark)
        return None
    check_format(root, problems=problems)
    return root


def check_format(root: MapNode, *, problems: Problems) -> None:
    """Check the version of the recipe format, where it is stated."""
    version = root.get("facekit")
    if version is not None and describe(version) != f"the number {RECIPE_FORMAT}":
        message = f"this facekit reads recipe format {RECIPE_FORMAT}, found {describe(version)}"
        problems.add(message, version.mark, ("facekit",), f"write `facekit: {RECIPE_FORMAT}`")


def read_text(file: str, *, problems: Problems, asked_in: Mark | None = None) -> str | None:
    """Read a recipe file as UTF-8.

    Args:
        file: its path.
        problems: collects what stops it from being read.
        asked_in: the ``extends:`` that names it; where a missing file is reported.
    """
    place = asked_in or Mark(file, 0, 0, "")
    path = ("extends",) if asked_in else ()
    named = f" {file!r}" if asked_in else ""
    try:
        with open_regular(file) as stream:
            raw = stream.read(_LARGEST_FILE + 1)
    except FileNotFoundError:
        problems.add(f"there is no such recipe{named or ' file'}", place, path, _near_files(file))
        return None
    except IsADirectoryError:
        near = _near_files(str(Path(file) / "recipe.yaml"))
        problems.add(f"{file!r} is a folder, not a recipe file", place, path, near)
        return None
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        problems.add(f"the recipe{named} cannot be read: {reason}", place, path)
        return None
    if len(raw) > _LARGEST_FILE:
        problems.add(f"{file!r} is larger than 1 MiB, so it is no recipe", place, path)
        return None
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        sound = raw[: error.start].decode("utf-8")
        line = sound.rsplit("\n", 1)[-1]
        mark = Mark(file, sound.count("\n") + 1, len(line) + 1, line)
        problems.add(f"the byte 0x{raw[error.start]:02x} is not UTF-8", mark, remedy="save the file as UTF-8")
        return None


@dataclass
class _Layers:
    """Loads a recipe and those it extends; ``shipped`` gives the files of shipped recipes by name."""

    problems: Problems
    shipped: Callable[[], Mapping[str, str]]
    loaded: dict[str, MapNode] = field(default_factory=dict)
    bases: int = 0

    def load(self, file: str, chain: tuple[str, ...] = (), asked_in: Mark | None = None) -> MapNode | None:
        """Load a file, to which a chain of others led, and all it extends. Each is read once.

        ``asked_in`` is the ``extends:`` that names it.
        """
        real = _real(file)
        if real in self.loaded:
            return self.loaded[real]
        text = read_text(file, problems=self.problems, asked_in=asked_in)
        if text is None:
            self.problems.broken = True
            return None
        root = parse_recipe(text, file, problems=self.problems)
        if root is None:
            return None
        entries = dict(root.entries)
        extends = entries.pop("extends", None)
        merged: Node | None = None
        for node in () if extends is None else items_of(extends.node):
            name = text_of(node)
            if not name:
                message = f"expected the path or the name of a recipe, found {describe(node)}"
                self.problems.add(message, node.mark, ("extends",), breaks=True)
                continue
            base = self._load_base(name, (*chain, file), node.mark)
            if base is not None:
                inherited = {key: entry for key, entry in base.entries.items() if key not in _NOT_INHERITED}
                merged = merge(merged, MapNode(inherited, base.mark), problems=self.problems)
        merged = merge(merged, MapNode(entries, root.mark), problems=self.problems)
        assert isinstance(merged, MapNode)  # as what is laid over is
        self.loaded[real] = merged
        return merged

    def _load_base(self, value: str, chain: tuple[str, ...], mark: Mark) -> MapNode | None:
        self.bases += 1
        if self.bases > _MOST_BASES or len(chain) > _LONGEST_CHAIN:
            limits = f"more than {_MOST_BASES} others, or more than {_LONGEST_CHAIN} in a row"
            if not any(limits in problem.message for problem in self.problems.found):
                self.problems.add(f"the recipe extends {limits}", mark, ("extends",), breaks=True)
            return None
        # Path keeps `..`, which messages need not show.
        base: str | None = os.path.normpath(Path(chain[-1]).parent / value)
        if Path(value).suffix not in (".yaml", ".yml") and not os.path.lexists(str(base)):
            base = self.shipped().get(value)
        if base is None:
            near = did_you_mean(value, self.shipped()) or _near_files(str(Path(chain[-1]).parent / value))
            message = f"there is no such recipe {value!r}, neither a file nor the name of a shipped one"
            self.problems.add(message, mark, ("extends",), near, breaks=True)
            return None
        real = [_real(other) for other in chain]
        if _real(base) in real:
            circle = " -> ".join([*chain[real.index(_real(base)) :], base])
            self.problems.add(f"the recipe extends itself: {circle}", mark, ("extends",), breaks=True)
            return None
        return self.load(base, chain, mark)


def _real(file: str) -> str:
    """Return what tells two paths to one file."""
    try:
        return os.path.realpath(file)
    except ValueError:  # a null character; reading the file says so
        return file


def _near_files(file: str) -> str | None:
    folder, name = Path(file).parent, Path(file).name
    try:
        there = sorted(entry.name for entry in folder.iterdir() if entry.suffix in (".yaml", ".yml"))
    except (OSError, ValueError):
        return None
    near = did_you_mean(name, there)
    if near or not there:
        return near
    return f"recipes in {folder}: {', '.join(there[:6])}{', ...' if len(there) > 6 else ''}"
