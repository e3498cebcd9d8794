"""Exported files compute what their runs compute, say what they are, and are kept only where they do."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

import facekit
from facekit.interfaces import Condition, FacekitError, Reference, RunFailure
from facekit.training.run.folder import RunFolder
from facekit_export import exporting
from facekit_export.command import export
from facekit_export.exporting import Exported, export_run
from facekit_export.formats import ENDINGS, Format

WriteRun = Callable[..., Path]

ROOT = Path(__file__).parents[3]
RECIPES = sorted(
    str(path.relative_to(ROOT / "recipes").with_suffix(""))
    for path in (ROOT / "recipes").rglob("*.yaml")
    if path.parent.name != "ablations" and not path.name.startswith("_")
)

LARGER = {
    "evaluators/attributes",
    "evaluators/segmenter",
    "paper/pix2pixhd_local_enhancer",
    "paper/stargan",
    "pix2pix_unet",
    "pix2pixhd_local_enhancer",
}
"""Recipes whose networks make no images of 32 pixels."""

ROUGHER = {"pix2pixhd_local_enhancer": 5e-4, "paper/pix2pixhd_local_enhancer": 5e-4}
"""How far programs may be from runs with so many norms that random weights, whose features are almost flat, blow up the
last digit of what a run's faster convolutions and a plain program give."""

ALWAYS = {"evaluators/segmenter", "local_edit", "msg_gan", "paper/spade_encoder", "sean", "sft_pix2pixhd", "stargan"}
"""Recipes that stand for their families in every run of the tests; the rest is slow."""

needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxscript", "onnxruntime")),
    reason="the extra `onnx` of facekit-export is not installed",
)


def exported(run: Path, form: Format, **settings: Any) -> Exported:
    pipeline = facekit.load(run, device="cpu", precision="fp32")
    return export_run(pipeline, run / "export" / f"file{ENDINGS[form]}", form=form, **settings)


def small(write_run: WriteRun, name: str) -> Path:
    return write_run(name, f"data.size={64 if name in LARGER else 32}")


@pytest.fixture(scope="module")
def styled(write_run: WriteRun) -> Path:
    """A run with a style encoder and faces of its own."""
    return small(write_run, "sft_pix2pixhd_one_style")


@pytest.fixture(scope="module")
def plain(write_run: WriteRun) -> Path:
    """The smallest run: from noise alone."""
    return write_run("msg_gan", "data.size=16")


# --- parity ---------------------------------------------------------------------------------------


def test_the_list_of_recipes_is_that_of_the_repository() -> None:
    assert {*LARGER, *ROUGHER, *ALWAYS} <= set(RECIPES)
    assert len(RECIPES) >= 20


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in ALWAYS else pytest.mark.slow) for name in RECIPES]
)
def test_an_exported_program_computes_what_its_run_does(write_run: WriteRun, name: str) -> None:
    done = exported(small(write_run, name), "torch")
    assert done.difference.largest <= ROUGHER.get(name, exporting.TOLERANCE)
    assert done.difference.far == 0
    assert [file.is_file() for file in done.files] == [True]
    assert float(done.graphs[0].given["image"].std()) > 1e-3


@pytest.mark.slow
@needs_onnx
@pytest.mark.parametrize("name", RECIPES)
def test_an_onnx_file_computes_what_its_run_does(write_run: WriteRun, name: str) -> None:
    assert exported(small(write_run, name), "onnx").difference.agrees


def test_faces_of_its_data_are_compared_where_they_are_here(styled: Path, plain: Path) -> None:
    assert exported(styled, "torch").compared_on == "3 validation faces of its data"
    assert exported(plain, "torch").compared_on == "noise"
    run = RunFolder(styled)
    lock = run.read_lock()
    run.write_lock({**lock, "data_fingerprint": "another"})
    try:
        drawn = exported(styled, "torch", overwrite=True).compared_on
    finally:
        run.write_lock(lock)
    assert drawn == "drawn mask, reference, reference_mask"


def test_style_encoder_and_generator_apart_give_the_same_image(styled: Path) -> None:
    done = exported(styled, "torch", split=True)
    assert [file.name for file in done.files] == ["file.style_encoder.pt2", "file.generator.pt2"]
    encoder, generator = (torch.export.load(file).module() for file in done.files)
    pipeline = facekit.load(styled, device="cpu", precision="fp32")
    photo, masks = torch.rand(1, 3, 32, 32) * 2 - 1, torch.randint(0, 19, (3, 4, 4)).repeat(1, 8, 8)
    own, other = masks[:1], masks[1:]
    style = encoder(photo, own)
    made = generator(other, *(tensor.expand(2, *tensor.shape[1:]) for tensor in style))[0]
    wanted = pipeline.networks.generate(other, pipeline.networks.encode(photo, own)).image
    torch.testing.assert_close(made, wanted, atol=1e-4, rtol=0)


def test_another_size(write_run: WriteRun, styled: Path, plain: Path) -> None:
    done = exported(styled, "torch", size=64, overwrite=True)
    assert done.graphs[0].given["image"].shape == (3, 3, 64, 64)
    with pytest.raises(FacekitError, match=r"makes no images of 30 pixels: .* a multiple of"):
        exported(styled, "torch", size=30)
    with pytest.raises(FacekitError, match="--size"):
        exported(plain, "torch", size=32, overwrite=True)


# --- what a file says -----------------------------------------------------------------------------


