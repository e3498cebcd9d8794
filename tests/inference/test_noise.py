"""Runs that start from noise: images by seed, further samples of a mask, files that are named and go on."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from facekit.cli.main import cli
from facekit.inference import FacePipeline, generate_folder, load, read_provenance
from facekit.interfaces import Condition, FacekitError
from facekit.recipe import read_recipe
from facekit.registry import load_registry
from facekit.training.loop import train
from facekit.training.run import commands

PLUGIN = Path(__file__).parent / "plugin" / "noise_plugin.py"
RECIPE = """
facekit: 1
name: noise
data: {use: synthetic_faces, size: 32, train: 6, validation: 2, test: 2, cache: CACHE}
model: MODEL
losses: {generator: [{use: l1}]}
train: {steps: 1, batch: 2, precision: fp32, device: cpu, samples: 1}
"""
FROM_NOISE = "{generator: {use: noise/from_noise}}"
CHANGING = "{generator: {use: stargan, filters: 8, blocks: 1}}"
FROM_MASK = "{generator: {use: noise/from_mask_and_noise}}"
MAPPED = "{generator: {use: noise/from_noise}, mapping: {use: noise/mapping}, sampler: {use: noise/mapped}}"


def make_run(folder: Path, model: str) -> Path:
    registry = load_registry(PLUGIN)
    source = folder / "recipe.yaml"
    text = RECIPE.replace("MODEL", model).replace("CACHE", str(folder / "cache"))
    if model == CHANGING:
        text = text.replace("test: 2", "test: 2, attributes: [Smiling]").replace("use: l1", "use: cycle_reconstruction")
    source.write_text(text)
    train(read_recipe(source, registry=registry), out=folder / "run", registry=registry)
    return folder / "run"


def opened(run: Path) -> FacePipeline:
    return load(run, device="cpu", registry=load_registry(PLUGIN))


@pytest.fixture(scope="module")
def noise_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("noise"), FROM_NOISE)


@pytest.fixture(scope="module")
def mask_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("mask"), FROM_MASK)


@pytest.fixture
def mask() -> Image.Image:
    return Image.fromarray(np.repeat(np.arange(16, dtype=np.uint8), 64).reshape(32, 32))


def bytes_of(images: Any) -> list[bytes]:
    return [image.tobytes() for image in images]


def told(*arguments: object) -> tuple[int, str]:
    command = ["--plugin-file", str(PLUGIN), *map(str, arguments)]
    result = CliRunner().invoke(cli, command, prog_name="facekit")
    return result.exit_code, result.output


class TestSample:
    def test_equal_seeds_give_equal_images_whatever_the_batch(self, noise_run: Path) -> None:
        pipeline = opened(noise_run)
        assert pipeline.inputs.from_nothing
        eight = bytes_of(pipeline.sample(8, seed=7, batch=8))
        assert len(set(eight)) == 8
        assert bytes_of(pipeline.sample(8, seed=7, batch=3)) == eight
        assert bytes_of(opened(noise_run).sample(3, seed=7)) == eight[:3]
        assert not set(eight) & set(bytes_of(pipeline.sample(8, seed=8)))
        one = pipeline.generate(seed=7)
        assert isinstance(one, Image.Image)
        assert one.tobytes() == eight[0]

    def test_tensors(self, noise_run: Path) -> None:
        images = opened(noise_run).sample(3, tensors=True)
        assert isinstance(images, torch.Tensor)
        assert images.shape == (3, 3, 32, 32)
        assert images.dtype == torch.float32

    def test_several_of_one_mask_and_one_of_several(self, mask_run: Path, mask: Image.Image) -> None:
        pipeline = opened(mask_run)
        assert pipeline.inputs.needed == {"mask"}
        samples = bytes_of(pipeline.sample(4, mask=mask, seed=1))
        assert len(set(samples)) == 4
        assert pipeline.generate(mask, seed=1).tobytes() == samples[0]
        assert pipeline.generate(mask, seed=1, keys=["3"]).tobytes() == samples[3]
        flat = Image.new("L", (32, 32), 3)
        pairs = bytes_of(pipeline.sample(2, mask=[mask, flat], seed=1))
        assert pairs[0] == samples[0]
        assert pairs[1] not in samples
        with pytest.raises(FacekitError, match="3 images cannot be made from 2 inputs"):
            pipeline.sample(3, mask=[mask, flat])
        with pytest.raises(FacekitError, match="needs a mask, which is not given"):
            pipeline.sample(3)

    def test_a_sampler_calls_the_networks_of_its_family(self, tmp_path: Path) -> None:
        pipeline = opened(make_run(tmp_path, MAPPED))
        images = pipeline.sample(2, tensors=True)
        networks = pipeline.networks
        assert set(networks) == {"generator", "mapping", "sampler"}
        latent = networks.noise(["0", "1"])["latent"]
        assert torch.equal(2 * networks["mapping"](latent), networks["mapping"].doubled(latent))
        assert torch.equal(networks.generate(None, latent=latent).image, images)
        mapped = Condition(extra={"latent": networks["mapping"].doubled(latent)})
        assert torch.equal(networks["generator"](mapped, None).image, images)
        with pytest.raises(FacekitError, match="has no encoder"):
            networks["encoder"]


class TestFiles:
    def test_images_are_named_by_seed_and_go_on(self, noise_run: Path, tmp_path: Path) -> None:
        pipeline = opened(noise_run)
        result = generate_folder(pipeline, count=5, seed=7, output=tmp_path, batch=2)
        assert [item.output.name for item in result.items] == [f"7-000{number}.png" for number in range(5)]
        assert {item.outcome for item in result.items} == {"written"}
        expected = bytes_of(pipeline.sample(5, seed=7))
        assert bytes_of(Image.open(tmp_path / f"7-000{number}.png") for number in range(5)) == expected
        record = read_provenance(tmp_path / "7-0003.png")
        assert record is not None
        assert (record["seed"], record["sample"], record["sample_key"]) == (7, 3, "3")
        (tmp_path / "7-0001.png").unlink()
        again = generate_folder(pipeline, count=6, seed=7, output=tmp_path)
        assert [item.outcome for item in again.items] == ["skipped", "written", *["skipped"] * 3, "written"]
        assert len(list(tmp_path.iterdir())) == 6
        generate_folder(pipeline, seed=8, output=tmp_path / "one.png")
        other = generate_folder(pipeline, seed=8, output=tmp_path / "one.png")
        assert [item.outcome for item in other.items] == ["skipped"]
        with pytest.raises(FacekitError, match="--overwrite replaces it"):
            generate_folder(pipeline, seed=9, output=tmp_path / "one.png")

    def test_samples_of_every_mask_of_a_folder(self, mask_run: Path, tmp_path: Path, mask: Image.Image) -> None:
        masks = tmp_path / "masks"
        masks.mkdir()
        for name in ("a", "b"):
            mask.save(masks / f"{name}.png")
        pipeline = opened(mask_run)
        result = generate_folder(pipeline, mask=masks, count=2, seed=3, output=tmp_path / "out", batch=3)
        names = ["a-3-0000.png", "a-3-0001.png", "b-3-0000.png", "b-3-0001.png"]
        assert [item.output.name for item in result.items] == names
        images = bytes_of(Image.open(tmp_path / "out" / name) for name in names)
        assert len(set(images)) == 4  # equal masks of other names start from other noise
        assert pipeline.generate(mask, seed=3, keys=["b/1"]).tobytes() == images[3]
        alone = generate_folder(pipeline, mask=masks / "b.png", count=2, seed=3, output=tmp_path / "alone")
        assert bytes_of(Image.open(item.output) for item in alone.items) == images[2:]
        one_each = generate_folder(pipeline, mask=masks, seed=3, output=tmp_path / "one each")
        assert bytes_of(Image.open(item.output) for item in one_each.items) == images[::2]


class TestCommand:
    @pytest.mark.parametrize("kind", ["noise", "mask", "mask and reference", "source and attributes"])
    def test_what_is_printed_works(
        self,
        kind: str,
        request: pytest.FixtureRequest,
        tmp_path: Path,
        mask: Image.Image,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The command and the program that ``facekit run`` and the report print, with files of those names."""
        fixture = {"noise": "noise_run", "mask": "mask_run", "mask and reference": "styled_run"}.get(kind)
        run = make_run(tmp_path, CHANGING) if fixture is None else request.getfixturevalue(fixture)
        registry = load_registry(PLUGIN)
        inputs = commands.inputs_of(read_recipe(run / "recipe.yaml", registry=registry), registry=registry)
        names = json.loads((run / "lock.json").read_text())["attribute_names"]
        lock = {"inputs": inputs, "attribute_names": names, "plugin_files": [str(PLUGIN)]}
        monkeypatch.chdir(tmp_path)
        for name in ("mask.png", "photo_mask.png"):
            mask.save(name)
        mask.convert("RGB").save("photo.jpg")
        command, program = commands.generate_command(run, lock), commands.generate_in_python(run, lock)
        assert command is not None
        assert program is not None
        result = CliRunner().invoke(cli, shlex.split(command)[1:], prog_name="facekit")
        assert result.exit_code == 0, result.output
        assert len(list(tmp_path.glob("result*/0-00??.png"))) == (16 if kind == "noise" else 0)
        made: dict[str, Any] = {}
        exec(program, made)
        images = made["result"] if kind == "noise" else [made["result"]]
        saved = [tmp_path / "results" / "0-0000.png"] if kind == "noise" else [tmp_path / "result.png"]
        if kind != "mask":  # whose file gives the noise another name
            assert Image.open(saved[0]).tobytes() == images[0].tobytes()

    def test_json(self, mask_run: Path, tmp_path: Path, mask: Image.Image) -> None:
        mask.save(tmp_path / "mask.png")
        arguments = ("--mask", tmp_path / "mask.png", "-o", tmp_path / "m.png", "--json")
        code, output = told("generate", mask_run, *arguments)
        assert code == 0, output
        document = json.loads(output[output.index("{") :])
        assert [item["outcome"] for item in document["items"]] == ["written"]

    def test_exception(self, noise_run: Path, mask_run: Path, tmp_path: Path, mask: Image.Image) -> None:
        mask.save(tmp_path / "mask.png")
        out = ("-o", tmp_path / "out")
        for arguments, message in (
            ((noise_run, "--mask", tmp_path / "mask.png", *out), "reads no mask; it starts from noise alone"),
            ((noise_run, "--attribute", "Smiling=1", *out), "reads no wanted attributes; it starts from noise alone"),
            ((noise_run, "--count", 2, "-o", tmp_path / "out.png"), "there are several results"),
            ((noise_run, "--count", 0, *out), "0 is not in the range"),
            ((mask_run, "--count", 2, *out), "needs a mask, which is not given"),
        ):
            code, output = told("generate", *arguments)
            assert code == 2, output
            assert message in output
            assert "Traceback" not in output
        assert not (tmp_path / "out").exists()
