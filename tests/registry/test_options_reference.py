"""Options in words and as JSON Schema: every kind of type that options may have."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field, PositiveInt

from facekit.components.options import OptionDescription, describe_options, options_schema, prose
from facekit.interfaces import Options


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Warmup(Options):
    """Steps at the start."""

    steps: int = Field(100, ge=0)
    """How many."""
    shape: Literal["linear", "cosine"] = "linear"


class Stage(Options):
    name: str
    """What it is called."""
    weight: float = Field(1.0, ge=0, lt=1)


class Linear(Options):
    """A straight line."""

    kind: Literal["linear"] = "linear"
    slope: float = 1.0


class Steps(Options):
    kind: Literal["steps"] = "steps"
    at: tuple[int, ...] = ()


class Tree(Options):
    value: int = 0
    children: tuple[Tree, ...] = ()


class Everything(Options):
    whole: int = 3
    """A description
    of two lines, with ``code`` and :class:`Role`."""
    positive: PositiveInt = 1
    small: int = Field(2, ge=1, le=8)
    fraction: float = Field(0.5, gt=0, lt=1)
    fine: float = Field(1 / 512, ge=1 / 512)
    large: int = Field(0, le=10_000_000)
    even: int = Field(0, multiple_of=2)
    flag: bool = False
    text: str
    code: str = Field("a", pattern="^[a-z]+$", min_length=1, max_length=9)
    path: Path = Path("photos")
    choice: Literal["lsgan", "hinge"] = "lsgan"
    level: Literal[0, 1, 2] = 2
    colour: Colour = Colour.RED
    perhaps: int | None = Field(None, ge=1)
    either: int | Literal["auto"] = "auto"
    one_of: Literal["a", "b"] | None = None
    numbers: tuple[float, ...] = ()
    bounded: tuple[Annotated[float, Field(ge=0)], ...] = ()
    pair: tuple[float, float] = (0.5, 0.999)
    mixed: tuple[int, str] = (1, "a")
    at_least_one: list[str] = Field(["x"], min_length=1)
    names: frozenset[str] = frozenset({"b", "a"})
    weights: dict[str, float] = Field(default_factory=lambda: {"hair": 4.0})
    shares: dict[Literal["train", "test"], float] = Field(default_factory=dict)
    warmup: Warmup = Warmup()
    """How it starts."""
    later: Warmup | None = None
    stages: tuple[Stage, ...] = ()
    regions: dict[str, Stage] = Field(default_factory=dict)
    schedule: Annotated[Linear | Steps, Field(discriminator="kind")] = Linear()
    tree: Tree = Tree()
    anything: Any = None
    size: Callable[[int], int] | None = None


WORDS = {
    "whole": "whole number",
    "positive": "whole number, more than 0",
    "small": "whole number, 1 to 8",
    "fraction": "number, more than 0, less than 1",
    "fine": "number, at least 0.001953125",
    "large": "whole number, at most 10,000,000",
    "even": "whole number, a multiple of 2",
    "flag": "true or false",
    "text": "text",
    "code": "text, 1 to 9 characters, of the form ^[a-z]+$",
    "path": "path",
    "choice": "lsgan | hinge",
    "level": "0 | 1 | 2",
    "colour": "red | blue",
    "perhaps": "whole number, at least 1, or null",
    "either": "whole number or auto",
    "one_of": "a | b | null",
    "numbers": "list of numbers",
    "bounded": "list of numbers (at least 0)",
    "pair": "list of 2 numbers",
    "mixed": "list of 2: whole number; text",
    "at_least_one": "list of texts, at least 1 item",
    "names": "list of distinct texts",
    "weights": "map of text to number",
    "shares": "map of (train | test) to number",
    "warmup": "map of settings",
    "later": "map of settings or null",
    "stages": "list of maps of settings",
    "regions": "map of text to map of settings",
    "schedule": "map of settings (Linear) or map of settings (Steps)",
    "tree": "map of settings",
    "anything": "any value",
}

INSIDE = {
    "warmup": ["steps", "shape"],
    "later": ["steps", "shape"],
    "stages": ["[].name", "[].weight"],
    "regions": ["*.name", "*.weight"],
    "schedule": ["(Linear)", "(Steps)"],
    "tree": ["value", "children"],
}


@pytest.fixture(scope="module")
def described() -> dict[str, OptionDescription]:
    return {option.name: option for option in describe_options(Everything)}


@pytest.mark.parametrize("name", WORDS)
def test_types_in_words(described: dict[str, OptionDescription], name: str) -> None:
    assert described[name].type == WORDS[name]


def test_options_come_in_the_order_of_the_class(described: dict[str, OptionDescription]) -> None:
    assert list(described) == list(Everything.model_fields)


@pytest.mark.parametrize("name", INSIDE)
def test_what_is_inside_is_spelt_out(described: dict[str, OptionDescription], name: str) -> None:
    assert [option.name for option in described[name].options] == INSIDE[name]


def test_what_is_inside_has_types_and_defaults_too(described: dict[str, OptionDescription]) -> None:
    steps, shape = described["warmup"].options
    assert (steps.type, steps.default, steps.description) == ("whole number, at least 0", 100, "How many.")
    assert (shape.type, shape.default) == ("linear | cosine", "linear")
    name, weight = described["stages"].options
    assert name.required
    assert not weight.required
    line, steps = described["schedule"].options
    assert line.description == "A straight line."
    assert [option.name for option in steps.options] == ["kind", "at"]


def test_settings_inside_themselves_end(described: dict[str, OptionDescription]) -> None:
    (children,) = [option for option in described["tree"].options if option.name == "children"]
    assert children.type == "list of maps of settings"
    assert children.options == ()


def test_defaults(described: dict[str, OptionDescription]) -> None:
    assert described["text"].required
    assert not described["text"].has_default
    assert described["weights"].default == {"hair": 4.0}  # made by a factory
    assert described["pair"].default == [0.5, 0.999]
    assert described["path"].default == "photos"
    assert described["colour"].default == "red"
    assert described["names"].default == ["a", "b"]
    assert described["perhaps"].has_default
    assert described["perhaps"].default is None
    assert described["warmup"].default == {"steps": 100, "shape": "linear"}


def test_descriptions_are_prose(described: dict[str, OptionDescription]) -> None:
    assert described["whole"].description == "A description of two lines, with `code` and `Role`."


def test_a_type_that_json_schema_has_no_word_for_stays_open(described: dict[str, OptionDescription]) -> None:
    assert described["size"].type == "any value or null"
    assert options_schema(Everything)["properties"]["size"]["default"] is None


def test_the_description_is_plain_data() -> None:
    plain = [option.as_json() for option in describe_options(Everything)]
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert "default" not in next(option for option in plain if option["name"] == "text")


def test_the_schema_is_one_and_takes_what_the_options_take() -> None:
    schema = options_schema(Everything)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    assert validator.is_valid({"text": "a"})
    assert validator.is_valid({"text": "a", "perhaps": None, "one_of": None, "later": {"steps": 3}})
    for wrong in ({}, {"text": 1}, {"text": "a", "perhaps": 0}, {"text": "a", "one_of": "c"}, {"text": "a", "x": 1}):
        assert not validator.is_valid(wrong), wrong
    full = json.loads(Everything(text="a").model_dump_json(exclude={"size"}))
    assert list(validator.iter_errors(full)) == []


def test_a_default_that_json_cannot_hold_is_left_out() -> None:
    class Loose(BaseModel):
        largest: float = float("inf")
        bad: int = Field(default_factory=lambda: 1 // 0)
        follows: int = Field(default_factory=lambda data: data["largest"])

    largest, bad, follows = describe_options(Loose)
    assert not largest.has_default
    assert not bad.has_default
    assert not follows.has_default
    assert not bad.required
    json.dumps(options_schema(Loose), allow_nan=False)


def test_types_whose_own_code_fails_are_told_by_name() -> None:
    class Odd:
        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
            return handler(int)

        @classmethod
        def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> Any:
            raise RuntimeError("no schema today")

    class WithOdd(Options):
        odd: Odd
        """What it is."""
        other: int = 1

    schema = options_schema(WithOdd)
    assert "RuntimeError: no schema today" in schema["description"]
    odd, other = describe_options(WithOdd)
    assert (odd.name, odd.type, odd.required, odd.description) == ("odd", "any value", True, "What it is.")
    assert not other.required


def test_prose_keeps_paragraphs_and_lists() -> None:
    text = """First line
    goes on.

    Second paragraph:
    - one
      and more
    - two
    """
    assert prose(text) == "First line goes on.\n\nSecond paragraph:\n- one and more\n- two"
