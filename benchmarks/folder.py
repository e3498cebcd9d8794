"""Images a second of ``generate_folder`` from files to files, with networks that answer at once and with small ones.

    python -m benchmarks.folder --size 512 --count 64 --photos data/photos

Networks that answer at once stand for a fast GPU: what is left is reading, hashing, and encoding pictures.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.inference import build
from benchmarks.subjects import Case
from facekit.inference import FacePipeline, generate_folder
from facekit.interfaces import Condition, Generated

MASKS = 19


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the images a second, as JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--photos", type=Path, help="a folder of photos; by default they are drawn")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "run").mkdir()
        pipeline = build(Case(chosen.size, 1, filters=4, device=chosen.device), folder / "run")[0]
        paths = write_pictures(folder, chosen.photos, size=chosen.size, count=chosen.count)
        small = measure(pipeline, paths, folder / "out", rounds=chosen.rounds)
        pipeline.networks = answering_at_once()  # type: ignore[assignment]
        document = {
            "size": chosen.size,
            "images": chosen.count,
            "threads_of_torch": torch.get_num_threads(),
            "images_a_second_at_once": measure(pipeline, paths, folder / "out", rounds=chosen.rounds),
            "images_a_second_small_networks": small,
            "bytes_an_image": sum(file.stat().st_size for file in (folder / "out").iterdir()) / chosen.count,
        }
    print(json.dumps(document))


def write_pictures(folder: Path, photos: Path | None, *, size: int, count: int) -> dict[str, Path]:
    """Write masks, photos and the photos' masks into three folders."""
    random = np.random.default_rng(0)
    found = sorted(file for file in photos.iterdir() if file.suffix in (".jpg", ".png")) if photos else []
    paths = {name: folder / name for name in ("mask", "reference", "reference_mask")}
    for path in paths.values():
        path.mkdir()
    for number in range(count):
        for name in ("mask", "reference_mask"):
            blocks = random.integers(0, MASKS, (16, 16), dtype=np.uint8)
            mask = Image.fromarray(blocks).resize((size, size), Image.Resampling.NEAREST)
            mask.save(paths[name] / f"{number:04d}.png")
        coarse = random.integers(0, 256, (size // 8, size // 8, 3), dtype=np.uint8)
        photo = Image.open(found[number % len(found)]).convert("RGB") if found else Image.fromarray(coarse)
        photo.resize((size, size), Image.Resampling.BICUBIC).save(paths["reference"] / f"{number:04d}.jpg", quality=92)
    return paths


def answering_at_once() -> SimpleNamespace:
    """Return what stands in for networks: the image is the reference."""

    def sample(condition: Condition, style: object = None) -> Generated:
        assert condition.reference is not None
        return Generated(condition.reference.image)

    return SimpleNamespace(gives_styles=False, sample=sample)


def measure(pipeline: FacePipeline, paths: dict[str, Path], out: Path, *, rounds: int) -> float:
    """Return the most images a second of some rounds, each of which writes all images anew."""
    seconds = []
    for _ in range(rounds):
        before = time.perf_counter()
        arguments: dict[str, Any] = {**paths, "output": out, "overwrite": True}
        result = generate_folder(pipeline, **arguments)
        seconds.append(time.perf_counter() - before)
        assert result.exit_code == 0
    return len(result.items) / min(seconds)


if __name__ == "__main__":
    main()
