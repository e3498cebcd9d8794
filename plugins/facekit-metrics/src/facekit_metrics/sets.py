"""Metrics that compare results with real photos as sets of features; the statistics are those of ``statistics.py``."""

from __future__ import annotations

import math
import statistics as python_statistics
from collections.abc import Callable

import torch
from torch import Tensor

from facekit.interfaces import EVALUATED, BuildContext, FacekitError, Measurement, Observation, RealPhotos

from .features.extractor import FeatureExtractor, extractor
from .features.sets import FeatureSet, ResultFeatures, real_features
from .measurements import OneTask, mean_measurement
from .options import (
    DensityCoverageOptions,
    FidOptions,
    FrechetDistanceOptions,
    KidOptions,
    NearestTrainingNeighbourOptions,
    PrecisionRecallOptions,
    TaskChoice,
)
from .statistics import (
    SEED,
    covered,
    densities,
    frechet_distance,
    gaussian,
    inside,
    nearer_than,
    nearest,
    radii,
    subset_distances,
)

LARGEST_SUBSET = 1000

Measure = Callable[["SetMetric", FeatureSet, FeatureSet], tuple[Measurement, ...]]


class SetMetric(OneTask):
    """A metric over the features of the results of a task and of real photos.

    Args:
        name: of the metric, for messages.
        extractor: gives the features.
        choice: whose results.
        photos: the real photos.
        measure: returns the measurements from the features of results and of photos.
    """

    def __init__(
        self, name: str, extractor: FeatureExtractor, choice: TaskChoice, photos: RealPhotos, measure: Measure
    ) -> None:
        super().__init__(choice)
        self.extractor = extractor
        self.photos = photos
        self._name, self._measure = name, measure
        self._results = ResultFeatures(extractor)

    def update(self, observation: Observation) -> None:
        """Take in a batch."""
        self._results.update(observation)

    def compute(self) -> tuple[Measurement, ...]:
        """Return the measurements. Raises FacekitError when nothing was observed, or too little."""
        results = self._results.collected(self._name)
        return self._measure(self, results, self.real(self.photos))

    def real(self, photos: RealPhotos) -> FeatureSet:
        """Return the features of real photos, computed where the results lie."""
        return real_features(self.extractor, photos, self._results.device)

    def name(self, measure: str) -> str:
        """Return a measurement's name: measure, extractor and task."""
        return f"{measure}-{self.extractor.name}/{self.choice.name}"

    def protocol(self, results: int) -> dict[str, str]:
        """Return what two numbers must share beside the formula."""
        return {
            **self.extractor.protocol,
            "task": self.choice.name,
            "results": str(results),
            "real": f"{len(self.photos)} photos of {self.photos.split}, sha256 {self.photos.fingerprint()}",
        }


def build_fid(options: FidOptions, context: BuildContext) -> SetMetric:
    """Build ``FID``: the Fréchet distance over Inception. Raises as :func:`build_frechet_distance`."""
    return _frechet(options, context, "FID", extractor("inception", options.weights))


def build_frechet_distance(options: FrechetDistanceOptions, context: BuildContext) -> SetMetric:
    """Build ``FD-EXTRACTOR``: the Fréchet distance between results and real photos in the features of any network.

    Raises:
        FacekitError: the weights are not there, the data has no such split, or too few photos.
    """
    network = extractor(options.extractor, options.weights)
    return _frechet(options, context, f"FD-{network.name}", network)


