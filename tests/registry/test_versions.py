"""Versions of the interfaces: older components are adapted or refused, newer ones refused, and everybody says why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from facekit import __version__
from facekit.interfaces import (
    GENERATED,
    IMAGE,
    INTERFACE_VERSION,
    BuildContext,
    LabelMap,
    NoOptions,
    Options,
    PortContext,
    Ports,
)
from facekit.recipe import RecipeError, read_recipe
from facekit.registry import (
    INTERFACE_CHANGES,
    ComponentSpec,
    InterfaceChange,
    PluginOrigin,
    PluginSet,
    Registry,
    UnknownComponent,
    hookimpl,
)
from facekit.registry.versions import newest_version

PLUGIN = """
from facekit.interfaces import NoOptions
from facekit.registry import ComponentSpec, hookimpl

def build(options, context):
    return "what version 1 builds"

@hookimpl
def facekit_components():
    def spec(name, version):
        return ComponentSpec(
            interface_version=version, kind="loss", id=f"old/{name}", summary="", options=NoOptions,
            factory=__name__ + ":build",
        )
    return [spec("first", 1), spec("second", 2), spec("third", 3)]
"""

REFUSED = InterfaceChange(version=2, toolkit="0.4.0", summary="Losses are given the step in place of the batch.")


def _spec(**more: Any) -> ComponentSpec:
    first = {"kind": "loss", "id": "x/l1", "summary": "", "options": NoOptions, "factory": "a:b"}
    return ComponentSpec(**{"interface_version": 1, **first, **more})


class _Plugin:
    def __init__(self, *specs: ComponentSpec) -> None:
        self._specs = specs

    @hookimpl
    def facekit_components(self) -> list[ComponentSpec]:
        return [*self._specs]


def _registry(*specs: ComponentSpec, changes: Sequence[InterfaceChange] = INTERFACE_CHANGES) -> Registry:
    plugins = PluginSet({})
    plugins.register(_Plugin(*specs), name="one")
    return Registry(plugins, changes=changes)


def _said(registry: Registry, name: str) -> str:
    with pytest.raises(UnknownComponent) as caught:
        registry.find("loss", name)
    return str(caught.value)


class _Doubled(ComponentSpec):
    """A component whose factory gives what has to be wrapped."""

    def build(self, options: Options, context: Any) -> Any:
        return [super().build(options, context)] * 2


def _needs_photos(spec: ComponentSpec) -> ComponentSpec:
    def ports(options: Options, context: PortContext) -> Ports:
        own = spec.ports(options, context)
        return replace(own, needs=(*own.needs, IMAGE))

    return replace(spec, ports=ports)


def _doubles(spec: ComponentSpec) -> ComponentSpec:
    return _Doubled(**vars(spec))


ADAPTED = (
    InterfaceChange(version=2, toolkit="0.4.0", summary="Losses name the photos they need.", adapt=_needs_photos),
    InterfaceChange(version=3, toolkit="0.5.0", summary="Factories give two.", adapt=_doubles),
)


def test_the_table_leads_to_the_version_of_the_interfaces_without_a_gap() -> None:
    assert newest_version(INTERFACE_CHANGES) == INTERFACE_VERSION
    assert [change.version for change in INTERFACE_CHANGES] == list(range(2, INTERFACE_VERSION + 1))


def test_older_components_are_adapted_step_by_step(tmp_path: Path) -> None:
    file = tmp_path / "old_plugin.py"
    file.write_text(PLUGIN, encoding="utf-8")
    plugins = PluginSet({})
    plugins.load_file(file)
    registry = Registry(plugins, changes=ADAPTED)
    assert not plugins.failures
    found = {name: registry.find("loss", name).spec for name in ("first", "second", "third")}
    assert {spec.interface_version for spec in found.values()} == {3}
    context = BuildContext(LabelMap("none", ()), (), 64)
    needs = {name: spec.ports(NoOptions(), PortContext(size=64)).needs for name, spec in found.items()}
    assert needs == {"first": (IMAGE,), "second": (), "third": ()}
    built = {name: spec.build(NoOptions(), context) for name, spec in found.items()}
    one = "what version 1 builds"
    assert built == {"first": [one, one], "second": [one, one], "third": one}


def test_an_older_component_that_cannot_be_adapted_is_refused_and_the_others_live() -> None:
    changes = (REFUSED, ADAPTED[1])
    registry = _registry(_spec(), _spec(id="x/l2", interface_version=2), changes=changes)
    assert registry.names("loss") == ["l2"]
    sentence = (
        f"loss 'x/l1' is written for version 1 of facekit's interfaces, and this facekit-toolkit ({__version__}) "
        "speaks version 3. What changed since (version 2: Losses are given the step in place of the batch; "
        "version 3: Factories give two)"
    )
    remedy = "change one, and then its interface_version; or install facekit-toolkit<0.4.0, which speaks version 1"
    for name in ("l1", "x/l1"):
        assert _said(registry, name) == f"{sentence}\n  {remedy}"
    (failure,) = registry.plugins.failures
    assert (failure.stage, failure.error) == ("reading its components", f"{sentence}; {remedy}")
    (refusal,) = registry.refused
    assert (refusal.kind, refusal.id, refusal.origin.name) == ("loss", "x/l1", "one")


def test_an_installed_plugin_that_is_too_old_is_told_to_be_upgraded() -> None:
    registry = _registry(changes=(REFUSED,))
    registry._add(PluginOrigin("two", "facekit-two", "1.2", "two"), _spec())
    assert _said(registry, "l1").endswith(
        "  upgrade it: `pip install --upgrade facekit-two`; or install facekit-toolkit<0.4.0, which speaks version 1"
    )


@pytest.mark.parametrize(
    ("adapt", "said"),
    [
        (lambda spec: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda spec: "a spec", "TypeError: it became str, not a ComponentSpec"),
    ],
)
def test_an_adapter_that_fails_refuses_the_component_alone(adapt: Any, said: str) -> None:
    change = InterfaceChange(version=2, toolkit="0.4.0", summary="Losses are lists.", adapt=adapt)
    registry = _registry(_spec(), _spec(id="x/l2", interface_version=2), changes=(change,))
    assert registry.names("loss") == ["l2"]
    assert f"could not be adapted to version 2 (Losses are lists): {said}" in _said(registry, "l1")


def test_a_newer_component_is_refused_and_the_others_live() -> None:
    registry = _registry(_spec(interface_version=INTERFACE_VERSION + 1), _spec(id="x/l2"))
    assert registry.names("loss") == ["l2"]
    assert _said(registry, "l1") == (
        "loss 'x/l1' is written for version 2 of facekit's interfaces, and this facekit-toolkit "
        f"({__version__}) speaks version 1\n  upgrade facekit: `pip install --upgrade facekit-toolkit`; or install an "
        "older one"
    )
    planted = _registry(_spec(interface_version=4), changes=ADAPTED)
    assert "speaks versions up to 3" in _said(planted, "l1")


def test_a_newer_component_says_which_facekit_its_plugin_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def requires(name: str) -> list[str]:
        assert name == "facekit-two"
        return ["torch>=2", "facekit-toolkit-extras>=9", 'facekit_toolkit >=0.9,<2 ; python_version > "3"']

    monkeypatch.setattr(metadata, "requires", requires)
    registry = _registry()
    registry._add(PluginOrigin("two", "facekit-two", "1.2", "two"), _spec(interface_version=2))
    assert _said(registry, "l1").endswith(
        "  upgrade facekit: `pip install 'facekit-toolkit>=0.9,<2'`, which facekit-two 1.2 asks for"
    )


@pytest.mark.parametrize("version", [0, -1, True, "1", 1.0, None])
def test_what_is_no_version_is_refused_in_words(version: Any) -> None:
    registry = _registry(_spec(interface_version=version), _spec(id="x/l2"))
    assert registry.names("loss") == ["l2"]
    assert _said(registry, "l1") == (
        f"loss 'x/l1' states {version!r} as its interface version; versions are whole numbers from 1\n"
        "  write interface_version=1 in its spec"
    )


def test_a_recipe_that_names_a_refused_component_says_why_at_its_place(catalogue: Registry, good_recipe: Path) -> None:
    spec = _spec(id="third/l7", interface_version=2, ports=lambda options, context: Ports(needs=(GENERATED,)))
    catalogue.plugins.register(_Plugin(spec), name="third-party")
    catalogue.refresh()
    assert read_recipe(good_recipe, registry=catalogue).name == "good"
    for name in ("l7", "third/l7", "third/l7@1"):
        with pytest.raises(RecipeError) as caught:
            read_recipe(good_recipe, registry=catalogue, overrides=[f"losses.generator[1]={{use: {name}}}"])
        (problem,) = caught.value.problems
        assert problem.path == "losses.generator[1].use"
        assert problem.mark.is_override
        assert problem.message.startswith("loss 'third/l7' is written for version 2 of facekit's interfaces")
        assert "upgrade facekit" in str(problem.remedy)


def test_a_component_that_another_plugin_offers_for_this_interface_is_used() -> None:
    plugins = PluginSet({})
    plugins.register(_Plugin(_spec(interface_version=2)), name="new")
    plugins.register(_Plugin(_spec()), name="fitting")
    registry = Registry(plugins)
    assert registry.find("loss", "l1").origin.name == "fitting"
    assert not registry.clashes
