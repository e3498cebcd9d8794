"""What the recipes of evaluators are made of: photos of several datasets, networks, losses, samplers, metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score
from torch import nn

from facekit.interfaces import NO_LABELS, DatasetContext, FacekitError, FaceSample, LabelMap
from facekit.registry import load_registry
from facekit.testing import DatasetContract, FamilyNetworkContract, LossContract, MetricContract, SamplerContract
from facekit.testing.toy_step import bench_batch, bench_step
from facekit.training.networks import FaceModel
from facekit.training.precision import Precision
from facekit_metrics.evaluators.accuracy import ClassificationAccuracy
from facekit_metrics.evaluators.attribute_loss import AttributeCrossEntropy
from facekit_metrics.evaluators.losses import mask_cross_entropy, mask_dice, read_masks
from facekit_metrics.evaluators.options import KNOWN, EvaluatorPhotosOptions
from facekit_metrics.evaluators.photos import EvaluatorPhotos
from facekit_metrics.evaluators.variations import varied
from facekit_metrics.plugin import facekit_components

CELEBAMASK_HQ = load_registry().label_maps["celebamask_hq"]
SPECS = {spec.name: spec for spec in facekit_components()}


class Halving(nn.Module):
    """Stands for the segmenter: logits at half the side."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, classes, 3, stride=2, padding=1)

    def forward(self, photo: torch.Tensor) -> torch.Tensor:
        return self.layer(photo)


