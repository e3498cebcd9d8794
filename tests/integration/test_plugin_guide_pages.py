"""What pages of ``docs/plugins/`` show is what happens: commands run, messages are compared letter by letter."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.conftest import FEW_PLUGINS

from facekit.cli.commands import OPEN_GROUPS
from facekit.interfaces import GENERATED, STYLE, Ports
from facekit.registry import ComponentSpec, forget_registries, hooks, load_registry
from facekit.testing import BrokenPromise, DatasetContract, GeneratorContract, LossContract

REPOSITORY = Path(__file__).parents[2]
GUIDE = REPOSITORY / "docs" / "plugins"
KINDS = REPOSITORY / "docs" / "examples" / "kinds"

Facekit = Callable[..., Any]


def blocks(page: str, language: str) -> list[str]:
    text = (GUIDE / f"{page}.md").read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def _new_command() -> str:
    """Return the command of the page that makes a distribution."""
    return next(block for block in blocks("first-plugin", "sh") if "plugins new facekit-sharp" in block)


def arguments(line: str) -> list[str]:
    """Return what follows ``facekit`` in a line of a page."""
    program, *rest = shlex.split(line, comments=True)
    assert program == "facekit", line
    return rest


@pytest.fixture
def folder(inside: Facekit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in; ``inside`` works in it too."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def forget() -> Iterator[None]:
    """Forget the plugins that a test installed or wrote."""
    known = set(sys.modules)
    forget_registries()
    yield
    forget_registries()
    for name in set(sys.modules) - known:
        if name.partition(".")[0] in ("facekit_sharp", "mine", "my_ideas", "sharpen", "edges", "coarse", "five"):
            del sys.modules[name]


@pytest.fixture
def sharp(folder: Path, inside: Facekit, monkeypatch: pytest.MonkeyPatch, forget: None) -> Path:
    """The distribution of the page, changed as the page says, and installed as ``pip install -e`` does it."""
    made = inside(*arguments(_new_command()))
    assert made.code == 0, made.err
    assert made.out == blocks("first-plugin", "text")[0]
    project = folder / "facekit-sharp"
    _, _, options, loss, contract = blocks("first-plugin", "python")
    for name, text in (
        ("src/facekit_sharp/options.py", options),
        ("src/facekit_sharp/loss.py", loss),
        ("tests/test_contract.py", contract),
    ):
        assert (project / name).is_file()
        (project / name).write_text(text, encoding="utf-8")
    declared = (project / "pyproject.toml").read_text("utf-8")
    entry_point = re.search(r'^\[project\.entry-points\."(.+)"\]\n(.+) = "(.+)"$', declared, re.MULTILINE)
    assert entry_point is not None
    information = project / "src" / "facekit_sharp-0.1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: facekit-sharp\nVersion: 0.1.0\n")
    group, name, target = entry_point.groups()
    (information / "entry_points.txt").write_text(f"[{group}]\n{name} = {target}\n")
    monkeypatch.syspath_prepend(str(project / "src"))
    return project


def test_the_functions_of_the_first_page_are_components(folder: Path, inside: Facekit, forget: None) -> None:
    functions, contracts, *_ = blocks("first-plugin", "python")
    (folder / "mine.py").write_text(functions, encoding="utf-8")
    (folder / "test_mine.py").write_text(contracts, encoding="utf-8")
    show, run = next(block for block in blocks("first-plugin", "sh") if "mine.py" in block).splitlines()
    shown = inside(*arguments(show))
    assert shown.code == 0, shown.err
    assert re.search(r"epsilon +number; default 0\.001\n +Below this difference the loss is round", shown.out)
    assert re.search(r"paper +Charbonnier et al\., ICIP 1994", shown.out)
    validated = inside(*(argument.replace("run", "validate") for argument in arguments(run)), "--ports-only")
    assert validated.code == 0, validated.err
    tried = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert tried.returncode == 0, tried.stdout
    assert len(functions[: functions.index("@metric")].split("def charbonnier")[1].splitlines()) <= 14


def test_the_first_plugin_keeps_its_promises_as_changed(sharp: Path) -> None:
    tests = next(block for block in blocks("first-plugin", "sh") if block.startswith("pytest"))
    assert tests.splitlines()[0] == "pytest facekit-sharp"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "facekit-sharp"],
        cwd=sharp.parent,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(sharp / "src"), os.environ.get("PYTHONPATH", "")]),
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) == 2 * (len(_promises(LossContract)) + 3)  # test_ports_match runs four times


def test_the_first_plugin_trains_as_changed(sharp: Path, inside: Facekit) -> None:
    shown = inside("components", "show", "sharp/charbonnier")
    assert re.search(r"edges +number, at least 0; default 0.0", shown.out), shown.err
    (line,) = [line for block in blocks("first-plugin", "sh") for line in block.splitlines() if "edges=" in line]
    finished = inside(*arguments(line), "--out", "run", "--set", "train.steps=4")
    assert finished.code == 0, finished.err
    assert _steps(sharp.parent / "run") == 4
    (sharp.parent / "again.yaml").write_text(blocks("first-plugin", "yaml")[0], encoding="utf-8")
    finished = inside("validate", "again.yaml", "--ports-only")
    assert finished.code == 0, finished.err


def test_the_broken_promise_of_the_first_plugin_is_told_like_that(sharp: Path) -> None:
    spec = _spec(sharp)
    (broken,) = [text for text in blocks("first-plugin", "text") if "promise:" in text]
    loss = sharp / "src" / "facekit_sharp" / "loss.py"
    loss.write_text(loss.read_text("utf-8").replace(" - self.epsilon).mean()", " - self.epsilon)"), encoding="utf-8")
    subject: Any = type("TestSharp", (LossContract,), {"spec": spec, "__module__": __name__})()
    with pytest.raises(BrokenPromise) as caught:
        subject.test_ports_match(0, 0)  # the first that pytest runs
    assert str(caught.value) == f"\n{broken.rstrip()}"


def _promises(contract: type[LossContract]) -> list[str]:
    return [name for name in dir(contract) if name.startswith("test_")]


def _spec(project: Path) -> ComponentSpec:
    from importlib import import_module

    spec = import_module("facekit_sharp.plugin").CHARBONNIER
    assert isinstance(spec, ComponentSpec)
    return spec


def test_the_plugin_of_one_file_trains(folder: Path, inside: Facekit, forget: None) -> None:
    (block,) = [block for block in blocks("first-plugin", "sh") if "--file" in block]
    make, run = block.splitlines()
    assert inside(*arguments(make)).code == 0
    finished = inside(*arguments(run), "--set", "train.steps=4", "--out", "run")
    assert finished.code == 0, finished.err
    assert _steps(folder / "run") == 4
    assert "absolute_error" in finished.out + finished.err


def _steps(run: Path) -> int:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    return max(line["step"] for line in lines if line["event"] == "train")


RECIPE = """\
facekit: 1
data: {{use: synthetic_faces, size: {size}}}
model:
  generator: {{use: {generator}}}
{encoder}losses:
  generator:
    - {{use: {loss}}}
