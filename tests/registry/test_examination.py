"""Examining plugins in processes of their own: whatever one does is found out, and hurts nothing here."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from facekit.doctor.probe import ENDING, Examination, examine, own_part
from facekit.registry import PluginOrigin

Install = Any
Examine = Callable[..., Examination]


def test_a_sound_plugin(install: Install, examined: Examine) -> None:
    recipe = install.write("face_one_recipes/one.yaml", "facekit: 1\n")
    install(
        "face-one",
        install.source("face-one", "one/l1")
        + f"""
import click
from pathlib import Path
from facekit.interfaces import LabelClass, LabelMap
from facekit.registry import CommandSpec, PluginInfo

@hookimpl
def facekit_plugin_info():
    return PluginInfo(summary="Face one")

@hookimpl
def facekit_label_maps():
    return [LabelMap("one", (LabelClass("skin", (1, 2, 3)),))]

@hookimpl
def facekit_recipes():
    return [Path({str(recipe.parent)!r})]

@hookimpl
def facekit_commands():
    return [CommandSpec(name="greet", summary="Greet.", target="face_one:greet")]

@click.command()
def greet(): ...
""",
    )
    found = examined("face-one")
    assert found.finished
    assert not found.problems
    assert not found.from_source
    assert found.components == found.usable == (("loss", "one/l1"),)
    assert found.label_maps == ("one",)
    assert found.commands == ("greet",)
    assert found.recipes == (recipe,)
    assert found.seconds is not None
    assert 0 <= found.seconds < 30
    assert "face_one" not in sys.modules  # it was imported there, not here


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit('no licence')", "SystemExit: no licence"),
        ("class Quit(BaseException): ...\nraise Quit", "Quit"),
        ("import no_such_module_at_all", "ModuleNotFoundError: No module named 'no_such_module_at_all'"),
        ("class Mute(Exception):\n    def __str__(self): raise ValueError\nraise Mute", "Mute: (its message cannot"),
    ],
)
def test_raising_at_import(install: Install, examined: Examine, source: str, error: str) -> None:
    install("face-one", source)
    found = examined("face-one")
    assert found.finished
    (failure,) = found.problems
    assert failure.stage == "importing it"
    assert failure.what.startswith(error)
    assert not found.ends_facekit
    # The plugin's own lines, without those of facekit and of the import system above them.
    lines = failure.detail.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert f'File "{install.site / "face_one.py"}", line' in lines[1]


def test_a_syntax_error_is_shown_with_its_line(install: Install, examined: Examine) -> None:
    install("face-one", "x = 1\ndef broken(:\n")
    (failure,) = examined("face-one").problems
    assert failure.what.startswith("SyntaxError: invalid syntax")
    assert "def broken(:" in failure.detail


def test_raising_in_a_hook(install: Install, examined: Examine) -> None:
    source = install.source("face-one", "one/l1").replace("    return [\n", "    1 / 0\n    return [\n", 1)
    more = "\n@hookimpl\ndef facekit_commands():\n    raise KeyError('x')\n"
    install("face-one", source + more)
    found = examined("face-one")
    assert [(one.stage, one.what) for one in found.problems] == [
        ("calling facekit_components", "ZeroDivisionError: division by zero"),
        ("calling facekit_commands", "KeyError: 'x'"),
    ]
    assert found.components == ()


def test_ending_the_process_at_once(install: Install, examined: Examine) -> None:
    install("face-one", "import os\nos._exit(7)")
    found = examined("face-one")
    assert not found.finished
    (failure,) = found.problems
    assert failure.stage == "importing it"
    assert failure.what == "it ended the whole process with exit code 7"
    assert found.ends_facekit


def test_ending_the_process_in_a_hook(install: Install, examined: Examine) -> None:
    install(
        "face-one",
        "import os\nfrom facekit.registry import hookimpl\n@hookimpl\ndef facekit_label_maps():\n    os._exit(0)\n",
    )
    (failure,) = examined("face-one").problems
    assert (failure.stage, failure.what) == (
        "calling facekit_label_maps",
        "it ended the whole process with exit code 0",
    )


def test_a_crash(install: Install, examined: Examine) -> None:
    install("face-one", "import ctypes\ndef fall():\n    ctypes.string_at(0)\nfall()\n")
    found = examined("face-one")
    (failure,) = found.problems
    assert failure.what == "the whole process was ended by SIGSEGV, a crash in compiled code"
    assert f'File "{install.site / "face_one.py"}", line 3, in fall' in failure.detail
    assert found.ends_facekit


def test_a_signal_without_a_trace(install: Install, examined: Examine) -> None:
    install("face-one", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    (failure,) = examined("face-one").problems
    assert failure.what == "the whole process was ended by SIGKILL, perhaps for using too much memory"
    assert failure.detail == ""


@pytest.mark.parametrize("wait", ["while True: pass", "import time\nwhile True: time.sleep(1)"])
def test_never_coming_back(install: Install, examined: Examine, wait: str) -> None:
    indented = wait.replace("\n", "\n    ")
    install("face-one", f"def wait():\n    {indented}\nwait()\n")
    began = time.monotonic()
    found = examined("face-one", time_limit=1.5)
    assert time.monotonic() - began < 12
    (failure,) = found.problems
    assert (failure.stage, failure.what) == ("importing it", "it had not come back after 1.5 s")
    assert found.ends_facekit
    assert "in wait" in failure.detail


def test_a_thread_that_does_not_let_the_process_end(install: Install, examined: Examine) -> None:
    install("face-one", f"{install.hook}import threading\nthreading.Thread(target=threading.Event().wait).start()\n")
    found = examined("face-one", time_limit=1.5)
    assert found.finished
    (failure,) = found.problems
    assert failure.stage == ENDING
    assert found.ends_facekit


def test_what_a_plugin_started_is_ended_with_it(install: Install, examined: Examine, tmp_path: Path) -> None:
    note = tmp_path / "child"
    install(
        "face-one",
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(note)!r}, 'w').write(str(child.pid))\n"
        "time.sleep(600)\n",
    )
    examined("face-one", time_limit=1.5)
    child = int(note.read_text())
    for _ in range(100):
        status = Path(f"/proc/{child}/stat")
        if not status.exists() or status.read_text().split()[2] == "Z":
            return
        time.sleep(0.05)
    os.kill(child, 9)
    pytest.fail("the child goes on after the examination")


def test_printing(install: Install, examined: Examine) -> None:
    source = "import os\nprint('hello')\nos.write(1, b'from below\\n')\n"
    install("face-one", f"{install.hook}{source}")
    (problem,) = examined("face-one").problems
    assert problem.what == "it prints while it is loaded, at every command"
    assert problem.detail.splitlines() == ["hello", "from below"]


def test_asking_a_question_gets_no_answer(install: Install, examined: Examine) -> None:
    install("face-one", "input('what is your name? ')")
    failure, printed = examined("face-one", time_limit=10).problems
    assert failure.what.startswith("EOFError")
    assert printed.detail == "what is your name?"


def test_importing_torch(install: Install, examined: Examine) -> None:
    install("torch-of-mine", None, files={"torch/__init__.py": ""}, entry_points="")  # the real one takes seconds
    install("face-one", "from facekit.registry import hookimpl\n@hookimpl\ndef facekit_recipes():\n    import torch\n"
            "    return []\n")  # fmt: skip
    (problem,) = examined("face-one").problems
    assert problem.what.startswith("it imports torch in facekit_recipes, for which every command waits")


def test_what_is_imported_later_is_looked_for_and_not_run(install: Install, examined: Examine) -> None:
    source = install.source("face-one", "one/l1")
    install("face-one", source.replace("face_one:build", "face_one_heavy:build"), files={"face_one_heavy.py": "1 / 0"})
    install("face-two", source.replace("face_one:build", "face_two_missing:build"))
    one, two = examined("face-one"), examined("face-two")
    assert one.components == two.components == (("loss", "one/l1"),)
    assert one.usable == two.usable == ()
    gone = "loss one/l1: its factory 'face_{}:build' cannot be found: {}"
    assert [problem.what for problem in one.problems] == [
        gone.format("one_heavy", f"{install.site}/face_one_heavy.py has no 'build'")
    ]
    assert [problem.what for problem in two.problems] == [
        gone.format("two_missing", "there is no module 'face_two_missing'")
    ]


def test_wrong_versions_are_refused(install: Install, examined: Examine) -> None:
    install.component("face-one", "one/l1", interface_version=9)
    found = examined("face-one")
    assert found.refused == (("loss", "one/l1"),)
    assert found.components == ()
    (refused,) = found.problems
    assert "is written for version 9 of facekit's interfaces" in refused.what
    assert "pip install" in refused.remedy


def test_a_component_declared_twice(install: Install, examined: Examine) -> None:
    source = install.source("face-one", "one/l1")
    body = source[source.index("    return [") :].partition("\n\n")[0].replace("    return ", "")
    install("face-one", source.replace("    return [", f"    return {body.strip()} + [", 1))
    (failure,) = examined("face-one").problems
    assert failure.what == "its components hold two loss 'one/l1', and neither is used"


def test_the_switches_do_not_reach_the_examination(
    install: Install, examined: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("face-one", "1 / 0")
    monkeypatch.setenv("FACEKIT_NO_PLUGINS", "1")
    monkeypatch.setenv("FACEKIT_STRICT_PLUGINS", "1")
    assert [one.what for one in examined("face-one").problems] == ["ZeroDivisionError: division by zero"]


def test_files(tmp_path: Path, install: Install) -> None:
    sound, broken = tmp_path / "sound_file.py", tmp_path / "broken_file.py"
    sound.write_text(install.hook, encoding="utf-8")
    broken.write_text("1 / 0", encoding="utf-8")
    first, second = examine([PluginOrigin.of_file(sound), PluginOrigin.of_file(broken)])
    assert first.finished
    assert not first.problems
    assert [one.what for one in second.problems] == ["ZeroDivisionError: division by zero"]


def test_several_keep_their_order(install: Install) -> None:
    origins = []
    for index in range(6):
        install(f"face-{index}", "import time\n" + ("time.sleep(0.5)\n" if index == 0 else ""))
        origins.append(PluginOrigin(f"face-{index}", f"face-{index}", "1.2", f"face_{index}"))
    found = examine(origins)
    assert [one.origin for one in found] == origins


def test_interrupting_ends_the_processes(install: Install, tmp_path: Path) -> None:
    note = tmp_path / "examined"
    install("face-one", f"import os, time\nopen({str(note)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)\n")
    program = (
        "from facekit.registry import PluginOrigin\n"
        "from facekit.doctor.probe import examine\n"
        "examine([PluginOrigin('face-one', 'face-one', '1.2', 'face_one')])\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(install.site)},
        stderr=subprocess.PIPE,
    )
    for _ in range(200):
        if note.exists() and note.read_text():
            break
        time.sleep(0.05)
    process.send_signal(2)
    _, complaint = process.communicate(timeout=10)
    assert b"KeyboardInterrupt" in complaint
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


def test_own_part_of_a_traceback_that_has_none() -> None:
    trace = (
        "Traceback (most recent call last):\n"
        '  File "<frozen importlib._bootstrap>", line 1, in _find_and_load\n'
        "ModuleNotFoundError: No module named 'gone'\n"
    )
    assert own_part(trace) == "ModuleNotFoundError: No module named 'gone'"
