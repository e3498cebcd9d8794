"""Reads YAML into marked nodes. The one place that knows PyYAML's parser.

Differences from PyYAML's own loaders, all of them wanted: scalars follow YAML 1.2, a key that stands twice is a
mistake, keys are text, tags are refused, aliases cannot blow the tree up, and reading goes on after a mistake where it
can.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import yaml

from facekit.recipe.nodes import Entry, ListNode, MapNode, Node, ScalarNode, ScalarValue, items_of, text_of
from facekit.recipe.problems import Path, Problems
from facekit.recipe.resolved import Mark

_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # those PyYAML counts as line breaks
_UNFIT = re.compile("[\0\ud800-\udfff]")
"""What escapes can write and no file name, file or terminal takes: the null character and halves of surrogate pairs."""

_DEEPEST = 40
MOST_VALUES = 20_000
"""Most values of a document, aliases written out: small files can hold exponentially many."""

_WORDS: dict[str, ScalarValue] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+|(?P<octal>0o[0-7]+)|(?P<hexadecimal>0x[0-9a-fA-F]+)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NO_NUMERAL = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_MOST_DIGITS = 400

_INDENT = "lines of one level start in one column"
_KEY = re.compile(r":(\s|$)")
_FIRST_COLON = re.compile(r"\s*(-\s+)*[^\s#'\"{\[][^:]*$")

MarkMaker = Callable[[int, int], Mark]
"""Makes a mark from a 0-based line and column of the text that is parsed."""


def read_scalar(text: str) -> ScalarValue:
    """Return the value of a plain (unquoted) scalar as the core schema of YAML 1.2.2 (section 10.3.2) reads it.

    PyYAML follows YAML 1.1, in which ``on`` is true, ``1_000`` is 1000, ``010`` is 8 and ``1e-4`` is a string.

    Raises:
        ValueError: an integer of more than 400 digits.
    """
    if text in _WORDS:
        return _WORDS[text]
    integer = _INTEGER.fullmatch(text)
    if integer is not None:
        if len(text) > _MOST_DIGITS:
            raise ValueError(f"a number of {len(text)} digits")
        return int(text, 8 if integer["octal"] else 16 if integer["hexadecimal"] else 10)
    if _FLOAT.fullmatch(text):
        return float(text)
    return float(text.replace(".", "")) if _NO_NUMERAL.fullmatch(text) else text


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
    go_on: Callable[[], None] | None = None,
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
        composer = _Composer(loader, marks, problems, most_values, go_on)
        composer.next()  # the start of the stream
        if isinstance(composer.next(), yaml.StreamEndEvent):
            return None
        root = composer.node(composer.next(), path)
        composer.next()  # the end of the document
        following = composer.next()
        if not isinstance(following, yaml.StreamEndEvent):
            said = "a second document starts here; a recipe is one"
            problems.add(said, composer.mark(following), remedy="remove the `---`")
        return root
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


@dataclass
class _Composer:
    """Makes nodes of the parser's events."""

    loader: yaml.SafeLoader
    marks: MarkMaker
    problems: Problems
    most: int
    go_on: Callable[[], None] | None
    anchors: dict[str, tuple[Node, int] | None] = field(default_factory=dict)
    """The nodes of anchors and how many values each holds; None while its node is still open."""
    count: int = 0

    def next(self) -> yaml.Event:
        if self.go_on is not None:
            self.go_on()
        return self.loader.get_event()

    def mark(self, event: yaml.Event) -> Mark:
        assert event.start_mark is not None  # as all events of the parser have
        return self.marks(event.start_mark.line, event.start_mark.column)

    def node(self, event: yaml.Event, path: Path) -> Node:
        mark = self.mark(event)
        if len(path) > _DEEPEST:
            self.problems.add(f"nested more than {_DEEPEST} levels deep", mark, path[:8])
            raise _Hopeless
        node: Node
        if isinstance(event, yaml.AliasEvent):
            name = str(event.anchor)
            anchored = self.anchors.get(name)
            if anchored is None:
                problem = f"*{name} stands inside &{name}, so it would contain itself"
                remedy = None
                if name not in self.anchors:
                    problem = f"*{name} refers to &{name}, which does not stand before it"
                    remedy = "text that starts with * goes in quotes"
                self.problems.add(problem, mark, path, remedy, breaks=True)
                return ScalarNode(None, mark)
            self._grow(anchored[1], mark, path)
            return anchored[0]
        assert isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent)  # nothing else can stand here
        before = self.count
        self._grow(1, mark, path)
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        if event.tag is not None:
            remedy = "put text that looks like a number in quotes"
            self.problems.add(f"tags such as {event.tag!r} are not used in recipes", mark, path, remedy)
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event, mark, path)
        elif isinstance(event, yaml.SequenceStartEvent):
            items: list[Node] = []
            while not isinstance(child := self.next(), yaml.SequenceEndEvent):
                items.append(self.node(child, (*path, len(items))))
            node = ListNode(tuple(items), mark)
        else:
            node = self._map(mark, path)
        if event.anchor is not None:
            self.anchors[event.anchor] = (node, self.count - before)
        return node

    def _scalar(self, event: yaml.ScalarEvent, mark: Mark, path: Path) -> ScalarNode:
        if unfit := _UNFIT.search(event.value):
            character = f"U+{ord(unfit[0]):04X}"
            self.problems.add(f"the character {character} is of no text", mark, path, "take this escape out")
            return ScalarNode(_UNFIT.sub("?", event.value), mark)
        if event.style is not None:
            return ScalarNode(event.value, mark)
        try:
            return ScalarNode(read_scalar(event.value), mark)
        except ValueError as error:
            self.problems.add(f"this is {error}", mark, path)
            return ScalarNode(event.value, mark)

    def _map(self, mark: Mark, path: Path) -> MapNode:
        entries: dict[str, Entry] = {}
        merged: dict[str, Entry] = {}
        while not isinstance(event := self.next(), yaml.MappingEndEvent):
            key_mark = self.mark(event)
            key: str | None = None
            if not isinstance(event, yaml.ScalarEvent):
                key = text_of(self.node(event, (*path, "?")))  # an alias of a text; keys of keys nest as values do
                if key is None:
                    self.problems.add("a key must be text, not a list or a map", key_mark, path)
            elif isinstance(read := self._scalar(event, key_mark, path).value, str):
                key = read
            else:
                said = f"the key {event.value or 'nothing'} is not text"
                self.problems.add(said, key_mark, path, f'put it in quotes: "{event.value}"')
            value = self.node(self.next(), (*path, "?" if key is None else key))
            if key == "<<" and isinstance(event, yaml.ScalarEvent) and event.style is None:
                for item in items_of(value):
                    if isinstance(item, MapNode):
                        merged = {**item.entries, **merged}  # of several maps that are merged the first one wins
                    else:
                        self.problems.add("`<<` merges maps, and this is not one", value.mark, (*path, "<<"))
            elif key is not None and key in entries:
                said = f"{key!r} stands here a second time; first in line {entries[key].key_mark.line}"
                self.problems.add(said, key_mark, (*path, key))
            elif key is not None:
                entries[key] = Entry(key_mark, value)
        return MapNode({**entries, **{key: entry for key, entry in merged.items() if key not in entries}}, mark)

    def _grow(self, size: int, mark: Mark, path: Path) -> None:
        self.count += size
        if self.count > self.most:
            self.problems.add(f"more than {self.most:,} values, aliases written out", mark, path[:8])
            raise _Hopeless


