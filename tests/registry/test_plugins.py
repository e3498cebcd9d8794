"""Loading plugins: real fake distributions on the path, quarantine, the switches, plugin files."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from facekit.interfaces import FacekitError, LabelClass, LabelMap, NoOptions
from facekit.registry import (
    ComponentSpec,
    PluginInfo,
    PluginSet,
    Registry,
    UnknownComponent,
    forget_registries,
    hookimpl,
    load_registry,
)

GOOD = """\
from facekit.interfaces import NoOptions
from facekit.registry import ComponentSpec, hookimpl

@hookimpl
def facekit_components():
    return [ComponentSpec(interface_version=1, kind="loss", id="{id}", summary="s", options=NoOptions, factory="a:b")]
"""

Install = Any


def _only(*names: str, **more: str) -> dict[str, str]:
    return {"FACEKIT_PLUGINS": ",".join(names), **more}


def _load(*names: str, **more: str) -> PluginSet:
    plugins = PluginSet(_only(*names, **more))
    plugins.load_installed()
    return plugins


def test_an_installed_plugin_is_loaded(install: Install) -> None:
    install("face-one", GOOD.format(id="one/l1"))
    plugins = _load("face-one")
    (loaded,) = plugins.loaded
    assert str(loaded.origin) == "face-one 1.2"
    assert loaded.origin.target == "face_one"
    assert Registry(plugins).find("loss", "l1").origin == loaded.origin
    assert not plugins.failures


@pytest.mark.parametrize(
    ("source", "stage", "error"),
    [
        ("1 / 0", "importing it", "ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(3)", "importing it", "SystemExit: 3"),
        ("import no_such_module_anywhere", "importing it", "ModuleNotFoundError: No module named"),
        ("def broken(:", "importing it", "SyntaxError"),
        ("class Quit(BaseException): ...\nraise Quit('gone')", "importing it", "Quit: gone"),
        (
            "class Mute(Exception):\n    def __str__(self):\n        raise SystemExit(0)\nraise Mute",
            "importing it",
            "Mute: (its message cannot be shown",
        ),
        (
            "from facekit.registry import hookimpl\n@hookimpl\ndef facekit_components(registry):\n    return []\n",
            "registering its hooks",
            "PluginValidationError",
        ),
    ],
)
def test_a_plugin_that_cannot_be_loaded_stops_only_itself(
    install: Install, source: str, stage: str, error: str
) -> None:
    install("face-broken", source)
    install("face-sound", GOOD.format(id="sound/l1"))
    plugins = _load("face-broken", "face-sound")
    (failure,) = plugins.failures
    assert (failure.origin.distribution, failure.stage) == ("face-broken", stage)
    assert failure.error.startswith(error)
    assert "Traceback" in failure.traceback
    registry = Registry(plugins)
    assert registry.names("loss") == ["l1"]
    with pytest.raises(FacekitError, match=r"a plugin that is not loaded may offer it \(face-broken 1.2\)"):
        registry.find("metric", "of_nobody_at_all")


UNMARKED = "def facekit_components():\n    return []\n"


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (
            "from facekit.registry import hookimpl\n@hookimpl\ndef facekit_component():\n    return []\n",
            "unknown hook 'facekit_component'; did you mean 'facekit_components'",
        ),
        (
            f"{UNMARKED}def facekit_recipes(): ...\n",
            "facekit_components and facekit_recipes without @hookimpl, so they are not called",
        ),
        (UNMARKED, "facekit_components without @hookimpl, so it is not called"),
        (
            "def facekit_component(): ...\n",
            "it has none of facekit's hooks, so it offers nothing: facekit_component is no hook; did you mean "
            "'facekit_components'",
        ),
        (
            "SPECS = []\nfacekit_components = SPECS\n",
            "it has none of facekit's hooks, so it offers nothing: a plugin is a module with functions under @hookimpl",
        ),
    ],
)
def test_hooks_that_nobody_calls(install: Install, tmp_path: Path, source: str, error: str) -> None:
    install("face-one", source)
    plugins = _load("face-one")
    (failure,) = plugins.failures
    assert failure.stage == "registering its hooks"
    assert failure.error.startswith(error)
    with pytest.raises(FacekitError, match=r"may offer it \(face-one 1.2\): see `facekit plugins doctor`"):
        Registry(plugins).find("metric", "of_nobody_at_all")
    # A file that was asked for by name is needed.
    file = tmp_path / "hookless file.py"
    file.write_text(source, encoding="utf-8")
    with pytest.raises(FacekitError, match=re.escape(error)) as caught:
        PluginSet({}).load_file(file)
    assert caught.value.remedy == f"`facekit plugins doctor --plugin-file '{file}'` says more"


def test_the_other_hooks_of_a_plugin_with_an_unmarked_one_work(install: Install) -> None:
    install("face-one", GOOD.format(id="one/l1") + "def facekit_recipes():\n    return []\n")
    plugins = _load("face-one")
    (failure,) = plugins.failures
    assert failure.error.startswith("facekit_recipes without @hookimpl")
    assert Registry(plugins).names("loss") == ["l1"]


@pytest.mark.parametrize("group", ["facekit_plugins", "facekit.plugin", "Facekit-Plugins", "facekit"])
def test_an_entry_point_in_a_group_that_looks_like_ours(install: Install, group: str) -> None:
    info: Path = install("face-one", GOOD.format(id="one/l1"))
    (info / "entry_points.txt").write_text(f"[{group}]\none = face_one\n", encoding="utf-8")
    plugins = _load("face-one")
    (failure,) = plugins.failures
    assert failure.error == (
        f"the entry point 'one' stands in the group {group!r}, and facekit looks into 'facekit.plugins' only"
    )
    with pytest.raises(FacekitError, match=r"face-one 1.2 offers it, and failed to load: see `facekit plugins doctor`"):
        Registry(plugins).find("loss", "one/l1")
    assert not _load("-face-one").failures


@pytest.mark.parametrize("group", ["facekit_tools.plugins", "console_scripts", "facekit.plugins.of_mine"])
def test_groups_of_others_are_their_own(install: Install, group: str) -> None:
    info: Path = install("face-one", GOOD.format(id="one/l1"))
    text = f"[facekit.plugins]\none = face_one\n[{group}]\ntwo = face_one:other\n[facekit_plugins]\none = face_one\n"
    (info / "entry_points.txt").write_text(text, encoding="utf-8")
    plugins = _load("face-one")
    assert not plugins.failures  # what stands in the right group too is found
    assert len(plugins.loaded) == 1


def test_two_plugin_files_with_one_id(install: Install, tmp_path: Path) -> None:
    plugins = PluginSet({})
    files = [tmp_path / f"twin file {number}.py" for number in (1, 2)]
    for file in files:
        file.write_text(GOOD.format(id="one/l1"), encoding="utf-8")
        plugins.load_file(file)
    with pytest.raises(UnknownComponent) as caught:
        Registry(plugins).find("loss", "l1")
    assert all(str(file) in caught.value.message for file in files)
    assert caught.value.remedy == "give one of the plugin files only, or rename it in one of them"

    install("face-one", GOOD.format(id="one/l1"))
    mixed = _load("face-one")
    mixed.load_file(files[0])
    with pytest.raises(UnknownComponent) as caught:
        Registry(mixed).find("loss", "l1")
    assert caught.value.remedy == (
        f"run without `--plugin-file '{files[0]}'`; or uninstall face-one, or leave it out: "
        "`FACEKIT_PLUGINS=-face-one facekit ...`"
    )


def test_an_entry_point_that_names_nothing(install: Install) -> None:
    install("face-one", GOOD.format(id="one/l1"), entry_points="x = face_one:missing\ny = no_such_module_at_all")
    plugins = _load("face-one")
    assert sorted(failure.error.split(":")[0] for failure in plugins.failures) == [
        "AttributeError",
        "ModuleNotFoundError",
    ]
    assert not plugins.loaded


def test_a_distribution_with_a_broken_entry_points_file(install: Install) -> None:
    install("face-broken", None, entry_points="this is no entry point")
    install("face-sound", GOOD.format(id="sound/l1"))
    plugins = PluginSet({})
    plugins.load_installed()
    assert [f.stage for f in plugins.failures if f.origin.distribution == "face-broken"] == ["reading its entry points"]
    assert "face-sound" in [loaded.origin.distribution for loaded in plugins.loaded]


def test_two_entry_points_to_one_module(install: Install) -> None:
    install("face-one", GOOD.format(id="one/l1"), entry_points="a = face_one\nb = face_one")
    plugins = _load("face-one")
    assert [loaded.origin.name for loaded in plugins.loaded] == ["a"]
    assert [failure.error for failure in plugins.failures] == [
        "face_one is loaded already, by the entry point 'a' of face-one 1.2"
    ]
    assert Registry(plugins).names("loss") == ["l1"]  # the first one still works


def test_two_plugins_of_one_name_are_both_loaded(install: Install) -> None:
    install("face-one", GOOD.format(id="one/l1"), entry_points="losses = face_one")
    install("face-two", GOOD.format(id="two/l2"), entry_points="losses = face_two")
    assert Registry(_load("face-one", "face-two")).names("loss") == ["l1", "l2"]


def test_switches(install: Install) -> None:
    install("face-one", GOOD.format(id="one/l1"))
    install("face-two", GOOD.format(id="two/l2"))
    assert [p.origin.name for p in _load("Face_One").loaded] == ["face-one"]
    nothing = PluginSet({"FACEKIT_NO_PLUGINS": "1"})
    nothing.load_installed()
    assert not nothing.loaded
    assert {"face-one", "face-two"} <= {origin.name for origin in nothing.skipped}
    everything = PluginSet({"FACEKIT_NO_PLUGINS": "0"})
    everything.load_installed()
    assert {"face-one", "face-two"} <= {p.origin.name for p in everything.loaded}
    with pytest.raises(FacekitError, match="FACEKIT_PLUGINS names 'face-oen', and no such plugin is installed"):
        _load("face-oen")


def test_failures_can_be_made_fatal(install: Install) -> None:
    install("face-broken", "1 / 0")
    with pytest.raises(
        FacekitError, match=r"plugin 'face-broken' of face-broken 1.2 failed while importing it: ZeroDiv"
    ):
        _load("face-broken", FACEKIT_STRICT_PLUGINS="1")


def test_load_registry_follows_the_switches_and_forgets(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("face-one", GOOD.format(id="one/l1"))
    monkeypatch.setenv("FACEKIT_PLUGINS", "face-one")
    registry = load_registry()
    assert registry.names("loss") == ["l1"]
    assert load_registry() is registry
    monkeypatch.setenv("FACEKIT_NO_PLUGINS", "1")
    assert load_registry().names("loss") == []
    monkeypatch.delenv("FACEKIT_NO_PLUGINS")
    forget_registries()
    assert load_registry() is not registry


def test_plugin_files(tmp_path: Path) -> None:
    path = tmp_path / "my_losses.py"
    path.write_text(GOOD.format(id="mine/l1") + "\ndef build(options, context):\n    return 42\n")
    path.write_text(path.read_text().replace('factory="a:b"', 'factory="my_losses:build"'))
    plugins = PluginSet({"FACEKIT_NO_PLUGINS": "1"})
    plugins.load_file(path)
    plugins.load_file(path)  # once is enough
    assert len(plugins.loaded) == 1
    found = Registry(plugins).find("loss", "l1")
    assert found.origin.distribution == str(path)
    assert found.spec.build(NoOptions(), None) == 42  # type: ignore[arg-type]


def test_plugin_files_that_fail(tmp_path: Path) -> None:
    with pytest.raises(FacekitError, match="no such plugin file"):
        PluginSet({}).load_file(tmp_path / "missing.py")
    broken = tmp_path / "broken_plugin_file.py"
    broken.write_text("1 / 0")
    with pytest.raises(FacekitError, match="failed while importing it: ZeroDivisionError"):
        PluginSet({}).load_file(broken)
    assert "broken_plugin_file" not in sys.modules
    taken = tmp_path / "json.py"
    taken.write_text("")
    with pytest.raises(FacekitError, match="another module called 'json' already"):
        PluginSet({}).load_file(taken)
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    with pytest.raises(FacekitError, match="is not a Python file"):
        PluginSet({}).load_file(text)


def _spec(**more: object) -> ComponentSpec:
    settings: dict[str, object] = {"kind": "loss", "id": "x/l1", "summary": "", "options": NoOptions, "factory": "a:b"}
    settings["interface_version"] = 1
    return ComponentSpec(**{**settings, **more})  # type: ignore[arg-type]


class _Returns:
    """A plugin whose hooks return what they are told."""

    def __init__(self, value: object) -> None:
        self._value = value
        self.calls = 0

    def _give(self) -> object:
        self.calls += 1
        if isinstance(self._value, BaseException):
            raise self._value
        return self._value() if callable(self._value) else self._value


class _Components(_Returns):
    @hookimpl
    def facekit_components(self) -> object:
        return self._give()


class _LabelMaps(_Returns):
    @hookimpl
    def facekit_label_maps(self) -> object:
        return self._give()


class _Others(_Returns):
    @hookimpl
    def facekit_recipes(self) -> object:
        return self._give()

    @hookimpl
    def facekit_commands(self) -> object:
        return self._give()

    @hookimpl
    def facekit_plugin_info(self) -> object:
        return self._give()


def _late() -> Iterator[ComponentSpec]:
    yield _spec(id="late/l9")
    raise OSError("half way")


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (None, "TypeError: it returned None, not a list of ComponentSpec"),
        (5, "TypeError: it returned 5, not a list of ComponentSpec"),
        ("a string", "TypeError: it returned 'a string', not a list of ComponentSpec"),
        ({"a": 1}, "TypeError: it returned {'a': 1}, not a list of ComponentSpec"),
        ([1, 2, 3], "it returned 1, which is not a ComponentSpec"),
        ([_spec], "it returned <function _spec"),
        (RuntimeError("no"), "RuntimeError: no"),
        (SystemExit(1), "SystemExit: 1"),
        (_late, "OSError: half way"),
    ],
)
def test_rubbish_from_a_hook(value: object, error: str) -> None:
    plugins = PluginSet({})
    plugins.register(_Components(value), name="rubbish")
    plugins.register(_Components([_spec(id="sound/l1")]), name="sound")
    registry = Registry(plugins)
    (failure,) = plugins.failures
    assert (failure.origin.name, failure.stage) == ("rubbish", "calling facekit_components")
    assert failure.error.startswith(error)
    assert registry.names("loss") == ["l1"]
    registry.refresh()
    assert len(plugins.failures) == 1  # said once


def test_what_is_sound_beside_rubbish_is_kept() -> None:
    plugins = PluginSet({})
    plugins.register(_Components([_spec(), "rubbish"]), name="half")
    assert Registry(plugins).names("loss") == ["l1"]
    assert len(plugins.failures) == 1


def test_rubbish_from_the_other_hooks() -> None:
    plugins = PluginSet({})
    plugins.register(_Others(["rubbish"]), name="rubbish")
    registry = Registry(plugins)
    assert registry.recipe_paths() == []
    assert registry.commands() == []
    assert plugins.call("facekit_plugin_info") == []
    assert [failure.stage.split()[1] for failure in plugins.failures] == [
        "facekit_recipes",
        "facekit_commands",
        "facekit_plugin_info",
    ]


def test_plugin_info() -> None:
    plugins = PluginSet({})
    loaded = plugins.register(_Others(PluginInfo(summary="hello")), name="polite")
    assert plugins.call("facekit_plugin_info") == [(loaded.origin, PluginInfo(summary="hello"))]


def test_an_unregistered_plugin_offers_nothing() -> None:
    plugins = PluginSet({})
    loaded = plugins.register(_Components([_spec()]), name="one")
    registry = Registry(plugins)
    assert registry.names("loss") == ["l1"]
    plugins.unregister(loaded)
    registry.refresh()
    assert registry.names("loss") == []


def test_a_merged_label_map_that_does_not_fit_is_left_out() -> None:
    fine = LabelMap("fine", (LabelClass("left", (0, 0, 0)), LabelClass("right", (1, 1, 1))))
    both = (LabelClass("both", (2, 2, 2)),)
    merges = (("left", "both"), ("right", "both"))
    plugins = PluginSet({})
    sound = LabelMap("sound", both, of="fine", merges=merges)
    alone = LabelMap("alone", both, of="not_installed", merges=merges)
    plugins.register(_LabelMaps([sound, alone, LabelMap("broken", both, of="fine", merges=merges[:1])]), name="merged")
    plugins.register(_LabelMaps([fine]), name="fine")  # whichever comes first
    registry = Registry(plugins)
    assert set(registry.label_maps) == {"fine", "sound", "alone"}
    (failure,) = plugins.failures
    assert (failure.origin.name, failure.stage) == ("merged", "reading its label maps")
    assert "'fine' has 'right', which keeps no name" in failure.error


def test_label_maps() -> None:
    faces = LabelMap("faces", (LabelClass("skin", (1, 2, 3)),))
    plugins = PluginSet({})
    plugins.register(_LabelMaps([faces]), name="one")
    plugins.register(_LabelMaps([LabelMap("faces", ()), LabelMap("other", ()), "rubbish"]), name="two")
    registry = Registry(plugins)
    assert registry.label_maps["faces"] is faces
    assert set(registry.label_maps) == {"faces", "other"}
    assert {failure.error for failure in plugins.failures} == {
        "label map 'faces' is already offered by one",
        "it returned 'rubbish', which is not a LabelMap",
    }


def test_recipes_of_plugins(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("a.yaml", "deep/b.yaml", "notes.md"):
        (tmp_path / name).write_text("")
    plugins = PluginSet({})
    plugins.register(_Others([tmp_path, tmp_path / "a.yaml"]), name="one")
    paths = [path.relative_to(tmp_path).as_posix() for _, path in Registry(plugins).recipe_paths()]
    assert paths == ["a.yaml", "deep/b.yaml", "a.yaml"]
