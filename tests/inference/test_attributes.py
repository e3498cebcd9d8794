"""Runs that change the attributes of photos, and what they and other runs refuse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import facekit
from facekit.cli.main import cli
from facekit.inference import FacePipeline, generate_folder, parse_attributes, read_provenance
from facekit.interfaces import FacekitError
from facekit.recipe import read_recipe
from facekit.registry import load_registry
from facekit.training.loop import train

SIZE = 32
NAMES = ("Smiling", "Eyeglasses")
RECIPE = """
facekit: 1
name: changes
data:
  {use: synthetic_faces, size: 32, train: 6, validation: 4, test: 2, attributes: [Smiling, Eyeglasses], cache: CACHE}
model:
  generator: {use: stargan, filters: 8, blocks: 1}
  DISCRIMINATOR
losses:
  generator: [{use: cycle_reconstruction}]
  LOSS
train: {steps: 1, batch: 2, precision: fp32, samples: 3}
"""


def make_run(folder: Path, *, discriminator: str = "", loss: str = "") -> Path:
    source = folder / "recipe.yaml"
    text = RECIPE.replace("DISCRIMINATOR", discriminator).replace("LOSS", loss)
    source.write_text(text.replace("CACHE", str(folder / "cache")))
    registry = load_registry()
    train(read_recipe(source, registry=registry), out=folder / "run", registry=registry)
    return folder / "run"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose discriminator classifies."""
    return make_run(
        tmp_path_factory.mktemp("reads"),
        discriminator="discriminator: {use: stargan_patch, filters: 4, layers: 4}",
        loss="discriminator: [{use: domain_classification}]",
    )


