"""What is told of a component: facts, ports with the example's options, the example, where it comes from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import Field, field_validator

from facekit.components.describe import ComponentDescription, describe_component, example_of, homepage
from facekit.interfaces import DISCRIMINATOR_OUTPUT, IMAGE, FacekitError, NoOptions, Options, Port, PortContext, Ports
from facekit.registry import ComponentSpec, Migration, PluginInfo, PluginSet, Registry, hookimpl, load_registry


def _spec(**changes: Any) -> ComponentSpec:
    fields: dict[str, Any] = {
        "interface_version": 1,
        "kind": "loss",
        "id": "mine/thing",
        "summary": "A thing.",
        "options": NoOptions,
        "factory": "facekit.components.describe:describe_component",
    }
    return ComponentSpec(**{**fields, **changes})


def _described(spec: ComponentSpec, info: PluginInfo | None = None) -> ComponentDescription:
    class Plugin:
        @hookimpl
        def facekit_components(self) -> list[ComponentSpec]:
            return [spec]

        @hookimpl
        def facekit_plugin_info(self) -> PluginInfo:
            return info or PluginInfo(summary="Mine.")

    plugins = PluginSet({})
    plugins.register(Plugin(), name="mine")
    registry = Registry(plugins)
    return describe_component(registry, registry.find(spec.kind, spec.id))


class ScaleOptions(Options):
    scales: int = Field(2, ge=1)


def _scale_ports(options: ScaleOptions, context: PortContext) -> Ports:
    return Ports(needs=tuple(Port(f"scale_{index}", ("batch",)) for index in range(options.scales)))


def test_ports_are_those_of_the_example() -> None:
    described = _described(_spec(options=ScaleOptions, ports=_scale_ports, example={"scales": 3}))
    (group,) = described.ports
    assert [port.name for port in group.ports.needs] == ["scale_0", "scale_1", "scale_2"]
    assert described.ports_problem is None


def test_a_loss_whose_ports_differ_from_player_to_player_has_both() -> None:
    def ports(options: NoOptions, context: PortContext) -> Ports:
        return Ports(needs=(DISCRIMINATOR_OUTPUT,) if context.player == "generator" else (DISCRIMINATOR_OUTPUT, IMAGE))

    both = ("generator", "discriminator")
    described = _described(_spec(ports=ports, players=both))
    assert [group.players for group in described.ports] == [("generator",), ("discriminator",)]
    same = _described(_spec(ports=lambda options, context: Ports(needs=(IMAGE,)), players=both))
    assert [group.players for group in same.ports] == [both]


@pytest.mark.parametrize(
    ("ports", "problem"),
    [
        (lambda options, context: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda options, context: "none", "TypeError: its ports are of type str, not Ports"),
    ],
)
def test_ports_that_cannot_be_computed_say_why(ports: Callable[[Any, PortContext], Any], problem: str) -> None:
    described = _described(_spec(ports=ports))
    assert described.ports == ()
    assert described.ports_problem == problem


def test_ports_that_refuse_say_so_in_their_words() -> None:
    def ports(options: NoOptions, context: PortContext) -> Ports:
        raise FacekitError("no label map has a class 'hare'")

    assert _described(_spec(ports=ports)).ports_problem == "no label map has a class 'hare'"


class Required(Options):
    root: Path
    count: int = Field(ge=3)
    share: float = Field(gt=0, lt=1)
    mode: Literal["fast", "slow"]
    word: str = Field(min_length=8)
    names: tuple[str, ...]
    pair: tuple[int, float]
    inner: ScaleOptions
    maybe: int | None
    flag: bool
    kept: str = "as it is"


def test_values_of_required_options_are_made_up() -> None:
    example = example_of(_spec(options=Required, example={"mode": "slow", "kept": "set"}))
    assert example.problem is None
    assert example.made_up == ("root", "count", "share", "word", "names", "pair", "inner", "maybe", "flag")
    assert list(example.options)[-2:] == ["mode", "kept"]  # what the author wrote, after what was made up
    assert example.options["root"] == "path/to/root"
    assert example.options["count"] == 3
    assert isinstance(example.validated, Required)
    assert example.validated.mode == "slow"


@pytest.mark.parametrize(
    "limits",
    [{"gt": 0}, {"gt": 4, "lt": 6}, {"ge": 7}, {"le": -2}, {"lt": 0}, {"multiple_of": 8, "gt": 8}, {"ge": 5, "le": 5}],
)
@pytest.mark.parametrize("kind", [int, float])
def test_made_up_numbers_keep_their_limits(limits: dict[str, float], kind: type) -> None:
    from pydantic import create_model

    model = create_model("Limited", __base__=Options, number=(kind, Field(**limits)))
    assert example_of(_spec(options=model)).problem is None


class Picky(Options):
    word: str
    other: int = 1

    @field_validator("word")
    @classmethod
    def _is_right(cls, word: str) -> str:
        if word != "right":
            raise ValueError("it must be right")
        return word


@pytest.mark.parametrize(
    ("example", "problem"),
    [
        ({}, "word: Value error, it must be right"),
        ({"word": "right", "othr": 2}, "othr: Extra inputs are not permitted"),
        ({"word": "right", "other": "2"}, "other: Input should be a valid integer"),
        ({"word": object()}, "TypeError: Object of type object is not JSON serializable"),
    ],
)
def test_an_example_that_is_refused_says_why(example: dict[str, Any], problem: str) -> None:
    described = _described(_spec(options=Picky, example=example))
    assert described.example.problem == problem
    assert described.example.validated is None
    assert described.ports_problem == f"its example options are refused ({problem})"


def test_a_factory_that_is_not_there_is_told() -> None:
    described = _described(_spec(factory="no_such_module_at_all:build"))
    assert described.source is None
    assert described.source_problem == "there is no module 'no_such_module_at_all'"


def test_json_tells_everything() -> None:
    spec = _spec(
        kind="discriminator",
        options=ScaleOptions,
        ports=lambda options, context: Ports(
            needs=(IMAGE,), gives=(DISCRIMINATOR_OUTPUT,), smallest_size=8, size_multiple=4
        ),
        paper="A paper",
        licence="MIT",
        weights_licence="CC-BY-4.0",
        batch_dependent=True,
        version=2,
        migrations=(Migration(to=2, summary="`scale` is called `scales`", renamed={"scale": "scales"}),),
        probe="facekit.components.describe:describe_component",
        example={"scales": 3},
    )
    told = _described(spec, PluginInfo(summary="Mine.", homepage="https://example.org")).as_json()
    told = json.loads(json.dumps(told, allow_nan=False))
    assert told["source"]["file"].endswith("describe.py")
    assert told["source"]["line"] > 1
    assert told["options_schema"]["properties"]["scales"]["minimum"] == 1
    assert told["options"] == [
        {"name": "scales", "type": "whole number, at least 1", "required": False, "default": 2, "description": ""}
    ]
    (ports,) = told["ports"]
    assert ports["needs"] == [
        {
            "name": "image",
            "shape": ["batch", 3, "size", "size"],
            "dtype": "float",
            "value_range": [-1.0, 1.0],
            "classes": None,
            "optional": False,
        }
    ]
    assert [port["name"] for port in ports["gives"]] == ["discriminated"]
    assert (ports["smallest_size"], ports["size_multiple"], ports["smallest_batch"]) == (8, 4, 1)
    facts = {key: told[key] for key in told if key not in ("source", "options", "options_schema", "ports")}
    assert facts == {
        "kind": "discriminator",
        "id": "mine/thing",
        "name": "thing",
        "summary": "A thing.",
        "version": 2,
        "interface_version": 1,
        "migrations": [{"to": 2, "summary": "`scale` is called `scales`"}],
        "players": None,
        "batch_dependent": True,
        "paper": "A paper",
        "licence": "MIT",
        "weights_licence": "CC-BY-4.0",
        "factory": "facekit.components.describe:describe_component",
        "probe": "facekit.components.describe:describe_component",
        "plugin": "mine",
        "distribution": "mine",
        "distribution_version": None,
        "homepage": "https://example.org",
        "source_problem": None,
        "ports_problem": None,
        "example": {"scales": 3},
        "example_made_up": [],
        "example_problem": None,
    }


def test_the_homepage_of_a_distribution_serves_where_the_plugin_names_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from facekit.registry import PluginOrigin

    about = tmp_path / "facekit_linked-1.0.dist-info" / "METADATA"
    about.parent.mkdir()
    about.write_text(
        "Metadata-Version: 2.1\nName: facekit-linked\nVersion: 1.0\n"
        "Project-URL: Issues, https://example.org/issues\nProject-URL: Repository, https://example.org/code\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry(PluginSet({}))
    assert homepage(registry, PluginOrigin("linked", "facekit-linked", "1.0", "x")) == "https://example.org/code"
    assert homepage(registry, PluginOrigin("file", str(tmp_path / "file.py"), "", "file")) is None


def test_every_installed_component_is_told_without_a_problem() -> None:
    registry = load_registry()
    for entry in registry.components.values():
        described = describe_component(registry, entry)
        assert described.source_problem is None, entry.spec.id
        assert described.ports_problem is None, entry.spec.id
        assert described.example.problem is None, entry.spec.id
        assert described.example.made_up == (), f"{entry.spec.id} has required options and needs an example"
        for option in described.options:
            assert option.description, f"{entry.spec.id}: {option.name} says nothing of itself"


def test_every_installed_network_and_loss_has_ports() -> None:
    registry = load_registry()
    for entry in registry.components.values():
        if entry.spec.kind in ("segmenter", "face_detector", "executor"):
            continue
        (group, *_) = describe_component(registry, entry).ports
        assert group.ports.needs or group.ports.gives, entry.spec.id
