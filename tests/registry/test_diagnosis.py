"""What is concluded from metadata, source and examinations: what is lost, which recipes miss it, what to switch off."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from facekit.doctor.diagnosis import Diagnosis, PluginDiagnosis, RecipeNeeds

Install = Any
Diagnose = Callable[..., Diagnosis]


def _recipe(name: str, *uses: tuple[str, str], source: str = "") -> RecipeNeeds:
    return RecipeNeeds(name, Path(f"{name}.yaml"), source, uses)  # type: ignore[arg-type]


def _one(diagnosis: Diagnosis) -> PluginDiagnosis:
    (plugin,) = diagnosis.plugins
    return plugin


def test_a_sound_plugin(install: Install, diagnosed: Diagnose) -> None:
    install.component("face-one", "one/l1")
    diagnosis = diagnosed("face-one")
    plugin = _one(diagnosis)
    assert diagnosis.sound
    assert (plugin.state, plugin.gives, plugin.lost) == ("sound", (("loss", "one/l1"),), ())
    assert plugin.folder == str(install.site)
    assert diagnosis.without == ""


def test_recipes_that_miss_what_a_broken_plugin_offers(install: Install, diagnosed: Diagnose) -> None:
    install("face-one", install.source("face-one", "one/l1") + "1 / 0\n")
    by_name, by_id = _recipe("by_name", ("loss", "l1")), _recipe("by_id", ("loss", "one/l1"))
    other_kind, other = _recipe("other_kind", ("metric", "l1")), _recipe("other", ("loss", "l2"))
    diagnosis = diagnosed("face-one", recipes=[by_name, by_id, other_kind, other])
    plugin = _one(diagnosis)
    assert (plugin.state, plugin.from_source) == ("broken", True)
    assert plugin.lost == (("loss", "one/l1"),)
    assert [one.recipe for one in plugin.affected] == [by_name, by_id]
    assert plugin.switch_off == diagnosis.without == "-face-one"


def test_a_name_that_another_plugin_gives_is_not_missed(install: Install, diagnosed: Diagnose) -> None:
    install("face-one", install.source("face-one", "one/l1") + "1 / 0\n")
    install.component("face-two", "two/l1")
    by_name, by_id = _recipe("by_name", ("loss", "l1")), _recipe("by_id", ("loss", "one/l1"))
    broken, _ = diagnosed("face-one", "face-two", recipes=[by_name, by_id]).plugins
    assert [one.recipe for one in broken.affected] == [by_id]


def test_a_plugin_that_ends_the_process(install: Install, diagnosed: Diagnose) -> None:
    install("face-one", install.source("face-one", "one/l1") + "import os\nos._exit(0)\n")
    plugin = _one(diagnosed("face-one"))
    assert plugin.ends_facekit
    assert plugin.lost == (("loss", "one/l1"),)


def test_a_component_whose_factory_is_gone_is_lost_alone(install: Install, diagnosed: Diagnose) -> None:
    source = install.source("face-one", "one/l1")
    spec = source[source.index("        ComponentSpec(") : source.index("    ]\n")]
    gone = spec.replace("one/l1", "one/gone").replace("face_one:build", "face_one_gone:build")
    install("face-one", source.replace(spec, f"{spec.rstrip()},\n{gone}"))
    plugin = _one(diagnosed("face-one"))
    assert (plugin.gives, plugin.lost) == ((("loss", "one/l1"),), (("loss", "one/gone"),))
    (problem,) = plugin.problems
    assert problem.what.startswith("loss one/gone: its factory 'face_one_gone:build' cannot be found")


def test_plugins_that_are_switched_off_are_not_examined(install: Install, diagnosed: Diagnose, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    install("face-one", install.source("face-one", "one/l1") + f"open({str(ran)!r}, 'w')\n")
    recipe = _recipe("mine", ("loss", "l1"))
    for environment in ({"FACEKIT_NO_PLUGINS": "1"}, {"FACEKIT_PLUGINS": "-Face_One"}):
        diagnosis = diagnosed("face-one", recipes=[recipe], environment=environment)
        plugin = _one(diagnosis)
        assert plugin.state == "switched off"
        assert [one.recipe for one in plugin.affected] == [recipe]
        assert diagnosis.sound
    assert not ran.exists()


def test_a_switch_that_names_nothing(install: Install, diagnosed: Diagnose) -> None:
    install.component("face-one", "one/l1")
    diagnosis = diagnosed("face-one", environment={"FACEKIT_PLUGINS": "-face-oen"})
    (mistake,) = diagnosis.mistakes
    assert mistake.message == "FACEKIT_PLUGINS names 'face-oen', and no such plugin is installed"
    assert mistake.remedy == "did you mean 'face-one'?"
    assert not diagnosis.sound


def test_what_is_switched_off_already_stays_off(install: Install, diagnosed: Diagnose) -> None:
    install.component("face-one", "one/l1")
    install("face-two", "1 / 0")
    diagnosis = diagnosed("face-one", "face-two", environment={"FACEKIT_PLUGINS": "-face-one,"})
    assert diagnosis.without == "-face-one,-face-two"
    diagnosis = diagnosed("face-one", "face-two", environment={"FACEKIT_PLUGINS": "face-two"})
    assert diagnosis.without == "face-two,-face-two"


def test_one_of_two_plugins_of_a_distribution_is_switched_off_alone(install: Install, diagnosed: Diagnose) -> None:
    install("face-one", install.source("face-one", "one/l1"), entry_points="good = face_one\nbad = gone_module")
    diagnosis = diagnosed("face-one")
    assert {one.origin.name: one.switch_off for one in diagnosis.plugins} == {"good": "-good", "bad": "-bad"}
    assert diagnosis.without == "-bad"


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda info: (info / "entry_points.txt").write_bytes(b"[facekit.plugins]\n\xff"), "UnicodeDecodeError"),
        (lambda info: (info / "entry_points.txt").write_text("[facekit.plugins]\nnothing\n"), ""),
        (lambda info: (info / "METADATA").unlink(), "ValueError: it has no METADATA that says its name"),
    ],
)
def test_distributions_that_cannot_be_read(
    install: Install, diagnosed: Diagnose, damage: Callable[[Path], object], told: str
) -> None:
    damage(install("face-one", ""))
    diagnosis = diagnosed("face_one", "face-one")
    plugin = _one(diagnosis)
    assert plugin.state == "broken"
    (problem,) = plugin.problems
    assert problem.stage == "reading its entry points"
    assert problem.what.startswith(told)
    assert f"`pip install --force-reinstall {plugin.origin.distribution}`" in problem.remedy
    assert plugin.folder == str(install.site)
    assert diagnosed("face_one", "face-one", environment={"FACEKIT_PLUGINS": plugin.switch_off}).sound


def test_requirements_that_are_not_met(install: Install, diagnosed: Diagnose) -> None:
    install("face-one", install.hook, metadata="Requires-Dist: face-gone>=2\n")
    (problem,) = _one(diagnosed("face-one")).problems
    assert problem.what == "it needs face-gone>=2, which is not installed"
    assert problem.remedy == "`pip install --upgrade face-one` gets what it needs"


@pytest.mark.parametrize(
    ("hook", "told"),
    [
        ("def facekit_components", "facekit_components without @hookimpl, so it is not called"),
        ("@hookimpl\ndef facekit_component", "unknown hook 'facekit_component'; did you mean 'facekit_components'?"),
    ],
)
def test_components_of_a_hook_that_nobody_calls_are_lost(
    install: Install, diagnosed: Diagnose, hook: str, told: str
) -> None:
    source = install.source("face-one", "one/freckles").replace("@hookimpl\ndef facekit_components", hook)
    install("face-one", source)
    recipe = _recipe("mine", ("loss", "freckles"))
    found = _one(diagnosed("face-one", recipes=[recipe]))
    assert found.state == "broken"
    assert found.problems[0].stage == "registering its hooks"
    assert found.problems[0].what.startswith(told)
    assert (found.lost, found.from_source) == ((("loss", "one/freckles"),), True)
    assert [one.recipe.name for one in found.affected] == ["mine"]


def test_an_entry_point_in_another_group(install: Install, diagnosed: Diagnose) -> None:
    info: Path = install.component("face-one", "one/freckles")
    (info / "entry_points.txt").write_text("[facekit_plugins]\none = face_one\n", encoding="utf-8")
    diagnosis = diagnosed("face-one", recipes=[_recipe("mine", ("loss", "freckles"))])
    found = _one(diagnosis)
    assert not diagnosis.sound
    assert found.state == "broken"
    (problem,) = found.problems
    assert problem.what == (
        "the entry point 'one' stands in the group 'facekit_plugins', and facekit looks into 'facekit.plugins' only"
    )
    assert problem.remedy.startswith('write [project.entry-points."facekit.plugins"] in its pyproject.toml')
    assert found.lost == (("loss", "one/freckles"),)
    assert [one.recipe.name for one in found.affected] == ["mine"]
    assert diagnosis.without == "-face-one"
    off = diagnosed("face-one", environment={"FACEKIT_PLUGINS": diagnosis.without})
    assert off.sound
    assert _one(off).state == "switched off"


def test_what_a_plugin_costs(install: Install, diagnosed: Diagnose) -> None:
    install("face-one", f"{install.hook}import time\ntime.sleep(1.2)\n")
    install("face-two", f"{install.hook}print('hello')\n")
    slow, loud = diagnosed("face-one", "face-two").plugins
    assert (slow.state, slow.notes) == ("sound", ("it takes 1.2 s to load, for which every command waits",))
    assert loud.problems[0].what == "it prints while it is loaded, at every command"
    assert loud.problems[0].detail == "hello"


@pytest.mark.parametrize(
    ("source", "when"),
    [
        ("import torch\ndef facekit_recipes():\n    return []\n", "when it is imported"),
        ("def facekit_recipes():\n    import torch\n    return []\n", "in facekit_recipes"),
    ],
)
def test_importing_torch(install: Install, diagnosed: Diagnose, source: str, when: str) -> None:
    install("torch-of-mine", None, files={"torch/__init__.py": ""}, entry_points="")  # the real one takes seconds
    install(
        "face-one", f"from facekit.registry import hookimpl\n{source.replace('def ', '@hookimpl' + chr(10) + 'def ')}"
    )
    (problem,) = _one(diagnosed("face-one")).problems
    assert problem.what.startswith(f"it imports torch {when}, for which every command waits")


def test_a_recipe_that_cannot_be_read_is_its_plugins_problem(install: Install, diagnosed: Diagnose) -> None:
    path = install.write("face_one_recipes/bad.yaml", "facekit: [\n")
    install(
        "face-one",
        "from pathlib import Path\nfrom facekit.registry import hookimpl\n"
        f"@hookimpl\ndef facekit_recipes():\n    return [Path({str(path)!r})]\n",
    )
    recipe = RecipeNeeds("bad", path, "face-one", (), "the bracket is not closed")
    (problem,) = _one(diagnosed("face-one", recipes=[recipe])).problems
    assert problem.what == f"{path} cannot be read: the bracket is not closed"
