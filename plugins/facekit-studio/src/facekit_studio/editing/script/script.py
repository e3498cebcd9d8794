"""An edit script: a list of operations that can be read, written and applied again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facekit.interfaces import FacekitError, LabelMap, did_you_mean
from facekit.interfaces.files import open_regular
from facekit.recipe.dump import dump_document
from facekit.recipe.nodes import ListNode, MapNode, Node, ScalarNode, describe, is_null, mark_at
from facekit.recipe.problems import Path as Place
from facekit.recipe.problems import Problems
from facekit.recipe.resolved import Mark
from facekit.recipe.settings_check import check_settings
from facekit.recipe.yaml_source import file_marks, parse_yaml
from facekit_studio.editing.script.looks import BlendReference, Reference
from facekit_studio.editing.script.masks import Ids
from facekit_studio.editing.script.operation import EditContext, Operation
from facekit_studio.editing.script.operations import OPERATIONS

SCRIPT_FORMAT = 1
"""The version of the script format."""

FORMAT_KEY = "facekit_edit"

MOST_OPERATIONS, MOST_VALUES, LARGEST_BYTES = 5_000, 200_000, 16_000_000

MOST_ROWS_DRAWN = 20_000_000
"""Rows of pixels that the segments of all strokes of a script may meet: some ten seconds of one core."""
"""A script larger than any of these is a mistake or an attack."""

_KEYS = (FORMAT_KEY, "name", "description", "label_map", "operations")


@dataclass(frozen=True)
class EditScript:
    """Operations on a face, in order.

    Args:
        operations: what to do.
        name: what it is called.
        description: one sentence.
        label_map: the label map it was written for; empty where it does not say.
    """

    operations: tuple[Operation, ...]
    name: str = ""
    description: str = ""
    label_map: str = ""

    @property
    def looks(self) -> tuple[Reference | BlendReference, ...]:
        """The operations that change the look, in order."""
        return tuple(entry for entry in self.operations if isinstance(entry, Reference | BlendReference))

    @property
    def files(self) -> tuple[str, ...]:
        """Every file the operations name, each once."""
        found = [getattr(entry, key, None) for entry in self.operations for key in ("photo", "mask")]
        return tuple(dict.fromkeys(file for file in found if file))


def apply_script(script: EditScript, mask: Ids, context: EditContext) -> Ids:
    """Return a mask (H, W) uint8 after all operations of a script.

    Raises:
        FacekitError: its strokes would take too long to draw; or, saying which operation: a class the label map does
            not have, a file that cannot be read.
    """
    if script.label_map and script.label_map != context.label_map.name:
        raise FacekitError(
            f"the script is written for masks of {script.label_map}, and these are of {context.label_map.name}"
        )
    drawn = sum(operation.rows_drawn(*mask.shape) for operation in script.operations)
    if drawn > MOST_ROWS_DRAWN:
        raise FacekitError(
            f"the strokes of the script take {drawn:,} rows of pixels on a mask of {mask.shape[0]}x{mask.shape[1]}; "
            f"at most {MOST_ROWS_DRAWN:,} are drawn",
            where="operations",
            remedy="give strokes fewer points, a narrower brush, or their pixels as `runs`",
        )
    result = mask.copy()
    for index, operation in enumerate(script.operations):
        context.go_on()
        try:
            result = operation.apply(result, context)
        except FacekitError as error:
            place = f"operations[{index}] ({operation.do})"
            where = f"{place}: {error.where}" if error.where else place
            raise FacekitError(error.message, where=where, remedy=error.remedy) from error
    return result


def read_script(path: Path, *, label_map: LabelMap | None = None) -> EditScript:
    """Read a script from a YAML or JSON file.

    Args:
        path: the file.
        label_map: where it is known, class names are checked too.

    Raises:
        FacekitError: the file cannot be read.
        RecipeError: every mistake in it, each with its place.
    """
    try:
        with open_regular(path) as stream:
            content = stream.read(LARGEST_BYTES + 1)
        if len(content) > LARGEST_BYTES:
            raise FacekitError(f"the script is larger than {LARGEST_BYTES:,} bytes", where=str(path))
        text = content.decode("utf-8")
    except FileNotFoundError as error:
        raise FacekitError("there is no such edit script", where=str(path)) from error
    except (OSError, ValueError) as error:  # ValueError: bytes that are no UTF-8, a null character in the path
        raise FacekitError(f"the edit script cannot be read: {error}", where=str(path)) from error
    return parse_script(text, file=str(path), label_map=label_map)


def parse_script(
    text: str,
    *,
    file: str = "<script>",
    label_map: LabelMap | None = None,
    go_on: Callable[[], None] = lambda: None,
) -> EditScript:
    """Read a script from text; see :func:`read_script`. ``go_on`` is called now and then; what it raises ends it."""
    problems = Problems()
    marks = file_marks(text, file)
    root = parse_yaml(text, marks=marks, problems=problems, most_values=MOST_VALUES, go_on=go_on)
    if root is None and not problems.found:
        problems.add("the script is empty", marks(0, 0), remedy=f"begin with `{FORMAT_KEY}: {SCRIPT_FORMAT}`")
    script = None if root is None else _Reader(label_map, problems).read(root)
    problems.raise_if_any()
    assert script is not None  # else there was a problem
    return script


def write_script(script: EditScript) -> str:
    """Return a script as YAML that reads back to the same script.

    Raises:
        FacekitError: it is larger than what is read.
    """
    document: dict[str, Any] = {FORMAT_KEY: SCRIPT_FORMAT}
    document |= {key: getattr(script, key) for key in ("name", "description", "label_map") if getattr(script, key)}
    document["operations"] = [_plain(entry) for entry in script.operations]
    _check_size("operations", len(script.operations), MOST_OPERATIONS)
    _check_size("values", _values_in(document), MOST_VALUES)
    text = dump_document(document)
    _check_size("bytes", len(text.encode()), LARGEST_BYTES)
    return text


def _check_size(name: str, size: int, most: int) -> None:
    if size > most:
        raise FacekitError(
            f"the script has {size:,} {name}, and {most:,} are the most that is read",
            remedy="join brush strokes into one `set`, or save several scripts",
        )


def _plain(operation: Operation) -> Mapping[str, Any]:
    written = operation.model_dump(mode="json", exclude_defaults=True)
    return {"do": operation.do, **{key: value for key, value in written.items() if key != "do"}}


def _values_in(document: Any) -> int:
    """Return how many values a document has, as its reader counts them: each map, list and scalar is one."""
    inner = document.values() if isinstance(document, Mapping) else document if isinstance(document, list) else ()
    return 1 + sum(_values_in(value) for value in inner)


class _Reader:
    def __init__(self, label_map: LabelMap | None, problems: Problems) -> None:
        self._label_map = label_map
        self._problems = problems

    def read(self, root: Node) -> EditScript | None:
        if not isinstance(root, MapNode):
            self._problems.add(f"expected a map with `operations:`, found {describe(root)}", root.mark)
            return None
        for key, entry in root.entries.items():
            if key not in _KEYS:
                hint = did_you_mean(key, _KEYS) or f"known keys: {', '.join(_KEYS)}"
                self._problems.add(f"unknown key {key!r}", entry.key_mark, (key,), hint)
        version = root.get(FORMAT_KEY)
        if version is None:
            self._problems.add(
                "needs the version of the script format", root.mark, (FORMAT_KEY,), f"write `{FORMAT_KEY}: 1`"
            )
        elif not isinstance(version, ScalarNode) or isinstance(version.value, bool) or version.value != SCRIPT_FORMAT:
            self._problems.add(
                f"this facekit reads format {SCRIPT_FORMAT}, found {describe(version)}", version.mark, (FORMAT_KEY,)
            )
        label_map = self._text(root, "label_map")
        if self._label_map is not None and label_map and label_map != self._label_map.name:
            self._problems.add(
                f"the script is written for masks of {label_map}, and these are of {self._label_map.name}",
                mark_at(root, ("label_map",), root.mark),
                ("label_map",),
            )
        return EditScript(
            operations=self._operations(root),
            name=self._text(root, "name"),
            description=self._text(root, "description"),
            label_map=label_map,
        )

    def _text(self, root: MapNode, key: str) -> str:
        node = root.get(key)
        if is_null(node):
            return ""
        if isinstance(node, ScalarNode) and isinstance(node.value, str):
            return node.value
        assert node is not None
        self._problems.add(f"expected text, found {describe(node)}", node.mark, (key,), "put it in quotes")
        return ""

    def _operations(self, root: MapNode) -> tuple[Operation, ...]:
        node = root.get("operations")
        if node is None:
            self._problems.add("needs `operations:`, a list", root.mark, ("operations",))
            return ()
        if not isinstance(node, ListNode):
            if not is_null(node):
                self._problems.add(f"expected a list, found {describe(node)}", node.mark, ("operations",))
            return ()
        if len(node.items) > MOST_OPERATIONS:
            self._problems.add(f"more than {MOST_OPERATIONS:,} operations", node.mark, ("operations",))
            return ()
        read = [self._operation(item, ("operations", index)) for index, item in enumerate(node.items)]
        return tuple(entry for entry in read if entry is not None)

    def _operation(self, node: Node, place: Place) -> Operation | None:
        if not isinstance(node, MapNode):
            self._problems.add(f"expected a map with `do:`, found {describe(node)}", node.mark, place)
            return None
        word = node.get("do")
        if not isinstance(word, ScalarNode) or not isinstance(word.value, str):
            found = "" if word is None else f", found {describe(word)}"
            mark = node.mark if word is None else word.mark
            self._problems.add(f"needs `do`, the name of an operation{found}", mark, (*place, "do"), _all_operations())
            return None
        kind = OPERATIONS.get(word.value)
        if kind is None:
            hint = did_you_mean(word.value, OPERATIONS) or _all_operations()
            self._problems.add(f"there is no operation {word.value!r}", word.mark, (*place, "do"), hint)
            return None
        operation = check_settings(
            kind, node.entries, path=place, mark=node.mark, problems=self._problems, in_recipe=False
        )
        if operation is not None:
            self._regions(operation, node, place)
        return operation

    def _regions(self, operation: Operation, node: MapNode, place: Place) -> None:
        if self._label_map is None:
            return
        for field in operation.REGION_FIELDS:
            value = getattr(operation, field, None)
            names = [value] if isinstance(value, str) else list(value or ())
            for index, name in enumerate(names):
                try:
                    self._label_map.check_names([name])
                except FacekitError as error:
                    inside: tuple[str | int, ...] = (field,) if isinstance(value, str) else (field, index)
                    mark: Mark = mark_at(node, inside, node.mark)
                    self._problems.add(error.message, mark, (*place, *inside), error.remedy)


def _all_operations() -> str:
    return f"one of {', '.join(OPERATIONS)}"
