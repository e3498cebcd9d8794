"""A hundred real photos are edited by one script from the command line, a damaged one among them.

``pytest -m slow plugins/facekit-studio/tests/test_hundred_photos.py``; needs real CelebAMask-HQ photos.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from facekit.data.geometry import resize_mask
from facekit.inference import read_provenance
from facekit.interfaces import DatasetContext
from facekit.registry import load_registry
from facekit_studio.editing.compositing import FEATHER
from facekit_studio.editing.script import EditContext, apply_script, read_script

Facekit = Callable[..., Any]

SIZE = 64
FIRST, COUNT = 400, 100
SCRIPT = """\
facekit_edit: 1
name: surprised in glasses
operations:
  - {do: open_mouth, amount: 0.6}
  - {do: raise_brows, amount: 0.4}
  - {do: add_glasses, shape: round}
"""
RECIPE = """\
facekit: 1
extends: sft_pix2pixhd
data: {{use: celebamask_hq, root: '{root}', size: {size}}}
model: {{generator: {{filters: 8, blocks: 1}}, discriminator: {{filters: 8}}}}
train: {{steps: 12, checkpoint_every: 12, sample_every: 12, evaluate_every: null, samples: 2, device: cpu}}
"""


@pytest.fixture(scope="module")
def hundred(real_faces: Path, facekit: Facekit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained ``run``, the script, and ``photos`` with their ``masks``; one photo is cut off."""
    folder = tmp_path_factory.mktemp("hundred")
    for name in ("photos", "masks"):
        (folder / name).mkdir()
    registry = load_registry()
    spec = registry.find("dataset", "celebamask_hq").spec
    faces = spec.build(spec.options(root=str(real_faces)), DatasetContext(registry.label_maps))
    rows = {key: row for row, key in enumerate(faces.keys)}
    for number in range(FIRST, FIRST + COUNT):
        shutil.copy(real_faces / "CelebA-HQ-img" / f"{number}.jpg", folder / "photos")
        mask = faces.read(rows[str(number)], size=512).mask
        Image.fromarray(mask).save(folder / "masks" / f"{number}.png")
    whole = (folder / "photos" / f"{FIRST}.jpg").read_bytes()
    (folder / "photos" / "damaged.jpg").write_bytes(whole[: len(whole) // 3])
    shutil.copy(folder / "masks" / f"{FIRST}.png", folder / "masks" / "damaged.png")
    (folder / "script.yaml").write_text(SCRIPT, encoding="utf-8")
    (folder / "recipe.yaml").write_text(RECIPE.format(root=real_faces, size=SIZE), encoding="utf-8")
    trained = facekit("run", "recipe.yaml", "--out", "run", cwd=folder)
    assert trained.code == 0, trained.err
    return folder


@pytest.mark.slow
def test_none_is_lost_and_nothing_else_is_touched(facekit: Facekit, hundred: Path) -> None:
    arguments = ("edit", "run", "photos", "--mask", "masks", "--script", "script.yaml", "-o", "edited")
    done = facekit(*arguments, "--json", cwd=hundred)
    assert done.code == 2, done.err
    assert "damaged.jpg" in done.err + done.out
    results = sorted((hundred / "edited").glob("*.png"), key=lambda path: int(path.stem))
    assert [path.stem for path in results] == [str(number) for number in range(FIRST, FIRST + COUNT)]

    for path in results:
        photo = np.asarray(Image.open(hundred / "photos" / f"{path.stem}.jpg").convert("RGB"))
        edited = np.asarray(Image.open(path))
        assert edited.shape == photo.shape
        record = read_provenance(path)
        assert record is not None
        assert record["synthetic"] is True
        differs = (edited != photo).any(axis=-1)
        assert differs.any(), path.stem
        # What may differ follows from the script alone: where it changes the mask, and the margin around that.
        reach = _reach(hundred, path.stem, photo.shape[0])
        assert not (differs & ~reach).any(), path.stem
        assert reach.mean() < 0.6, path.stem

    again = facekit(*arguments, "--json", cwd=hundred)
    states = [item["outcome"] for item in json.loads(again.out)]
    assert (states.count("skipped"), states.count("failed")) == (COUNT, 1)


def _reach(folder: Path, stem: str, side: int) -> np.ndarray:
    """Return the pixels of a photo that the script may change."""
    label_map = load_registry().label_maps["celebamask_hq"]
    mask = resize_mask(np.asarray(Image.open(folder / "masks" / f"{stem}.png")), SIZE)
    script = read_script(folder / "script.yaml", label_map=label_map)
    changed = apply_script(script, mask, EditContext(label_map)) != mask
    distance = ndimage.distance_transform_edt(~np.kron(changed, np.ones((side // SIZE, side // SIZE), dtype=bool)))
    # A pixel of the mask is several of the photo, and the margin is measured between their middles.
    return np.asarray(distance <= FEATHER * side + 2 * side // SIZE)
