"""Photos without masks: packed, checked, shown, exported and loaded like any others; and nothing changes for those."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from facekit.data.cache import find_prepared, prepare
from facekit.data.checks import check_dataset
from facekit.data.export import export_folder
from facekit.data.geometry import mirror_photo
from facekit.data.loader import FaceLoader, fixed_batch
from facekit.data.preview import write_preview
from facekit.data.reference import ReferenceAugmentation
from facekit.data.store import PackedFaces, fingerprint_of, label_map_document
from facekit.interfaces import NO_LABELS, DatasetContext, FacekitError, FaceSample, Finding
from facekit_datasets.image_folder import ImageFolderOptions, create


@pytest.fixture
def photos(make_photos, tmp_path):
    return prepare(make_photos(), size=32, cache=tmp_path / "photos")


def pixels(images):
    return ((images + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


class TestPacking:
    def test_it_leaves_masks_out(self, make_photos, make_dataset, tmp_path):
        dataset = make_photos()
        packed = prepare(dataset, size=32, cache=tmp_path)
        assert packed.masks is None
        assert packed.label_map == NO_LABELS
        assert "masks.bin" not in {file.name for file in packed.folder.iterdir()}
        assert packed.attribute_names == ("Smiling", "Young")
        with_masks = prepare(make_dataset(), size=32, cache=tmp_path)
        assert np.array_equal(packed.images, with_masks.images)
        assert np.array_equal(packed.attributes, with_masks.attributes)
        assert packed.fingerprint != with_masks.fingerprint
        again = PackedFaces.open(packed.folder, verify=True)
        assert (again.masks, again.fingerprint) == (None, packed.fingerprint)
        found = find_prepared(make_photos(), size=32, cache=tmp_path)
        assert found is not None
        assert found.folder == packed.folder

    def test_it_goes_on_where_it_was(self, make_photos, tmp_path):
        broken = make_photos()
        broken.findings = {7: [Finding("error", "face-7.png", "damaged")]}
        with pytest.raises(FacekitError, match=r"face-7\.png"):
            prepare(broken, size=16, cache=tmp_path, workers=0)
        mended = make_photos()
        packed = prepare(mended, size=16, cache=tmp_path, workers=0)
        assert mended.reads == [7, 8, 9, 10, 11]
        assert np.array_equal(packed.images, prepare(make_photos(), size=16, cache=tmp_path / "other").images)

    def test_the_fingerprint_changes_with_the_photos_and_not_with_the_workers(self, make_photos, tmp_path):
        packed = [
            prepare(make_photos(seed=seed), size=16, cache=tmp_path / str(place), workers=workers)
            for place, (seed, workers) in enumerate([(0, 0), (0, 2), (1, 0)])
        ]
        assert packed[0].fingerprint == packed[1].fingerprint != packed[2].fingerprint

    def test_whoever_needs_masks_is_told(self, photos, packed):
        with pytest.raises(FacekitError, match=r"needs masks, and these are photos without masks\n.*take a dataset"):
            photos.require_masks()
        assert packed.require_masks() is packed.masks
        with pytest.raises(FacekitError, match="needs masks, and the dataset has photos without masks"):
            FaceSample(np.zeros((4, 4, 3), np.uint8), None, None).require_mask()

    def test_masks_are_for_all_samples_or_for_none(self, make_dataset, make_photos, tmp_path):
        some = make_dataset()
        some.samples[2] = replace(some.samples[2], mask=None)
        with pytest.raises(FacekitError, match="face-2: the sample has no mask; the label map 'test_parts' has 5 clas"):
            prepare(some, size=16, cache=tmp_path)
        one = make_photos()
        one.samples[3] = make_dataset().samples[3]
        with pytest.raises(FacekitError, match="face-3: the sample has a mask; the label map 'none' has no classes"):
            prepare(one, size=16, cache=tmp_path)
        for dataset, key in ((some, "face-2"), (one, "face-3")):
            assert [finding.where for finding in check_dataset(dataset).errors] == [f"sample {key}"]


class TestCachesOfBefore:
    """What was packed before masks became optional. The numbers were written down by that code."""

    FOLDER = "faces-16-19c80a5c6ce0cd0e"
    FINGERPRINT = "ac28e82f5f9a24f303a50429258312981184f9e16c397d5b3bb217f30c78ea0c"
    SHA256 = {
        "images.bin": "5f485ffedad2042d732cb814e8b20a3e966cb9b34e9c44f254d5d4614124a1b0",
        "masks.bin": "3984b11884b4ad9ff322281952238dbf4c3a4ae6de66102cc933b010c50cfe61",
        "keys.bin": "1a2bf5b800ad346bd78c3e9b49ab25a201e278df7edeb6487e123728fbd0ae62",
        "key_offsets.bin": "e69f905dd31ab920456ea4fa1e9f017daac100a47c097b6da5d16349c8507ba0",
        "splits.bin": "0f004f117335020e1d19c25b8767278bf1edb2fa6ff3fac943d843b6003d0eb5",
        "attributes.bin": "ebd156cc40c0568f57de353a59d5a7c898b821d60ce494a3ce6a31b55136cf93",
    }

    @pytest.fixture
    def dataset(self, array_dataset, make_mask, make_photo):
        masks = [make_mask(16, 16, shift=shift) for shift in (-0.1, 0.0, 0.1)]
        samples = [FaceSample(make_photo(mask), mask, np.array([place > 1, True])) for place, mask in enumerate(masks)]
        return array_dataset(samples, {"train": [0, 2], "test": [1]}, attribute_names=("Smiling", "Young"))

    def test_the_same_is_packed_byte_by_byte(self, dataset, tmp_path):
        packed = prepare(dataset, size=16, cache=tmp_path, name="faces")
        assert (packed.folder.name, packed.fingerprint) == (self.FOLDER, self.FINGERPRINT)
        index = json.loads((packed.folder / "index.json").read_text())
        assert {name: said["sha256"] for name, said in index["files"].items()} == self.SHA256
        assert list(index["files"]) == list(self.SHA256)

    def test_one_that_is_there_is_taken(self, dataset, labels, tmp_path):
        folder = tmp_path / self.FOLDER
        folder.mkdir()
        contents = {
            "images.bin": b"".join(sample.image.tobytes() for sample in dataset.samples),
            "masks.bin": b"".join(sample.mask.tobytes() for sample in dataset.samples),
            "keys.bin": b"face-0face-1face-2",
            "key_offsets.bin": np.array([0, 6, 12, 18], "<i8").tobytes(),
            "splits.bin": np.array([0, 2, 1], "<i8").tobytes(),
            "attributes.bin": bytes([0, 1, 0, 1, 1, 1]),
        }
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        index = {
            "format": 1,
            "count": 3,
            "size": 16,
            "label_map": label_map_document(labels),
            "attribute_names": ["Smiling", "Young"],
            "splits": {"train": 2, "test": 1},
            "files": {name: {"bytes": len(contents[name]), "sha256": digest} for name, digest in self.SHA256.items()},
        }
        assert fingerprint_of(index) == self.FINGERPRINT
        document = {**index, "fingerprint": self.FINGERPRINT, "key": self.FOLDER.rsplit("-", 1)[1]}
        (folder / "index.json").write_text(json.dumps(document, indent=1))
        packed = prepare(dataset, size=16, cache=tmp_path, name="faces")
        assert dataset.reads == []
        assert packed.masks is not None
        assert all(np.array_equal(packed.masks[row], sample.mask) for row, sample in enumerate(dataset.samples))


class TestChecking:
    def test_sound_photos_have_no_findings_about_masks(self, make_photos):
        report = check_dataset(make_photos(), size=40)
        assert [each for each in report.findings if "is also in" not in each.message] == []  # the drawings are alike
        assert (report.samples, report.readable) == (12, 12)
        assert (report.classes, report.mask_sizes) == ((), {})
        assert report.photo_sizes == {(40, 40): 12}
        assert [entry.name for entry in report.attributes] == ["Smiling", "Young"]

    def test_photos_are_checked_like_those_with_masks(self, make_photos):
        dataset = make_photos()
        dataset.findings = {3: [Finding("error", "face-3.png", "the picture is truncated")]}
        report = check_dataset(dataset, size=64)
        assert [finding.where for finding in report.errors] == ["face-3.png"]
        assert len([finding for finding in report.warnings if "smaller than 64 pixels" in finding.message]) == 11


class TestShowing:
    def test_photos_stand_alone(self, make_photos, make_photo, tmp_path):
        dataset = make_photos(3)
        file = write_preview(dataset, tmp_path / "sheet.png", size=64, columns=3)
        sheet = np.asarray(Image.open(file).convert("RGB"))
        assert sheet.shape[1] == 3 * (64 + 10) + 10
        photo = np.asarray(Image.fromarray(dataset.samples[0].image).resize((64, 64), Image.Resampling.LANCZOS))
        places = [sheet[:, left : left + 64] for left in (10, 84, 158)]
        assert any(np.array_equal(place[top : top + 64], photo) for place in places for top in range(len(place) - 63))

    def test_an_export_reads_back_as_a_folder_of_photos(self, make_photos, tmp_path):
        dataset = make_photos()
        export = export_folder(dataset, tmp_path / "out")
        assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
            "attributes.csv",
            "export.json",
            "photos",
            "splits",
        ]
        use, options = export.dataset_options["use"], {**export.dataset_options}
        del options["use"]
        assert use == "image_folder"
        back = create(ImageFolderOptions(**options), DatasetContext())
        for split, indices in dataset.splits().items():
            assert {back.keys[index] for index in back.splits()[split]} == {dataset.keys[index] for index in indices}
        for index, sample in enumerate(dataset.samples):
            other = back.read(back.keys.index(dataset.keys[index]))
            assert np.array_equal(other.image, sample.image)
            assert np.array_equal(other.attributes, sample.attributes)
        assert back.check_all() == []
        (tmp_path / "out" / "photos" / "face-4.png").unlink()
        assert export_folder(dataset, tmp_path / "out").written == 1
        sized = export_folder(dataset, tmp_path / "small", size=24, photo_format="jpeg")
        assert Image.open(sized.folder / "photos" / "face-0.jpg").size == (24, 24)

    def test_there_are_no_masks_to_colour(self, make_photos, tmp_path):
        with pytest.raises(FacekitError, match="no masks to write in colours"):
            export_folder(make_photos(), tmp_path / "out", colour=True)
        assert not (tmp_path / "out").exists()


class TestLoading:
    def test_a_batch_has_photos_and_no_masks(self, photos):
        batch = FaceLoader(photos, photos.rows("train"), batch=4, seed=0, mirror=True).batch(0)
        assert batch.image.shape == (4, 3, 32, 32)
        assert batch.mask is None
        assert batch.attributes is not None
        rows = [list(photos.keys).index(key) for key in batch.keys]
        assert photos.attributes is not None
        assert np.array_equal(batch.attributes.numpy(), photos.attributes[rows])
        fixed = fixed_batch(photos, rows)
        assert fixed.mask is None
        assert np.array_equal(pixels(fixed.image), photos.images[rows])

    def test_masks_change_nothing_in_what_chance_does_to_the_photos(self, photos, packed):
        def batches(data, **options):
            loader = FaceLoader(data, data.rows("train"), batch=5, seed=3, **options)
            return [loader.batch(step) for step in range(6)]

        for options in ({}, {"mirror": True}, {"mirror": True, "reference": ReferenceAugmentation(0.6, mirror=True)}):
            for without, with_masks in zip(batches(photos, **options), batches(packed, **options)):
                assert without.keys == with_masks.keys
                assert torch.equal(without.image, with_masks.image)
                assert torch.equal(reference_image(without), reference_image(with_masks))

    def test_the_mirror_flips_half_of_the_photos(self, photos):
        loader = FaceLoader(photos, photos.rows("train"), batch=9, seed=0, mirror=True)
        rows = {key: row for row, key in enumerate(photos.keys)}
        flipped = 0
        for batch in loader.prefetch(0, 20):
            for image, key in zip(pixels(batch.image), batch.keys):
                own = photos.images[rows[key]]
                straight = np.array_equal(image, own)
                assert straight or np.array_equal(image, mirror_photo(own))
                flipped += not straight
        assert 60 < flipped < 120  # of 180

    def test_regions_cannot_be_hidden(self, photos, packed):
        hiding = ReferenceAugmentation(hide_regions=0.2)
        FaceLoader(packed, packed.rows("train"), batch=2, seed=0, reference=hiding)
        with pytest.raises(FacekitError, match="photos without masks") as caught:
            FaceLoader(photos, photos.rows("train"), batch=2, seed=0, reference=hiding)
        assert caught.value.where == "data.reference.hide_regions"
        assert "set it to 0" in str(caught.value.remedy)


def reference_image(batch):
    assert batch.reference is not None
    return batch.reference.image
