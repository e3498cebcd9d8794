"""What run, report, resume and messages print is run as it is printed, in a shell: of a run made with plugin files."""

from __future__ import annotations

import html
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.conftest import FEW_PLUGINS

Done = subprocess.CompletedProcess[str]
Facekit = Callable[..., Done]
Shell = Callable[[str], Done]

TINY_PLUGIN = Path(__file__).parents[1] / "training" / "plugin" / "tiny_plugin.py"

STOPPER = """\
\"\"\"A plugin of one file without a component: it interrupts a run once, as Ctrl-C does.\"\"\"

import os
import signal
from pathlib import Path

from facekit.interfaces import StepLogged
from facekit.registry import hookimpl

@hookimpl
def facekit_run_event(event):
    if isinstance(event, StepLogged) and not Path("stopped").exists():
        Path("stopped").touch()
        os.kill(os.getpid(), signal.SIGINT)
"""

RECIPE = """\
facekit: 1
name: tiny
data: {use: tiny/faces, size: 16, workers: 1}
model:
  style_encoder: {use: tiny/encoder}
  generator: {use: tiny/painter}
losses:
  generator: [{use: tiny/l1}]
train: {steps: 3, batch: 4, precision: fp32, device: cpu, log_every: 1, samples: 2}
"""

CHANGING = """\
facekit: 1
name: changing
data: {use: synthetic_faces, size: 32, train: 6, validation: 4, test: 2, attributes: [Smiling, Eyeglasses]}
model:
  generator: {use: stargan, filters: 8, blocks: 1}
  discriminator: {use: stargan_patch, filters: 4, layers: 4}
losses:
  generator: [{use: cycle_reconstruction}]
  discriminator: [{use: domain_classification}]
train: {steps: 1, batch: 2, precision: fp32, device: cpu, samples: 2}
"""

