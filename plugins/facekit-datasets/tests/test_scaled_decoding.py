"""JPEGs that are decoded at a fraction stay near their full decode, on real photos."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facekit.data.geometry import resize_photo
from facekit_datasets.pictures import read_photo

LEAST_DECIBELS = 50

WORST = (51, 100, 174, 437, 500, 693)


@pytest.fixture(scope="module")
def real_photos() -> list[Path]:
    """Real photos, by number, or skip."""
    places = [os.environ.get("FACEKIT_TEST_DATA"), str(Path(__file__).parents[4] / "shared" / "data")]
    for place in filter(None, places):
        folder = Path(place) / "celebamask_hq_mini" / "CelebA-HQ-img"
        if folder.is_dir():
            return sorted(folder.glob("*.jpg"), key=lambda file: int(file.stem))
    pytest.skip("needs real CelebAMask-HQ photos: set FACEKIT_TEST_DATA to the folder that holds celebamask_hq_mini")


def decibels(file: Path, size: int) -> float:
    """How near the photo decoded for a size comes to the photo decoded in full, both resized to it."""
    whole = resize_photo(read_photo(file), size).astype(np.float64)
    scaled = resize_photo(read_photo(file, size=size), size).astype(np.float64)
    error = float(np.square(whole - scaled).mean())
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


@pytest.mark.parametrize("fraction", [2, 4, 8])
def test_real_photos_keep_fifty_decibels(real_photos: list[Path], fraction: int) -> None:
    side = Image.open(real_photos[0]).size[0]
    size = side // fraction // 4  # the largest that is decoded at this fraction: the worst case
    assert read_photo(real_photos[0], size=size).shape[0] == side // fraction
    assert read_photo(real_photos[0], size=size + 1).shape[0] > side // fraction
    # Every sixth, and those that were the worst of 900 at one fraction or another.
    chosen = [*real_photos[::6], *(file for file in real_photos if int(file.stem) in WORST)]
    near = {file.name: decibels(file, size) for file in chosen}
    assert min(near.values()) >= LEAST_DECIBELS, min(near.items(), key=lambda item: item[1])
