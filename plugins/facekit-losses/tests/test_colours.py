from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from facekit.interfaces import FacekitError
from facekit_gan import fake, real, shuffled_style
from facekit_losses.l1 import L1Loss, l1_loss
from facekit_losses.low_resolution_colour import LowResolutionColourLoss, low_resolution_colour_loss
from facekit_losses.options import RegionColourOptions
from facekit_losses.region_colour import build, class_weights, region_colour_loss, region_statistics


class TestL1:
    def test_smoke(self, make_step) -> None:  # type: ignore[no-untyped-def]
        step = make_step()
        value = L1Loss()(step)
        assert value.shape == ()
        assert value.item() == pytest.approx(
            float(np.abs((fake(step).image - real(step).image).detach().numpy()).mean())
        )
        value.backward()
        assert all(p.grad.abs().sum() > 0 for p in step.encoder.parameters())

    def test_gradient(self) -> None:
        torch.manual_seed(0)
        result = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(lambda r: l1_loss(r, torch.zeros_like(r)), (result,))

    def test_dtype(self) -> None:
        assert l1_loss(torch.ones(1, 3, 2, 2).bfloat16(), torch.zeros(1, 3, 2, 2)).dtype == torch.float32

    def test_exception(self) -> None:
        with pytest.raises(ValueError, match="shapes"):
            l1_loss(torch.zeros(1, 3, 2, 2), torch.zeros(2, 3, 2, 2))


class TestLowResolutionColour:
    def test_smoke(self, make_step) -> None:  # type: ignore[no-untyped-def]
        step = make_step()
        value = LowResolutionColourLoss(grid=4)(step)
        assert value.shape == ()
        value.backward()
        assert all(p.grad.abs().sum() > 0 for p in step.generator.parameters())

    def test_against_numpy(self) -> None:
        generator = np.random.default_rng(0)
        result, photo = generator.normal(size=(2, 2, 3, 12, 12))
        cells = (result - photo).reshape(2, 3, 4, 3, 4, 3).mean((3, 5))
        value = low_resolution_colour_loss(torch.from_numpy(result), torch.from_numpy(photo), grid=4)
        assert value.item() == pytest.approx(np.abs(cells).mean(), rel=1e-12)

    def test_it_is_blind_to_detail_within_a_cell_and_sees_a_cast(self) -> None:
        checker = torch.zeros(1, 3, 16, 16)
        checker[..., ::2, ::2] = checker[..., 1::2, 1::2] = 1
        assert low_resolution_colour_loss(checker, 1 - checker, grid=8).item() == 0
        assert low_resolution_colour_loss(checker, checker + 0.25, grid=8).item() == pytest.approx(0.25)

    def test_gradient(self) -> None:
        torch.manual_seed(0)
        result = torch.randn(1, 3, 4, 4, dtype=torch.float64, requires_grad=True)
        photo = torch.randn(1, 3, 4, 4, dtype=torch.float64)
        assert torch.autograd.gradcheck(lambda r: low_resolution_colour_loss(r, photo, grid=2), (result,))

    def test_exception(self) -> None:
        with pytest.raises(ValueError, match="does not divide"):
            low_resolution_colour_loss(torch.zeros(1, 3, 10, 10), torch.zeros(1, 3, 10, 10), grid=4)


class TestRegionStatistics:
    def test_against_numpy(self) -> None:
        generator = np.random.default_rng(0)
        image, mask = generator.uniform(-1, 1, (2, 3, 9, 7)), generator.integers(0, 3, (2, 9, 7))
        means, deviations, counts = region_statistics(torch.from_numpy(image), torch.from_numpy(mask), classes=5)
        for sample in range(2):
            for region in range(3):
                pixels = image[sample][:, mask[sample] == region]
                np.testing.assert_allclose(means[sample, region].numpy(), pixels.mean(1), rtol=1e-10, atol=1e-12)
                np.testing.assert_allclose(deviations[sample, region].numpy(), pixels.std(1), rtol=1e-10)
                assert counts[sample, region] == pixels.shape[1]
        assert (means[:, 3:] == 0).all()
        assert (counts[:, 3:] == 0).all()

    def test_flat_regions_have_finite_gradients(self) -> None:
        image = torch.full((1, 3, 8, 8), 0.5, requires_grad=True)
        region_statistics(image, torch.zeros(1, 8, 8, dtype=torch.long), classes=2)[1].sum().backward()
        assert image.grad is not None
        assert torch.isfinite(image.grad).all()

    def test_exception(self) -> None:
        with pytest.raises(ValueError, match="do not fit"):
            region_statistics(torch.zeros(1, 3, 8, 8), torch.zeros(1, 4, 4, dtype=torch.long), classes=2)