class Pooled(nn.Module):
    """Stands for the classifier."""

    def __init__(self, attributes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(3 * 16, attributes)

    def forward(self, photo: torch.Tensor) -> torch.Tensor:
        return self.layer(nn.functional.adaptive_avg_pool2d(photo, 4).flatten(1))


class TestPhotos(DatasetContract):
    spec = SPECS["evaluator_photos"]
    label_maps = (CELEBAMASK_HQ,)
    options: Mapping[str, Any] = {"of": [{"use": "synthetic_faces", "train": 6, "validation": 2, "test": 2}]}
    other_options: ClassVar[Mapping[str, Any]] = {"splits": ["train"], "attributes": ["Smiling"]}


class TestSegmenter(FamilyNetworkContract):
    spec = SPECS["face_segmenter"]
    sizes = (64, 96)


class TestClassifier(FamilyNetworkContract):
    spec = SPECS["attribute_classifier"]
    sizes = (64, 96)
    bf16_tolerance = 0.3  # of noise; the recipe computes in fp32


class TestMaskCrossEntropy(LossContract):
    spec = SPECS["mask_cross_entropy"]
    couples_samples = "each photo of a batch is varied by draws of its own"

    def model(self, size: int, player: str) -> FaceModel:
        return FaceModel({"face_segmenter": Halving(len(self.label_map))})


class TestMaskDice(TestMaskCrossEntropy):
    spec = SPECS["mask_dice"]


class TestAttributeCrossEntropy(LossContract):
    spec = SPECS["attribute_cross_entropy"]
    couples_samples = "how often an attribute is shown is counted over the batch"

    def model(self, size: int, player: str) -> FaceModel:
        return FaceModel({"attribute_classifier": Pooled(len(self.attribute_names))})


class TestMaskReader(SamplerContract):
    spec = SPECS["mask_reader"]

    def networks(self, size: int) -> Mapping[str, nn.Module]:
        return {"face_segmenter": Halving(len(self.label_map))}


class TestAttributeReader(SamplerContract):
    spec = SPECS["attribute_reader"]

    def networks(self, size: int) -> Mapping[str, nn.Module]:
        return {"attribute_classifier": Pooled(len(self.attribute_names))}


class TestMeanIou(MetricContract):
    spec = SPECS["mean_iou"]


class TestClassificationAccuracy(MetricContract):
    spec = SPECS["classification_accuracy"]


class Faces:
    """A dataset of noise, and of whatever is written into it."""

    label_map: LabelMap = NO_LABELS

    def __init__(self, seed: int, splits: Mapping[str, Sequence[int]], names: Sequence[str]) -> None:
        self.count = sum(map(len, splits.values()))
        self.images = np.random.default_rng(seed).integers(0, 256, (self.count, 8, 8, 3), dtype=np.uint8).repeat(8, 1)
        self.images = self.images.repeat(8, 2)
        self.attribute_names = tuple(names)
        self._splits = dict(splits)

    @property
    def keys(self) -> Sequence[str]:
        return [str(number) for number in range(self.count)]

    def splits(self) -> dict[str, Sequence[int]]:
        return self._splits

    def fingerprint(self) -> str:
        return str(hash(self.images.tobytes()))

    def read(self, index: int, *, size: int | None = None) -> FaceSample:
        return FaceSample(self.images[index], None, np.ones(len(self.attribute_names), bool))


class TestSeveralDatasets:
    @pytest.fixture(autouse=True)
    def _cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FACEKIT_CACHE", str(tmp_path))

    def joined(self, first: Faces, *others: Faces, **options: Any) -> EvaluatorPhotos:
        names = ["facekit/first", "facekit/second"][: 1 + len(others)]
        settings = EvaluatorPhotosOptions(of=tuple({"use": name} for name in names), **options)
        return EvaluatorPhotos(settings, dict(zip(names, (first, *others), strict=True)))  # type: ignore[arg-type]

    def test_what_a_dataset_does_not_say_is_not_known(self) -> None:
        first = Faces(0, {"train": range(3), "validation": range(3, 5), "test": range(5, 6)}, ("Smiling", "Young"))
        joined = self.joined(first, Faces(1, {"train": range(2), "test": range(2, 3)}, ("Young", "Male")))
        assert joined.attribute_names == ("Smiling", "Young")
        assert {name: list(rows) for name, rows in joined.splits().items()} == {"train": [*range(5)], "test": [5, 6]}
        assert list(joined.keys) == ["first/0", "first/1", "first/2", "second/0", "second/1", "first/3", "first/4"]
        known = [joined.read(row, size=64).extra[KNOWN].tolist() for row in (0, 3)]
        assert known == [[True, True], [False, True]]

    def test_photos_that_are_measured_elsewhere_are_left_out(self) -> None:
        first = Faces(0, {"train": range(3), "validation": range(3, 5)}, ("Smiling",))
        second = Faces(1, {"train": range(2), "test": range(2, 3)}, ("Smiling",))
        second.images[1] = first.images[4, :, ::-1]  # learned there, for validation here, mirrored
        first.images[2] = second.images[2]
        joined = self.joined(first, second)
        assert [joined.keys[row] for row in joined.splits()["train"]] == ["first/0", "first/1", "second/0"]
        assert joined.splits() == self.joined(first, second).splits()  # kept from the first time

    def test_without_a_validation_split_a_share_is_held_out(self) -> None:
        joined = self.joined(Faces(0, {"train": range(8), "extra": range(8, 10)}, ()), held_out=0.2)
        splits = joined.splits()
        assert len(splits["test"]) == 2
        keys = [[joined.keys[row] for row in splits[name]] for name in ("train", "test")]
        assert sorted(keys[0] + keys[1], key=int) == [str(number) for number in range(10)]

    def test_test_photos_are_never_among_them(self) -> None:
        joined = self.joined(Faces(0, {"train": range(4), "validation": range(4, 6), "test": range(6, 9)}, ()))
        assert not {"6", "7", "8"} & set(joined.keys)

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"of": [{"root": "x"}]}, "names no dataset"),
            ({"of": [{"use": "synthetic_face"}]}, "no dataset is called"),
            ({"of": [{"use": "synthetic_faces", "trian": 3}]}, "trian"),
            ({"of": [{"use": "synthetic_faces", "train": 0}]}, "no photos in train or extra"),
            ({"of": [{"use": "synthetic_faces"}], "attributes": ["Smilling"]}, "no attribute 'Smilling'"),
            ({"of": [{"use": "synthetic_faces"}, {"use": "synthetic_faces"}]}, "named twice"),
        ],
    )
    def test_mistakes_are_told(self, options: dict[str, Any], said: str) -> None:
        spec = SPECS["evaluator_photos"]
        with pytest.raises(FacekitError, match=said):
            spec.build(spec.options.model_validate(options), DatasetContext(load_registry().label_maps)).splits()


