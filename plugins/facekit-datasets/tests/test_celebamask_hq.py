from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from facekit.interfaces import DatasetContext, FaceDataset, FacekitError, Repairs
from facekit_datasets.celebamask_hq import CelebAMaskHQOptions, create
from facekit_datasets.label_maps import CELEBAMASK_HQ, CELEBAMASK_HQ_MERGED


def said(findings):
    return [(finding.level, Path(finding.where).name, finding.message) for finding in findings]


def test_it_reads_photos_merged_parts_and_attributes(open_celebamask_hq, celebamask_hq, label_map):
    dataset = open_celebamask_hq()
    assert isinstance(dataset, FaceDataset)
    assert list(dataset.keys) == [*(str(number) for number in range(10)), "2000"]
    assert dataset.attribute_names == ("Smiling", "Male", "Young")
    sample = dataset.read(3)
    assert np.array_equal(sample.image, np.asarray(Image.open(celebamask_hq / "CelebA-HQ-img" / "3.jpg")))
    expected = np.zeros((24, 24), np.uint8)
    expected[4:20, 4:20] = label_map.id_of("skin")
    expected[10:12, 14:17] = label_map.id_of("l_eye")
    expected[10:12, 7:10] = label_map.id_of("r_eye")
    expected[2:8, 4:20] = label_map.id_of("hair")  # later over earlier: hair covers skin
    assert np.array_equal(sample.mask, expected)
    assert sample.attributes.tolist() == [True, False, False]
    assert np.array_equal(dataset.read(10).mask, expected)  # from the folder of photos 2000 to 3999


def test_the_split_by_index(open_celebamask_hq):
    splits = open_celebamask_hq().splits()
    assert splits == {"train": list(range(6)), "validation": [6, 7], "test": [8, 9], "extra": [10]}
    assert "extra" not in open_celebamask_hq(extra="").splits()
    assert open_celebamask_hq(test=8).splits()["test"] == [8]


def test_the_default_split_is_the_reference(celebamask_hq):
    sizes = {name: sum(map(len, ranges)) for name, ranges in CelebAMaskHQOptions(root=celebamask_hq).ranges().items()}
    assert sizes == {"train": 400, "validation": 50, "test": 50, "extra": 400}


def test_the_official_split_follows_the_mapping(open_celebamask_hq, celebamask_hq):
    originals = [0, 162770, 162771, 182637, 182638, 202598, 5, 6, 7, 8, 200000]
    lines = ["idx     orig_idx        orig_file"]
    numbers = [*range(10), 2000]
    lines += [f"{number}  {original}  {original + 1:06d}.jpg" for number, original in zip(numbers, originals)]
    (celebamask_hq / "CelebA-HQ-to-CelebA-mapping.txt").write_text("\n".join(lines))
    official = {"train": [0, 1, 6, 7, 8, 9], "validation": [2, 3], "test": [4, 5, 10]}
    assert open_celebamask_hq().splits() == official  # auto finds the file
    assert open_celebamask_hq(split="official").splits() == official
    assert open_celebamask_hq(split="by_index").splits()["test"] == [8, 9]
    (celebamask_hq / "CelebA-HQ-to-CelebA-mapping.txt").write_text("\n".join(lines[:-1]))
    with pytest.raises(FacekitError, match=r"no line for photo 2000\.jpg"):
        open_celebamask_hq()
    (celebamask_hq / "CelebA-HQ-to-CelebA-mapping.txt").write_text("idx orig_idx orig_file\n0 x 1.jpg")
    with pytest.raises(FacekitError, match=r"mapping\.txt:2: expected the columns"):
        open_celebamask_hq()


def test_the_official_split_needs_the_mapping(open_celebamask_hq):
    with pytest.raises(FacekitError, match=r"the official split needs this file\n.*split: by_index"):
        open_celebamask_hq(split="official")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": "0-10", "validation": "5-20"}, "train and validation share index 5"),
        ({"train": "0-10,3"}, "train names twice index 3"),
        ({"train": "ten"}, "'ten' is not a range"),
        ({"train": "9-3"}, "runs backwards"),
        ({"attributes": ["Male", "Male"]}, "named twice"),
        ({"splitt": "official"}, "Extra inputs"),
        ({"mask_attributes": {"Smiling": 0.1}}, "'Eyeglasses', 'Mouth_Slightly_Open'"),
        ({"mask_attributes": {"Eyeglasses": 1}}, "less than 1"),
        ({"mask_attributes": {"Eyeglasses": 0}, "attributes": ["Male"]}, "Eyeglasses would be read off the masks, but"),
        ({"tinted_glasses": True, "attributes": []}, "Tinted_Glasses would be read off the masks, but"),
    ],
)
def test_wrong_options_are_refused_before_any_file_is_opened(options, message):
    with pytest.raises(ValidationError, match=message):
        CelebAMaskHQOptions(root="nowhere", **options)


