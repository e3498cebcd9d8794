"""What metrics that compare results with real photos do alike: collect features, and say what was compared."""

from __future__ import annotations

from facekit.interfaces import BuildContext, FacekitError, Observation, RealPhotos

from .features.extractor import FeatureExtractor, extractor
from .features.sets import FeatureSet, ResultFeatures, real_features
from .one_task import OneTask
from .set_options import ExtractorOptions
from .task_options import TaskChoice


class SetComparison:
    """The results of a task, and the real photos they are compared with, as features.

    Args:
        extractor: what gives the features.
        choice: whose results.
        photos: the real photos.
    """

    def __init__(self, extractor: FeatureExtractor, choice: TaskChoice, photos: RealPhotos) -> None:
        self.extractor = extractor
        self.choice = choice
        self.photos = photos
        self._results = ResultFeatures(extractor)

    def update(self, observation: Observation) -> None:
        """Take in a batch."""
        self._results.update(observation)

    def sets(self, what: str) -> tuple[FeatureSet, FeatureSet]:
        """Return the features of results and of real photos. Raises FacekitError when nothing was observed."""
        results = self._results.collected(what)
        return results, real_features(self.extractor, self.photos, self._results.device)

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


class SetMetric(OneTask):
    """A metric over the features of results and of real photos.

    Args:
        compared: results and photos.
    """

    def __init__(self, compared: SetComparison) -> None:
        super().__init__(compared.choice)
        self.compared = compared

    def update(self, observation: Observation) -> None:
        """Take in a batch."""
        self.compared.update(observation)


def comparison(options: ExtractorOptions, context: BuildContext) -> SetComparison:
    """Return what a metric's options ask for.

    Raises:
        FacekitError: the weights are not there, or the data has no such split.
    """
    photos = context.real_photos(options.real)
    return SetComparison(extractor(options.extractor, options.weights), options.choice(context), photos)


def require_neighbours(metric: str, count: int, what: str, *, k: int) -> None:
    """Check that a set has a k-th neighbour for each picture. Raises FacekitError when it has not."""
    if count <= k:
        raise FacekitError(
            f"{metric} looks at neighbour {k} of each picture, and there are {count} {what}",
            where="metrics",
            remedy=f"evaluate {k + 1} faces or more, or lower k",
        )
