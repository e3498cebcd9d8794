from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from facekit.interfaces import FacekitError, NoOptions
from facekit_metrics import perceptual, style
from facekit_metrics.options import StyleFollowingOptions
from facekit_metrics.style import following_share, lab, region_lab_means

# sRGB to CIE Lab (D65), from the standard's own arithmetic as widely tabulated.
KNOWN = {
    (255, 255, 255): (100.0, 0.0, 0.0),
    (0, 0, 0): (0.0, 0.0, 0.0),
    (255, 0, 0): (53.2408, 80.0925, 67.2032),
    (0, 255, 0): (87.7347, -86.1827, 83.1793),
    (0, 0, 255): (32.2970, 79.1875, -107.8602),
    (0, 255, 255): (91.1132, -48.0875, -14.1312),
    (255, 255, 0): (97.1393, -21.5537, 94.4780),
    (128, 128, 128): (53.5850, 0.0, 0.0),
}


class TestLab:
    @pytest.mark.parametrize("rgb", KNOWN)
    def test_known_colours(self, rgb: tuple[int, int, int]) -> None:
        image = (torch.tensor(rgb, dtype=torch.float64) / 127.5 - 1).view(1, 3, 1, 1)
        torch.testing.assert_close(
            lab(image).flatten(), torch.tensor(KNOWN[rgb], dtype=torch.float64), atol=2e-3, rtol=0
        )

    def test_greys_are_neutral_and_rise_without_a_step(self) -> None:
        ramp = torch.linspace(-1, 1, 4096, dtype=torch.float64).expand(1, 3, 1, -1)
        colours = lab(ramp)[0, :, 0]
        assert (colours[0].diff() > 0).all()
        assert colours[0].diff().max() < 0.1
        assert colours[1:].abs().max() < 1e-3


def stripes(colours: Tensor) -> tuple[Tensor, Tensor]:
    """Photos (N, 3, 32, 32) whose left half is skin and right half hair, of colours (N, 2, 3), and their masks."""
    photos = colours.permute(0, 2, 1).repeat_interleave(16, 2).unsqueeze(2).expand(-1, -1, 32, -1).contiguous()
    mask = torch.ones(len(colours), 32, 32, dtype=torch.long)
    mask[..., 16:] = 2
    return photos, mask


class TestRegionMeans:
    def test_each_region_has_the_mean_of_its_lab_colours(self) -> None:
        torch.manual_seed(0)
        image = torch.rand(2, 3, 8, 8) * 2 - 1
        mask = torch.randint(3, (2, 8, 8))
        means = region_lab_means(image, mask, classes=(2, 0), smallest_share=0.01)
        for sample, (position, region) in itertools.product(range(2), enumerate((2, 0))):
            expected = lab(image)[sample][:, mask[sample] == region].mean(1)
            torch.testing.assert_close(means[sample, position], expected)

    def test_small_regions_have_none(self) -> None:
        mask = torch.zeros(1, 8, 8, dtype=torch.long)
        mask[0, 0, :3] = 1
        image = torch.zeros(1, 3, 8, 8)
        assert region_lab_means(image, mask, classes=(1,), smallest_share=4 / 64).isnan().all()
        assert not region_lab_means(image, mask, classes=(1,), smallest_share=3 / 64).isnan().any()
        assert region_lab_means(image, mask, classes=(2,), smallest_share=1e-6).isnan().all()

    def test_exception(self) -> None:
        with pytest.raises(ValueError, match="do not fit"):
            region_lab_means(torch.zeros(1, 3, 8, 8), torch.zeros(1, 4, 4).long(), classes=(1,), smallest_share=0.1)


def test_following_share_by_hand() -> None:
    result, own = torch.tensor([0.0, 0, 0]), torch.tensor([3.0, 0, 0])
    thirds = torch.tensor([[0.0, 2, 0], [0.0, 0, 3], [4.0, 0, 0], [9.0, 9, 9]])
    assert following_share(result, own, thirds) == (0 + 0.5 + 1 + 1) / 4


BOTH = StyleFollowingOptions(regions=("skin", "hair"))