def test_photos_of_a_split_that_are_missing_are_named(open_celebamask_hq):
    with pytest.raises(
        FacekitError, match=r"split 'train' takes photos 0-5,300, but 1 of them are not there, 300\.jpg"
    ):
        open_celebamask_hq(train="0-5,300")


def test_a_missing_root_says_what_it_should_hold(open_celebamask_hq, celebamask_hq):
    celebamask_hq.rename(celebamask_hq.with_name("elsewhere"))
    with pytest.raises(FacekitError, match=r"CelebA-HQ-img/N\.jpg.*must be requested from its authors"):
        open_celebamask_hq()


@pytest.mark.parametrize("name", ["CelebA-HQ-img", "CelebAMask-HQ-mask-anno"])
def test_a_missing_folder_is_named(name, open_celebamask_hq, celebamask_hq):
    (celebamask_hq / name).rename(celebamask_hq / "other")
    with pytest.raises(FacekitError, match=f"there is no folder {name}"):
        open_celebamask_hq()


def test_merged_masks_are_used_where_they_are(open_celebamask_hq, celebamask_hq):
    merged = celebamask_hq / "CelebAMask-HQ-mask"
    parts = open_celebamask_hq()
    merged.mkdir()
    for index, number in enumerate([*range(10), 2000]):
        Image.fromarray(parts.read(index).mask).save(merged / f"{number}.png")
    for annotation in ("auto", "merged"):
        dataset = open_celebamask_hq(annotation=annotation)
        assert all(np.array_equal(dataset.read(i).mask, parts.read(i).mask) for i in range(11))
        assert dataset.fingerprint() != parts.fingerprint()
    Image.fromarray(np.full((24, 24), 19, np.uint8)).save(merged / "4.png")
    Image.fromarray(np.zeros((24, 24, 3), np.uint8)).save(merged / "5.png")
    (merged / "6.png").unlink()
    dataset = open_celebamask_hq()
    assert said(dataset.check(4)) == [("error", "4.png", "id 19 is outside the label map, which ends at 18")]
    assert "several channels" in dataset.check(5)[0].message
    assert said(dataset.check(6)) == [("error", "6.png", "there is no such file")]
    assert open_celebamask_hq(annotation="parts").check(6) == []


def test_exchanged_sides_are_repaired(open_celebamask_hq, celebamask_hq, label_map):
    folder = celebamask_hq / "CelebAMask-HQ-mask-anno" / "0"
    left, right = folder / "00003_l_eye.png", folder / "00003_r_eye.png"
    expected = open_celebamask_hq().read(3)
    assert expected.repairs == ()
    before = open_celebamask_hq().fingerprint()
    contents = left.read_bytes(), right.read_bytes()
    right.write_bytes(contents[0])
    left.write_bytes(contents[1])
    repairing, keeping = open_celebamask_hq(), open_celebamask_hq(sides="keep")
    assert isinstance(repairing, Repairs)
    assert (repairing.repair_names, keeping.repair_names) == (("exchanged sides",), ())
    assert np.array_equal(repairing.read(3).mask, expected.mask)
    assert repairing.read(3).repairs == ("exchanged sides",)
    assert repairing.read(4).repairs == ()
    kept = keeping.read(3)
    assert kept.repairs == ()
    assert kept.mask[10, 15] == label_map.id_of("r_eye")
    assert len({before, repairing.fingerprint(), keeping.fingerprint()}) == 3


def test_a_label_map_without_sides_has_none_to_repair(celebamask_hq):
    options = CelebAMaskHQOptions(root=celebamask_hq, train="0-5", validation="", test="", extra="")
    maps = DatasetContext({each.name: each for each in (CELEBAMASK_HQ, CELEBAMASK_HQ_MERGED)})
    merged = options.model_copy(update={"label_map": "celebamask_hq_merged"})
    assert create(merged, maps).repair_names == ()
    keeping = merged.model_copy(update={"sides": "keep"})
    assert create(merged, maps).fingerprint() == create(keeping, maps).fingerprint()


def paint_mouth(celebamask_hq, make_part, number, box):
    make_part(box).save(celebamask_hq / "CelebAMask-HQ-mask-anno" / "0" / f"{number:05d}_mouth.png")


