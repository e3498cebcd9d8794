"""Says in plain words what the YAML parser choked on, and points at the place where the mistake most likely is."""

from __future__ import annotations

import re
from collections.abc import Sequence

import yaml

_INDENT = "lines of one level start in one column"
_KEY = re.compile(r":(\s|$)")
_FIRST_COLON = re.compile(r"\s*(-\s+)*[^\s#'\"{\[][^:]*$")


def explain(error: yaml.MarkedYAMLError, lines: Sequence[str]) -> tuple[int, int, str, str | None]:
    """Return the 0-based line and column, the message and the remedy for a syntax error in a text of these lines."""
    problem = error.problem or error.context or "this is not YAML"
    mark = error.problem_mark or error.context_mark
    start = error.context_mark or mark
    if mark is None or start is None:
        return 0, 0, problem, None
    line = lines[mark.line] if mark.line < len(lines) else ""
    if "'\\t'" in problem:
        return mark.line, mark.column, "a tab stands here", "YAML indents with spaces"
    if "mapping values are not allowed" in problem:
        above = _line_above(lines, mark.line)
        if above is not None and _content_column(lines[above]) == _indentation(line) and not _KEY.search(lines[above]):
            return above, _content_column(lines[above]), "a key without `:`", "write `key: value`"
        if above is not None and _FIRST_COLON.fullmatch(line[: mark.column]):
            # The line itself is sound, so it is its indentation that made it a part of the value above.
            return mark.line, _indentation(line), "this line is indented too far to fit the line above it", _INDENT
        return mark.line, mark.column, "a second `:` in one line", "put text that holds `: ` in quotes"
    if "expected <block end>" in problem:
        if mark.column == _indentation(line):
            return mark.line, mark.column, "this line's indentation fits no line above it", _INDENT
        return (
            mark.line,
            mark.column,
            "this cannot stand here after a complete value",
            "is a quote or a comma too many?",
        )
    if "could not find expected ':'" in problem:
        return start.line, start.column, "a key without `:`", "write `key: value`"
    if "unexpected end of stream" in problem and "quoted scalar" in (error.context or ""):
        return start.line, start.column, "this quote is never closed", None
    if "flow" in (error.context or "") and "expected ','" in problem:
        bracket = "{" if "mapping" in (error.context or "") else "["
        if mark.line == start.line and "<stream end>" not in problem:
            closing = "}" if bracket == "{" else "]"
            return (
                mark.line,
                mark.column,
                f"expected `,` or `{closing}` here",
                f"the `{bracket}` is in column {start.column + 1}",
            )
        inside = None if "<stream end>" in problem else f"line {mark.line + 1} does not belong inside it"
        return start.line, start.column, f"this `{bracket}` is not closed", inside
    if "cannot start any token" in problem:
        character = line[mark.column : mark.column + 1]
        return mark.line, mark.column, f"a value cannot start with {character!r}", "put the text in quotes"
    if "unknown escape character" in problem:
        return mark.line, mark.column, problem, "in double quotes a backslash is written `\\\\`"
    if "did not find expected <document start>" in problem:
        return mark.line, mark.column, "this does not belong to the map above it", _INDENT
    if "expected the node content" in problem:
        remedy = "is a bracket not closed?" if "<stream end>" in problem else None
        return mark.line, mark.column, "a value is missing here", remedy
    return mark.line, mark.column, problem, None


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _content_column(line: str) -> int:
    """Return where a line's content starts, after its indentation and the dashes of list items."""
    match = re.match(r" *(- +)*", line)
    return match.end() if match else 0


def _line_above(lines: Sequence[str], line: int) -> int | None:
    """Return the nearest line above that is neither empty nor a comment."""
    for above in range(line - 1, -1, -1):
        if lines[above].strip() and not lines[above].lstrip().startswith("#"):
            return above
    return None
