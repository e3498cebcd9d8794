"""What a plugin would offer, read from source that must not run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from facekit.registry.static_scan import Offers, read_offers

Install = Any

TRAP = "raise RuntimeError('this module was run')\n"


def _found(offers: Offers) -> list[tuple[str, str, str, int]]:
    return [(one.kind, one.id, one.file.name, one.line) for one in offers.components]


def test_a_file_that_raises(install: Install) -> None:
    install("face-one", TRAP + install.source("face-one", "one/l1", kind="metric"))
    offers = read_offers("face_one")
    assert _found(offers) == [("metric", "one/l1", "face_one.py", 8)]
    assert offers.components[0].name == "l1"
    assert offers.complete
    assert "face_one" not in sys.modules


def test_constants_and_joined_texts_are_not_followed(install: Install) -> None:
    install(
        "face-one",
        TRAP
        + """
import facekit.registry as registry
SPACE: str = "one"
KIND = "loss"

@hookimpl
def facekit_components():
    return [
        registry.ComponentSpec(kind=KIND, id="one/first"),
        registry.ComponentSpec(kind="loss", id=f"{SPACE}/second"),
        registry.ComponentSpec(kind="loss", id=SPACE + "/third"),
        registry.ComponentSpec(kind="metric", id="one/fourth"),
    ]
""",
    )
    offers = read_offers("face_one:whatever")
    assert [(one.kind, one.id) for one in offers.components] == [("metric", "one/fourth")]
    assert not offers.complete  # there are more


def test_decorated_functions(install: Install) -> None:
    source = """
from facekit.registry import components, loss, metric

@loss("one/smooth", needs=("image", "generated"))
def smooth(step): ...

@metric(
    "one/error", needs=("image",), better="lower"
)
def error(observation): ...

facekit_components = components(smooth, error)
"""
    install("face-one", TRAP + source)
    offers = read_offers("face_one")
    assert _found(offers) == [("loss", "one/smooth", "face_one.py", 5), ("metric", "one/error", "face_one.py", 8)]
    assert offers.complete
    install("face-two", source.replace('"one/smooth"', "NAME"))
    offers = read_offers("face_two")
    assert [one.id for one in offers.components] == ["one/error"]
    assert not offers.complete
    install("face-three", "from elsewhere import loss\n@loss('one/smooth')\ndef smooth(step): ...\n")
    assert read_offers("face_three") == Offers(complete=True)


def test_a_package_with_recipes(install: Install) -> None:
    install(
        "face-one",
        None,
        files={
            "face_one/__init__.py": TRAP,
            "face_one/plugin.py": "from face_one.specs import SPECS\ndef facekit_components(): return SPECS\n",
            "face_one/specs.py": 'SPECS = [ComponentSpec(kind="generator", id="one/paint")]\n',
            "face_one/recipes/paint.yaml": "facekit: 1\n",
        },
        entry_points="one = face_one.plugin",
    )
    offers = read_offers("face_one.plugin")
    assert _found(offers) == [("generator", "one/paint", "specs.py", 1)]
    assert [path.name for path in offers.recipes] == ["paint.yaml"]
    assert offers.complete


def test_a_package_inside_a_namespace(install: Install) -> None:
    install(
        "face-one",
        None,
        files={
            "spaces/one/__init__.py": install.source("spaces.one", "one/l1"),
            "spaces/other/__init__.py": install.source("spaces.other", "other/l1"),
        },
        entry_points="one = spaces.one",
    )
    assert [one.id for one in read_offers("spaces.one").components] == ["one/l1"]


def test_a_syntax_error(install: Install) -> None:
    source = install.source("face-one", "one/l1") + install.source("face-one", "one/l2", kind="metric")
    install("face-one", source + "def broken(:\n")
    offers = read_offers("face_one")
    assert [(one.kind, one.id) for one in offers.components] == [("loss", "one/l1"), ("metric", "one/l2")]
    assert [source.splitlines()[one.line - 1].strip() for one in offers.components] == ["ComponentSpec("] * 2
    assert offers.complete


def test_what_is_made_when_it_runs_cannot_be_told(install: Install) -> None:
    install("face-one", install.source("face-one", "one/l1") + "ComponentSpec(kind='loss', id='one/' + input())\n")
    install("face-two", "import other\n@hookimpl\ndef facekit_components():\n    return other.SPECS\n")
    install("face-three", "ComponentSpec(kind='loss', id=f'one/{3:04d}')\nComponentSpec(**other)\n")
    one = read_offers("face_one")
    assert [offer.id for offer in one.components] == ["one/l1"]
    assert not one.complete
    assert read_offers("face_two") == Offers()
    assert read_offers("face_three") == Offers()


def test_a_plugin_without_components(install: Install) -> None:
    install("face-one", TRAP + "@hookimpl\ndef facekit_commands():\n    return []\n")
    assert read_offers("face_one") == Offers(complete=True)


def test_kinds_that_are_none_are_left_out(install: Install) -> None:
    install("face-one", "ComponentSpec(kind='lossy', id='one/l1')\nComponentSpec(kind='loss', id='l1')\n")
    assert read_offers("face_one") == Offers()


def test_what_is_not_there_offers_nothing(install: Install) -> None:
    assert read_offers("no_module_at_all.plugin:thing") == Offers()
    assert read_offers("") == Offers()
    assert read_offers("sys") == Offers()  # no file


def test_bytes_that_are_no_text(install: Install) -> None:
    install("face-one", "")
    (install.site / "face_one.py").write_bytes(b"ComponentSpec\xff")
    assert read_offers("face_one") == Offers()


def test_a_file(tmp_path: Path, install: Install) -> None:
    path = tmp_path / "json.py"  # a module of this name is elsewhere
    path.write_text(install.source("json", "mine/l1"), encoding="utf-8")
    assert [(one.id, one.file) for one in read_offers("json", file=path).components] == [("mine/l1", path)]
