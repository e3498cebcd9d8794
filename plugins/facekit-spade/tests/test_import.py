"""Official checkpoints become the same networks here, through the command and the public interface, or are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from facekit.interfaces import BuildContext, Condition, FacekitError, Generated, LabelClass, LabelMap, Style
from facekit.registry import load_registry
from facekit_spade.command import import_sean, import_spade
from facekit_spade.official_layout import convert

PARITY = Path(__file__).resolve().parents[4] / "shared" / "parity"
LABELS = LabelMap("nineteen", tuple(LabelClass(f"class{index}", (index, 0, 0)) for index in range(19)))
TOLERANCE = 1e-4


def golden(name: str) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """Return weights, inputs and outputs of an official network."""
    file = PARITY / f"{name}.safetensors"
    if not file.is_file():
        pytest.skip(f"{file} is not here: it holds golden tensors of the official network")
    tensors = load_file(file)
    weights, inputs, outputs = (
        {key.removeprefix(f"{kind}."): value for key, value in tensors.items() if key.startswith(f"{kind}.")}
        for kind in ("weights", "input", "output")
    )
    return weights, inputs, outputs


def imported(command: Any, weights: dict[str, Tensor], folder: Path) -> dict[str, Any]:
    """Import a state dict by the command; return what it prints as JSON."""
    torch.save(weights, folder / "official.pth")
    words = [str(folder / "official.pth"), "-o", str(folder / "own.safetensors"), "--json"]
    result = CliRunner().invoke(command, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def network(document: dict[str, Any], name: str = "generator", size: int = 64) -> nn.Module:
    """Return the component of a recipe with the imported weights."""
    one = document["networks"][name]
    found = load_registry().components[name, one["component"]]
    built = found.spec.build(
        found.spec.options(**one["options"]), BuildContext(label_map=LABELS, attribute_names=(), size=size)
    )
    state = load_file(document["file"])
    if len(document["networks"]) > 1:
        state = {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}
    built.load_state_dict(state, strict=True)
    assert sum(parameter.numel() for parameter in built.parameters()) == one["parameters"]
    return built.eval()


def assert_same(found: Tensor, expected: Tensor) -> None:
    assert float((found - expected).abs().max()) < TOLERANCE * float(expected.std())


@torch.no_grad()
@pytest.mark.parametrize("name", ["spade_generator", "spade_generator_vae"])
def test_spade_generates_the_official_images(name: str, tmp_path: Path) -> None:
    weights, inputs, outputs = golden(name)
    document = imported(import_spade, weights, tmp_path)
    assert document["component"] == "spade/spade"
    assert document["options"].get("latent") == (16 if "z" in inputs else None)
    style = Style(inputs["z"]) if "z" in inputs else None
    assert_same(network(document)(Condition(inputs["mask"]), style).image, outputs["image"])


@torch.no_grad()
def test_the_image_encoder_reads_the_official_distribution(tmp_path: Path) -> None:
    weights, inputs, outputs = golden("spade_encoder")
    document = imported(import_spade, weights, tmp_path)
    assert document["options"] == {"filters": 2, "latent": 256, "side": 256}
    style = network(document, "style_encoder")(inputs["image"], None)
    assert_same(style.mean, outputs["mean"])
    assert_same(style.log_variance, outputs["log_variance"])
    torch.testing.assert_close(style.code, style.mean)


@torch.no_grad()
def test_the_discriminator_gives_the_official_maps(tmp_path: Path) -> None:
    weights, inputs, outputs = golden("spade_discriminator")
    document = imported(import_spade, weights, tmp_path)
    assert document["options"] == {"filters": 8, "layers": 3, "scales": 2, "spectral_norm": "middle"}
    judged = network(document, "discriminator")(Generated(inputs["image"]), Condition(inputs["mask"]))
    for scale, one in enumerate(judged.scales):
        for layer, found in enumerate((*one.features, one.logits)):
            assert_same(found, outputs[f"scale{scale}.layer{layer}"])


@torch.no_grad()
def test_sean_reads_the_official_codes_and_generates_the_official_images(tmp_path: Path) -> None:
    weights, inputs, outputs = golden("sean_generator")
    document = imported(import_sean, weights, tmp_path)
    assert document["component"] == "spade/sean"
    style = network(document, "style_encoder")(inputs["reference_image"], inputs["reference_mask"])
    assert_same(style.code, outputs["style_codes"])
    assert style.present is not None
    assert_same(network(document)(Condition(inputs["mask"]), style).image, outputs["image"])


def test_the_file_says_what_is_in_it_and_is_not_overwritten(tmp_path: Path) -> None:
    state = sean_state()
    document = imported(import_sean, state, tmp_path)
    with safe_open(document["file"], "pt") as file:
        assert json.loads(file.metadata()["facekit.networks"])["style_encoder"]["component"] == "spade/sean_style"
    with pytest.raises(FacekitError, match="is there already"):
        imported(import_sean, state, tmp_path)


def sean_state() -> dict[str, Tensor]:
    """The state dict of a small SEAN generator by official names, made of our own."""
    from facekit_spade.components import build_sean, build_sean_style
    from facekit_spade.plugin import SeanOptions, SeanStyleOptions

    context = BuildContext(label_map=LabelMap("two", LABELS.classes[:2]), attribute_names=(), size=64)
    generator = build_sean(SeanOptions(filters=2, hidden=3, code=4), context)
    encoder = build_sean_style(SeanStyleOptions(filters=2, code=4), context)
    blocks = ["head_0", "G_middle_0", "G_middle_1", "up_0", "up_1", "up_2", "up_3"]
    norms = {"first_norm": "ace_0", "second_norm": "ace_1", "shortcut_norm": "ace_s"}
    layers = {"first": "conv_0", "second": "conv_1", "shortcut": "conv_s"}
    spectral = {"original": "weight_orig", "_u": "weight_u", "_v": "weight_v"}
    state: dict[str, Tensor] = {}
    for name, tensor in generator.state_dict().items():
        place, *rest = name.split(".")
        if place != "blocks":
            state[name.replace("start", "fc").replace("to_image", "conv_img")] = tensor
            continue
        block, part, last = blocks[int(rest[0])], rest[1], rest[-1]
        if part in layers:
            state[f"{block}.{layers[part]}.{spectral.get(last, last)}"] = tensor
        elif rest[2] == "blend":
            for kind, number in zip(("gamma", "beta"), tensor.split(1), strict=True):
                state[f"{block}.{norms[part]}.blending_{kind}"] = number.clone()
        elif rest[2] in ("style", "mask") and rest[-2] != "hidden":
            own = "conv_" if rest[2] == "style" else "Spade.mlp_"
            for kind, half in zip(("gamma", "beta"), tensor.chunk(2), strict=True):
                state[f"{block}.{norms[part]}.{own}{kind}.{last}"] = half.clone()
        elif rest[2] == "dense":
            for index, one in enumerate(tensor):
                state[f"{block}.{norms[part]}.fc_mu{index}.{last}"] = one.clone()
        else:
            own = {"mask": f"Spade.mlp_shared.0.{last}", "statistics": f"param_free_norm.{last}", "noise": "noise_var"}
            state[f"{block}.{norms[part]}.{own[rest[2]]}"] = tensor
    numbers = {"layers.0": 1, "layers.1": 4, "layers.2": 7, "layers.3": 10, "last": 14}
    for name, tensor in encoder.state_dict().items():
        place, _, last = name.rpartition(".")
        if place in numbers:
            state[f"Zencoder.model.{numbers[place]}.{last}"] = tensor
    return state


def test_the_newer_names_of_spectral_norm_and_of_data_parallel_are_the_same(tmp_path: Path) -> None:
    state = sean_state()
    newer = {
        "module."
        + name.replace("weight_orig", "parametrizations.weight.original")
        .replace("weight_u", "parametrizations.weight.0._u")
        .replace("weight_v", "parametrizations.weight.0._v"): tensor
        for name, tensor in state.items()
    }
    for one, other in zip(convert(state, family="SEAN"), convert(newer, family="SEAN"), strict=True):
        assert one.options == other.options
        assert all(torch.equal(tensor, other.tensors[name]) for name, tensor in one.tensors.items())


@pytest.mark.parametrize("name", ["up_0.conv_0.weight_u", "G_middle_0.ace_1.conv_beta.weight", "Zencoder.model.7.bias"])
def test_a_missing_weight_is_named(name: str) -> None:
    state = sean_state()
    del state[name]
    with pytest.raises(FacekitError, match="the weight '"):
        convert(state, family="SEAN")


def test_anything_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FacekitError, match="no checkpoint of SPADE"):
        convert({"model.1.weight": torch.zeros(3)}, family="SPADE")
    save_file({"conv_img.weight": torch.zeros(3)}, tmp_path / "odd.safetensors")
    with pytest.raises(FacekitError) as caught:
        CliRunner().invoke(
            import_spade, [str(tmp_path / "odd.safetensors"), "-o", str(tmp_path / "x")], catch_exceptions=False
        )
    assert "odd.safetensors" in str(caught.value.where)