def test_attributes_are_read_off_masks_from_an_area_on(open_celebamask_hq, celebamask_hq, make_part):
    paint_mouth(celebamask_hq, make_part, 1, (10, 16, 14, 18))  # 8 of 576 pixels
    paint_mouth(celebamask_hq, make_part, 2, (10, 16, 12, 17))  # 2
    name = "Mouth_Slightly_Open"
    found = {}
    for area in (0, 0.004, 0.0138, 0.0139):  # 8 / 576 = 0.013888...
        dataset = open_celebamask_hq(mask_attributes={name: area})
        assert dataset.attribute_names == ("Smiling", "Male", "Young", name)
        found[area] = [int(dataset.read(number).attributes[3]) for number in range(4)]
        assert dataset.read(1).attributes[:3].tolist() == [True, False, True]  # the file's columns stay
    assert found == {0: [0, 1, 1, 0], 0.004: [0, 1, 0, 0], 0.0138: [0, 1, 0, 0], 0.0139: [0, 0, 0, 0]}
    prints = {open_celebamask_hq(mask_attributes={name: area}).fingerprint() for area in (0, 0.004)}
    assert len(prints | {open_celebamask_hq().fingerprint()}) == 3


def test_what_masks_show_takes_the_place_of_the_files_column(open_celebamask_hq, celebamask_hq, make_part):
    file = celebamask_hq / "CelebAMask-HQ-attribute-anno.txt"
    lines = ["Eyeglasses Smiling", *(f"{number}.jpg 1 1" for number in [*range(10), 2000])]
    file.write_text("\n".join(["11", *lines]))
    assert open_celebamask_hq().read(0).attributes.tolist() == [True, True]
    changed = open_celebamask_hq(mask_attributes={"Eyeglasses": 0}, attributes=["Smiling", "Eyeglasses"])
    assert changed.read(0).attributes.tolist() == [True, False]
    file.unlink()
    paint_mouth(celebamask_hq, make_part, 1, (10, 16, 14, 18))
    alone = open_celebamask_hq(mask_attributes={"Mouth_Slightly_Open": 0.001})
    assert [alone.read(number).attributes.tolist() for number in (0, 1)] == [[False], [True]]
    assert alone.check(1) == []


def test_clear_and_tinted_glasses(open_celebamask_hq, celebamask_hq, make_part):
    """Photos of skin that is as bright as the lenses, or brighter."""
    folder = celebamask_hq / "CelebAMask-HQ-mask-anno" / "0"
    for number, level in ((0, 210), (1, 20), (2, 20)):
        pixels = np.full((48, 48, 3), 200, np.uint8)
        pixels[16:28, 10:38] = level
        Image.fromarray(pixels).save(celebamask_hq / "CelebA-HQ-img" / f"{number}.jpg", quality=100, subsampling=0)
        for eye in ("l_eye", "r_eye"):
            (folder / f"{number:05d}_{eye}.png").unlink()
        make_part((11, 14, 13, 17)).save(folder / f"{number:05d}_nose.png")
        if number < 2:
            make_part((5, 8, 19, 14)).save(folder / f"{number:05d}_eye_g.png")
    dataset = open_celebamask_hq(tinted_glasses=True)
    assert dataset.attribute_names[-1] == "Tinted_Glasses"
    assert [bool(dataset.read(number).attributes[-1]) for number in range(3)] == [False, True, False]
    assert bool(dataset.read(1, size=16).attributes[-1])
    assert dataset.fingerprint() != open_celebamask_hq().fingerprint()


def test_attributes_are_chosen_by_name(open_celebamask_hq):
    dataset = open_celebamask_hq(attributes=["Young", "Smiling"])
    assert dataset.attribute_names == ("Young", "Smiling")
    assert dataset.read(3).attributes.tolist() == [False, True]
    assert open_celebamask_hq(attributes=[]).read(3).attributes is None
    with pytest.raises(FacekitError, match=r"no attribute 'Smilling'.*\n.*did you mean 'Smiling'"):
        open_celebamask_hq(attributes=["Smilling"])


def test_without_an_attribute_file_there_are_no_attributes(open_celebamask_hq, celebamask_hq):
    (celebamask_hq / "CelebAMask-HQ-attribute-anno.txt").unlink()
    dataset = open_celebamask_hq()
    assert dataset.attribute_names == ()
    assert dataset.read(0).attributes is None
    assert [finding.level for finding in dataset.check_all()] == ["warning"]


@pytest.mark.parametrize(
    ("text", "where"),
    [("Smiling\n0.jpg 1\n", ":1"), ("1\nSmiling Male\n0.jpg 1\n", ":3"), ("1\nSmiling\n0.jpg 2\n", ":3")],
)
def test_a_damaged_attribute_file_is_named_with_its_line(text, where, open_celebamask_hq, celebamask_hq):
    (celebamask_hq / "CelebAMask-HQ-attribute-anno.txt").write_text(text)
    with pytest.raises(FacekitError) as caught:
        open_celebamask_hq()
    assert caught.value.where.endswith("anno.txt" + where)