FILES = ("--plugin-file", "plugins of mine/tiny_plugin.py", "--plugin-file", "plugins of mine/stopper.py")
RUN = "runs/my run"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: plugin files, recipes, and the pictures that examples name."""
    folder = tmp_path_factory.mktemp("user's home")
    (folder / "plugins of mine").mkdir()
    shutil.copy(TINY_PLUGIN, folder / "plugins of mine")
    (folder / "plugins of mine" / "stopper.py").write_text(STOPPER, encoding="utf-8")
    (folder / "tiny recipe.yaml").write_text(RECIPE, encoding="utf-8")
    (folder / "changing.yaml").write_text(CHANGING, encoding="utf-8")
    for name in ("mask.png", "photo_mask.png"):
        Image.fromarray(np.arange(32 * 32, dtype=np.uint8).reshape(32, 32) % 3).save(folder / name)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)).save(folder / "photo.jpg")
    return folder


@pytest.fixture(scope="module")
def process(home: Path, environment: dict[str, str]) -> Shell:
    """Run a line in a shell that finds ``facekit``."""
    path = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])

    def run(line: str) -> Done:
        return subprocess.run(
            line,
            shell=True,
            cwd=home,
            env={**environment, "PATH": path, "FACEKIT_CACHE": str(home / "cache")},
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


@pytest.fixture(scope="module")
def shell(home: Path, within: Callable[..., Any], process: Shell) -> Shell:
    """Run a line as a shell does; ``facekit`` inside this process, which need not import torch again."""

    def run(line: str) -> Done:
        program, *arguments = shlex.split(line)
        if program != "facekit":
            return process(line)
        switch = {"FACEKIT_PLUGINS": FEW_PLUGINS} if "doctor" in arguments else {}
        done = within(*arguments, cwd=home, FACEKIT_CACHE=str(home / "cache"), **switch)
        return Done(line, done.code, done.out, done.err)

    return run


@pytest.fixture(scope="module")
def told(shell: Shell) -> Facekit:
    """Run ``facekit`` with arguments."""
    return lambda *arguments: shell(shlex.join(["facekit", *map(str, arguments)]))


@pytest.fixture(scope="module")
def interrupted(process: Shell) -> Done:
    """A run that a plugin file trained and another one stopped after a step."""
    done = process(shlex.join(["facekit", "run", "tiny recipe.yaml", "--out", RUN, *FILES]))
    assert done.returncode == 130, done.stderr
    return done


def _commands(report: Path) -> dict[str, str]:
    """Return the commands of a report, by their titles."""
    found = re.findall(
        r'<h3>([^<]*)</h3><div class="copyable"><pre class="command">(.*?)</pre>',
        report.read_text("utf-8"),
        re.DOTALL,
    )
    return {html.unescape(title): html.unescape(line) for title, line in found}


def _picture(home: Path) -> bytes:
    """Return the pixels of the picture that an example made, and take it away."""
    file = home / "result.png"
    with Image.open(file) as picture:
        pixels = picture.tobytes()
    file.unlink()
    return pixels


def test_a_run_that_was_stopped_goes_on_as_printed(
    home: Path, process: Shell, shell: Shell, told: Facekit, interrupted: Done
) -> None:
    (resume,) = re.findall(r"^resume:  (.*)$", interrupted.stderr, re.MULTILINE)
    for file in ("tiny_plugin.py", "stopper.py"):  # the one that gave components and the one that watched
        assert shlex.quote(str(home / "plugins of mine" / file)) in resume
    report = (home / RUN / "report.html").read_text("utf-8")
    assert f"<code>{resume}</code> goes on with it" in html.unescape(report)
    assert _commands(home / RUN / "report.html")["Go on with it"] == resume
    events = [json.loads(line) for line in (home / RUN / "metrics.jsonl").read_text("utf-8").splitlines()]
    assert events[-1]["message"].endswith(f"go on with: {resume}")
    again = told("run", "tiny recipe.yaml", "--out", RUN, *FILES, "--set", "train.batch=3")
    assert again.returncode == 2
    assert "this folder holds a run of another recipe: train.batch was " in again.stderr
    (remedy,) = re.findall(r"go on with it: `(.*)`, or give", again.stderr)
    assert remedy == resume

    done = process(resume)
    assert done.returncode == 0, done.stderr
    assert "goes on without it" not in done.stderr
    (generate,) = re.findall(r"^generate: (.*)$", done.stdout, re.MULTILINE)
    painted = shell(generate)
    assert painted.returncode == 0, painted.stderr
    first = _picture(home)

    commands = _commands(home / RUN / "report.html")
    assert "Go on with it" not in commands
    assert commands["Generate a picture with it"] == generate
    program = shell(shlex.join([sys.executable, "-c", commands["The same in Python"] + "\nprint(result.size)"]))
    assert program.returncode == 0, program.stderr
    assert program.stdout.split() == ["(16,", "16)"]
    # It goes on with the run, which is finished.
    asked = shell(commands["As it was started"])
    assert asked.returncode == 0, asked.stderr
    assert f"results go to {RUN}, which holds a run: it goes on" in asked.stderr
    # Again, this time to the end: the stopper has stopped once.
    whole = shell(commands["The same run again, from its locked recipe"])
    assert whole.returncode == 0, whole.stderr
    (of_the_other,) = re.findall(r"^generate: (.*)$", whole.stdout, re.MULTILINE)
    assert "my run-again" in of_the_other
    assert shell(of_the_other).returncode == 0
    assert _picture(home) == first  # the same run


def test_without_its_plugin_files_each_command_says_what_to_add(
    home: Path, shell: Shell, told: Facekit, interrupted: Done
) -> None:
    shutil.copytree(home / RUN, home / "runs" / "left", dirs_exist_ok=True)
    for command in (
        ["resume", "runs/left"],
        ["evaluate", "runs/left"],
        ["generate", "runs/left", "--mask", "mask.png", "-o", "out.png"],
        ["run", "runs/left/recipe.yaml", "--out", "runs/never"],
    ):
        without = told(*command)
        assert without.returncode == 2
        assert "Traceback" not in without.stderr
        (added,) = set(re.findall(r"give it with `(--plugin-file .*?)`", without.stderr))
        assert shlex.split(added) == ["--plugin-file", str(home / FILES[1])]
        assert without.stderr.count("this run had it from") >= 1
    # A message on a run without a checkpoint names the file of the run too.
    bare = home / "runs" / "bare"
    shutil.copytree(home / "runs" / "left", bare, dirs_exist_ok=True)
    shutil.rmtree(bare / "checkpoints")
    nothing = told("generate", "runs/bare", "--mask", "mask.png", "-o", "out.png", *FILES[:2])
    assert nothing.returncode == 2
    (remedy,) = re.findall(r"go on with it: `(.*)`", nothing.stderr)
    done = shell(remedy)
    assert done.returncode == 0, done.stderr
    assert "goes on without it" not in done.stderr

    # Given from another place, it works; and it is told that the one that only watched is missing.
    (home / "moved").mkdir()
    shutil.copy(home / FILES[1], home / "moved")
    moved = ("--plugin-file", home / "moved" / "tiny_plugin.py")
    done = told("resume", "runs/left", *moved)
    assert done.returncode == 0, done.stderr
    flat = " ".join(done.stderr.split())
    assert f"made with the plugin file {home / FILES[3]}, and goes on without it" in flat
    assert f"plugin file {home / FILES[1]}, and" not in flat
    (generate,) = re.findall(r"^generate: (.*)$", done.stdout, re.MULTILINE)
    assert shlex.quote(str(moved[1])) in generate
    painted = shell(generate)
    assert painted.returncode == 0, painted.stderr
    assert _picture(home)


def test_a_run_that_changes_attributes_prints_what_facekit_takes(home: Path, shell: Shell, told: Facekit) -> None:
    done = told("run", "changing.yaml", "--out", "runs/changes")
    assert done.returncode == 0, done.stderr
    (generate,) = re.findall(r"^generate: (.*)$", done.stdout, re.MULTILINE)
    commands = _commands(home / "runs" / "changes" / "report.html")
    assert commands["Generate a picture with it"] == generate
    painted = shell(generate)
    assert painted.returncode == 0, painted.stderr
    assert len(_picture(home)) == 32 * 32 * 3
    program = shell(shlex.join([sys.executable, "-c", commands["The same in Python"] + "\nprint(result.size)"]))
    assert program.stdout.split() == ["(32,", "32)"], program.stderr
    told("report", "runs/changes")
    assert _commands(home / "runs" / "changes" / "report.html") == commands


def test_the_doctor_is_printed_with_the_file_that_it_is_to_look_at(home: Path, shell: Shell, told: Facekit) -> None:
    broken = home / "plugins of mine" / "broken hook.py"
    broken.write_text(
        "from facekit.registry import hookimpl\n@hookimpl\ndef facekit_components():\n    return [3]\n",
        encoding="utf-8",
    )
    done = told("components", "show", "no_such_thing", "--plugin-file", broken)
    assert done.returncode == 2
    asked = re.findall(r"see `(facekit plugins doctor.*?)`", done.stderr)
    assert len(asked) == 2  # the warning, and the remedy for the name that nobody has
    assert len(set(asked)) == 1
    doctor = shell(asked[0])
    assert doctor.returncode == 1
    assert f"broken hook ({broken}) is broken" in doctor.stdout

    # Two files with one id: each is told how to be left out.
    twin = home / "plugins of mine" / "twin plugin.py"
    twin.write_text((home / FILES[1]).read_text("utf-8").replace('"""A plugin', '"""The same'), encoding="utf-8")
    doctor = told("plugins", "doctor", "--plugin-file", home / FILES[1], "--plugin-file", twin)
    assert doctor.returncode == 1
    assert f"twin plugin: leave out --plugin-file {twin}" in " ".join(doctor.stdout.split())
    both = told("components", "show", "loss", "tiny/l1", "--plugin-file", home / FILES[1], "--plugin-file", twin)
    assert both.returncode == 2
    assert "give one of the plugin files only, or rename it in one of them" in both.stderr

    broken.write_text("def facekit_components():\n    return []\n", encoding="utf-8")
    done = told("components", "ls", "--plugin-file", broken)
    assert done.returncode == 2
    assert "facekit_components without @hookimpl" in done.stderr
    (asked_too,) = re.findall(r"`(facekit plugins doctor.*?)` says more", done.stderr)
    doctor = shell(asked_too)
    assert doctor.returncode == 1
    assert "facekit_components without @hookimpl" in doctor.stdout