train: {{steps: 1{batch}}}
"""
SFT = "sft_pix2pixhd, filters: 4, blocks: 1"
MISTAKES = [
    {"encoder": "  style_encoder: {use: pooled_style, length: 8}\n"},
    {"encoder": "  style_encoder: {use: region_features}\n"},
    {"generator": "pix2pixhd_global, filters: 4, blocks: 1", "loss": "feature_matching"},
    {"generator": "pix2pixhd_global, filters: 4, blocks: 1", "size": "50"},
    {
        "encoder": "  style_encoder: {use: sft_style}\n",
        "loss": "region_colour, shuffled_style: 1.0",
        "batch": ", batch: 1",
    },
    {"generator": "pix2pixhd_global, filters: 4, blocks: 1", "loss": "tiles, tile: 24"},
]
"""What the recipes say whose mistakes the page on ports shows, in its order."""

TILES = """
from facekit.cli.commands import OPEN_GROUPS
from facekit.interfaces import GENERATED, STYLE, Ports
from facekit.registry import ComponentSpec, hookimpl


@hookimpl
def facekit_components():
    return [
        ComponentSpec(
            interface_version=1,
            kind="loss",
            id="tiles_of_the_guide/tiles",
            summary="Compares the means of tiles.",
            options=TilesOptions,
            factory="tiles_of_the_guide:build",
            ports=tiles_ports,
        )
    ]
