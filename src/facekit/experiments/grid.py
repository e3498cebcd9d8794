"""Grid files: rows of recipes and overrides, read with the place of every value. Torch-free.

::

    ablation: 1
    base: ../sft_pix2pixhd.yaml
    steps: 2000
    seeds: [0, 1, 2]
    set: {train.batch: 8}                       # over every row
    metrics: [{use: psnr}, {use: style_following}]
    reference: full model
    rows:
      full model: {}
      without SFT: {set: {model.style_encoder.sft_levels: 0}}
      without feature matching: {set: {"losses.generator[feature_matching]": null}}
      copy the reference: {baseline: copy_reference}
    grid:                                       # every row that is trained, with every combination
      train.optimiser.lr: [1e-4, 2e-4]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path as FilePath

from facekit.experiments.settings import GridSettings, RowSettings
from facekit.interfaces import FacekitError, did_you_mean
from facekit.recipe.dump import dump_value
from facekit.recipe.layers import read_text
from facekit.recipe.library import find_recipe
from facekit.recipe.merging import layer_of_paths
from facekit.recipe.nodes import Entry, ListNode, MapNode, Node, ScalarNode, describe, is_null, mark_at, plain
from facekit.recipe.problems import Path, Problems
from facekit.recipe.resolved import Mark
from facekit.recipe.settings_check import check_settings
from facekit.recipe.yaml_source import file_marks, parse_yaml
from facekit.registry import Registry

GRID_FORMAT = 1
"""The version of the grid format, which a grid states as ``ablation: 1``."""

LAYERS = ("set", "metrics", "rows", "grid")
"""The keys of a grid that are not :class:`GridSettings`."""

_OF_THE_GRID: dict[Path, str] = {
    ("train", "steps"): "the budget is the same for all rows: set `steps:` of the grid",
    ("train", "epochs"): "the budget is the same for all rows, in steps: set `steps:` of the grid",
    ("train", "seed"): "each row is trained with every seed: set `seeds:` of the grid",
    ("metrics",): "all rows are measured alike: set `metrics:` of the grid",
}


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Args:
        base: the recipe file it starts from; a baseline takes data and metrics from it.
        baseline: the baseline it is; None for one that is trained.
        layers: what is laid over the recipe, one after the other.
    """

    name: str
    base: FilePath
    baseline: str | None
    layers: tuple[MapNode, ...]
    note: str
    mark: Mark


@dataclass(frozen=True)
class Grid:
    """A grid file that was read; see :func:`read_grid`.

    Args:
        reference: the name of the row that others are tested against.
    """

    path: FilePath
    name: str
    settings: GridSettings
    rows: tuple[Row, ...]
    reference: str

    def row(self, name: str) -> Row:
        """Return a row by name. Raises FacekitError with the names that look like it."""
        for row in self.rows:
            if row.name == name:
                return row
        names = [row.name for row in self.rows]
        raise FacekitError(
            f"the grid has no row {name!r}",
            where=str(self.path),
            remedy=did_you_mean(name, names) or f"rows: {', '.join(names)}",
        )


def read_grid(path: FilePath, *, registry: Registry) -> Grid:
    """Read a grid file. What its rows set is checked by :func:`facekit.experiments.jobs.resolve_cells`.

    Raises:
        RecipeError: with every mistake that was found, each with its file, line and column.
    """
    problems = Problems()
    text = read_text(str(path), problems=problems)
    root = None if text is None else parse_yaml(text, marks=file_marks(text, str(path)), problems=problems)
    if not isinstance(root, MapNode):
        if not problems.found:
            found = "it is empty" if root is None else f"this is {describe(root)}"
            problems.add(f"a grid is a map of settings; {found}", Mark(str(path), 1, 1, ""))
        problems.raise_if_any()
        raise AssertionError("a problem was added")
    grid = _GridReader(path, root, registry, problems).read()
    problems.raise_if_any()
    assert grid is not None  # what is None has left a problem
    return grid


