"""Edits of a part that a run fills in: alone, beside a run of whole faces, in folders, and what can go wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from facekit.cli.main import cli
from facekit.inference import FacePipeline, load, read_provenance
from facekit.interfaces import FacekitError
from facekit.registry import load_registry
from facekit_studio.editing import PhotoEditor, edit_folder
from facekit_studio.editing.script import EditScript, parse_script

from ..conftest import HOLES

SMALL = "facekit_edit: 1\noperations: [{do: set, region: hair, ellipse: {centre: [0.3, 0.3], radii: [0.1, 0.1]}}]\n"
LARGE = SMALL.replace("[0.3, 0.3]", "[0.5, 0.5]").replace("[0.1, 0.1]", "[0.49, 0.45]")
LOOK = "facekit_edit: 1\noperations: [{do: reference, photo: b.png, mask: b_mask.png}]\n"
SIDE = 150


def opened(run: Path, *, weights: Literal["ema", "live"] = "ema") -> FacePipeline:
    return load(run, device="cpu", precision="fp32", weights=weights, registry=load_registry(HOLES))


@pytest.fixture
def filling(filling_run: Path) -> FacePipeline:
    return opened(filling_run)


@pytest.fixture
def files(tmp_path: Path, face: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The faces a and b, larger than the runs, and the scripts, in the folder that is worked in."""
    monkeypatch.chdir(tmp_path)
    for seed, stem in enumerate("ab"):
        one = face(seed, photo_size=SIDE)
        one.photo.save(f"{stem}.png")
        one.mask.save(f"{stem}_mask.png")
    for name, text in (("small", SMALL), ("large", LARGE), ("look", LOOK)):
        Path(f"{name}.yaml").write_text(text)
    return tmp_path


def script(text: str) -> EditScript:
    return parse_script(text)


def edited(editor: PhotoEditor, text: str) -> Any:
    return editor.edit(editor.open("a.png", "a_mask.png"), script(text))


def test_a_part_is_filled_in_at_the_resolution_of_the_photo(filling: FacePipeline, files: Path) -> None:
    editor = PhotoEditor(filling)
    assert editor.mask_side == 512
    done = edited(editor, SMALL)
    assert done.local
    assert done.notes == ()
    assert done.painted.shape == (SIDE, SIDE, 3)
    photo = np.asarray(Image.open("a.png"))
    rows, columns = np.indices(photo.shape[:2])
    distance = np.hypot(rows + 0.5 - 45, columns + 0.5 - 45)
    assert (done.photo[distance > 15 + 0.03 * SIDE + 6] == photo[distance > 15 + 0.03 * SIDE + 6]).all()
    inside = done.photo[distance < 12].astype(int)
    assert np.ptp(inside, axis=0).max() <= 2  # all of it is the run's one colour of hair
    assert np.abs(inside - photo[distance < 12]).max() > 20


