from __future__ import annotations

import os
import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from facekit.interfaces import DatasetContext, FaceDataset, FacekitError, LabelClass, LabelMap, PortContext
from facekit_datasets.image_mask_folder import ImageMaskFolderOptions, create, ports


def said(findings):
    return [(finding.level, Path(finding.where).name, finding.message) for finding in findings]


def test_it_reads_photos_of_any_format_with_indexed_and_grey_masks(open_folder, folder):
    dataset = open_folder(attribute_file="attributes.csv")
    assert isinstance(dataset, FaceDataset)
    assert list(dataset.keys) == [f"face{number}" for number in range(10)]
    for index in range(10):
        sample = dataset.read(index)
        assert sample.image.shape == (48, 48, 3)
        expected = np.random.default_rng(index).integers(0, 19, (24, 24), dtype=np.uint8)
        assert np.array_equal(sample.mask, expected)
        assert sample.attributes.tolist() == [bool(index % 2), index > 4]
        assert dataset.check(index) == []
    assert dataset.check_all() == []
    assert np.array_equal(dataset.read(1).image, np.asarray(Image.open(folder / "photos" / "face1.png")))


def test_attributes_are_read_off_masks(open_folder, folder):
    """The masks are of random ids: each class covers about a nineteenth of the picture."""
    shares = {"Eyeglasses": 0.02, "Wearing_Hat": 0.2}
    alone = open_folder(mask_attributes=shares)
    assert alone.attribute_names == ("Eyeglasses", "Wearing_Hat")
    assert alone.read(3).attributes.tolist() == [True, False]
    options = ImageMaskFolderOptions(root=folder, mask_attributes=shares)
    context = PortContext(size=64, label_maps={"celebamask_hq": alone.label_map})
    assert {port.name: port.shape for port in ports(options, context).gives}["attributes"] == ("batch", 2)
    both = open_folder(
        attribute_file="attributes.csv", mask_attributes={"Wearing_Hat": 0.02}, attributes=["Wearing_Hat", "Young"]
    )
    assert [both.read(index).attributes.tolist() for index in (3, 7)] == [[True, False], [True, True]]
    (folder / "attributes.csv").write_text(
        "key,Eyeglasses,Young\n" + "".join(f"face{number},0,1\n" for number in range(10))
    )
    assert open_folder(attribute_file="attributes.csv").read(3).attributes.tolist() == [False, True]
    replaced = open_folder(attribute_file="attributes.csv", mask_attributes=shares)
    assert replaced.attribute_names == ("Eyeglasses", "Young", "Wearing_Hat")
    assert replaced.read(3).attributes.tolist() == [True, True, False]
    assert len({each.fingerprint() for each in (open_folder(), alone, both, replaced)}) == 4


def test_a_label_map_without_the_class_is_refused(open_folder):
    labels = LabelMap("few", tuple(LabelClass(f"class_{index}", (index, 0, 0)) for index in range(19)))
    with pytest.raises(
        FacekitError, match="Eyeglasses is read off the class 'eye_g', which the label map 'few' does not"
    ):
        open_folder(label_map="few", label_maps={"few": labels}, mask_attributes={"Eyeglasses": 0})
    with pytest.raises(FacekitError, match="Tinted_Glasses is read off the class 'eye_g'"):
        open_folder(label_map="few", label_maps={"few": labels}, tinted_glasses=True)


def test_fractions_split_at_random_by_seed(open_folder):
    splits = open_folder(fractions={"train": 0.6, "validation": 0.2, "test": 0.1}).splits()
    assert {split: len(indices) for split, indices in splits.items()} == {"train": 6, "validation": 2, "test": 1}
    members = [index for indices in splits.values() for index in indices]
    assert len(set(members)) == len(members) == 9
    assert open_folder(fractions={"train": 0.6, "validation": 0.2, "test": 0.1}).splits() == splits
    assert open_folder(fractions={"train": 0.6, "validation": 0.2, "test": 0.1}, seed=1).splits() != splits


