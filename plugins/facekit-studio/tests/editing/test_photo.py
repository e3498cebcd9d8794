"""Editing faces in photos: found, read, edited, pasted back; folders; what results say of themselves."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from torch import Tensor

from facekit.cli.main import cli
from facekit.inference import FacePipeline, load, read_provenance
from facekit.interfaces import FacekitError, LabelClass, LabelMap
from facekit.registry import load_registry
from facekit_studio.editing import PhotoEditor, edit_folder
from facekit_studio.editing.script import EditScript, parse_script

MakeFace = Callable[..., Any]
GROW = "facekit_edit: 1\noperations: [{do: set, region: hair, ellipse: {centre: [0.3, 0.3], radii: [0.1, 0.1]}}]\n"


class ByColour:
    """Reads a mask off the first colour channel: a stand-in for a trained network, which takes minutes to make."""

    provenance = "colours 0"

    def __init__(self, label_map: LabelMap) -> None:
        self.label_map = label_map
        self.sizes: list[int] = []

    def __call__(self, image: Tensor) -> Tensor:
        self.sizes.append(image.shape[-1])
        ids = ((image[:, 0] + 1) * 127.5 / 12).round().long().clamp(0, len(self.label_map) - 1)
        return torch.nn.functional.one_hot(ids, len(self.label_map)).permute(0, 3, 1, 2).float()


@pytest.fixture
def script(pipeline: FacePipeline) -> EditScript:
    return parse_script(GROW, label_map=pipeline.label_map)


@pytest.fixture
def files(tmp_path: Path, face: MakeFace) -> Path:
    """Folders ``photos`` (larger than the run, JPEG) and ``masks`` with the faces a, b and c; and a script."""
    for name in ("photos", "masks"):
        (tmp_path / name).mkdir()
    for index, stem in enumerate("abc"):
        one = face(index, photo_size=150)
        one.photo.save(tmp_path / "photos" / f"{stem}.jpg", quality=95)
        one.mask.save(tmp_path / "masks" / f"{stem}.png")
    (tmp_path / "script.yaml").write_text(GROW)
    return tmp_path


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def test_only_where_the_mask_changed(pipeline: FacePipeline, script: EditScript, files: Path) -> None:
    editor = PhotoEditor(pipeline)
    opened = editor.open(files / "photos" / "a.jpg", files / "masks" / "a.png")
    edited = editor.edit(opened, script)
    photo = pixels(files / "photos" / "a.jpg")
    assert np.array_equal(edited.photo[~edited.touched], photo[~edited.touched])
    # The ellipse and its feather, in pixels of the photo; nothing beyond.
    rows, columns = np.indices(photo.shape[:2])
    distance = np.hypot(rows + 0.5 - 45, columns + 0.5 - 45)
    assert not edited.touched[distance > 15 + 0.04 * 150 + 5].any()
    assert edited.touched[distance < 10].all()
    assert (edited.photo[distance < 10] != photo[distance < 10]).any()
    assert (edited.mask != opened.mask).sum() > 50


def test_a_deep_grey_photo_is_opened_as_grey(pipeline: FacePipeline, files: Path) -> None:
    grey = np.asarray(Image.open(files / "photos" / "a.jpg").convert("L"))
    Image.fromarray(grey.astype(np.uint16) * 257).save(files / "deep.png")
    opened = PhotoEditor(pipeline).open(files / "deep.png", files / "masks" / "a.png")
    assert np.array_equal(opened.photo, np.repeat(grey[:, :, None], 3, axis=2))


def test_a_script_that_changes_nothing_returns_the_photo(pipeline: FacePipeline, files: Path) -> None:
    editor = PhotoEditor(pipeline)
    opened = editor.open(files / "photos" / "a.jpg", files / "masks" / "a.png")
    edited = editor.edit(opened, parse_script("facekit_edit: 1\noperations: []\n"))
    assert np.array_equal(edited.photo, pixels(files / "photos" / "a.jpg"))


def test_the_face_keeps_its_look(pipeline: FacePipeline, script: EditScript, files: Path) -> None:
    editor = PhotoEditor(pipeline)
    opened = editor.open(files / "photos" / "a.jpg", files / "masks" / "a.png")
    edited = editor.edit(opened, script)
    direct = pipeline.generate(
        Image.fromarray(edited.mask), Image.fromarray(opened.image), Image.fromarray(opened.mask)
    )
    assert np.abs(edited.generated.astype(int) - np.asarray(direct).astype(int)).max() <= 1


def test_another_look_repaints_the_square(pipeline: FacePipeline, files: Path) -> None:
    editor = PhotoEditor(pipeline)
    opened = editor.open(files / "photos" / "a.jpg", files / "masks" / "a.png")
    styles = {}
    for name, text in {
        "own": "[]",
        "reference": "[{do: reference, photo: photos/b.jpg, mask: masks/b.png}]",
        "half": "[{do: blend_reference, photo: photos/b.jpg, mask: masks/b.png, amount: 0.5}]",
        "whole": "[{do: blend_reference, photo: photos/b.jpg, mask: masks/b.png, amount: 1}]",
        "none": "[{do: blend_reference, photo: photos/b.jpg, mask: masks/b.png, amount: 0}]",
    }.items():
        script = parse_script(f"facekit_edit: 1\noperations: {text}\n")
        styles[name] = editor.style_of(opened, script.looks, files).code
        if name == "reference":
            edited = editor.edit(opened, script, folder=files)
            assert edited.touched.all()
            assert np.array_equal(edited.mask, opened.mask)
    assert torch.equal(styles["own"], styles["none"])
    assert torch.allclose(styles["reference"], styles["whole"])
    assert torch.allclose(styles["half"], (styles["own"] + styles["reference"]) / 2, atol=1e-6)
    assert not torch.allclose(styles["own"], styles["reference"], atol=1e-3)


def test_a_run_without_references_takes_no_look(plain_run: Path, files: Path) -> None:
    editor = PhotoEditor(load(plain_run, device="cpu", precision="fp32"))
    opened = editor.open(files / "photos" / "a.jpg", files / "masks" / "a.png")
    script = parse_script("facekit_edit: 1\noperations: [{do: reference, photo: photos/b.jpg, mask: masks/b.png}]\n")
    with pytest.raises(FacekitError, match="reads no reference"):
        editor.edit(opened, script, folder=files)
    assert editor.edit(opened, parse_script(GROW)).touched.any()


def test_photos_without_masks_are_read(pipeline: FacePipeline, script: EditScript, tmp_path: Path) -> None:
    blocks = np.random.default_rng(0).integers(0, 19, (8, 8), dtype=np.uint8)
    ids = np.asarray(Image.fromarray(blocks).resize((512, 512), Image.Resampling.NEAREST))
    Image.fromarray(np.stack([ids * 12, ids, ids], -1)).save(tmp_path / "photo.png")
    segmenter = ByColour(pipeline.label_map)
    opened = PhotoEditor(pipeline, segmenter=segmenter).open(tmp_path / "photo.png", aligned=True)
    assert segmenter.sizes == [256]  # more than the run's 64, so that small parts are seen
    assert opened.mask_source == "colours 0"
    assert opened.mask.shape == (64, 64)
    inner = np.zeros(64, bool)
    inner[3::8] = inner[4::8] = True  # away from where blocks meet
    assert np.array_equal(opened.mask[np.ix_(inner, inner)], ids[4::8, 4::8][np.ix_(inner, inner)])


def test_a_segmenter_of_finer_classes_is_merged(pipeline: FacePipeline) -> None:
    registry = load_registry()
    merged, fine = (registry.label_maps[name] for name in ("celebamask_hq_merged", "celebamask_hq"))
    pipeline.label_map = merged
    PhotoEditor(pipeline, segmenter=ByColour(fine))
    other = LabelMap("others", (LabelClass("all", (0, 0, 0)),))
    with pytest.raises(
        FacekitError, match="knows the classes of others, and the run paints those of celebamask_hq_merged"
    ):
        PhotoEditor(pipeline, segmenter=ByColour(other))


def test_what_is_missing_is_said(pipeline: FacePipeline, files: Path) -> None:
    photo = files / "photos" / "a.jpg"
    with pytest.raises(FacekitError, match="nothing can find the face") as caught:
        PhotoEditor(pipeline).open(photo)
    assert "facekit-mtcnn" in str(caught.value.remedy)
    with pytest.raises(FacekitError, match="comes without a mask"):
        PhotoEditor(pipeline).open(photo, aligned=True)
    with pytest.raises(FacekitError, match="no face is found"):
        PhotoEditor(pipeline, detector=lambda photo: ()).open(photo)
    with pytest.raises(FacekitError, match="a mask belongs to an aligned photo"):
        PhotoEditor(pipeline).open(photo, files / "masks" / "a.png", aligned=False)


def test_a_face_in_a_real_photo(pipeline: FacePipeline, script: EditScript, tmp_path: Path) -> None:
    """With the real detector, on a photo of an astronaut, turned, with its turning in EXIF."""
    data = pytest.importorskip("skimage.data")
    detector = pytest.importorskip("facekit_mtcnn.detector")
    from facekit_mtcnn.options import MtcnnOptions

    photo = Image.fromarray(data.astronaut())
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    photo.rotate(90, expand=True).save(tmp_path / "astronaut.png", exif=exif)
    editor = PhotoEditor(pipeline, segmenter=ByColour(pipeline.label_map), detector=detector.build(MtcnnOptions()))
    opened = editor.open(tmp_path / "astronaut.png")
    assert np.array_equal(opened.photo, data.astronaut())
    assert 150 < opened.placement.side < 350
    edited = editor.edit(opened, script)
    assert 0 < edited.touched.mean() < 0.05
    assert np.array_equal(edited.photo[~edited.touched], opened.photo[~edited.touched])


class TestFolders:
    @pytest.fixture
    def edit(self, pipeline: FacePipeline, script: EditScript, files: Path) -> Callable[..., Any]:
        def run(**changes: Any) -> Any:
            arguments = {"photo": files / "photos", "mask": files / "masks", "output": files / "out"} | changes
            return edit_folder(PhotoEditor(pipeline), arguments.pop("script", script), **arguments)

        return run

    def test_every_photo_is_edited_and_says_so(
        self, edit: Callable[..., Any], files: Path, pipeline: FacePipeline
    ) -> None:
        result = edit()
        assert [(item.output.name, item.outcome) for item in result.items] == [
            ("a.png", "written"), ("b.png", "written"), ("c.png", "written"),
        ]  # fmt: skip
        record = read_provenance(files / "out" / "b.png")
        assert record is not None
        assert record["synthetic"] is True
        assert (record["photo"], record["mask"], record["run"]) == ("b.jpg", "b.png", "styled")
        assert record["weights_sha256"] == pipeline.weights_sha256
        assert parse_script(record["script"]) == parse_script(GROW)
        assert 0 < record["changed_share"] < 0.2
        assert pixels(files / "out" / "b.png").shape == (150, 150, 3)

    def test_called_again_it_goes_on(self, edit: Callable[..., Any], files: Path) -> None:
        edit()
        (files / "out" / "b.png").unlink()
        before = (files / "out" / "a.png").stat().st_mtime_ns
        assert [item.outcome for item in edit().items] == ["skipped", "written", "skipped"]
        assert (files / "out" / "a.png").stat().st_mtime_ns == before

    def test_a_changed_script_does_not_pass_for_the_old_one(self, edit: Callable[..., Any]) -> None:
        edit()
        other = parse_script(GROW.replace("0.3, 0.3", "0.6, 0.6"))
        result = edit(script=other)
        assert [item.outcome for item in result.items] == ["failed"] * 3
        assert "--overwrite replaces it" in result.items[0].message
        assert [item.outcome for item in edit(script=other, overwrite=True).items] == ["written"] * 3

    def test_a_changed_file_of_the_script_counts_too(self, edit: Callable[..., Any], files: Path) -> None:
        text = "facekit_edit: 1\noperations: [{do: interpolate, mask: other.png, amount: 0.5}]\n"
        (files / "other.png").write_bytes((files / "masks" / "b.png").read_bytes())
        assert edit(script=parse_script(text), script_folder=files).exit_code == 0
        assert [item.outcome for item in edit(script=parse_script(text), script_folder=files).items] == ["skipped"] * 3
        (files / "other.png").write_bytes((files / "masks" / "c.png").read_bytes())
        assert [item.outcome for item in edit(script=parse_script(text), script_folder=files).items] == ["failed"] * 3

    def test_damaged_photos_stop_nothing(self, edit: Callable[..., Any], files: Path) -> None:
        whole = (files / "photos" / "b.jpg").read_bytes()
        (files / "photos" / "b.jpg").write_bytes(whole[: len(whole) // 2])
        (files / "masks" / "c.png").unlink()
        result = edit()
        assert [item.outcome for item in result.items] == ["written", "failed", "failed"]
        assert "b.jpg" in result.items[1].message
        assert "there is no mask called 'c'" in result.items[2].message
        assert result.exit_code == 2
        assert not (files / "out" / "b.png").exists()

    def test_one_photo_into_one_file(self, edit: Callable[..., Any], files: Path) -> None:
        result = edit(photo=files / "photos" / "a.jpg", mask=files / "masks" / "a.png", output=files / "one.png")
        assert [item.output for item in result.items] == [files / "one.png"]
        with pytest.raises(FacekitError, match="several photos"):
            edit(output=files / "all.png")
        with pytest.raises(FacekitError, match="saved as PNG"):
            edit(photo=files / "photos" / "a.jpg", mask=files / "masks" / "a.png", output=files / "one.jpg")
        assert not (files / "one.jpg").exists()
        with pytest.raises(FacekitError, match="no such file or folder"):
            edit(photo=files / "nowhere")


class TestCommand:
    @pytest.fixture
    def call(self, styled_run: Path, files: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
        monkeypatch.chdir(files)

        def run(*arguments: str) -> Result:
            return CliRunner().invoke(cli, ["edit", str(styled_run), *arguments], prog_name="facekit")

        return run

    def test_folders(self, call: Callable[..., Result], files: Path) -> None:
        arguments = ["photos", "--mask", "masks", "--script", "script.yaml", "-o", "out"]
        result = call(*arguments)
        assert result.exit_code == 0, result.output
        assert "3 pictures written to out" in result.stdout
        again = call(*arguments, "--json")
        assert [item["outcome"] for item in json.loads(again.stdout)] == ["skipped"] * 3
        told = CliRunner().invoke(cli, ["provenance", "out/a.png"], prog_name="facekit")
        assert "synthetic: True" in told.stdout
        assert "changed_share: 0." in told.stdout
        script = CliRunner().invoke(cli, ["provenance", "out/a.png", "--script"], prog_name="facekit")
        Path("again.yaml").write_text(script.stdout)
        replayed = call("photos", "--mask", "masks", "--script", "again.yaml", "-o", "out")
        assert "3 were there" in replayed.stdout

    def test_a_mistake_in_the_script(self, call: Callable[..., Result], files: Path) -> None:
        (files / "wrong.yaml").write_text("facekit_edit: 1\noperations:\n  - {do: grow, region: hiar, by: 0.1}\n")
        result = call("photos", "--mask", "masks", "--script", "wrong.yaml", "-o", "out")
        assert result.exit_code == 2
        assert "wrong.yaml:3:24" in result.stderr
        assert not (files / "out").exists()

    def test_a_failed_photo_is_told_and_the_others_are_written(self, call: Callable[..., Result], files: Path) -> None:
        (files / "photos" / "b.jpg").write_bytes(b"no picture")
        result = call("photos", "--mask", "masks", "--script", "script.yaml", "-o", "out")
        assert result.exit_code == 2
        assert "2 pictures written to out, 1 failed" in result.stdout
        assert "b.jpg" in result.stderr
        assert sorted(path.name for path in (files / "out").iterdir()) == ["a.png", "c.png"]

    def test_without_a_trained_segmenter(
        self, call: Callable[..., Result], files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FACEKIT_CACHE", str(files / "empty"))
        result = call("photos", "--script", "script.yaml", "-o", "out", "--aligned")
        assert result.exit_code == 2
        assert "facekit run evaluators/segmenter" in result.stderr

    def test_pictures_of_others_have_no_record(self, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(files)
        result = CliRunner().invoke(cli, ["provenance", "photos/a.jpg"], prog_name="facekit")
        assert result.exit_code == 1
        assert "has no record" in result.stdout

    def test_a_killed_edit_goes_on(self, styled_run: Path, files: Path) -> None:
        """A real process, really killed, while it writes."""
        photo, mask = (files / "photos" / "a.jpg").read_bytes(), (files / "masks" / "a.png").read_bytes()
        for index in range(60):
            (files / "photos" / f"{index:03}.jpg").write_bytes(photo)
            (files / "masks" / f"{index:03}.png").write_bytes(mask)
        command = [
            sys.executable, "-m", "facekit", "edit", str(styled_run), "photos", "--mask", "masks",
            "--script", "script.yaml", "-o", "out",
        ]  # fmt: skip
        process = subprocess.Popen(command, cwd=files, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if len(list((files / "out").glob("*.png"))) >= 5:
                break
            time.sleep(0.01)
        process.kill()
        process.wait()
        there = {path.name: path.read_bytes() for path in (files / "out").glob("*.png")}
        assert 5 <= len(there) < 63
        for data in there.values():
            Image.open(io.BytesIO(data)).load()  # every file is whole
        finished = subprocess.run(command, cwd=files, capture_output=True, text=True, check=True)
        assert f"{63 - len(there)} pictures written to out, {len(there)} were there" in finished.stdout
        assert all((files / "out" / name).read_bytes() == data for name, data in there.items())
