"""Are results copies of training photos? Their distance to the nearest, beside that of real photos that are no
training photos."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from facekit.interfaces import EVALUATED, BuildContext, FacekitError, Measurement, Observation, RealPhotos

from .features.distances import in_blocks
from .features.extractor import FeatureExtractor, extractor
from .features.sets import FeatureSet, ResultFeatures, real_features
from .one_task import OneTask
from .per_sample import mean_measurement
from .set_options import NearestTrainingNeighbourOptions
from .task_options import TaskChoice

NAME = "nearest_training_neighbour"


def nearest(pictures: Tensor, training: Tensor, *, barred: Tensor) -> Tensor:
    """Return the distance of each picture to the nearest training photo.

    Args:
        pictures: (N, D).
        training: (M, D).
        barred: photos that do not count for a picture, (N, M) bool.

    Returns:
        (N,) float64; infinite where all are barred.
    """
    return torch.cat(
        [distances.masked_fill(barred[part], torch.inf).amin(1) for part, distances in in_blocks(pictures, training)]
    )


def nearer_than(results: Tensor, real: Tensor) -> list[float]:
    """Return for each result the share of real photos that are farther from the training photos than it is.

    Their mean is the statistic of Mann and Whitney divided by the number of pairs, which Meehan et al. (A
    Non-Parametric Test to Detect Data-Copying in Generative Models, AISTATS 2020) test copying with.

    Args:
        results: distances of results, (N,).
        real: distances of real photos, (M,).

    Returns:
        N shares; ties count half. 0.5 on average when results are as far as new photos are, 1 for copies.
    """
    lower = (results[:, None] < real).double() + 0.5 * (results[:, None] == real).double()
    return [float(share) for share in lower.mean(1)]


class NearestTrainingNeighbour(OneTask):
    """How near results are to training photos, and how near real photos are that the model has not seen.

    The photos of a result's own mask and look are not among its neighbours, nor is a photo its own. A result of noise
    alone has none of its own: all training photos are its neighbours.

    Args:
        extractor: what gives features.
        choice: whose results.
        training: the training photos.
        unseen: the real photos beside them: those of the evaluated faces.
    """

    def __init__(
        self, extractor: FeatureExtractor, choice: TaskChoice, training: RealPhotos, unseen: RealPhotos
    ) -> None:
        super().__init__(choice)
        self.extractor = extractor
        self.training = training
        self.unseen = unseen
        self._results = ResultFeatures(extractor)

    def update(self, observation: Observation) -> None:
        """Take in a batch."""
        self._results.update(observation)

    def compute(self) -> tuple[Measurement, ...]:
        """Return the mean distance of results, that of unseen photos, and how often the first is less.

        Raises:
            FacekitError: nothing was observed, or no photo is left to compare with.
        """
        results = self._results.collected(NAME)
        training = real_features(self.extractor, self.training, self._results.device)
        unseen = real_features(self.extractor, self.unseen, self._results.device)
        of_results = nearest(results.features, training.features, barred=_barred(results, training))
        of_unseen = nearest(unseen.features, training.features, barred=_barred(unseen, training))
        if not math.isfinite(float(of_results.sum() + of_unseen.sum())):
            raise FacekitError(
                f"{NAME} finds no other photo in the {self.training.split} split",
                where="metrics",
                remedy="name a split with three photos or more",
            )
        protocol = {
            **self.extractor.protocol,
            "task": self.choice.name,
            "results": str(len(results)),
            "training": f"{len(training)} photos of {self.training.split}, sha256 {self.training.fingerprint()}",
            "distance": "Euclidean; a picture's own photo and that of its look are left out",
        }
        name = f"{NAME}-{self.extractor.name}/{self.choice.name}"
        return (
            mean_measurement(f"{name}/distance", of_results.tolist(), unit="", better="higher", protocol=protocol),
            mean_measurement(
                f"{NAME}-{self.extractor.name}/real_photos/distance",
                of_unseen.tolist(),
                unit="",
                better="higher",
                protocol=protocol,
            ),
            mean_measurement(
                f"{name}/nearer_than_real",
                nearer_than(of_results, of_unseen),
                unit="share",
                better="lower",
                protocol=protocol,
            ),
        )


def _barred(pictures: FeatureSet, training: FeatureSet) -> Tensor:
    """Return (N, M) bool: which training photos are a picture's own."""
    rows = {key: row for row, (key,) in enumerate(training.keys)}
    barred = torch.zeros(len(pictures), len(training), dtype=torch.bool)
    for index, keys in enumerate(pictures.keys):
        for key in keys:
            if key in rows:
                barred[index, rows[key]] = True
    return barred


def build(options: NearestTrainingNeighbourOptions, context: BuildContext) -> NearestTrainingNeighbour:
    """Build the metric from a recipe's options.

    Raises:
        FacekitError: the weights are not there, or the data has no such split.
    """
    return NearestTrainingNeighbour(
        extractor(options.extractor, options.weights),
        options.choice(context),
        training=context.real_photos(options.training),
        unseen=context.real_photos(EVALUATED),
    )
