"""The shipped recipe, as a user runs it: a folder of photos without masks, then faces from noise."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

SMALL = {
    "data.size": "16",
    "model.generator.latent": "8",
    "model.discriminator.latent": "8",
    "train.steps": "2",
    "train.batch": "2",
    "train.device": "cpu",
    "train.samples": "2",
}


def _facekit(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "facekit", *words], cwd=folder, capture_output=True, text=True, check=False
    )


def test_it_runs_from_a_folder_of_photos_and_generates_by_seed(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for index in range(20):
        pixels = random.integers(0, 256, (3, 3, 3)).astype(np.uint8)
        Image.fromarray(pixels).resize((24, 24), Image.Resampling.BICUBIC).save(tmp_path / f"photos/{index}.png")
    sets = [part for name, value in SMALL.items() for part in ("--set", f"{name}={value}")]
    run = ("run", "msg_gan", "--out", "run", "--set", "data.root=photos", "--set", f"data.cache={tmp_path / 'cache'}")
    trained = _facekit(tmp_path, *run, *sets)
    assert trained.returncode == 0, trained.stderr
    assert "--count 16 --seed 0" in trained.stdout

    def faces(folder: str, seed: int) -> list[str]:
        made = _facekit(tmp_path, "generate", "run", "--count", "8", "--seed", str(seed), "-o", folder)
        assert made.returncode == 0, made.stderr
        files = sorted((tmp_path / folder).glob("*.png"))
        assert len(files) == 8
        return [hashlib.sha256(np.asarray(Image.open(file)).tobytes()).hexdigest() for file in files]

    first, again, other = faces("first", 1), faces("again", 1), faces("other", 2)
    assert first == again
    assert len({*first, *other}) == 16
    asked = _facekit(tmp_path, "generate", "run", "--mask", "photos/0.png", "-o", "x.png")
    assert asked.returncode == 2
    assert "mask" in asked.stderr
