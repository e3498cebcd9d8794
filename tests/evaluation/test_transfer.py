"""The task attribute_transfer: its pairs, what generators are given, and what metrics are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from facekit.data.loader import fixed_batch
from facekit.data.store import PackedFaces
from facekit.evaluation import TargetPhotos, evaluate, task_pairs, transfer_pairs
from facekit.interfaces import Condition, FacekitError, Generated
from facekit.sampling.inputs import ATTRIBUTES, SOURCE, SamplingInputs

FROM_PHOTOS = SamplingInputs(frozenset({SOURCE, ATTRIBUTES}))
"""What a model is given that changes photos."""

NAMES = ("Eyeglasses", "Smiling", "Young")


@pytest.fixture
def faces(pack: Callable[..., PackedFaces]) -> PackedFaces:
    """Seven faces to train on and 33 to measure; a fifth of them has glasses."""
    return pack(count=40, attribute_names=NAMES)


@pytest.fixture
def transfer_metric(error_metric: type[Any]) -> Callable[..., Any]:
    def make(*attributes: str, name: str = "transfer") -> Any:
        metric = error_metric("attribute_transfer", name)
        metric.transfers = attributes
        return metric

    return make


class TestPairs:
    @pytest.mark.parametrize("attribute", NAMES)
    def test_each_face_gets_the_mask_of_one_that_differs_in_the_attribute(
        self, faces: PackedFaces, attribute: str
    ) -> None:
        rows = faces.rows("test")
        pairs = transfer_pairs(faces, rows, attribute)
        assert pairs.references.tolist() == rows.tolist()
        assert set(pairs.targets) <= set(rows)
        assert faces.attributes is not None
        column = faces.attributes[:, NAMES.index(attribute)]
        assert (column[pairs.targets] != column[pairs.references]).all()
        assert pairs.name == f"attribute_transfer/{attribute}"
        assert len(pairs.keys(faces)) == 33

    def test_donors_serve_equally_often(self, faces: PackedFaces) -> None:
        rows = faces.rows("test")
        assert faces.attributes is not None
        having = faces.attributes[rows, 0] > 0
        pairs = transfer_pairs(faces, rows, "Eyeglasses")
        served = Counter(pairs.targets[~having].tolist())
        assert set(served) == set(rows[having].tolist())
        assert max(served.values()) - min(served.values()) <= 1

    def test_the_seed_draws_and_nothing_else(self, faces: PackedFaces) -> None:
        rows = faces.rows("test")
        lists = [tuple(transfer_pairs(faces, rows, "Smiling", seed=seed).targets) for seed in (0, 0, 1, 2)]
        assert lists[0] == lists[1]
        assert len(set(lists)) == 3
        # Lists of attributes that happen to agree are still drawn apart.
        twins = np.array(faces.attributes)
        twins[:, 2] = twins[:, 1]
        object.__setattr__(faces, "attributes", twins)
        assert lists[0] == tuple(transfer_pairs(faces, rows, "Smiling").targets)
        assert lists[0] != tuple(transfer_pairs(faces, rows, "Young").targets)

    def test_exception(self, faces: PackedFaces, packed: PackedFaces) -> None:
        with pytest.raises(FacekitError, match="the data has no attributes") as caught:
            transfer_pairs(packed, packed.rows("test"), "Smiling")
        assert "attribute file" in str(caught.value.remedy)
        with pytest.raises(FacekitError, match="no attribute 'Smilling'") as caught:
            transfer_pairs(faces, faces.rows("test"), "Smilling")
        assert "Smiling" in str(caught.value.remedy)
        alike = faces.rows("test")[[1, 2, 3]]
        with pytest.raises(FacekitError, match="cannot be transferred among these 3 faces: none of them has it"):
            transfer_pairs(faces, alike, "Eyeglasses")
        with pytest.raises(ValueError, match="see transfer_pairs"):
            task_pairs(faces.rows("test"), "attribute_transfer")


class TestRunner:
    def test_conditions(self, faces: PackedFaces, transfer_metric: Callable[..., Any], error_metric: Any) -> None:
        seen: list[Condition] = []

        def paint(condition: Condition) -> Generated:
            seen.append(condition)
            return Generated(torch.zeros_like(condition.reference.image))  # type: ignore[arg-type]

        evaluate(
            paint, faces, [transfer_metric("Smiling"), error_metric("style_copy"), error_metric(name="r")], batch=99
        )
        own, copied, changed = seen
        rows = faces.rows("test")
        everyone = fixed_batch(faces, rows)
        assert torch.equal(own.source_image, everyone.image)  # type: ignore[arg-type]
        assert torch.equal(own.attributes, everyone.attributes)  # type: ignore[arg-type]
        looks = fixed_batch(faces, task_pairs(rows, "style_copy").references)
        # Of an image-to-image model: the face whose look is wanted gets the attributes of the other.
        assert torch.equal(copied.source_image, looks.image)  # type: ignore[arg-type]
        assert torch.equal(copied.attributes, everyone.attributes)  # type: ignore[arg-type]
        donors = fixed_batch(faces, transfer_pairs(faces, rows, "Smiling").targets)
        assert torch.equal(changed.mask, donors.mask)
        assert torch.equal(changed.reference.image, everyone.image)  # type: ignore[arg-type]
        assert torch.equal(changed.reference.mask, everyone.mask)  # type: ignore[arg-type]
        assert torch.equal(changed.source_image, everyone.image)  # type: ignore[arg-type]
        difference = changed.attributes != everyone.attributes
        assert difference[:, 1].all()
        assert not difference[:, [0, 2]].any()

    def test_metrics_are_told_what_changes(self, faces: PackedFaces, transfer_metric: Callable[..., Any]) -> None:
        both, one = transfer_metric("Smiling", "Eyeglasses"), transfer_metric("Eyeglasses", name="one")
        result = evaluate(
            lambda condition: Generated(condition.reference.image), faces, [both, one], batch=8, inputs=FROM_PHOTOS
        )
        assert {each.attribute for each in both.seen} == {"Smiling", "Eyeglasses"}
        assert {each.attribute for each in one.seen} == {"Eyeglasses"}
        assert set(result.pairs) == {"attribute_transfer/Smiling", "attribute_transfer/Eyeglasses"}
        for each in both.seen:
            assert torch.equal(each.wanted, each.attributes[:, NAMES.index(each.attribute)])
            assert torch.equal(each.attributes, each.condition.attributes)
            assert each.reads == {"source", "attributes"}
        for attribute in ("Smiling", "Eyeglasses"):
            shown = [
                pair
                for each in both.seen
                if each.attribute == attribute
                for pair in zip(each.keys, each.reference_keys)
            ]
            assert shown == list(result.pairs[f"attribute_transfer/{attribute}"])

    def test_the_batch_size_does_not_matter(self, faces: PackedFaces, transfer_metric: Callable[..., Any]) -> None:
        copy = lambda condition: Generated(condition.reference.image)  # noqa: E731
        values = [
            evaluate(copy, faces, [transfer_metric("Smiling")], batch=batch).measurement("transfer").per_sample
            for batch in (1, 5, 33)
        ]
        assert values[0] == values[1] == values[2]

    def test_real_photos_show_what_they_show(self, faces: PackedFaces, transfer_metric: Callable[..., Any]) -> None:
        metric = transfer_metric("Smiling")
        result = evaluate(TargetPhotos(), faces, [metric], batch=8, name="real_photos")
        assert result.measurement("transfer").value == 0
        pairs = transfer_pairs(faces, faces.rows("test"), "Smiling")
        donors = fixed_batch(faces, pairs.targets)
        assert torch.equal(torch.cat([each.generated.image for each in metric.seen]), donors.image)
        assert torch.equal(torch.cat([each.attributes for each in metric.seen]), donors.attributes)
        assert torch.equal(torch.cat([each.wanted for each in metric.seen]), donors.attributes[:, 1])  # type: ignore[index]

    def test_exception(self, faces: PackedFaces, packed: PackedFaces, transfer_metric: Callable[..., Any]) -> None:
        with pytest.raises(FacekitError, match="names no attributes"):
            evaluate(TargetPhotos(), faces, [transfer_metric()])
        with pytest.raises(FacekitError, match="the data has no attributes"):
            evaluate(TargetPhotos(), packed, [transfer_metric("Smiling")])
