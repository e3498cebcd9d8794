"""Scripts that give single regions the look of other photos."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tests.inference import conftest as inference_tests

import facekit
from facekit.inference import FacePipeline
from facekit.interfaces import FacekitError
from facekit.registry import load_registry
from facekit_studio.editing import PhotoEditor
from facekit_studio.editing.alignment import Placement
from facekit_studio.editing.open_face import EditedFace
from facekit_studio.editing.script import parse_script, write_script
from facekit_studio.web.faces import Face as StudioFace
from facekit_studio.web.looks import WantedBlend, WantedLook
from facekit_studio.web.runs import StudioRun

PLUGIN = Path(inference_tests.__file__).parent / "plugin" / "noise_plugin.py"
SIZE, HALF = 32, 16
SKIN, HAIR = 1, load_registry(PLUGIN).label_maps["celebamask_hq"].id_of("hair")
RECIPE = """
facekit: 1
name: plain
data: {use: synthetic_faces, size: 32, train: 6, validation: 2, test: 2}
model: {MODEL}
losses: {generator: [{use: l1}]}
train: {steps: 1, batch: 2, precision: fp32, device: cpu}
"""
REGIONAL = "style_encoder: {use: noise/region_encoder}, generator: {use: noise/from_regions}"


def pipeline_of(folder: Path) -> FacePipeline:
    """Return a model that gives every region the mean colour that it has in the reference."""
    registry = load_registry(PLUGIN)
    (folder / "recipe.yaml").write_text(RECIPE.replace("MODEL", REGIONAL))
    weights = {"style_encoder.gain": torch.tensor(1.0), "generator.gain": torch.tensor(0.9)}
    save_file(weights, folder / "weights.safetensors")
    return facekit.load(folder / "weights.safetensors", recipe=folder / "recipe.yaml", registry=registry, device="cpu")


class Face:
    """A grey face with hair on its right half, and beside it files of a red and of a green one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.editor = PhotoEditor(pipeline_of(folder))
        ids = np.full((SIZE, SIZE), SKIN, dtype=np.uint8)
        ids[:, HALF:] = HAIR
        Image.fromarray(ids.T).save(folder / "mask.png")
        Image.fromarray(np.full((SIZE, SIZE), SKIN, dtype=np.uint8)).save(folder / "bald.png")
        for name, colour in {"red": (200, 40, 40), "green": (40, 200, 40)}.items():
            Image.new("RGB", (SIZE, SIZE), colour).save(folder / f"{name}.png")
        grey = np.full((SIZE, SIZE, 3), 128, dtype=np.uint8)
        self.face = self.editor.open_aligned(grey, ids, mask_source="own")

    def edited(self, *operations: str) -> EditedFace:
        """Return the face after operations."""
        text = "facekit_edit: 1\noperations:\n" + "".join(f"  - {{{operation}}}\n" for operation in operations)
        script = parse_script(text, label_map=self.editor.pipeline.label_map)
        assert parse_script(write_script(script)) == script
        return self.editor.edit(self.face, script, folder=self.folder)


@pytest.fixture
def face(tmp_path: Path) -> Face:
    return Face(tmp_path)


def halves(pixels: Any) -> tuple[Any, Any]:
    return pixels[:, :HALF].astype(int), pixels[:, HALF:].astype(int)


def test_only_the_named_region_has_the_look_of_the_photo(face: Face) -> None:
    red = halves(face.edited("do: reference, photo: red.png, mask: mask.png").generated)
    own = halves(face.edited("do: grow, region: hair, by: 0.001").generated)
    edited = face.edited("do: reference, photo: red.png, mask: mask.png, regions: hair")
    skin, hair = halves(edited.generated)
    assert np.array_equal(hair, red[1])
    assert np.array_equal(skin, own[0])
    assert np.abs(red[0] - own[0]).max() > 20
    # Of the photo, nothing but that region and its seam is touched.
    assert edited.touched[:, HALF:].all()
    assert not edited.touched[:, : HALF - 6].any()
    assert np.array_equal(edited.photo[:, : HALF - 6], face.face.photo[:, : HALF - 6])


def test_looks_of_regions_follow_each_other(face: Face) -> None:
    red = halves(face.edited("do: reference, photo: red.png, mask: mask.png").generated)
    green = halves(face.edited("do: reference, photo: green.png, mask: mask.png").generated)
    skin, hair = halves(
        face.edited(
            "do: reference, photo: red.png, mask: mask.png",
            "do: reference, photo: green.png, mask: mask.png, regions: [hair]",
        ).generated
    )
    assert np.array_equal(skin, red[0])
    assert np.array_equal(hair, green[1])
    skin, hair = halves(
        face.edited(
            "do: reference, photo: red.png, mask: mask.png",
            "do: blend_reference, photo: green.png, mask: mask.png, regions: [hair], amount: 0.5",
        ).generated
    )
    assert np.array_equal(skin, red[0])
    assert np.abs(hair - (red[1] + green[1]) / 2).max() <= 1


def test_mistakes(face: Face) -> None:
    with pytest.raises(FacekitError, match="region hair does not show it"):
        face.edited("do: reference, photo: red.png, mask: bald.png, regions: hair")
    with pytest.raises(FacekitError, match="'hairs'") as caught:
        face.edited("do: reference, photo: red.png, mask: mask.png, regions: [skin, hairs]")
    assert caught.value.exit_code == 2


def test_the_studio_shows_what_the_script_makes(face: Face) -> None:
    pipeline, square = face.editor.pipeline, face.face
    red = np.asarray(Image.open(face.folder / "red.png"))
    mask = np.asarray(Image.open(face.folder / "mask.png"))

    def opened(identity: str, pixels: Any, ids: Any) -> StudioFace:
        placement = Placement.whole(SIZE, SIZE)
        return StudioFace(
            identity, identity, "data", pipeline.label_map, b"", (SIZE, SIZE), placement, True, pixels, ids
        )

    own, other = opened("own", square.photo, square.mask), opened("other", red, mask)
    run = StudioRun("regional", pipeline)
    for amount, operation in ((1.0, "do: reference"), (0.5, "do: blend_reference, amount: 0.5")):
        look = WantedLook(own, (WantedBlend(other, amount, ("hair",)),))
        shown = Image.open(io.BytesIO(run.preview(square.mask, pipeline.label_map, look, own).png))
        expected = face.edited(f"{operation}, photo: red.png, mask: mask.png, regions: [hair]").photo
        assert np.array_equal(np.asarray(shown), expected)
    bald = WantedBlend(opened("bald", red, np.full_like(mask, SKIN)), 1, ("hair",))
    with pytest.raises(FacekitError, match="region hair does not show it"):
        run.preview(square.mask, pipeline.label_map, WantedLook(own, (bald,)), own)
