"""Run folders whose checksums are right and whose contents are not: a sentence, by loading and by resuming."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from facekit.interfaces import FacekitError
from facekit.recipe import ResolvedRecipe
from facekit.registry import Registry
from facekit.training.checkpoint import checkpoints
from facekit.training.loop import train
from facekit.training.networks import load_model
from facekit.training.run.folder import MANIFEST, RunFolder

ReadRecipe = Callable[..., ResolvedRecipe]


def replace(folder: Path, name: str, content: bytes) -> None:
    """Replace a file of a checkpoint, and write a manifest that fits."""
    (folder / name).write_bytes(content)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"][name] = {"bytes": len(content), "sha256": checkpoints.sha256(folder / name)}
    (folder / MANIFEST).write_text(json.dumps(manifest))


def without_copies(run: Path) -> None:
    """Take the copies of recipe and lock out of all checkpoints of a run, as older versions wrote them."""
    for folder in RunFolder(run).checkpoints.iterdir():
        manifest = json.loads((folder / MANIFEST).read_text())
        for name in ("recipe.yaml", "lock.json"):
            del manifest["files"][name]
            (folder / name).unlink()
        (folder / MANIFEST).write_text(json.dumps(manifest))


def broken_tensors(content: bytes) -> Iterator[bytes]:
    yield from (b"", b"hello\n", content[: len(content) // 2], b"\xff" * 8 + content[8:], bytes(8) + content[8:])
    chance = random.Random(0)
    for _ in range(10):
        damaged = bytearray(content)
        for _ in range(4):
            damaged[chance.randrange(200)] = chance.randrange(256)
        yield bytes(damaged)


def broken_documents(document: dict[str, Any], keys: tuple[str, ...]) -> Iterator[bytes]:
    yield from (b"", b"[]", b"null", b"\xff", b"[" * 100_000)
    for key in keys:
        without = {name: value for name, value in document.items() if name != key}
        yield json.dumps(without).encode()
        for wrong in (None, [], {}, [3], {"a": [1]}, "text", -1.5):
            yield json.dumps({**without, key: wrong}).encode()


def assert_told(run: Path, recipe: ResolvedRecipe, registry: Registry, *, what: str) -> int:
    """Load a run and go on with it; nothing but a FacekitError may come out. Returns how often one did."""
    told = []
    for use in (
        lambda: load_model(run, registry=registry),
        lambda: train(recipe, out=run, registry=registry, resume=True),
    ):
        try:
            use()
        except FacekitError as error:
            told.append(error.message)
    assert all(message.strip() and "\n" not in message for message in told), what
    return len(told)


some_or_all = pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.slow)])


@some_or_all
@pytest.mark.parametrize("name", ["live.safetensors", "ema.safetensors", "optimiser.safetensors", "state.json"])
def test_checkpoints_that_no_run_wrote(
    tmp_path: Path, registry: Registry, read: ReadRecipe, name: str, every: int
) -> None:
    recipe = read("train.log_every=1")
    train(recipe, out=tmp_path / "whole", registry=registry)
    (step,) = [folder.name for folder in sorted(RunFolder(tmp_path / "whole").checkpoints.iterdir())][-1:]
    content = (RunFolder(tmp_path / "whole").checkpoints / step / name).read_bytes()
    if name == "state.json":
        document = json.loads(content)
        cases = list(broken_documents(document, tuple(document)))
    else:
        cases = list(broken_tensors(content))
    cases = cases[::every]
    told = 0
    for number, case in enumerate(cases):
        run = tmp_path / "run"
        shutil.copytree(tmp_path / "whole", run)
        for other in RunFolder(run).checkpoints.iterdir():
            if other.name != step:
                shutil.rmtree(other)
        replace(RunFolder(run).checkpoints / step, name, case)
        told += assert_told(run, recipe, registry, what=f"{name} {number}: {case[:60]!r}")
        shutil.rmtree(run)
    assert told >= len(cases) // 2


@some_or_all
def test_locks_that_no_run_wrote(tmp_path: Path, registry: Registry, read: ReadRecipe, every: int) -> None:
    recipe = read("train.log_every=1")
    train(recipe, out=tmp_path / "whole", registry=registry)
    lock = json.loads(RunFolder(tmp_path / "whole").lock.read_text())
    # The checksum would tell of every change; what is looked at here is what the entries are.
    lock.pop("sha256", None)
    cases = list(broken_documents(lock, tuple(lock)))
    for key in lock["label_map"]:
        cases += [json.dumps({**lock, "label_map": each}).encode() for each in broken_maps(lock["label_map"], key)]
    cases = cases[::every]
    told = 0
    for number, case in enumerate(cases):
        run = tmp_path / "run"
        shutil.copytree(tmp_path / "whole", run)
        RunFolder(run).lock.write_bytes(case)
        if number % 10 == 0:  # a checkpoint's copy stands in for it
            assert_told(run, recipe, registry, what=f"lock.json {number} beside a copy: {case[:60]!r}")
            shutil.rmtree(run)
            shutil.copytree(tmp_path / "whole", run)
            RunFolder(run).lock.write_bytes(case)
        without_copies(run)
        told += assert_told(run, recipe, registry, what=f"lock.json {number}: {case[:60]!r}")
        shutil.rmtree(run)
    assert told >= 50 // every


def broken_maps(label_map: dict[str, Any], key: str) -> Iterator[dict[str, Any]]:
    yield {name: value for name, value in label_map.items() if name != key}
    yield from ({**label_map, key: wrong} for wrong in (None, 3, [3], [[]], [["a", "b"]], [{"name": 3}], {"a": 1}))
    yield from (
        {**label_map, "classes": [{"name": "skin", "colour": colour}]}
        for colour in ([1, 2], [1, 2, "x"], [1, 2, 300], None, [1, 2, 0.5])
    )


@pytest.mark.parametrize("content", [b"[" * 100_000, b"[]", b"3", b'{"format": 1}', b"\xff"])
def test_manifests_that_no_run_wrote(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MANIFEST).write_bytes(content)
    assert checkpoints.check(tmp_path) == f"{MANIFEST} cannot be read"