def check_document(document: dict[str, Any], run: Path) -> None:
    pipeline = facekit.load(run, device="cpu")
    assert document["synthetic"] is True
    assert (document["weights"], document["step"]) == ("ema", 7)
    assert document["weights_sha256"] == pipeline.weights_sha256
    assert len(document["recipe_sha256"]) == 64
    assert document["facekit"] == facekit.__version__
    assert [each["name"] for each in document["label_map"]["classes"]] == list(pipeline.label_map.names)
    assert [each["name"] for each in document["inputs"]] == ["mask", "reference", "reference_mask"]
    assert document["inputs"][1] == {
        "name": "reference",
        "shape": ["batch", 3, 32, 32],
        "dtype": "float32",
        "meaning": "from -1 to 1",
    }
    assert document["licence"]["code"]["sft_pix2pixhd/sft_pix2pixhd"] == "Apache-2.0"
    assert document["licence"]["trained_on"] == "facekit/synthetic_faces"


def test_an_exported_program_says_what_it_is(styled: Path) -> None:
    (file,) = exported(styled, "torch", overwrite=True).files
    extra = {"facekit.json": ""}
    torch.export.load(file, extra_files=extra)
    check_document(json.loads(extra["facekit.json"]), styled)
    assert zipfile.is_zipfile(file)


ALONE = """
import json, sys
import numpy as np, onnxruntime
assert not {"torch", "facekit", "onnx"} & sys.modules.keys()
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
given = np.load(sys.argv[2])
(image,) = session.run(["image"], {each.name: given[each.name] for each in session.get_inputs()})
np.save(sys.argv[3], image)
print(session.get_modelmeta().custom_metadata_map["facekit"])
"""


@needs_onnx
def test_an_onnx_file_is_read_with_onnxruntime_and_numpy_alone(styled: Path, tmp_path: Path) -> None:
    (file,) = exported(styled, "onnx").files
    random = np.random.default_rng(0)
    given = {
        "mask": random.integers(0, 19, (5, 32, 32)),
        "reference": random.uniform(-1, 1, (5, 3, 32, 32)).astype(np.float32),
        "reference_mask": random.integers(0, 19, (5, 32, 32)),
    }
    np.savez(tmp_path / "given.npz", **given)
    command = [sys.executable, "-c", ALONE, str(file), str(tmp_path / "given.npz"), str(tmp_path / "image.npy")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    check_document(json.loads(done.stdout), styled)
    mask, photo, own = (torch.from_numpy(given[name]) for name in ("mask", "reference", "reference_mask"))
    condition = Condition(mask=mask, reference=Reference(photo, own))
    wanted = facekit.load(styled, device="cpu", precision="fp32").networks.sample(condition).image
    np.testing.assert_allclose(np.load(tmp_path / "image.npy"), wanted.numpy(), atol=1e-4)


# --- the command, and what goes wrong -------------------------------------------------------------


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(export, [str(argument) for argument in arguments])


def test_the_command_writes_beside_the_run_and_says_what(plain: Path) -> None:
    done = call(plain, "--format", "torch", "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["files"][0]["file"] == str(plain / "export" / "msg_gan.pt2")
    assert document["largest_difference"] <= 1e-4
    assert [each["name"] for each in document["files"][0]["inputs"]] == ["latent"]
    again = call(plain, "--format", "torch")
    assert isinstance(again.exception, FacekitError)
    assert "--overwrite replaces it" in str(again.exception)
    told = call(plain, "--format", "torch", "--overwrite").stdout
    assert "reads latent, gives image" in told
    assert "largest difference from the run: " in told


@pytest.mark.parametrize("name", ["onnx", "onnxscript"])
def test_without_the_packages_of_the_extra_it_says_what_to_install(
    name: str, plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec

    def without(wanted: str, package: str | None = None) -> Any:
        return None if wanted == name else found(wanted, package)

    monkeypatch.setattr("facekit_export.formats.find_spec", without)
    error = call(plain, "--format", "onnx").exception
    assert isinstance(error, FacekitError)
    assert error.exit_code == 2
    assert name in error.message
    assert "pip install 'facekit-export[onnx]'" in str(error.remedy)


def test_a_file_that_computes_something_else_is_not_kept(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = exporting.formats.read

    def wrong(*arguments: Any) -> Any:
        compute = read(*arguments)
        return lambda tensors: {name: tensor + 0.01 for name, tensor in compute(tensors).items()}

    monkeypatch.setattr(exporting.formats, "read", wrong)
    folder = plain / "wrong"
    pipeline = facekit.load(plain, device="cpu", precision="fp32")
    with pytest.raises(RunFailure, match=r"differs from the run by .*, with .* of the values more than 0\.001 away"):
        export_run(pipeline, folder / "file.pt2", form="torch")
    assert list(folder.iterdir()) == []


def test_networks_that_cannot_be_traced_are_named(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = facekit.load(plain, device="cpu", precision="fp32")
    generator = type(pipeline.networks.module("generator"))
    forward = generator.forward

    def counting(self: Any, condition: Condition, style: None) -> Any:
        assert len(condition.extra["latent"]) > 0  # a number, which a traced batch has not
        return forward(self, condition, style)

    monkeypatch.setattr(generator, "forward", counting)
    with pytest.raises(FacekitError, match="generator: the networks cannot be traced for any number of samples"):
        export_run(pipeline, plain / "traced" / "file.pt2", form="torch")
    assert list((plain / "traced").iterdir()) == []


def test_mistakes_are_told(plain: Path, tmp_path: Path) -> None:
    with pytest.raises(FacekitError, match=r"end in \.pt2"):
        export_run(facekit.load(plain, device="cpu"), tmp_path / "file.onnx", form="torch")
    with pytest.raises(FacekitError, match="nothing to split"):
        exported(plain, "torch", split=True)
    assert "not a run folder" in str(call(tmp_path, "--format", "torch").exception)
