"""Attribute and segmentation accuracy, against scikit-learn, and with evaluators that must not be asked."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, jaccard_score
from torch import Tensor

from facekit.interfaces import (
    BuildContext,
    Condition,
    FaceDataset,
    FacekitError,
    Generated,
    Measurement,
    Observation,
    Reference,
    Task,
)
from facekit.registry import load_registry
from facekit_metrics import attribute_accuracy, segmentation_accuracy
from facekit_metrics.evaluators import store
from facekit_metrics.evaluators.seen import LearnedFrom, thumbnails
from facekit_metrics.evaluators.trained import TrainedClassifier, TrainedSegmenter
from facekit_metrics.options import AttributeAccuracyOptions, SegmentationAccuracyOptions

NAMES = ("Smiling", "Eyeglasses")
SIZE = 64
DRAWN = "facekit/synthetic_faces"


@pytest.fixture
def data(drawn_faces: FaceDataset) -> BuildContext:
    return BuildContext(drawn_faces.label_map, NAMES, SIZE, dataset=DRAWN)


@pytest.fixture(scope="module")
def unseen(drawn_faces: FaceDataset, read_faces: Callable[..., Any]) -> tuple[Tensor, Tensor, Tensor]:
    """Photos (24, 3, 64, 64), masks and attributes of faces that no evaluator learned from."""
    rows = [*drawn_faces.splits()["validation"], *drawn_faces.splits()["test"]]
    return named(drawn_faces, *read_faces(drawn_faces, rows, SIZE))


def named(faces: FaceDataset, photos: Tensor, masks: Tensor, attributes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return photos, masks and the attributes that are measured."""
    return photos, masks, attributes[:, [faces.attribute_names.index(name) for name in NAMES]]


def show(
    metric: Any,
    faces: tuple[Tensor, Tensor, Tensor],
    results: Tensor | None = None,
    *,
    attribute: str = "",
    task: Task = "reconstruction",
    batch: int = 24,
    reads: frozenset[str] = frozenset({"mask", "reference", "reference_mask"}),
) -> None:
    """Show results of each face in its own look, or in that of the face after it with an attribute turned round."""
    photos, masks, attributes = faces
    results = photos if results is None else results
    look = torch.arange(len(photos)) if task == "reconstruction" else torch.arange(len(photos)).roll(1)
    shown, wanted = attributes, None
    if attribute:
        shown = attributes[look].clone()
        column = NAMES.index(attribute)
        wanted = 1 - shown[:, column]
        shown[:, column] = wanted
    for part in torch.arange(len(photos)).split(batch):
        metric.update(
            Observation(
                task=task,
                condition=Condition(
                    masks[part], Reference(photos[look[part]], masks[look[part]]), shown[part], photos[look[part]]
                ),
                generated=Generated(results[part]),
                target=photos[part],
                keys=tuple(f"face{row}" for row in part.tolist()),
                reference_keys=tuple(f"face{row}" for row in look[part].tolist()),
                attributes=shown[part],
                attribute=attribute,
                wanted=None if wanted is None else wanted[part],
                reads=reads,
            )
        )


def by_name(measurements: tuple[Measurement, ...]) -> dict[str, Measurement]:
    return {entry.name: entry for entry in measurements}


