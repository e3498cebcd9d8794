from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch
from skimage.color import deltaE_cie76, rgb2lab

from facekit.interfaces import Condition, FacekitError, Generated, Observation, Reference
from facekit_metrics.options import StyleConsistencyOptions
from facekit_metrics.style import build_consistency as build
from facekit_metrics.style import mean_difference, region_colours, wasserstein_distance

LOOKS = [1, 2, 3, 4, 5, 0]
BOTH = StyleConsistencyOptions(regions=("skin", "hair"))


@pytest.fixture
def masks() -> torch.Tensor:
    """Skin of another size in each picture, hair in all but the first."""
    masks = torch.zeros(6, 32, 32, dtype=torch.long)
    for index in range(6):
        masks[index, 8 : 16 + index] = 1
        if index:
            masks[index, 24:] = 2
    return masks


class TestWasserstein:
    @pytest.mark.parametrize(("count", "other"), [(50, 50), (7, 90), (1, 5)])
    def test_against_scipy(self, count: int, other: int) -> None:
        random = torch.Generator().manual_seed(0)
        one, two = torch.randn(count, 3, generator=random), torch.randn(other, 3, generator=random) * 2 + 1
        expected = [scipy.stats.wasserstein_distance(one[:, c].double(), two[:, c].double()) for c in range(3)]
        assert wasserstein_distance(one, two).tolist() == pytest.approx(expected, rel=1e-6)

    def test_ties_and_equal_samples(self) -> None:
        one = torch.tensor([[0.0], [0.0], [1.0], [1.0]])
        assert wasserstein_distance(one, one.flip(0)).item() == 0
        assert wasserstein_distance(one, torch.tensor([[0.5]])).item() == 0.5

    def test_exception(self) -> None:
        with pytest.raises(ValueError, match="empty"):
            wasserstein_distance(torch.zeros(0, 3), torch.zeros(4, 3))


class TestRegions:
    def test_colours_are_those_of_skimage(self, pictures, masks) -> None:  # type: ignore[no-untyped-def]
        photo, mask = pictures[0][2], masks[2]
        expected = rgb2lab(((photo.permute(1, 2, 0).double().numpy()) + 1) / 2)[mask.numpy() == 1]
        (found,) = region_colours(photo, mask, classes=[1], smallest_share=0.01)
        assert found is not None
        np.testing.assert_allclose(found.numpy(), expected, atol=2e-2)
        (other,) = region_colours(pictures[1][2], mask, classes=[1], smallest_share=0.01)
        assert other is not None
        expected_mean = deltaE_cie76(found.numpy().mean(0), other.numpy().mean(0))
        assert mean_difference(found, other) == pytest.approx(float(expected_mean))

    def test_a_region_that_is_too_small_has_none(self, pictures, masks) -> None:  # type: ignore[no-untyped-def]
        assert region_colours(pictures[0][0], masks[0], classes=[2], smallest_share=0.01) == [None]
        assert region_colours(pictures[0][0], masks[0], classes=[1], smallest_share=0.5) == [None]

    def test_exception(self, pictures) -> None:  # type: ignore[no-untyped-def]
        with pytest.raises(ValueError, match="does not fit"):
            region_colours(pictures[0][0], torch.zeros(8, 8, dtype=torch.long), classes=[1], smallest_share=0.1)


class TestMetric:
    def test_regions_that_both_pictures_show(self, pictures, masks, show, context) -> None:  # type: ignore[no-untyped-def]
        photos, results = pictures
        found = []
        for batch in (1, 4, 6):
            metric = build(BOTH, context)
            show(metric, results, photos, masks, task="style_copy", references=LOOKS, batch=batch)
            found.append(metric.compute())
        assert found[0] == found[1] == found[2]
        by_name = {entry.name: entry for entry in found[0]}
        names = [
            f"style_consistency/style_copy/{measure}/{part}"
            for measure in ("lab_mean", "wasserstein")
            for part in ("mean", "skin", "hair")
        ]
        assert list(by_name) == names
        # Face 0 has no hair: neither as the mask of result 0 nor as the look of result 5.
        assert [by_name[name].count for name in names] == [6, 6, 4, 6, 6, 4]
        (mine,) = region_colours(results[1], masks[1], classes=[2], smallest_share=1 / 512)
        (other,) = region_colours(photos[2], masks[2], classes=[2], smallest_share=1 / 512)
        assert mine is not None
        assert other is not None
        assert by_name[names[2]].per_sample[0] == pytest.approx(mean_difference(mine, other))
        assert by_name[names[5]].per_sample[0] == pytest.approx(float(wasserstein_distance(mine, other).mean()))

    def test_the_reference_itself_is_at_zero_and_another_photo_is_not(self, pictures, masks, context) -> None:  # type: ignore[no-untyped-def]
        photos = pictures[0]
        values = []
        for look in (photos, photos.roll(1, 0)):
            metric = build(StyleConsistencyOptions(regions=("skin",)), context)
            condition = Condition(masks, Reference(photos, masks))
            keys = tuple(f"face{index}" for index in range(6))
            metric.update(Observation("style_copy", condition, Generated(look), photos, keys, keys))
            values.append([entry.value for entry in metric.compute()])
        assert values[0] == [0, 0]
        assert min(values[1]) > 1

    def test_the_distribution_sees_what_the_mean_does_not(self) -> None:
        flat = torch.full((100, 3), 50.0)
        spread = torch.cat((flat[:50] - 20, flat[50:] + 20))
        assert mean_difference(flat, spread) == 0
        assert wasserstein_distance(flat, spread).tolist() == [20, 20, 20]

    def test_all_regions_have_a_mean_and_all_but_two_are_details(self, pictures, masks, show, context) -> None:  # type: ignore[no-untyped-def]
        photos, results = pictures
        metric = build(StyleConsistencyOptions(), context)
        show(metric, results, photos, masks, task="style_copy", references=LOOKS)
        found = {entry.name.partition("/lab_mean/")[2]: entry for entry in metric.compute()[:4]}
        assert list(found) == ["mean", "skin", "hair", "background"]
        assert [entry.detail for entry in found.values()] == [False, False, False, True]
        skin, background, mean = (found[part].per_sample for part in ("skin", "background", "mean"))
        # Result 0 has no hair.
        assert mean[0] == pytest.approx((skin[0] + background[0]) / 2)
        assert found["mean"].count == 6

    def test_a_region_that_nobody_has(self, pictures, show, context) -> None:  # type: ignore[no-untyped-def]
        metric = build(StyleConsistencyOptions(regions=("hair",)), context)
        none = torch.zeros(6, 32, 32, dtype=torch.long)
        show(metric, pictures[1], pictures[0], none, task="style_copy", references=LOOKS)
        assert all(math.isnan(entry.value) and entry.count == 0 for entry in metric.compute())

    def test_exception(self, context) -> None:  # type: ignore[no-untyped-def]
        with pytest.raises(FacekitError, match=r"no class 'hiar'(?s:.)*did you mean 'hair'"):
            build(StyleConsistencyOptions(regions=("hiar",)), context)
        metric = build(StyleConsistencyOptions(), context)
        with pytest.raises(FacekitError, match="no results"):
            metric.compute()
        bare = Condition(torch.zeros(1, 32, 32, dtype=torch.long))
        zero = torch.zeros(1, 3, 32, 32)
        with pytest.raises(FacekitError, match="these have none"):
            metric.update(Observation("style_copy", bare, Generated(zero), zero, ("a",), ("a",)))