@pytest.fixture(scope="module")
def blind_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without a discriminator, which cannot tell what a photo shows."""
    return make_run(tmp_path_factory.mktemp("blind"))


@pytest.fixture
def photo() -> Image.Image:
    random = np.random.default_rng(0)
    return Image.fromarray(random.integers(0, 256, (48, 48, 3), dtype=np.uint8))


def told(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments], prog_name="facekit")
    return result.exit_code, result.output


class TestPipeline:
    def test_a_photo_is_changed_in_the_form_it_has(self, run: Path, photo: Image.Image) -> None:
        pipeline = facekit.load(run, device="cpu")
        assert pipeline.inputs.needed == {"source", "attributes"}
        assert pipeline.attribute_names == NAMES
        on = pipeline.generate(source=photo, attributes={"Smiling": True, "Eyeglasses": False})
        off = pipeline.generate(source=photo, attributes={"Smiling": False, "Eyeglasses": False})
        assert isinstance(on, Image.Image)
        assert on.size == (SIZE, SIZE)
        assert np.abs(np.asarray(on, float) - np.asarray(off, float)).mean() > 0.5
        many = pipeline.generate(source=[photo, photo], attributes={"Smiling": True, "Eyeglasses": False}, batch=1)
        assert isinstance(many, list)
        assert np.array_equal(np.asarray(many[1]), np.asarray(on))
        both = pipeline.generate(source=photo, attributes=torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
        assert isinstance(both, list)
        for one, expected in zip(both, (on, off), strict=True):
            assert np.abs(np.asarray(one, int) - np.asarray(expected, int)).max() <= 1
        tensor = pipeline.generate(source=torch.zeros(3, SIZE, SIZE), attributes={"Smiling": True})
        assert isinstance(tensor, torch.Tensor)
        assert tensor.shape == (3, SIZE, SIZE)

    def test_attributes_that_are_not_named_are_read_off_the_photo(self, run: Path, photo: Image.Image) -> None:
        pipeline = facekit.load(run, device="cpu")
        network = pipeline._model.discriminator
        results = {}
        for value in (-1.0, 1.0):
            # A head that sees the second attribute in every photo, or in none.
            with torch.no_grad():
                network.classify.weight.zero_()
                network.layers[-1].bias.fill_(1.0)
                network.layers[-1].weight.zero_()
                network.classify.weight[1] = value
            results[value] = np.asarray(pipeline.generate(source=photo, attributes={"Smiling": True}))
            given = pipeline.generate(source=photo, attributes={"Smiling": True, "Eyeglasses": value > 0})
            assert np.array_equal(results[value], np.asarray(given))
        assert not np.array_equal(results[-1.0], results[1.0])

    def test_exception(self, run: Path, blind_run: Path, pipeline: FacePipeline, photo: Image.Image) -> None:
        changer = facekit.load(run, device="cpu")
        with pytest.raises(FacekitError, match="does not know the attribute 'Smilling'") as caught:
            changer.generate(source=photo, attributes={"Smilling": True})
        assert "Smiling" in str(caught.value)
        with pytest.raises(FacekitError, match="all must be given; missing: Eyeglasses"):
            facekit.load(blind_run, device="cpu").generate(source=photo, attributes={"Smiling": True})
        with pytest.raises(FacekitError, match="reads no source photo and no wanted attributes; it needs a mask"):
            pipeline.generate(source=photo, attributes={"Smiling": True})
        mask = Image.new("L", (SIZE, SIZE))
        with pytest.raises(FacekitError, match="reads no mask; it needs a source photo and the wanted attributes"):
            changer.generate(mask)
        with pytest.raises(FacekitError, match="the wanted attributes, which are not given"):
            changer.generate(source=photo)
        with pytest.raises(FacekitError, match=r"shape \(3,\) do not fit the run's 2"):
            changer.generate(source=photo, attributes=torch.zeros(3))
        with pytest.raises(FacekitError, match="reads no mask"):
            generate_folder(changer, mask="mask.png", output="result.png")


class TestFiles:
    def test_a_folder_is_changed_and_goes_on(self, run: Path, tmp_path: Path, photo: Image.Image) -> None:
        sources = tmp_path / "photos"
        sources.mkdir()
        photo.save(sources / "one.png")
        photo.convert("L").save(sources / "two.jpg")
        (sources / "three.png").write_bytes(b"no picture")
        pipeline = facekit.load(run, device="cpu")
        result = generate_folder(pipeline, attributes={"Smiling": True}, source=sources, output=tmp_path / "out")
        assert [item.outcome for item in result.items] == ["written", "failed", "written"]
        assert "Eyeglasses=" in result.items[0].message
        record = read_provenance(tmp_path / "out" / "one.png")
        assert record is not None
        assert record["wanted_attributes"] == {"Smiling": True}
        assert record["attributes"].keys() == set(NAMES)
        assert record["synthetic"] is True
        again = generate_folder(pipeline, attributes={"Smiling": True}, source=sources, output=tmp_path / "out")
        assert [item.outcome for item in again.items] == ["skipped", "failed", "skipped"]
        other = generate_folder(pipeline, attributes={"Smiling": False}, source=sources, output=tmp_path / "out")
        assert "--overwrite" in other.items[0].message
        with pytest.raises(FacekitError, match="several results"):
            generate_folder(pipeline, attributes={"Smiling": True}, source=sources, output=tmp_path / "one.png")

    def test_what_people_write(self) -> None:
        assert parse_attributes(["Smiling=1", "Male=off", "Young = Yes", "Bald=0"]) == {
            **{"Smiling": True, "Male": False, "Young": True, "Bald": False}
        }
        for text in ("Smiling", "Smiling=", "=1", "Smiling=2"):
            with pytest.raises(FacekitError, match="does not say what is wanted"):
                parse_attributes([text])
        with pytest.raises(FacekitError, match="both on and off"):
            parse_attributes(["Smiling=1", "Smiling=0"])


class TestCommand:
    def test_generate(self, run: Path, tmp_path: Path, photo: Image.Image) -> None:
        photo.save(tmp_path / "photo.png")
        source = ("--source", tmp_path / "photo.png", "-o", tmp_path / "result.png")
        code, output = told("generate", run, *source, "--attribute", "Smiling=on")
        assert code == 0, output
        assert "1 picture written" in output
        assert "read off the photo: Eyeglasses=" in output
        assert Image.open(tmp_path / "result.png").size == (SIZE, SIZE)

    def test_exception(self, run: Path, styled_run: Path, tmp_path: Path, photo: Image.Image) -> None:
        photo.save(tmp_path / "photo.png")
        source, out = ("--source", tmp_path / "photo.png"), ("-o", tmp_path / "result.png")
        for arguments, message in (
            ((run, *out, "--attribute", "Smiling=1"), "needs a source photo, which is not given"),
            ((run, *source, *out), "needs the wanted attributes, which are not given"),
            ((run, "--mask", tmp_path / "photo.png", *out), "reads no mask"),
            ((run, *source, *out, "--attribute", "Smiling=1", "--count", "2"), "starts from no noise"),
            ((run, *source, *out, "--attribute", "Smile=1"), "does not know the attribute 'Smile'"),
            ((run, "--source", tmp_path / "none.png", *out, "--attribute", "Smiling=1"), "there is no such source"),
            ((styled_run, *source, *out, "--attribute", "Smiling=1"), "reads no source photo"),
            ((styled_run, *out), "give mask (--mask)"),
        ):
            code, output = told("generate", *arguments)
            assert code == 2, output
            assert message in output
            assert "Traceback" not in output
        assert not (tmp_path / "result.png").exists()


def test_grids_show_each_attribute_turned(run: Path, tmp_path: Path) -> None:
    grids = list((run / "samples").iterdir())
    # Photo, result, and one column an attribute, of three faces.
    assert len(grids) == 1
    width, height = Image.open(grids[0]).size
    assert (width - 4) // (SIZE + 4) == 2 + len(NAMES)
    assert height > 3 * SIZE
