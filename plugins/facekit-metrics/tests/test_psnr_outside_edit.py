from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor

from facekit.interfaces import Condition, FacekitError, Generated, Observation, Reference
from facekit_metrics.fidelity import build_outside_edit as build
from facekit_metrics.fidelity import edited_region, psnr_where
from facekit_metrics.options import PsnrOutsideEditOptions


def edited(photos: Tensor, results: Tensor, target: Tensor, source: Tensor) -> Observation:
    keys = tuple(f"face{index}" for index in range(len(photos)))
    condition = Condition(target, Reference(photos, source))
    return Observation("style_copy", condition, Generated(results), photos.flip(0), keys, keys)


@pytest.fixture
def masks() -> tuple[Tensor, Tensor]:
    """Target and source (6, 32, 32), which differ in a square of another place in each."""
    source = torch.zeros(6, 32, 32, dtype=torch.long)
    source[:, 16:] = 1
    target = source.clone()
    for index in range(6):
        target[index, 4 + index : 10 + index, 3 : 12 + index] = 2
    return target, source


class TestRegion:
    @pytest.mark.parametrize("reach", [0, 1, 3])
    def test_it_is_widened_as_scipy_does(self, reach: int, masks: tuple[Tensor, Tensor]) -> None:
        differ = (masks[0] != masks[1]).numpy()
        block = np.ones((2 * reach + 1, 2 * reach + 1))
        expected = np.stack([binary_dilation(each, block) for each in differ])
        assert np.array_equal(edited_region(*masks, reach=reach).numpy(), expected)

    def test_exception(self, masks: tuple[Tensor, Tensor]) -> None:
        with pytest.raises(ValueError, match="shapes"):
            edited_region(masks[0], masks[1][:2], reach=1)
        with pytest.raises(ValueError, match="negative"):
            edited_region(*masks, reach=-1)


class TestScalar:
    def test_against_skimage(self, pictures: tuple[Tensor, Tensor], masks: tuple[Tensor, Tensor]) -> None:
        photos, results = pictures
        kept = ~edited_region(*masks, reach=2)
        found = psnr_where(results, photos, kept)
        for index in range(6):
            one, other = (each[index].double().numpy()[:, kept[index].numpy()] for each in (photos, results))
            assert found[index].item() == pytest.approx(peak_signal_noise_ratio(one, other, data_range=2))

    def test_no_pixel_is_no_number(self, pictures: tuple[Tensor, Tensor]) -> None:
        none = torch.zeros(6, 32, 32, dtype=torch.bool)
        assert psnr_where(*pictures, none).isnan().all()
        with pytest.raises(ValueError, match="do not fit"):
            psnr_where(*pictures, none[:, :8])


class TestMetric:
    def test_what_is_inside_the_edit_does_not_matter(self, pictures, masks, context) -> None:  # type: ignore[no-untyped-def]
        photos = pictures[0]
        inside = edited_region(*masks, reach=1).unsqueeze(1)
        values = []
        for results in (photos, torch.where(inside, -photos, photos), torch.where(inside, photos, photos + 0.2)):
            metric = build(PsnrOutsideEditOptions(), context)
            metric.update(edited(photos, results, *masks))
            values.append(metric.compute()[0].value)
        assert values[:2] == [100, 100]
        assert values[2] == pytest.approx(20)

    def test_batches_and_counts(self, pictures, masks, context) -> None:  # type: ignore[no-untyped-def]
        photos, results = pictures
        target = masks[0].clone()
        target[0] = 2  # differs everywhere
        found = []
        for batch in (1, 4, 6):
            metric = build(PsnrOutsideEditOptions(reach=1 / 16), context)
            for part in torch.arange(6).split(batch):
                metric.update(edited(photos[part], results[part], target[part], masks[1][part]))
            found.append(metric.compute()[0])
        assert found[0].value == pytest.approx(found[1].value, rel=1e-12)
        assert found[0].value == pytest.approx(found[2].value, rel=1e-12)
        assert found[0].name == "psnr_outside_edit/style_copy"
        assert [entry.count for entry in found] == [5, 5, 5]
        expected = psnr_where(results, photos, ~edited_region(target, masks[1], reach=2))[1:]
        assert found[2].per_sample == pytest.approx(expected.tolist())

    def test_masks_that_differ_everywhere(self, pictures, masks, context) -> None:  # type: ignore[no-untyped-def]
        metric = build(PsnrOutsideEditOptions(), context)
        metric.update(edited(*pictures, masks[1] + 1, masks[1]))
        (measurement,) = metric.compute()
        assert math.isnan(measurement.value)
        assert measurement.count == 0

    def test_exception(self, pictures, context) -> None:  # type: ignore[no-untyped-def]
        metric = build(PsnrOutsideEditOptions(), context)
        with pytest.raises(FacekitError, match="no results"):
            metric.compute()
        bare = Condition(torch.zeros(6, 32, 32, dtype=torch.long))
        keys = tuple("abcdef")
        with pytest.raises(FacekitError, match="these have none"):
            metric.update(Observation("style_copy", bare, Generated(pictures[1]), pictures[0], keys, keys))
