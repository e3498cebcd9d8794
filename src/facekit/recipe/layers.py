"""Recipe files and the recipes they extend."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path as FilePath

from facekit.interfaces import did_you_mean
from facekit.interfaces.regular_files import open_regular
from facekit.recipe.merging import items_of, merge
from facekit.recipe.nodes import Entry, MapNode, Node, ScalarNode, describe, is_null
from facekit.recipe.problems import Problems
from facekit.recipe.resolved import Mark
from facekit.recipe.shipped import RecipesOfPlugins, shipped_files
from facekit.recipe.yaml_source import file_marks, parse_yaml

RECIPE_FORMAT = 1
"""The version of the recipe format, which a recipe states as ``facekit: 1``."""

GRID = "ablation"
"""The key that a grid of runs states its format by, and no recipe has."""

_LARGEST_FILE = 2**20
_LONGEST_CHAIN = 50
"""Most recipes that extend one another in a row."""

_MOST_BASES = 200
"""Most recipes that a recipe extends in all, itself and through others, each time counted."""

_NOT_INHERITED = ("name", "description")


def load_layers(path: FilePath, *, of_plugins: RecipesOfPlugins, problems: Problems) -> MapNode | None:
    """Read a recipe file and all it extends, merged.

    ``extends:`` is a path relative to the file it stands in, the name of a shipped recipe where there is no such file,
    or a list of these of which later ones win. ``name`` and ``description`` belong to the file that states them and are
    not inherited.

    Args:
        path: the file.
        of_plugins: gives the recipes that plugins ship; called when one is asked for by name.
        problems: collects mistakes.

    Returns:
        The merged map; None when the file itself cannot be read.
    """

    @cache
    def shipped() -> Mapping[str, str]:
        return {name: str(file.path) for name, file in shipped_files(of_plugins()).items()}

    return _Layers(problems, shipped).load(str(path))


def parse_recipe(text: str, file: str, *, problems: Problems) -> MapNode | None:
    """Read the text of one recipe, without following ``extends:``."""
    marks = file_marks(text, file)
    before = len(problems.found)
    root = parse_yaml(text, marks=marks, problems=problems)
    problems.broken = problems.broken or not isinstance(root, MapNode)
    if root is None or (isinstance(root, ScalarNode) and root.value is None):
        if len(problems.found) == before:
            nothing = Mark(file, 1, 1, "")
            problems.add("the recipe is empty", nothing, remedy="`facekit recipes ls` lists recipes to copy")
        return None
    if not isinstance(root, MapNode):
        problems.add(f"a recipe is a map of settings; this is {describe(root)}", root.mark)
        return None
    _check_one_length(root, problems)
    check_format(root, problems=problems)
    return root


def check_format(root: MapNode, *, problems: Problems) -> None:
    """Check the version of the recipe format, where it is stated."""
    version = root.get("facekit")
    if version is not None and not (
        isinstance(version, ScalarNode) and type(version.value) is int and version.value == RECIPE_FORMAT
    ):
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
        near = _near_files(str(FilePath(file) / "recipe.yaml"))
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


class _Layers:
    """Loads a recipe and those it extends; ``shipped`` gives the files of shipped recipes by name."""

    def __init__(self, problems: Problems, shipped: Callable[[], Mapping[str, str]]) -> None:
        self._problems = problems
        self._shipped = shipped
        self._loaded: dict[str, MapNode] = {}
        self._bases = 0
        self._too_many = False

    def load(self, file: str, chain: tuple[str, ...] = (), asked_in: Mark | None = None) -> MapNode | None:
        """Load a file, to which a chain of others led, and all it extends. Each is read once.

        ``asked_in`` is the ``extends:`` that names it.
        """
        real = _real(file)
        if real in self._loaded:
            return self._loaded[real]
        text = read_text(file, problems=self._problems, asked_in=asked_in)
        if text is None:
            self._problems.broken = True
            return None
        root = parse_recipe(text, file, problems=self._problems)
        if root is None:
            return None
        entries = dict(root.entries)
        extends = entries.pop("extends", None)
        own = MapNode(entries, root.mark)
        merged: Node | None = None
        for node in _bases(extends, self._problems):
            base = self._load_base(str(node.value), (*chain, file), node.mark)
            if base is not None:
                inherited = {key: entry for key, entry in base.entries.items() if key not in _NOT_INHERITED}
                merged = merge(merged, MapNode(inherited, base.mark), problems=self._problems)
        merged = merge(merged, own, problems=self._problems)
        self._loaded[real] = merged if isinstance(merged, MapNode) else own
        return self._loaded[real]

    def _load_base(self, value: str, chain: tuple[str, ...], mark: Mark) -> MapNode | None:
        self._bases += 1
        if self._bases > _MOST_BASES or len(chain) > _LONGEST_CHAIN:
            if not self._too_many:
                self._too_many = True
                limits = f"more than {_MOST_BASES} others, or more than {_LONGEST_CHAIN} in a row"
                self._problems.add(f"the recipe extends {limits}", mark, ("extends",), breaks=True)
            return None
        # Path keeps `..`, which messages need not show.
        base: str | None = os.path.normpath(FilePath(chain[-1]).parent / value)
        if FilePath(value).suffix not in (".yaml", ".yml") and not os.path.lexists(str(base)):
            base = self._shipped().get(value)
        if base is None:
            near = did_you_mean(value, self._shipped()) or _near_files(str(FilePath(chain[-1]).parent / value))
            message = f"there is no such recipe {value!r}, neither a file nor the name of a shipped one"
            self._problems.add(message, mark, ("extends",), near, breaks=True)
            return None
        real = [_real(other) for other in chain]
        if _real(base) in real:
            circle = " -> ".join([*chain[real.index(_real(base)) :], base])
            self._problems.add(f"the recipe extends itself: {circle}", mark, ("extends",), breaks=True)
            return None
        return self.load(base, chain, mark)


def _real(file: str) -> str:
    """Return what tells two paths to one file."""
    try:
        return os.path.realpath(file)
    except ValueError:  # a null character; reading the file says so
        return file


def _bases(extends: Entry | None, problems: Problems) -> list[ScalarNode]:
    nodes = () if extends is None else items_of(extends.node)
    found: list[ScalarNode] = []
    for node in nodes:
        if isinstance(node, ScalarNode) and isinstance(node.value, str) and node.value:
            found.append(node)
        else:
            message = f"expected the path or the name of a recipe, found {describe(node)}"
            problems.add(message, node.mark, ("extends",), breaks=True)
    return found


def _check_one_length(root: MapNode, problems: Problems) -> None:
    train = root.get("train")
    if not isinstance(train, MapNode):
        return
    given = [key for key in train.entries if key in ("steps", "epochs") and not is_null(train.get(key))]
    if len(given) == 2:
        first, second = given
        problems.add(
            f"train.{first} in line {train.entries[first].key_mark.line} already says how long to train",
            train.entries[second].key_mark,
            ("train", second),
            f"keep `{first}` or `{second}`, not both",
        )


def _near_files(file: str) -> str | None:
    folder, name = FilePath(file).parent, FilePath(file).name
    try:
        there = sorted(entry.name for entry in folder.iterdir() if entry.suffix in (".yaml", ".yml"))
    except (OSError, ValueError):
        return None
    near = did_you_mean(name, there)
    if near or not there:
        return near
    return f"recipes in {folder}: {', '.join(there[:6])}{', ...' if len(there) > 6 else ''}"
