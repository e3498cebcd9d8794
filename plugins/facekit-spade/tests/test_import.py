"""Official checkpoints become the same networks here, through the command and the public interface, or are refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from facekit.interfaces import BuildContext, Condition, FacekitError, Generated, LabelClass, LabelMap, Style
from facekit.testing import ImportContract, assert_equals, golden_tensors, imported_network, imported_weights
from facekit_spade.command import import_sean, import_spade
from facekit_spade.official_layout import convert

PARITY = Path(__file__).resolve().parents[4] / "shared" / "parity"
LABELS = LabelMap("nineteen", tuple(LabelClass(f"class{index}", (index, 0, 0)) for index in range(19)))
CONTEXT = BuildContext(label_map=LABELS, attribute_names=(), size=64)


@torch.no_grad()
@pytest.mark.parametrize("name", ["spade_generator", "spade_generator_vae"])
def test_spade_generates_the_official_images(name: str, tmp_path: Path) -> None:
    weights, inputs, outputs = golden_tensors(PARITY / f"{name}.safetensors")
    document = imported_weights(import_spade, weights, tmp_path)
    assert document["component"] == "spade/spade"
    assert document["options"].get("latent") == (16 if "z" in inputs else None)
    style = Style(inputs["z"]) if "z" in inputs else None
    assert_equals(
        imported_network(document, "generator", CONTEXT)(Condition(inputs["mask"]), style).image, outputs["image"]
    )


@torch.no_grad()
def test_the_image_encoder_reads_the_official_distribution(tmp_path: Path) -> None:
    weights, inputs, outputs = golden_tensors(PARITY / "spade_encoder.safetensors")
    document = imported_weights(import_spade, weights, tmp_path)
    assert document["options"] == {"filters": 2, "latent": 256, "side": 256}
    style = imported_network(document, "style_encoder", CONTEXT)(inputs["image"], None)
    assert_equals(style.mean, outputs["mean"])
    assert_equals(style.log_variance, outputs["log_variance"])
    torch.testing.assert_close(style.code, style.mean)


@torch.no_grad()
def test_the_discriminator_gives_the_official_maps(tmp_path: Path) -> None:
    weights, inputs, outputs = golden_tensors(PARITY / "spade_discriminator.safetensors")
    document = imported_weights(import_spade, weights, tmp_path)
    assert document["options"] == {"filters": 8, "layers": 3, "scales": 2, "spectral_norm": "middle"}
    judged = imported_network(document, "discriminator", CONTEXT)(Generated(inputs["image"]), Condition(inputs["mask"]))
    for scale, one in enumerate(judged.scales):
        for layer, found in enumerate((*one.features, one.logits)):
            assert_equals(found, outputs[f"scale{scale}.layer{layer}"])


@torch.no_grad()
def test_sean_reads_the_official_codes_and_generates_the_official_images(tmp_path: Path) -> None:
    weights, inputs, outputs = golden_tensors(PARITY / "sean_generator.safetensors")
    document = imported_weights(import_sean, weights, tmp_path)
    assert document["component"] == "spade/sean"
    style = imported_network(document, "style_encoder", CONTEXT)(inputs["reference_image"], inputs["reference_mask"])
    assert_equals(style.code, outputs["style_codes"])
    assert style.present is not None
    assert_equals(
        imported_network(document, "generator", CONTEXT)(Condition(inputs["mask"]), style).image, outputs["image"]
    )


def sean_state() -> dict[str, Tensor]:
    """The state dict of a small SEAN generator by official names, made of our own."""
    from facekit_spade.components import SeanGenerator, SeanStyleEncoder
    from facekit_spade.plugin import SeanOptions, SeanStyleOptions

    context = BuildContext(label_map=LabelMap("two", LABELS.classes[:2]), attribute_names=(), size=64)
    generator = SeanGenerator(SeanOptions(filters=2, hidden=3, code=4), context)
    encoder = SeanStyleEncoder(SeanStyleOptions(filters=2, code=4), context)
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


SIZES = {
    "conv_img.weight": (3, 4, 3, 3),
    "head_0.conv_0.bias": (32,),
    "head_0.norm_0.mlp_shared.0.weight": (1, 5, 1, 1),
}


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (SIZES | {"head_0.conv_0.bias": (8,)}, "it has filters 0"),
        (SIZES | {"head_0.norm_0.mlp_shared.0.weight": (1, 70_000, 1, 1)}, "70000 classes"),
        ({"fc_mu.weight": (4, 4)}, "it has filters 0, side 4"),
        ({"discriminator_0.model0.0.weight": (4, 4, 4, 4)}, "some are missing"),
        (
            {f"discriminator_{scale}.model{layer}.0.weight": (4, 4, 4, 4) for scale in range(9) for layer in range(20)},
            "it has scales 9, layers 18",
        ),
    ],
    ids=["narrow", "classes", "shallow", "one layer", "scales"],
)
def test_sizes_that_no_option_allows_are_said(shapes: dict[str, tuple[int, ...]], message: str, tmp_path: Path) -> None:
    with pytest.raises(FacekitError, match=message):
        imported_weights(import_spade, {name: torch.zeros(shape) for name, shape in shapes.items()}, tmp_path)


class TestImportSean(ImportContract):
    command = import_sean
    line = "generator: {use: sean, filters: 2, hidden: 3, upsamplings: 5, code: 4"

    def state(self) -> dict[str, Tensor]:
        return sean_state()


class TestImportSpade(ImportContract):
    command = import_spade
    line = "generator: {use: spade, filters: 2, hidden: 3, upsamplings: 5"

    def state(self) -> dict[str, Tensor]:
        """SEAN's without what is read off its style."""
        found: dict[str, Tensor] = {}
        for name, tensor in sean_state().items():
            if re.search(r"Zencoder|fc_mu|conv_gamma|conv_beta|blending|noise_var", name) is None:
                found[name.replace("ace_", "norm_").replace("Spade.", "")] = tensor
        return found