class TestStyleFollowing:
    ROLL = (4, 0, 1, 2, 3)

    def colours(self) -> Tensor:
        return torch.rand(5, 2, 3, generator=torch.Generator().manual_seed(2)) * 2 - 1

    def measure(self, results: Tensor, photos: Tensor, masks: Tensor, show, context, batch: int = 100):  # type: ignore[no-untyped-def]
        metric = style.build_following(BOTH, context)
        show(metric, results, photos, masks, task="style_copy", references=self.ROLL, batch=batch)
        return {measurement.name: measurement for measurement in metric.compute()}

    def test_results_in_the_references_colours_follow_fully(self, show, context) -> None:  # type: ignore[no-untyped-def]
        photos, masks = stripes(self.colours())
        found = self.measure(photos[list(self.ROLL)], photos, masks, show, context)
        assert list(found) == [f"style_following/{part}" for part in ("mean", "skin", "hair")]
        assert [each.value for each in found.values()] == [1.0, 1.0, 1.0]
        assert not any(each.detail for each in found.values())
        assert found["style_following/skin"].count == 5

    def test_results_that_ignore_the_reference_are_at_chance(self, show, context) -> None:  # type: ignore[no-untyped-def]
        """Over all pairings of equal results the expectation is exactly one half."""
        photos, masks = stripes(self.colours())
        constant = photos[:1].expand(5, -1, -1, -1) * 0
        values = []
        for pairing in itertools.permutations(range(5)):
            if any(index == other for index, other in enumerate(pairing)):
                continue
            metric = style.build_following(BOTH, context)
            show(metric, constant, photos, masks, task="style_copy", references=pairing)
            values.append([each.value for each in metric.compute()])
        assert torch.tensor(values).mean(0).tolist() == pytest.approx([0.5, 0.5, 0.5])

    def test_against_a_plain_loop(self, show, context) -> None:  # type: ignore[no-untyped-def]
        photos, masks = stripes(self.colours())
        results = torch.rand(photos.shape, generator=torch.Generator().manual_seed(4)) * 2 - 1
        found = self.measure(results, photos, masks, show, context)
        for region, columns in (("skin", slice(0, 16)), ("hair", slice(16, 32))):
            mean = {name: lab(images)[..., columns].mean((2, 3)) for name, images in (("r", results), ("p", photos))}
            hits, pairs = 0, 0
            for target, reference in enumerate(self.ROLL):
                for third in set(range(5)) - {target, reference}:
                    near = (mean["r"][target] - mean["p"][reference]).norm()
                    hits += int(near < (mean["r"][target] - mean["p"][third]).norm())
                    pairs += 1
            assert found[f"style_following/{region}"].value == pytest.approx(hits / pairs)

    def test_regions_are_read_by_each_pictures_own_mask(self, show, context) -> None:  # type: ignore[no-untyped-def]
        photos, masks = stripes(self.colours())
        photos[::2], masks[::2] = photos[::2].flip(-1), masks[::2].flip(-1)
        skin = {index: photos[index][:, masks[index] == 1].mean(1) for index in range(5)}
        hair = {index: photos[index][:, masks[index] == 2].mean(1) for index in range(5)}
        results = torch.stack(
            [
                torch.where(masks[index] == 1, skin[look].view(3, 1, 1), hair[look].view(3, 1, 1))
                for index, look in enumerate(self.ROLL)
            ]
        )
        assert [each.value for each in self.measure(results, photos, masks, show, context).values()] == [1, 1, 1]

    def test_the_batch_size_does_not_matter(self, show, context) -> None:  # type: ignore[no-untyped-def]
        photos, masks = stripes(self.colours())
        results = torch.rand(photos.shape, generator=torch.Generator().manual_seed(4)) * 2 - 1
        one, two, five = (self.measure(results, photos, masks, show, context, batch) for batch in (1, 2, 5))
        assert one == two == five

    def test_faces_without_the_region_are_left_out(self, show, context) -> None:  # type: ignore[no-untyped-def]
        photos, masks = stripes(self.colours())
        masks[0][masks[0] == 2] = 0
        found = self.measure(photos[list(self.ROLL)], photos, masks, show, context)
        # Face 0 has no hair: no result for its mask, none in its look, and it is no third photo.
        assert found["style_following/hair"].count == 3
        assert found["style_following/skin"].count == 5

    def test_exception(self, show, context) -> None:  # type: ignore[no-untyped-def]
        with pytest.raises(FacekitError, match="did you mean 'hair'"):
            style.build_following(StyleFollowingOptions(regions=("hairs",)), context)
        metric = style.build_following(StyleFollowingOptions(), context)
        with pytest.raises(FacekitError, match="no results"):
            metric.compute()

    def test_a_region_that_nobody_shows_has_no_value(self, show, context) -> None:  # type: ignore[no-untyped-def]
        photos, masks = stripes(self.colours())
        masks[masks == 2] = 0
        _, skin, hair = self.measure(photos, photos, masks, show, context).values()
        assert skin.count == 5
        assert math.isnan(hair.value)
        assert hair.count == 0

    def test_all_regions_are_measured_and_all_but_two_are_details(self, show, context) -> None:  # type: ignore[no-untyped-def]
        photos, masks = stripes(self.colours())
        photos[:, :, :8], masks[:, :8] = torch.rand(5, 3, 1, 1) * 2 - 1, 0
        metric = style.build_following(StyleFollowingOptions(), context)
        # The background is that of the mask's owner, skin and hair are those of the reference.
        results = torch.cat((photos[:, :, :8], photos[list(self.ROLL), :, 8:]), 2)
        show(metric, results, photos, masks, task="style_copy", references=self.ROLL)
        found = {each.name.partition("/")[2]: each for each in metric.compute()}
        assert list(found) == ["mean", "skin", "hair", "background"]
        assert [found[part].detail for part in found] == [False, False, False, True]
        assert found["skin"].value == found["hair"].value == 1
        assert found["background"].value < 0.7
        values = [found[part].value for part in ("skin", "hair", "background")]
        assert found["mean"].value == pytest.approx(sum(values) / 3)
        assert found["mean"].count == 5

    def test_of_all_regions_those_that_nobody_shows_are_left_out(self, show, context) -> None:  # type: ignore[no-untyped-def]
        photos, masks = stripes(self.colours())
        metric = style.build_following(StyleFollowingOptions(), context)
        show(metric, photos[list(self.ROLL)], photos, masks, task="style_copy", references=self.ROLL)
        assert [each.name for each in metric.compute()] == [
            f"style_following/{part}" for part in ("mean", "skin", "hair")
        ]

    def test_the_mean_is_that_of_a_results_own_regions(self, show, context) -> None:  # type: ignore[no-untyped-def]
        photos, masks = stripes(self.colours())
        masks[0][masks[0] == 2] = 0
        results = torch.rand(photos.shape, generator=torch.Generator().manual_seed(4)) * 2 - 1
        found = self.measure(results, photos, masks, show, context)
        skin, hair = (found[f"style_following/{part}"].per_sample for part in ("skin", "hair"))
        # Results 0 and 1 have the mask and the look of the face without hair.
        expected = [skin[0], skin[1], *((a + b) / 2 for a, b in zip(skin[2:], hair, strict=True))]
        assert found["style_following/mean"].per_sample == pytest.approx(expected)