class TestLosses:
    def step(self, network: nn.Module, name: str, *, size: int = 16, **changed: Any) -> Any:
        needs = SPECS["mask_cross_entropy" if name == "face_segmenter" else "attribute_cross_entropy"]
        ports = needs.ports(needs.options(), _ports_context(size)).needs
        batch = bench_batch(ports, size=size, batch=4, label_map=CELEBAMASK_HQ, attributes=3, seed=1)
        batch = replace(batch, **changed)
        precision = Precision(torch.device("cpu"), "fp32")
        model = FaceModel({name: network})
        return bench_step(model, batch, player=name, precision=precision, seed=0)

    def test_mask_losses_share_what_is_read_and_are_those_of_torch(self) -> None:
        network = Halving(19)
        step = self.step(network, "face_segmenter")
        logits, masks = read_masks(step)
        assert masks.shape == (4, 8, 8)
        assert read_masks(step)[0] is logits
        assert torch.equal(mask_cross_entropy(step), nn.functional.cross_entropy(logits, masks))
        share = logits.softmax(1)
        dice = []
        for each in masks.unique().tolist():
            truth = (masks == each).float()
            dice.append((2 * (truth * share[:, each]).sum() + 1) / (truth.sum() + share[:, each].sum() + 1))
        torch.testing.assert_close(mask_dice(step), 1 - torch.stack(dice).mean())

    def test_the_attribute_loss_is_that_of_torch_where_everything_is_known_and_even(self) -> None:
        network, loss = Pooled(3), AttributeCrossEntropy(3)
        truth = torch.tensor([[0.0, 1, 0], [1, 0, 1]] * 2)
        even = self.step(network, "attribute_classifier", attributes=truth, extra={KNOWN: torch.ones(4, 3)})
        logits = network(varied(even.batch.image, None, _again(even))[0])
        expected = nn.functional.binary_cross_entropy_with_logits(logits, truth)
        torch.testing.assert_close(loss(even), expected)
        # What a dataset does not say teaches nothing, and is not counted.
        known = torch.tensor([[1.0, 1, 0]] * 4)
        loss = AttributeCrossEntropy(3)
        partly = self.step(network, "attribute_classifier", attributes=truth, extra={KNOWN: known})
        loss(partly).backward()
        assert not network.layer.weight.grad[2].any()  # type: ignore[index]
        assert network.layer.weight.grad[:2].any()  # type: ignore[index]
        assert loss.known.tolist() == [36, 36, 32]
        assert loss.shown.tolist() == [18, 18, 16]

    def test_a_rare_answer_weighs_more(self) -> None:
        loss = AttributeCrossEntropy(1)
        loss.known, loss.shown = torch.tensor([1e6]), torch.tensor([2.5e5])
        network = Pooled(1)
        nn.init.zeros_(network.layer.weight)
        nn.init.zeros_(network.layer.bias)
        values = []
        for answer in (1.0, 0.0):
            given = {"attributes": torch.full((4, 1), answer), "extra": {KNOWN: torch.ones(4, 1)}}
            values.append(float(loss(self.step(network, "attribute_classifier", **given)).detach()))
        assert values[0] / values[1] == pytest.approx(3, rel=1e-4)
        assert values[0] == pytest.approx(2 * np.log(2), rel=1e-4)

    def test_variations_move_photo_and_mask_alike(self) -> None:
        ids = torch.arange(4).repeat_interleave(16)[None, :, None].expand(4, 64, 64).contiguous()
        # Photos that show the ids themselves: wherever a pixel goes, its id goes with it.
        photos = (ids / 4 - 0.5)[:, None].expand(-1, 3, -1, -1).contiguous()
        images, moved = varied(photos, ids, torch.Generator().manual_seed(1))
        assert moved is not None
        assert images.shape == photos.shape
        assert moved.dtype == torch.int64
        assert not torch.equal(moved, ids)
        for image, one in zip(images, moved, strict=True):
            # The light is another one, but the order of brightness within a photo stays.
            levels = [float(image.mean(0)[one == value].median()) for value in range(4) if (one == value).sum() > 30]
            assert levels == sorted(levels)
        assert torch.equal(varied(photos, None, torch.Generator().manual_seed(1))[0], images)


def test_classification_accuracy_against_scikit_learn() -> None:
    random = torch.Generator().manual_seed(0)
    truth = (torch.rand(20, 2, generator=random) < 0.4).float()
    logits = torch.randn(20, 2, generator=random)
    metric = ClassificationAccuracy(("Smiling", "Male"))
    for part in torch.arange(20).split(7):
        metric.see(truth[part], logits[part])
    found = metric.shares()
    balanced = [balanced_accuracy_score(truth[:, column], logits[:, column] > 0) for column in range(2)]
    assert [found["balanced_accuracy/Smiling"], found["balanced_accuracy/Male"]] == pytest.approx(balanced)
    assert found["balanced_accuracy"] == pytest.approx(np.mean(balanced))
    assert found["accuracy"] == pytest.approx(float(((logits > 0) == (truth > 0)).double().mean()))


def _ports_context(size: int) -> Any:
    from facekit.interfaces import PortContext

    return PortContext(size, {CELEBAMASK_HQ.name: CELEBAMASK_HQ})


def _again(step: Any) -> torch.Generator:
    """Return a generator that draws what the step's will."""
    generator = torch.Generator()
    generator.set_state(step.random.get_state())
    return generator
