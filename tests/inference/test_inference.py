"""The networks with plain tensors, and models that come from a recipe and a file of weights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import facekit
from facekit.inference import FacePipeline
from facekit.interfaces import Condition, FacekitError, LabelMap, Reference, Style
from facekit.recipe import read_recipe
from facekit.registry import load_registry
from facekit.training.checkpoint import checkpoints
from facekit.training.open_data import labels_of

DOCS = Path(__file__).parents[2] / "docs"
PLUGIN = Path(__file__).parent / "plugin" / "noise_plugin.py"
SIZE = 32
HAIR = load_registry(PLUGIN).label_maps["celebamask_hq"].id_of("hair")
RECIPE = """
facekit: 1
name: plain
data: {use: synthetic_faces, size: 32, train: 6, validation: 2, test: 2}
model: MODEL
losses: {generator: [{use: l1}]}
train: {steps: 1, batch: 2, precision: fp32, device: cpu}
"""
REGIONS = "{style_encoder: {use: noise/region_encoder}, generator: {use: noise/from_regions}}"
REFERENCE = "{generator: {use: noise/reads_reference}}"
NOISE = "{generator: {use: noise/from_noise}}"


def recipe_of(folder: Path, model: str, *, changes: dict[str, str] | None = None) -> Path:
    text = RECIPE.replace("MODEL", model)
    for old, new in (changes or {}).items():
        assert old in text
        text = text.replace(old, new)
    (folder / "recipe.yaml").write_text(text)
    return folder / "recipe.yaml"


def opened(folder: Path, model: str, weights: dict[str, torch.Tensor], **more: Any) -> FacePipeline:
    save_file(weights, folder / "weights.safetensors")
    registry = load_registry(PLUGIN)
    recipe = recipe_of(folder, model)
    return facekit.load(folder / "weights.safetensors", recipe=recipe, registry=registry, device="cpu", **more)


@pytest.fixture
def regions(tmp_path: Path) -> FacePipeline:
    """A model whose style has a vector a region, in a subclass with a field of its own."""
    return opened(tmp_path, REGIONS, of_regions())


@pytest.fixture
def faces() -> tuple[torch.Tensor, torch.Tensor]:
    """Two photos and their masks, of the skin (1) in the left half and the hair in the right."""
    random = torch.Generator().manual_seed(0)
    mask = torch.full((2, SIZE, SIZE), 1)
    mask[:, :, SIZE // 2 :] = HAIR
    return torch.rand(2, 3, SIZE, SIZE, generator=random) * 2 - 1, mask


class TestNetworks:
    def test_styles_are_encoded_mixed_and_generated_from(self, regions: FacePipeline, faces: Any) -> None:
        (mine, theirs), mask = faces[0].split(1), faces[1][:1]
        networks = regions.networks
        own, other = networks.encode(mine, mask), networks.encode(theirs, mask)
        assert type(own).__name__ == "RegionStyle"
        assert own.code.shape == (1, 19, 4)
        generated = networks.generate(mask, own)
        assert not generated.image.requires_grad
        left, right = (mine[..., half].mean((2, 3)) / 2 for half in (slice(SIZE // 2), slice(SIZE // 2, None)))
        torch.testing.assert_close(generated.image[0, :, 0, 0], left[0])
        torch.testing.assert_close(generated.image[0, :, 0, -1], right[0])
        mixed = networks.mix(own, other, ["hair"])
        assert type(mixed) is type(own)
        image = networks.generate(mask, mixed).image
        torch.testing.assert_close(image[..., :16], generated.image[..., :16])
        torch.testing.assert_close(image[..., 16:], networks.generate(mask, other).image[..., 16:])
        between = networks.generate(mask, own.towards(other, 0.5)).image
        torch.testing.assert_close(between, (generated.image + networks.generate(mask, other).image) / 2)
        many = networks.generate(mask.repeat(3, 1, 1), own)  # one style for all
        torch.testing.assert_close(many.image, generated.image.expand(3, -1, -1, -1))
        sampled = networks.sample(Condition(mask, Reference(mine, mask)))
        assert torch.equal(sampled.image, generated.image)
        assert torch.equal(networks.sample(Condition(mask), own).image, generated.image)

    def test_the_pipeline_keeps_what_a_family_adds_to_styles(self, regions: FacePipeline, faces: Any) -> None:
        photos, masks = faces
        results = regions.generate(masks, photos[0], masks[0], batch=1)
        assert isinstance(results, torch.Tensor)  # the generator asserts that each style has its own field
        assert torch.equal(results[0], results[1])
        assert not torch.equal(results, regions.generate(masks, photos, masks))

    def test_bf16_gives_float32(self, tmp_path: Path, faces: Any) -> None:
        networks = opened(tmp_path, REGIONS, of_regions(), precision="bf16").networks
        style = networks.encode(*faces)
        assert style.code.dtype == torch.float32
        assert networks.generate(faces[1], style).image.dtype == torch.float32

    def test_exception(self, regions: FacePipeline, faces: Any, tmp_path: Path) -> None:
        style = regions.networks.encode(*faces)
        with pytest.raises(FacekitError, match="has no region 'hairs'") as caught:
            regions.networks.mix(style, style, ["hairs"])
        assert "'hair'" in str(caught.value)
        with pytest.raises(FacekitError, match="one vector an image, so regions cannot be mixed"):
            regions.networks.mix(Style(torch.zeros(1, 4)), Style(torch.zeros(1, 4)), ["hair"])
        with pytest.raises(FacekitError, match="has no discriminator"):
            regions.networks.discriminate(regions.networks.generate(faces[1], style), Condition(faces[1]))
        (tmp_path / "noise").mkdir()
        from_noise = opened(tmp_path / "noise", NOISE, of_noise())
        with pytest.raises(FacekitError, match="has no style encoder"):
            from_noise.networks.encode(*faces)


class TestReferenceWithoutStyleEncoder:
    """A generator that reads the reference by itself: there are no styles, and everything else works."""

    @pytest.fixture
    def pipeline(self, tmp_path: Path) -> FacePipeline:
        return opened(tmp_path, REFERENCE, of_reference())

    def test_it_generates(self, pipeline: FacePipeline, faces: Any) -> None:
        assert pipeline.inputs.needed == {"mask", "reference"}
        photos, masks = faces
        both = pipeline.generate(masks[0], photos)
        assert isinstance(both, torch.Tensor)
        assert not torch.equal(both[0], both[1])


def of_regions() -> dict[str, torch.Tensor]:
    return {"style_encoder.gain": torch.tensor(1.0), "generator.gain": torch.tensor(0.5)}


def of_reference() -> dict[str, torch.Tensor]:
    return {"generator.gain": torch.tensor(1.0)}


def of_noise() -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    return {
        "generator.head.weight": torch.randn(192, 6, generator=random),
        "generator.head.bias": torch.zeros(192),
    }


class TestWeightsOfAFile:
    def test_a_run_and_its_weights_as_a_file_give_equal_images(
        self, styled_run: Path, pipeline: FacePipeline, face: Any, tmp_path: Path
    ) -> None:
        file = checkpoints.find(styled_run / "checkpoints").folder / "ema.safetensors"
        loaded = facekit.load(file, recipe=styled_run / "recipe.yaml", device="cpu", precision="fp32")
        assert (loaded.weights, loaded.step, loaded.weights_sha256) == ("file", 0, pipeline.weights_sha256)
        inputs = face(1).mask, face(2).photo, face(2).mask
        assert loaded.generate(*inputs).tobytes() == pipeline.generate(*inputs).tobytes()
        # One network of the file; the recipe names the weights of the other.
        state = load_file(file)
        for name in ("generator", "style_encoder"):
            own = {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}
            save_file(own, tmp_path / f"{name}.safetensors")
        text = (styled_run / "recipe.yaml").read_text()
        encoder = "style_encoder: {"
        assert encoder in text
        text = text.replace(encoder, f"{encoder}weights: {tmp_path / 'style_encoder.safetensors'}, ")
        (tmp_path / "recipe.yaml").write_text(text)
        single = facekit.load(
            tmp_path / "generator.safetensors",
            recipe=tmp_path / "recipe.yaml",
            network="generator",
            device="cpu",
            precision="fp32",
        )
        assert single.generate(*inputs).tobytes() == pipeline.generate(*inputs).tobytes()
        assert any("style_encoder starts from" in note for note in single.notes)

    def test_without_the_data_the_dimensions_say_what_the_masks_are(self, tmp_path: Path) -> None:
        changes = {"use: synthetic_faces, size: 32, train: 6, validation: 2, test: 2": "use: celebamask_hq, size: 32"}
        changes["celebamask_hq, size: 32"] = f"celebamask_hq, root: {tmp_path / 'gone'}, size: 32"
        recipe = recipe_of(tmp_path, "{generator: {use: pix2pixhd_global, filters: 4, blocks: 1}}", changes=changes)
        registry = load_registry(PLUGIN)
        found, names = labels_of(read_recipe(recipe, registry=registry), registry)
        assert isinstance(found, LabelMap)
        assert len(found) == 19
        assert isinstance(names, tuple)

    def test_exception(self, styled_run: Path, tmp_path: Path) -> None:
        recipe, registry = recipe_of(tmp_path, REGIONS), load_registry(PLUGIN)
        good = of_regions()
        file = tmp_path / "weights.safetensors"

        def refused(message: str, weights: dict[str, torch.Tensor] | None = None, **more: Any) -> None:
            save_file(good if weights is None else weights, file)
            arguments = {"recipe": recipe, "registry": registry, "device": "cpu", **more}
            with pytest.raises(FacekitError, match=message):
                facekit.load(arguments.pop("file", file), **arguments)

        refused("holds no weights of style_encoder, and the recipe names none", {"generator.gain": torch.tensor(1.0)})
        refused("holds no weights of style_encoder", {"gain": torch.tensor(1.0)}, network="generator")
        refused("has no network called 'generater'", network="generater")
        refused("weights of gain, and the recipe's networks are style_encoder, generator", {"gain": torch.tensor(1.0)})
        refused("generator", {**good, "generator.gain": torch.zeros(3)})
        refused("generator.more", {**good, "generator.more": torch.zeros(3)})
        refused("there is no such run folder or file", file=tmp_path / "none.safetensors")
        refused("not a safetensors file", file=recipe)
        refused("there is no step to choose", step=3)
        refused("has its own recipe", file=styled_run)
        refused("this is a file, not a run folder", recipe=None)
        refused("this is a run", recipe=None, file=styled_run, network="generator")


def test_the_examples_of_the_documentation_run(
    styled_run: Path, face: Any, faces: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blocks of docs/inference.md, one after another, with models of each kind in place of runs."""
    made = {"noise": (NOISE, of_noise()), "regions": (REGIONS, of_regions()), "whole": (REFERENCE, of_reference())}
    pipelines = {"runs/first": facekit.load(styled_run, device="cpu")}
    for name, (model, weights) in made.items():
        (tmp_path / name).mkdir()
        pipelines[f"runs/{name}"] = opened(tmp_path / name, model, weights)
    load = facekit.load

    def loaded(run: str, **more: Any) -> FacePipeline:
        return load(run, registry=load_registry(PLUGIN), **more) if more else pipelines[run]

    monkeypatch.setattr("facekit.inference.load", loaded)
    monkeypatch.chdir(tmp_path / "whole")
    (photo, other), mask = faces[0].split(1), faces[1][:1]
    names: dict[str, Any] = {"photo": photo, "photo_mask": mask, "other": other, "other_mask": mask}
    names |= {"mask": face(1).mask, "reference": face(2).photo, "reference_mask": face(2).mask}
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / "inference.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    for block in blocks:
        exec(block, names)
    assert len(blocks) == 6
    assert names["result"].size == (64, 64)
    assert len({image.tobytes() for image in names["images"]}) == 16
    assert names["tensors"].shape == (16, 3, SIZE, SIZE)
    assert not torch.equal(names["image"], names["other_hair"])
    torch.testing.assert_close(names["with_hair"], names["other_hair"])
    assert torch.equal(names["generated"].image, names["image"])
    assert names["pipeline"].weights == "file"