def test_another_seed_fills_in_something_else(filling: FacePipeline, files: Path) -> None:
    first, again, other = (edited(PhotoEditor(filling, seed=seed), SMALL).photo for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert (first != other).any()


def test_alone_it_fills_in_large_edits_too_and_says_so(filling: FacePipeline, files: Path) -> None:
    done = edited(PhotoEditor(filling), LARGE)
    assert done.local
    assert any("more of the face changes" in note for note in done.notes)


@pytest.mark.parametrize("whole", ["styled_run", "plain_run"])
def test_beside_a_run_of_whole_faces(
    whole: str, filling: FacePipeline, files: Path, request: pytest.FixtureRequest
) -> None:
    """Parts are filled in as by the local run alone; the rest is painted."""
    pipeline = opened(request.getfixturevalue(whole))
    editor = PhotoEditor(pipeline, local=filling)
    part = edited(editor, SMALL)
    assert part.local
    assert np.array_equal(part.photo, edited(PhotoEditor(filling), SMALL).photo)
    large = edited(editor, LARGE)
    assert not large.local
    assert large.notes == ("painted by the run of whole faces: it changes too much of the face for the other",)
    face = editor.open("a.png", "a_mask.png")
    style = editor.style_of(face, ()) if whole == "styled_run" else None
    assert np.array_equal(large.painted, editor.paint(large.mask, style))
    if whole == "styled_run":
        look = edited(editor, LOOK)
        assert not look.local
        assert look.touched.all()
        assert "gives another look" in look.notes[0]
    assert not edited(PhotoEditor(pipeline), SMALL).local


def test_what_does_not_go_together(
    filling: FacePipeline, merged_filling_run: Path, styled_run: Path, plain_run: Path, files: Path
) -> None:
    styled, plain, merged = opened(styled_run), opened(plain_run), opened(merged_filling_run)
    for make, message, where, remedy in (
        (lambda: PhotoEditor(styled, local=plain), "does not fill holes in photos: it needs mask", plain_run,
         "facekit run local_edit"),
        (lambda: PhotoEditor(styled, local=merged), "the classes of celebamask_hq_merged, and the other one those of",
         merged_filling_run, "one label map"),
        (lambda: PhotoEditor(filling, local=filling), "this run fills holes itself", filling.run, "leave out --local"),
        (lambda: PhotoEditor(plain, seed=1), "nothing here starts from noise", plain_run, "--seed"),
        (lambda: edited(PhotoEditor(filling), LOOK), "gives another look", filling.run, "this one as --local"),
        (lambda: edited(PhotoEditor(plain, local=filling), LOOK), "gives another look", plain_run, "leave the look"),
    ):  # fmt: skip
        with pytest.raises(FacekitError, match=message) as caught:
            make()
        assert caught.value.where == str(where)
        assert remedy in str(caught.value.remedy)


class TestFolders:
    @pytest.fixture
    def edit(self, styled_run: Path, filling_run: Path, files: Path) -> Callable[..., Any]:
        def run(text: str = SMALL, *, local: str | None = "ema", seed: int = 0) -> Any:
            beside = None if local is None else opened(filling_run, weights=local)  # type: ignore[arg-type]
            editor = PhotoEditor(opened(styled_run), local=beside, seed=seed)
            return edit_folder(editor, script(text), photo="a.png", mask="a_mask.png", output="out.png")

        return run

    def test_the_record_names_both_runs(
        self, edit: Callable[..., Any], styled_run: Path, filling_run: Path, filling: FacePipeline
    ) -> None:
        for text, locally in ((SMALL, True), (LARGE, False), (LOOK, False)):
            item = edit(text).items[0]
            assert (item.outcome, item.locally) == ("written", locally)
            record = read_provenance(Path("out.png"))
            assert record is not None
            assert (record["run"], record["local_run"], record["local_step"]) == ("styled", "filling", 7)
            assert record["weights_sha256"] == opened(styled_run).weights_sha256
            assert record["local_weights_sha256"] == filling.weights_sha256
            assert (record["seed"], record["edited_locally"]) == (0, locally)
            Path("out.png").unlink()
        edit(local=None)
        alone = read_provenance(Path("out.png"))
        assert alone is not None
        assert alone["edited_locally"] is False
        assert not {"local_run", "local_weights_sha256", "seed"} & set(alone)

    def test_a_result_of_other_weights_is_not_taken_for_this_one(self, edit: Callable[..., Any]) -> None:
        edit()
        assert edit().items[0].outcome == "skipped"
        for changed in ({"local": "live"}, {"local": None}, {"seed": 1}):
            with pytest.raises(FacekitError, match="made with other weights, photos, another seed") as caught:
                edit(**changed)
            assert caught.value.remedy == "--overwrite replaces it"
        Path("out.png").unlink()
        edit(local=None)
        with pytest.raises(FacekitError, match="made with other weights"):
            edit()
        assert edit(local=None).items[0].outcome == "skipped"


class TestCommand:
    @pytest.fixture
    def call(self, files: Path) -> Callable[..., Result]:
        def run(*arguments: str | Path) -> Result:
            words = ["--plugin-file", HOLES, "edit", *arguments, "--mask", "a_mask.png", "--device", "cpu"]
            return CliRunner().invoke(cli, list(map(str, words)), prog_name="facekit")

        return run

    def test_by_whom_it_was_made_is_said(
        self, call: Callable[..., Result], styled_run: Path, filling_run: Path
    ) -> None:
        both = (styled_run, "a.png", "--local", filling_run)
        small = call(*both, "--script", "small.yaml", "-o", "small.png", "--seed", "5")
        assert small.exit_code == 0, small.output
        assert small.stdout == "1 picture written to small.png, 1 of them edited locally\n"
        assert f"edits of a part: {filling_run}, step 7" in small.stderr
        again = call(*both, "--script", "small.yaml", "-o", "small.png", "--seed", "5", "--json")
        assert [(item["outcome"], item["locally"]) for item in json.loads(again.stdout)] == [("skipped", False)]
        large = call(*both, "--script", "large.yaml", "-o", "large.png")
        assert "0 of them edited locally" in large.stdout
        assert "painted by the run of whole faces: it changes too much" in large.stderr
        alone = call(filling_run, "a.png", "--script", "small.yaml", "-o", "alone.png", "--seed", "5")
        assert alone.stdout == "1 picture written to alone.png\n"
        assert Image.open("alone.png").tobytes() == Image.open("small.png").tobytes()
        told = CliRunner().invoke(cli, ["provenance", "small.png"], prog_name="facekit").stdout
        for line in ("local_run: filling", "local_weights_sha256: ", "seed: 5", "edited_locally: True"):
            assert line in told

    def test_mistakes(
        self,
        call: Callable[..., Result],
        styled_run: Path,
        plain_run: Path,
        filling_run: Path,
        merged_filling_run: Path,
        files: Path,
    ) -> None:
        for runs, name, message in (
            ((styled_run, "--local", plain_run), "small", f"{plain_run}: this run does not fill holes in photos"),
            ((styled_run, "--local", merged_filling_run), "small", "knows the classes of celebamask_hq_merged"),
            ((filling_run, "--local", filling_run), "small", "this run fills holes itself"),
            ((styled_run, "--local", files / "none"), "small", str(files / "none")),
            ((filling_run,), "look", "gives another look, and this run reads no reference"),
            ((styled_run, "--seed", "1"), "small", "nothing here starts from noise"),
        ):
            run, *more = runs
            result = call(run, "a.png", *more, "--script", f"{name}.yaml", "-o", "out.png")
            assert result.exit_code == 2, result.output
            assert message in result.stderr
            assert "Traceback" not in result.output
        assert not (files / "out.png").exists()