def explain(error: yaml.MarkedYAMLError, lines: Sequence[str]) -> tuple[int, int, str, str | None]:
    """Return the 0-based line and column, the message and the remedy for a syntax error in a text of these lines.

    The place is where the mistake most likely is, which is not always where the parser stops.
    """
    problem = error.problem or error.context or "this is not YAML"
    mark = error.problem_mark or error.context_mark
    start = error.context_mark or mark
    if mark is None or start is None:
        return 0, 0, problem, None
    here, there = (mark.line, mark.column), (start.line, start.column)
    line = lines[mark.line] if mark.line < len(lines) else ""
    indentation = len(line) - len(line.lstrip(" "))
    ends = "<stream end>" in problem
    if "'\\t'" in problem:
        return *here, "a tab stands here", "YAML indents with spaces"
    if "mapping values are not allowed" in problem:
        filled = [i for i in range(mark.line) if lines[i].strip() and not lines[i].lstrip().startswith("#")]
        if filled:
            above = lines[filled[-1]]
            content = len(above) - len(re.sub(r"^ *(- +)*", "", above))
            if content == indentation and not _KEY.search(above):
                return filled[-1], content, "a key without `:`", "write `key: value`"
            if _FIRST_COLON.fullmatch(line[: mark.column]):
                # The line itself is sound, so it is its indentation that made it a part of the value above.
                return mark.line, indentation, "this line is indented too far to fit the line above it", _INDENT
        return *here, "a second `:` in one line", "put text that holds `: ` in quotes"
    if "expected <block end>" in problem:
        if mark.column == indentation:
            return *here, "this line's indentation fits no line above it", _INDENT
        return *here, "this cannot stand here after a complete value", "is a quote or a comma too many?"
    if "could not find expected ':'" in problem:
        return *there, "a key without `:`", "write `key: value`"
    if "unexpected end of stream" in problem and "quoted scalar" in (error.context or ""):
        return *there, "this quote is never closed", None
    if "flow" in (error.context or "") and "expected ','" in problem:
        bracket, closing = ("{", "}") if "mapping" in (error.context or "") else ("[", "]")
        if mark.line == start.line and not ends:
            return *here, f"expected `,` or `{closing}` here", f"the `{bracket}` is in column {start.column + 1}"
        inside = None if ends else f"line {mark.line + 1} does not belong inside it"
        return *there, f"this `{bracket}` is not closed", inside
    if "cannot start any token" in problem:
        character = line[mark.column : mark.column + 1]
        return *here, f"a value cannot start with {character!r}", "put the text in quotes"
    if "unknown escape character" in problem:
        return *here, problem, "in double quotes a backslash is written `\\\\`"
    if "did not find expected <document start>" in problem:
        return *here, "this does not belong to the map above it", _INDENT
    if "expected the node content" in problem:
        return *here, "a value is missing here", "is a bracket not closed?" if ends else None
    return *here, problem, None
