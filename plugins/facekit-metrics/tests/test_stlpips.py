"""ST-LPIPS: equal to a straight reference and to the published distance, and told apart in names."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facekit.interfaces import BuildContext, FacekitError
from facekit_metrics.options import PerceptualDistanceOptions
from facekit_metrics.perceptual import build, open_backbone
from facekit_metrics.stlpips import CONVOLUTIONS, LAYERS, SHA256, StLpips, packaged_weights

MASKS = torch.zeros(6, 32, 32, dtype=torch.long)


class Halve(nn.Module):
    """Blur by [1, 2, 1] in both directions after reflection by 2, and take every second place."""

    def forward(self, features: Tensor) -> Tensor:
        padded = F.pad(features, (2, 2, 2, 2), mode="reflect")
        across = padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]
        both = across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]
        return both[..., ::2, ::2] / 16


class Reference(nn.Module):
    """The published network as a plain sequence, with its names."""

    def __init__(self) -> None:
        super().__init__()
        plan = [nn.Conv2d(3, 64, 11, padding=2), Halve(), nn.ReLU(), nn.MaxPool2d(3, 1), Halve()]
        plan += [nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 1), Halve()]
        plan += [nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(), nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()]
        plan += [nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()]
        self.net = nn.Module()
        for number, (start, end) in enumerate([(0, 3), (3, 7), (7, 11), (11, 13), (13, 15)], start=1):
            part = nn.Sequential()
            for index in range(start, end):
                part.add_module(str(index), plan[index])
            self.net.add_module(f"slice{number}", part)
        for index, (_, shape, _) in enumerate(CONVOLUTIONS.values()):
            self.add_module(f"lin{index}", nn.Module())
            model = nn.Sequential(nn.Dropout(), nn.Conv2d(shape[0], 1, 1, bias=False))
            getattr(self, f"lin{index}").add_module("model", model)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        shift = torch.tensor([-0.030, -0.088, -0.188])[:, None, None]
        scale = torch.tensor([0.458, 0.448, 0.450])[:, None, None]
        hidden = [(image - shift) / scale for image in (first, second)]
        total = torch.zeros(len(first))
        for index, part in enumerate(self.net.children()):
            hidden = [part(each) for each in hidden]
            one, other = (each / (each.square().sum(1, keepdim=True).sqrt() + 1e-10) for each in hidden)
            total += getattr(self, f"lin{index}").model((one - other) ** 2).mean((1, 2, 3))
        return total


@pytest.fixture(scope="module")
def reference() -> Reference:
    torch.manual_seed(0)
    network = Reference().eval()
    for index in range(5):
        getattr(network, f"lin{index}").model[1].weight.data.abs_()
    return network


@pytest.fixture(scope="module")
def random_weights(reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("stlpips") / "weights.pth"
    torch.save(reference.state_dict(), file)
    return file


def photos(size: int, seed: int) -> Tensor:
    return torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def opened(weights: Path | None) -> PerceptualDistanceOptions:
    return PerceptualDistanceOptions(backbone="stlpips", weights=None if weights is None else str(weights))


@torch.no_grad()
@pytest.mark.parametrize("size", [32, 67])
def test_the_distance_is_that_of_a_straight_reference(reference: Reference, random_weights: Path, size: int) -> None:
    backbone = open_backbone(opened(random_weights))
    first, second = photos(size, 1), photos(size, 2)
    expected = float(reference(first, second))
    assert expected > 1e-3
    assert backbone.between(first, second) == pytest.approx(expected, rel=1e-4)
    assert backbone.between(first, first) == 0
    features = StLpips(weights=random_weights)(StLpips.normalise(first))
    assert list(features) == list(LAYERS)


def test_name_and_protocol_tell_it_apart(  # type: ignore[no-untyped-def]
    random_weights: Path, pictures, show, context: BuildContext
) -> None:
    metric = build(opened(random_weights), context)
    show(metric, pictures[1], pictures[0], MASKS)
    (measurement,) = metric.compute()
    assert measurement.name == "perceptual_distance/stlpips"
    assert measurement.protocol["distance"].startswith("ST-LPIPS")
    assert measurement.protocol["layers"] == "relu1, relu2, relu3, relu4, relu5"


def test_weights_are_frozen_and_in_no_checkpoint(random_weights: Path) -> None:
    network = StLpips(weights=random_weights)
    assert not list(network.parameters())
    assert not network.state_dict()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lin2.model.1.weight": None}, r"'lin2\.model\.1\.weight' is missing"),
        ({"net.slice1.0.weight": torch.zeros(64, 3, 3, 3)}, r"shape \(64, 3, 3, 3\)"),
    ],
)
def test_files_of_other_networks_are_refused(
    reference: Reference, change: dict[str, Tensor | None], message: str, tmp_path: Path
) -> None:
    state = {name: each for name, each in (reference.state_dict() | change).items() if each is not None}
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(FacekitError, match=message):
        StLpips(weights=tmp_path / "other.pth")


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facekit_metrics.packaged.find_spec", lambda name: None)
    with pytest.raises(FacekitError, match="not installed") as caught:
        StLpips()
    assert "facekit-metrics[stlpips]" in str(caught.value.remedy)


@torch.no_grad()
@pytest.mark.skipif(find_spec("stlpips_pytorch") is None, reason="the extra `stlpips` is not installed")
def test_a_shift_by_a_pixel_counts_for_little_with_the_packaged_weights() -> None:
    backbone = open_backbone(opened(None))
    assert backbone.protocol["weights"] == f"sha256 {SHA256}"
    assert packaged_weights().is_file()
    smooth = F.interpolate(photos(9, 3), size=(65, 65), mode="bicubic", align_corners=False).clamp(-1, 1)
    noise = smooth + 0.3 * torch.randn(smooth.shape, generator=torch.Generator().manual_seed(4))
    shifted = backbone.between(smooth[..., :-1, :-1], smooth[..., 1:, 1:])
    assert 0 < shifted < 0.2 * backbone.between(smooth, noise.clamp(-1, 1))
