"""Feature extractors: against other implementations, shared, kept, and refused when they are not what they say."""

from __future__ import annotations

import gc
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from facekit.interfaces import Condition, FacekitError, Generated, Observation
from facekit_backbones.efficientnet_lite0 import packaged_weights
from facekit_metrics.features.extractor import Resize, bicubic_antialiased, efficientnet_lite0, extractor, inception
from facekit_metrics.features.inception import FILES, VARIABLE, Inception, find_weights
from facekit_metrics.features.sets import ResultFeatures, real_features


def eight_bits(count: int, size: int, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, size, size), generator=random, dtype=torch.uint8)


def unit(pixels: Tensor) -> Tensor:
    return pixels.float() / 127.5 - 1


class TestResize:
    @pytest.mark.parametrize("size", [(64, 299), (512, 224), (300, 299)])
    def test_it_is_that_of_pillow_on_floats(self, size: tuple[int, int]) -> None:
        before, after = size
        pixels = eight_bits(1, before)[0]
        expected = np.stack(
            [
                np.asarray(Image.fromarray(plane.astype(np.float32)).resize((after, after), Image.Resampling.BICUBIC))
                for plane in pixels.numpy()
            ]
        )
        ours = bicubic_antialiased(pixels.float().unsqueeze(0), after)[0].numpy()
        np.testing.assert_allclose(ours, expected, atol=1e-2)  # of 255
        assert after < before or (ours.min() < 0 and ours.max() > 255)  # not clamped

    def test_pictures_of_that_size_stay_as_they_are(self) -> None:
        pictures = unit(eight_bits(1, 32))
        assert torch.equal(bicubic_antialiased(pictures, 32), pictures)

    def test_another_resize_is_another_value_and_another_protocol(self, pictures: tuple[Tensor, Tensor]) -> None:
        nearest = Resize("nearest", lambda image, side: torch.nn.functional.interpolate(image, side, mode="nearest"))
        ours, other = (efficientnet_lite0(packaged_weights(), **how) for how in ({}, {"resize": nearest}))
        assert not torch.allclose(ours(pictures[0]), other(pictures[0]), rtol=1e-2)
        assert ours.protocol["resize"] != other.protocol["resize"]
        assert ours.id != other.id


class TestInception:
    def test_it_is_that_of_torch_fidelity(self, inception_weights: Path) -> None:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        theirs = FeatureExtractorInceptionV3("x", ["2048"], feature_extractor_weights_path=str(inception_weights))
        pixels = eight_bits(2, 299)
        (expected,) = theirs(pixels)
        ours = inception(inception_weights)(unit(pixels))
        assert ours.shape == (2, 2048)
        assert float(expected.std()) > 1e-3
        torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
        # The two pictures' features differ by far more than the two implementations do.
        assert float((expected[0] - expected[1]).norm()) > 100 * float((ours - expected).norm())

    def test_exception_weights_of_another_network(self, inception_weights: Path, tmp_path: Path) -> None:
        state = torch.load(inception_weights, weights_only=True)
        torchvision = tmp_path / "torchvision.pth"
        torch.save({**state, "fc.weight": torch.zeros(1000, 2048)}, torchvision)
        with pytest.raises(FacekitError, match=r"'fc.weight' has shape \(1000, 2048\).*not the weights of 2015"):
            Inception(torchvision)
        missing = tmp_path / "missing.pth"
        torch.save({"fc.weight": state["fc.weight"]}, missing)
        with pytest.raises(FacekitError, match=r"'Conv2d_1a_3x3\.conv\.weight' is missing"):
            Inception(missing)
        damaged = tmp_path / "damaged.pth"
        damaged.write_bytes(inception_weights.read_bytes()[:100_000])
        with pytest.raises(FacekitError, match="cannot be read"):
            Inception(damaged)

    def test_exception_pickles_are_not_run(self, tmp_path: Path) -> None:
        file = tmp_path / "weights.pth"
        torch.save({"fc.weight": Path("x")}, file)
        with pytest.raises(FacekitError, match="cannot be read"):
            Inception(file)


