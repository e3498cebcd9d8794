"""The YAML reader: YAML 1.2 scalars, places, and what it refuses."""

from __future__ import annotations

import math
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from facekit.recipe.nodes import MapNode, plain
from facekit.recipe.problems import Problems
from facekit.recipe.yaml_source import file_marks, parse_yaml


def _parse(text: str) -> tuple[Any, Problems]:
    problems = Problems()
    node = parse_yaml(text, marks=file_marks(text, "f.yaml"), problems=problems)
    return node, problems


def _value(text: str) -> Any:
    node, problems = _parse(f"key: {text}\n")
    assert not problems.found, problems.found
    return plain(node)["key"]


def _only_problem(text: str) -> str:
    _, problems = _parse(text)
    assert len(problems.found) == 1, problems.found
    return str(problems.found[0])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("2e-4", 2e-4),
        ("2.0e-4", 2e-4),
        ("1E+3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-.5e1", -5.0),
        ("8", 8),
        ("+8", 8),
        ("-0", 0),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("true", True),
        ("False", False),
        ("TRUE", True),
        ("null", None),
        ("~", None),
        ("", None),
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("No", "No"),
        ("y", "y"),
        ("tRue", "tRue"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2026-11-22", "2026-11-22"),
        ("0b11", "0b11"),
        ("1e", "1e"),
        ("'8'", "8"),
        ('"true"', "true"),
        ('"\\x41\\u00e9"', "Aé"),
        ("a # comment", "a"),
        ("a#b", "a#b"),
        ("[1, two, 3.0]", [1, "two", 3.0]),
        ("{a: 1, b: {c: on}}", {"a": 1, "b": {"c": "on"}}),
        ("|\n  one\n  two\n", "one\ntwo\n"),
        (">\n  one\n  two\n", "one two\n"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    read = _value(text)
    assert read == value
    assert type(read) is type(value)


def test_special_floats() -> None:
    assert _value(".inf") == math.inf
    assert _value("-.Inf") == -math.inf
    assert math.isnan(_value(".nan"))


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a: 1\na: 2\n", "2:1", "first in line 1"),
        ("a: {b: 1, c: 2, b: 3}\n", "1:17", "'b' stands here a second time"),
        ("a:\n\tb: 1\n", "2:1", "a tab"),
        ("a: 1\n b: 2\n", "2:2", "indented too far"),
        ("a:\n    b: 1\n  c: 2\n", "3:3", "indentation fits no line above"),
        ("a: 'x\nb: 1\n", "1:4", "never closed"),
        ("a: [1, 2\nb: 1\n", "1:4", "`[` is not closed"),
        ("a: {b: 1\n", "1:4", "`{` is not closed"),
        ("a: {b: 1]\n", "1:9", "expected `,` or `}`"),
        ("a b\nc: 1\n", "1:1", "a key without `:`"),
        ("x: 1\na b\nc: 1\n", "2:1", "a key without `:`"),
        ("a: b: c\n", "1:5", "a second `:`"),
        ("a: @b\n", "1:4", "cannot start with '@'"),
        ("a: *b\n", "1:4", "does not stand before it"),
        ("a: &b [1, *b]\n", "1:11", "contain itself"),
        ("a: !!python/object:os.system x\n", "1:4", "tags"),
        ("a: !mine x\n", "1:4", "tags"),
        ("1: x\n", "1:1", "the key 1 is not text"),
        ("true: x\n", "1:1", "the key true is not text"),
        ("? [a]\n: 1\n", "1:3", "a key must be text"),
        ("a: 1\n---\nb: 2\n", "2:1", "second document"),
        ('a: "\\q"\n', "1:6", "unknown escape"),
        ('a: "\\UFFFFFFFF"\n', "1:7", "no Unicode character"),
        ("a: 1\nb: \x07\n", "2:4", "U+0007"),
        ("a: " + "9" * 5000 + "\n", "1:4", "5000 digits"),
        ("a: 1\n<<: 5\n", "2:5", "merges maps"),
        ('a: "x\\ud800"\n', "1:4", "the character U+D800 is of no text"),
        ('a: "x\\0"\n', "1:4", "the character U+0000 is of no text"),
        ('"\\udc00": 1\n', "1:1", "the character U+DC00 is of no text"),
    ],
)
def test_what_is_refused_and_where(text: str, place: str, words: str) -> None:
    message = _only_problem(text)
    assert message.startswith(f"f.yaml:{place}: "), message
    assert words in message


def test_reading_goes_on_after_a_key_that_stands_twice() -> None:
    _, problems = _parse("a: 1\na: 2\nb: {c: 1, c: 2}\n3: x\n")
    assert [(p.mark.line, p.mark.column) for p in problems.found] == [(2, 1), (3, 11), (4, 1)]


def test_aliases_and_merge_keys() -> None:
    node, problems = _parse("base: &b {x: 1, y: 2}\none: *b\ntwo: {<<: *b, y: 3}\nthree:\n  <<: [{y: 5}, *b]\n  z: 4\n")
    assert not problems.found
    assert plain(node) == {
        "base": {"x": 1, "y": 2},
        "one": {"x": 1, "y": 2},
        "two": {"x": 1, "y": 3},
        "three": {"z": 4, "y": 5, "x": 1},
    }


def test_aliases_cannot_blow_up() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    message = _only_problem("\n".join(lines))
    assert "more than 20,000 values" in message
    assert message.startswith("f.yaml:5:")  # 10, 100, 1000, 10000, and then too many


def test_depth_is_limited_and_does_not_exhaust_the_stack() -> None:
    assert "levels deep" in _only_problem("a: " + "[" * 50_000)
    assert "levels deep" in _only_problem("? " * 3000 + "a")


def test_marks_survive_windows_line_ends_and_wide_characters() -> None:
    node, _ = _parse('é: "ü"\r\nnext: 1\r\n')
    assert isinstance(node, MapNode)
    assert str(node.entries["next"].node.mark) == "f.yaml:2:7"
    assert node.entries["next"].node.mark.text == "next: 1"
    assert str(node.entries["é"].node.mark) == "f.yaml:1:4"


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab:-#'\"[]{},&*!|>%@` \n\t\\0.1\x85é\x07", max_size=40))
def test_any_text_gives_a_tree_or_problems_inside_the_text(text: str) -> None:
    node, problems = _parse(text)
    if node is None and not problems.found:
        assert yaml.compose(text, Loader=yaml.SafeLoader) is None
    for problem in problems.found:
        assert 1 <= problem.mark.line <= text.count("\n") + text.count("\x85") + 2
        assert problem.mark.column >= 1
        str(problem)