"""


@pytest.mark.parametrize("number", range(len(MISTAKES)))
def test_the_mistakes_of_the_ports_page_are_told_like_that(number: int, folder: Path, inside: Facekit) -> None:
    shown = blocks("ports", "text")
    assert len(shown) == len(MISTAKES)
    changes = {"size": "64", "generator": SFT, "encoder": "", "loss": "l1", "batch": "", **MISTAKES[number]}
    (folder / "my.yaml").write_text(RECIPE.format(**changes), encoding="utf-8")
    tiles = folder / "tiles_of_the_guide.py"
    tiles.write_text(blocks("ports", "python")[-1] + TILES, encoding="utf-8")
    plugins = ("--plugin-file", KINDS / "my_style_encoder.py", "--plugin-file", tiles)
    try:
        finished = inside("validate", "my.yaml", "--ports-only", *plugins)
    finally:
        for name in ("tiles_of_the_guide", "my_style_encoder"):
            sys.modules.pop(name, None)
    assert finished.code == 2
    assert shown[number] in finished.err
    assert finished.err.count("my.yaml:") == shown[number].count("my.yaml:"), "another mistake is told as well"


def test_the_plugin_with_every_hook_works(
    folder: Path, inside: Facekit, forget: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = folder / "edges.py"
    plugin.write_text(blocks("hooks", "python")[0], encoding="utf-8")
    (folder / "edges.yaml").write_text(blocks("hooks", "yaml")[0], encoding="utf-8")
    registry = load_registry(plugin)
    assert registry.plugins.failures == []
    for hook in (name for name in vars(hooks) if name.startswith("facekit_") and name != "facekit_run_event"):
        given = {"run": folder} if hook == "facekit_further_results" else {}
        assert [value for origin, value in registry.plugins.call(hook, **given) if origin.file == plugin], hook
    run, draw = blocks("hooks", "sh")[0].splitlines()
    finished = inside(*arguments(run), "--set", "train.steps=2", "--out", "run")
    assert finished.code == 0, finished.err
    assert "run finished after 2 steps" in finished.err
    Image.new("RGB", (8, 8)).save(folder / "photo.png")
    finished = inside(*arguments(draw))
    assert finished.code == 0, finished.err
    assert (folder / "drawing.png").is_file()


def test_the_python_of_the_hooks_page_runs(inside: Facekit, capsys: pytest.CaptureFixture[str]) -> None:
    exec(blocks("hooks", "python")[1], {})
    printed = capsys.readouterr().out
    assert "metrics/psnr" in printed
    assert "celebamask_hq" in printed


def test_the_command_of_the_commands_page(folder: Path, facekit: Facekit, within: Facekit) -> None:
    plugin = folder / "sharpen.py"
    plugin.write_text(blocks("commands", "python")[0], encoding="utf-8")
    call, ask = blocks("commands", "sh")[0].splitlines()
    mistake, failure = blocks("commands", "text")
    (folder / "results").mkdir()
    finished = within(*arguments(call), cwd=folder)
    assert (finished.code, finished.out, finished.err) == (2, "", mistake)
    rows = [[0, 0, 90, 160, 255, 255]] * 6
    Image.fromarray(np.array(rows, np.uint8)).save(folder / "results" / "a.png")
    finished = within(*arguments(call), cwd=folder)
    assert (finished.code, finished.out, finished.err) == (0, "results/a.png\n", "")
    with Image.open(folder / "results" / "a.png") as picture:
        assert np.asarray(picture).max(0)[2] < 90  # the slope is steeper
    finished = within(*arguments(ask), cwd=folder)
    assert "Sharpen the PNG pictures of a FOLDER, in place." in finished.out
    plugin.write_text(
        plugin.read_text("utf-8").replace("    pictures =", "    1 / 0\n    pictures ="), encoding="utf-8"
    )
    finished = facekit(*arguments(call), cwd=folder)
    assert finished.code == 1
    assert "ZeroDivisionError: division by zero" in finished.err
    assert finished.err.endswith(failure.replace("/home/anna", str(folder)))
    assert "sharpen" in within("plugins", "ls", "--plugin-file", "sharpen.py", cwd=folder).out


def test_the_broken_promise_of_the_testing_page_is_told_like_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what a generator that reads the mask is told that declares a style instead."""
    monkeypatch.syspath_prepend(str(KINDS))
    from my_generator import ENCODER_DECODER

    undeclared = replace(ENCODER_DECODER, ports=lambda options, context: Ports(needs=(STYLE,), gives=(GENERATED,)))
    members = {"spec": undeclared, "options": {"channels": 4, "blocks": 0}, "__module__": __name__}
    subject: Any = type("TestEncoderDecoder", (GeneratorContract,), members)()
    try:
        with pytest.raises(BrokenPromise) as caught:
            subject.test_ports_match(0, 0)
    finally:
        del sys.modules["my_generator"]
    (shown,) = blocks("testing", "text")
    assert str(caught.value) == f"\n{shown.rstrip()}"