class TestAttributeAccuracy:
    def metric(self, data: BuildContext, **options: Any) -> attribute_accuracy.AttributeAccuracy:
        return attribute_accuracy.build(AttributeAccuracyOptions(**{"transfer": NAMES, **options}), data)

    def test_against_scikit_learn(
        self, evaluators: Path, data: BuildContext, unseen: tuple[Tensor, Tensor, Tensor]
    ) -> None:
        metric = self.metric(data, transfer=())
        assert metric.tasks == ("reconstruction",)
        show(metric, unseen)
        found = by_name(metric.compute())
        classifier = TrainedClassifier(store.find(store.ATTRIBUTES, "newest"))
        said = classifier(unseen[0])[:, [classifier.attributes.index(name) for name in NAMES]] > 0
        truth = unseen[2] > 0
        accuracies, balanced = [], []
        for column, name in enumerate(NAMES):
            accuracies.append(100 * accuracy_score(truth[:, column], said[:, column]))
            balanced.append(100 * balanced_accuracy_score(truth[:, column], said[:, column]))
            assert found[f"attribute_accuracy/{name}"].value == pytest.approx(accuracies[-1])
            assert found[f"balanced_attribute_accuracy/{name}"].value == pytest.approx(balanced[-1])
        assert found["attribute_accuracy"].value == pytest.approx(np.mean(accuracies))
        assert found["balanced_attribute_accuracy"].value == pytest.approx(np.mean(balanced))
        assert found["attribute_accuracy"].per_sample == pytest.approx(100 * (said == truth).double().mean(1).numpy())

    def test_success_and_preservation_are_apart(
        self, evaluators: Path, data: BuildContext, unseen: tuple[Tensor, Tensor, Tensor]
    ) -> None:
        """Results are the photos of the look: nothing changes, so what should change is right where the rest is not."""
        metric = self.metric(data)
        photos, _, attributes = unseen
        look = photos.roll(1, 0)
        show(metric, unseen)
        for name in NAMES:
            show(metric, unseen, look, attribute=name, task="attribute_transfer")
        found = by_name(metric.compute())
        classifier = TrainedClassifier(store.find(store.ATTRIBUTES, "newest"))
        said = classifier(look)[:, [classifier.attributes.index(name) for name in NAMES]] > 0
        own = attributes.roll(1, 0) > 0
        for column, name in enumerate(NAMES):
            hit = 100 * (said[:, column] != own[:, column]).double()
            kept = 100 * (said[:, 1 - column] == own[:, 1 - column]).double()
            assert found[f"attribute_transfer/{name}"].per_sample == pytest.approx(hit.numpy())
            assert found[f"attribute_preservation/{name}"].per_sample == pytest.approx(kept.numpy())
            balanced = balanced_accuracy_score(~own[:, column], said[:, column])
            assert found[f"balanced_attribute_transfer/{name}"].value == pytest.approx(100 * balanced)
        assert found["attribute_transfer"].count == 48
        mean = np.mean([found[f"attribute_transfer/{name}"].value for name in NAMES])
        assert found["attribute_transfer"].value == pytest.approx(mean)

    @pytest.mark.parametrize("batch", [1, 5])
    def test_the_batch_size_does_not_matter(
        self, evaluators: Path, data: BuildContext, unseen: tuple[Tensor, Tensor, Tensor], batch: int
    ) -> None:
        whole, parts = self.metric(data), self.metric(data)
        for metric, size in ((whole, 24), (parts, batch)):
            show(metric, unseen, batch=size)
            for name in NAMES:
                show(metric, unseen, attribute=name, task="attribute_transfer", batch=size)
        assert whole.compute() == parts.compute()

    def test_the_protocol_names_evaluator_and_faces(
        self, evaluators: Path, data: BuildContext, unseen: tuple[Tensor, Tensor, Tensor]
    ) -> None:
        kept = store.find(store.ATTRIBUTES, "newest")
        metric, fewer = self.metric(data, transfer=()), self.metric(data, transfer=())
        show(metric, unseen)
        show(fewer, tuple(tensor[:20] for tensor in unseen))  # type: ignore[arg-type]
        protocol, other = metric.compute()[0].protocol, fewer.compute()[0].protocol
        assert kept.weights_sha256[:16] in protocol["evaluator"]
        assert "on 16 photos it did not learn from" in protocol["evaluator_on_held_out_photos"]
        assert "Smiling " in protocol["evaluator_on_held_out_photos"]
        assert protocol["faces_and_wishes"] != other["faces_and_wishes"]

    def test_exception(self, evaluators: Path, data: BuildContext, unseen: tuple[Tensor, Tensor, Tensor]) -> None:
        with pytest.raises(FacekitError, match="the data has none"):
            self.metric(BuildContext(data.label_map, (), SIZE))
        with pytest.raises(FacekitError, match="measures 'Smilling'"):
            self.metric(data, attributes=("Smilling",))
        with pytest.raises(
            FacekitError, match="no attribute classifier that learned from facekit/celebamask_hq"
        ) as caught:
            self.metric(BuildContext(data.label_map, NAMES, SIZE, dataset="facekit/celebamask_hq"))
        assert "facekit run evaluators/attributes --set 'data.of=[{use: celebamask_hq" in str(caught.value.remedy)
        evaluator = store.find(store.ATTRIBUTES, "newest").id
        with pytest.raises(FacekitError, match="does not tell Young"):
            self.metric(BuildContext(data.label_map, ("Young",), SIZE), evaluator=evaluator, transfer=("Young",))
        with pytest.raises(FacekitError, match="of the kind segmenter"):
            self.metric(data, evaluator=str(store.find(store.SEGMENTER, "newest").folder))
        with pytest.raises(FacekitError, match="no results"):
            self.metric(data).compute()
        metric = self.metric(data)
        show(metric, unseen)
        with pytest.raises(FacekitError, match="no results in which Smiling changes"):
            metric.compute()


