"""Files and folders: pairs, going on, damaged files, provenance."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facekit.inference import FacePipeline, generate_folder, load, provenance, read_provenance
from facekit.interfaces import FacekitError, RunFailure

MakeFace = Callable[..., Any]


@pytest.fixture
def files(tmp_path: Path, face: MakeFace) -> Path:
    """Folders ``masks``, ``photos`` and ``photo_masks`` with the faces a, b and c."""
    for name in ("masks", "photos", "photo_masks"):
        (tmp_path / name).mkdir()
    for index, stem in enumerate("abc"):
        target, look = face(index), face(index + 10)
        target.mask.save(tmp_path / "masks" / f"{stem}.png")
        look.photo.save(tmp_path / "photos" / f"{stem}.jpg", quality=95)
        look.mask.save(tmp_path / "photo_masks" / f"{stem}.png")
    return tmp_path


def folders(files: Path, **changes: Any) -> dict[str, Any]:
    arguments = {
        "mask": files / "masks",
        "reference": files / "photos",
        "reference_mask": files / "photo_masks",
        "output": files / "out",
    }
    return arguments | changes


def expected(pipeline: FacePipeline, mask: Path, photo: Path, photo_mask: Path) -> np.ndarray:
    with Image.open(mask) as first, Image.open(photo) as second, Image.open(photo_mask) as third:
        return np.asarray(pipeline.generate(first, second, third)).astype(int)


def written(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image).astype(int)


@pytest.mark.parametrize("batch", [1, 2, 8])
def test_two_folders_are_paired_by_name(pipeline: FacePipeline, files: Path, batch: int) -> None:
    seen: list[tuple[str, int, int]] = []
    result = generate_folder(
        pipeline,
        **folders(files, batch=batch, progress=lambda item, number, total: seen.append((item.outcome, number, total))),
    )
    assert seen == [("written", number, 3) for number in (1, 2, 3)]
    assert result.exit_code == 0
    for stem in "abc":
        wanted = expected(
            pipeline, files / f"masks/{stem}.png", files / f"photos/{stem}.jpg", files / f"photo_masks/{stem}.png"
        )
        assert np.abs(written(files / f"out/{stem}.png") - wanted).max() <= 1
    assert sorted(path.name for path in (files / "out").iterdir()) == ["a.png", "b.png", "c.png"]


def test_one_reference_for_a_folder_of_masks_is_read_once(pipeline: FacePipeline, files: Path) -> None:
    counts: list[int] = []
    pipeline._model.style_encoder.register_forward_pre_hook(lambda _, inputs: counts.append(len(inputs[0])))
    photo, photo_mask = files / "photos/b.jpg", files / "photo_masks/b.png"
    generate_folder(pipeline, **folders(files, reference=photo, reference_mask=photo_mask, batch=2))
    assert counts == [1]
    for stem in "abc":
        wanted = expected(pipeline, files / f"masks/{stem}.png", photo, photo_mask)
        assert np.abs(written(files / f"out/{stem}.png") - wanted).max() <= 1


def test_one_mask_in_the_look_of_a_folder_is_named_after_the_looks(pipeline: FacePipeline, files: Path) -> None:
    (files / "masks/a.png").rename(files / "target.png")
    generate_folder(pipeline, **folders(files, mask=files / "target.png"))
    for stem in "abc":
        wanted = expected(
            pipeline, files / "target.png", files / f"photos/{stem}.jpg", files / f"photo_masks/{stem}.png"
        )
        assert np.abs(written(files / f"out/{stem}.png") - wanted).max() <= 1


def single(files: Path, **changes: Any) -> dict[str, Any]:
    arguments = {
        "mask": files / "masks/a.png",
        "reference": files / "photos/b.jpg",
        "reference_mask": files / "photo_masks/b.png",
        "output": files / "deep/er/result.png",
    }
    return arguments | changes


def test_one_file_each_gives_one_file(pipeline: FacePipeline, files: Path) -> None:
    result = generate_folder(pipeline, **single(files))
    (item,) = result.items
    assert item.output == files / "deep/er/result.png"
    wanted = expected(pipeline, files / "masks/a.png", files / "photos/b.jpg", files / "photo_masks/b.png")
    assert np.array_equal(written(item.output), wanted)
    generate_folder(pipeline, **single(files, output=files / "folder"))
    assert (files / "folder/a.png").is_file()


def test_a_run_without_reference_takes_masks_alone(plain_run: Path, files: Path) -> None:
    result = generate_folder(load(plain_run, device="cpu"), mask=files / "masks", output=files / "out")
    assert [item.outcome for item in result.items] == ["written"] * 3


# --- going on -------------------------------------------------------------------------------------


def test_called_again_it_goes_on_where_it_stopped(pipeline: FacePipeline, files: Path) -> None:
    generate_folder(pipeline, **folders(files))
    before = {stem: (files / f"out/{stem}.png").stat().st_mtime_ns for stem in "abc"}
    (files / "out/b.png").unlink()
    result = generate_folder(pipeline, **folders(files))
    assert [item.outcome for item in result.items] == ["skipped", "written", "skipped"]
    assert [item.output.stem for item in result.items] == ["a", "b", "c"]
    assert (files / "out/a.png").stat().st_mtime_ns == before["a"]
    again = generate_folder(pipeline, **folders(files, overwrite=True))
    assert {item.outcome for item in again.items} == {"written"}
    assert (files / "out/a.png").stat().st_mtime_ns > before["a"]


def test_results_of_other_weights_or_inputs_and_foreign_files_are_not_taken_for_done(
    styled_run: Path, pipeline: FacePipeline, files: Path, face: MakeFace
) -> None:
    generate_folder(pipeline, **folders(files))
    face(99).mask.save(files / "masks/a.png")
    Image.new("RGB", (4, 4)).save(files / "out/b.png")
    whole = (files / "out/c.png").read_bytes()
    (files / "out/c.png").write_bytes(whole[: len(whole) // 2])
    result = generate_folder(pipeline, **folders(files))
    assert [item.outcome for item in result.items] == ["failed"] * 3
    assert all("--overwrite" in item.message for item in result.items)
    assert result.exit_code == 2
    generate_folder(pipeline, **folders(files, overwrite=True))
    live = load(styled_run, weights="live", device="cpu")
    assert {item.outcome for item in generate_folder(live, **folders(files)).items} == {"failed"}


def test_results_keep_their_order_however_threads_take_turns(
    pipeline: FacePipeline, files: Path, face: MakeFace, monkeypatch: pytest.MonkeyPatch
) -> None:
    stems = [f"f{number:02d}" for number in range(12)]
    for number, stem in enumerate(stems):
        face(number).mask.save(files / "masks" / f"{stem}.png")
    (files / "masks/f05.png").write_text("not a picture")
    photo, photo_mask = files / "photos/b.jpg", files / "photo_masks/b.png"
    save, threads = provenance.save_png, set()

    def slowly(image: Image.Image, path: Path, *arguments: Any, **named: Any) -> None:
        threads.add(threading.current_thread().name)
        time.sleep(0.02 * (len(path.stem + path.name) % 2))
        save(image, path, *arguments, **named)

    monkeypatch.setattr(provenance, "save_png", slowly)
    seen: list[str] = []
    result = generate_folder(
        pipeline,
        **folders(files, reference=photo, reference_mask=photo_mask, batch=2),
        progress=lambda item, number, total: seen.append(item.output.stem),
    )
    assert [item.output.stem for item in result.items] == ["a", "b", "c", *stems]
    assert [item.output.stem for item in result.of("failed")] == ["f05"]
    assert [stem for stem in seen if stem != "f05"] == ["a", "b", "c", *(stem for stem in stems if stem != "f05")]
    assert threading.main_thread().name not in threads
    for number in (0, 11):
        wanted = expected(pipeline, files / f"masks/{stems[number]}.png", photo, photo_mask)
        assert np.abs(written(files / f"out/{stems[number]}.png") - wanted).max() <= 1


# --- damaged and missing files --------------------------------------------------------------------


def test_damaged_files_are_named_and_stop_nothing(pipeline: FacePipeline, files: Path) -> None:
    (files / "masks/a.png").write_bytes((files / "masks/a.png").read_bytes()[:60])
    (files / "photos/b.jpg").write_text("not a picture")
    result = generate_folder(pipeline, **folders(files))
    outcomes = {item.output.stem: item for item in result.items}
    assert [outcomes[stem].outcome for stem in "abc"] == ["failed", "failed", "written"]
    assert str(files / "masks/a.png") in outcomes["a"].message
    assert str(files / "photos/b.jpg") in outcomes["b"].message
    assert result.exit_code == 2
    assert [path.name for path in (files / "out").iterdir()] == ["c.png"]


def test_masks_that_are_no_masks_are_named(pipeline: FacePipeline, files: Path, face: MakeFace) -> None:
    (files / "masks/a.png").unlink()
    face(1).mask.save(files / "masks/a.jpg")
    Image.new("L", (64, 64), 77).save(files / "masks/b.png")
    face(3).photo.save(files / "photo_masks/c.png")
    result = generate_folder(pipeline, **folders(files))
    messages = {item.output.stem: item.message for item in result.items}
    assert "JPEG" in messages["a"]
    assert "class ids 77" in messages["b"]
    assert "several channels" in messages["c"]
    assert "c.png" in messages["c"]


def test_files_without_a_partner_are_named(pipeline: FacePipeline, files: Path) -> None:
    (files / "photos/a.jpg").unlink()
    (files / "photo_masks/b.png").unlink()
    (files / "photos/notes.txt").write_text("left alone")
    result = generate_folder(pipeline, **folders(files))
    messages = {item.output.stem: item.message for item in result.items if item.outcome == "failed"}
    assert "no reference called 'a'" in messages["a"]
    assert "no reference mask called 'b'" in messages["b"]
    assert result.of("written")[0].output.stem == "c"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask": "nowhere"}, "no such mask"),
        ({"reference": "nowhere.jpg"}, "no such reference"),
        (
            {"reference": None, "reference_mask": None},
            "needs a reference photo and the reference's own mask, which are",
        ),
        ({"reference_mask": None}, "travels with its own mask"),
        ({"reference": None}, "needs a reference photo, which is not given"),
        ({"mask": None}, "needs a mask, which is not given"),
        ({"source": "photos"}, "reads no source photo; it needs a mask"),
        ({"count": 3}, "starts from no noise"),
        ({"seed": 3}, "starts from no noise"),
        ({"reference_mask": "photo_masks/a.png"}, "two files or two folders"),
        ({"output": "result.png"}, "several results"),
        ({"output": "result.jpg"}, "saved as PNG"),
        ({"mask": "empty"}, "no pictures in this folder"),
        ({"mask": "twice"}, "have one name"),
        ({"reference": "photos/damaged.jpg", "reference_mask": "photo_masks/a.png"}, "damaged.jpg: .* not a picture"),
    ],
)
def test_mistakes_are_refused_before_anything_is_painted(
    pipeline: FacePipeline, files: Path, changes: dict[str, Any], message: str
) -> None:
    (files / "empty").mkdir()
    (files / "twice").mkdir()
    for name in ("a.png", "a.bmp"):
        Image.new("L", (64, 64)).save(files / "twice" / name)
    (files / "photos/damaged.jpg").write_text("not a picture")
    paths = {key: files / value if isinstance(value, str) else value for key, value in changes.items()}
    with pytest.raises(FacekitError, match=message):
        generate_folder(pipeline, **folders(files, **paths))
    assert not (files / "out").exists()


def test_a_single_file_that_is_wrong_is_an_error(pipeline: FacePipeline, files: Path) -> None:
    Image.new("L", (64, 64), 77).save(files / "masks/a.png")
    with pytest.raises(FacekitError, match="class ids 77"):
        generate_folder(pipeline, **single(files))


def test_an_output_that_cannot_be_written_fails_the_run(pipeline: FacePipeline, files: Path) -> None:
    (files / "blocked").write_text("a file where a folder should be")
    with pytest.raises(RunFailure, match="cannot be written"):
        generate_folder(pipeline, **single(files, output=files / "blocked/result.png"))


# --- provenance -----------------------------------------------------------------------------------


def test_results_say_that_they_are_synthetic_and_what_made_them(pipeline: FacePipeline, files: Path) -> None:
    generate_folder(pipeline, **single(files))
    path = files / "deep/er/result.png"
    record = read_provenance(path)
    assert record is not None
    assert record | {"inputs_sha256": ""} == {
        "synthetic": True,
        "run": "styled",
        "recipe": "small",
        "step": 7,
        "weights": "ema",
        "weights_sha256": pipeline.weights_sha256,
        "inputs_sha256": "",
        "mask": "a.png",
        "reference": "b.jpg",
    }
    assert len(record["inputs_sha256"]) == 64
    with Image.open(path) as image:
        assert "Synthetic" in image.text["Description"]
        assert json.loads(image.text["facekit"]) == record


def test_other_files_have_no_provenance(files: Path) -> None:
    assert read_provenance(files / "photos/a.jpg") is None
    assert read_provenance(files / "masks/a.png") is None
    assert read_provenance(files / "nowhere.png") is None
