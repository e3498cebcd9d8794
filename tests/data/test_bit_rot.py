"""Packed faces on a disk that fails: damage that keeps a file's date, files cut short while they are read."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from facekit.data.cache import prepare
from facekit.data.loader import FaceLoader
from facekit.data.store import DamagedCache, PackedFaces


def flip(file: Path, place: int, bit: int = 0) -> None:
    """Change one bit of a file; its date stays."""
    status = file.stat()
    content = bytearray(file.read_bytes())
    content[place] ^= 1 << bit
    file.write_bytes(content)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.fixture
def folder(make_dataset, tmp_path):
    return prepare(make_dataset(), size=16, cache=tmp_path).folder


@pytest.mark.parametrize("name", ["keys.bin", "key_offsets.bin", "splits.bin", "attributes.bin", "index.json"])
def test_small_files_are_compared_at_every_opening(name, folder):
    for place in range(0, (folder / name).stat().st_size, 7):
        flip(folder / name, place, place % 8)
        with pytest.raises(DamagedCache, match=name):
            PackedFaces.open(folder)
        flip(folder / name, place, place % 8)
    PackedFaces.open(folder)


@pytest.mark.parametrize("name", ["images", "masks"])
def test_rows_of_large_files_are_compared_when_they_are_read(name, folder):
    row_bytes = 16 * 16 * (3 if name == "images" else 1)
    flip(folder / f"{name}.bin", 4 * row_bytes + 5)
    packed = PackedFaces.open(folder)
    rows = getattr(packed, name)
    assert rows[[3, 5]].shape[0] == 2
    for wanted in (4, [3, 4], slice(3, 6), np.arange(12) == 4):
        with pytest.raises(DamagedCache, match=rf"{name}\.bin: row 4 of the file is not what was written"):
            rows[wanted]
    # Who found it sees to it that the next who opens it finds it too.
    with pytest.raises(DamagedCache, match="not what was written"):
        PackedFaces.open(folder)


def test_further_arrays_are_compared_too(make_dataset, tmp_path):
    from dataclasses import replace

    dataset = make_dataset()
    dataset.samples = [
        replace(sample, extra={"age": np.float32(number)}) for number, sample in enumerate(dataset.samples)
    ]
    folder = prepare(dataset, size=16, cache=tmp_path, workers=1).folder
    flip(folder / "extra_0.bin", 9)
    packed = PackedFaces.open(folder)
    assert packed.extra["age"][1] == 1
    with pytest.raises(DamagedCache, match="row 2"):
        packed.extra["age"][2]


def test_a_damaged_face_ends_training_and_the_cache_is_built_again(make_dataset, tmp_path, folder):
    before = PackedFaces.open(folder).fingerprint
    flip(folder / "masks.bin", 5 * 256)
    packed = PackedFaces.open(folder)
    for workers in (0, 2):
        loader = FaceLoader(packed, packed.rows("train"), batch=3, seed=0, workers=workers)
        with pytest.raises(DamagedCache, match="row 5"):
            list(loader.prefetch(0, 4))
    dataset = make_dataset()
    assert prepare(dataset, size=16, cache=tmp_path).fingerprint == before
    assert len(dataset.reads) == 12


def test_damage_of_the_checksums_costs_a_comparison_and_nothing_else(folder):
    for name in ("row_checks.bin", "verified.json"):
        for place in range(0, (folder / name).stat().st_size, 5):
            flip(folder / name, place, place % 7)
            compared: list[int] = []
            packed = PackedFaces.open(folder, progress=lambda done, total: compared.append(done))  # noqa: B023
            # A digit of a date may be damaged into another writing of the same: then nothing needs to be done.
            assert compared or json.loads((folder / "verified.json").read_text())
            np.asarray(packed.images)


def test_caches_of_before_are_compared_once(folder):
    index = json.loads((folder / "index.json").read_text())
    del index["sha256"]
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "row_checks.bin").unlink()
    compared: list[int] = []
    packed = PackedFaces.open(folder, progress=lambda done, total: compared.append(done))
    assert compared
    np.asarray(packed.images)
    compared.clear()
    PackedFaces.open(folder, progress=lambda done, total: compared.append(done))
    assert not compared


def test_a_cache_cut_short_while_it_is_open_is_a_sentence(folder):
    # In a process of its own: what this is about ended it by a signal.
    code = f"""
import os
from pathlib import Path
from facekit.data.loader import FaceLoader
from facekit.data.store import DamagedCache, PackedFaces
folder = Path({str(folder)!r})
packed = PackedFaces.open(folder)
loader = FaceLoader(packed, packed.rows("train"), batch=3, seed=0, workers=0)
loader.batch(0)
for name in ("images.bin", "masks.bin", "keys.bin", "attributes.bin", "splits.bin"):
    os.truncate(folder / name, 0)
try:
    loader.batch(1)
except DamagedCache as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "was cut short after it was opened" in done.stdout
    assert "images.bin" in done.stdout
    assert "facekit data prepare" in done.stdout


def test_a_disk_that_cannot_be_read_is_a_sentence(folder, monkeypatch):
    import facekit.data.rows as rows_module

    def fails(descriptor, length, offset):
        raise OSError(5, "Input/output error")

    packed = PackedFaces.open(folder)
    monkeypatch.setattr(rows_module.os, "pread", fails)
    with pytest.raises(DamagedCache, match=r"cannot be read \(Input/output error\)"):
        packed.images[0]


def test_what_is_open_stays_readable_when_the_folder_is_removed(folder):
    import shutil

    packed = PackedFaces.open(folder)
    before = np.asarray(PackedFaces.open(folder).images)
    shutil.rmtree(folder)
    assert np.array_equal(packed.images, before)
    assert list(packed.keys)[:2] == ["face-0", "face-1"]


def test_another_process_opens_the_rows_itself(folder):
    packed = PackedFaces.open(folder)
    copy = pickle.loads(pickle.dumps(packed.images))
    assert np.array_equal(copy[2], packed.images[2])
    with pytest.raises(IndexError):
        copy[12]


def test_too_few_descriptors_say_nothing_of_the_cache(make_dataset, tmp_path, folder, monkeypatch):
    import facekit.data.rows as rows_module

    def fails(*arguments):
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(rows_module.os, "open", fails)
        with pytest.raises(OSError, match="Too many open files"):
            PackedFaces.open(folder)
    dataset = make_dataset()
    prepare(dataset, size=16, cache=tmp_path)
    assert not dataset.reads
