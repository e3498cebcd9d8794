"""One call paints: forms of input and output, references and their masks, the remembered style, clear refusals."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import facekit
from facekit.data.loader import fixed_batch
from facekit.inference import FacePipeline, load
from facekit.interfaces import Condition, FacekitError, Reference
from facekit.registry import load_registry
from facekit.training.networks import load_model
from facekit.training.open_data import open_data
from facekit.training.run.folder import RunFolder

MakeFace = Callable[..., Any]


def to_tensor(photo: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(photo)).permute(2, 0, 1).float() / 127.5 - 1


def ids(mask: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(mask)).long()


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


# --- what is painted ------------------------------------------------------------------------------


def test_the_result_is_what_the_model_paints(styled_run: Path, pipeline: FacePipeline, face: MakeFace) -> None:
    target, look = face(1), face(2)
    model = load_model(styled_run, registry=load_registry()).model
    condition = Condition(ids(target.mask)[None], Reference(to_tensor(look.photo)[None], ids(look.mask)[None]))
    with torch.no_grad():
        expected = model.generate(condition).image[0]
    result = pipeline.generate(ids(target.mask), to_tensor(look.photo), ids(look.mask))
    assert isinstance(result, Tensor)
    # Painting is channels-last, whose sums are rounded in another order.
    torch.testing.assert_close(result, expected, atol=1e-4, rtol=1e-4)
    assert result.std() > 0.05
    picture = pipeline.generate(target.mask, look.photo, look.mask)
    assert isinstance(picture, Image.Image)
    assert np.abs(pixels(picture) - ((expected + 1) * 127.5).permute(1, 2, 0).numpy()).max() < 0.51


def test_mask_reference_and_reference_mask_all_matter(pipeline: FacePipeline, face: MakeFace) -> None:
    target, look, other = face(1), face(2), face(3)
    result = pixels(pipeline.generate(target.mask, look.photo, look.mask))
    for changed in (
        pipeline.generate(other.mask, look.photo, look.mask),
        pipeline.generate(target.mask, other.photo, look.mask),
        pipeline.generate(target.mask, look.photo, other.mask),
    ):
        assert np.abs(pixels(changed) - result).mean() > 0.5


def test_facekit_load_is_the_same_function(styled_run: Path) -> None:
    assert facekit.load is load


def test_it_says_which_weights_it_uses(styled_run: Path, face: MakeFace, caplog: pytest.LogCaptureFixture) -> None:
    target, look = face(1), face(2)
    with caplog.at_level(logging.INFO, "facekit.inference"):
        averaged = load(styled_run, device="cpu", precision="fp32")
    assert "ema weights of step 7" in caplog.text
    live = load(styled_run, weights="live", device="cpu", precision="fp32")
    assert (averaged.weights, live.weights, averaged.step) == ("ema", "live", 7)
    assert averaged.weights_sha256 != live.weights_sha256
    assert averaged.weights_sha256 == load(styled_run, device="cpu").weights_sha256
    first, second = (pixels(each.generate(target.mask, look.photo, look.mask)) for each in (averaged, live))
    assert np.abs(first - second).mean() > 1


def test_bf16_paints_nearly_the_same(styled_run: Path, pipeline: FacePipeline, face: MakeFace) -> None:
    target, look = face(1), face(2)
    rounded = load(styled_run, device="cpu", precision="bf16")
    assert (pipeline.precision, rounded.precision) == ("fp32", "bf16")
    arguments = ids(target.mask), to_tensor(look.photo), ids(look.mask)
    difference = (rounded.generate(*arguments) - pipeline.generate(*arguments)).abs().mean()
    assert 0 < difference < 0.05


def test_results_carry_no_graph_and_the_model_stays_in_evaluation(pipeline: FacePipeline, face: MakeFace) -> None:
    look = face(2)
    photo = to_tensor(look.photo).requires_grad_()
    assert not pipeline.generate(ids(face(1).mask), photo, ids(look.mask)).requires_grad


def test_networks_are_compiled_where_that_is_asked_for(
    styled_run: Path, face: MakeFace, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[Callable[..., Any]] = []

    def note(network: Callable[..., Any], **settings: Any) -> Callable[..., Any]:
        compiled.append(network)
        return network

    monkeypatch.setattr(torch, "compile", note)
    load(styled_run, device="cpu")
    assert compiled == []
    pipeline = load(styled_run, device="cpu", compile=True)
    assert len(compiled) == 2
    pipeline.with_networks(pipeline.networks.with_network("generator", pipeline.networks.module("generator")))
    assert len(compiled) == 4
    assert pipeline.generate(face(1).mask, face(2).photo, face(2).mask).size == (64, 64)


# --- the remembered style -------------------------------------------------------------------------


@pytest.fixture
def readings(pipeline: FacePipeline) -> list[int]:
    """The number of photos of each reading of a reference."""
    counts: list[int] = []
    pipeline._model.style_encoder.register_forward_pre_hook(lambda _, inputs: counts.append(len(inputs[0])))
    return counts


def test_another_mask_in_the_same_look_does_not_read_the_reference_again(
    pipeline: FacePipeline, face: MakeFace, readings: list[int]
) -> None:
    look, other = face(2), face(3)
    first = pipeline.generate(face(1).mask, look.photo, look.mask)
    again = pipeline.generate(face(4).mask, look.photo.copy(), look.mask.copy())
    assert readings == [1]
    assert np.abs(pixels(first) - pixels(again)).mean() > 0.5
    pipeline.generate(face(1).mask, other.photo, look.mask)
    pipeline.generate(face(1).mask, look.photo, other.mask)
    assert readings == [1, 1, 1]
    back = pipeline.generate(face(1).mask, look.photo, look.mask)
    assert np.array_equal(pixels(back), pixels(first))


def test_one_reference_for_many_masks_is_read_once(pipeline: FacePipeline, face: MakeFace, readings: list[int]) -> None:
    look = face(9)
    masks = [face(seed).mask for seed in range(5)]
    results = pipeline.generate(masks, look.photo, look.mask, batch=2)
    assert readings == [1]
    assert isinstance(results, list)
    for mask, result in zip(masks, results, strict=True):
        assert np.abs(pixels(pipeline.generate(mask, look.photo, look.mask)) - pixels(result)).max() <= 1


# --- forms ----------------------------------------------------------------------------------------


def test_batches_of_tensors_equal_single_ones(pipeline: FacePipeline, face: MakeFace) -> None:
    targets, looks = [face(seed) for seed in range(3)], [face(seed) for seed in range(10, 13)]
    together = pipeline.generate(
        torch.stack([ids(each.mask) for each in targets]),
        torch.stack([to_tensor(each.photo) for each in looks]),
        torch.stack([ids(each.mask) for each in looks]),
        batch=2,
    )
    assert together.shape == (3, 3, 64, 64)
    for target, look, result in zip(targets, looks, together, strict=True):
        alone = pipeline.generate(ids(target.mask), to_tensor(look.photo), ids(look.mask))
        torch.testing.assert_close(alone, result, atol=1e-4, rtol=1e-3)


def test_one_mask_in_several_looks(pipeline: FacePipeline, face: MakeFace) -> None:
    looks = [face(2), face(3)]
    results = pipeline.generate(face(1).mask, [each.photo for each in looks], [each.mask for each in looks])
    assert isinstance(results, list)
    for look, result in zip(looks, results, strict=True):
        assert np.abs(pixels(pipeline.generate(face(1).mask, look.photo, look.mask)) - pixels(result)).max() <= 1


def test_the_form_of_the_result_is_that_of_the_reference(pipeline: FacePipeline, face: MakeFace) -> None:
    mask, look = face(1).mask, face(2)
    picture = pipeline.generate(ids(mask), look.photo, look.mask)
    assert isinstance(picture, Image.Image)
    assert (picture.mode, picture.size) == ("RGB", (64, 64))
    assert isinstance(pipeline.generate([mask], look.photo, look.mask), list)
    photo = to_tensor(look.photo)
    assert pipeline.generate(mask, photo, look.mask).dtype == torch.float32
    assert pipeline.generate(mask, photo.double(), look.mask).dtype == torch.float64
    assert pipeline.generate(mask, photo[None], look.mask).shape == (1, 3, 64, 64)
    as_bytes = pipeline.generate(mask, torch.from_numpy(np.array(look.photo)).permute(2, 0, 1), look.mask)
    assert as_bytes.dtype == torch.uint8
    assert np.array_equal(as_bytes.permute(1, 2, 0).numpy(), np.asarray(picture))


@pytest.mark.parametrize("mode", ["L", "P", "I;16", "I"])
def test_masks_may_be_indexed_or_greyscale(pipeline: FacePipeline, face: MakeFace, mode: str) -> None:
    look, mask = face(2), face(1).mask
    expected = pipeline.generate(mask, look.photo, look.mask)
    if mode == "P":
        saved = Image.fromarray(np.asarray(mask), mode="P")
        saved.putpalette([value % 256 for value in range(768)])
    else:
        saved = Image.fromarray(np.asarray(mask).astype({"L": np.uint8, "I;16": np.uint16, "I": np.int32}[mode]))
    assert saved.mode == mode
    assert np.array_equal(pixels(pipeline.generate(saved, look.photo, look.mask)), pixels(expected))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_masks_may_be_any_integers(pipeline: FacePipeline, face: MakeFace, dtype: torch.dtype) -> None:
    look, mask = face(2), face(1).mask
    expected = pipeline.generate(mask, look.photo, look.mask)
    assert np.array_equal(pixels(pipeline.generate(ids(mask).to(dtype), look.photo, look.mask)), pixels(expected))


def test_a_mask_as_bytes_three_deep_is_three_masks(plain_run: Path, face: MakeFace) -> None:
    result = load(plain_run, device="cpu").generate(torch.stack([ids(face(seed).mask) for seed in range(3)]).byte())
    assert result.shape == (3, 3, 64, 64)
    assert result.dtype == torch.float32


# --- sizes ----------------------------------------------------------------------------------------


def test_masks_are_resized_to_the_nearest_pixel_and_photos_antialiased(pipeline: FacePipeline, face: MakeFace) -> None:
    small, large = face(1), face(1, size=512)
    look = face(2)
    assert np.array_equal(
        pixels(pipeline.generate(small.mask, look.photo, look.mask)),
        pixels(pipeline.generate(large.mask, look.photo, look.mask)),
    )
    # A fine chequerboard becomes grey when it is antialiased; taking single pixels would leave black or white.
    board = Image.fromarray((np.indices((512, 512)).sum(0) % 2 * 255).astype(np.uint8)).convert("RGB")
    grey = Image.new("RGB", (64, 64), (128, 128, 128))
    results = [pipeline.generate(small.mask, photo, look.mask) for photo in (board, grey)]
    assert np.abs(pixels(results[0]) - pixels(results[1])).mean() < 1
    float_board = to_tensor(board)
    from_tensor = pipeline.generate(small.mask, float_board, look.mask)
    assert (from_tensor - pipeline.generate(small.mask, to_tensor(grey), look.mask)).abs().mean() < 0.01


def test_a_reference_mask_may_be_smaller_than_its_photo_and_not_of_another_aspect(
    pipeline: FacePipeline, face: MakeFace
) -> None:
    look = face(2, size=128, photo_size=256)
    pipeline.generate(face(1).mask, look.photo, look.mask)
    wide = look.mask.resize((160, 128), Image.Resampling.NEAREST)
    with pytest.raises(FacekitError, match="160x128 and its photo 256x256: one is not the mask of the other"):
        pipeline.generate(face(1).mask, look.photo, wide)


def test_a_photo_is_turned_as_its_camera_says(pipeline: FacePipeline, face: MakeFace, tmp_path: Path) -> None:
    look = face(2)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    look.photo.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as turned:
        result = pipeline.generate(face(1).mask, turned, look.mask)
    assert np.array_equal(pixels(result), pixels(pipeline.generate(face(1).mask, look.photo, look.mask)))


def test_a_mask_is_turned_as_its_photo_is(pipeline: FacePipeline, face: MakeFace, tmp_path: Path) -> None:
    look, target = face(2), face(1)
    expected = pixels(pipeline.generate(target.mask, look.photo, look.mask))
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, picture in {"target": target.mask, "photo": look.photo, "mask": look.mask}.items():
        picture.transpose(Image.Transpose.ROTATE_90).save(tmp_path / f"{name}.png", exif=exif)
    opened = [Image.open(tmp_path / f"{name}.png") for name in ("target", "photo", "mask")]
    assert np.array_equal(pixels(pipeline.generate(*opened)), expected)


def test_a_deep_grey_photo_is_scaled_and_not_white(pipeline: FacePipeline, face: MakeFace, tmp_path: Path) -> None:
    look = face(2)
    grey = look.photo.convert("L")
    Image.fromarray(np.asarray(grey).astype(np.uint16) * 257).save(tmp_path / "deep.png")
    with Image.open(tmp_path / "deep.png") as deep:
        result = pipeline.generate(face(1).mask, deep, look.mask)
    assert np.array_equal(pixels(result), pixels(pipeline.generate(face(1).mask, grey, look.mask)))


# --- refusals -------------------------------------------------------------------------------------


def test_a_reference_travels_with_its_own_mask(pipeline: FacePipeline, face: MakeFace) -> None:
    with pytest.raises(FacekitError, match="travels with its own mask"):
        pipeline.generate(face(1).mask, face(2).photo)
    with pytest.raises(FacekitError, match="needs a reference photo and the reference's own mask, which are not given"):
        pipeline.generate(face(1).mask)
    with pytest.raises(FacekitError, match="needs a mask, which is not given") as caught:
        pipeline.generate(reference=face(2).photo, reference_mask=face(2).mask)
    assert "mask (--mask)" in str(caught.value)


def test_a_run_that_reads_no_reference_mask_needs_none(maskless_run: Path, face: MakeFace) -> None:
    pipeline = load(maskless_run, device="cpu", precision="fp32")
    assert pipeline.inputs.needed == {"mask", "reference"}
    look = face(2)
    first = pipeline.generate(face(1).mask, look.photo)
    assert np.abs(pixels(first) - pixels(pipeline.generate(face(1).mask, face(3).photo))).mean() > 0.5
    with pytest.raises(FacekitError, match="reads no reference mask; it needs a mask and a reference photo"):
        pipeline.generate(face(1).mask, look.photo, look.mask)


def test_a_run_without_a_style_encoder_takes_the_mask_alone(plain_run: Path, face: MakeFace) -> None:
    pipeline = load(plain_run, device="cpu", precision="fp32")
    assert pipeline.inputs.needed == {"mask"}
    assert pipeline.generate(ids(face(1).mask)).dtype == torch.float32
    with pytest.raises(FacekitError, match="reads no reference photo; it needs a mask"):
        pipeline.generate(face(1).mask, face(2).photo)
    with pytest.raises(FacekitError, match="reads no source photo and no wanted attributes; it needs a mask"):
        pipeline.generate(face(1).mask, source=face(2).photo, attributes={"Smiling": True})
    with pytest.raises(FacekitError, match="starts from no noise"):
        pipeline.sample(3, mask=face(1).mask)


def mistakes() -> list[Any]:
    mask = torch.zeros(64, 64, dtype=torch.long)
    photo = torch.zeros(3, 64, 64)
    grey = Image.new("L", (64, 64))
    colour = Image.new("RGB", (64, 64))
    return [
        pytest.param((mask + 19, photo, mask), r"mask: the mask holds the class ids 19; .* are 0 to 18", id="ids"),
        pytest.param((mask, photo, mask - 1), r"reference_mask: the mask holds the class ids -1", id="negative ids"),
        pytest.param(
            ([grey, Image.new("L", (9, 9), 200)], colour, grey), r"mask\[1\]: .* ids 200", id="second of a list"
        ),
        pytest.param((colour, colour, grey), "has several channels", id="coloured mask"),
        pytest.param((mask.float(), photo, mask), "class ids, which are integers", id="float mask"),
        pytest.param((mask[None, None], photo, mask), "is no mask", id="one-hot mask"),
        pytest.param((mask, photo * 0 + 200, mask), r"goes from 200 to 200; a float photo is in \[-1, 1\]", id="bytes"),
        pytest.param((mask, photo / 0, mask), "a float photo is in", id="not finite"),
        pytest.param((mask, photo.permute(1, 2, 0), mask), r"\(64, 64, 3\) is no photo", id="channels last"),
        pytest.param((mask, photo.long(), mask), "float in", id="integers"),
        pytest.param((mask[:0], photo, mask), "is no mask", id="empty"),
        pytest.param(([], photo, mask), "no picture in the list", id="empty list"),
        pytest.param(
            (mask.repeat(3, 1, 1), photo.repeat(2, 1, 1, 1), mask.repeat(2, 1, 1)), "3 masks .* 2 ref", id="pair"
        ),
        pytest.param((mask, photo.repeat(2, 1, 1, 1), mask), "2 references have 1 masks", id="reference masks"),
    ]


@pytest.mark.parametrize(("arguments", "message"), mistakes())
def test_mistakes_are_named(pipeline: FacePipeline, arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(FacekitError, match=message):
        pipeline.generate(*arguments)


def test_a_picture_is_named_by_its_file(pipeline: FacePipeline, face: MakeFace, tmp_path: Path) -> None:
    look = face(2)
    face(1).mask.save(tmp_path / "mask.jpg")
    with (
        Image.open(tmp_path / "mask.jpg") as mask,
        pytest.raises(FacekitError, match=r"mask\.jpg\): the mask is a JPEG"),
    ):
        pipeline.generate(mask, look.photo, look.mask)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_a_photo_whose_white_nobody_knows_is_refused(
    pipeline: FacePipeline, face: MakeFace, tmp_path: Path, mode: str
) -> None:
    look = face(2)
    look.photo.convert(mode).save(tmp_path / "deep.tif")
    with (
        Image.open(tmp_path / "deep.tif") as deep,
        pytest.raises(FacekitError, match=rf"deep\.tif\): the photo's mode {mode} is not supported"),
    ):
        pipeline.generate(face(1).mask, deep, look.mask)


def test_things_that_are_no_pictures_are_type_errors(pipeline: FacePipeline, face: MakeFace) -> None:
    for wrong in ("mask.png", 3, [face(1).mask, "mask.png"], np.zeros((64, 64))):
        with pytest.raises(TypeError, match="mask must be a PIL image"):
            pipeline.generate(wrong, face(2).photo, face(2).mask)  # type: ignore[arg-type]


def test_folders_that_are_no_runs_and_devices_that_are_not_there(tmp_path: Path, styled_run: Path) -> None:
    with pytest.raises(FacekitError, match="not a run folder"):
        load(tmp_path)
    with pytest.raises(FacekitError, match="there is no device 'toaster'"):
        load(styled_run, device="toaster")
    if not torch.cuda.is_available():
        with pytest.raises(FacekitError, match="no device cuda"):
            load(styled_run, device="cuda")


# --- the photos of a run --------------------------------------------------------------------------


def test_faces_are_those_that_the_run_was_trained_on(
    plain_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEKIT_CACHE", str(tmp_path))
    run = tmp_path / "run"
    shutil.copytree(plain_run, run)
    recipe = (run / "recipe.yaml").read_text()
    assert "train: 400" in recipe
    (run / "recipe.yaml").write_text(recipe.replace("train: 400", "train: 3").replace(": 50\n", ": 1\n"))
    pipeline = load(run, device="cpu")
    packed = open_data(pipeline.recipe, load_registry())
    folder = RunFolder(run)
    lock = folder.read_lock()
    folder.write_lock({**lock, "data_fingerprint": packed.fingerprint})
    batches = list(pipeline.faces("train", batch=2))
    assert [batch.keys for batch in batches] == [("train-00000", "train-00001"), ("train-00002",)]
    expected = fixed_batch(packed, packed.rows("train"))
    assert torch.equal(torch.cat([batch.image for batch in batches]), expected.image)
    assert torch.equal(torch.cat([batch.require_mask() for batch in batches]), expected.require_mask())
    with pytest.raises(FacekitError, match="no 'extra' split"):
        list(pipeline.faces("extra"))
    folder.write_lock({**lock, "data_fingerprint": "another"})
    with pytest.raises(FacekitError, match="not what this run was trained on"):
        list(pipeline.faces("test"))
