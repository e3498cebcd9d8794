from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facekit.data import cache as cache_module
from facekit.data.cache import exclusive_lock, prepare
from facekit.data.geometry import resize_mask, resize_photo
from facekit.data.store import DamagedCache, PackedFaces
from facekit.interfaces import FacekitError, FaceSample, Finding, RunFailure, cache_folder


def same(first: PackedFaces, second: PackedFaces) -> bool:
    return (
        first.fingerprint == second.fingerprint
        and np.array_equal(first.images, second.images)
        and np.array_equal(first.masks, second.masks)
        and list(first.keys) == list(second.keys)
    )


def test_packed_faces_are_the_dataset_at_one_size(make_dataset, tmp_path):
    dataset = make_dataset(12, size=40)
    packed = prepare(dataset, size=32, cache=tmp_path)
    assert packed.images.shape == (12, 32, 32, 3)
    assert packed.masks.shape == (12, 32, 32)
    for row, sample in enumerate(dataset.samples):
        assert np.array_equal(packed.images[row], resize_photo(sample.image, 32))
        assert np.array_equal(packed.masks[row], resize_mask(sample.mask, 32))
        assert packed.attributes[row].tolist() == sample.attributes.astype(int).tolist()
    assert list(packed.keys) == dataset.keys
    assert {split: rows.tolist() for split, rows in packed.splits.items()} == {
        "train": list(range(9)),
        "test": [9, 10, 11],
    }
    assert packed.label_map == dataset.label_map
    assert packed.attribute_names == ("Smiling", "Young")
    assert not packed.images[0].flags.writeable
    assert packed.folder.name.startswith("arraydataset-32-")
    assert [file.parent for file in tmp_path.glob("*/index.json")] == [packed.folder]
    assert packed.rows("test").tolist() == [9, 10, 11]
    with pytest.raises(FacekitError, match="no 'validation' split; it has train, test"):
        packed.rows("validation")


def test_only_samples_of_a_split_are_packed_and_rows_follow(make_dataset, tmp_path):
    dataset = make_dataset(8)
    dataset._splits = {"test": [6], "train": [5, 1]}
    packed = prepare(dataset, size=16, cache=tmp_path)
    assert list(packed.keys) == ["face-1", "face-5", "face-6"]
    assert {split: rows.tolist() for split, rows in packed.splits.items()} == {"test": [2], "train": [0, 1]}


def test_a_dataset_without_attributes_has_none(make_dataset, tmp_path):
    dataset = make_dataset(4)
    dataset.samples = [replace(sample, attributes=None) for sample in dataset.samples]
    dataset.attribute_names = ()
    assert prepare(dataset, size=16, cache=tmp_path).attributes is None


def test_repairs_are_counted_and_change_no_data(make_dataset, tmp_path):
    plain = prepare(make_dataset(), size=16, cache=tmp_path / "plain", workers=1)
    dataset = make_dataset()
    dataset.repair_names = ("exchanged sides", "holes")
    for index in (2, 5):
        dataset.samples[index] = replace(dataset.samples[index], repairs=("exchanged sides",))
    packed = prepare(dataset, size=16, cache=tmp_path / "repaired", workers=1)
    assert packed.repairs == {"exchanged sides": 2, "holes": 0}
    assert (plain.repairs, plain.fingerprint) == ({}, packed.fingerprint)
    assert not (packed.folder / "repairs.bin").exists()


def test_keys_are_read_when_asked_for(packed):
    assert packed.keys[0] == "face-0"
    assert packed.keys[-1] == "face-11"
    assert packed.keys[2:5] == ("face-2", "face-3", "face-4")
    assert len(packed.keys) == 12
    with pytest.raises(IndexError):
        packed.keys[12]


def test_keys_may_be_any_text(make_dataset, tmp_path):
    dataset = make_dataset(3)
    dataset.keys = ["tête", "папка/лицо", "顔"]
    assert list(prepare(dataset, size=16, cache=tmp_path).keys) == dataset.keys


def test_a_cache_is_built_once_and_found_again(make_dataset, tmp_path):
    prepare(make_dataset(), size=16, cache=tmp_path)
    again = make_dataset()
    prepare(again, size=16, cache=tmp_path)
    assert again.reads == []


