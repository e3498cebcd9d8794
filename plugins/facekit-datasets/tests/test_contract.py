"""The promises of the interfaces, kept by every dataset of this plugin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from facekit.testing import DatasetContract
from facekit_datasets.plugin import facekit_components, facekit_label_maps

SPECS = {spec.name: spec for spec in facekit_components()}


class TestSyntheticFaces(DatasetContract):
    spec = SPECS["synthetic_faces"]
    options = {"train": 6, "validation": 2, "test": 2}
    label_maps = tuple(facekit_label_maps())
    other_options = {"seed": 5}


class TestImageMaskFolder(DatasetContract):
    spec = SPECS["image_mask_folder"]
    label_maps = tuple(facekit_label_maps())

    def make_options(self, folder: Path) -> dict[str, Any]:
        random = np.random.default_rng(0)
        for name in ("photos", "masks"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(6):
            photo = random.integers(0, 256, (40, 40, 3), dtype=np.uint8)
            mask = random.integers(0, 19, (40, 40), dtype=np.uint8)
            if not (folder / "photos" / f"{number}.png").exists():
                Image.fromarray(photo).save(folder / "photos" / f"{number}.png")
                Image.fromarray(mask).save(folder / "masks" / f"{number}.png")
        return {"root": str(folder), "label_map": "celebamask_hq"}

    def change_data(self, folder: Path) -> None:
        Image.new("RGB", (44, 44), (9, 9, 9)).save(folder / "photos" / "1.png")
        Image.new("L", (44, 44), 3).save(folder / "masks" / "1.png")

    def damage(self, folder: Path) -> int:
        (folder / "photos" / "2.png").write_bytes(b"no picture at all")
        return 2


class TestImageFolder(DatasetContract):
    spec = SPECS["image_folder"]

    def make_options(self, folder: Path) -> dict[str, Any]:
        (folder / "more").mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(0)
        for number in range(6):
            photo = random.integers(0, 256, (40, 40, 3), dtype=np.uint8)
            file = folder / ("more" if number % 2 else "") / f"{number}.png"
            if not file.exists():
                Image.fromarray(photo).save(file)
        return {"root": str(folder)}

    def change_data(self, folder: Path) -> None:
        Image.new("RGB", (44, 44), (9, 9, 9)).save(folder / "more" / "1.png")

    def damage(self, folder: Path) -> int:
        (folder / "2.png").write_bytes(b"no picture at all")
        return 1  # 0, 2, 4, more/1, more/3, more/5


class TestCelebAMaskHQ(DatasetContract):
    spec = SPECS["celebamask_hq"]
    label_maps = tuple(facekit_label_maps())

    def make_options(self, folder: Path) -> dict[str, Any]:
        photos, parts = folder / "CelebA-HQ-img", folder / "CelebAMask-HQ-mask-anno" / "0"
        if not photos.exists():
            photos.mkdir(parents=True)
            parts.mkdir(parents=True)
            random = np.random.default_rng(0)
            rows = [f"{number}.jpg  {'1' if number % 2 else '-1'} -1" for number in range(6)]
            table = "\n".join(["6", "Smiling Eyeglasses", *rows])
            (folder / "CelebAMask-HQ-attribute-anno.txt").write_text(table + "\n")
            for number in range(6):
                photo = Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8)).resize((64, 64))
                photo.save(photos / f"{number}.jpg", quality=95)
                for index, part in enumerate(("skin", "hair", "nose")):
                    plane = np.zeros((32, 32, 3), np.uint8)
                    plane[8 * index : 8 * index + 12, 4:28] = 255
                    Image.fromarray(plane).save(parts / f"{number:05d}_{part}.png")
        return {"root": str(folder), "train": "0-3", "validation": "4", "test": "5", "extra": ""}

    def change_data(self, folder: Path) -> None:
        Image.new("RGB", (64, 64), (9, 9, 9)).save(folder / "CelebA-HQ-img" / "1.jpg", quality=50)

    def damage(self, folder: Path) -> int:
        (folder / "CelebA-HQ-img" / "2.jpg").write_bytes(b"no picture at all")
        return 2


class TestCelebAAttributes(DatasetContract):
    spec = SPECS["celeba_attributes"]

    def make_options(self, folder: Path) -> dict[str, Any]:
        photos = folder / "img_align_celeba"
        if not photos.exists():
            photos.mkdir(parents=True)
            random = np.random.default_rng(0)
            names = [f"{number:06d}.jpg" for number in range(1, 13)]
            rows = [f"{name}  {'1' if number % 2 else '-1'} -1" for number, name in enumerate(names)]
            (folder / "list_attr_celeba.txt").write_text("\n".join(["12", "Smiling Eyeglasses", *rows]) + "\n")
            people = [f"{name} {number}" for number, name in enumerate(names)]
            (folder / "identity_CelebA.txt").write_text("\n".join(people) + "\n")
            for name in names:
                photo = Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8)).resize((64, 64))
                photo.save(photos / name, quality=95)
        return {"root": str(folder), "validation": 0.4}

    def change_data(self, folder: Path) -> None:
        Image.new("RGB", (64, 64), (9, 9, 9)).save(folder / "img_align_celeba" / "000002.jpg", quality=50)

    def damage(self, folder: Path) -> int:
        (folder / "img_align_celeba" / "000003.jpg").write_bytes(b"no picture at all")
        return 2