def _frechet(
    options: FidOptions | FrechetDistanceOptions, context: BuildContext, measure: str, network: FeatureExtractor
) -> SetMetric:
    choice, photos = options.choice(context), context.real_photos(options.real)
    name = f"{measure}/{choice.name}"

    def require_enough(count: int, what: str) -> None:
        if count < 2 or (count < network.dimension and not options.allow_few_pictures):
            raise FacekitError(
                f"{name} would rest on {count} {what} in {network.dimension} dimensions: far too large by a bias that "
                "depends on their number",
                where="metrics",
                remedy="use the metric kid, whose mean does not depend on it; or set `allow_few_pictures: true` and "
                "compare only numbers over as many pictures",
            )

    def measured(metric: SetMetric, results: FeatureSet, real: FeatureSet) -> tuple[Measurement, ...]:
        require_enough(len(results), "results")
        value = frechet_distance(gaussian(results.features), gaussian(real.features))
        protocol = {**metric.protocol(len(results)), "distance": "squared, unbiased covariances, float64"}
        return (Measurement(name, value, "", "lower", protocol, len(results)),)

    # The numbers of images are known before anything is generated.
    require_enough(len(photos), "real photos")
    require_enough(choice.results(len(context.real_photos(EVALUATED))), "results")
    return SetMetric(name, network, choice, photos, measured)


