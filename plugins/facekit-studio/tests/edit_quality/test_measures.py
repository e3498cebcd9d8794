from __future__ import annotations

import numpy as np
import pytest

from facekit.faces.colour import lab_colours
from facekit_studio.edit_quality.measures import (
    FEWEST,
    band_energy,
    changed_outside,
    crop,
    part_figures,
    seam,
    window_around,
)


def grain(seed: int, side: int = 64, deviation: float = 20) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(128, deviation, (side, side, 1))
    return np.clip(np.repeat(noise, 3, axis=2), 0, 255).astype(np.uint8)


def square(top: int, left: int, side: int, of: int = 64) -> np.ndarray:
    part = np.zeros((of, of), dtype=bool)
    part[top : top + side, left : left + side] = True
    return part


def test_a_flat_part_has_no_energy_and_grain_has_that_of_its_noise():
    flat, noisy = np.full((64, 64, 3), 90, dtype=np.uint8), grain(0)
    part = square(16, 16, 32)
    still = part_figures(flat, part, band_energy(flat))
    rough = part_figures(noisy, part, band_energy(noisy))
    assert still is not None
    assert rough is not None
    assert still.fine == pytest.approx(0, abs=1e-20)
    # White noise keeps 1 - 2 G(0) + sum(G^2) of its variance beside a Gaussian of one pixel: 0.76.
    assert rough.fine == pytest.approx(0.76 * (20 / 255) ** 2, rel=0.1)
    assert 0 < rough.coarse < rough.fine


def test_energy_is_that_of_the_texture_metric():
    texture = pytest.importorskip("facekit_metrics.texture", reason="this facekit-metrics measures no texture yet")
    from facekit_studio.edit_quality.plugin_metrics import to_tensor

    image = np.random.default_rng(4).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    assert band_energy(image) == pytest.approx(texture.band_energy(to_tensor(image[None])[0]).numpy(), abs=1e-7)


def test_the_outline_of_a_part_does_not_count():
    image = np.zeros((64, 64, 3), dtype=np.uint8)
    image[16:48, 16:48] = 200
    inside = square(16, 16, 32)
    figures = part_figures(image, inside, band_energy(image))
    assert figures is not None
    assert figures.lab == pytest.approx(lab_colours(np.array([200, 200, 200], dtype=np.uint8)))
    outline = inside & ~square(17, 17, 30)
    assert part_figures(image, outline, band_energy(image)) is None


def test_a_small_part_is_not_measured():
    image = grain(1)
    side = int(FEWEST**0.5) + 2
    assert part_figures(image, square(9, 9, side), band_energy(image)) is None
    assert part_figures(image, square(9, 9, side + 1), band_energy(image)) is not None


@pytest.mark.parametrize(
    ("colour", "expected"),
    [((255, 255, 255), (100, 0, 0)), ((255, 0, 0), (53.24, 80.09, 67.20)), ((0, 0, 0), (0, 0, 0))],
)
def test_lab_colours_are_the_published_ones(colour, expected):
    assert lab_colours(np.array(colour, dtype=np.uint8)) == pytest.approx(expected, abs=0.02)


def test_pixels_changed_outside_are_counted():
    photo = grain(2)
    touched = square(20, 20, 10)
    edited = photo.copy()
    edited[touched] = 0
    assert changed_outside(edited, photo, touched) == 0
    edited[0, :3] ^= 1
    assert changed_outside(edited, photo, touched) == 3


def test_a_seam_shows_and_no_edit_has_none():
    photo = np.full((64, 64, 3), 100, dtype=np.uint8)
    touched = square(20, 20, 20)
    assert seam(photo, photo, touched) == pytest.approx(0)
    edited = photo.copy()
    edited[touched] = 130
    assert seam(edited, photo, touched) == pytest.approx(30)
    assert seam(edited, photo, np.ones_like(touched)) is None


@pytest.mark.parametrize("place", [(0, 0), (30, 12), (54, 54)])
def test_a_window_lies_in_the_photo_and_holds_what_it_is_around(place):
    shown = square(*place, 10)
    box = window_around(shown)
    assert box.side == 15
    assert all(float(length).is_integer() for length in box), "whole pixels, as the windows of local edits"
    assert box.left >= 0
    assert box.left + box.side <= 64
    assert box.left <= place[1]
    assert box.left + box.side >= place[1] + 10
    assert crop(grain(3), box).shape == (128, 128, 3)
