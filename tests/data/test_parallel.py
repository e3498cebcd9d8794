"""Work in several processes gives what work in one gives, errors included."""

from __future__ import annotations

import numpy as np
import pytest

from facekit.data import parallel
from facekit.data.cache import prepare
from facekit.data.checks import check_dataset
from facekit.data.export import export_folder
from facekit.data.parallel import available_cores, over_samples
from facekit.interfaces import DatasetContext, FacekitError
from facekit_datasets.image_mask_folder import ImageMaskFolderOptions, create


@pytest.fixture
def at_once(monkeypatch):
    """Start the pool after the first sample, however little there is to do."""
    for name in ("_TRIAL_SECONDS", "_WORTH_SECONDS", "_CHUNK_SECONDS"):
        monkeypatch.setattr(parallel, name, 0.0)


@pytest.fixture
def folder_dataset(make_dataset, labels, tmp_path):
    """Twelve pictures on disk, as a dataset that other processes can open."""
    export_folder(make_dataset(), tmp_path / "faces")
    options = ImageMaskFolderOptions(
        root=tmp_path / "faces", label_map=labels.name, attribute_file="attributes.csv", fractions={"train": 1.0}
    )
    return create(options, DatasetContext({labels.name: labels}))


def test_processes_pack_and_check_the_same(folder_dataset, at_once, tmp_path):
    one = prepare(folder_dataset, size=16, cache=tmp_path / "one", workers=1)
    several = prepare(folder_dataset, size=16, cache=tmp_path / "several", workers=2)
    assert one.fingerprint == several.fingerprint
    assert np.array_equal(one.masks, several.masks)
    assert check_dataset(folder_dataset, workers=2) == check_dataset(folder_dataset, workers=1)


def test_an_error_in_a_worker_keeps_its_file_and_remedy(folder_dataset, at_once, tmp_path):
    broken = tmp_path / "faces" / "masks" / "face-7.png"
    broken.unlink()
    with pytest.raises(FacekitError, match="the photo has no mask") as caught:
        prepare(folder_dataset, size=16, cache=tmp_path / "cache", workers=2)
    assert caught.value.where == str(broken)
    assert "leave the photo out" in caught.value.remedy


def test_a_dataset_that_cannot_travel_is_worked_on_here_or_refused(make_dataset, at_once, tmp_path):
    dataset = make_dataset()
    dataset.handle = (tmp_path / "open").open("w")  # what cannot be pickled
    assert len(prepare(dataset, size=16, cache=tmp_path / "one")) == 12
    with pytest.raises(FacekitError, match="ArrayDataset cannot be sent to other processes"):
        prepare(dataset, size=16, cache=tmp_path / "two", workers=2)
    dataset.handle.close()


def test_little_work_starts_no_processes(make_dataset, monkeypatch):
    monkeypatch.setattr(parallel, "ProcessPoolExecutor", None)  # calling it would fail
    dataset = make_dataset()
    done = dict(over_samples(lambda data, index, extra: index * extra, dataset, range(12), 2, workers=8))
    assert done == {index: 2 * index for index in range(12)}


def test_workers_cannot_be_negative(make_dataset):
    with pytest.raises(ValueError, match="negative"):
        list(over_samples(lambda data, index, extra: 0, make_dataset(), [0], None, workers=-1))
    assert available_cores() >= 1
