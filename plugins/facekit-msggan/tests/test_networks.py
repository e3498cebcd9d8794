"""MSG-ProGAN against the published networks: counts of parameters, images, scores, gradients."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from facekit_msggan.networks import MsgProGanDiscriminator, MsgProGanGenerator

PARITY = Path(__file__).resolve().parents[4] / "shared" / "parity"

NAMES = {"conv_1": "first", "conv_2": "second", "conv_3": "third"}


def _golden(name: str) -> dict[str, Tensor]:
    file = PARITY / f"msggan_{name}.safetensors"
    if not file.is_file():
        pytest.skip(f"{file} is not here: it holds golden tensors of the official network")
    return load_file(file)


def _generator_state(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    renamed = {}
    for key, tensor in weights.items():
        place, index, *rest = key.split(".")
        if place == "rgb_converters":
            renamed[".".join(["images", index, *rest])] = tensor
        else:
            renamed[".".join(["blocks", index, NAMES[rest[0]], *rest[1:]])] = tensor
    return renamed


def _discriminator_state(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    renamed = {}
    for key, tensor in weights.items():
        place, *rest = key.split(".")
        if place == "rgb_to_features":
            renamed[".".join(["images", str(int(rest[0]) + 1), *rest[1:]])] = tensor
        elif place == "final_converter":
            renamed[".".join(["images", "0", *rest])] = tensor
        elif place == "final_block":
            renamed[".".join(["final", NAMES[rest[0]], *rest[1:]])] = tensor
        else:
            renamed[".".join(["blocks", rest[0], NAMES[rest[1]], *rest[2:]])] = tensor
    return renamed


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


@pytest.mark.parametrize(
    ("size", "generator", "discriminator"),
    [(64, 22_490_383, 18_364_161), (128, 22_933_394, 18_659_329), (256, 23_044_309, 18_733_185)],
)
def test_the_published_networks_have_these_many_parameters(size: int, generator: int, discriminator: int) -> None:
    def count(network: nn.Module) -> int:
        return sum(parameter.numel() for parameter in network.parameters())

    with torch.device("meta"):
        assert count(MsgProGanGenerator(512, size)) == generator
        assert count(MsgProGanDiscriminator(512, size)) == discriminator


def test_the_generator_gives_the_images_of_the_official_one() -> None:
    golden = _golden("generator")
    # The official network leaves the scaling of latent vectors to its training code.
    network = MsgProGanGenerator(32, 64, sphere=False).eval()
    network.load_state_dict(_generator_state(_part(golden, "weights.")))
    with torch.no_grad():
        sizes = network.sizes(golden["input.z"])
    assert [image.shape[-1] for image in sizes] == [4, 8, 16, 32, 64]
    for image in sizes:
        expected = golden[f"output.image{image.shape[-1]}"]
        assert float((image - expected).abs().max()) < 1e-4 * float(expected.std())


def test_the_discriminator_gives_the_scores_of_the_official_one() -> None:
    golden = _golden("discriminator")
    network = MsgProGanDiscriminator(32, 64).eval()
    network.load_state_dict(_discriminator_state(_part(golden, "weights.")))
    sizes = tuple(golden[f"input.image{side}"] for side in (64, 32, 16, 8, 4))
    with torch.no_grad():
        scores = network.score(sizes)
    expected = golden["output.logits"]
    assert float((scores[:, 0] - expected).abs().max()) < 1e-4 * float(expected.std())


def test_every_size_moves_the_score() -> None:
    torch.manual_seed(0)
    network = MsgProGanDiscriminator(16, 32)
    sizes = tuple(torch.randn(3, 3, side, side, requires_grad=True) for side in (32, 16, 8, 4))
    network.score(sizes).sum().backward()
    assert all(image.grad is not None and bool(image.grad.any()) for image in sizes)


def test_faces_depend_on_the_direction_of_the_latent_vector_alone() -> None:
    torch.manual_seed(0)
    network = MsgProGanGenerator(16, 16)
    latent = torch.randn(2, 16)
    with torch.no_grad():
        one, twice, other = (network.sizes(each)[-1] for each in (latent, 2 * latent, latent.flip(1)))
    torch.testing.assert_close(one, twice)
    assert float((one - other).abs().mean()) > 1e-3