def test_other_pictures_sizes_splits_and_attributes_make_other_caches(make_dataset, tmp_path):
    def folder(dataset, size=16):
        return prepare(dataset, size=size, cache=tmp_path).folder

    other_split, other_names = make_dataset(), make_dataset()
    other_split._splits = {"train": range(8), "test": range(8, 12)}
    other_names.attribute_names = ("Smiling", "Male")
    folders = [
        folder(make_dataset()),
        folder(make_dataset(seed=1)),
        folder(make_dataset(), 24),
        folder(other_split),
        folder(other_names),
    ]
    assert len(set(folders)) == 5


def test_the_fingerprint_is_of_the_contents(make_dataset, tmp_path):
    first = prepare(make_dataset(), size=16, cache=tmp_path / "one", name="one")
    second = prepare(make_dataset(), size=16, cache=tmp_path / "two", name="two")
    assert first.fingerprint == second.fingerprint
    changed = make_dataset()
    changed.samples[3].image[20, 20] ^= 255
    assert prepare(changed, size=16, cache=tmp_path / "three").fingerprint != first.fingerprint


@pytest.mark.parametrize("name", ["images.bin", "masks.bin", "attributes.bin", "keys.bin", "splits.bin"])
def test_a_changed_byte_is_found_and_the_cache_is_built_again(name, make_dataset, tmp_path):
    packed = prepare(make_dataset(), size=16, cache=tmp_path)
    file = packed.folder / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(DamagedCache, match=r"not what was written"):
        PackedFaces.open(packed.folder)
    rebuilt = make_dataset()
    repaired = prepare(rebuilt, size=16, cache=tmp_path)
    assert len(rebuilt.reads) == 12
    assert repaired.fingerprint == packed.fingerprint
    assert PackedFaces.open(packed.folder, verify=True).fingerprint == packed.fingerprint


def test_a_file_cut_short_lost_or_an_unreadable_index_is_found(make_dataset, tmp_path):
    folder = prepare(make_dataset(), size=16, cache=tmp_path).folder
    spare = tmp_path / "spare"
    shutil.copytree(folder, spare)

    def damaged(change):
        shutil.rmtree(folder)
        shutil.copytree(spare, folder)
        change()
        with pytest.raises(DamagedCache, match=str(folder)):
            PackedFaces.open(folder)
        assert same(prepare(make_dataset(), size=16, cache=tmp_path), PackedFaces.open(spare))

    damaged(lambda: (folder / "images.bin").write_bytes(b"short"))
    damaged(lambda: (folder / "masks.bin").unlink())
    damaged(lambda: (folder / "index.json").unlink())
    damaged(lambda: (folder / "index.json").write_text("{"))
    index = json.loads((spare / "index.json").read_text())
    damaged(lambda: (folder / "index.json").write_text(json.dumps({**index, "size": 8})))
    damaged(lambda: (folder / "index.json").write_text(json.dumps({**index, "format": 99})))


def test_contents_are_compared_only_when_a_date_changed(make_dataset, tmp_path):
    folder = prepare(make_dataset(), size=16, cache=tmp_path).folder
    compared = []
    PackedFaces.open(folder, progress=lambda done, total: compared.append(done))
    assert not compared
    (folder / "images.bin").touch()
    PackedFaces.open(folder, progress=lambda done, total: compared.append(done))
    assert compared
    compared.clear()
    PackedFaces.open(folder, progress=lambda done, total: compared.append(done))
    assert not compared
    PackedFaces.open(folder, verify=True, progress=lambda done, total: compared.append(done))
    assert compared


def test_an_unreadable_picture_stops_with_its_name(make_dataset, tmp_path):
    dataset = make_dataset()
    dataset.findings = {4: [Finding("error", "face-4.png", "bad")]}
    with pytest.raises(FacekitError, match=r"face-4\.png: the picture cannot be read"):
        prepare(dataset, size=16, cache=tmp_path)
    dataset.findings = {}
    dataset.reads.clear()
    assert len(prepare(dataset, size=16, cache=tmp_path)) == 12
    assert 0 not in dataset.reads  # what was packed before the error was kept


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: replace(s, mask=np.full_like(s.mask, 200)),
            "face-2: the mask holds id 200; the label map 'test_parts' ends at 4",
        ),
        (lambda s: replace(s, mask=s.mask[:20]), r"face-2: photo \(40x40\) and mask \(40x20\) differ in aspect"),
        (lambda s: replace(s, attributes=None), "face-2: the sample does not have the 2 attributes"),
    ],
)
def test_samples_that_break_their_word_are_refused(change, message, make_dataset, tmp_path):
    dataset = make_dataset()
    dataset.samples[2] = change(dataset.samples[2])
    with pytest.raises(FacekitError, match=message):
        prepare(dataset, size=16, cache=tmp_path)


