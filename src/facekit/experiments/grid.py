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

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
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
from facekit.recipe.settings_check import SettingsType, check_settings
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
    if not isinstance(root, MapNode) and not problems.found:
        found = "it is empty" if root is None else f"this is {describe(root)}"
        problems.add(f"a grid is a map of settings; {found}", Mark(str(path), 1, 1, ""))
    grid = _GridReader(path, root, registry, problems).read() if isinstance(root, MapNode) else None
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
        version = root.get("ablation")
        remedy = f"write `ablation: {GRID_FORMAT}`"
        if version is None:
            remedy += "; a recipe is run with `facekit run`" if "facekit" in root.entries else ""
            problems.add("needs the version of the grid format", root.mark, ("ablation",), remedy)
        elif not (isinstance(version, ScalarNode) and type(version.value) is int and version.value == GRID_FORMAT):
            message = f"this facekit reads grid format {GRID_FORMAT}, found {describe(version)}"
            problems.add(message, version.mark, ("ablation",), remedy)
        settings = self._settings(GridSettings, root, (), root.mark, ("ablation", *LAYERS))
        # Over every row: the common settings, then the metrics.
        common = self._layers(root.entries.get("set"), ("set",))
        metrics = root.entries.get("metrics")
        if metrics is not None:
            common.append(MapNode({"metrics": metrics}, metrics.key_mark))
        base = None if settings is None else self._recipe(settings.base, root, ())
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

    def _rows(self, base: FilePath | None, common: list[MapNode]) -> list[Row]:
        combinations = list(self._combinations())
        entry = self._root.entries.get("rows")
        named: Mapping[str, Entry] = {}
        if entry is None:
            if "grid" not in self._root.entries:
                self._problems.add("the grid has no rows", self._root.mark, ("rows",), "add `rows:` or `grid:`")
            named = {"": Entry(self._root.mark, MapNode({}, self._root.mark))}
        elif isinstance(entry.node, MapNode) and entry.node.entries:
            named = entry.node.entries
        else:
            message = f"expected a map of rows by name, found {describe(entry.node)}"
            self._problems.add(message, entry.node.mark, ("rows",))
        rows: list[Row] = []
        for name, row in named.items():
            found = self._row(name, row, base, common)
            if found is None:
                continue
            for suffix, layers in [("", [])] if found.baseline is not None else combinations:
                whole = ", ".join(filter(None, (name, suffix)))
                rows.append(replace(found, name=whole, layers=(*found.layers, *layers)))
        return rows

    def _row(self, name: str, entry: Entry, base: FilePath | None, common: list[MapNode]) -> Row | None:
        path: Path = ("rows", name) if name else ()
        node = MapNode({}, entry.key_mark) if is_null(entry.node) else entry.node
        if not isinstance(node, MapNode):
            self._problems.add(f"expected a map, found {describe(node)}", node.mark, path, "write {} to change nothing")
            return None
        settings = self._settings(RowSettings, node, path, entry.key_mark, ("set",))
        layers = self._layers(node.entries.get("set"), (*path, "set"))
        if settings is None:
            return None
        recipe = base if settings.base is None else self._recipe(settings.base, node, path)
        if recipe is None:
            return None
        return Row(name, recipe, settings.baseline, (*common, *layers), settings.note, entry.key_mark)

    def _settings(
        self, model: type[SettingsType], node: MapNode, path: Path, mark: Mark, others: tuple[str, ...]
    ) -> SettingsType | None:
        """Return the settings of a map; ``others`` are keys of it that are read elsewhere."""
        own = {key: inner for key, inner in node.entries.items() if key not in others}
        known = tuple(key for key in others if key != "ablation")
        return check_settings(
            model, own, path=path, mark=mark, problems=self._problems, also_known=known, in_recipe=False
        )

    def _combinations(self) -> Iterator[tuple[str, list[MapNode]]]:
        """Yield what the ``grid:`` adds to the name of a row, and its layers; nothing, once, where there is none."""
        entry = self._root.entries.get("grid")
        if entry is None:
            yield "", []
            return
        if not isinstance(entry.node, MapNode) or not entry.node.entries:
            message = f"expected lists of values by path, found {describe(entry.node)}"
            self._problems.add(message, entry.node.mark, ("grid",))
            return
        axes: list[list[tuple[str, MapNode]]] = []
        ends = Counter(path.rsplit(".", 1)[-1] for path in entry.node.entries)
        for path, axis in entry.node.entries.items():
            if not isinstance(axis.node, ListNode) or not axis.node.items:
                message = f"expected a list of values, found {describe(axis.node)}"
                self._problems.add(message, axis.node.mark, ("grid", path))
                continue
            short = path.rsplit(".", 1)[-1]
            name = short if ends[short] == 1 else path
            points: list[tuple[str, MapNode]] = []
            for item in axis.node.items:
                alone = Entry(axis.key_mark, MapNode({path: Entry(axis.key_mark, item)}, axis.key_mark))
                points += [(f"{name} {dump_value(plain(item))}", layer) for layer in self._layers(alone, ("grid",))]
            axes.append(points)
        for combination in product(*axes):
            yield ", ".join(name for name, _ in combination), [layer for _, layer in combination]

    def _layers(self, entry: Entry | None, path: Path) -> list[MapNode]:
        """Return a map of values by path as one layer; nothing where there is none, or it has mistakes."""
        if entry is None or is_null(entry.node):
            return []
        if not isinstance(entry.node, MapNode):
            self._problems.add(f"expected a map of values by path, found {describe(entry.node)}", entry.node.mark, path)
            return []
        layer = layer_of_paths(entry.node, problems=self._problems)
        if layer is None:
            return []
        for (*way, last), remedy in _OF_THE_GRID.items():
            node: Node | None = layer
            for part in way:
                node = node.get(str(part)) if isinstance(node, MapNode) else None
            found = node.entries.get(str(last)) if isinstance(node, MapNode) else None
            if found is not None:
                self._problems.add(f"{'.'.join(map(str, (*way, last)))} is not for rows", found.key_mark, path, remedy)
        return [layer]

    def _recipe(self, name: str, node: MapNode, path: Path) -> FilePath | None:
        """Return the recipe that the ``base`` of a map names."""
        beside = self._path.parent / name
        if beside.is_file():
            return beside
        try:
            return find_recipe(name, registry=self._registry)
        except FacekitError as error:
            mark = mark_at(node, ("base",), node.mark)
            self._problems.add(error.message, mark, (*path, "base"), error.remedy)
            return None