def test_the_contract_of_the_testing_page_is_kept(tmp_path: Path) -> None:
    names: dict[str, Any] = {"__name__": __name__}
    exec(blocks("testing", "python")[1], names)
    tests = [name for name in dir(DatasetContract) if name.startswith("test_") and "process" not in name]
    for number, name in enumerate(tests):
        (tmp_path / str(number)).mkdir()
        getattr(names["TestFolder"](), name)(tmp_path / str(number))
    assert len(tests) >= 9


def test_the_groups_that_are_open_are_those_of_the_commands_page() -> None:
    page = " ".join((GUIDE / "commands.md").read_text("utf-8").split())
    (group,) = OPEN_GROUPS
    assert f"`{group}` is the one group of facekit's own that is open to plugins" in page


def test_what_the_publishing_page_shows_is_in_a_new_project(folder: Path, inside: Facekit) -> None:
    assert inside(*arguments(_new_command())).code == 0
    declared = (folder / "facekit-sharp" / "pyproject.toml").read_text("utf-8")
    shown = blocks("publishing", "toml")
    assert len(shown) == 3
    for block in shown:
        assert block in declared
    (steps,) = blocks("publishing", "yaml")
    workflow = (folder / "facekit-sharp" / ".github" / "workflows" / "tests.yml").read_text("utf-8")
    assert workflow.endswith(steps)
    page = (GUIDE / "publishing.md").read_text("utf-8")
    for version in re.findall(r'python: \["(.+)", "(.+)"\]', workflow)[0]:
        assert version in page
    assert '"facekit"' in re.findall(r"^keywords = (.+)$", declared, re.MULTILINE)[0]


def test_the_licences_of_the_publishing_page_are_fields_with_these_defaults() -> None:
    page = (GUIDE / "publishing.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| `ComponentSpec` \| (.+) \|$", page, re.MULTILINE))
    defaults = {field.name: field.default for field in fields(ComponentSpec)}
    assert set(rows) == {"licence", "weights_licence", "paper"}
    assert f"`{defaults['licence']}`" in rows["licence"]


def test_the_doctor_exits_as_the_publishing_page_says(folder: Path, within: Facekit) -> None:
    information = folder / "site" / "broken-1.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (information / "entry_points.txt").write_text("[facekit.plugins]\nbroken = no_such_module\n")
    few = {"PYTHONPATH": str(folder / "site"), "FACEKIT_PLUGINS": FEW_PLUGINS}
    finished = within("plugins", "doctor", cwd=folder, **few)
    (said,) = re.findall(
        r"`facekit plugins doctor` exits with (\d) when anything is wrong", (GUIDE / "publishing.md").read_text("utf-8")
    )
    assert finished.code == int(said), finished.err


