"""Versions of the interfaces: a component that is written for another one is refused, and told why."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from facekit import __version__
from facekit.interfaces import GENERATED, INTERFACE_VERSION, NoOptions, Ports
from facekit.recipe import RecipeError, read_recipe
from facekit.registry import ComponentSpec, PluginOrigin, PluginSet, Registry, UnknownComponent, hookimpl, registry


def _spec(**more: Any) -> ComponentSpec:
    first = {"kind": "loss", "id": "x/l1", "summary": "", "options": NoOptions, "factory": "a:b"}
    return ComponentSpec(**{"interface_version": 1, **first, **more})


class _Plugin:
    def __init__(self, *specs: ComponentSpec) -> None:
        self._specs = specs

    @hookimpl
    def facekit_components(self) -> list[ComponentSpec]:
        return [*self._specs]


def _registry(*specs: ComponentSpec) -> Registry:
    plugins = PluginSet({})
    plugins.register(_Plugin(*specs), name="one")
    return Registry(plugins)


def _said(found: Registry, name: str) -> str:
    with pytest.raises(UnknownComponent) as caught:
        found.find("loss", name)
    return str(caught.value)


def test_an_older_component_is_refused_and_the_others_live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "INTERFACE_VERSION", 2)
    found = _registry(_spec(), _spec(id="x/l2", interface_version=2))
    assert found.names("loss") == ["l2"]
    sentence = (
        f"loss 'x/l1' is written for version 1 of facekit's interfaces, and this facekit-toolkit ({__version__}) "
        "speaks version 2"
    )
    remedy = "is one the newest one you have?"
    for name in ("l1", "x/l1"):
        assert _said(found, name) == f"{sentence}\n  {remedy}"
    (failure,) = found.plugins.failures
    assert (failure.stage, failure.error) == ("reading its components", f"{sentence}; {remedy}")
    (refusal,) = found.refused
    assert (refusal.kind, refusal.id, refusal.origin.name) == ("loss", "x/l1", "one")


def test_an_installed_plugin_that_is_too_old_is_told_to_be_upgraded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "INTERFACE_VERSION", 2)
    found = _registry()
    found._add(PluginOrigin("two", "facekit-two", "1.2", "two"), _spec())
    assert _said(found, "l1").endswith("  upgrade it: `pip install --upgrade facekit-two`")


def test_a_newer_component_is_refused_and_the_others_live() -> None:
    found = _registry(_spec(interface_version=INTERFACE_VERSION + 1), _spec(id="x/l2"))
    assert found.names("loss") == ["l2"]
    assert _said(found, "l1") == (
        "loss 'x/l1' is written for version 2 of facekit's interfaces, and this facekit-toolkit "
        f"({__version__}) speaks version 1\n  upgrade facekit: `pip install --upgrade facekit-toolkit`; or install an "
        "older one"
    )


def test_a_newer_component_says_which_facekit_its_plugin_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def requires(name: str) -> list[str]:
        assert name == "facekit-two"
        return ["torch>=2", "facekit-toolkit-extras>=9", 'facekit_toolkit >=0.9,<2 ; python_version > "3"']

    monkeypatch.setattr(metadata, "requires", requires)
    found = _registry()
    found._add(PluginOrigin("two", "facekit-two", "1.2", "two"), _spec(interface_version=2))
    assert _said(found, "l1").endswith(
        "  upgrade facekit: `pip install 'facekit-toolkit>=0.9,<2'`, which facekit-two 1.2 asks for"
    )


@pytest.mark.parametrize("version", [0, -1, True, "1", 1.0, None])
def test_what_is_no_version_is_refused_in_words(version: Any) -> None:
    found = _registry(_spec(interface_version=version), _spec(id="x/l2"))
    assert found.names("loss") == ["l2"]
    assert _said(found, "l1") == (
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
