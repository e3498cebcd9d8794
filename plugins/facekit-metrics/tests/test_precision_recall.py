"""Precision and recall, density and coverage: against scikit-learn and torch-fidelity, and not the wrong way round."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from facekit.interfaces import FacekitError
from facekit_metrics.options import DensityCoverageOptions, PrecisionRecallOptions
from facekit_metrics.sets import build_density_coverage, build_precision_recall
from facekit_metrics.statistics import covered, densities, in_blocks, inside, radii

MASKS = torch.zeros(6, 32, 32, dtype=torch.long)


@pytest.fixture
def sets() -> tuple[Tensor, Tensor]:
    """Results (40, 6) that show half of what the real photos (60, 6) show."""
    random = torch.Generator().manual_seed(0)
    real = torch.randn(60, 6, generator=random)
    real[30:, 0] += 8
    return torch.randn(40, 6, generator=random) * 0.8, real


def sklearn_radii(features: Tensor, k: int) -> np.ndarray:
    found = NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(features.double().numpy())
    return found.kneighbors(features.double().numpy())[0][:, k]


def sklearn_distances(one: Tensor, other: Tensor) -> np.ndarray:
    found = NearestNeighbors(n_neighbors=len(other), algorithm="brute").fit(other.double().numpy())
    distances, rows = found.kneighbors(one.double().numpy())
    table = np.empty_like(distances)
    np.put_along_axis(table, rows, distances, 1)
    return table


class TestDistances:
    @pytest.mark.parametrize("at_a_time", [1, 130, 1 << 24])
    def test_blocks_are_those_of_sklearn(self, at_a_time, sets, monkeypatch) -> None:  # type: ignore[no-untyped-def]
        monkeypatch.setattr("facekit_metrics.statistics._NUMBERS_AT_A_TIME", at_a_time)
        results, real = sets
        table = torch.cat([distances for _, distances in in_blocks(results, real)])
        np.testing.assert_allclose(table.numpy(), sklearn_distances(results, real), rtol=1e-6)
        np.testing.assert_allclose(radii(real, 3).numpy(), sklearn_radii(real, 3), rtol=1e-6)

    def test_equal_vectors_are_exactly_at_zero(self, sets) -> None:  # type: ignore[no-untyped-def]
        large = sets[1] * 1000 + 5000
        (_, distances), *_ = in_blocks(large, large)
        assert (distances.diagonal() == 0).all()

    def test_exception(self) -> None:
        with pytest.raises(ValueError, match="no neighbour 3 among 3"):
            radii(torch.zeros(3, 2), 3)


class TestPrecisionRecall:
    def test_against_torch_fidelity(self, sets) -> None:  # type: ignore[no-untyped-def]
        from torch_fidelity.metric_prc import calculate_precision_recall_full

        results, real = sets
        expected = calculate_precision_recall_full(results.double(), real.double(), neighborhood=3)
        ours = (
            inside(results, real, radii(real, 3)).double().mean().item(),
            inside(real, results, radii(results, 3)).double().mean().item(),
        )
        assert ours == pytest.approx(expected, abs=1e-6)
        # Results that show half of the photos are precise and do not recall; swapped it is the other way round.
        assert ours[0] > 0.8
        assert ours[1] < 0.55

    def test_against_sklearn(self, sets) -> None:  # type: ignore[no-untyped-def]
        results, real = sets
        expected = (sklearn_distances(results, real) <= sklearn_radii(real, 3)).any(1)
        assert inside(results, real, radii(real, 3)).tolist() == expected.tolist()


class TestDensityCoverage:
    def test_against_sklearn(self, sets) -> None:  # type: ignore[no-untyped-def]
        results, real = sets
        reach = radii(real, 5)
        table, bound = sklearn_distances(results, real), sklearn_radii(real, 5)
        assert densities(results, real, reach, k=5).tolist() == pytest.approx(((table < bound).sum(1) / 5).tolist())
        assert covered(results, real, reach).tolist() == (table.min(0) < bound).tolist()

    def test_swapped_sets_give_other_values(self, sets) -> None:  # type: ignore[no-untyped-def]
        results, real = sets
        right = covered(results, real, radii(real, 5)).double().mean()
        swapped = covered(real, results, radii(results, 5)).double().mean()
        assert right < 0.55
        assert swapped > 0.8


@pytest.mark.parametrize(
    ("build", "options", "names"),
    [
        (build_precision_recall, PrecisionRecallOptions(task="reconstruction"), ["precision", "recall"]),
        (build_density_coverage, DensityCoverageOptions(task="reconstruction", k=3), ["density", "coverage"]),
    ],
)
class TestMetrics:
    def test_batches_change_no_bit(self, build, options, names, pictures, show, with_photos) -> None:  # type: ignore[no-untyped-def]
        photos, results = pictures
        found = []
        for batch in (1, 4, 6):
            metric = build(options, with_photos({"test": photos[:5]}))
            show(metric, results, photos, MASKS, batch=batch)
            found.append(metric.compute())
        assert found[0] == found[1] == found[2]
        assert [entry.name for entry in found[0]] == [f"{name}-efficientnet_lite0/reconstruction" for name in names]
        # One is a mean over results, the other over real photos; swapped sets would swap the counts.
        assert [entry.count for entry in found[0]] == [6, 5]
        assert found[0][0].protocol["k"] == "3"

    def test_results_far_from_all_photos(self, build, options, names, pictures, show, with_photos) -> None:  # type: ignore[no-untyped-def]
        metric = build(options, with_photos({"test": pictures[0]}))
        noise = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
        show(metric, noise, pictures[0], MASKS)
        assert metric.compute()[0].value == 0

    def test_exception(self, build, options, names, pictures, show, with_photos) -> None:  # type: ignore[no-untyped-def]
        metric = build(options, with_photos({"test": pictures[0][:3]}))
        with pytest.raises(FacekitError, match="no results"):
            metric.compute()
        show(metric, pictures[1], pictures[0], MASKS)
        with pytest.raises(FacekitError, match="neighbour 3 of each picture, and there are 3 real photos"):
            metric.compute()
