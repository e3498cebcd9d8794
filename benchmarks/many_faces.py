"""How long a packed set of many faces takes to open, and what a loader holds of it: ``many_faces COUNT``."""

from __future__ import annotations

import json
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from facekit.data.cache import prepare
from facekit.data.loader import FaceLoader
from facekit.data.store import PackedFaces
from facekit.interfaces import FaceSample, Finding
from facekit_datasets.label_maps import CELEBAMASK_HQ


class FlatFaces:
    """Grey pictures of 16 pixels: what is measured does not depend on what they show."""

    def __init__(self, count: int) -> None:
        self.keys: Sequence[str] = [f"{number}" for number in range(count)]
        self.label_map = CELEBAMASK_HQ
        self.attribute_names: tuple[str, ...] = ()

    def splits(self) -> dict[str, Sequence[int]]:
        """All are for training."""
        return {"train": range(len(self.keys))}

    def fingerprint(self) -> str:
        """The count says all."""
        return f"flat-{len(self.keys)}"

    def read(self, index: int, *, size: int | None = None) -> FaceSample:
        """Return one."""
        return FaceSample(np.full((16, 16, 3), index % 256, np.uint8), np.zeros((16, 16), np.uint8), None)

    def check(self, index: int) -> list[Finding]:
        """Nothing is wrong."""
        return []

    def check_all(self) -> list[Finding]:
        """Nothing is wrong."""
        return []


def main(arguments: Sequence[str] | None = None) -> None:
    """Pack the faces, open them again, and print seconds and bytes as JSON."""
    count = int((sys.argv[1:] if arguments is None else arguments)[0])
    with tempfile.TemporaryDirectory() as name:
        folder = prepare(FlatFaces(count), size=16, cache=Path(name), name="many", workers=1).folder
        start = time.perf_counter()
        packed = PackedFaces.open(folder)
        opened = time.perf_counter() - start
        tracemalloc.start()
        again = PackedFaces.open(folder)
        loader = FaceLoader(again, again.rows("train"), batch=4, seed=0, workers=0)
        loader.batch(0)
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    print(json.dumps({"pictures": len(packed), "seconds_to_open": opened, "bytes_a_picture": held / count}))


if __name__ == "__main__":
    main()
