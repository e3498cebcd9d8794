from __future__ import annotations

import math

import pytest
import scipy.stats
import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from facekit.interfaces import FacekitError
from facekit_metrics.options import NearestTrainingNeighbourOptions
from facekit_metrics.sets import build_nearest as build
from facekit_metrics.statistics import nearer_than, nearest

MASKS = torch.zeros(6, 32, 32, dtype=torch.long)
LOOKS = [1, 2, 3, 4, 5, 0]


def clouds() -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    return torch.randn(20, 8, generator=random), torch.randn(50, 8, generator=random)


def test_distances_are_those_of_sklearn() -> None:
    one, other = clouds()
    expected = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(other.double().numpy())
    found = nearest(one, other, barred=torch.zeros(20, 50, dtype=torch.bool))
    assert found.tolist() == pytest.approx(expected.kneighbors(one.double().numpy())[0][:, 0].tolist(), rel=1e-6)


def test_barred_photos_do_not_count() -> None:
    one, other = clouds()
    free = nearest(other, other, barred=torch.zeros(50, 50, dtype=torch.bool))
    own = nearest(other, other, barred=torch.eye(50, dtype=torch.bool))
    assert (free == 0).all()
    assert (own > 0).all()
    assert math.isinf(float(nearest(one, other, barred=torch.ones(20, 50, dtype=torch.bool)).min()))


def test_the_share_is_the_statistic_of_mann_and_whitney() -> None:
    one, other = torch.tensor([0.1, 0.5, 0.5, 2.0]), torch.tensor([0.5, 0.7, 1.0, 0.2, 3.0])
    statistic = scipy.stats.mannwhitneyu(other.numpy(), one.numpy()).statistic
    assert sum(nearer_than(one, other)) / 4 == pytest.approx(statistic / 20)
    assert nearer_than(torch.zeros(3), other) == [1.0] * 3


class TestMetric:
    @pytest.fixture
    def photos(self) -> Tensor:
        random = torch.Generator().manual_seed(5)
        coarse = torch.rand(24, 3, 5, 5, generator=random) * 2 - 1
        return torch.nn.functional.interpolate(coarse, size=32, mode="bilinear")

    def measured(self, show, context, results: Tensor, photos: Tensor, **how: object) -> dict[str, float]:  # type: ignore[no-untyped-def]
        metric = build(NearestTrainingNeighbourOptions(**how), context)
        show(metric, results, photos, MASKS, task="style_copy", references=LOOKS)
        return {
            entry.name.replace("nearest_training_neighbour-efficientnet_lite0/", ""): entry.value
            for entry in metric.compute()
        }

    def test_copies_are_caught_and_new_faces_are_not(self, photos, show, with_photos) -> None:  # type: ignore[no-untyped-def]
        test, training, new = photos[:6], photos[6:18], photos[18:]
        context = with_photos({"test": test, "train": training})
        copies = self.measured(show, context, training[:6], test)
        assert copies["style_copy/distance"] == 0
        assert copies["style_copy/nearer_than_real"] == 1
        fresh = self.measured(show, context, new, test)
        assert 0.2 < fresh["style_copy/nearer_than_real"] < 0.8
        assert fresh["real_photos/distance"] == copies["real_photos/distance"] > 0
        # Results and real photos swapped: real photos that are training photos cannot be copied more than they are.
        swapped = self.measured(show, with_photos({"test": training[:6], "train": training}), test, training[:6])
        assert swapped["style_copy/nearer_than_real"] < 0.8

    def test_evaluated_training_photos_are_not_their_own_neighbours(self, photos, show, with_photos) -> None:  # type: ignore[no-untyped-def]
        context = with_photos({"train": photos}, evaluated="train")
        own = self.measured(show, context, photos[:6], photos[:6])
        assert own["style_copy/distance"] > 0
        assert own["real_photos/distance"] > 0

    def test_batches_change_no_bit(self, photos, show, with_photos) -> None:  # type: ignore[no-untyped-def]
        found = []
        for batch in (1, 4, 6):
            context = with_photos({"test": photos[:6], "train": photos[6:18]})
            metric = build(NearestTrainingNeighbourOptions(), context)
            show(metric, photos[18:], photos[:6], MASKS, task="style_copy", references=LOOKS, batch=batch)
            found.append(metric.compute())
        assert found[0] == found[1] == found[2]
        assert found[0][0].protocol["training"].startswith("12 photos of train, sha256")

    def test_exception(self, photos, show, with_photos) -> None:  # type: ignore[no-untyped-def]
        with pytest.raises(FacekitError, match="no photos in a split 'train'"):
            build(NearestTrainingNeighbourOptions(), with_photos({"test": photos}))
        context = with_photos({"train": photos[:2]}, evaluated="train")
        with pytest.raises(FacekitError, match="no other photo in the train split"):
            self.measured(show, context, photos[:6], photos[:6])
        with pytest.raises(FacekitError, match="no results"):
            build(NearestTrainingNeighbourOptions(), context).compute()
