from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models import vgg19

from facekit.interfaces import NO_LABELS, BuildContext, FacekitError
from facekit_backbones import EfficientNetLite0
from facekit_losses.options import PerceptualOptions
from facekit_losses.perceptual import PerceptualLoss, build, feature_distance, perceptual_loss
from facekit_losses.vgg19 import VGG19


@pytest.fixture(scope="module")
def vgg_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, nn.Module]:
    """Torchvision's features up to relu3_1 with random weights, and the file they are saved in."""
    torch.manual_seed(0)
    with torch.device("meta"):
        layout = vgg19(weights=None).features
    network = layout[:12].to_empty(device="cpu")
    for layer in network:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.normal_(layer.bias, std=0.1)
    path = tmp_path_factory.mktemp("vgg") / "vgg19.pth"
    torch.save({f"features.{key}": value for key, value in network.state_dict().items()}, path)
    return path, network


class TestVGG19:
    def test_features_agree_with_torchvision(self, vgg_file: tuple[Path, nn.Module]) -> None:
        path, network = vgg_file
        image = torch.randn(1, 3, 32, 32)
        ours = VGG19(layers=["relu1_1", "relu2_1", "relu3_1"], weights=path)
        with torch.no_grad():
            features = ours(image)
            for name, depth in (("relu1_1", 2), ("relu2_1", 7), ("relu3_1", 12)):
                expected = network[:depth](image)  # type: ignore[index]
                torch.testing.assert_close(features[name], expected, rtol=1e-4, atol=1e-4)

    def test_pictures_are_normalised_as_imagenet(self) -> None:
        normalised = VGG19.normalise(torch.ones(1, 3, 1, 1)).flatten()
        expected = [(1 - mean) / deviation for mean, deviation in ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))]
        torch.testing.assert_close(normalised, torch.tensor(expected))

    def test_exception_says_which_file_from_where_goes_where(
        self, context: BuildContext, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        with pytest.raises(FacekitError) as caught:
            build(PerceptualOptions(backbone="vgg19"), context)
        place = tmp_path / "hub" / "checkpoints" / "vgg19-dcbb9e9d.pth"
        assert caught.value.where == str(place)
        assert f"fetch https://download.pytorch.org/models/vgg19-dcbb9e9d.pth (549 MB) and put it at {place}" in str(
            caught.value
        )

    def test_loss_from_a_file(self, vgg_file: tuple[Path, nn.Module], context: BuildContext) -> None:
        path, network = vgg_file
        options = PerceptualOptions(
            backbone="vgg19", weights=str(path), layers=("relu1_1", "relu3_1"), precision="fp32"
        )
        result, photo = torch.rand(2, 2, 3, 32, 32) * 2 - 1
        value = build(options, context).compare(result, photo)
        left, right = VGG19.normalise(result), VGG19.normalise(photo)
        expected = sum(
            0.5 * (network[:depth](left) - network[:depth](right)).abs().mean()  # type: ignore[index]
            for depth in (2, 12)
        )
        torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-5)


class TestDistances:
    def test_against_numpy(self) -> None:
        generator = np.random.default_rng(0)
        a, b = generator.normal(size=(2, 3, 5, 4, 4))
        left, right = torch.from_numpy(a), torch.from_numpy(b)
        assert feature_distance(left, right, distance="l1").item() == pytest.approx(np.abs(a - b).mean())
        relative = [np.abs(x - y).mean() / np.abs(y).mean() for x, y in zip(a, b)]
        assert feature_distance(left, right, distance="relative_l1").item() == pytest.approx(np.mean(relative))
        unit = a / np.linalg.norm(a, axis=1, keepdims=True) - b / np.linalg.norm(b, axis=1, keepdims=True)
        assert feature_distance(left, right, distance="unit_squared").item() == pytest.approx((unit**2).sum(1).mean())

    @pytest.mark.parametrize("distance", ["l1", "relative_l1", "unit_squared"])
    def test_gradient(self, distance) -> None:  # type: ignore[no-untyped-def]
        torch.manual_seed(0)
        result = torch.randn(2, 3, 2, 2, dtype=torch.float64, requires_grad=True)
        photo = torch.randn(2, 3, 2, 2, dtype=torch.float64)
        assert torch.autograd.gradcheck(lambda r: feature_distance(r, photo, distance=distance), (result,))

    @pytest.mark.parametrize("distance", ["l1", "relative_l1", "unit_squared"])
    def test_the_batch_is_the_mean_of_its_pictures(self, distance) -> None:  # type: ignore[no-untyped-def]
        torch.manual_seed(0)
        result, photo = torch.randn(2, 4, 3, 5, 5, dtype=torch.float64)
        photo[0] *= 100
        parts = [feature_distance(result[i : i + 1], photo[i : i + 1], distance=distance) for i in range(4)]
        torch.testing.assert_close(feature_distance(result, photo, distance=distance), torch.stack(parts).mean())

    def test_layers_are_weighted(self) -> None:
        result = {"a": torch.ones(1, 1, 2, 2), "b": torch.ones(1, 1, 1, 1)}
        photo = {"a": torch.zeros(1, 1, 2, 2), "b": torch.zeros(1, 1, 1, 1)}
        assert perceptual_loss(result, photo, weights={"a": 2.0, "b": 0.5}, distance="l1").item() == 2.5

    def test_exception(self) -> None:
        with pytest.raises(ValueError, match="shapes"):
            feature_distance(torch.zeros(1, 2, 3, 3), torch.zeros(1, 2, 4, 4), distance="l1")


