"""Five hostile plugins are installed, and all that does not need them works as before; the doctor names each.

Their wheels are installed by pip into a folder that is put on the path of real processes. A sixth and a seventh, which
end the process at import and never come back from it, may hurt every command but the doctor.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from tests.conftest import FEW_PLUGINS

from facekit.cli.commands import COMMANDS
from facekit.cli.main import cli
from facekit.registry import load_registry

Facekit = Callable[..., Any]

SPEC = """
from facekit.interfaces import NoOptions
from facekit.registry import ComponentSpec, hookimpl

@hookimpl
def facekit_components():
    return [
        ComponentSpec(
            interface_version=1,
            kind="loss",
            id="ID",
            summary="Hostile.",
            options=NoOptions,
            factory="MODULE:build",
        )
    ]

def build(options, context):
    raise AssertionError("nobody asked for it")
"""

HOOKS = """
from facekit.interfaces import NoOptions
from facekit.registry import ComponentSpec, hookimpl

@hookimpl
def facekit_components():
    raise OSError("no components today")
    return [ComponentSpec(interface_version=1, kind="loss", id="hook/blush", options=NoOptions, factory="a:b")]
""" + "".join(
    f"""
@hookimpl
def {hook}({arguments}):
    raise SystemExit("no {hook} today")
"""
    for hook, arguments in (
        ("facekit_plugin_info", ""),
        ("facekit_label_maps", ""),
        ("facekit_recipes", ""),
        ("facekit_commands", ""),
        ("facekit_further_results", "run"),
        ("facekit_run_event", "event"),
    )
)


@dataclass(frozen=True)
class Hostile:
    """A hostile distribution.

    Args:
        name: the distribution's name; that of its module and entry point follow from it.
        source: the text of its module.
        needed: what a recipe that needs it names, and the doctor is to say.
        told: what the doctor is to say of it.
    """

    name: str
    source: str
    needed: str
    told: str

    @property
    def module(self) -> str:
        """The module, which the entry point names as well."""
        return self.name.replace("-", "_")


RAISES = Hostile(
    "hostile-raises",
    SPEC.replace("ID", "raises/tint").replace("MODULE", "hostile_raises") + "\nraise RuntimeError('a bad day')\n",
    "raises/tint",
    "RuntimeError: a bad day",
)
HOOK = Hostile("hostile-hook", HOOKS, "hook/blush", "OSError: no components today")
TWIN = Hostile(
    "hostile-twin",
    SPEC.replace("ID", "losses/r1_penalty").replace("MODULE", "hostile_twin"),
    "losses/r1_penalty",
    "loss losses/r1_penalty is claimed more than once: nobody gets it",
)
VERSION = Hostile(
    "hostile-version",
    SPEC.replace("ID", "version/glow").replace("MODULE", "hostile_version").replace("version=1", "version=99"),
    "version/glow",
    "is written for version 99 of facekit's interfaces",
)
EXITS = Hostile(
    "hostile-exits",
    "import sys\nsys.exit(0)\n" + SPEC.replace("ID", "exits/smile").replace("MODULE", "hostile_exits"),
    "exits/smile",
    "SystemExit: 0",
)
FIVE = (RAISES, HOOK, TWIN, VERSION, EXITS)

VANISHES = Hostile("hostile-vanishes", "import os\nos._exit(0)\n", "", "it ended the whole process with exit code 0")
HANGS = Hostile("hostile-hangs", "while True:\n    pass\n", "", "it had not come back after 2 s")


def _install(hostiles: Iterable[Hostile], folder: Path) -> Path:
    """Make a wheel of each, let pip install them, and return the folder to put on the path."""
    wheels = []
    for hostile in hostiles:
        info = f"{hostile.module}-1.0.dist-info"
        files = {
            f"{hostile.module}.py": hostile.source,
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {hostile.name}\nVersion: 1.0\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/entry_points.txt": f"[facekit.plugins]\n{hostile.module} = {hostile.module}\n",
        }
        wheels.append(folder / f"{hostile.module}-1.0-py3-none-any.whl")
        with zipfile.ZipFile(wheels[-1], "w") as wheel:
            for name, text in files.items():
                wheel.writestr(name, text)
            wheel.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD")))
    site = folder / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--target", str(site), *wheels],
        check=True,
        capture_output=True,
    )
    return site


def _on_path(site: Path, environment: dict[str, str]) -> str:
    return os.pathsep.join([str(site), *filter(None, [environment.get("PYTHONPATH")])])


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the five are installed."""
    return _install(FIVE, tmp_path_factory.mktemp("five"))


