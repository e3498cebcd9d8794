from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from facekit.data.loader import fixed_batch
from facekit.data.store import PackedFaces
from facekit.evaluation import (
    BASELINES,
    CopyReference,
    MeanColourPerRegion,
    NearestTrainingPhoto,
    TargetPhotos,
    baselines,
)
from facekit.evaluation.fit import shown_images
from facekit.interfaces import GENERATED, Condition, FacekitError, Port, Ports, Reference


def test_copy_reference(packed: PackedFaces) -> None:
    condition = fixed_batch(packed, packed.rows("test")).condition.rolled_reference()
    assert CopyReference()(condition).image is condition.reference.image


class TestMeanColour:
    def test_reconstruction_against_numpy(self, packed: PackedFaces) -> None:
        rows = packed.rows("test")
        painted = MeanColourPerRegion(classes=3)(fixed_batch(packed, rows).condition).image
        for index, row in enumerate(rows):
            photo, mask = packed.images[row] / 127.5 - 1, packed.masks[row]
            expected = np.empty_like(photo)
            for region in np.unique(mask):
                expected[mask == region] = photo[mask == region].mean(0)
            np.testing.assert_allclose(painted[index].permute(1, 2, 0).numpy(), expected, atol=1e-5)

    def test_another_look_is_painted_by_the_wanted_mask(self) -> None:
        photo = torch.stack((torch.full((8, 8), -0.5), torch.zeros(8, 8), torch.full((8, 8), 0.5)))[None]
        photo[..., 4:] = 1
        photo_mask = torch.zeros(1, 8, 8, dtype=torch.long)
        photo_mask[..., 4:] = 1
        mask = photo_mask.transpose(1, 2).clone()
        mask[0, 0, 0] = 2
        painted = MeanColourPerRegion(classes=3)(Condition(mask, Reference(photo, photo_mask))).image
        assert painted[0, :, 1, 0].tolist() == pytest.approx([-0.5, 0, 0.5], abs=1e-6)
        assert painted[0, :, 7, 0].tolist() == pytest.approx([1, 1, 1])
        # Class 2 is not in the reference: the mean of the whole of it.
        assert painted[0, :, 0, 0].tolist() == pytest.approx([0.25, 0.5, 0.75])


class TestNearestTrainingPhoto:
    def test_against_a_plain_search(self, packed: PackedFaces, monkeypatch: pytest.MonkeyPatch) -> None:
        rows, train = packed.rows("test"), packed.rows("train")
        expected = [
            train[np.argmin([(packed.masks[row] != packed.masks[other]).mean() for other in train])] for row in rows
        ]
        condition = fixed_batch(packed, rows).condition
        whole = NearestTrainingPhoto(packed)(condition).image
        assert torch.equal(whole, fixed_batch(packed, expected).image)
        monkeypatch.setattr(baselines, "_BYTES_AT_A_TIME", 2 * 16 * 16)
        assert torch.equal(NearestTrainingPhoto(packed)(condition).image, whole)

    def test_a_training_mask_finds_a_photo_of_that_mask_the_first_of_several(self, packed: PackedFaces) -> None:
        train = packed.rows("train")
        first = [next(other for other in train if (packed.masks[other] == packed.masks[row]).all()) for row in train]
        assert first != train.tolist()
        found = NearestTrainingPhoto(packed)(fixed_batch(packed, train).condition).image
        assert torch.equal(found, fixed_batch(packed, first).image)


def test_every_baseline_paints(packed: PackedFaces) -> None:
    condition = fixed_batch(packed, packed.rows("test")).condition.rolled_reference()
    assert list(BASELINES) == [
        *("copy_reference", "mean_colour_per_region", "nearest_training_photo_by_mask", "real_photos")
    ]
    for baseline in BASELINES.values():
        generator = baseline.make(packed)
        if isinstance(generator, TargetPhotos):  # the runner puts the photos in; see its tests
            continue
        image = generator(condition).image
        assert image.shape == (7, 3, 16, 16)
        assert image.abs().max() <= 1


def test_exception(packed: PackedFaces) -> None:
    condition = Condition(torch.zeros(1, 16, 16, dtype=torch.long))
    for generator in (CopyReference(), MeanColourPerRegion(classes=3)):
        with pytest.raises(FacekitError, match="there is none"):
            generator(condition)
    with pytest.raises(FacekitError, match="no 'extra' split"):
        NearestTrainingPhoto(packed, split="extra")


def test_metrics_that_read_more_than_images_are_shown_no_baselines() -> None:
    def choice(*needs: Port) -> Any:
        return SimpleNamespace(ports=lambda context: Ports(needs=needs))

    depth = Port("generated.depth", ("batch", 1, "size", "size"))
    recipe: Any = SimpleNamespace(
        data=SimpleNamespace(size=16),
        metrics=[choice(GENERATED), choice(GENERATED, depth), choice(GENERATED, replace(depth, optional=True))],
    )
    metrics: Any = ["of images", "of depth", "of either"]
    assert shown_images(recipe, metrics) == ["of images", "of either"]
