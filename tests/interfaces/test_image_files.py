"""Photos and masks of every mode and turn are read as a viewer shows them, or refused by name."""

from __future__ import annotations

import io
import os
import socket
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image, ImageOps

from facekit.interfaces import FacekitError, image_files
from facekit.interfaces.files import open_regular
from facekit.interfaces.image_files import FORMATS, ImageFileError, read_image, rgb_pixels, upright

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


def saved(form: str, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(GREY).convert(mode).save(buffer, form)
    return buffer.getvalue()


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_of_the_list_is_read(form: str, tmp_path: Path) -> None:
    file = tmp_path / f"face{FORMATS[form][0]}"
    file.write_bytes(saved(form))
    image = read_image(file)
    assert (image.format, image.size, image.filename) == (form, (9, 6), str(file))
    assert read_image(saved(form)).format == form


@pytest.mark.parametrize("form", ["EPS", "AVIF", "DDS", "ICO", "PPM", "TGA", "PDF", "SGI"])
def test_other_formats_are_refused_whatever_they_are_called(form: str, tmp_path: Path) -> None:
    if form == "AVIF" and ".avif" not in Image.registered_extensions():
        pytest.skip("this Pillow has no AVIF")
    file = tmp_path / "face.png"
    file.write_bytes(saved(form))
    with pytest.raises(ImageFileError, match="not a picture") as failure:
        read_image(file)
    assert failure.value.reason == "format"
    assert "PNG, JPEG, WEBP, BMP, TIFF, GIF" in str(failure.value.remedy)


def test_ghostscript_is_never_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[object] = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *arguments, **options: called.append(arguments))
    file = tmp_path / "face.png"
    file.write_bytes(saved("EPS"))
    with pytest.raises(FacekitError):
        read_image(file)
    assert not called


@pytest.mark.parametrize(
    "error", [NotImplementedError("DDS"), RuntimeError("AVIF"), AssertionError(), struct.error("short"), MemoryError()]
)
def test_whatever_a_decoder_raises_is_a_sentence(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(image: object) -> None:
        raise error

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", load)
    file = tmp_path / "face.png"
    file.write_bytes(saved("PNG"))
    with pytest.raises(ImageFileError, match=r"face\.png: the picture cannot be read: \w+") as failure:
        read_image(file)
    assert failure.value.reason == "damaged"


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [8_001, 10_000, 13_000, 30_000, 2**31 - 1])
def test_the_limit_of_pixels_is_one_sentence(side: int, tmp_path: Path) -> None:
    file = tmp_path / "large.png"
    file.write_bytes(png_header(side, side))
    with pytest.raises(ImageFileError, match="64,000,000") as failure:
        read_image(file)
    assert failure.value.reason == "size"
    assert failure.value.remedy == "make it smaller first"


def test_the_limit_is_read_at_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "MOST_PIXELS", 53)
    with pytest.raises(ImageFileError, match="9x6 pixels, and 53 in all are the most"):
        read_image(saved("PNG"))
    assert read_image(saved("PNG"), most_pixels=54).size == (9, 6)


def test_a_fifo_a_socket_and_a_device_are_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    os.mkfifo("fifo.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.png")
        for file, kind in {"fifo.png": "a FIFO", "socket.png": "a socket", "/dev/zero": "a device"}.items():
            with pytest.raises(ImageFileError, match=f"{file}: the picture cannot be read: this is {kind}"):
                read_image(file)
            with pytest.raises(OSError, match=f"this is {kind}, not a regular file"):
                open_regular(file)
    with pytest.raises(ImageFileError, match="cannot be read: Is a directory"):
        read_image(tmp_path)


@pytest.mark.parametrize("name", ["a\0b.png", "a\ud800.png", "a" * 5000 + ".png"])
def test_paths_that_cannot_be_are_told(name: str) -> None:
    with pytest.raises(ImageFileError):
        read_image(name)


def odd_files() -> dict[str, bytes]:
    """Sound images of which Pillow says something on stderr: a palette with bytes of transparency, broken entries."""
    palette = Image.new("P", (8, 8))
    palette.putpalette(bytes(range(48)))
    plain = io.BytesIO()
    Image.new("RGB", (8, 8)).save(plain, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x09" + b"\x01\x12" * 3)
    clear = io.BytesIO()
    palette.save(clear, "PNG", transparency=bytes([0, 128, 255, 7]))
    tags = io.BytesIO()
    Image.new("L", (8, 8)).save(tags, "TIFF")
    content = bytearray(tags.getvalue())
    place = int.from_bytes(content[4:8], "little")
    for entry in range(int.from_bytes(content[place : place + 2], "little")):
        start = place + 2 + 12 * entry
        if int.from_bytes(content[start : start + 2], "little") in (262, 284):  # one value each, and here two
            content[start + 4 : start + 8] = (2).to_bytes(4, "little")
    return {"exif": plain.getvalue(), "palette": clear.getvalue(), "tiff": bytes(content)}


@pytest.mark.parametrize("name", ["exif", "palette", "tiff"])
def test_what_pillow_warns_of_in_sound_images_is_not_printed(name: str) -> None:
    content = odd_files()[name]
    with warnings.catch_warnings(record=True) as plain:
        warnings.simplefilter("always")
        with Image.open(io.BytesIO(content)) as image:
            image.getexif()
            image.convert("RGB")
    assert plain, "Pillow says nothing of this file any more"
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert rgb_pixels(read_image(content), name=name).shape == (8, 8, 3)
    assert not told


def test_the_interfaces_start_without_pillow() -> None:
    code = "import sys, facekit.interfaces; sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