MANY = """
import json, sys
from click.testing import CliRunner
from facekit.cli.main import cli
from facekit.registry import forget_registries

results = []
for arguments in json.load(sys.stdin):
    forget_registries()  # as a new process would: the plugins are loaded again
    result = CliRunner().invoke(cli, arguments, prog_name="facekit")
    results.append([result.exit_code, result.stdout, result.stderr])
print("RESULTS" + json.dumps(results))
"""

Results = dict[tuple[str, ...], tuple[int, str, str]]


class Sides:
    """Calls commands twice, without the five and with them, in two folders.

    All commands of a side run in one process, since most of the time of each would go to importing the same modules.

    Args:
        folders: the two.
        environments: of the processes.
    """

    def __init__(self, folders: list[Path], environments: list[dict[str, str]]) -> None:
        self.folders = folders
        self._environments = environments

    def call(self, commands: Sequence[tuple[str, ...]]) -> tuple[Results, Results]:
        """Return exit code, stdout and stderr of each command, of both sides; either folder is called HERE in them."""
        sides = []
        for folder, environment in zip(self.folders, self._environments):
            done = subprocess.run(
                [sys.executable, "-c", MANY],
                input=json.dumps(commands),
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=500,
            )
            assert done.returncode == 0, done.stderr
            results = json.loads(done.stdout.rpartition("RESULTS")[2].replace(str(folder), "HERE"))
            sides.append({command: tuple(result) for command, result in zip(commands, results, strict=True)})
        return sides[0], sides[1]


@pytest.fixture(scope="module")
def sides(
    five: Path, environment: dict[str, str], workplace: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sides]:
    """Two folders with the tiny recipe: one of a person without the five, one of a person with them."""
    folders = [tmp_path_factory.mktemp(name) for name in ("without", "with")]
    environments = []
    for folder, more in zip(folders, ({}, {"PYTHONPATH": _on_path(five, environment)})):
        shutil.copy(workplace / "tiny.yaml", folder)
        environments.append({**environment, "FACEKIT_CACHE": str(folder / "cache"), **more})
    yield Sides(folders, environments)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _all_same(without: Results, with_five: Results) -> None:
    for command, (code, out, _) in without.items():
        assert with_five[command][:2] == (code, out), " ".join(command)


def _help_pages(command: click.Command, *path: str) -> Iterator[tuple[str, ...]]:
    """Yield the arguments of the help page of a command and of all that it holds."""
    yield (*path, "--help")
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from _help_pages(child, *path, name)


def test_every_help_page_is_the_same(sides: Sides) -> None:
    pages = [*_help_pages(cli), ("evaluator", "--help"), ("evaluator", "add", "--help"), ("tensorboard", "--help")]
    assert {page[0] for page in pages} > set(COMMANDS)
    assert ("data", "prepare", "--help") in pages
    without, with_five = sides.call(pages)
    assert {code for code, _, _ in without.values()} == {0}
    _all_same(without, with_five)


def test_commands_that_look_around_are_the_same(sides: Sides) -> None:
    registry = load_registry()
    shown = [("components", "show", kind, id_) for kind, id_ in registry.components if id_ != TWIN.needed]
    small = ("--set", "train=1", "--set", "validation=1", "--set", "test=1")
    commands = [
        *shown,
        *(("components", "ls", kind) for kind in ("generator", "metric", "dataset")),
        ("recipes", "ls"),
        ("recipes", "ls", "--json"),
        ("recipes", "show", "sft_pix2pixhd", "--origin"),
        ("recipes", "cp", "sft_pix2pixhd", "copy.yaml"),
        ("validate", "tiny.yaml", "--ports-only"),
        ("validate", "copy.yaml", "--ports-only", "--json"),
        ("data", "synthesise", "-o", "faces", "--side", "32", *small),
        ("data", "check", "synthetic_faces", *small),
        ("data", "prepare", "tiny.yaml"),
        ("data", "preview", "tiny.yaml", "-o", "sheet.png"),
        ("provenance", "sheet.png"),
        ("evaluator", "ls"),
        ("plugins", "new", "facekit-mine", "--kind", "loss"),
        ("generate", "nothing", "--mask", "mask.png", "-o", "out.png"),
        ("resume", "nothing"),
        ("no-such-command",),
    ]
    without, with_five = sides.call(commands)
    assert [code for code, _, _ in without.values()][-6:] == [1, 0, 0, 2, 2, 2]
    _all_same(without, with_five)
    # What differs is said on stderr alone: that plugins are broken.
    for command, (_, _, err) in with_five.items():
        if command[0] in ("components", "validate"):
            assert "hostile_raises" in err, command