class TestChangesWithReference:
    @pytest.mark.parametrize("batch", [1, 2, 5])
    def test_value(self, batch: int, show, context) -> None:  # type: ignore[no-untyped-def]
        photos, masks = stripes(torch.zeros(5, 2, 3))
        metric = perceptual.build_changes(NoOptions(), context)
        shift = torch.tensor([0.0, 0.1, 0.2, 0.3, 0.4]).view(-1, 1, 1, 1)
        show(metric, photos, photos, masks, batch=batch)
        show(metric, photos + shift, photos, masks, task="style_copy", references=(1, 2, 3, 4, 0), batch=5)
        (measurement,) = metric.compute()
        assert measurement.value == pytest.approx(0.2)
        assert measurement.per_sample == pytest.approx((0.0, 0.1, 0.2, 0.3, 0.4))
        assert set(metric.tasks) == {"reconstruction", "style_copy"}

    def test_exception(self, show, context) -> None:  # type: ignore[no-untyped-def]
        photos, masks = stripes(torch.zeros(5, 2, 3))
        metric = perceptual.build_changes(NoOptions(), context)
        show(metric, photos, photos, masks)
        with pytest.raises(FacekitError, match="5 faces in one task only"):
            metric.compute()
        with pytest.raises(FacekitError, match="twice"):
            show(metric, photos, photos, masks)