def test_splits_that_overlap_are_empty_or_unknown_are_refused(make_dataset, tmp_path):
    dataset = make_dataset()
    for splits, message in (
        ({"train": range(6), "test": range(5, 12)}, "'face-5' is in several splits: train, test"),
        ({}, "no pictures in any split"),
        ({"training": range(6)}, "a split 'training'; splits are called train, validation, test, extra"),
    ):
        dataset._splits = splits
        with pytest.raises(FacekitError, match=message):
            prepare(dataset, size=16, cache=tmp_path)


def test_a_photo_and_a_mask_of_other_sizes_are_packed_aligned(array_dataset, make_mask, make_photo, tmp_path):
    sample = FaceSample(make_photo(make_mask(120, 200)), make_mask(60, 100), None)
    packed = prepare(array_dataset([sample], {"test": [0]}), size=60, cache=tmp_path)
    assert np.array_equal(packed.masks[0], make_mask(60, 100)[:, 20:80])
    middle = resize_photo(np.ascontiguousarray(sample.image[:, 40:160]), 60)
    assert np.array_equal(packed.images[0][:, 4:-4], middle[:, 4:-4])  # at its sides the filter sees what is beyond


def test_too_little_space_is_said_before_anything_is_read(make_dataset, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(cache_module.shutil, "disk_usage", lambda folder: usage._replace(free=1000))
    dataset = make_dataset()
    with pytest.raises(RunFailure, match=r"need 12 KiB more and 0\.977 KiB are free: 11 KiB too little"):
        prepare(dataset, size=16, cache=tmp_path)
    assert dataset.reads == []


def test_a_disk_that_fills_up_stops_clearly_and_keeps_what_there_is(make_dataset, tmp_path, monkeypatch):
    def full(file, position, content, write=cache_module._write_at):
        if file.name.endswith("images.bin") and position >= 6 * 3 * 16 * 16:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(file, position, content)

    monkeypatch.setattr(cache_module, "_FLUSH_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(cache_module, "_write_at", full)
        with pytest.raises(RunFailure, match=r"the disk is full") as caught:
            prepare(make_dataset(), size=16, cache=tmp_path)
        assert caught.value.exit_code == 1
    again = make_dataset()
    assert same(prepare(again, size=16, cache=tmp_path), prepare(make_dataset(), size=16, cache=tmp_path / "whole"))
    assert again.reads == [6, 7, 8, 9, 10, 11]


def test_a_folder_that_cannot_be_made_is_said(make_dataset, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFailure, match="cannot write the cache"):
        prepare(make_dataset(), size=16, cache=tmp_path / "file" / "below")


def test_the_default_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("FACEKIT_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("FACEKIT_CACHE")
    assert cache_folder().name in ("facekit", "cache")
    assert cache_folder().is_absolute()


def test_a_lock_is_held_by_one_and_waited_for(tmp_path):
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom facekit.data.cache import exclusive_lock\n"
        "with exclusive_lock(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(float(sys.argv[2]))\n"
    )
    lock = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", script, lock, "0.8"], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    waited = []
    with exclusive_lock(lock, on_wait=lambda: waited.append(1)):
        assert waited
    assert holder.wait(timeout=10) == 0
    killed = subprocess.Popen([sys.executable, "-c", script, lock, "60"], stdout=subprocess.PIPE, text=True)
    assert killed.stdout.readline() == "held\n"
    killed.kill()
    killed.wait(timeout=10)
    began = time.monotonic()
    with exclusive_lock(lock):  # the system let it go
        assert time.monotonic() - began < 5


def test_preparing_imports_no_torch(tmp_path):
    script = (
        "import sys\nimport facekit.data.cache, facekit.data.checks, facekit.data.preview, facekit.data.export\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)


def test_no_file_of_a_finished_cache_is_left_from_its_building(packed):
    assert sorted(file.name for file in packed.folder.iterdir()) == sorted(
        [
            "attributes.bin",
            "images.bin",
            "index.json",
            "key_offsets.bin",
            "keys.bin",
            "masks.bin",
            "row_checks.bin",
            "splits.bin",
            "verified.json",
        ]
    )
    assert not list(Path(packed.folder.parent).glob("*.partial"))
