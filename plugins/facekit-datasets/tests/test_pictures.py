"""Parts of masks read the same by the fast decoder and by Pillow, and damaged files are told by name either way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facekit.interfaces import FacekitError, image_files
from facekit_datasets import pictures
from facekit_datasets.pictures import read_id_mask, read_inside, read_part, read_photo

VALUES = np.random.default_rng(0).choice(np.array([0, 255, 127, 128], np.uint8), (9, 13))

FORMS = {
    "greyscale": Image.fromarray(VALUES),
    "RGB": Image.fromarray(np.repeat(VALUES[:, :, None], 3, axis=2)),
    "RGBA": Image.fromarray(np.repeat(VALUES[:, :, None], 4, axis=2)),
    "two levels": Image.fromarray(VALUES > 127),
    "indexed": Image.fromarray(VALUES).convert("P"),
}


@pytest.mark.skipif(pictures.decode_image_png_u8 is None, reason="there is no kornia_rs for this platform")
@pytest.mark.parametrize("form", FORMS)
def test_both_decoders_read_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    file = tmp_path / "part.png"
    FORMS[form].save(file)
    assert (pictures._read_plain_png(file) is not None) == (form in ("greyscale", "RGB"))
    fast, inside = read_part(file), read_inside(file)
    monkeypatch.setattr(pictures, "decode_image_png_u8", None)
    assert np.array_equal(fast, read_part(file))
    assert np.array_equal(inside, read_part(file) > 127)
    assert np.array_equal(inside, read_inside(file))
    assert np.array_equal(inside, VALUES > 127)


@pytest.mark.parametrize("damage", ["cut short", "a byte changed", "no picture", "missing"])
def test_damaged_files_are_told_by_name(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "part.png"
    FORMS["RGB"].save(file)
    data = bytearray(file.read_bytes())
    file.unlink()
    if damage == "cut short":
        file.write_bytes(data[:-30])
    elif damage == "a byte changed":
        data[data.index(b"IDAT") + 9] ^= 255
        file.write_bytes(data)
    elif damage == "no picture":
        file.write_bytes(b"not a picture")
    for read in (read_part, read_inside):
        with pytest.raises(FacekitError) as failure:
            read(file)
        assert str(failure.value.where) == str(file)


@pytest.mark.parametrize("form", ["greyscale", "RGB", "indexed"])
def test_masks_are_turned_as_photos_are(tmp_path: Path, form: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    file = tmp_path / "part.png"
    FORMS[form].transpose(Image.Transpose.ROTATE_90).save(file, exif=exif)
    if form == "RGB":
        assert np.array_equal(read_photo(file)[..., 0], VALUES)
    else:
        ids = np.asarray(FORMS[form])
        assert np.array_equal(read_id_mask(file), ids)
    assert np.array_equal(read_part(file), VALUES)
    assert np.array_equal(read_inside(file), VALUES > 127)


def test_parts_in_colours_that_are_no_rgb_are_refused(tmp_path: Path) -> None:
    FORMS["RGB"].convert("LAB").save(tmp_path / "part.tif")
    with pytest.raises(FacekitError, match=r"part\.tif: the mask's mode LAB is not supported"):
        read_part(tmp_path / "part.tif")


def test_oversized_pictures_are_refused_before_they_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "part.png"
    FORMS["RGB"].save(file)
    for module in (pictures, image_files):
        monkeypatch.setattr(module, "MOST_PIXELS", 100)
    with pytest.raises(FacekitError, match="13x9"):
        read_inside(file)
