from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

from facekit.data.export import export_folder
from facekit.interfaces import DatasetContext, FacekitError
from facekit_datasets.image_mask_folder import ImageMaskFolderOptions, create


@pytest.fixture
def read_back(labels):
    def read(export):
        options = {name: value for name, value in export.dataset_options.items() if name != "use"}
        return create(ImageMaskFolderOptions(**options), DatasetContext({labels.name: labels}))

    return read


def test_what_is_written_reads_back_the_same(make_dataset, read_back, tmp_path):
    dataset = make_dataset()
    export = export_folder(dataset, tmp_path / "out")
    assert (export.samples, export.written) == (12, 12)
    assert export.dataset_options["use"] == "image_mask_folder"
    back = read_back(export)
    assert sorted(back.keys) == sorted(dataset.keys)
    assert back.attribute_names == dataset.attribute_names
    for split, indices in dataset.splits().items():
        assert {back.keys[index] for index in back.splits()[split]} == {dataset.keys[index] for index in indices}
    for index, sample in enumerate(dataset.samples):
        other = back.read(back.keys.index(dataset.keys[index]))
        assert np.array_equal(other.image, sample.image)
        assert np.array_equal(other.mask, sample.mask)
        assert np.array_equal(other.attributes, sample.attributes)
    assert back.check_all() == []


def test_it_goes_on_where_it_was(make_dataset, read_back, tmp_path):
    export_folder(make_dataset(), tmp_path / "out", colour=True)
    (tmp_path / "out" / "photos" / "face-4.png").unlink()
    (tmp_path / "out" / "colours" / "face-7.png").unlink()
    (tmp_path / "out" / "attributes.csv").unlink()
    seen = []
    export = export_folder(make_dataset(), tmp_path / "out", colour=True, progress=seen.append)
    assert export.written == 2
    assert seen[0].resumed == 10
    assert read_back(export).attribute_names == ("Smiling", "Young")
    assert len(list(csv.reader((tmp_path / "out" / "attributes.csv").open()))) == 13


def test_masks_are_ids_with_a_palette_and_colours_are_rgb(make_dataset, labels, tmp_path):
    dataset = make_dataset(2)
    export_folder(dataset, tmp_path / "out", colour=True)
    mask = Image.open(tmp_path / "out" / "masks" / "face-0.png")
    assert mask.mode == "P"
    assert np.array_equal(np.asarray(mask), dataset.samples[0].mask)
    coloured = labels.colourise(dataset.samples[0].mask)
    assert np.array_equal(np.asarray(mask.convert("RGB")), coloured)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / "colours" / "face-0.png")), coloured)
    classes = list(csv.reader((tmp_path / "out" / "classes.csv").open()))
    assert classes[1] == ["0", "background", "0", "0", "0"]


def test_size_and_jpeg(make_dataset, read_back, tmp_path):
    export = export_folder(make_dataset(2), tmp_path / "out", size=24, photo_format="jpeg")
    back = read_back(export)
    assert (tmp_path / "out" / "photos" / "face-0.jpg").is_file()
    sample = back.read(0)
    assert sample.image.shape == (24, 24, 3)
    assert sample.mask.shape == (24, 24)


def test_a_mask_of_another_size_is_brought_to_its_photo(array_dataset, make_mask, make_photo, read_back, tmp_path):
    from facekit.interfaces import FaceSample

    sample = FaceSample(make_photo(make_mask(80, 60)), make_mask(40, 30), None)
    back = read_back(export_folder(array_dataset([sample], {"train": [0]}), tmp_path / "out"))
    assert back.read(0).image.shape == (60, 60, 3)
    assert back.read(0).mask.shape == (60, 60)


def test_folders_that_hold_something_else_are_left_alone(make_dataset, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(FacekitError, match="not empty"):
        export_folder(make_dataset(), tmp_path / "mine")
    export_folder(make_dataset(2), tmp_path / "out")
    with pytest.raises(FacekitError, match="another dataset, or one with other options"):
        export_folder(make_dataset(2, seed=1), tmp_path / "out")
    with pytest.raises(FacekitError, match="other options"):
        export_folder(make_dataset(2), tmp_path / "out", size=20)


@pytest.mark.parametrize("key", ["../outside", "a//b", "/etc/passwd", ".hidden", "C:\\x"])
def test_keys_that_leave_the_folder_are_refused(key, make_dataset, tmp_path):
    dataset = make_dataset(2)
    dataset.keys[1] = key
    with pytest.raises(FacekitError, match="cannot be a file name"):
        export_folder(dataset, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_keys_with_folders_and_dots_are_kept(make_dataset, read_back, tmp_path):
    dataset = make_dataset(2)
    dataset.keys = ["people/anna", "b.2024"]
    back = read_back(export_folder(dataset, tmp_path / "out"))
    assert sorted(back.keys) == ["b.2024", "people/anna"]
    assert np.array_equal(back.read(back.keys.index("b.2024")).mask, dataset.samples[1].mask)
