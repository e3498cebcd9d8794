"""Small data sets in the layouts the plugin reads, drawn by the tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facekit.interfaces import DatasetContext, LabelMap
from facekit_datasets.celebamask_hq import CelebAMaskHQOptions
from facekit_datasets.celebamask_hq import create as create_celebamask_hq
from facekit_datasets.image_mask_folder import ImageMaskFolderOptions
from facekit_datasets.image_mask_folder import create as create_image_mask_folder
from facekit_datasets.label_maps import CELEBAMASK_HQ

CONTEXT = DatasetContext({CELEBAMASK_HQ.name: CELEBAMASK_HQ})


def photo(seed: int, size: tuple[int, int] = (48, 48)) -> Image.Image:
    """A smooth random photo (width, height)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def part(*boxes: tuple[int, int, int, int], size: int = 24) -> Image.Image:
    """The annotation of a part: 255 in boxes (left, top, right, bottom), else 0, in RGB as the authors write it."""
    mask = np.zeros((size, size, 3), np.uint8)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = 255
    return Image.fromarray(mask)


def write_celebamask_hq(root: Path, numbers: list[int]) -> Path:
    """Write the official layout: photos of 48 pixels, parts of 24; skin, hair over its top, the eyes."""
    (root / "CelebA-HQ-img").mkdir(parents=True)
    for number in numbers:
        photo(number).save(root / "CelebA-HQ-img" / f"{number}.jpg", quality=95)
        folder = root / "CelebAMask-HQ-mask-anno" / str(number // 2000)
        folder.mkdir(parents=True, exist_ok=True)
        part((4, 4, 20, 20)).save(folder / f"{number:05d}_skin.png")
        part((4, 2, 20, 8)).save(folder / f"{number:05d}_hair.png")
        part((14, 10, 17, 12)).save(folder / f"{number:05d}_l_eye.png")
        part((7, 10, 10, 12)).save(folder / f"{number:05d}_r_eye.png")
    lines = [str(len(numbers)), "Smiling Male Young"]
    lines += [f"{number}.jpg  {1 if number % 2 else -1} -1 {1 if number % 3 else -1}" for number in numbers]
    (root / "CelebAMask-HQ-attribute-anno.txt").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture
def celebamask_hq(tmp_path: Path) -> Path:
    """Photos 0..9 and 2000 (whose parts are in the second folder)."""
    return write_celebamask_hq(tmp_path / "CelebAMask-HQ", [*range(10), 2000])


@pytest.fixture
def open_celebamask_hq(celebamask_hq: Path) -> Callable:
    """Open it with a small split by index, or with other options."""

    def open_it(**changes):
        options = {"train": "0-5", "validation": "6,7", "test": "8-9", "extra": "2000", **changes}
        return create_celebamask_hq(CelebAMaskHQOptions(root=celebamask_hq, **options), CONTEXT)

    return open_it


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten photos of several formats with their masks, attributes and lists of splits."""
    root = tmp_path / "faces"
    (root / "photos").mkdir(parents=True)
    (root / "masks").mkdir()
    (root / "splits").mkdir()
    keys = [f"face{number}" for number in range(10)]
    for number, key in enumerate(keys):
        photo(number).save(root / "photos" / f"{key}{('.jpg', '.png', '.webp')[number % 3]}")
        ids = np.random.default_rng(number).integers(0, 19, (24, 24), dtype=np.uint8)
        mask = Image.fromarray(ids)
        if number % 2:
            mask = Image.frombytes("P", (24, 24), ids.tobytes())
            mask.putpalette(CELEBAMASK_HQ.colour_table().tobytes())
        mask.save(root / "masks" / f"{key}.png")
    rows = [f"{key},{number % 2},{int(number > 4)}" for number, key in enumerate(keys)]
    (root / "attributes.csv").write_text("\n".join(["key,Smiling,Young", *rows]) + "\n")
    (root / "splits" / "train.txt").write_text("\n".join(keys[:7]) + "\n\n")
    (root / "splits" / "test.txt").write_text("\n".join(keys[8:]))
    return root


@pytest.fixture
def open_folder(folder: Path) -> Callable:
    """Open it with given options."""

    def open_it(**options):
        label_maps = options.pop("label_maps", CONTEXT.label_maps)
        return create_image_mask_folder(ImageMaskFolderOptions(root=folder, **options), DatasetContext(label_maps))

    return open_it


@pytest.fixture
def label_map() -> LabelMap:
    return CELEBAMASK_HQ


@pytest.fixture
def make_photo() -> Callable[..., Image.Image]:
    return photo


@pytest.fixture
def make_part() -> Callable[..., Image.Image]:
    return part
