"""Flipped bits in everything that facekit keeps: the packed cache, and the files of a run folder."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.robustness.counting import Count, flips

RECIPE = """\
facekit: 1
name: tiny
description: A few steps on a few small drawn faces.
data: {use: synthetic_faces, size: 32, train: 8, validation: 4, test: 4}
model:
  style_encoder: {use: sft_style}
  generator: {use: sft_pix2pixhd, filters: 4, blocks: 1}
  discriminator: {use: multiscale_patch, filters: 4}
losses:
  generator: [{use: adversarial}, {use: l1, weight: 10}]
  discriminator: [{use: adversarial}]
metrics: [{use: psnr}]
train: {steps: 6, batch: 2, precision: fp32, device: cpu, samples: 1, log_every: 1, checkpoint_every: 3}
"""


@lru_cache(maxsize=1)
def tiny_run() -> Path:
    """Train, measure and report a tiny model with the command line, once. Returns the run folder."""
    from click.testing import CliRunner

    from facekit.cli.main import cli

    folder = Path(tempfile.mkdtemp(prefix="facekit-robustness-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    source = folder / "tiny.yaml"
    source.write_text(RECIPE, encoding="utf-8")
    result = CliRunner().invoke(cli, ["run", str(source), "--out", str(folder / "run")], prog_name="facekit")
    if result.exit_code:
        raise RuntimeError(result.output)
    return folder / "run"


def cache(*, count: int, seed: int) -> Count:
    """Flip bits of a packed cache, all files of it, and read every face."""
    from facekit.data.cache import prepare
    from facekit.data.store import DamagedCache, PackedFaces
    from facekit.interfaces import DatasetContext
    from facekit.registry import load_registry

    registry = load_registry()
    spec = registry.find("dataset", "synthetic_faces").spec
    dataset = spec.build(
        spec.options.model_validate({"train": 12, "validation": 2, "test": 2}), DatasetContext(registry.label_maps)
    )
    with tempfile.TemporaryDirectory() as name:
        folder = prepare(dataset, size=32, cache=Path(name), workers=1).folder
        sound = _all_of(PackedFaces.open(folder))
        verified = folder / "verified.json"
        dates = verified.read_bytes()

        def evaluator(file: Path, which: str) -> str:
            try:
                packed = PackedFaces.open(folder)
                same = _same(_all_of(packed), sound)
            except DamagedCache:
                return "noticed"
            finally:
                if file != verified:
                    verified.write_bytes(dates)
            # What only says when files were compared is compared again, and costs nothing but that.
            return "harmless" if same else f"{which}: other faces, and not a word"

        return flips("packed cache, file dates kept", sorted(folder.iterdir()), evaluator, count=count, seed=seed)


def _all_of(packed: Any) -> dict[str, Any]:
    return {
        "images": np.asarray(packed.images),
        "masks": np.asarray(packed.masks),
        "attributes": packed.attributes,
        "keys": list(packed.keys),
        "splits": {name: rows.tolist() for name, rows in packed.splits.items()},
        "labels": packed.label_map,
        "names": (packed.attribute_names, packed.fingerprint, dict(packed.repairs), packed.size),
    }


def _same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return all(
        np.array_equal(value, second[name]) if isinstance(value, np.ndarray) else value == second[name]
        for name, value in first.items()
    )


def run_folder(name: str, *, count: int, seed: int) -> Count:
    """Flip bits in one kind of file of a run: ``metrics``, ``lock``, ``recipe``, ``evaluations`` or ``checkpoints``."""
    files, evaluator = _ATTACKS[name](tiny_run())
    return flips(f"{name} of a run", files, evaluator, count=count, seed=seed)


Attack = tuple[list[Path], Callable[[Path, str], str]]


def _metrics(run: Path) -> Attack:
    from facekit.training.run.metric_lines import decode_lines

    file = run / "metrics.jsonl"
    sound = decode_lines(file.read_bytes()).events

    def evaluator(file: Path, which: str) -> str:
        found = decode_lines(file.read_bytes())
        if any(event not in sound for event in found.events):
            return f"{which}: another number, and not a word"
        if len(found.events) < len(sound) - 1:
            return f"{which}: sound lines are lost"
        return "noticed" if found.damaged or found.cut else "harmless"

    return [file], evaluator


def _lock(run: Path) -> Attack:
    from facekit.training.checkpoint.checkpoints import newest
    from facekit.training.lockfile import read_run_lock
    from facekit.training.run.folder import RunFolder

    folder = RunFolder(run)
    sound, found = read_run_lock(folder), newest(folder.checkpoints)

    def evaluator(file: Path, which: str) -> str:
        now = read_run_lock(folder, found)
        if now.lock != sound.lock:
            return f"{which}: another record, and not a word"
        return "noticed" if now.warnings else "harmless"

    return [folder.lock], evaluator


def _recipe(run: Path) -> Attack:
    from facekit.interfaces import FacekitError
    from facekit.recipe import dump_recipe
    from facekit.registry import load_registry
    from facekit.training.checkpoint.checkpoints import newest
    from facekit.training.lockfile import check_recipe, read_run_lock
    from facekit.training.run.folder import RunFolder
    from facekit.training.run.reading import read_run_recipe

    folder, registry = RunFolder(run), load_registry()
    before, found = read_run_lock(folder), newest(folder.checkpoints)
    sound = dump_recipe(read_run_recipe(folder.recipe, registry=registry))

    def evaluator(file: Path, which: str) -> str:
        try:
            check_recipe(folder, before, found, registry=registry)
            now = dump_recipe(read_run_recipe(folder.recipe, registry=registry))
        except FacekitError:
            return "noticed"
        return "harmless" if now == sound else f"{which}: another setting, and not a word"

    return [folder.recipe], evaluator


def _evaluations(run: Path) -> Attack:
    from facekit.evaluation.store import read_evaluation
    from facekit.interfaces import FacekitError

    files = sorted((run / "evaluations").glob("*.json"))
    sound = {file: read_evaluation(file) for file in files}

    def evaluator(file: Path, which: str) -> str:
        try:
            return "harmless" if read_evaluation(file) == sound[file] else f"{which}: another number, and not a word"
        except FacekitError:
            return "noticed"

    return files, evaluator


def _checkpoints(run: Path) -> Attack:
    from facekit.training.checkpoint.checkpoints import newest
    from facekit.training.run.folder import RunFolder, step_name, steps_on_disk

    folder = RunFolder(run).checkpoints
    older, last = steps_on_disk(folder)[-2:]

    def evaluator(file: Path, which: str) -> str:
        found = newest(folder)
        if found is None or found.step not in (older, last):
            return f"{which}: no checkpoint is found"
        if found.step == older:
            return "noticed" if found.damaged else f"{which}: passed over without a word"
        # The manifest holds blanks; its numbers and names are compared with the files.
        return "harmless" if file.name == "manifest.json" else f"{which}: not noticed"

    return sorted((folder / step_name(last)).iterdir()), evaluator


_ATTACKS: dict[str, Callable[[Path], Attack]] = {
    "metrics": _metrics,
    "lock": _lock,
    "recipe": _recipe,
    "evaluations": _evaluations,
    "checkpoints": _checkpoints,
}

RUN_FILES = tuple(_ATTACKS)
