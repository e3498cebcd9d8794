"""``docs/plugins/``: its code runs, its commands work, its tables leave nothing out."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from importlib.util import module_from_spec, spec_from_file_location
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import numpy as np
import pytest
import torch

import facekit.interfaces
import facekit.registry
import facekit.testing
from facekit.interfaces import STOPPED, DatasetContext, ExecutorContext, ExecutorTask, PortContext, RunEvent, Segmenter
from facekit.registry import KINDS as KINDS_OF_COMPONENTS
from facekit.registry import ComponentSpec, PluginSet, Registry, hooks
from facekit.testing import ComponentContract, NetworkContract
from facekit_studio.editing.alignment import Placement
from facekit_studio.editing.components import build_by_name

REPOSITORY = Path(__file__).parents[2]
GUIDE = REPOSITORY / "docs" / "plugins"
KINDS = REPOSITORY / "docs" / "examples" / "kinds"
PAGES = {page.stem: page.read_text("utf-8") for page in sorted(GUIDE.glob("*.md"))}
OWN_TESTS = {"versioning", "describing", "first-plugin", "hooks", "commands", "label-maps", "troubleshooting"}
"""Pages whose code other modules of tests run, in the place where a reader is to put it."""
MISTAKEN = {"troubleshooting"}
"""Pages whose recipes are wrong on purpose."""

Facekit = Callable[..., Any]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGES[page], re.MULTILINE | re.DOTALL)


def _words_in_code(page: str) -> set[str]:
    """Return the words between backticks, outside blocks."""
    text = re.sub(r"^```.*?^```", "", PAGES[page], flags=re.MULTILINE | re.DOTALL)
    return set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", text))))


def _python() -> list[Any]:
    return [
        pytest.param(page, number, id=f"{page}-{number}")
        for page in PAGES
        if page not in OWN_TESTS
        for number, _ in enumerate(blocks(page, "python"))
    ]


@pytest.mark.parametrize(("page", "number"), _python())
def test_the_code_runs(page: str, number: int) -> None:
    names: dict[str, Any] = {"__name__": f"guide_{page.replace('-', '_')}_{number}"}
    module = ModuleType(names["__name__"])
    sys.modules[module.__name__] = module  # dataclasses and pydantic look their module up
    try:
        exec(compile(blocks(page, "python")[number], f"{page}.md", "exec"), module.__dict__)
    finally:
        del sys.modules[module.__name__]
    made = {name: value for name, value in vars(module).items() if not name.startswith("__")}
    for name, value in made.items():
        if name.startswith("facekit_"):  # a hook: it must be one, and give what it says
            assert set(signature(value).parameters) <= set(signature(getattr(hooks, name)).parameters)
            assert value() is not None
        if isinstance(value, type) and issubclass(value, ComponentContract) and name.startswith("Test"):
            assert isinstance(value.spec, ComponentSpec)


def test_the_ports_of_the_guide() -> None:
    module: dict[str, Any] = {}
    exec(blocks("ports", "python")[0], module)
    ports = module["generator_ports"](module["GeneratorOptions"](style_length=9), PortContext(size=64))
    assert ports.needs[1].shape == ("batch", 9)


@pytest.mark.parametrize("path", sorted(KINDS.glob("*.py")), ids=lambda path: path.stem)
def test_examples_are_what_the_command_writes(path: Path, inside: Facekit, workplace: Path) -> None:
    kind = path.stem.removeprefix("my_")
    if kind in ("face_detector", "segmenter", "executor"):
        assert f"my_{kind}.py" in PAGES["interfaces"]  # these are written by hand, and tested below
        return
    finished = inside("plugins", "new", path.stem, "--kind", kind, "--file")
    assert finished.code == 0, finished.err
    assert (workplace / path.name).read_text("utf-8") == path.read_text("utf-8"), f"write {path} anew"


@pytest.fixture
def example() -> Iterator[Callable[[str], ModuleType]]:
    """Import an example as ``--plugin-file`` does, and forget it afterwards."""
    imported = []

    def load(name: str) -> ModuleType:
        spec = spec_from_file_location(name, KINDS / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        sys.modules[name] = module
        imported.append(name)
        spec.loader.exec_module(module)
        return module

    yield load
    for name in imported:
        del sys.modules[name]


def _with(module: ModuleType) -> Registry:
    """Return a registry of this plugin alone."""
    plugins = PluginSet({"FACEKIT_NO_PLUGINS": "1", "FACEKIT_STRICT_PLUGINS": "1"})
    plugins.register(module, name=module.__name__)
    return Registry(plugins)


def test_the_executor_of_the_guide(example: Callable[[str], ModuleType], tmp_path: Path) -> None:
    login = tmp_path / "login"
    login.write_text('#!/bin/sh\necho "on $1"\nexec sh -c "$2"\n', encoding="utf-8")
    login.chmod(0o755)
    module = example("my_executor")
    options = module.SshOptions(hosts=("anna", "berta"), program=str(login))
    executor = _with(module).find("executor", "ssh").spec.build(options, ExecutorContext(tmp_path))
    assert executor.slots == 2
    waits = (sys.executable, "-c", "import sys; sys.stdin.read()")
    first = executor.submit(ExecutorTask("first", waits, tmp_path / "logs" / "first"))
    second = executor.submit(ExecutorTask("second", (sys.executable, "-c", "exit(3)"), tmp_path / "logs" / "second"))
    while (code := second.poll()) is None:
        time.sleep(0.01)
    assert (code, (tmp_path / "logs" / "second").read_text()) == (3, "on berta\n")
    assert first.poll() is None
    first.cancel()
    assert first.poll() == STOPPED


def test_the_face_detector_of_the_guide(example: Callable[[str], ModuleType]) -> None:
    detector = build_by_name(_with(example("my_face_detector")), "face_detector", "middle")
    (face,) = detector(np.zeros((200, 300, 3), np.uint8))
    assert face.box == (100, 50, 200, 150)
    assert face.landmarks[2] == pytest.approx((150, 108))
    placement = Placement.of_face(face)
    assert placement.upright
    assert np.mean(placement.corners, axis=0) == pytest.approx([150, 91], abs=2)


def test_the_segmenter_of_the_guide(example: Callable[[str], ModuleType]) -> None:
    segmenter: Segmenter = build_by_name(_with(example("my_segmenter")), "segmenter", "brightness")
    photo = torch.full((1, 3, 4, 4), -0.5)
    photo[..., 2:] = 1
    assert segmenter(photo).argmax(1)[0].tolist() == [[0, 0, 1, 1]] * 4
    assert len(segmenter.label_map) == 2


def test_the_dataset_of_the_guide_reads(example: Callable[[str], ModuleType]) -> None:
    (spec,) = example("my_dataset").facekit_components()
    dataset = spec.build(spec.options(train=2), DatasetContext())
    assert dataset.read(0, size=32).image.shape == (32, 32, 3)


def test_every_included_line_is_there() -> None:
    for page, text in PAGES.items():
        for target, rest in re.findall(r"^```\{literalinclude\} (\S+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            included = (GUIDE / target).read_text("utf-8")
            for marker in re.findall(r"^:start-at: (.+)$", rest, re.MULTILINE):
                assert marker in included, f"{page}: {target} has no {marker!r}"


def test_the_first_plugin_has_the_files_the_guide_lists(inside: Facekit, workplace: Path) -> None:
    command = next(block for block in blocks("first-plugin", "sh") if "plugins new" in block).splitlines()[0]
    finished = inside(*shlex.split(command)[1:])
    assert finished.code == 0, finished.err
    made = {
        path.relative_to(workplace / "facekit-sharp").as_posix() for path in (workplace / "facekit-sharp").rglob("*.*")
    }
    made = {name for name in made if (workplace / "facekit-sharp" / name).is_file()}
    table = PAGES["first-plugin"].split("\n| file |")[1].split("\n\n")[0]
    listed = set(re.findall(r"`([^`]+)`", "".join(line.split("|")[1] for line in table.splitlines()[2:])))
    assert listed <= made
    assert made - listed == {"src/facekit_sharp/__init__.py", "src/facekit_sharp/py.typed"}
    spec = (workplace / "facekit-sharp" / "src" / "facekit_sharp" / "plugin.py").read_text()
    assert 'id="sharp/charbonnier"' in spec


def test_every_hook_and_each_of_its_arguments() -> None:
    names = [name for name in vars(hooks) if name.startswith("facekit_")]
    assert len(names) >= 6
    table, _, rest = PAGES["hooks"].partition("The arguments:")
    arguments = rest.split("\n## ")[0]
    for name in names:
        parameters = list(signature(getattr(hooks, name)).parameters)
        assert f"| `{name}({', '.join(parameters)})` |" in table
        for parameter in parameters:
            assert f"| `{parameter}` |" in arguments
        section = rest.split(f"\n## `{name}({', '.join(parameters)})`\n")[1].split("\n## ")[0]
        assert section.strip().startswith("Takes the " if parameters else "Takes nothing.")
        assert "eturns" in section
    mentioned = set(re.findall(r"`(facekit_\w+)\(", PAGES["hooks"])) | set(re.findall(r"def (facekit_\w+)", rest))
    assert mentioned == set(names), "the page names a hook that does not exist, or its example lacks one"


def test_every_event_and_every_field() -> None:
    for event in RunEvent.__args__:  # type: ignore[attr-defined]
        section = PAGES["events"].split(f"### {event.__name__}\n")[1].split("\n### ")[0]
        for field in fields(event):
            assert f"`{field.name}`" in section, f"{event.__name__}.{field.name}"


@pytest.mark.parametrize("name", ["facekit.interfaces", "facekit.registry", "facekit.testing"])
def test_every_public_name_is_somewhere_in_the_guide(name: str) -> None:
    text = "\n".join(PAGES.values()) + "\n".join(path.read_text("utf-8") for path in KINDS.glob("*.py"))
    words = set(re.findall(r"\w+", text))
    module = importlib.import_module(name)
    public = {each for each, value in vars(module).items() if each[0] != "_" and not isinstance(value, ModuleType)}
    missing = sorted(set(getattr(module, "__all__", public)) - words)
    assert not missing


@pytest.mark.parametrize(
    "name",
    [
        *("Condition", "Reference", "FaceBatch", "Style", "Generated", "DiscriminatorOutput", "ScaleOutput", "Step"),
        *("Observation", "Measurement"),
        *(
            "FaceDataset",
            "FaceSample",
            "Finding",
            "DetectedFace",
            "Segmenter",
            "Metric",
            "TransferMetric",
            "BuildContext",
        ),
        *("DatasetContext", "Task", "SPLITS"),
    ],
)
def test_every_part_of_an_interface_is_on_its_page(name: str) -> None:
    kind = getattr(facekit.interfaces, name)
    if isinstance(kind, type):
        fields = set(getattr(kind, "__dataclass_fields__", ())) or {part for part in vars(kind) if part[0] != "_"}
    else:
        fields = set(kind if isinstance(kind, tuple) else get_args(kind))
    assert fields
    words = _words_in_code("interfaces")
    assert not fields - words


@pytest.mark.parametrize("name", ["Port", "Ports", "PortContext"])
def test_every_part_of_a_port_is_on_its_page(name: str) -> None:
    words = _words_in_code("ports")
    assert not {field.name for field in fields(getattr(facekit.interfaces, name))} - words


def test_the_map_of_the_guide_leads_to_every_page() -> None:
    table = PAGES["index"].split("| you want to | read |")[1].split("\n\n")[0]
    assert sorted(re.findall(r"\]\(([\w-]+)\.md\)", table)) == sorted(set(PAGES) - {"index"})
    for title, page in re.findall(r"\[(.+)\]\(((?!troubleshooting)[\w-]+)\.md\)", table):
        assert PAGES[page].startswith(f"# {title}\n"), f"{page}.md has another title than {title!r}"


def test_every_part_of_a_label_map_is_on_its_page() -> None:
    words = _words_in_code("label-maps")
    for kind in (facekit.interfaces.LabelMap, facekit.interfaces.LabelClass):
        assert not {field.name for field in fields(kind)} - words


def test_every_kind_has_a_section_with_an_example() -> None:
    for kind in KINDS_OF_COMPONENTS:
        title = kind.replace("_", " ").capitalize()
        section = (
            PAGES["interfaces"].split(f"\n## {title}{'es' if title.endswith('s') else 's'}\n")[1].split("\n## ")[0]
        )
        assert f"{{literalinclude}} ../examples/kinds/my_{kind}.py" in section
        assert f"[{kind.replace('_', ' ')}](#" in PAGES["interfaces"]


def test_every_recipe_of_the_guide_is_read_by_a_test() -> None:
    """Those are in ``test_plugin_guide_pages.py``, beside the plugin that each needs."""
    assert {page: len(blocks(page, "yaml")) for page in PAGES if blocks(page, "yaml") and page not in MISTAKEN} == {
        "first-plugin": 1,
        "hooks": 1,
        "label-maps": 1,
        "publishing": 1,  # no recipe, but steps of a workflow
    }


def _contract_tests() -> set[tuple[str, str]]:
    found = set()
    for name in facekit.testing.__all__:
        kind = getattr(facekit.testing, name)
        if isinstance(kind, type) and issubclass(kind, (ComponentContract, facekit.testing.ImportContract)):
            found |= {(name, method) for method in vars(kind) if method.startswith("test_")}
    return found


def test_every_contract_test_is_explained_and_no_other() -> None:
    sections = re.split(r"^### By ", PAGES["testing"], flags=re.MULTILINE)[1:]
    explained = set()
    for section in sections:
        title, _, body = section.partition("\n")
        rows = [row for row in body.splitlines() if row.startswith("| `test_")]
        contract = NetworkContract.__name__ if "NetworkContract" in title else re.findall(r"`(\w+Contract)`", title)[0]
        for row in rows:
            explained |= {(contract, method) for method in re.findall(r"`(test_\w+)`", row.split("|")[1])}
            assert all(cell.strip() for cell in row.split("|")[1:-1]), row
    assert explained == _contract_tests()


def test_every_setting_of_a_contract_is_listed() -> None:
    table = PAGES["testing"].split("## What can be set")[1].split("## What is promised")[0]
    listed = set(re.findall(r"`(\w+)", table))
    for name in facekit.testing.__all__:
        kind = getattr(facekit.testing, name)
        if isinstance(kind, type) and issubclass(kind, ComponentContract):
            settings = {field for field in kind.__annotations__ if not field.startswith("_") and field != "kind"}
            assert settings <= listed, f"{name}: {settings - listed}"


@pytest.mark.slow
def test_the_whole_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    """``pip install -e .[docs]`` brings what it needs."""
    pytest.importorskip("sphinx")
    pytest.importorskip("myst_parser")
    pytest.importorskip("furo")
    finished = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "-q", str(REPOSITORY / "docs"), str(tmp_path / "html")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert (tmp_path / "html" / "plugins" / "index.html").is_file()
