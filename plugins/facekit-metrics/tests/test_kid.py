from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics.pairwise import polynomial_kernel as sklearn_kernel
from torch import Tensor

from facekit.interfaces import FacekitError
from facekit_metrics.options import KidOptions
from facekit_metrics.sets import build_kid as build
from facekit_metrics.statistics import polynomial_kernel, squared_mmd, subset_distances

MASKS = torch.zeros(6, 32, 32, dtype=torch.long)


def clouds(count: int, other: int, *, shift: float = 0.0) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    return torch.randn(count, 16, generator=random), torch.randn(other, 16, generator=random) + shift


def test_the_kernel_is_that_of_sklearn() -> None:
    one, other = clouds(9, 7)
    expected = sklearn_kernel(one.double().numpy(), other.double().numpy(), degree=3, coef0=1)
    np.testing.assert_allclose(polynomial_kernel(one, other).numpy(), expected, rtol=1e-12)


def test_the_estimate_is_that_of_torch_fidelity_and_torchmetrics() -> None:
    from torch_fidelity.metric_kid import mmd2
    from torchmetrics.image.kid import poly_mmd

    one, other = clouds(40, 40, shift=0.3)
    kernels = [polynomial_kernel(*pair).numpy() for pair in ((one, one), (one, other), (other, other))]
    assert squared_mmd(one, other) == pytest.approx(mmd2(*kernels), rel=1e-9)
    assert squared_mmd(one, other) == pytest.approx(float(poly_mmd(one.double(), other.double())), rel=1e-6)


def test_sets_of_different_sizes_by_hand() -> None:
    one, other = clouds(5, 8, shift=0.5)
    within = [
        np.mean([kernel[i, j] for i in range(len(kernel)) for j in range(len(kernel)) if i != j])
        for kernel in (polynomial_kernel(each, each).numpy() for each in (one, other))
    ]
    expected = sum(within) - 2 * polynomial_kernel(one, other).numpy().mean()
    assert squared_mmd(one, other) == pytest.approx(expected, rel=1e-10)


def test_it_has_no_bias_where_the_frechet_distance_has() -> None:
    from facekit_metrics.statistics import frechet_distance, gaussian

    pool, others = clouds(2000, 2000)
    kernel, frechet = {}, {}
    for size in (20, 200):
        pairs = list(zip(pool.split(size), others.split(size)))[:10]
        kernel[size] = np.mean([squared_mmd(*pair) for pair in pairs])
        frechet[size] = np.mean([frechet_distance(*(gaussian(each) for each in pair)) for pair in pairs])
    assert frechet[20] > 5 * frechet[200]
    # Both sets are of one distribution: 0 but for chance, a tenth of what a shift of half a deviation gives.
    shifted = squared_mmd(pool, others + 0.5)
    assert abs(kernel[20]) < shifted / 10
    assert abs(kernel[200]) < shifted / 10


def test_subsets_are_seeded_and_have_their_size() -> None:
    one, other = clouds(30, 25, shift=0.3)
    found = subset_distances(one, other, subsets=5, size=10)
    assert found == subset_distances(one, other, subsets=5, size=10)
    assert len(set(found)) == 5
    assert subset_distances(one, other, subsets=5, size=12) != found
    whole = subset_distances(one[:25], other, subsets=2, size=25)
    assert whole == pytest.approx([squared_mmd(one[:25], other)] * 2)


class TestMetric:
    def test_batches_change_no_bit(self, pictures, show, with_photos) -> None:  # type: ignore[no-untyped-def]
        photos, results = pictures
        found = []
        for batch in (1, 4, 6):
            metric = build(KidOptions(task="reconstruction", subsets=10), with_photos({"test": photos}))
            show(metric, results, photos, MASKS, batch=batch)
            found.append(metric.compute())
        assert found[0] == found[1] == found[2]
        mean, deviation = found[0]
        assert mean.name == "KID-efficientnet_lite0/reconstruction"
        assert deviation.name == "KID-efficientnet_lite0/reconstruction/deviation"
        assert mean.protocol["subsets"] == "10 of 3 pictures, seed 2018"
        assert mean.count == 6
        features = [metric.extractor(each) for each in (results, photos)]
        expected = subset_distances(*features, subsets=10, size=3)
        assert (mean.value, deviation.value) == pytest.approx((np.mean(expected), np.std(expected, ddof=1)))

    def test_another_size_is_another_protocol(self, pictures, show, with_photos) -> None:  # type: ignore[no-untyped-def]
        protocols = []
        for size in (2, 4):
            options = KidOptions(task="reconstruction", subsets=3, subset_size=size)
            metric = build(options, with_photos({"test": pictures[0]}))
            show(metric, pictures[1], pictures[0], MASKS)
            protocols.append(metric.compute()[0].protocol)
        assert protocols[0] != protocols[1]

    def test_exception(self, pictures, with_photos) -> None:  # type: ignore[no-untyped-def]
        with pytest.raises(FacekitError, match="subsets of 1000 from 6 pictures\n  set subset_size to 3"):
            build(KidOptions(subset_size=1000), with_photos({"test": pictures[0]}))
        with pytest.raises(FacekitError, match="there are 3"):
            build(KidOptions(), with_photos({"test": pictures[0][:3]}))
        with pytest.raises(FacekitError, match="no results"):
            build(KidOptions(), with_photos({"test": pictures[0]})).compute()
        with pytest.raises(ValueError, match="subsets of 7"):
            subset_distances(*clouds(6, 9), subsets=1, size=7)
        with pytest.raises(ValueError, match="fewer than two"):
            squared_mmd(*clouds(1, 9))
