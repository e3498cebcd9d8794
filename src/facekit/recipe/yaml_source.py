"""Reads YAML into marked nodes. The one place that knows PyYAML's parser.

Differences from PyYAML's own loaders, all of them wanted: scalars follow YAML 1.2, a key that stands twice is a
mistake, keys are text, tags are refused, aliases cannot blow the tree up, and reading goes on after a mistake where it
can.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import yaml

from facekit.recipe.nodes import Entry, ListNode, MapNode, Node, ScalarNode, ScalarValue, raised
from facekit.recipe.problems import Path, Problems
from facekit.recipe.resolved import Mark
from facekit.recipe.yaml_messages import explain

_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # those PyYAML counts as line breaks
_UNFIT = re.compile("[\0\ud800-\udfff]")
"""What escapes can write and no file name, file or terminal takes: the null character and halves of surrogate pairs."""

_DEEPEST = 40
MOST_VALUES = 20_000
"""Most values of a document, aliases written out: small files can hold exponentially many."""

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_INTEGER = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITY = re.compile(r"[-+]?\.(inf|Inf|INF)")
_NOT_A_NUMBER = frozenset({".nan", ".NaN", ".NAN"})
_MOST_DIGITS = 400

MarkMaker = Callable[[int, int], Mark]
"""Makes a mark from a 0-based line and column of the text that is parsed."""


def read_scalar(text: str) -> ScalarValue:
    """Return the value of a plain (unquoted) scalar as the core schema of YAML 1.2.2 (section 10.3.2) reads it.

    PyYAML follows YAML 1.1, in which ``on`` is true, ``1_000`` is 1000, ``010`` is 8 and ``1e-4`` is a string.

    Raises:
        ValueError: an integer of more than 400 digits.
    """
    if text in _NULL:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    is_octal, is_hexadecimal = _OCTAL.fullmatch(text), _HEXADECIMAL.fullmatch(text)
    if is_octal or is_hexadecimal or _INTEGER.fullmatch(text):
        if len(text) > _MOST_DIGITS:
            raise ValueError(f"a number of {len(text)} digits")
        return int(text, 8) if is_octal else int(text, 16) if is_hexadecimal else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _INFINITY.fullmatch(text):
        return float("-inf") if text.startswith("-") else float("inf")
    if text in _NOT_A_NUMBER:
        return float("nan")
    return text


def split_lines(text: str) -> list[str]:
    """Return the lines of a text as YAML counts them."""
    return _LINE_BREAK.split(text)


def file_marks(text: str, file: str) -> MarkMaker:
    """Return what makes marks for a file of this text."""
    lines = split_lines(text)

    def make(line: int, column: int) -> Mark:
        return Mark(file, line + 1, column + 1, lines[line] if line < len(lines) else "")

    return make


def parse_yaml(
    text: str,
    *,
    marks: MarkMaker,
    problems: Problems,
    path: Path = (),
    most_values: int = MOST_VALUES,
    go_on: Callable[[], None] = lambda: None,
) -> Node | None:
    """Read one YAML document.

    Args:
        text: the YAML.
        marks: makes the marks of its nodes.
        problems: collects the mistakes.
        path: where in the recipe the document stands (for the value of an override).
        most_values: a document with more is refused.
        go_on: called for each value that is read; what it raises ends the reading.

    Returns:
        Its root, with what could be read; None where the text cannot be parsed at all, or holds nothing.
    """
    loader: yaml.SafeLoader | None = None
    try:
        loader = yaml.SafeLoader(text)
        return _Composer(loader, marks, problems, path, most_values, go_on).document()
    except _Hopeless:
        return None
    except yaml.reader.ReaderError as error:
        before = split_lines(text[: error.position])
        character = text[error.position : error.position + 1]
        mark = marks(len(before) - 1, len(before[-1]))
        problems.add(
            f"the character U+{ord(character):04X} cannot stand in YAML", mark, path, 'write it escaped: "\\x.."'
        )
    except yaml.MarkedYAMLError as error:
        line, column, message, remedy = explain(error, split_lines(text))
        problems.add(message, marks(line, column), path, remedy)
    except (ValueError, OverflowError):  # PyYAML does not guard chr() when it reads an escape such as \UFFFFFFFF
        position = loader.get_mark() if loader else None
        mark = marks(position.line, position.column) if position else marks(0, 0)
        problems.add("this escape is no Unicode character", mark, path)
    finally:
        if loader is not None:
            loader.dispose()
    return None


class _Hopeless(Exception):
    """Reading cannot go on; the problem is recorded."""


class _Composer:
    """Makes nodes of the parser's events."""

    def __init__(
        self,
        loader: yaml.SafeLoader,
        marks: MarkMaker,
        problems: Problems,
        path: Path,
        most: int,
        go_on: Callable[[], None],
    ) -> None:
        self._loader, self._go_on, self._marks = loader, go_on, marks
        self._problems, self._path, self._most = problems, path, most
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._open: set[str] = set()
        self._count = 0

    def document(self) -> Node | None:
        self._next()  # the start of the stream
        if isinstance(self._next(), yaml.StreamEndEvent):
            return None
        root = self._node(self._next(), self._path)
        self._next()  # the end of the document
        following = self._next()
        if not isinstance(following, yaml.StreamEndEvent):
            self._problems.add(
                "a second document starts here; a recipe is one", self._mark(following), remedy="remove the `---`"
            )
        return root

    def _next(self) -> yaml.Event:
        self._go_on()
        return self._loader.get_event()

    def _mark(self, event: yaml.Event) -> Mark:
        start = event.start_mark
        return self._marks(start.line, start.column) if start else self._marks(0, 0)

    def _node(self, event: yaml.Event, path: Path) -> Node:
        mark = self._mark(event)
        if len(path) > _DEEPEST:
            self._problems.add(f"nested more than {_DEEPEST} levels deep", mark, path[:8])
            raise _Hopeless
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, mark, path)
        assert isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent)  # nothing else can stand here
        before = self._count
        self._grow(1, mark, path)
        anchor: str | None = event.anchor
        self._open |= {anchor} if anchor is not None else set()
        if event.tag is not None:
            remedy = "put text that looks like a number in quotes"
            self._problems.add(f"tags such as {event.tag!r} are not used in recipes", mark, path, remedy)
        node: Node
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event, mark, path)
        elif isinstance(event, yaml.SequenceStartEvent):
            items: list[Node] = []
            while not isinstance(child := self._next(), yaml.SequenceEndEvent):
                items.append(self._node(child, (*path, len(items))))
            node = ListNode(tuple(items), mark)
        else:
            node = self._map(mark, path)
        if anchor is not None:
            self._open.discard(anchor)
            self._anchors[anchor] = (node, self._count - before)
        return node

    def _scalar(self, event: yaml.ScalarEvent, mark: Mark, path: Path) -> ScalarNode:
        if unfit := _UNFIT.search(event.value):
            character = f"U+{ord(unfit[0]):04X}"
            self._problems.add(f"the character {character} is of no text", mark, path, "take this escape out")
            return ScalarNode(_UNFIT.sub("?", event.value), mark)
        if event.style is not None:
            return ScalarNode(event.value, mark)
        try:
            return ScalarNode(read_scalar(event.value), mark)
        except ValueError as error:
            self._problems.add(f"this is {error}", mark, path)
            return ScalarNode(event.value, mark)

    def _map(self, mark: Mark, path: Path) -> MapNode:
        entries: dict[str, Entry] = {}
        merged: list[MapNode] = []
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key_mark = self._mark(event)
            key = self._key(event, key_mark, path)
            value = self._node(self._next(), (*path, key if key is not None else "?"))
            if key is None:
                continue
            if key == "<<" and isinstance(event, yaml.ScalarEvent) and event.style is None:
                items = value.items if isinstance(value, ListNode) else (value,)
                maps = [item for item in items if isinstance(item, MapNode)]
                if len(maps) != len(items):
                    self._problems.add("`<<` merges maps, and this is not one", value.mark, (*path, "<<"))
                merged += maps
            elif key in entries:
                first = entries[key].key_mark
                self._problems.add(
                    f"{key!r} stands here a second time; first in line {first.line}", key_mark, (*path, key)
                )
            else:
                entries[key] = Entry(key_mark, value)
        below: dict[str, Entry] = {}
        for other in reversed(merged):  # what stands in the map itself wins, then the first one that is merged
            below |= raised(other.entries, below)
        written = raised(entries, below)
        return MapNode({**written, **{key: entry for key, entry in below.items() if key not in written}}, mark)

    def _key(self, event: yaml.Event, mark: Mark, path: Path) -> str | None:
        if not isinstance(event, yaml.ScalarEvent):
            node = self._node(event, (*path, "?"))  # lengthened: keys of keys nest as values do
            if isinstance(node, ScalarNode) and isinstance(node.value, str):
                return node.value  # an alias of a text
            self._problems.add("a key must be text, not a list or a map", mark, path)
            return None
        value = self._scalar(event, mark, path).value
        if isinstance(value, str):
            return value
        shown = event.value or "nothing"
        self._problems.add(f"the key {shown} is not text", mark, path, f'put it in quotes: "{event.value}"')
        return None

    def _alias(self, event: yaml.AliasEvent, mark: Mark, path: Path) -> Node:
        name = str(event.anchor)
        problem = remedy = None
        if name in self._open:
            problem = f"*{name} stands inside &{name}, so it would contain itself"
        elif name not in self._anchors:
            problem = f"*{name} refers to &{name}, which does not stand before it"
            remedy = "text that starts with * goes in quotes"
        if problem is not None:
            self._problems.add(problem, mark, path, remedy, breaks=True)
            return ScalarNode(None, mark)
        node, size = self._anchors[name]
        self._grow(size, mark, path)
        return node

    def _grow(self, size: int, mark: Mark, path: Path) -> None:
        self._count += size
        if self._count > self._most:
            self._problems.add(f"more than {self._most:,} values, aliases written out", mark, path[:8])
            raise _Hopeless
