from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy import ndimage
from torch import Tensor

from facekit.interfaces import BuildContext, FacekitError, LabelClass, LabelMap, Measurement
from facekit.registry import load_registry
from facekit_metrics.options import REGIONS, TextureOptions
from facekit_metrics.texture import band_energy, blurred, build, ratio_samples, region_energy, without_outline

LABEL_MAPS = load_registry().label_maps
OWN = TextureOptions(tasks=("reconstruction",), regions={"skin": ("skin",), "hair": ("hair",)})
COPY = TextureOptions(tasks=("style_copy",), regions={"skin": ("skin",)})


def halves(count: int, *, skin: int = 16) -> Tensor:
    """Masks (N, 32, 32): skin on the left, hair on the right."""
    mask = torch.full((count, 32, 32), 2)
    mask[..., :skin] = 1
    return mask


def measured(metric, show, results, photos, masks, **more) -> dict[str, Measurement]:  # type: ignore[no-untyped-def]
    show(metric, results, photos, masks, **more)
    return {entry.name.partition("/")[2]: entry for entry in metric.compute()}


class TestBands:
    @pytest.mark.parametrize("sigma", [1.0, 2.5])
    @pytest.mark.parametrize("shape", [(32, 32), (9, 40)])
    def test_blur_is_that_of_scipy(self, sigma: float, shape: tuple[int, int]) -> None:
        plane = np.random.default_rng(0).random(shape)
        expected = ndimage.gaussian_filter(plane, sigma)
        np.testing.assert_allclose(blurred(torch.from_numpy(plane), sigma).numpy(), expected, atol=1e-12)

    def test_energy_is_that_of_its_definition(self) -> None:
        image = torch.rand(3, 40, 40, generator=torch.Generator().manual_seed(0)) * 2 - 1
        red, green, blue = ((image.double() + 1) / 2).numpy()
        grey = 0.299 * red + 0.587 * green + 0.114 * blue
        narrow, wide = ndimage.gaussian_filter(grey, 1.0), ndimage.gaussian_filter(grey, 2.5)
        fine, coarse = band_energy(image).numpy()
        np.testing.assert_allclose(fine, (grey - narrow) ** 2, atol=1e-12)
        np.testing.assert_allclose(coarse, (narrow - wide) ** 2, atol=1e-12)

    def test_flat_pictures_have_none(self) -> None:
        assert band_energy(torch.full((3, 32, 32), 0.3)).max() < 1e-20

    def test_stripes_of_two_pixels_are_fine_and_those_of_eight_coarse(self) -> None:
        columns = torch.arange(64)
        fine, coarse = (
            band_energy(((columns // width) % 2 * 1.0).expand(3, 64, 64))[:, 16:-16, 16:-16].mean((1, 2))
            for width in (1, 4)
        )
        assert fine[0] > 10 * fine[1]
        assert coarse[1] > coarse[0]


class TestRegions:
    def test_outline_goes_and_the_edge_of_the_picture_stays(self) -> None:
        member = torch.zeros(8, 8, dtype=torch.bool)
        member[:4, 2:7] = True
        expected = torch.zeros(8, 8, dtype=torch.bool)
        expected[:3, 3:6] = True
        assert torch.equal(without_outline(member), expected)
        padded = ndimage.binary_erosion(member.numpy(), np.ones((3, 3)), border_value=1)
        assert torch.equal(without_outline(member), torch.from_numpy(padded))

    def test_classes_of_a_region_count_as_one(self) -> None:
        image = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
        mask = torch.zeros(16, 16, dtype=torch.long)
        mask[4:8, 4:12], mask[8:12, 4:12] = 1, 2
        both = region_energy(image, mask, regions=[(1, 2)], smallest_share=0.01)[0]
        inner = band_energy(image)[:, 5:11, 5:11]
        torch.testing.assert_close(both[:2], inner.mean((1, 2)))
        assert both[2] == 36

    def test_small_regions_have_none(self) -> None:
        mask = torch.zeros(16, 16, dtype=torch.long)
        mask[:4, :4] = 1
        image = torch.zeros(3, 16, 16)
        assert region_energy(image, mask, regions=[(1,)], smallest_share=10 / 256).isnan().all()
        assert region_energy(image, mask, regions=[(1,)], smallest_share=9 / 256)[0, 2] == 9

    def test_exception(self) -> None:
        with pytest.raises(ValueError, match="does not fit"):
            region_energy(torch.zeros(3, 8, 8), torch.zeros(4, 4), regions=[(0,)], smallest_share=0.1)


class TestRatio:
    def test_mean_is_the_ratio_of_sums_and_spread_that_of_a_bootstrap_of_pairs(self) -> None:
        random = np.random.default_rng(0)
        photos = random.gamma(2, size=400)
        results = photos * random.uniform(0.2, 0.4, 400)
        samples = ratio_samples(torch.from_numpy(results), torch.from_numpy(photos)).numpy()
        assert samples.mean() == pytest.approx(results.sum() / photos.sum())
        draws = random.integers(400, size=(2000, 400))
        ratios = results[draws].sum(1) / photos[draws].sum(1)
        assert samples.std() / 20 == pytest.approx(ratios.std(), rel=0.05)
        # Values that divide each picture by the mean alone are more than twice as spread: they forget the pairing.
        assert (results / photos.mean()).std() / 20 > 2 * ratios.std()


class TestMetric:
    def test_photos_are_at_one_to_the_last_bit(self, pictures, show, context) -> None:  # type: ignore[no-untyped-def]
        found = measured(build(OWN, context), show, pictures[0], pictures[0], halves(6))
        assert [*found] == [
            f"reconstruction/{band}/{region}" for band in ("fine", "coarse") for region in ("mean", "skin", "hair")
        ]
        assert all(entry.value == 1 and set(entry.per_sample) == {1.0} for entry in found.values())
        assert all(entry.count == 6 for entry in found.values())

    def test_blur_lowers_it_flat_colour_ends_it_and_noise_raises_it(self, pictures, show, context) -> None:  # type: ignore[no-untyped-def]
        generator = torch.Generator().manual_seed(1)
        photos = (pictures[0] + 0.2 * torch.randn(pictures[0].shape, generator=generator)).clamp(-1, 1)
        noise = (photos + 0.4 * torch.randn(photos.shape, generator=generator)).clamp(-1, 1)
        soft = torch.nn.functional.avg_pool2d(photos, 3, 1, 1, count_include_pad=False)
        flat = photos.mean((2, 3), keepdim=True).expand_as(photos)
        for region in ("skin", "hair", "mean"):
            values = [
                measured(build(OWN, context), show, each, photos, halves(6))[f"reconstruction/fine/{region}"].value
                for each in (flat, soft, photos, noise)
            ]
            assert values[0] < 1e-9
            assert all(before < after for before, after in pairwise(values))

    def test_a_region_is_measured_apart(self, pictures, show, context) -> None:  # type: ignore[no-untyped-def]
        photos = pictures[1]
        results = photos.clone()
        results[..., 20:] = 0
        found = measured(build(OWN, context), show, results, photos, halves(6))
        assert found["reconstruction/fine/hair"].value < 0.5
        skin = found["reconstruction/fine/skin"].value
        assert skin == pytest.approx(1, abs=1e-6)
        mean = found["reconstruction/fine/mean"]
        assert mean.value == pytest.approx((skin + found["reconstruction/fine/hair"].value) / 2)

    def test_ratio_is_that_of_sums(self, pictures, show, context) -> None:  # type: ignore[no-untyped-def]
        photos, results = pictures
        found = measured(build(OWN, context), show, results, photos, halves(6))["reconstruction/fine/skin"]
        sums = [sum(float(band_energy(each)[0, :, :15].sum()) for each in side) for side in (results, photos)]
        assert found.value == pytest.approx(sums[0] / sums[1])

    def test_a_copied_style_stands_beside_the_region_of_the_reference(self, pictures, show, context) -> None:  # type: ignore[no-untyped-def]
        photos, masks = pictures[1], halves(6)
        masks[3:] = halves(3, skin=24)
        looks = (3, 4, 5, 0, 1, 2)
        copied = photos[list(looks)]
        found = measured(build(COPY, context), show, copied, photos, masks, task="style_copy", references=looks)
        inner = [slice(None, 15)] * 3 + [slice(None, 23)] * 3
        mine = sum(float(band_energy(copied[i])[0][:, inner[i]].mean()) for i in range(6))
        theirs = sum(float(band_energy(photos[look])[0][:, inner[look]].mean()) for look in looks)
        assert found["style_copy/fine/skin"].value == pytest.approx(mine / theirs)

    def test_regions_that_only_some_pictures_show(self, pictures, show, context) -> None:  # type: ignore[no-untyped-def]
        masks = halves(6)
        masks[0] = 1
        found = measured(build(OWN, context), show, pictures[1], pictures[0], masks)
        assert found["reconstruction/fine/hair"].count == 5
        assert found["reconstruction/fine/mean"].count == 6
        values = [found[f"reconstruction/fine/{region}"].value for region in ("skin", "hair")]
        assert found["reconstruction/fine/mean"].value == pytest.approx(sum(values) / 2)
        masks[:] = 1
        found = measured(build(OWN, context), show, pictures[1], pictures[0], masks)
        assert math.isnan(found["reconstruction/fine/hair"].value)
        assert found["reconstruction/fine/hair"].count == 0

    def test_real_photos_against_their_own_blur(self, real_photos, show, context) -> None:  # type: ignore[no-untyped-def]
        photos = real_photos[:16]
        soft = torch.nn.functional.avg_pool2d(photos, 3, 1, 1, count_include_pad=False)
        masks = torch.ones(16, 128, 128, dtype=torch.long)
        options = TextureOptions(tasks=("reconstruction",), regions={"all": ("skin",)})
        found = measured(build(options, context), show, soft, photos, masks)
        assert found["reconstruction/fine/all"].value < 0.25
        assert 0.5 < found["reconstruction/coarse/all"].value < 1

    def test_exception_nothing_observed(self, context) -> None:  # type: ignore[no-untyped-def]
        with pytest.raises(FacekitError, match="no results of reconstruction"):
            build(OWN, context).compute()


class TestOptions:
    def test_defaults_follow_the_label_map(self) -> None:
        whole = TextureOptions().classes_by_region(LABEL_MAPS["celebamask_hq"])
        assert whole["eyes"] == (4, 5)
        assert whole["lips"] == (11, 12)
        assert [*whole] == [*REGIONS]
        merged = LABEL_MAPS["celebamask_hq_merged"]
        assert TextureOptions().classes_by_region(merged)["eyes"] == (merged.id_of("eye"),)

    def test_exception(self, context: BuildContext) -> None:
        with pytest.raises(FacekitError, match=r"no class 'haar'(?s:.)*did you mean 'hair'"):
            build(TextureOptions(regions={"top": ("haar",)}), context)
        strange = LabelMap("strange", (LabelClass("a", (0, 0, 0)), LabelClass("b", (1, 1, 1))))
        with pytest.raises(FacekitError, match="none of the classes"):
            TextureOptions().classes_by_region(strange)
        with pytest.raises(ValidationError, match="at least one class"):
            TextureOptions(regions={"a": ()})
        with pytest.raises(ValidationError, match="cannot be called"):
            TextureOptions(regions={"mean": ("skin",)})
        with pytest.raises(ValidationError, match="twice"):
            TextureOptions(tasks=("style_copy", "style_copy"))
