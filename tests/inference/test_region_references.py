"""Single regions in the style of other photos: in Python, for folders and on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import facekit
from facekit.cli.main import cli
from facekit.inference import FacePipeline, generate_folder, load, parse_region_references, read_provenance
from facekit.interfaces import FacekitError
from facekit.registry import load_registry
from facekit.training.checkpoint import checkpoints
from facekit.training.run.folder import RunFolder

from .conftest import SIZE, write_run

PLUGIN = Path(__file__).parent / "plugin" / "noise_plugin.py"
REGIONAL = """
  style_encoder: {use: noise/region_encoder}
  generator: {use: noise/from_regions}
"""
SKIN, HAIR = 1, load_registry().label_maps["celebamask_hq"].id_of("hair")
HALF = SIZE // 2


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that gives every region the mean colour that it has in the reference."""
    folder = write_run(tmp_path_factory.mktemp("runs") / "regional", REGIONAL, registry=load_registry(PLUGIN))
    weights = {"style_encoder.gain": torch.tensor(1.0), "generator.gain": torch.tensor(0.9)}
    tensors = {checkpoints.LIVE: weights, checkpoints.EMA: weights}
    checkpoints.write(RunFolder(folder).checkpoints, step=8, tensors=tensors, state={})
    return folder


@pytest.fixture(scope="module")
def pipeline(run: Path) -> FacePipeline:
    return facekit.load(run, registry=load_registry(PLUGIN), device="cpu", precision="fp32")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A mask with skin on the left and hair on the right; three photos of one colour each, and their masks."""
    ids = np.full((SIZE, SIZE), SKIN, dtype=np.uint8)
    ids[:, HALF:] = HAIR
    Image.fromarray(ids).save(tmp_path / "mask.png")
    Image.fromarray(ids.T).save(tmp_path / "turned.png")  # a reference's regions lie elsewhere
    Image.fromarray(np.full((SIZE, SIZE), SKIN, dtype=np.uint8)).save(tmp_path / "bald.png")
    for name, colour in {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200)}.items():
        Image.new("RGB", (SIZE, SIZE), colour).save(tmp_path / f"{name}.png")
    return tmp_path


def opened(files: Path, *names: str) -> list[Image.Image]:
    return [Image.open(files / f"{name}.png") for name in names]


def halves(result: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the left and the right half."""
    pixels = np.asarray(result).astype(int)
    return pixels[:, :HALF], pixels[:, HALF:]


def test_only_the_named_region_has_the_other_photos_colour(pipeline: FacePipeline, files: Path) -> None:
    mask, red, green, turned = opened(files, "mask", "red", "green", "turned")
    own, other = (halves(pipeline.generate(mask, photo, turned)) for photo in (red, green))
    skin, hair = halves(pipeline.generate(mask, red, turned, region_references={"hair": (green, turned)}))
    assert np.array_equal(skin, own[0])
    assert np.array_equal(hair, other[1])
    assert np.abs(own[1] - other[1]).max() > 20  # else nothing could be told apart
    skin, hair = halves(pipeline.generate(mask, red, turned, region_references={"skin": (green, turned)}))
    assert np.array_equal(skin, other[0])
    assert np.array_equal(hair, own[1])


def test_every_region_may_have_its_own_photo_in_every_image(pipeline: FacePipeline, files: Path) -> None:
    mask, red, green, blue, turned = opened(files, "mask", "red", "green", "blue", "turned")
    results = pipeline.generate(
        [mask, mask], red, turned, region_references={"hair": (green, turned), "skin": (blue, turned)}, batch=1
    )
    for result in results:
        skin, hair = halves(result)
        assert np.array_equal(skin, halves(pipeline.generate(mask, blue, turned))[0])
        assert np.array_equal(hair, halves(pipeline.generate(mask, green, turned))[1])


def test_regions_of_one_photo_are_read_once(pipeline: FacePipeline, files: Path) -> None:
    mask, red, green, turned = opened(files, "mask", "red", "green", "turned")
    counts: list[int] = []
    hook = pipeline.networks.module("style_encoder").register_forward_pre_hook(lambda *_: counts.append(1))
    both = {"hair": (green, turned), "skin": (green, turned)}
    result = pipeline.generate(mask, red, turned, region_references=both)
    hook.remove()
    assert len(counts) == 2  # the reference, and the photo of both regions
    assert np.array_equal(np.asarray(result), np.asarray(pipeline.generate(mask, green, turned)))


