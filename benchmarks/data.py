"""(c) Data: raw JPEG and PNG as a plain loader reads them, `data prepare`, the packed cache, and a set of 30,000."""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.measure import Timing, in_process, in_turns, ratio
from facekit.data.cache import prepare
from facekit.data.loader import FaceLoader
from facekit.data.store import PackedFaces
from facekit.registry import load_registry
from facekit_datasets.label_maps import PARTS

SIZE = 128


def plain_read(root: Path, number: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return photo and mask of one face as a plain loader reads them: whole files, with Pillow."""
    photo = Image.open(root / "CelebA-HQ-img" / f"{number}.jpg").convert("RGB").resize((size, size), Image.LANCZOS)
    mask = None
    for identity, part in enumerate(PARTS, start=1):
        file = root / "CelebAMask-HQ-mask-anno" / str(number // 2000) / f"{number:05d}_{part}.png"
        if not file.is_file():
            continue
        inside = np.asarray(Image.open(file).convert("L")) > 127
        if mask is None:
            mask = np.zeros(inside.shape, np.uint8)
        mask[inside] = identity
    assert mask is not None
    small = Image.fromarray(mask).resize((size, size), Image.NEAREST)
    return np.asarray(photo, np.float32) / 127.5 - 1, np.asarray(small)


def draw_raw_faces(root: Path, count: int, *, side: int = 512) -> None:
    """Write drawn faces in CelebAMask-HQ's layout, for machines without the real ones."""
    from facekit_datasets.synthetic import draw_face

    photos, parts = root / "CelebA-HQ-img", root / "CelebAMask-HQ-mask-anno" / "0"
    photos.mkdir(parents=True)
    parts.mkdir(parents=True)
    for number in range(count):
        face = draw_face(0, number, side)
        Image.fromarray(face.image).save(photos / f"{number}.jpg", quality=95)
        for identity, part in enumerate(PARTS, start=1):
            inside = face.mask == identity
            if inside.any():
                plane = np.repeat(inside[:, :, None], 3, axis=2).astype(np.uint8) * 255
                Image.fromarray(plane).save(parts / f"{number:05d}_{part}.png")


def measure(*, small: bool, rounds: int, faces: Path | None = None) -> dict[str, Any]:
    """Return how many pictures a second each way gives."""
    # Enough that `data prepare` finds several processes worth their start.
    count = 3 if small else 600
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = faces
        if root is None:
            root = folder / "raw"
            draw_raw_faces(root, count)
        dataset = open_raw(root, count)
        loops: dict[str, list[float]] = {"plain": [], "prepare": []}
        packed: PackedFaces | None = None
        for index in range(rounds + 1):
            start = time.perf_counter()
            for number in range(count):
                plain_read(root, number, SIZE)
            middle = time.perf_counter()
            packed = prepare(dataset, size=SIZE, cache=folder / f"cache{index}", name="benchmark")
            if index:
                loops["plain"].append(middle - start)
                loops["prepare"].append(time.perf_counter() - middle)
        assert packed is not None
        times = {name: Timing(tuple(seconds)) for name, seconds in loops.items()}
        batches = packed_batches(packed)
        cached = in_turns({"packed": lambda: [next(batches) for _ in range(4)]}, rounds=max(3, rounds))["packed"]
        plain_rate, packed_rate = count / times["plain"].median, 4 * 16 / cached.median
        psnr = scaled_decoding(root, count)
        large = in_process("benchmarks.many_faces", str(600 if small else 30_000), here=small)
    return {
        "pictures": count,
        "size": SIZE,
        "real_photos": faces is not None,
        "plain_a_second": plain_rate,
        "prepare_a_second": count / times["prepare"].median,
        "prepare_times_as_fast": ratio(times["plain"], times["prepare"]),
        "packed_a_second": packed_rate,
        "packed_times_as_fast": packed_rate / plain_rate,
        "scaled_decoding_decibels": psnr,
        "large_set": large,
    }


def open_raw(root: Path, count: int) -> Any:
    """Return the raw faces as facekit's dataset."""
    from facekit.interfaces import DatasetContext

    registry = load_registry()
    spec = registry.find("dataset", "celebamask_hq").spec
    options = spec.options(root=root, split="by_index", train=f"0-{count - 1}", validation="", test="", extra="")
    return spec.build(options, DatasetContext(registry.label_maps))


def packed_batches(packed: PackedFaces) -> Iterator[Any]:
    """Yield batches of 16 from the packed cache, on one thread."""
    loader = FaceLoader(packed, packed.rows("train"), batch=16, seed=0, mirror=True, workers=0)
    step = 0
    while True:
        yield loader.batch(step)
        step += 1


def scaled_decoding(root: Path, count: int) -> dict[str, float]:
    """Return how near photos decoded at a fraction come to photos decoded in full, after the resize, in decibels."""
    from facekit.data.geometry import resize_photo
    from facekit_datasets.pictures import read_photo

    decibels = []
    for number in range(count):
        file = root / "CelebA-HQ-img" / f"{number}.jpg"
        whole = resize_photo(read_photo(file), SIZE).astype(np.float64)
        scaled = resize_photo(read_photo(file, size=SIZE), SIZE).astype(np.float64)
        error = float(np.square(whole - scaled).mean())
        decibels.append(math.inf if error == 0 else 10 * math.log10(255**2 / error))
    return {"smallest": min(decibels), "median": float(np.median(decibels))}


def main() -> None:
    """Print the measurements as JSON."""
    print(json.dumps(measure(small=False, rounds=3)))


if __name__ == "__main__":
    main()