def test_every_shipped_recipe_validates_as_before(sides: Sides) -> None:
    folder = Path(__file__).parents[2] / "recipes"
    # Recipes of what the twin takes away cannot be as before.
    sound = [path for path in folder.rglob("*.yaml") if "r1_penalty" not in path.read_text(encoding="utf-8")]
    names = [path.relative_to(folder).with_suffix("").as_posix() for path in sound]
    assert len(names) >= 7
    without, with_five = sides.call([("validate", name, "--ports-only") for name in sorted(names)])
    assert any(code == 0 for code, _, _ in without.values())
    _all_same(without, with_five)


def test_lists_lack_only_what_is_lost(sides: Sides) -> None:
    commands = [("components", "ls", "--json"), ("recipes", "schema"), ("plugins", "ls", "--json")]
    without, with_five = sides.call(commands)
    listed = {row["id"]: row for row in json.loads(without[commands[0]][1])}
    del listed[TWIN.needed]
    assert {row["id"]: row for row in json.loads(with_five[commands[0]][1])} == listed
    before, after = without[commands[1]][1], with_five[commands[1]][1]
    assert "r1_penalty" in before
    assert "r1_penalty" not in after
    rows = {row["distribution"]: row for row in json.loads(with_five[commands[2]][1])}
    for row in json.loads(without[commands[2]][1]):
        if row["distribution"] == "facekit-losses":
            row["components"] -= 1
        assert rows.pop(row["distribution"]) == row
    # The twin's own only component is the one that both claim; as a plugin it was loaded.
    states = {"hostile-twin": "loaded"}
    assert {name: row["state"] for name, row in rows.items()} == {
        hostile.name: states.get(hostile.name, "failed") for hostile in FIVE
    }


SHORT = ("--set", "train.steps=2", "--set", "train.sample_every=2", "--set", "train.evaluate_every=null")


def test_a_run_and_what_is_made_of_it_are_the_same(sides: Sides) -> None:
    counts = ("--set", "train=1", "--set", "validation=1", "--set", "test=1")
    commands = [
        ("data", "synthesise", "-o", "mine", "--side", "32", *counts),
        ("run", "tiny.yaml", "--out", "run", *SHORT),
        ("evaluate", "run", "--limit", "3", "--no-baselines"),
        (
            *("generate", "run", "--mask", "mine/masks", "--reference", "mine/photos"),
            *("--reference-mask", "mine/masks", "-o", "painted"),
        ),
        ("report", "run"),
        ("resume", "run"),
        ("validate", "tiny.yaml"),
    ]
    without, with_five = sides.call(commands)
    for command in commands:
        assert with_five[command][0] == without[command][0] == 0, (command, with_five[command][2])
        assert _timeless(with_five[command][1]) == _timeless(without[command][1]), command
    # The weights and the pictures are the same to the bit.
    first, second = sides.folders
    files = [
        path.relative_to(first)
        for pattern in ("run/checkpoints/*/*.safetensors", "run/samples/*.png", "painted/*.png")
        for path in first.glob(pattern)
    ]
    assert {path.suffix for path in files} == {".safetensors", ".png"}
    assert len([path for path in files if path.parts[0] == "painted"]) == 3
    for path in files:
        assert (first / path).read_bytes() == (second / path).read_bytes(), path
    told = with_five[commands[1]][2]
    assert "the plugin 'hostile_hook' of hostile-hook 1.0 failed while it watched the run" in told
    assert "the plugin 'hostile_hook'" not in without[commands[1]][2]


def _timeless(text: str) -> str:
    """Return a text without times, and without memory, of which the process itself takes now more, now less."""
    return re.sub(r"\d[\d.,]* (ms|s|MiB|GiB)\b", "T", text)


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("components", "show", "adversarial"), ("validate", "sft_pix2pixhd", "--ports-only")],
    ids=" ".join,
)
def test_processes_of_their_own_are_the_same(
    facekit: Facekit, five: Path, environment: dict[str, str], arguments: tuple[str, ...]
) -> None:
    without, with_five = facekit(*arguments), facekit(*arguments, PYTHONPATH=_on_path(five, environment))
    assert (with_five.code, with_five.out) == (without.code, without.out)
    assert without.code == 0


