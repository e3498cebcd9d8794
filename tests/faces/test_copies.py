"""Copies of photos in other forms."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from facekit.faces.copies import CLOSE_PATTERN, KnownPhotos, pattern_distances, thumbnail


def encoded(image: Image.Image) -> Image.Image:
    target = io.BytesIO()
    image.save(target, "JPEG", quality=30)
    return Image.open(target).convert("RGB")


def levels(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Image.Image], Image.Image]:
    def changed(image: Image.Image) -> Image.Image:
        return Image.fromarray(np.clip(change(np.asarray(image).astype(float)), 0, 255).astype(np.uint8))

    return changed


FORMS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG": encoded,
    "smaller": lambda image: image.resize((64, 64), Image.Resampling.LANCZOS),
    "gamma": levels(lambda pixels: 255 * (pixels / 255) ** 1.6),
    "brighter": levels(lambda pixels: pixels * 0.9 + 25),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.6),
    "less contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.6),
    "warm": levels(lambda pixels: pixels * np.array([1.15, 1.0, 0.8])),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "cropped": lambda image: image.crop((1, 0, 128, 127)).resize((128, 128), Image.Resampling.BICUBIC),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "mirrored, warm and cropped": lambda image: FORMS["mirrored"](FORMS["warm"](FORMS["cropped"](image))),
}


def find_copies(ours: np.ndarray, theirs: np.ndarray) -> list[tuple[int, int]]:
    return list(KnownPhotos(theirs).copies(ours))


def small(images: list[Image.Image]) -> np.ndarray:
    return np.stack([thumbnail(np.asarray(image)) for image in images])


@pytest.fixture(scope="module")
def drawn() -> list[Image.Image]:
    """Drawn faces: more alike than photos are."""
    from facekit_datasets.synthetic import draw_face

    return [Image.fromarray(draw_face(3, index, 128).image) for index in range(60)]


@pytest.mark.parametrize("form", FORMS)
def test_a_photo_is_found_in_another_form_and_no_other(form, drawn):
    changed = small([FORMS[form](image) for image in drawn])
    assert find_copies(changed, small(drawn)) == [(index, index) for index in range(len(drawn))]


def test_levels_alone_do_not_find_other_tones(drawn):
    """A negative control: what was compared before, and why patterns are."""
    before, after = small(drawn), small([FORMS["gamma"](image) for image in drawn])
    apart = np.abs(before.astype(float) - after).mean((1, 2, 3))
    assert (apart > 12).mean() > 0.8


def test_a_photo_without_any_pattern_is_like_its_own_colour_alone():
    flat = np.full((3, 32, 32, 3), 100, np.uint8)
    flat[1:] += np.array([1, 90], np.uint8)[:, None, None, None]
    assert find_copies(flat[:1], flat) == [(0, 0), (0, 1)]
    assert find_copies(flat[:0], flat) == find_copies(flat, flat[:0]) == []


def test_photos_of_many_chunks_are_found(drawn, monkeypatch):
    monkeypatch.setattr("facekit.faces.copies._CHUNK", 7)
    photos = small(drawn[:20])
    assert find_copies(photos[::-1], photos) == [(index, 19 - index) for index in range(20)]


def test_the_middle_square_is_compared():
    wide = np.zeros((40, 80, 3), np.uint8)
    wide[:, 20:60] = np.random.default_rng(0).integers(0, 256, (40, 40, 3))
    assert np.array_equal(thumbnail(wide), thumbnail(wide[:, 20:60]))


def test_real_photos(real_faces):
    """Every ninth photo: different ones are farther apart than copies by half."""
    photos = [
        Image.open(real_faces / "CelebA-HQ-img" / f"{number}.jpg").resize((128, 128)) for number in range(0, 900, 9)
    ]
    known = small(photos)
    apart = pattern_distances(known, known)
    assert apart[~np.eye(len(known), dtype=bool)].min() > 1.5 * CLOSE_PATTERN
    for form in ("gamma", "warm", "cropped", "mirrored, warm and cropped"):
        changed = small([FORMS[form](photo) for photo in photos])
        assert find_copies(changed, known) == [(index, index) for index in range(len(known))]
