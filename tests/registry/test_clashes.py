"""Names that several plugins claim: both sides are named, and what comes of it is what facekit really does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from facekit.doctor.conflicts import NameClash, command_clashes
from facekit.doctor.diagnosis import Diagnosis, RecipeNeeds
from facekit.interfaces import FacekitError
from facekit.registry import PluginSet, Registry
from facekit.registry.discovery import PluginOrigin

Install = Any
Diagnose = Callable[..., Diagnosis]

LABEL_MAPS = """
from facekit.interfaces import LabelClass, LabelMap
from facekit.registry import hookimpl

@hookimpl
def facekit_label_maps():
    return [LabelMap("faces", (LabelClass("skin", (1, 2, 3)),))]
"""

COMMANDS = """
from facekit.registry import CommandSpec, hookimpl

@hookimpl
def facekit_commands():
    return [CommandSpec(name=name, summary="", target="json:dumps") for name in {names}]
"""


def _load(*names: str) -> PluginSet:
    plugins = PluginSet({"FACEKIT_PLUGINS": ",".join(names)})
    plugins.load_installed()
    return plugins


def _sides(clash: NameClash) -> list[str]:
    return [origin.distribution for origin in clash.sides]


def _losers(clash: NameClash) -> list[str]:
    return [origin.distribution for origin in clash.losers]


def test_components_that_two_plugins_claim_are_nobodys(install: Install, diagnosed: Diagnose) -> None:
    install.component("face-one", "same/l1")
    install.component("face-two", "same/l1")
    install.component("face-three", "other/l1", kind="metric")
    recipe = RecipeNeeds("mine.yaml", Path("mine.yaml"), "", (("loss", "l1"), ("metric", "l1")))
    diagnosis = diagnosed("face-one", "face-two", "face-three", recipes=[recipe])
    (clash,) = diagnosis.clashes
    assert (clash.what, clash.name, clash.outcome) == ("component", "loss same/l1", "nobody gets it")
    assert _sides(clash) == _losers(clash) == ["face-one", "face-two"]
    states = {plugin.origin.distribution: plugin.state for plugin in diagnosis.plugins}
    assert states == {"face-one": "clashing", "face-two": "clashing", "face-three": "sound"}
    assert not diagnosis.sound
    assert diagnosis.named_in(("loss", "same/l1")) == [recipe]
    one = diagnosis.plugins[0]
    assert one.lost == (("loss", "same/l1"),)
    assert [(each.recipe, each.components) for each in one.affected] == [(recipe, (("loss", "same/l1"),))]
    assert one.problems[0].what == "loss same/l1 is claimed by face-two 1.2 as well: nobody gets it"
    # One side is enough.
    assert diagnosis.without in ("-face-one", "-face-two")
    assert diagnosed("face-one", "face-two", environment={"FACEKIT_PLUGINS": diagnosis.without}).sound

    registry = Registry(_load("face-one", "face-two", "face-three"))
    with pytest.raises(FacekitError, match=r"loss 'same/l1' is claimed by face-one 1.2 \(face_one\) and face-two 1.2"):
        registry.find("loss", "l1")
    assert registry.find("metric", "l1").spec.id == "other/l1"


def test_the_known_side_of_a_clash_is_kept(install: Install, diagnosed: Diagnose) -> None:
    install.component("a-stranger", "losses/l1")
    install.component("z-stranger", "losses/hinge_of_mine")
    diagnosis = diagnosed("a-stranger", "facekit-losses", "z-stranger")
    assert diagnosis.without == "-a-stranger"


def test_the_first_of_two_label_maps_is_kept(install: Install, diagnosed: Diagnose) -> None:
    install("face-one", LABEL_MAPS)
    install("face-two", LABEL_MAPS)
    diagnosis = diagnosed("face-one", "face-two")
    (clash,) = diagnosis.clashes
    assert clash.title == "label map faces"
    assert (_sides(clash), _losers(clash)) == (["face-one", "face-two"], ["face-two"])
    assert [plugin.state for plugin in diagnosis.plugins] == ["sound", "clashing"]
    assert diagnosis.without == "-face-two"
    registry = Registry(_load("face-one", "face-two"))
    assert "faces" in registry.label_maps
    assert [failure.origin.distribution for failure in registry.plugins.failures] == ["face-two"]


def test_the_known_side_of_two_label_maps_is_advised_even_where_it_comes_second(
    install: Install, diagnosed: Diagnose
) -> None:
    install("a-stranger", LABEL_MAPS.replace('"faces"', '"celebamask_hq"'))
    diagnosis = diagnosed("a-stranger", "facekit-datasets")
    assert [plugin.state for plugin in diagnosis.plugins] == ["sound", "clashing"]
    assert diagnosis.without == "-a-stranger"


def test_commands_that_two_plugins_have(install: Install, diagnosed: Diagnose) -> None:
    install("face-one", COMMANDS.format(names=["greet"]))
    install("face-two", COMMANDS.format(names=["greet", "wave"]))
    (clash,) = diagnosed("face-one", "face-two").clashes
    assert (clash.title, clash.outcome) == ("command `greet`", "nobody gets it")
    assert _losers(clash) == ["face-one", "face-two"]


def test_commands_of_facekit_are_not_replaced(install: Install, diagnosed: Diagnose) -> None:
    install("face-one", COMMANDS.format(names=["run", "plugins more", "import mine"]))
    diagnosis = diagnosed("face-one")
    assert [(clash.name, clash.outcome, clash.with_facekit) for clash in diagnosis.clashes] == [
        ("run", "`facekit run` stays facekit's own", True),
        ("plugins more", "`facekit plugins` stays facekit's own", True),
    ]
    (plugin,) = diagnosis.plugins
    assert plugin.problems[0].what == (
        "command `run` is claimed by itself and facekit itself as well: `facekit run` stays facekit's own"
    )


def _origin(name: str) -> PluginOrigin:
    return PluginOrigin(name, name, "1.2", name)


def test_a_command_cannot_be_a_group_as_well() -> None:
    a, b, c = _origin("a"), _origin("b"), _origin("c")
    offered = [(a, "tool"), (b, "tool one"), (b, "tool two"), (c, "toolbox")]
    (clash,) = command_clashes(offered, own={"run": False})
    assert clash.outcome == "it cannot be a command and the group of `tool one`, so nobody gets it"
    assert clash.sides == clash.losers == (a, b)


def test_two_plugins_may_add_to_one_group() -> None:
    a, b = _origin("a"), _origin("b")
    assert list(command_clashes([(a, "tool one"), (b, "tool two"), (b, "import b")], own={"import": True})) == []
    (clash,) = command_clashes([(a, "tool one"), (b, "tool one")], own={})
    assert clash.name == "tool one"


def test_a_broken_plugin_does_not_clash(install: Install, diagnosed: Diagnose) -> None:
    install.component("face-one", "same/l1")
    install("face-two", install.source("face-two", "same/l1") + "1 / 0\n")
    diagnosis = diagnosed("face-one", "face-two")
    assert diagnosis.clashes == ()
    assert [plugin.state for plugin in diagnosis.plugins] == ["sound", "broken"]
    assert diagnosis.plugins[1].lost == ()  # what it would offer is to be had from the other
