"""The record of a run: what a changed recipe or a damaged lock does to resuming and loading it."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from facekit.interfaces import CheckpointSaved, FacekitError, RunEvent
from facekit.recipe import ResolvedRecipe
from facekit.registry import Registry
from facekit.training.loop import train
from facekit.training.networks import load_model
from facekit.training.run.folder import LOCK_HASH, RECIPE_HASH, RunFolder, step_name, write_json
from facekit.training.run.reading import read_run_recipe

ReadRecipe = Callable[..., ResolvedRecipe]


@pytest.fixture
def run(tmp_path: Path, registry: Registry, read: ReadRecipe) -> RunFolder:
    """A run stopped after its checkpoint of step 3."""
    folder = RunFolder(tmp_path / "run")

    def stop(event: RunEvent) -> None:
        if isinstance(event, CheckpointSaved):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(read("train.log_every=1"), out=folder.path, registry=registry, observer=stop)
    return folder


def resume(run: RunFolder, registry: Registry) -> tuple[str, ...]:
    """Go on with a run as `facekit resume` does: with the recipe that lies in its folder."""
    recipe = read_run_recipe(run.recipe, registry=registry)
    warnings = train(recipe, out=run.path, registry=registry, resume=True).warnings
    # Eight steps are too few for the tiny networks to follow a reference, which is no matter here.
    return tuple(warning for warning in warnings if "does not change with the reference" not in warning)


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def without_copies(run: RunFolder) -> None:
    """Make a run look as an older version of facekit left it."""
    for folder in run.checkpoints.iterdir():
        manifest = json.loads((folder / "manifest.json").read_text())
        for name in ("recipe.yaml", "lock.json"):
            del manifest["files"][name]
            (folder / name).unlink()
        write_json(folder / "manifest.json", manifest)
    lock = json.loads(run.lock.read_text())
    del lock[LOCK_HASH], lock[RECIPE_HASH]
    write_json(run.lock, lock)


class TestRecipe:
    def test_a_changed_digit_is_named_and_not_trained_on(self, run: RunFolder, registry: Registry) -> None:
        edit(run.recipe, "lr: 0.0002", "lr: 0.0003")
        with pytest.raises(
            FacekitError, match=r"changed since step 3: train\.optimiser\.lr was 0\.0002, is 0\.0003"
        ) as raised:
            resume(run, registry)
        assert f"facekit run {run.recipe} --out" in str(raised.value.remedy)
        # The command of the remedy puts it back.
        shutil.copy(run.checkpoints / step_name(3) / "recipe.yaml", run.recipe)
        assert str(run.checkpoints / step_name(3) / "recipe.yaml") in str(raised.value.remedy)
        assert resume(run, registry) == ()

    def test_comments_do_not_count(self, run: RunFolder, registry: Registry) -> None:
        run.recipe.write_text("# mine\n" + run.recipe.read_text(encoding="utf-8"), encoding="utf-8")
        assert resume(run, registry) == ()

    def test_a_changed_recipe_is_noticed_before_the_first_checkpoint(self, run: RunFolder, registry: Registry) -> None:
        shutil.rmtree(run.checkpoints)
        edit(run.recipe, "lr: 0.0002", "lr: 0.0003")
        with pytest.raises(FacekitError, match="changed since the run was started"):
            resume(run, registry)

    def test_a_loaded_model_warns_of_it(self, run: RunFolder, registry: Registry) -> None:
        edit(run.recipe, "lr: 0.0002", "lr: 0.0003")
        (warning,) = load_model(run.path, registry=registry).warnings
        assert "train.optimiser.lr was 0.0002, is 0.0003" in warning


class TestLock:
    def test_every_flip_of_a_bit_is_noticed_and_loses_nothing(self, run: RunFolder, registry: Registry) -> None:
        sound = load_model(run.path, registry=registry)
        assert sound.warnings == ()
        data = run.lock.read_bytes()
        draw = random.Random(1)
        for position in draw.sample(range(len(data)), 60):
            flipped = bytearray(data)
            flipped[position] ^= 1 << draw.randrange(8)
            run.lock.write_bytes(flipped)
            loaded = load_model(run.path, registry=registry)
            assert (loaded.label_map, loaded.attribute_names) == (sound.label_map, sound.attribute_names)
            if not loaded.warnings:
                # A flip that turns one kind of white space into another changes nothing.
                assert json.loads(flipped) == json.loads(data)

    @pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 100_000, b'{"label_map": 3}', None])
    def test_a_damaged_lock_is_put_back_from_the_checkpoint(
        self, run: RunFolder, registry: Registry, content: bytes | None
    ) -> None:
        before = run.read_lock()
        if content is None:
            run.lock.unlink()
        else:
            run.lock.write_bytes(content)
        (warning,) = load_model(run.path, registry=registry).warnings
        assert "lock.json" in warning
        assert "step-00000003" in warning
        assert warning in resume(run, registry)
        assert run.read_lock() == before

    def test_without_a_checkpoint_it_says_how_to_train_again(self, run: RunFolder, registry: Registry) -> None:
        shutil.rmtree(run.checkpoints)
        edit(run.lock, '"seed": 0', '"seed": 1')
        with pytest.raises(FacekitError, match=r"lock\.json is not what the run wrote") as raised:
            resume(run, registry)
        assert f"facekit run {run.recipe} --out" in str(raised.value.remedy)

    def test_a_lock_that_lost_its_checksum_is_damaged(self, run: RunFolder) -> None:
        edit(run.lock, f'"{LOCK_HASH}"', '"sha257"')
        with pytest.raises(FacekitError, match=r"lock\.json is not what the run wrote"):
            run.read_lock()


class TestOlderRuns:
    def test_they_load_and_go_on(self, run: RunFolder, registry: Registry) -> None:
        without_copies(run)
        assert load_model(run.path, registry=registry).warnings == ()
        assert resume(run, registry) == ()
        assert (run.checkpoints / step_name(8) / "lock.json").read_bytes() == run.lock.read_bytes()

    @pytest.mark.parametrize("entry", ["label_map", "attribute_names", "data_fingerprint"])
    def test_a_missing_entry_of_theirs_is_no_traceback(self, run: RunFolder, registry: Registry, entry: str) -> None:
        without_copies(run)
        lock = run.read_lock()
        del lock[entry]
        write_json(run.lock, lock)
        with pytest.raises(FacekitError, match=r"lock\.json"):
            resume(run, registry)
