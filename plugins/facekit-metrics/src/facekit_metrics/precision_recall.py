"""Precision and recall of a set of results (Kynkäänniemi et al., NeurIPS 2019)."""

from __future__ import annotations

import torch
from torch import Tensor

from facekit.interfaces import BuildContext, Measurement

from .comparison import SetComparison, SetMetric, comparison, require_neighbours
from .features.distances import in_blocks, radii
from .per_sample import mean_measurement
from .set_options import PrecisionRecallOptions


def inside(pictures: Tensor, centres: Tensor, reach: Tensor) -> Tensor:
    """Return which pictures lie in a ball around one of the centres; on its surface is inside.

    Args:
        pictures: (N, D).
        centres: (M, D).
        reach: radius of each ball, (M,) float64.

    Returns:
        (N,) bool.
    """
    return torch.cat([(distances <= reach).any(1) for _, distances in in_blocks(pictures, centres)])


class PrecisionRecall(SetMetric):
    """Precision: the share of results that lie among real photos. Recall: the share of real photos among the results.

    Args:
        compared: results and photos.
        k: a picture's ball reaches to its k-th nearest neighbour in its own set.
    """

    def __init__(self, compared: SetComparison, *, k: int = 3) -> None:
        super().__init__(compared)
        self.k = k

    def compute(self) -> tuple[Measurement, ...]:
        """Return precision, with a value a result, and recall, with a value a real photo.

        Raises:
            FacekitError: nothing was observed, or too little for a k-th neighbour.
        """
        results, real = self.compared.sets("precision_recall")
        for count, what in ((len(results), "results"), (len(real), "real photos")):
            require_neighbours("precision_recall", count, what, k=self.k)
        among_real = inside(results.features, real.features, radii(real.features, self.k))
        among_results = inside(real.features, results.features, radii(results.features, self.k))
        protocol = {**self.compared.protocol(len(results)), "k": str(self.k), "distance": "Euclidean, up to the k-th"}
        return tuple(
            mean_measurement(
                self.compared.name(measure), shares.double().tolist(), unit="share", better="higher", protocol=protocol
            )
            for measure, shares in (("precision", among_real), ("recall", among_results))
        )


def build(options: PrecisionRecallOptions, context: BuildContext) -> PrecisionRecall:
    """Build the metric from a recipe's options.

    Raises:
        FacekitError: the weights are not there, or the data has no such split.
    """
    return PrecisionRecall(comparison(options, context), k=options.k)