class TestFindingWeights:
    @pytest.fixture(autouse=True)
    def _nothing_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv(VARIABLE, raising=False)
        monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
        monkeypatch.setenv("FACEKIT_CACHE", str(tmp_path / "facekit"))

    @pytest.mark.parametrize("place", ["torch/hub/checkpoints", "facekit/weights"])
    @pytest.mark.parametrize("name", FILES)
    def test_the_usual_caches(self, place: str, name: str, tmp_path: Path) -> None:
        file = tmp_path / place / name
        file.parent.mkdir(parents=True)
        file.touch()
        assert find_weights() == file

    def test_the_option_goes_before_the_variable(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        one, other = tmp_path / "one", tmp_path / "other"
        one.touch()
        other.touch()
        monkeypatch.setenv(VARIABLE, str(other))
        assert find_weights() == other
        assert find_weights(str(one)) == one

    def test_exception(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(FacekitError) as caught:
            find_weights()
        for word in (*FILES, VARIABLE, str(tmp_path / "torch" / "hub" / "checkpoints"), "kid"):
            assert word in str(caught.value)
        with pytest.raises(FacekitError, match="`weights:` names are not there"):
            find_weights(str(tmp_path / "nothing"))
        monkeypatch.setenv(VARIABLE, str(tmp_path / "nothing"))
        with pytest.raises(FacekitError, match=f"{VARIABLE} names are not there"):
            find_weights()


class TestSharing:
    def test_one_pass_for_metrics_over_one_extractor(self, pictures: tuple[Tensor, Tensor]) -> None:
        found = extractor("efficientnet_lite0")
        assert extractor("efficientnet_lite0") is found
        passes: list[int] = []
        handle = found._network.register_forward_hook(lambda *_: passes.append(1))
        photos = pictures[0].clone()
        first = found(photos)
        assert found(photos) is first
        assert len(passes) == 6
        photos[0] += 0.5
        assert not torch.equal(found(photos)[0], first[0])
        assert len(passes) == 12
        handle.remove()

    def test_nothing_is_held_for_ever(self) -> None:
        found = extractor("efficientnet_lite0")
        found(torch.zeros(1, 3, 32, 32))
        gc.collect()
        assert len(found._seen) == 0

    def test_the_batch_size_does_not_matter_to_the_last_bit(self, pictures: tuple[Tensor, Tensor]) -> None:
        found = extractor("efficientnet_lite0")
        whole = found(pictures[0].clone())
        assert torch.equal(whole, torch.cat([found(part.clone()) for part in pictures[0].split(4)]))

    def test_the_number_of_processes_does_not_matter(self, pictures: tuple[Tensor, Tensor], tmp_path: Path) -> None:
        whole = extractor("efficientnet_lite0")(pictures[0].clone())
        halves = []
        for index, half in enumerate(pictures[0].split(3)):
            torch.save(half.clone(), tmp_path / f"in{index}")
            paths = [str(tmp_path / f"{name}{index}") for name in ("in", "out")]
            halves.append(subprocess.Popen([sys.executable, "-c", IN_A_PROCESS, *paths]))
        assert [process.wait(timeout=300) for process in halves] == [0, 0]
        found = [torch.load(tmp_path / f"out{index}", weights_only=True) for index in range(2)]
        assert torch.equal(torch.cat(found), whole)

    def test_real_weights_tell_real_faces_apart(self, real_photos: Tensor) -> None:
        features = extractor("efficientnet_lite0")(real_photos[:8])
        blurred = torch.nn.functional.avg_pool2d(real_photos[:8], 3, 1, 1)
        others = extractor("efficientnet_lite0")(blurred)
        distances = torch.cdist(others, features)
        assert torch.equal(distances.argmin(1), torch.arange(8))


IN_A_PROCESS = """
import sys, torch
from facekit_metrics.features.extractor import extractor

torch.save(extractor("efficientnet_lite0")(torch.load(sys.argv[1], weights_only=True)), sys.argv[2])
"""


def observation(images: Tensor, keys: tuple[str, ...]) -> Observation:
    condition = Condition(torch.zeros(len(images), 32, 32, dtype=torch.long))
    return Observation("style_copy", condition, Generated(images), images, keys, keys)


class TestSets:
    def test_results_come_in_the_order_of_their_keys(self, pictures: tuple[Tensor, Tensor]) -> None:
        found = extractor("efficientnet_lite0")
        results = ResultFeatures(found)
        results.update(observation(pictures[0][:2].clone(), ("c", "a")))
        results.update(observation(pictures[0][2:3].clone(), ("b",)))
        collected = results.collected("x")
        assert collected.keys == (("a", "a"), ("b", "b"), ("c", "c"))
        assert torch.equal(collected.features, found(pictures[0][[1, 2, 0]]))
        with pytest.raises(FacekitError, match="mask of 'a' in the style of 'a' came twice"):
            results.update(observation(pictures[0][:1], ("a",)))

    def test_features_of_photos_are_kept_by_content(self, pictures, with_photos, tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
        monkeypatch.setenv("FACEKIT_CACHE", str(tmp_path))
        monkeypatch.setattr("facekit_metrics.features.sets.PHOTOS_AT_A_TIME", 4)
        photos = with_photos({"test": pictures[0]}).real_photos("test")
        found = extractor("efficientnet_lite0")
        first = real_features(found, photos, torch.device("cpu"))
        assert photos.read_parts == [(0, 4), (4, 6)]
        assert torch.equal(first.features, found(pictures[0].clone()))
        assert first.keys == tuple((key,) for key in photos.keys)
        again = real_features(found, photos, torch.device("cpu"))
        assert torch.equal(again.features, first.features)
        assert len(photos.read_parts) == 2
        # Other pixels are other files, and so is another extractor.
        changed = with_photos({"test": torch.cat((pictures[0][:4], pictures[1][4:]))}).real_photos("test")
        assert not torch.equal(real_features(found, changed, torch.device("cpu")).features, first.features)
        assert changed.read_parts == [(4, 6)]
        other = efficientnet_lite0(packaged_weights(), resize=replace(_resize(), name="another"))
        real_features(other, photos, torch.device("cpu"))
        assert len(photos.read_parts) == 4

    def test_damaged_files_are_made_again(self, pictures, with_photos, tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
        monkeypatch.setenv("FACEKIT_CACHE", str(tmp_path))
        photos = with_photos({"test": pictures[0]}).real_photos("test")
        found = extractor("efficientnet_lite0")
        first = real_features(found, photos, torch.device("cpu"))
        (file,) = (tmp_path / "features").rglob("*.safetensors")
        whole = file.read_bytes()
        file.write_bytes(whole[:200])
        assert torch.equal(real_features(found, photos, torch.device("cpu")).features, first.features)
        assert file.read_bytes() == whole
        shutil.rmtree(tmp_path / "features")

    def test_exception(self) -> None:
        with pytest.raises(FacekitError, match="kid was given no results"):
            ResultFeatures(extractor("efficientnet_lite0")).collected("kid")


def _resize() -> Resize:
    from facekit_metrics.features.extractor import BICUBIC_ANTIALIASED

    return BICUBIC_ANTIALIASED
