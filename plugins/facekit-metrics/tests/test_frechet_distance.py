from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor

from facekit.interfaces import FacekitError
from facekit_metrics.options import FidOptions, FrechetDistanceOptions
from facekit_metrics.sets import build_fid
from facekit_metrics.sets import build_frechet_distance as build
from facekit_metrics.statistics import Gaussian, frechet_distance, gaussian, trace_of_root

MASKS = torch.zeros(6, 32, 32, dtype=torch.long)


def clouds(count: int, other: int, dimension: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two sets of correlated vectors, as features are."""
    random = torch.Generator().manual_seed(seed)
    mix = torch.randn(dimension, dimension, generator=random) / dimension**0.5
    one = torch.randn(count, dimension, generator=random) @ mix
    return one.relu(), (torch.randn(other, dimension, generator=random) @ mix * 1.3 + 0.2).relu()


def by_scipy(one: Tensor, other: Tensor) -> float:
    means = [sample.double().numpy().mean(0) for sample in (one, other)]
    spreads = [np.cov(sample.double().numpy(), rowvar=False) for sample in (one, other)]
    root = scipy.linalg.sqrtm(spreads[0] @ spreads[1])
    return float(((means[0] - means[1]) ** 2).sum() + np.trace(spreads[0] + spreads[1] - 2 * root.real))


class TestStatistics:
    def test_against_numpy(self) -> None:
        one, _ = clouds(40, 2, 12)
        found = gaussian(one)
        np.testing.assert_allclose(found.mean.numpy(), one.double().numpy().mean(0), rtol=1e-12)
        np.testing.assert_allclose(found.covariance.numpy(), np.cov(one.double().numpy(), rowvar=False), rtol=1e-10)
        assert found.count == 40

    def test_exception(self) -> None:
        with pytest.raises(ValueError, match="no covariance"):
            gaussian(torch.zeros(1, 4))


class TestScalar:
    def test_against_scipy_and_torch_fidelity(self) -> None:
        from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

        one, other = clouds(300, 200, 48)
        ours = frechet_distance(gaussian(one), gaussian(other))
        assert ours == pytest.approx(by_scipy(one, other), rel=1e-9)
        theirs = fid_statistics_to_metric(*(fid_features_to_statistics(each.double()) for each in (one, other)), False)
        assert ours == pytest.approx(theirs["frechet_inception_distance"], rel=1e-6)

    def test_against_torchmetrics(self) -> None:
        from torchmetrics.image.fid import _compute_fid

        one, other = (gaussian(each) for each in clouds(120, 90, 27))
        theirs = _compute_fid(one.mean, one.covariance, other.mean, other.covariance)
        assert frechet_distance(one, other) == pytest.approx(float(theirs), rel=1e-6)

    def test_by_hand(self) -> None:
        one = Gaussian(torch.zeros(2).double(), torch.diag(torch.tensor([4.0, 9.0])).double(), 9)
        other = Gaussian(torch.tensor([3.0, 4.0]).double(), torch.diag(torch.tensor([1.0, 1.0])).double(), 9)
        assert frechet_distance(one, other) == pytest.approx(25 + 1 + 4)

    def test_equal_sets_are_at_zero(self) -> None:
        one, _ = clouds(30, 2, 64)
        assert frechet_distance(gaussian(one), gaussian(one)) == pytest.approx(0, abs=1e-9)

    @pytest.mark.parametrize(("count", "other"), [(20, 15), (20, 300), (300, 20), (2, 2)])
    def test_covariances_without_full_rank(self, count: int, other: int) -> None:
        one, two = clouds(count, other, 96, seed=1)
        # Exactly: the trace is the sum of the singular values of the product of the centred vectors.
        centred = [(each.double() - each.double().mean(0)) / (len(each) - 1) ** 0.5 for each in (one, two)]
        expected = float(torch.linalg.svdvals(centred[0] @ centred[1].T).sum())
        found = trace_of_root(gaussian(one).covariance, gaussian(two).covariance)
        assert found == pytest.approx(expected, rel=1e-7)

    def test_pictures_that_are_all_equal(self) -> None:
        flat = gaussian(torch.ones(5, 8))
        assert trace_of_root(flat.covariance, flat.covariance) == 0
        assert frechet_distance(flat, gaussian(torch.zeros(5, 8))) == 8


class TestMetric:
    def options(self, **changes: object) -> FrechetDistanceOptions:
        return FrechetDistanceOptions(**{"task": "reconstruction", "allow_few_pictures": True, **changes})

    def test_batches_change_no_bit(self, pictures, show, with_photos) -> None:  # type: ignore[no-untyped-def]
        photos, results = pictures
        found = []
        for batch in (1, 4, 6):
            metric = build(self.options(), with_photos({"test": photos}))
            show(metric, results, photos, MASKS, batch=batch)
            found.append(metric.compute())
        assert found[0] == found[1] == found[2]
        (measurement,) = found[0]
        assert measurement.name == "FD-efficientnet_lite0/reconstruction"
        assert measurement.count == 6
        assert measurement.protocol["results"] == "6"
        assert measurement.protocol["real"].startswith("6 photos of test, sha256 ")

    def test_the_protocol_is_that_of_split_and_number(self, pictures, show, with_photos) -> None:  # type: ignore[no-untyped-def]
        photos, results = pictures
        context = with_photos({"test": photos, "train": results})
        protocols = []
        for options, count in ((self.options(), 6), (self.options(real="train"), 6), (self.options(), 5)):
            metric = build(options, context)
            show(metric, results[:count], photos[:count], MASKS[:count])
            protocols.append(tuple(sorted(metric.compute()[0].protocol.items())))
        assert len(set(protocols)) == 3

    def test_fid_is_over_inception_only(self, pictures, show, with_photos, inception_weights) -> None:  # type: ignore[no-untyped-def]
        photos, results = pictures
        options = FidOptions(task="reconstruction", allow_few_pictures=True, weights=str(inception_weights))
        metric = build_fid(options, with_photos({"test": photos[:2]}))
        show(metric, results[:2], photos[:2], MASKS)
        (measurement,) = metric.compute()
        assert measurement.name == "FID/reconstruction"
        assert measurement.protocol["extractor"].startswith("Inception v3 of 2015")
        # From torch-fidelity's own network and statistics; the resize is ours.
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
        from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

        theirs = FeatureExtractorInceptionV3("x", ["2048"], feature_extractor_weights_path=str(inception_weights))
        sets = []
        for images in (results[:2], photos[:2]):
            levels = torch.nn.functional.interpolate(images, 299, mode="bicubic", antialias=True) * 127.5 + 127.5
            sets.append(_beyond_8_bits(theirs, levels))
        expected = fid_statistics_to_metric(*(fid_features_to_statistics(each.double()) for each in sets), False)
        assert measurement.value == pytest.approx(expected["frechet_inception_distance"], rel=1e-3)

    def test_exception_too_few_pictures(self, pictures, show, with_photos, inception_weights) -> None:  # type: ignore[no-untyped-def]
        context = with_photos({"test": pictures[0]})
        with pytest.raises(FacekitError, match=r"6 real photos in 320 dimensions(?s:.)*kid(?s:.)*allow_few_pictures"):
            build(FrechetDistanceOptions(), context)
        with pytest.raises(FacekitError, match="6 real photos in 2048 dimensions"):
            build_fid(FidOptions(weights=str(inception_weights)), context)
        # Enough real photos, and too few results.
        many = with_photos({"train": torch.zeros(400, 3, 1, 1), "test": pictures[0]})
        with pytest.raises(FacekitError, match="6 results in 320 dimensions"):
            build(FrechetDistanceOptions(real="train"), many)
        metric = build(self.options(), context)
        with pytest.raises(FacekitError, match="no results"):
            metric.compute()
        show(metric, pictures[1][:1], pictures[0][:1], MASKS)
        with pytest.raises(FacekitError, match="1 results"):
            metric.compute()

    def test_exception_no_such_split(self, pictures, with_photos) -> None:  # type: ignore[no-untyped-def]
        with pytest.raises(FacekitError, match="no photos in a split 'trian'"):
            build(self.options(real="trian"), with_photos({"test": pictures[0]}))


def _beyond_8_bits(network: torch.nn.Module, levels: Tensor) -> Tensor:
    """Return what torch-fidelity's network says of pictures that are not rounded, from its own layers."""
    hidden = (levels - 128) / 128
    for name in ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "MaxPool_1", "Conv2d_3b_1x1", "Conv2d_4a_3x3"):
        hidden = getattr(network, name)(hidden)
    hidden = network.MaxPool_2(hidden)  # type: ignore[operator]
    for name in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c"):
        hidden = getattr(network, f"Mixed_{name}")(hidden)
    return hidden.mean((2, 3)).detach()