def test_the_label_map_of_the_guide_is_read_from_masks(folder: Path, inside: Facekit, forget: None) -> None:
    (folder / "five.py").write_text(blocks("label-maps", "python")[0], encoding="utf-8")
    for name, pixels in (("photos", np.zeros((16, 16, 3), np.uint8)), ("masks", np.eye(16, dtype=np.uint8) * 4)):
        (folder / name).mkdir()
        Image.fromarray(pixels).save(folder / name / "a.png")
    said = re.search(r"`(label_map: five_parts)`", (GUIDE / "label-maps.md").read_text("utf-8"))
    assert said is not None
    sets = ("--set", "root=.", "--set", said[1].replace(": ", "="))
    finished = inside("data", "check", "image_mask_folder", *sets, "--plugin-file", "five.py")
    assert finished.code == 0, finished.err
    assert re.search(r"^hair +6.25%", finished.out, re.MULTILINE)


def test_the_merged_label_map_of_the_guide(folder: Path, inside: Facekit, forget: None) -> None:
    plugin = folder / "coarse.py"
    plugin.write_text(blocks("label-maps", "python")[1], encoding="utf-8")
    preview, run = blocks("label-maps", "sh")[0].splitlines()
    finished = inside(*arguments(preview), "--set", "train=4")
    assert finished.code == 0, finished.err
    assert (folder / "sheet.png").is_file()
    (folder / "coarse.yaml").write_text(blocks("label-maps", "yaml")[0], encoding="utf-8")
    of_the_command = [argument.replace("run", "validate") for argument in arguments(run)]
    for command in (of_the_command, ["validate", "coarse.yaml", "--plugin-file", "coarse.py"]):
        finished = inside(*command, "--ports-only")
        assert finished.code == 0, finished.err
        assert "classes 6" in finished.out
    finer = load_registry(plugin).label_maps
    table = finer["coarse"].merge_table(finer["celebamask_hq"])
    assert table[np.array([finer["celebamask_hq"].id_of("hat")])].tolist() == [5]


def test_a_merged_label_map_that_loses_a_class_is_told_like_that(inside: Facekit) -> None:
    names: dict[str, Any] = {}
    exec(blocks("label-maps", "python")[1], names)
    exec(blocks("label-maps", "python")[2], names)
    names["check_merged_form"](names["COARSE"])
    without = tuple(pair for pair in names["COARSE"].merges if pair[0] != "hat")
    with pytest.raises(ValueError, match="hat") as caught:
        names["check_merged_form"](replace(names["COARSE"], merges=without))
    assert blocks("label-maps", "text") == [f"ValueError: {caught.value}\n"]


def test_the_optimiser_and_the_schedule_of_the_guide_train(folder: Path, inside: Facekit, forget: None) -> None:
    page = (GUIDE / "interfaces.md").read_text("utf-8")
    sections = re.findall(r"^In a recipe: `(train: \{.+\})`\.$", page, re.MULTILINE)
    assert len(sections) == 2
    made = inside("plugins", "new", "my-ideas", "--file")
    assert made.code == 0, made.err
    overrides = []
    for section in sections:
        match = re.fullmatch(r"train: \{(\w+): (\{.+\})\}", section)
        assert match is not None
        overrides += ["--set", f"train.{match[1]}={match[2]}"]
    plugins = [part for name in ("optimiser", "schedule") for part in ("--plugin-file", str(KINDS / f"my_{name}.py"))]
    plugins += ["--plugin-file", "my_ideas.py"]
    try:
        finished = inside(
            "run", "my_ideas.yaml", *plugins, *overrides, "--set", "train.steps=6", "--set", "train.log_every=1",
            "--set", "train.checkpoint_every=3", "--out", "run",
        )  # fmt: skip
        assert finished.code == 0, finished.err
    finally:
        for name in ("my_optimiser", "my_schedule"):
            sys.modules.pop(name, None)
    lines = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text("utf-8").splitlines()]
    rates = [line["learning_rates"]["generator"] for line in lines if line["event"] == "train"]
    assert rates == pytest.approx([1e-4, 0.5e-4] * 3)  # three periods of two steps
    lock = json.loads((folder / "run" / "lock.json").read_text("utf-8"))
    assert {Path(name).name for name in lock["plugins"]} >= {"my_optimiser.py", "my_schedule.py", "my_ideas.py"}