class _GridReader:
    def __init__(self, path: FilePath, root: MapNode, registry: Registry, problems: Problems) -> None:
        self._path = path
        self._root = root
        self._registry = registry
        self._problems = problems

    def read(self) -> Grid | None:
        root, problems = self._root, self._problems
        self._check_format()
        own = {key: entry for key, entry in root.entries.items() if key not in ("ablation", *LAYERS)}
        settings = check_settings(
            GridSettings, own, path=(), mark=root.mark, problems=problems, also_known=LAYERS, in_recipe=False
        )
        common = self._common()
        base = None if settings is None else self._recipe(settings.base, mark_at(root, ("base",), root.mark), ("base",))
        rows = self._rows(base, common)
        if settings is None or base is None or not rows:
            return None
        names = [row.name for row in rows]
        if settings.reference is not None and settings.reference not in names:
            hint = did_you_mean(settings.reference, names) or f"rows: {', '.join(names)}"
            mark = mark_at(root, ("reference",), root.mark)
            problems.add(f"there is no row {settings.reference!r}", mark, ("reference",), hint)
        reference = settings.reference or names[0]
        return Grid(self._path, settings.name or self._path.stem, settings, tuple(rows), reference)

    def _check_format(self) -> None:
        root, version = self._root, self._root.get("ablation")
        if version is None:
            remedy = f"write `ablation: {GRID_FORMAT}`"
            if "facekit" in root.entries:
                remedy += "; a recipe is run with `facekit run`"
            self._problems.add("needs the version of the grid format", root.mark, ("ablation",), remedy)
        elif not (isinstance(version, ScalarNode) and type(version.value) is int and version.value == GRID_FORMAT):
            self._problems.add(
                f"this facekit reads grid format {GRID_FORMAT}, found {describe(version)}",
                version.mark,
                ("ablation",),
                f"write `ablation: {GRID_FORMAT}`",
            )

    def _common(self) -> list[MapNode]:
        """Return what is laid over every row: the common settings, then the metrics."""
        layers = self._layers(self._root.entries.get("set"), ("set",))
        metrics = self._root.entries.get("metrics")
        if metrics is not None:
            layers.append(MapNode({"metrics": metrics}, metrics.key_mark))
        return layers

    def _rows(self, base: FilePath | None, common: list[MapNode]) -> list[Row]:
        combinations = list(self._combinations())
        entry = self._root.entries.get("rows")
        if entry is None:
            if "grid" not in self._root.entries:
                self._problems.add("the grid has no rows", self._root.mark, ("rows",), "add `rows:` or `grid:`")
            named: Mapping[str, Entry] = {"": Entry(self._root.mark, MapNode({}, self._root.mark))}
        elif not isinstance(entry.node, MapNode) or not entry.node.entries:
            self._problems.add(
                f"expected a map of rows by name, found {describe(entry.node)}", entry.node.mark, ("rows",)
            )
            return []
        else:
            named = entry.node.entries
        rows: list[Row] = []
        for name, row in named.items():
            found = self._row(name, row, base, common)
            if found is None:
                continue
            if found.baseline is not None:
                rows.append(found)
                continue
            for suffix, layers in combinations:
                whole = ", ".join(filter(None, (name, suffix)))
                rows.append(Row(whole, found.base, None, (*found.layers, *layers), found.note, found.mark))
        return rows

    def _row(self, name: str, entry: Entry, base: FilePath | None, common: list[MapNode]) -> Row | None:
        path: Path = ("rows", name) if name else ()
        node = entry.node
        if is_null(node):
            node = MapNode({}, entry.key_mark)
        if not isinstance(node, MapNode):
            self._problems.add(f"expected a map, found {describe(node)}", node.mark, path, "write {} to change nothing")
            return None
        own = {key: inner for key, inner in node.entries.items() if key != "set"}
        settings = check_settings(
            RowSettings,
            own,
            path=path,
            mark=entry.key_mark,
            problems=self._problems,
            also_known=("set",),
            in_recipe=False,
        )
        layers = self._layers(node.entries.get("set"), (*path, "set"))
        if settings is None:
            return None
        recipe = base
        if settings.base is not None:
            recipe = self._recipe(settings.base, mark_at(node, ("base",), node.mark), (*path, "base"))
        if recipe is None:
            return None
        return Row(name, recipe, settings.baseline, (*common, *layers), settings.note, entry.key_mark)

    def _combinations(self) -> Iterator[tuple[str, list[MapNode]]]:
        """Yield what the ``grid:`` adds to the name of a row, and its layers; nothing, once, where there is none."""
        entry = self._root.entries.get("grid")
        if entry is None:
            yield "", []
            return
        if not isinstance(entry.node, MapNode) or not entry.node.entries:
            self._problems.add(
                f"expected lists of values by path, found {describe(entry.node)}", entry.node.mark, ("grid",)
            )
            return
        axes: list[list[tuple[str, MapNode]]] = []
        paths = list(entry.node.entries)
        for path, axis in entry.node.entries.items():
            if not isinstance(axis.node, ListNode) or not axis.node.items:
                self._problems.add(
                    f"expected a list of values, found {describe(axis.node)}", axis.node.mark, ("grid", path)
                )
                continue
            short = path.rsplit(".", 1)[-1]
            if sum(other.rsplit(".", 1)[-1] == short for other in paths) > 1:
                short = path
            points: list[tuple[str, MapNode]] = []
            for item in axis.node.items:
                alone = MapNode({path: Entry(axis.key_mark, item)}, axis.key_mark)
                points += [(f"{short} {dump_value(plain(item))}", layer) for layer in self._layers_of(alone, ("grid",))]
            axes.append(points)
        for combination in product(*axes):
            yield ", ".join(name for name, _ in combination), [layer for _, layer in combination]

    def _layers(self, entry: Entry | None, path: Path) -> list[MapNode]:
        if entry is None or is_null(entry.node):
            return []
        if not isinstance(entry.node, MapNode):
            self._problems.add(f"expected a map of values by path, found {describe(entry.node)}", entry.node.mark, path)
            return []
        return self._layers_of(entry.node, path)

    def _layers_of(self, node: MapNode, path: Path) -> list[MapNode]:
        layer = layer_of_paths(node, problems=self._problems)
        if layer is None:
            return []
        for place, remedy in _OF_THE_GRID.items():
            found = _entry_at(layer, place)
            if found is not None:
                self._problems.add(f"{'.'.join(map(str, place))} is not for rows", found.key_mark, path, remedy)
        return [layer]

    def _recipe(self, name: str, mark: Mark, path: Path) -> FilePath | None:
        beside = self._path.parent / name
        if beside.is_file():
            return beside
        try:
            return find_recipe(name, registry=self._registry)
        except FacekitError as error:
            self._problems.add(error.message, mark, path, error.remedy)
            return None


def _entry_at(node: Node, path: Path) -> Entry | None:
    *way, last = path
    for part in way:
        inner = node.get(str(part)) if isinstance(node, MapNode) else None
        if inner is None:
            return None
        node = inner
    return node.entries.get(str(last)) if isinstance(node, MapNode) else None