@pytest.mark.slow
def test_a_run_in_a_process_of_its_own(facekit: Facekit, five: Path, environment: dict[str, str]) -> None:
    hostile = {"PYTHONPATH": _on_path(five, environment)}
    run = facekit("run", "tiny.yaml", "--out", "runs/beside-hostile", *SHORT, **hostile)
    assert run.code == 0, run.err
    for arguments in (("evaluate",), ("report",), ("resume",)):
        done = facekit(*arguments, "runs/beside-hostile", **hostile)
        assert done.code == 0, done.err


# -- what needs one of the five


@pytest.fixture(scope="module")
def needing(workplace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe for each of the five that needs it, and one that needs none."""
    folder = tmp_path_factory.mktemp("needing")
    tiny = (workplace / "tiny.yaml").read_text(encoding="utf-8")
    (folder / "tiny.yaml").write_text(tiny, encoding="utf-8")
    for hostile in FIVE:
        player = "discriminator" if hostile is TWIN else "generator"
        text = f"extends: tiny.yaml\nlosses: {{{player}: [{{use: {hostile.needed}}}]}}\n"
        (folder / f"needs_{hostile.module}.yaml").write_text(f"facekit: 1\n{text}", encoding="utf-8")
    return folder


SEE = "and failed to load: see `facekit plugins doctor`"


@pytest.mark.parametrize(
    ("hostile", "told"),
    [
        (RAISES, f"hostile-raises 1.0 offers it, {SEE}"),
        (HOOK, f"hostile-hook 1.0 offers it, {SEE}"),
        (
            TWIN,
            "loss 'losses/r1_penalty' is claimed by facekit-losses 0.1.0 (facekit_losses.plugin) and hostile-twin 1.0 "
            "(hostile_twin)",
        ),
        (VERSION, "is written for version 99 of facekit's interfaces"),
        (EXITS, f"hostile-exits 1.0 offers it, {SEE}"),
    ],
    ids=lambda value: value.name if isinstance(value, Hostile) else "",
)
def test_a_recipe_that_needs_one_says_why_it_cannot_be_had(
    within: Facekit, five: Path, needing: Path, environment: dict[str, str], hostile: Hostile, told: str
) -> None:
    recipe = f"needs_{hostile.module}.yaml"
    done = within("validate", recipe, "--ports-only", cwd=needing, PYTHONPATH=_on_path(five, environment))
    assert done.code == 2
    assert f"{recipe}:3:" in done.err  # its place
    assert told.replace("'", "") in " ".join(done.err.split()).replace("'", "")
    assert "Traceback" not in done.err


def test_a_name_that_both_sides_claim_is_nobodys_until_one_is_left_out(
    within: Facekit, five: Path, needing: Path, environment: dict[str, str]
) -> None:
    path = _on_path(five, environment)
    show = ("components", "show", "loss", "losses/r1_penalty")
    both = within(*show, PYTHONPATH=path)
    assert both.code == 2
    assert "uninstall one" in both.err
    ours = within(*show, PYTHONPATH=path, FACEKIT_PLUGINS="-hostile-twin")
    assert "plugin   losses, of facekit-losses 0.1.0" in ours.out
    theirs = within(*show, PYTHONPATH=path, FACEKIT_PLUGINS="-facekit-losses")
    assert "plugin   hostile_twin, of hostile-twin 1.0" in theirs.out
    # The other components of either side are not touched.
    assert within("components", "show", "gradient_penalty", PYTHONPATH=path).code == 0


# -- the doctor


def test_the_doctor_names_all_five(facekit: Facekit, five: Path, needing: Path, environment: dict[str, str]) -> None:
    done = facekit("plugins", "doctor", cwd=needing, PYTHONPATH=_on_path(five, environment))
    assert done.code == 1
    projects = (Path(__file__).parents[2] / "plugins").glob("*/pyproject.toml")
    sound = sum('"facekit.plugins"' in project.read_text("utf-8") for project in projects)
    assert f"{sound + len(FIVE)} plugins: 4 broken, 2 clashing" in done.out
    parts = done.out.split("\n\n")
    for hostile in FIVE:
        start = f"{hostile.module} (hostile-" if hostile is not TWIN else "loss losses/r1_penalty is claimed"
        (part,) = (part for part in parts if part.startswith(start))
        told = " ".join(part.split())
        assert f"{hostile.name} 1.0" in told
        assert hostile.told in told
        assert f"needs_{hostile.module}.yaml" in told
        assert f"export FACEKIT_PLUGINS=-{hostile.name}" in told
        if hostile is not TWIN:
            assert f"entry point {hostile.module} = {hostile.module}" in told
            assert f"lost loss {hostile.needed}" in told
            assert f"pip uninstall {hostile.name}" in told
            assert str(five) in told
    assert "tiny.yaml (" not in done.out  # it needs none of them
    assert done.err == ""


def test_the_doctor_tells_programs(facekit: Facekit, five: Path, needing: Path, environment: dict[str, str]) -> None:
    path = _on_path(five, environment)
    done = facekit("plugins", "doctor", "--json", cwd=needing, PYTHONPATH=path)
    assert done.code == 1
    document = json.loads(done.out)
    assert document["sound"] is False
    plugins = {plugin["distribution"]: plugin for plugin in document["plugins"]}
    for hostile in FIVE:
        plugin = plugins[hostile.name]
        assert plugin["state"] == ("clashing" if hostile is TWIN else "broken")
        assert (plugin["plugin"], plugin["target"], plugin["version"]) == (hostile.module, hostile.module, "1.0")
        assert plugin["installed_in"] == str(five)
        if hostile is not TWIN:
            assert any(hostile.told in problem["problem"] for problem in plugin["problems"])
        assert {"kind": "loss", "name": hostile.needed} in plugin["lost"]
        shipped = ["paper/msg_style_gan"] if hostile is TWIN else []
        assert [one["recipe"] for one in plugin["recipes"]] == [*shipped, f"needs_{hostile.module}.yaml"]
        assert plugin["switch_off"] == {"FACEKIT_PLUGINS": f"-{hostile.name}"}
    (clash,) = document["clashes"]
    assert (clash["name"], clash["outcome"]) == ("loss losses/r1_penalty", "nobody gets it")
    assert [side["distribution"] for side in clash["sides"]] == ["facekit-losses", "hostile-twin"]
    assert [one["recipe"] for one in clash["recipes"]] == ["paper/msg_style_gan", "needs_hostile_twin.yaml"]
    others = {name: plugin["state"] for name, plugin in plugins.items() if not name.startswith("hostile")}
    assert others.pop("facekit-losses") == "clashing"
    assert set(others.values()) == {"sound"}

    # What it advises makes everything as if the five were not there.
    switch = document["leave_out"]["FACEKIT_PLUGINS"]
    assert set(switch.split(",")) == {f"-{hostile.name}" for hostile in FIVE}
    after = facekit("plugins", "doctor", cwd=needing, PYTHONPATH=path, FACEKIT_PLUGINS=switch)
    assert after.code == 0
    assert "no problems found" in after.out
    listed = facekit("components", "ls", PYTHONPATH=path, FACEKIT_PLUGINS=switch)
    assert (listed.code, listed.out, listed.err) == (0, facekit("components", "ls").out, "")


def test_the_doctor_survives_what_ends_or_stops_every_process(
    facekit: Facekit, environment: dict[str, str], tmp_path: Path
) -> None:
    path = _on_path(_install((VANISHES, HANGS), tmp_path), environment)
    few = {"PYTHONPATH": path, "FACEKIT_PLUGINS": FEW_PLUGINS}
    done = facekit("plugins", "doctor", "--time-limit", "2", cwd=tmp_path, **few)
    assert done.code == 1
    told = " ".join(done.out.split())
    for hostile in (VANISHES, HANGS):
        assert f"{hostile.module} ({hostile.name} 1.0) is broken It ends or stops every command" in told
        assert hostile.told in told
    assert f'{tmp_path / "site" / "hostile_hangs.py"}", line ' in done.out
    assert "before hostile_hangs and hostile_vanishes are switched off" in told
    switch = re.findall(r"^  export FACEKIT_PLUGINS=(.+)$", done.out, re.MULTILINE)[-1]
    assert facekit("components", "ls", PYTHONPATH=path, FACEKIT_PLUGINS=switch).code == 0
