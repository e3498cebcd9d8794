from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d

from facekit.interfaces import FacekitError
from facekit_metrics.fidelity import peak_signal_to_noise_ratio, psnr, ssim, structural_similarity

MASKS = torch.zeros(6, 32, 32, dtype=torch.long)


def scipy_ssim(result: np.ndarray, photo: np.ndarray) -> float:
    """SSIM of 8-bit pictures (3, H, W) by scipy's filters, on the paper's scale of 0..255."""
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets**2) / (2 * 1.5**2))
    window /= window.sum()

    def blur(plane: np.ndarray) -> np.ndarray:
        both = correlate1d(correlate1d(plane, window, axis=0), window, axis=1)
        return both[5:-5, 5:-5]

    values = []
    for x, y in zip(result.astype(np.float64), photo.astype(np.float64)):
        c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
        mx, my = blur(x), blur(y)
        sx, sy, sxy = blur((x - x.mean()) ** 2), blur((y - y.mean()) ** 2), blur((x - x.mean()) * (y - y.mean()))
        sx, sy = sx - (mx - x.mean()) ** 2, sy - (my - y.mean()) ** 2
        sxy = sxy - (mx - x.mean()) * (my - y.mean())
        index = (2 * mx * my + c1) * (2 * sxy + c2) / ((mx**2 + my**2 + c1) * (sx + sy + c2))
        values.append(index.mean())
    return float(np.mean(values))


def eight_bits(image: torch.Tensor) -> np.ndarray:
    return ((image + 1) * 127.5).round().to(torch.uint8).numpy()


class TestPSNR:
    def test_against_numpy_on_the_scale_of_255(self, pictures) -> None:  # type: ignore[no-untyped-def]
        photos, results = ((tensor + 1).mul(127.5).round().div(127.5) - 1 for tensor in pictures)
        error = ((eight_bits(results).astype(float) - eight_bits(photos).astype(float)) ** 2).mean((1, 2, 3))
        expected = 10 * np.log10(255**2 / error)
        np.testing.assert_allclose(peak_signal_to_noise_ratio(results, photos).numpy(), expected, rtol=1e-5)

    def test_value_by_hand(self) -> None:
        assert peak_signal_to_noise_ratio(
            torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), 0.2)
        ).item() == pytest.approx(20)

    def test_equal_pictures_reach_the_ceiling(self) -> None:
        assert peak_signal_to_noise_ratio(torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)).item() == 100

    def test_exception(self) -> None:
        with pytest.raises(ValueError, match="shapes"):
            peak_signal_to_noise_ratio(torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 4, 4))


class TestSSIM:
    def test_against_scipy(self, pictures) -> None:  # type: ignore[no-untyped-def]
        photos, results = ((tensor + 1).mul(127.5).round().div(127.5) - 1 for tensor in pictures)
        ours = structural_similarity(results, photos)
        for index in range(6):
            expected = scipy_ssim(eight_bits(results[index]), eight_bits(photos[index]))
            assert ours[index].item() == pytest.approx(expected, abs=1e-7)

    def test_equal_pictures_are_at_one_and_noise_lowers_it(self, pictures) -> None:  # type: ignore[no-untyped-def]
        photos, results = pictures
        assert structural_similarity(photos, photos).numpy() == pytest.approx(np.ones(6))
        assert (structural_similarity(results, photos).diff() < 0).all()

    def test_exception(self) -> None:
        with pytest.raises(ValueError, match="at least 11"):
            structural_similarity(torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8))
        with pytest.raises(ValueError, match="shapes"):
            structural_similarity(torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 12, 12))


@pytest.mark.parametrize("component", [psnr, ssim])
class TestMetrics:
    def test_the_batch_size_does_not_matter(self, component, pictures, show, context) -> None:  # type: ignore[no-untyped-def]
        photos, results = pictures
        values = []
        for batch in (1, 4, 6):
            metric = component.spec.build(component.spec.options(), context)
            assert metric.tasks == ("reconstruction",)
            show(metric, results, photos, MASKS, batch=batch)
            (measurement,) = metric.compute()
            values.append(measurement.value)
            assert measurement.count == 6
            assert measurement.value == pytest.approx(np.mean(measurement.per_sample))
            assert measurement.better == "higher"
            assert measurement.protocol
        assert values == pytest.approx([values[0]] * 3, rel=1e-12)

    def test_exception_nothing_observed(self, component, context) -> None:  # type: ignore[no-untyped-def]
        with pytest.raises(FacekitError, match="no results"):
            component.spec.build(component.spec.options(), context).compute()
