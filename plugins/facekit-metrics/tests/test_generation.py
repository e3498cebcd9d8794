"""What the metrics say of images from noise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from facekit.evaluation import measurement_id
from facekit.interfaces import BuildContext, Condition, FacekitError, Generated, Observation, Task
from facekit_backbones import EfficientNetLite0
from facekit_metrics import perceptual, sets
from facekit_metrics.options import (
    DensityCoverageOptions,
    FaceTaskOptions,
    FrechetDistanceOptions,
    KidOptions,
    NearestTrainingNeighbourOptions,
    PerceptualDistanceOptions,
    PrecisionRecallOptions,
    PsnrOutsideEditOptions,
    StyleConsistencyOptions,
    TaskOptions,
)
from facekit_metrics.perceptual import LAYERS, feature_distance

ONLY: tuple[Task, ...] = ("generation",)

SETS: dict[str, tuple[Any, Any]] = {
    "kid": (sets.build_kid, KidOptions(subsets=5)),
    "frechet_distance": (sets.build_frechet_distance, FrechetDistanceOptions(allow_few_pictures=True)),
    "precision_recall": (sets.build_precision_recall, PrecisionRecallOptions()),
    "density_coverage": (sets.build_density_coverage, DensityCoverageOptions()),
    "nearest_training_neighbour": (sets.build_nearest, NearestTrainingNeighbourOptions()),
}


def generate(
    metric: Any, results: Tensor, photos: Tensor, *, batch: int = 100, reads: frozenset[str] = frozenset()
) -> None:
    """Show a metric samples of noise, one a face, without masks and references."""
    for part in torch.arange(len(photos)).split(batch):
        keys = tuple(f"face{index}" for index in part.tolist())
        metric.update(
            Observation(
                task="generation",
                condition=Condition(extra={"z": torch.zeros(len(part), 4)}),
                generated=Generated(results[part]),
                target=photos[part],
                keys=keys,
                reference_keys=keys,
                reads=reads,
            )
        )


@pytest.fixture
def of_noise(pictures, with_photos) -> BuildContext:  # type: ignore[no-untyped-def]
    """The context of a model from noise alone, beside six test photos and six training photos."""
    context: BuildContext = with_photos({"test": pictures[0], "train": pictures[0].flip(0, 3)})
    return replace(context, tasks=ONLY)


class TestDefaults:
    @pytest.mark.parametrize("name", SETS)
    def test_sets_follow_the_model(self, name: str, of_noise: BuildContext) -> None:
        build, options = SETS[name]
        assert build(options, of_noise).tasks == ("generation",)
        assert build(options, replace(of_noise, tasks=("reconstruction", "style_copy"))).tasks == ("style_copy",)
        assert build(options, replace(of_noise, tasks=("reconstruction", "style_copy", *ONLY))).tasks == ("style_copy",)

    def test_a_task_that_is_named_stays(self, of_noise: BuildContext) -> None:
        assert TaskOptions(task="style_copy").choice(of_noise).task == "style_copy"

    def test_metrics_about_faces_never_take_it(self, of_noise: BuildContext) -> None:
        assert FaceTaskOptions().choice(of_noise).task == "style_copy", "which the core refuses with a sentence"
        for options in (FaceTaskOptions, StyleConsistencyOptions, PsnrOutsideEditOptions):
            with pytest.raises(ValidationError, match="task cannot be generation"):
                options(task="generation")

    def test_diversity(self, of_noise: BuildContext) -> None:
        assert perceptual.build_diversity(PerceptualDistanceOptions(), of_noise).tasks == ("generation",)
        for tasks in (("reconstruction", "style_copy"), ("reconstruction", "style_copy", "generation")):
            built = perceptual.build_diversity(PerceptualDistanceOptions(), replace(of_noise, tasks=tasks))
            assert built.tasks == ("reconstruction", "style_copy")


class TestProtocols:
    @pytest.mark.parametrize("name", SETS)
    def test_ids_differ_between_tasks(self, name: str, pictures, show, of_noise: BuildContext) -> None:  # type: ignore[no-untyped-def]
        photos, results = pictures
        build, options = SETS[name]
        generated = build(options, of_noise)
        generate(generated, results, photos)
        rebuilt = build(options.model_copy(update={"task": "reconstruction"}), of_noise)
        show(rebuilt, results, photos, torch.zeros(6, 32, 32, dtype=torch.long))
        ours, theirs = ({measurement_id({}, each) for each in metric.compute()} for metric in (generated, rebuilt))
        assert ours
        assert not ours & theirs
        assert all(each.protocol["task"] == "generation" for each in generated.compute())

    def test_diversity_of_samples_is_no_diversity_of_looks(self, pictures, show, of_noise: BuildContext) -> None:  # type: ignore[no-untyped-def]
        photos, results = pictures
        samples = perceptual.build_diversity(PerceptualDistanceOptions(), of_noise)
        generate(samples, results, photos)
        looks = perceptual.build_diversity(
            PerceptualDistanceOptions(), replace(of_noise, tasks=("reconstruction", "style_copy"))
        )
        masks = torch.zeros(6, 32, 32, dtype=torch.long)
        show(looks, results, photos, masks)
        show(looks, photos, photos, masks, task="style_copy", references=[1, 2, 3, 4, 5, 0])
        (one,), (other,) = samples.compute(), looks.compute()
        assert one.name == other.name
        assert measurement_id({}, one) != measurement_id({}, other)


class TestDiversity:
    def test_it_is_the_distance_of_neighbours(self, pictures, of_noise: BuildContext) -> None:  # type: ignore[no-untyped-def]
        photos, results = (round_(each) for each in pictures)
        found = []
        for batch in (1, 4, 6):
            metric = perceptual.build_diversity(PerceptualDistanceOptions(), of_noise)
            generate(metric, results, photos, batch=batch)
            found.append(metric.compute()[0])
        assert found[0] == found[1] == found[2]
        backbone = EfficientNetLite0(layers=LAYERS)
        features = [backbone(EfficientNetLite0.normalise(each)) for each in results.split(1)]
        expected = [float(feature_distance(features[row], features[(row + 1) % 6])) for row in range(6)]
        assert found[0].per_sample == pytest.approx(expected)
        assert found[0].count == 6
        assert found[0].better == "higher"

    def test_a_collapsed_model_has_none(self, pictures, of_noise: BuildContext) -> None:  # type: ignore[no-untyped-def]
        metric = perceptual.build_diversity(PerceptualDistanceOptions(), of_noise)
        generate(metric, pictures[0][:1].expand(6, -1, -1, -1), pictures[0])
        assert metric.compute()[0].value == 0

    def test_exception(self, pictures, of_noise: BuildContext) -> None:  # type: ignore[no-untyped-def]
        metric = perceptual.build_diversity(PerceptualDistanceOptions(), of_noise)
        with pytest.raises(FacekitError, match="no results"):
            metric.compute()
        generate(metric, pictures[0][:1], pictures[0][:1])
        with pytest.raises(FacekitError, match="evaluate two faces or more"):
            metric.compute()
        with pytest.raises(FacekitError, match="the sample of 'face0' twice"):
            generate(metric, pictures[0][:1], pictures[0][:1])


class TestCopies:
    def test_a_result_of_noise_has_no_photo_of_its_own(self, pictures, with_photos) -> None:  # type: ignore[no-untyped-def]
        photos, _ = pictures
        # The evaluated faces are the training faces, and the results are copies of them.
        context = replace(with_photos({"train": photos}, evaluated="train"), tasks=ONLY)
        values = {}
        for reads in (frozenset[str](), frozenset({"mask"})):
            metric = sets.build_nearest(NearestTrainingNeighbourOptions(), context)
            generate(metric, photos, photos, reads=reads)
            values[reads] = metric.compute()[0].value
        assert values[frozenset()] == pytest.approx(0, abs=1e-6), "every copy is seen"
        assert values[frozenset({"mask"})] > 0.01, "its own photo does not count"


def round_(pictures: Tensor) -> Tensor:
    return ((pictures.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1