def test_mistakes(pipeline: FacePipeline, files: Path) -> None:
    mask, red, green, turned, bald = opened(files, "mask", "red", "green", "turned", "bald")
    with pytest.raises(FacekitError, match="has no region 'hairs'"):
        pipeline.generate(mask, red, turned, region_references={"hairs": (green, turned)})
    with pytest.raises(FacekitError, match="region hair does not show it"):
        pipeline.generate(mask, red, turned, region_references={"hair": (green, bald)})
    with pytest.raises(FacekitError, match="hair has 2 photos with 1 masks"):
        pipeline.generate(mask, red, turned, region_references={"hair": ([green, red], turned)})
    with pytest.raises(FacekitError, match="needs a reference photo"):
        pipeline.generate(mask, region_references={"hair": (green, turned)})


def test_runs_without_a_style_by_region_refuse_them(styled_run: Path, plain_run: Path, files: Path) -> None:
    mask, red, turned = opened(files, "mask", "red", "turned")
    with pytest.raises(FacekitError, match="one vector an image, so regions cannot be mixed") as caught:
        load(styled_run, device="cpu").generate(mask, red, turned, region_references={"hair": (red, turned)})
    assert caught.value.exit_code == 2
    with pytest.raises(FacekitError, match="this run has no style by region"):
        load(plain_run, device="cpu").generate(mask, region_references={"hair": (red, turned)})


def test_a_folder_is_made_anew_with_another_reference_for_a_region(pipeline: FacePipeline, files: Path) -> None:
    paths = {name: files / f"{name}.png" for name in ("mask", "red", "green", "blue", "turned")}
    arguments: dict[str, Any] = {"mask": paths["mask"], "reference": paths["red"], "reference_mask": paths["turned"]}
    arguments["output"] = files / "out"

    def made(photo: str | None, **more: Any) -> str:
        regions = {"hair": (paths[photo], paths["turned"])} if photo else None
        (item,) = generate_folder(pipeline, region_references=regions, **arguments, **more).items
        return item.outcome

    assert made("green") == "written"
    assert made("green") == "skipped"
    record = read_provenance(files / "out" / "mask.png") or {}
    assert record["region_references"] == {"hair": "green.png"}
    for other in ("blue", None):
        with pytest.raises(FacekitError, match="another file of this name"):
            made(other)
        assert made(other, overwrite=True) == "written"
    assert "region_references" not in (read_provenance(files / "out" / "mask.png") or {})


def test_the_command_generates_with_them(pipeline: FacePipeline, run: Path, files: Path) -> None:
    def called(*words: str) -> Any:
        command = ["generate", str(run), "--plugin-file", str(PLUGIN), "--device", "cpu", "--json"]
        for name, file in {"mask": "mask", "reference": "red", "reference-mask": "turned"}.items():
            command += [f"--{name}", str(files / f"{file}.png")]
        return CliRunner().invoke(cli, [*command, "-o", str(files / "result.png"), *words])

    result = called(
        "--region-reference", f"hair={files / 'green.png'}", "--region-reference-mask", f"hair={files / 'turned.png'}"
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["items"][0]["outcome"] == "written"
    mask, red, green, turned = opened(files, "mask", "red", "green", "turned")
    expected = pipeline.generate(mask, red, turned, region_references={"hair": (green, turned)})
    assert np.array_equal(np.asarray(Image.open(files / "result.png")), np.asarray(expected))


def test_they_are_read_off_the_command_line() -> None:
    found = parse_region_references(["hair=a=b.jpg", "u_lip, l_lip=c.jpg"], ["hair=a.png", "u_lip,l_lip=c.png"])
    assert found == {
        "hair": (Path("a=b.jpg"), Path("a.png")),
        "u_lip": (Path("c.jpg"), Path("c.png")),
        "l_lip": (Path("c.jpg"), Path("c.png")),
    }


@pytest.mark.parametrize(
    ("photos", "masks", "message"),
    [
        (["hair"], [], "which region and which file"),
        (["=a.jpg"], [], "which region and which file"),
        (["hair=a.jpg"], ["hair= "], "which region and which file"),
        (["hair=a.jpg", "hair=b.jpg"], [], "hair is given twice"),
        (["hair=a.jpg"], [], "hair has --region-reference without --region-reference-mask"),
        ([], ["hair=a.png"], "hair has --region-reference-mask without --region-reference"),
    ],
)
def test_what_is_written_wrongly_is_named(photos: list[str], masks: list[str], message: str) -> None:
    with pytest.raises(FacekitError, match=message) as caught:
        parse_region_references(photos, masks)
    assert caught.value.exit_code == 2


def test_tensors_are_taken_too(pipeline: FacePipeline, files: Path) -> None:
    mask = torch.from_numpy(np.array(Image.open(files / "mask.png"))).long()
    photos = torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    result = pipeline.generate(mask, photos[0], mask, region_references={"hair": (photos[1], mask)})
    own, other = (pipeline.generate(mask, photo, mask) for photo in photos)
    assert torch.equal(result[..., :HALF], own[..., :HALF])
    torch.testing.assert_close(result[..., HALF:], other[..., HALF:])
