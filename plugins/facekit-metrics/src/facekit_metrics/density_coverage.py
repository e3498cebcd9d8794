"""Density and coverage (Naeem et al., ICML 2020)."""

from __future__ import annotations

import torch
from torch import Tensor

from facekit.interfaces import BuildContext, Measurement

from .comparison import SetComparison, SetMetric, comparison, require_neighbours
from .features.distances import in_blocks, radii
from .per_sample import mean_measurement
from .set_options import DensityCoverageOptions


def densities(results: Tensor, real: Tensor, reach: Tensor, *, k: int) -> Tensor:
    """Return for each result how many balls of real photos hold it, as a multiple of k.

    Args:
        results: (N, D).
        real: (M, D).
        reach: distance of each photo to its k-th neighbour, (M,) float64.
        k: which neighbour that is.

    Returns:
        (N,) float64; 1 on average for results that are as the photos are, and without an upper bound.
    """
    return torch.cat([(distances < reach).sum(1) for _, distances in in_blocks(results, real)]).double() / k


def covered(results: Tensor, real: Tensor, reach: Tensor) -> Tensor:
    """Return which real photos have a result in their ball.

    Args:
        results: (N, D).
        real: (M, D).
        reach: distance of each photo to its k-th neighbour, (M,) float64.

    Returns:
        (M,) bool.
    """
    return torch.cat([distances.amin(1) < reach[part] for part, distances in in_blocks(real, results)])


class DensityCoverage(SetMetric):
    """Density: how thickly real photos surround the results. Coverage: the share of photos with a result nearby.

    Unlike precision, density does not rise by a single real photo that is far from all others; unlike recall,
    coverage draws its balls around real photos, which have no outliers of a bad model among them.

    Args:
        compared: results and photos.
        k: a photo's ball reaches to its k-th nearest neighbour.
    """

    def __init__(self, compared: SetComparison, *, k: int = 5) -> None:
        super().__init__(compared)
        self.k = k

    def compute(self) -> tuple[Measurement, ...]:
        """Return density, with a value a result, and coverage, with a value a real photo.

        Raises:
            FacekitError: nothing was observed, or there are too few photos for a k-th neighbour.
        """
        results, real = self.compared.sets("density_coverage")
        require_neighbours("density_coverage", len(real), "real photos", k=self.k)
        reach = radii(real.features, self.k)
        protocol = {**self.compared.protocol(len(results)), "k": str(self.k), "distance": "Euclidean, below the k-th"}
        density = densities(results.features, real.features, reach, k=self.k)
        coverage = covered(results.features, real.features, reach).double()
        return (
            mean_measurement(
                self.compared.name("density"), density.tolist(), unit="", better="higher", protocol=protocol
            ),
            mean_measurement(
                self.compared.name("coverage"), coverage.tolist(), unit="share", better="higher", protocol=protocol
            ),
        )


def build(options: DensityCoverageOptions, context: BuildContext) -> DensityCoverage:
    """Build the metric from a recipe's options.

    Raises:
        FacekitError: the weights are not there, or the data has no such split.
    """
    return DensityCoverage(comparison(options, context), k=options.k)