class TestSegmentationAccuracy:
    def metric(self, data: BuildContext, **options: Any) -> segmentation_accuracy.SegmentationAccuracy:
        return segmentation_accuracy.build(SegmentationAccuracyOptions(**options), data)

    def test_against_scikit_learn(
        self, evaluators: Path, data: BuildContext, unseen: tuple[Tensor, Tensor, Tensor]
    ) -> None:
        metric = self.metric(data)
        show(metric, unseen)
        found = by_name(metric.compute())
        said = TrainedSegmenter(store.find(store.SEGMENTER, "newest"))(unseen[0]).argmax(1)
        truth, answer = unseen[1].flatten().numpy(), said.flatten().numpy()
        matrix = confusion_matrix(truth, answer, labels=range(19))
        assert found["segmentation_accuracy/reconstruction"].value == pytest.approx(100 * matrix.trace() / matrix.sum())
        present = np.unique(truth)
        ious = jaccard_score(truth, answer, labels=present, average=None)
        assert found["segmentation_mean_iou/reconstruction"].value == pytest.approx(100 * ious.mean())
        rows = {name: entry.value for name, entry in found.items() if name.startswith("segmentation_iou_")}
        names = [data.label_map.names[index] for index in present]
        assert list(rows) == [f"segmentation_iou_reconstruction/{name}" for name in names]
        assert list(rows.values()) == pytest.approx((100 * ious).tolist())
        per_photo = [100 * float((one == two).double().mean()) for one, two in zip(said, unseen[1], strict=True)]
        assert found["segmentation_accuracy/reconstruction"].per_sample == pytest.approx(per_photo)

    @pytest.mark.parametrize("batch", [1, 7])
    def test_the_batch_size_does_not_matter(
        self, evaluators: Path, data: BuildContext, unseen: tuple[Tensor, Tensor, Tensor], batch: int
    ) -> None:
        values = []
        for size in (24, batch):
            metric = self.metric(data, tasks=("reconstruction", "attribute_transfer"), transfer=NAMES)
            show(metric, unseen, batch=size)
            for name in reversed(NAMES):
                show(metric, unseen, attribute=name, task="attribute_transfer", batch=size)
            values.append(metric.compute())
        assert values[0] == values[1]

    def test_a_painter_that_reads_no_mask_is_compared_with_its_source_under_another_name(
        self, evaluators: Path, data: BuildContext, unseen: tuple[Tensor, Tensor, Tensor]
    ) -> None:
        options = {"tasks": ("attribute_transfer",), "transfer": ("Smiling",)}
        metric, system = self.metric(data, **options), self.metric(data, **options)
        look = unseen[0].roll(1, 0)  # unchanged photos: an image-to-image model that does nothing
        show(
            metric,
            unseen,
            look,
            attribute="Smiling",
            task="attribute_transfer",
            reads=frozenset({"source", "attributes"}),
        )
        show(system, unseen, look, attribute="Smiling", task="attribute_transfer")
        of_source, of_mask = by_name(metric.compute()), by_name(system.compute())
        assert not set(of_source) & set(of_mask)
        said = TrainedSegmenter(store.find(store.SEGMENTER, "newest"))(look).argmax(1)
        entry = of_source["segmentation_accuracy_of_source/attribute_transfer"]
        other = of_mask["segmentation_accuracy/attribute_transfer"]
        for found, masks in ((entry, unseen[1].roll(1, 0)), (other, unseen[1])):
            assert found.per_sample == pytest.approx((100 * (said == masks).double().mean((1, 2))).numpy())
        assert "since the model reads none" in entry.protocol["mask"]
        assert entry.protocol != other.protocol
        with pytest.raises(FacekitError, match="with and without masks"):
            show(metric, unseen, attribute="Smiling", task="attribute_transfer")

    def test_exception(self, evaluators: Path, data: BuildContext) -> None:
        with pytest.raises(FacekitError, match="no segmenter for the label map tiny") as caught:
            self.metric(BuildContext(type(data.label_map)("tiny", data.label_map.classes), NAMES, SIZE))
        assert "facekit run evaluators/segmenter" in str(caught.value.remedy)
        with pytest.raises(FacekitError, match="no results"):
            self.metric(data).compute()
        with pytest.raises(ValueError, match="at least one attribute"):
            SegmentationAccuracyOptions(transfer=())