def build_kid(options: KidOptions, context: BuildContext) -> SetMetric:
    """Build ``KID``: mean and deviation of the kernel distance over random subsets, unbiased for any number of images.

    Raises:
        FacekitError: the weights are not there, the data has no such split, or too few photos.
    """
    network, choice = extractor(options.extractor, options.weights), options.choice(context)
    photos = context.real_photos(options.real)
    name = f"KID-{network.name}/{choice.name}"

    def size_for(count: int) -> int:
        if count < 4:
            raise FacekitError(
                f"{name} compares subsets of pictures, and there are {count}",
                where="metrics",
                remedy="evaluate four faces or more",
            )
        if options.subset_size is not None and options.subset_size > count:
            raise FacekitError(
                f"{name} cannot draw subsets of {options.subset_size} from {count} pictures",
                where="metrics",
                remedy=f"set subset_size to {count // 2} or less, or leave it out",
            )
        return options.subset_size or min(LARGEST_SUBSET, count // 2)

    def measured(metric: SetMetric, results: FeatureSet, real: FeatureSet) -> tuple[Measurement, ...]:
        size, count = size_for(min(len(results), len(real))), len(results)
        distances = subset_distances(results.features, real.features, subsets=options.subsets, size=size)
        protocol = {
            **metric.protocol(count),
            "kernel": "(x . y / D + 1)^3, unbiased",
            "subsets": f"{options.subsets} of {size} pictures, seed {SEED}",
        }
        mean, deviation = python_statistics.fmean(distances), python_statistics.stdev(distances)
        return (
            Measurement(name, mean, "", "lower", protocol, count),
            Measurement(f"{name}/deviation", deviation, "", "lower", protocol, count),
        )

    size_for(min(len(photos), choice.results(len(context.real_photos(EVALUATED)))))
    return SetMetric(name, network, choice, photos, measured)


def _require_neighbours(metric: str, count: int, what: str, *, k: int) -> None:
    if count <= k:
        raise FacekitError(
            f"{metric} looks at neighbour {k} of each picture, and there are {count} {what}",
            where="metrics",
            remedy=f"evaluate {k + 1} faces or more, or lower k",
        )


def build_precision_recall(options: PrecisionRecallOptions, context: BuildContext) -> SetMetric:
    """Build precision, the share of results among real photos, and recall, that of real photos among the results.

    Raises:
        FacekitError: the weights are not there, or the data has no such split.
    """
    metric_name, k = "precision_recall", options.k

    def measured(metric: SetMetric, results: FeatureSet, real: FeatureSet) -> tuple[Measurement, ...]:
        for count, what in ((len(results), "results"), (len(real), "real photos")):
            _require_neighbours(metric_name, count, what, k=k)
        protocol = {**metric.protocol(len(results)), "k": str(k), "distance": "Euclidean, up to the k-th"}
        found = {
            "precision": inside(results.features, real.features, radii(real.features, k)),
            "recall": inside(real.features, results.features, radii(results.features, k)),
        }
        return tuple(
            mean_measurement(
                metric.name(name), among.double().tolist(), unit="share", better="higher", protocol=protocol
            )
            for name, among in found.items()
        )

    network, choice = extractor(options.extractor, options.weights), options.choice(context)
    return SetMetric(metric_name, network, choice, context.real_photos(options.real), measured)


def build_density_coverage(options: DensityCoverageOptions, context: BuildContext) -> SetMetric:
    """Build density, how thickly real photos surround the results, and coverage, the share of photos with one nearby.

    Unlike precision, density does not rise by a single real photo that is far from all others; unlike recall,
    coverage draws its balls around real photos, which have no outliers of a bad model among them.

    Raises:
        FacekitError: the weights are not there, or the data has no such split.
    """
    metric_name, k = "density_coverage", options.k

    def measured(metric: SetMetric, results: FeatureSet, real: FeatureSet) -> tuple[Measurement, ...]:
        _require_neighbours(metric_name, len(real), "real photos", k=k)
        reach = radii(real.features, k)
        protocol = {**metric.protocol(len(results)), "k": str(k), "distance": "Euclidean, below the k-th"}
        density = densities(results.features, real.features, reach, k=k).tolist()
        coverage = covered(results.features, real.features, reach).double().tolist()
        return (
            mean_measurement(metric.name("density"), density, better="higher", protocol=protocol),
            mean_measurement(metric.name("coverage"), coverage, unit="share", better="higher", protocol=protocol),
        )

    network, choice = extractor(options.extractor, options.weights), options.choice(context)
    return SetMetric(metric_name, network, choice, context.real_photos(options.real), measured)


def build_nearest(options: NearestTrainingNeighbourOptions, context: BuildContext) -> SetMetric:
    """Build how near results are to training photos, and how near the evaluated photos are, which are new to the model.

    The photos of a result's own mask and style are not among its neighbours, nor is a photo its own. A result of noise
    alone has none of its own: all training photos are its neighbours.

    Raises:
        FacekitError: the weights are not there, or the data has no such split.
    """
    metric_name = "nearest_training_neighbour"
    unseen_photos = context.real_photos(EVALUATED)

    def measured(metric: SetMetric, results: FeatureSet, training: FeatureSet) -> tuple[Measurement, ...]:
        of_results, of_unseen = (
            nearest(each.features, training.features, barred=_barred(each, training))
            for each in (results, metric.real(unseen_photos))
        )
        if not math.isfinite(float(of_results.sum() + of_unseen.sum())):
            raise FacekitError(
                f"{metric_name} finds no other photo in the {metric.photos.split} split",
                where="metrics",
                remedy="name a split with three photos or more",
            )
        protocol = metric.protocol(len(results))
        protocol["training"] = protocol.pop("real")
        protocol["distance"] = "Euclidean; a picture's own photo and that of its look are left out"
        own, shares = metric.name(metric_name), nearer_than(of_results, of_unseen)
        other = f"{metric_name}-{metric.extractor.name}/real_photos/distance"
        return (
            mean_measurement(f"{own}/distance", of_results.tolist(), better="higher", protocol=protocol),
            mean_measurement(other, of_unseen.tolist(), better="higher", protocol=protocol),
            mean_measurement(f"{own}/nearer_than_real", shares, unit="share", better="lower", protocol=protocol),
        )

    network, choice = extractor(options.extractor, options.weights), options.choice(context)
    return SetMetric(metric_name, network, choice, context.real_photos(options.training), measured)


def _barred(images: FeatureSet, training: FeatureSet) -> Tensor:
    """Return (N, M) bool: which training photos are an image's own."""
    rows = {key: row for row, (key,) in enumerate(training.keys)}
    barred = torch.zeros(len(images), len(training), dtype=torch.bool)
    for index, keys in enumerate(images.keys):
        barred[index, [rows[key] for key in keys if key in rows]] = True
    return barred
