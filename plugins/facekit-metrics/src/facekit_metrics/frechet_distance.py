"""Fréchet distance of features: FID over Inception, ``FD-EXTRACTOR`` over any other network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from facekit.interfaces import EVALUATED, BuildContext, FacekitError, Measurement

from .comparison import SetComparison, SetMetric, comparison
from .features.extractor import extractor
from .set_options import FidOptions, FrechetDistanceOptions


@dataclass(frozen=True, eq=False)
class Gaussian:
    """Mean (D,) and covariance (D, D) of ``count`` vectors, float64."""

    mean: Tensor
    covariance: Tensor
    count: int


def gaussian(features: Tensor) -> Gaussian:
    """Return the mean and the unbiased covariance of features.

    Args:
        features: (N, D), N at least 2.

    Raises:
        ValueError: there are fewer than two.
    """
    if len(features) < 2:
        raise ValueError(f"{len(features)} vectors have no covariance")
    values = features.double()
    mean = values.mean(0)
    centred = values - mean
    return Gaussian(mean, centred.T @ centred / (len(values) - 1), len(values))


def trace_of_root(a: Tensor, b: Tensor) -> float:
    """Return the trace of the square root of ``a b``, for covariances a and b.

    ``a b`` has the eigenvalues of the symmetric ``r b r'`` with ``a = r' r``, so two eigendecompositions of symmetric
    matrices do, in float64, without complex numbers. Eigenvalues of a that are zero but for rounding are left out:
    their roots, about 1e-8 of the largest each, would add up when there are fewer pictures than features.

    Args:
        a: (D, D), symmetric, no negative eigenvalues; its rank may be below D.
        b: likewise.
    """
    values, vectors = torch.linalg.eigh(a)
    kept = values > _rounding(values)
    root = vectors[:, kept] * values[kept].sqrt()
    product = root.T @ b @ root
    eigenvalues = torch.linalg.eigvalsh((product + product.T) / 2)
    return float(eigenvalues[eigenvalues > _rounding(eigenvalues)].sqrt().sum())


def _rounding(eigenvalues: Tensor) -> float:
    """Return up to where eigenvalues may be zeros."""
    if not len(eigenvalues):
        return 0.0
    return float(eigenvalues.abs().max()) * len(eigenvalues) * torch.finfo(torch.float64).eps


def frechet_distance(one: Gaussian, other: Gaussian) -> float:
    """Return the squared Fréchet (2-Wasserstein) distance of two Gaussians (Dowson and Landau, 1982).

    ``|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))``; not negative.
    """
    means = float((one.mean - other.mean).square().sum())
    spreads = float(one.covariance.trace() + other.covariance.trace())
    return max(0.0, means + spreads - 2 * trace_of_root(one.covariance, other.covariance))


class FrechetDistance(SetMetric):
    """The Fréchet distance between results and real photos, under the name ``FID`` or ``FD-EXTRACTOR``.

    Args:
        compared: results and photos.
        measure: the first part of the measurement's name.
        allow_few: measure fewer pictures than features.
    """

    def __init__(self, compared: SetComparison, *, measure: str, allow_few: bool = False) -> None:
        super().__init__(compared)
        self.measure = f"{measure}/{compared.choice.name}"
        self.allow_few = allow_few

    def compute(self) -> tuple[Measurement, ...]:
        """Return the distance; its count is that of the results, and both counts are in its protocol.

        Raises:
            FacekitError: nothing was observed, or too little.
        """
        results, real = self.compared.sets(self.measure)
        self.require_enough(len(results), "results")
        value = frechet_distance(gaussian(results.features), gaussian(real.features))
        protocol = {**self.compared.protocol(len(results)), "distance": "squared, unbiased covariances, float64"}
        return (Measurement(self.measure, value, "", "lower", protocol, len(results)),)

    def require_enough(self, count: int, what: str) -> None:
        """Check a number of pictures. Raises FacekitError for fewer than two, or than features where that matters."""
        dimension = self.compared.extractor.dimension
        if count < 2 or (count < dimension and not self.allow_few):
            raise FacekitError(
                f"{self.measure} would rest on {count} {what} in {dimension} dimensions: far too large by a bias that "
                "depends on their number",
                where="metrics",
                remedy="use the metric kid, whose mean does not depend on it; or set `allow_few_pictures: true` and "
                "compare only numbers over as many pictures",
            )


def build(options: FrechetDistanceOptions, context: BuildContext) -> FrechetDistance:
    """Build ``FD-EXTRACTOR`` from a recipe's options.

    Raises:
        FacekitError: the weights are not there, the data has no such split, or too few photos.
    """
    compared = comparison(options, context)
    measure = f"FD-{compared.extractor.name}"
    return _checked(FrechetDistance(compared, measure=measure, allow_few=options.allow_few_pictures), context)


def build_fid(options: FidOptions, context: BuildContext) -> FrechetDistance:
    """Build ``FID`` from a recipe's options.

    Raises:
        FacekitError: the weights are not there, the data has no such split, or too few photos.
    """
    photos = context.real_photos(options.real)
    compared = SetComparison(extractor("inception", options.weights), options.choice(context), photos)
    return _checked(FrechetDistance(compared, measure="FID", allow_few=options.allow_few_pictures), context)


def _checked(metric: FrechetDistance, context: BuildContext) -> FrechetDistance:
    """Check the numbers of pictures, which are known before anything is painted."""
    metric.require_enough(len(metric.compared.photos), "real photos")
    metric.require_enough(metric.compared.choice.results(len(context.real_photos(EVALUATED))), "results")
    return metric