def test_lists_split_by_name(open_folder):
    dataset = open_folder(split_files={"train": "splits/train.txt", "test": "splits/test.txt"})
    assert dataset.splits() == {"train": list(range(7)), "test": [8, 9]}


def test_lists_that_overlap_or_name_no_photo_are_refused_with_their_line(open_folder, folder):
    files = {"train": "splits/train.txt", "test": "splits/test.txt"}
    (folder / "splits" / "test.txt").write_text("face8\nface3\n")
    with pytest.raises(FacekitError, match=r"test\.txt:2: photo 'face3' is already in the train split"):
        open_folder(split_files=files)
    (folder / "splits" / "test.txt").write_text("face8\nface9.png\n")
    with pytest.raises(FacekitError, match=r"test\.txt:2: there is no photo 'face9\.png'\n.*did you mean"):
        open_folder(split_files=files)
    with pytest.raises(FacekitError, match="no such list of the extra split"):
        open_folder(split_files={"extra": "splits/extra.txt"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fractions": {"train": 0.9, "test": 0.2}}, "add up to 1.1"),
        ({"fractions": {"train": -0.1}}, "negative"),
        ({"fractions": {}}, "add up to 0"),
        ({"fractions": {"training": 0.5}}, "'train', 'validation', 'test' or 'extra'"),
        ({"split_files": {}}, "at least one split"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        ImageMaskFolderOptions(root="nowhere", **options)


def test_jpeg_masks_are_refused_with_the_reason(open_folder, folder):
    mask = Image.open(folder / "masks" / "face0.png")
    mask.save(folder / "masks" / "face0.jpg")
    (folder / "masks" / "face0.png").unlink()
    Image.open(folder / "masks" / "face2.png").save(folder / "masks" / "face2.png", format="JPEG")  # a lying name
    dataset = open_folder()
    for index in (0, 2):
        with pytest.raises(FacekitError, match="the mask is a JPEG; its lossy compression changes class ids"):
            dataset.read(index)
        assert "JPEG" in dataset.check(index)[0].message
    assert ("warning", "face0.jpg", "the file is not a PNG and is not read as a mask") in said(dataset.check_all())


def test_masks_that_are_wrong_are_named(open_folder, folder):
    masks = folder / "masks"
    Image.fromarray(np.full((24, 24), 19, np.uint8)).save(masks / "face1.png")
    Image.new("RGB", (24, 24)).save(masks / "face2.png")
    (masks / "face3.png").unlink()
    (masks / "face4.png").write_bytes((masks / "face4.png").read_bytes()[:100])
    Image.new("L", (24, 12)).save(masks / "face5.png")
    Image.fromarray(np.full((24, 24), 700, np.uint16)).save(masks / "face6.png")
    dataset = open_folder()
    found = [said(dataset.check(index)) for index in range(7)]
    assert found[1] == [("error", "face1.png", "id 19 is outside the label map 'celebamask_hq', which ends at 18")]
    assert "several channels (mode RGB)" in found[2][0][2]
    assert found[3] == [("error", "face3.png", "the photo has no mask")]
    assert found[4][0][:2] == ("error", "face4.png")
    assert "another aspect" in found[5][0][2]
    assert "ids from 700 to 700" in found[6][0][2]
    assert found[0] == []


def test_16_bit_masks_whose_ids_fit_are_read(open_folder, folder):
    ids = np.arange(16, dtype=np.uint16).reshape(4, 4)
    Image.fromarray(ids).save(folder / "masks" / "face0.png")
    assert np.array_equal(open_folder().read(0).mask, ids)


def test_photos_that_claim_to_be_huge_are_refused_before_decoding(open_folder, folder):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    (folder / "photos" / "face1.png").write_bytes(bomb)
    (finding,) = open_folder().check(1)
    assert finding.level == "error"
    assert Path(finding.where).name == "face1.png"
    assert "64,000,000 pixels" in finding.message
    large = struct.pack(">IIBBBBB", 9_000, 9_000, 8, 2, 0, 0, 0)  # too much for us, not yet for Pillow
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", large) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    (folder / "photos" / "face1.png").write_bytes(bomb)
    assert "9,000x9,000 pixels, and 64,000,000 in all are the most" in open_folder().check(1)[0].message


def test_a_photo_is_turned_as_its_exif_says(open_folder, folder, make_photo):
    upright = make_photo(5, (48, 48))
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    upright.transpose(Image.Transpose.ROTATE_90).save(folder / "photos" / "face0.jpg", exif=exif, quality=100)
    difference = np.abs(open_folder().read(0).image.astype(int) - np.asarray(upright))
    assert difference.mean() < 3


def test_a_large_jpeg_is_decoded_at_a_fraction_that_is_enough(open_folder, folder, make_photo):
    make_photo(1, (512, 512)).save(folder / "photos" / "face0.jpg")
    dataset = open_folder()
    assert dataset.read(0).image.shape == (512, 512, 3)
    assert dataset.read(0, size=32).image.shape == (128, 128, 3)
    assert dataset.read(0, size=33).image.shape == (256, 256, 3)
    assert dataset.read(0, size=64).image.shape == (256, 256, 3)
    assert dataset.read(0, size=100).image.shape == (512, 512, 3)
    assert dataset.read(0, size=400).image.shape == (512, 512, 3)


def test_subfolders_belong_to_the_key(open_folder, folder, make_photo):
    for name in ("photos", "masks"):
        (folder / name / "people").mkdir()
    make_photo(3).save(folder / "photos" / "people" / "anna.png")
    Image.new("L", (24, 24), 4).save(folder / "masks" / "people" / "anna.png")
    dataset = open_folder()
    index = list(dataset.keys).index("people/anna")
    assert (dataset.read(index).mask == 4).all()


def test_two_photos_of_one_name_are_refused(open_folder, folder, make_photo):
    make_photo(3).save(folder / "photos" / "face1.jpg")
    with pytest.raises(FacekitError, match=r"face1\.jpg and face1\.png share a name"):
        open_folder()


def test_missing_folders_are_named(open_folder):
    with pytest.raises(FacekitError, match=r"no folder of photos\n.*set root, or photos"):
        open_folder(photos="images")
    with pytest.raises(FacekitError, match="no folder of masks"):
        open_folder(masks="labels")
    with pytest.raises(FacekitError, match="there are no photos in this folder"):
        open_folder(photos="splits")


def test_the_label_map_is_known_by_name(open_folder):
    with pytest.raises(
        FacekitError, match=r"no plugin offers the label map 'celebamask'\n.*did you mean 'celebamask_hq'"
    ):
        open_folder(label_map="celebamask")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,Smiling\nface0,1\n", r"attributes\.csv:1: the first column must be called 'key'"),
        ("key,Smiling\nface0,1\nface1,yes\n", r"attributes\.csv:3: expected a key and 1 values of 0 or 1"),
        ("key,Smiling\nface0\n", r"attributes\.csv:2"),
    ],
)
def test_a_damaged_attribute_file_is_named_with_its_line(text, message, open_folder, folder):
    (folder / "attributes.csv").write_text(text)
    with pytest.raises(FacekitError, match=message):
        open_folder(attribute_file="attributes.csv")


def test_attributes_are_chosen_and_missing_ones_named(open_folder, folder):
    dataset = open_folder(attribute_file="attributes.csv", attributes=["Young"])
    assert dataset.read(9).attributes.tolist() == [True]
    with pytest.raises(FacekitError, match="no attribute 'Old'"):
        open_folder(attribute_file="attributes.csv", attributes=["Old"])
    with pytest.raises(FacekitError, match="there is no attribute file"):
        open_folder(attributes=["Young"])
    (folder / "attributes.csv").write_text("key,Young\nface0,1\nstranger,1\n")
    dataset = open_folder(attribute_file="attributes.csv")
    assert dataset.check(0) == []
    assert said(dataset.check(1)) == [("error", "attributes.csv", "there is no line for the key 'face1'")]
    assert said(dataset.check_all()) == [("warning", "attributes.csv", "there is no photo for the key 'stranger'")]


def test_leftovers_are_warned_of(open_folder, folder):
    (folder / "photos" / "notes.txt").write_text("")
    Image.new("L", (24, 24)).save(folder / "masks" / "nobody.png")
    (folder / "masks" / "face7.png").unlink()
    dataset = open_folder(split_files={"train": "splits/train.txt"})
    assert said(dataset.check_all()) == [
        ("warning", "face7.png", "the photo has no mask (it is in no split)"),
        ("warning", "nobody.png", "there is no photo for this mask"),
        ("warning", "notes.txt", "the file is not a picture and is not read"),
    ]


def test_the_fingerprint_changes_with_files_and_choices(open_folder, folder):
    def fingerprint(**options):
        return open_folder(attribute_file="attributes.csv", **options).fingerprint()

    first = fingerprint()
    assert fingerprint() == first
    assert fingerprint(attributes=["Young"]) != first
    (folder / "masks" / "face0.png").touch()
    touched = fingerprint()
    assert touched != first
    text = (folder / "attributes.csv").read_text()
    (folder / "attributes.csv").write_text(text.replace("face0,0", "face0,1"))
    assert fingerprint() != touched


def test_the_fingerprint_is_the_one_that_caches_are_known_by(tmp_path, label_map):
    for folder, ending in (("photos", "jpg"), ("masks", "png")):
        (tmp_path / folder).mkdir()
        for number in range(10):
            file = tmp_path / folder / f"{number}.{ending}"
            file.write_bytes(b"x" * (number + 1))
            os.utime(file, ns=(number, 10**18 + number))
    rows = "".join(f"{number},{number % 2},1\n" for number in range(9))
    (tmp_path / "a.csv").write_text(f"key,Smiling,Young\n{rows}")

    def opened(**options):
        return create(ImageMaskFolderOptions(root=tmp_path, **options), DatasetContext({label_map.name: label_map}))

    # Written down when caches were packed with these: other numbers would pack everybody's photos again.
    assert opened().fingerprint() == "17bd6f93df8606354ca505027e5f954336e15a01360f212a94f5f10c3ebf8cae"
    chosen = {"attribute_file": "a.csv", "attributes": ["Young", "Smiling"], "fractions": {"train": 0.5, "extra": 0.2}}
    dataset = opened(**chosen, seed=3)
    assert dataset.fingerprint() == "89c3978cb086b26e7cc0abfc60973f123c04cdbf1a95c2851e87d48b711009fb"
    assert dataset.splits() == {"train": [1, 2, 5, 6, 8], "extra": [7, 9]}


def test_hidden_folders_are_not_read(open_folder, folder, make_photo):
    (folder / "photos" / ".thumbnails").mkdir()
    make_photo(3).save(folder / "photos" / ".thumbnails" / "face1.jpg")
    dataset = open_folder()
    assert list(dataset.keys) == [f"face{number}" for number in range(10)]
    assert dataset.check_all() == []


def test_it_travels_to_other_processes(open_folder):
    dataset = open_folder()
    assert np.array_equal(pickle.loads(pickle.dumps(dataset)).read(2).mask, dataset.read(2).mask)


def test_ports_say_what_the_options_settle(label_map):
    context = PortContext(64, {label_map.name: label_map})

    def gives(**options):
        return {port.name: port for port in ports(ImageMaskFolderOptions(root="x", **options), context).gives}

    assert set(gives()) == {"image", "mask"}
    assert gives()["mask"].classes == 19
    assert gives(label_map="unknown")["mask"].classes == "classes"
    assert gives(attribute_file="a.csv")["attributes"].shape == ("batch", "attributes")
    assert gives(attribute_file="a.csv", attributes=["A", "B"])["attributes"].shape == ("batch", 2)
