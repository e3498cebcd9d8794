"""Decoding pictures of strangers: whatever the bytes are, a picture or a sentence comes out."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from facekit.interfaces import FacekitError
from facekit.interfaces.image_files import rgb_pixels, upright
from facekit_studio.web.requests import decoded

BLOCKS = np.kron(np.random.default_rng(0).integers(0, 256, (8, 6, 3), dtype=np.uint8), np.ones((5, 5, 1), np.uint8))


def saved(kind: str, orientation: int = 6, **options: object) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = "a description"
    exif[0x8769] = {0x9286: b"abc"}
    buffer = io.BytesIO()
    Image.fromarray(BLOCKS).save(buffer, kind, exif=exif.tobytes(), **options)
    return buffer.getvalue()


WHOLE = [saved("JPEG"), saved("PNG"), saved("WEBP"), saved("WEBP", lossless=True)]


def with_checksums(content: bytes) -> bytes:
    """A damaged PNG whose checksums are right, so that its chunks are read."""
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        return content
    result, place = content[:8], 8
    while place + 12 <= len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        if place + 12 + length > len(content):
            break
        chunk = content[place + 4 : place + 8 + length]
        result += content[place : place + 4] + chunk + struct.pack(">I", zlib.crc32(chunk))
        place += 12 + length
    return result + content[place:]


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of damaged entries
@settings(max_examples=1000, deadline=None)
@given(st.sampled_from(WHOLE), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6))
def test_damaged_files_are_pictures_or_refused(content: bytes, changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(content)
    for place, value in changes:
        damaged[place % len(damaged)] = value
    try:
        pixels = rgb_pixels(decoded(with_checksums(bytes(damaged)), what="photo"), name="photo")
    except FacekitError:
        return
    assert pixels.dtype == np.uint8
    assert pixels.shape[2] == 3


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=300), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\x00\x00\x00\x00WEBP"])
)
def test_bytes_are_refused(content: bytes, head: bytes) -> None:
    with pytest.raises(FacekitError):
        decoded(head + content, what="photo")


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_pictures_are_turned_as_cameras_say(kind: str, orientation: int) -> None:
    picture = decoded(saved(kind, orientation), what="photo")
    assert np.array_equal(np.asarray(upright(picture)), np.asarray(ImageOps.exif_transpose(picture)))


def test_damaged_entries_do_not_hide_a_picture() -> None:
    content = saved("PNG")
    place = content.index(b"eXIf") + 4
    picture = decoded(with_checksums(content[:place] + b"Ml" + content[place + 2 :]), what="photo")
    with pytest.raises(SyntaxError):
        ImageOps.exif_transpose(picture)
    assert np.array_equal(rgb_pixels(picture, name="photo"), BLOCKS)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_every_mode_becomes_a_photo(mode: str) -> None:
    buffer = io.BytesIO()
    picture = Image.fromarray(BLOCKS[..., 0].astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(BLOCKS)
    (picture if mode == "I;16" else picture.convert(mode)).save(buffer, "PNG")
    pixels = rgb_pixels(decoded(buffer.getvalue(), what="photo"), name="photo")
    assert pixels.shape == BLOCKS.shape
    if mode in ("L", "LA", "RGBA"):
        assert np.array_equal(pixels, np.asarray(Image.fromarray(BLOCKS).convert(mode).convert("RGB")))
    elif mode == "I;16":
        assert np.array_equal(pixels, np.repeat(BLOCKS[..., :1], 3, axis=2))  # no longer clipped to white