def test_a_photo_without_a_line_of_attributes_is_an_error(open_celebamask_hq, celebamask_hq):
    file = celebamask_hq / "CelebAMask-HQ-attribute-anno.txt"
    file.write_text("\n".join(line for line in file.read_text().splitlines() if not line.startswith("2.jpg")))
    assert said(open_celebamask_hq().check(2)) == [
        ("error", "CelebAMask-HQ-attribute-anno.txt", "there is no line for 2.jpg")
    ]


def test_the_fingerprint_changes_with_files_and_choices(open_celebamask_hq, celebamask_hq):
    first = open_celebamask_hq().fingerprint()
    assert open_celebamask_hq().fingerprint() == first
    assert open_celebamask_hq(attributes=["Male"]).fingerprint() != first
    assert open_celebamask_hq(train="0-4").fingerprint() != first
    outside = open_celebamask_hq(extra="").fingerprint()
    part = celebamask_hq / "CelebAMask-HQ-mask-anno" / "1" / "02000_hair.png"
    part.unlink()
    assert open_celebamask_hq().fingerprint() != first
    assert open_celebamask_hq(extra="").fingerprint() == outside  # photo 2000 is in no split then
    (celebamask_hq / "CelebA-HQ-img" / "0.jpg").write_bytes(b"changed")
    assert open_celebamask_hq(extra="").fingerprint() != outside


def test_damaged_files_are_named(open_celebamask_hq, celebamask_hq, make_part):
    photos, parts = celebamask_hq / "CelebA-HQ-img", celebamask_hq / "CelebAMask-HQ-mask-anno" / "0"
    (photos / "0.jpg").write_bytes((photos / "0.jpg").read_bytes()[:-100])
    (photos / "1.jpg").write_bytes(b"no picture at all")
    (parts / "00002_hair.png").write_bytes((parts / "00002_hair.png").read_bytes()[:60])
    for file in parts.glob("00003_*.png"):
        file.unlink()
    (parts / "00004_skin.png").unlink()
    make_part((1, 1, 9, 9), size=20).save(parts / "00005_hair.png")
    make_part().save(parts / "00006_hat.png")
    Image.fromarray(np.full((24, 24, 3), 100, np.uint8)).save(parts / "00007_hat.png")
    Image.new("RGB", (60, 48)).save(photos / "8.jpg")
    dataset = open_celebamask_hq()
    found = [said(dataset.check(index)) for index in range(11)]
    assert found[0][0][:2] == ("error", "0.jpg")
    assert "truncated" in found[0][0][2]
    assert found[1] == [("error", "1.jpg", "the file is not a picture, or its beginning is damaged")]
    assert found[2][0][:2] == ("error", "00002_hair.png")
    assert found[3] == [("error", "00003_*.png", "the photo has no part annotation")]
    assert found[4] == [("warning", "00004_skin.png", "the part is missing; every face has skin")]
    assert found[5] == [("error", "00005_hair.png", "the part has 20x20 pixels; 00005_skin.png has 24x24")]
    assert found[6] == [("warning", "00006_hat.png", "the part is empty")]
    assert found[7][0][:2] == ("warning", "00007_hat.png")
    assert [level for level, *_ in found[8]] == ["warning", "error"]
    assert "another aspect" in found[8][1][2]
    assert found[9] == found[10] == []
    for index in (0, 1, 2, 3, 5):
        with pytest.raises(FacekitError) as caught:
            dataset.read(index)
        assert Path(caught.value.where).name in {finding[1] for finding in found[index]}


def test_files_that_do_not_belong_are_warned_of(open_celebamask_hq, celebamask_hq):
    parts = celebamask_hq / "CelebAMask-HQ-mask-anno"
    (parts / "0" / "00001_beard.png").write_bytes(b"")
    (parts / "0" / "02000_skin.png").write_bytes(b"")  # in the wrong folder
    (parts / "0" / "00050_skin.png").write_bytes(b"")
    (celebamask_hq / "CelebA-HQ-img" / "notes.txt").write_text("")
    assert said(open_celebamask_hq().check_all()) == [
        ("warning", "notes.txt", "the file is not a photo N.jpg and is not read"),
        ("warning", "00001_beard.png", "the file is not an annotation of this data set and is not read"),
        ("warning", "00050_skin.png", "there is no photo 50.jpg for this mask"),
        ("warning", "02000_skin.png", "the file is not an annotation of this data set and is not read"),
    ]


def test_it_travels_to_other_processes(open_celebamask_hq):
    dataset = open_celebamask_hq()
    other = pickle.loads(pickle.dumps(dataset))
    assert other.fingerprint() == dataset.fingerprint()
    assert np.array_equal(other.read(5).mask, dataset.read(5).mask)