class TestPlantedFault:
    """An evaluator that has learned from the photos that are measured says nothing about results."""

    @pytest.fixture
    def taught(self, drawn_faces: FaceDataset, read_faces: Callable[..., Any]) -> tuple[Tensor, Tensor, Tensor]:
        rows = drawn_faces.splits()["train"][:24]
        return named(drawn_faces, *read_faces(drawn_faces, rows, SIZE))

    @pytest.mark.parametrize("kind", ["attributes", "segmenter"])
    def test_it_is_refused(
        self, evaluators: Path, data: BuildContext, taught: tuple[Tensor, Tensor, Tensor], kind: str
    ) -> None:
        metric: Any = (
            attribute_accuracy.build(AttributeAccuracyOptions(transfer=()), data)
            if kind == "attributes"
            else segmentation_accuracy.build(SegmentationAccuracyOptions(), data)
        )
        grey = torch.zeros_like(taught[0])  # whatever the results are
        with pytest.raises(FacekitError, match="has learned from 24 of these 24 photos, 'face0' first") as caught:
            show(metric, taught, grey)
        assert "facekit evaluator add" in str(caught.value.remedy)

    def test_one_photo_among_many_is_enough(
        self,
        evaluators: Path,
        data: BuildContext,
        taught: tuple[Tensor, Tensor, Tensor],
        unseen: tuple[Tensor, Tensor, Tensor],
    ) -> None:
        mixed = tuple(torch.cat([new[:7], old[:1], new[7:]]) for new, old in zip(unseen, taught, strict=True))
        metric = attribute_accuracy.build(AttributeAccuracyOptions(transfer=()), data)
        with pytest.raises(FacekitError, match="has learned from 1 of these 5 photos, 'face7' first"):
            show(metric, mixed, batch=5)  # type: ignore[arg-type]

    def test_a_whole_evaluation_is_refused(self, evaluators: Path, tmp_path: Path) -> None:
        """The evaluator learned from the drawn faces that this recipe calls its test split."""
        from facekit.data.cache import prepare
        from facekit.evaluation import TargetPhotos, evaluate
        from facekit.interfaces import DatasetContext

        registry = load_registry()
        spec = registry.find("dataset", "synthetic_faces").spec
        options = spec.options.model_validate({"train": 48, "extra": 0, "validation": 16, "test": 8})
        faces = spec.build(options, DatasetContext(registry.label_maps))
        packed = prepare(faces, size=32, cache=tmp_path, workers=1)
        context = BuildContext(packed.label_map, packed.attribute_names, 32, dataset=DRAWN)

        def metric() -> Any:
            return attribute_accuracy.build(AttributeAccuracyOptions(transfer=()), context)

        result = evaluate(TargetPhotos(), packed, [metric()], split="test")
        assert 0 <= result.measurement("attribute_accuracy").value <= 100
        with pytest.raises(FacekitError, match="has learned from"):  # at half the side that the evaluator saw
            evaluate(TargetPhotos(), packed, [metric()], split="train")

    def test_photos_are_known_in_other_forms_and_only_they(
        self, taught: tuple[Tensor, Tensor, Tensor], unseen: tuple[Tensor, Tensor, Tensor]
    ) -> None:
        photos = taught[0]
        known = LearnedFrom(thumbnails(photos), "classifier")
        half = torch.nn.functional.interpolate(photos, size=40, mode="bicubic", antialias=True, align_corners=False)
        noisy = (photos + 0.05 * torch.randn(photos.shape, generator=torch.Generator().manual_seed(0))).clamp(-1, 1)
        assert known.among(half).all()
        assert known.among(noisy).all()
        assert not known.among(unseen[0]).any()
        darker = (0.5 * (photos + 1)) ** 1.5 * 2 - 1
        assert known.among(darker).all()
        assert known.among(darker.flip(3)).all()
        assert known.among(photos.mean(1, keepdim=True).expand(-1, 3, -1, -1)).all()
        assert not known.among(unseen[0].flip(3)).any()
        assert known.among(photos[:0]).shape == (0,)
        levels = ((photos + 1) * 127.5).round().to(torch.uint8)
        apart = thumbnails(levels).int() - thumbnails(photos).int()
        assert apart.abs().max() <= 1  # halves may be rounded either way