def halves(left: float, right: float) -> torch.Tensor:
    """A picture whose left half has one grey and whose right half has another."""
    image = torch.full((1, 3, 8, 8), left)
    image[..., 4:] = right
    return image


MASK = torch.zeros(1, 8, 8, dtype=torch.long)
MASK[..., 4:] = 1


class TestRegionColour:
    def test_value_by_hand(self) -> None:
        value = region_colour_loss(halves(0.5, -0.5), MASK, halves(0.25, 0.5), MASK, weights=torch.ones(2))
        assert value.item() == pytest.approx((0.25 + 1.0) / 2)
        value = region_colour_loss(halves(0.5, -0.5), MASK, halves(0.25, 0.5), MASK, weights=torch.tensor([3.0, 1.0]))
        assert value.item() == pytest.approx((3 * 0.25 + 1.0) / 4)

    def test_area_weighs_regions_by_the_smaller_of_their_shares(self) -> None:
        quarter = torch.zeros(1, 8, 8, dtype=torch.long)
        quarter[..., 6:] = 1
        photo = torch.full((1, 3, 8, 8), 0.25)
        photo[..., 6:] = 0.5
        # Region 0 covers 1/2 and 3/4, region 1 covers 1/2 and 1/4: the smaller shares are 1/2 and 1/4.
        for area, weights in ((1.0, (0.5, 0.25)), (0.5, (0.5**0.5, 0.5))):
            value = region_colour_loss(
                halves(0.5, -0.5), MASK, photo, quarter, weights=torch.ones(2), smallest_share=0.01, area=area
            )
            expected = (weights[0] * 0.25 + weights[1] * 1.0) / sum(weights)
            assert value.item() == pytest.approx(expected, rel=1e-5)

    def test_each_picture_is_read_by_its_own_mask(self) -> None:
        mirrored = halves(0.3, -0.7).flip(-1)
        value = region_colour_loss(halves(0.3, -0.7), MASK, mirrored, MASK.flip(-1), weights=torch.ones(2))
        assert value.item() == pytest.approx(0, abs=1e-6)

    def test_deviation(self) -> None:
        flat = torch.zeros(1, 3, 8, 8)
        contrast = torch.full_like(flat, 0.6)
        contrast[..., ::2] = -0.6
        mask = torch.zeros(1, 8, 8, dtype=torch.long)
        assert region_colour_loss(flat, mask, contrast, mask, weights=torch.ones(1)).item() == pytest.approx(
            0, abs=1e-6
        )
        value = region_colour_loss(flat, mask, contrast, mask, weights=torch.ones(1), deviation=0.5)
        assert value.item() == pytest.approx(0.5 * (0.6 - 0.01), rel=1e-4)

    def test_small_and_absent_regions_are_left_out(self) -> None:
        mask = MASK.clone()
        mask[0, 0, 0] = 2
        weights = torch.ones(4)
        value = region_colour_loss(
            halves(0.0, 0.0), mask, halves(0.5, 0.5), mask, weights=weights, smallest_share=2 / 64
        )
        assert value.item() == pytest.approx(0.5)
        nothing = region_colour_loss(
            halves(0.0, 0.0), torch.zeros_like(MASK), halves(0.5, 0.5), torch.ones_like(MASK), weights=weights
        )
        assert nothing.item() == 0

    def test_gradient(self) -> None:
        torch.manual_seed(0)
        result = torch.randn(2, 3, 6, 6, dtype=torch.float64, requires_grad=True)
        photo = torch.randn(2, 3, 6, 6, dtype=torch.float64)
        mask = torch.randint(3, (2, 6, 6))
        weights = torch.ones(3, dtype=torch.float64)
        assert torch.autograd.gradcheck(
            lambda r: region_colour_loss(r, mask, photo, mask.flip(1), weights=weights, deviation=1.0), (result,)
        )

    def test_losses_of_two_processes_average_to_that_of_all_pairs(self) -> None:
        torch.manual_seed(0)
        result, photo = torch.randn(2, 5, 3, 6, 6).unbind()
        mask = torch.randint(3, (5, 6, 6))
        mask[:2] %= 2  # the first two pictures have two regions, the others three
        result.requires_grad_(True)

        def of(rows: slice, mean: Callable[[Tensor], Tensor]) -> Tensor:
            weights = torch.tensor([1.0, 2.0, 5.0])
            masks = (mask[rows], mask[rows].flip(1))
            return region_colour_loss(result[rows], masks[0], photo[rows], masks[1], weights=weights, mean=mean)

        whole = of(slice(None), lambda numbers: numbers)
        halves = (slice(2), slice(2, None))
        sums: list[Tensor] = []
        apart = [of(rows, lambda numbers: sums.append(numbers) or numbers) for rows in halves]
        together = [of(rows, lambda _: sum(sums) / 2) for rows in halves]
        assert (sum(apart) / 2 - whole).abs() > 1e-3  # a mean of means is another number
        torch.testing.assert_close(sum(together) / 2, whole, atol=1e-6, rtol=1e-6)
        slopes = [torch.autograd.grad(each, result, retain_graph=True)[0] for each in (sum(together) / 2, whole)]
        torch.testing.assert_close(*slopes, atol=1e-7, rtol=1e-5)

    def test_smoke_shuffled_fakes_are_compared_with_the_rolled_reference(self, make_step, context) -> None:  # type: ignore[no-untyped-def]
        step = make_step()
        value = build(RegionColourOptions(), context)(step)
        expected = region_colour_loss(
            shuffled_style(step).image,
            step.batch.mask,
            step.batch.reference.image.roll(1, 0),
            step.batch.reference.mask.roll(1, 0),
            weights=torch.ones(4),
        )
        torch.testing.assert_close(value, expected)
        value.backward()
        assert all(p.grad.abs().sum() > 0 for p in step.encoder.parameters())

    def test_fewer_shuffled_fakes_than_faces(self, make_step, context) -> None:  # type: ignore[no-untyped-def]
        step = make_step()
        options = RegionColourOptions(shuffled_faces=2)
        first = step.condition.rolled_reference().first(2)
        made = step.model.generate(first)
        parts = [
            region_colour_loss(
                made.image[index : index + 1],
                first.mask[index : index + 1],
                first.reference.image[index : index + 1],
                first.reference.mask[index : index + 1],
                weights=torch.ones(4),
            )
            for index in range(2)
        ]
        # Both pairs share all four regions, so each counts alike.
        torch.testing.assert_close(build(options, context)(step), torch.stack(parts).mean())

    def test_shares_of_own_and_shuffled_fakes_add_up(self, make_step, context) -> None:  # type: ignore[no-untyped-def]
        step = make_step()
        own = build(RegionColourOptions(own=1, shuffled_style=0), context)(step)
        shuffled = build(RegionColourOptions(), context)(step)
        both = build(RegionColourOptions(own=0.5, shuffled_style=2), context)(step)
        torch.testing.assert_close(both, 0.5 * own + 2 * shuffled)

    def test_own_alone_makes_no_shuffled_fake(self, make_step, context) -> None:  # type: ignore[no-untyped-def]
        step = make_step(count=1)
        build(RegionColourOptions(own=1, shuffled_style=0), context)(step)
        assert step.made == {"style", "fake"}

    def test_dtype(self) -> None:
        image = halves(0.0, 1.0)
        value = region_colour_loss(image.bfloat16(), MASK, image, MASK, weights=torch.ones(2))
        assert value.dtype == torch.float32

    def test_exception(self) -> None:
        with pytest.raises(FacekitError, match="did you mean 'hair'"):
            class_weights({"hairs": 2.0}, ("skin", "hair"))
        with pytest.raises(FacekitError, match="every region the weight 0"):
            class_weights({"skin": 0.0}, ("skin",))
        with pytest.raises(ValidationError, match="nothing to compare"):
            RegionColourOptions(own=0, shuffled_style=0)
        with pytest.raises(ValidationError, match="negative"):
            RegionColourOptions(regions={"skin": -1})
