"""Photos and masks of every mode and turn are read as a viewer shows them, or refused by name."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from facekit.interfaces import FacekitError
from facekit.interfaces.image_files import rgb_pixels, upright

GREY = np.random.default_rng(0).integers(0, 256, (6, 9), dtype=np.uint8)


@pytest.mark.parametrize(("mode", "form"), [("I;16", "PNG"), ("I;16B", "TIFF"), ("I;16", "TIFF")])
def test_grey_of_sixteen_bits_is_scaled(mode: str, form: str) -> None:
    values = GREY.astype(np.uint16) * 257
    picture = Image.frombytes(mode, (9, 6), values.astype(">u2" if mode == "I;16B" else "<u2").tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, form)
    with Image.open(buffer) as opened:
        assert opened.mode == mode
        assert np.array_equal(rgb_pixels(opened, name="deep"), np.repeat(GREY[:, :, None], 3, axis=2))


def test_scaling_rounds_to_the_nearest() -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    pixels = rgb_pixels(Image.fromarray(values), name="deep")
    assert np.array_equal(pixels[..., 0], np.rint(values / 257).astype(np.uint8))


@pytest.mark.parametrize("mode", ["I", "F"])
def test_grey_of_unknown_white_is_refused(mode: str) -> None:
    with pytest.raises(FacekitError, match=f"deep.tif: the photo's mode {mode} is not supported"):
        rgb_pixels(Image.fromarray(GREY).convert(mode), name="deep.tif")


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_image_is_not_turned_twice(form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.fromarray(GREY).convert("RGB").save(buffer, form, exif=exif)
    with Image.open(buffer) as opened:
        once = upright(opened)
        assert np.array_equal(np.asarray(once), np.asarray(ImageOps.exif_transpose(opened)))
    assert np.array_equal(np.asarray(upright(once)), np.asarray(once))