class TestKept:
    def test_its_own_accuracy_is_told(self, evaluators: Path, evaluator_cache: tuple[Path, str]) -> None:
        assert "added: attributes " in evaluator_cache[1]
        assert "on 16 photos it did not learn from: accuracy " in evaluator_cache[1]
        assert "Smiling: " in evaluator_cache[1]
        kept = store.find(store.ATTRIBUTES, "newest")
        assert kept.attributes == ("Eyeglasses", "Smiling")
        assert set(kept.accuracy) >= {"accuracy", "balanced_accuracy/Smiling"}

    def test_what_it_says_does_not_depend_on_the_batch(
        self, evaluators: Path, unseen: tuple[Tensor, Tensor, Tensor]
    ) -> None:
        classifier = TrainedClassifier(store.find(store.ATTRIBUTES, "newest"))
        together = classifier(unseen[0][:3])
        assert together.shape == (3, 2)
        assert torch.equal(together, torch.cat([classifier(photo[None]) for photo in unseen[0][:3]]))
        mirrored = classifier(unseen[0][:3].flip(-1))
        torch.testing.assert_close(mirrored, together, rtol=0, atol=1e-4)

    def test_a_card_of_another_format_is_told(self, evaluators: Path, tmp_path: Path) -> None:
        kept = store.find(store.ATTRIBUTES, "newest")
        card = json.loads((kept.folder / store.CARD).read_text())
        (tmp_path / store.CARD).write_text(json.dumps({**card, "format": 1}))
        with pytest.raises(FacekitError, match="format 1"):
            store.find(store.ATTRIBUTES, str(tmp_path))

    def test_a_nan_figure_is_none(self) -> None:
        from facekit_metrics.evaluators.accuracy import attribute_figures

        figures = attribute_figures(torch.tensor([[True], [True]]), torch.tensor([[True], [False]]), ["Smiling"])
        assert figures["accuracy/Smiling"] == 0.5
        assert math.isnan(figures["balanced_accuracy/Smiling"])
        with pytest.raises(ValueError, match="no photos"):
            attribute_figures(torch.zeros(0, 1, dtype=torch.bool), torch.zeros(0, 1, dtype=torch.bool), ["Smiling"])