@pytest.fixture(scope="module")
def lite_loss() -> PerceptualLoss:
    options = PerceptualOptions(precision="fp32")
    return PerceptualLoss(
        EfficientNetLite0(layers=tuple(options.chosen_layers())),
        weights=options.chosen_layers(),
        distance=options.chosen_distance(),
        precision="fp32",
    )


class TestLoss:
    def test_smoke(self, make_step: Callable, context: BuildContext) -> None:  # type: ignore[type-arg]
        step = make_step(size=32)
        value = build(PerceptualOptions(), context)(step)
        assert value.shape == ()
        assert value.dtype == torch.float32
        value.backward()
        assert all(p.grad.abs().sum() > 0 for p in step.encoder.parameters())

    def test_it_is_frozen_and_in_no_checkpoint(self, lite_loss: PerceptualLoss) -> None:
        assert not list(lite_loss.parameters())
        assert not lite_loss.state_dict()
        assert list(lite_loss.buffers())

    def test_training_mode_changes_nothing(self, lite_loss: PerceptualLoss) -> None:
        result, photo = torch.rand(2, 2, 3, 32, 32) * 2 - 1
        value = lite_loss.train().compare(result, photo)
        assert lite_loss.eval().compare(result, photo).item() == value.item()

    def test_equal_pictures_are_at_distance_zero_and_noise_grows_it(self, lite_loss: PerceptualLoss) -> None:
        torch.manual_seed(0)
        photo = F.interpolate(torch.rand(2, 3, 6, 6) * 2 - 1, size=48, mode="bicubic").clamp(-1, 1)
        noise = torch.randn_like(photo)
        values = [lite_loss.compare((photo + amount * noise).clamp(-1, 1), photo).item() for amount in (0, 0.05, 0.3)]
        assert values[0] == 0
        assert 0 < values[1] < values[2]

    def test_half_precision_is_near_full_precision(self, lite_loss: PerceptualLoss) -> None:
        torch.manual_seed(0)
        result, photo = torch.rand(2, 2, 3, 48, 48) * 2 - 1
        full = lite_loss.compare(result, photo).item()
        half = PerceptualLoss(
            lite_loss.backbone, weights=lite_loss.weights, distance="relative_l1", precision="bf16"
        ).compare(result, photo)
        assert half.dtype == torch.float32
        assert half.item() != full
        assert half.item() == pytest.approx(full, rel=0.02)

    def test_auto_is_full_precision_on_a_cpu(self, lite_loss: PerceptualLoss, context: BuildContext) -> None:
        result, photo = torch.rand(2, 2, 3, 32, 32) * 2 - 1
        assert build(PerceptualOptions(), context).compare(result, photo).item() == (
            lite_loss.compare(result, photo).item()
        )

    def test_full_precision_holds_inside_autocast(self, lite_loss: PerceptualLoss) -> None:
        result, photo = torch.rand(2, 2, 3, 32, 32) * 2 - 1
        plain = lite_loss.compare(result, photo)
        with torch.autocast("cpu", torch.bfloat16):
            assert lite_loss.compare(result, photo).item() == plain.item()

    def test_normalise_off_gives_the_backbone_the_picture_as_it_is(self, lite_loss: PerceptualLoss) -> None:
        plain = PerceptualLoss(
            lite_loss.backbone, weights=lite_loss.weights, distance="relative_l1", normalise=False, precision="fp32"
        )
        image = torch.rand(1, 3, 32, 32) * 2 - 1
        torch.testing.assert_close(plain.features(EfficientNetLite0.normalise(image)), lite_loss.features(image))

    def test_gradient_against_finite_differences(self) -> None:
        network = EfficientNetLite0(layers=["stem", "block2"]).double()
        loss = PerceptualLoss(network, weights={"stem": 0.5, "block2": 0.5}, distance="relative_l1", precision="fp32")
        torch.manual_seed(0)
        photo = torch.rand(1, 3, 8, 8, dtype=torch.float64) * 2 - 1
        result = (torch.rand(1, 3, 8, 8, dtype=torch.float64) * 2 - 1).requires_grad_()
        assert torch.autograd.gradcheck(lambda r: loss.compare(r, photo), (result,), atol=1e-5, fast_mode=True)


def test_a_backbone_in_bf16_is_cast_once_and_is_no_part_of_the_loss() -> None:
    options = PerceptualOptions(backbone="efficientnet_lite0")
    loss = build(options, BuildContext(label_map=NO_LABELS, attribute_names=(), size=32))
    before = loss.state_dict().keys(), dict(loss.named_buffers()).keys()
    half, image = loss.in_half(), torch.rand(1, 3, 32, 32)
    assert loss.in_half() is half
    assert {buffer.dtype for buffer in half.buffers()} == {torch.bfloat16}
    assert (loss.state_dict().keys(), dict(loss.named_buffers()).keys()) == before
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, wanted = half(image), loss.backbone(image)
    for name, feature in wanted.items():
        assert torch.equal(found[name], feature)
