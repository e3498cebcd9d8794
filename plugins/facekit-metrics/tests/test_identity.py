from __future__ import annotations

import math
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from facekit.interfaces import Condition, FacekitError, Generated, LabelClass, LabelMap, Observation, Reference
from facekit_metrics import dlib_faces
from facekit_metrics.dlib_faces import DlibFaces, face_box, face_classes, models_folder, to_levels
from facekit_metrics.identity import SAME_PERSON, Identity, build, placements
from facekit_metrics.options import IdentityOptions

WITHOUT_DLIB = find_spec("dlib") is None or find_spec("face_recognition_models") is None
needs_dlib = pytest.mark.skipif(WITHOUT_DLIB, reason="the extra `identity` of facekit-metrics is not installed")

CORNERS = torch.eye(6)
MASKS = torch.zeros(6, 8, 8, dtype=torch.long)


def people(*vectors: Tensor) -> Tensor:
    """Pictures (N, 3, 8, 8) that :class:`Lines` reads these vectors (6,) from."""
    pictures = torch.zeros(len(vectors), 3, 8, 8)
    pictures[:, 0, 0, :6] = torch.stack(vectors)
    return pictures


class Lines:
    """Stands for dlib: the embedding of a picture is its first line, moved by where the landmarks say the face is."""

    def __init__(self, faceless: tuple[int, ...] = ()) -> None:
        self.faceless = faceless
        self.landmarks_used: list[int] = []

    def photo(self, photo: Tensor, mask: Tensor | None, classes: object) -> tuple[int, Tensor] | None:
        person = int(photo[0, 0, :6].argmax())
        return None if person in self.faceless else (person, photo[0, 0, :6].double())

    def embedding(self, picture: Tensor, landmarks: int) -> Tensor:
        self.landmarks_used.append(landmarks)
        return picture[0, 0, :6].double()


PHOTOS = people(*CORNERS)


def measured(show: Callable[..., None], results: Tensor, *, faces: Lines | None = None, **more: object):  # type: ignore[no-untyped-def]
    tasks = (more.get("task", "reconstruction"),)
    metric = Identity(faces or Lines(), tasks=tasks)  # type: ignore[arg-type]
    show(metric, results, PHOTOS, MASKS, **more)
    return {entry.name.removeprefix("identity/"): entry for entry in metric.compute()}


class TestPlacements:
    def test_mean_is_the_area_under_the_curve(self) -> None:
        metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
        random = np.random.default_rng(0)
        own, others = random.normal(0, 1, 40).round(1), random.normal(0.7, 1, 90).round(1)
        truth = np.concatenate((np.ones(40), np.zeros(90)))
        expected = metrics.roc_auc_score(truth, -np.concatenate((own, others)))
        found = placements(torch.from_numpy(own), torch.from_numpy(others))
        assert float(found.mean()) == pytest.approx(expected)

    def test_ties_count_half(self) -> None:
        found = placements(torch.tensor([1.0, 0.0, 3.0]), torch.tensor([2.0, 1.0]))
        assert found.tolist() == [0.75, 1, 0]


class TestMetric:
    def test_the_photos_themselves(self, show) -> None:  # type: ignore[no-untyped-def]
        found = measured(show, PHOTOS)
        best = {"cosine": 1, "distance": 0, "same_person": 1, "rank_1": 1, "auc": 1}
        assert {name: entry.value for name, entry in found.items()} == {
            f"reconstruction/{name}": pytest.approx(value) for name, value in best.items()
        }
        assert found["reconstruction/distance"].better == "lower"
        assert all(entry.count == 6 for entry in found.values())

    def test_another_face_is_another_person(self, show) -> None:  # type: ignore[no-untyped-def]
        found = measured(show, PHOTOS.roll(1, 0))
        for name in ("same_person", "rank_1", "cosine"):
            assert found[f"reconstruction/{name}"].value == 0
        assert found["reconstruction/auc"].value < 0.5

    def test_one_picture_for_all_is_at_chance(self, show) -> None:  # type: ignore[no-untyped-def]
        found = measured(show, people(*[torch.full((6,), 0.5)] * 6))
        assert found["reconstruction/auc"].value == 0.5
        assert found["reconstruction/rank_1"].value == 0

    def test_same_person_is_below_the_threshold(self, show) -> None:  # type: ignore[no-untyped-def]
        moved = [corner * (1 + step) for corner, step in zip(CORNERS, (0, 0.5, 0.59, 0.6, 0.61, 2), strict=True)]
        found = measured(show, people(*moved))["reconstruction/same_person"]
        assert SAME_PERSON == 0.6
        assert found.per_sample[:3] == (1, 1, 1)
        assert found.per_sample[4:] == (0, 0)

    def test_look_and_mask_are_told_apart(self, show) -> None:  # type: ignore[no-untyped-def]
        looks = (1, 2, 3, 4, 5, 0)
        faces = Lines()
        found = measured(show, PHOTOS, faces=faces, task="style_copy", references=looks)
        assert found["style_copy/mask_owner/rank_1"].value == 1
        assert found["style_copy/reference/rank_1"].value == 0
        assert faces.landmarks_used == [0, 1, 2, 3, 4, 5]
        found = measured(show, PHOTOS[list(looks)], task="style_copy", references=looks)
        assert found["style_copy/mask_owner/same_person"].value == 0
        assert found["style_copy/reference/same_person"].value == 1
        # Neither the look's owner nor the mask's is among the other people.
        assert found["style_copy/reference/auc"].value == 1
        assert found["style_copy/mask_owner/auc"].value == 0.5

    def test_a_painter_without_masks_leaves_the_face_of_its_source_where_it_is(self) -> None:
        faces = Lines()
        metric = Identity(faces, tasks=("style_copy",))
        look = torch.tensor([3, 4])
        metric.update(
            Observation(
                "style_copy",
                Condition(MASKS[:2], Reference(PHOTOS[look], MASKS[:2])),
                Generated(PHOTOS[look]),
                PHOTOS[:2],
                ("face0", "face1"),
                ("face3", "face4"),
                reads=frozenset({"source"}),
            )
        )
        assert faces.landmarks_used == [3, 4]

    def test_photos_without_a_face_are_left_out(self, show) -> None:  # type: ignore[no-untyped-def]
        found = measured(show, PHOTOS, faces=Lines(faceless=(0, 1)))
        assert found["reconstruction/cosine"].count == 4
        assert found["reconstruction/cosine"].protocol["photos"] == "4"
        found = measured(show, PHOTOS, faces=Lines(faceless=tuple(range(6))))
        assert math.isnan(found["reconstruction/auc"].value)
        assert found["reconstruction/auc"].count == 0

    def test_exception_nothing_observed(self) -> None:
        with pytest.raises(FacekitError, match="no results of style_copy"):
            Identity(Lines(), tasks=("style_copy",)).compute()


class TestFaceBox:
    def test_it_is_a_part_of_the_box_of_the_classes(self) -> None:
        mask = torch.zeros(100, 100, dtype=torch.long)
        mask[20:60, 30:70], mask[60:80, 40:60], mask[90:] = 1, 2, 5
        assert face_box(mask, (1, 2)) == pytest.approx((0.272, 0.296, 0.712, 0.776))
        assert face_box(mask, (9,)) is None

    def test_classes_are_those_that_the_label_map_has(self) -> None:
        names = ("background", "skin", "hair", "eye")
        label_map = LabelMap("few", tuple(LabelClass(name, (0, 0, 0)) for name in names))
        assert face_classes(label_map) == (1, 3)


class TestMissing:
    def test_models(self, monkeypatch, context) -> None:  # type: ignore[no-untyped-def]
        monkeypatch.setattr("facekit_metrics.packaged.find_spec", lambda name: None)
        with pytest.raises(
            FacekitError, match=r"(?s)models of identity are not installed.*facekit-metrics\[identity\]"
        ):
            build(IdentityOptions(), context)

    def test_dlib(self, monkeypatch, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        monkeypatch.setitem(sys.modules, "dlib", None)
        with pytest.raises(FacekitError, match=r"(?s)needs dlib.*pip install 'facekit-metrics\[identity\]'"):
            DlibFaces(tmp_path)

    def test_other_files_are_not_shown_to_dlib(self, monkeypatch, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        monkeypatch.setitem(sys.modules, "dlib", ModuleType("dlib"))
        with pytest.raises(FacekitError, match="is not there"):
            DlibFaces(tmp_path)
        for name in dlib_faces.SHA256:
            (tmp_path / name).write_bytes(b"nothing")
        with pytest.raises(FacekitError, match="SHA-256 differs"):
            DlibFaces(tmp_path)

    def test_options(self) -> None:
        for tasks in ((), ("reconstruction", "reconstruction"), ("generation",)):
            with pytest.raises(ValidationError):
                IdentityOptions(tasks=tasks)


@pytest.fixture(scope="module")
def faces() -> DlibFaces:
    return dlib_faces.dlib_faces(models_folder(None))


@needs_dlib
class TestDlib:
    def test_people_are_told_apart_and_flat_paintings_are_nobody(self, faces, real_photos, show) -> None:  # type: ignore[no-untyped-def]
        photos = real_photos[:6]
        masks = torch.zeros(6, 128, 128, dtype=torch.long)
        soft = torch.nn.functional.avg_pool2d(photos, 3, 1, 1, count_include_pad=False)
        flat = photos.mean((2, 3), keepdim=True).expand_as(photos).contiguous()
        found = []
        for results in (soft, photos.roll(1, 0), flat):
            metric = Identity(faces, tasks=("reconstruction",))
            show(metric, results, photos, masks)
            found.append({entry.name.rpartition("/")[2]: entry.value for entry in metric.compute()})
        assert found[0]["rank_1"] == found[0]["same_person"] == found[0]["auc"] == 1
        assert found[1]["rank_1"] == found[1]["same_person"] == 0
        assert found[1]["auc"] < 0.8
        assert found[2]["same_person"] == 0
        assert found[2]["cosine"] < found[0]["cosine"] - 0.05

    def test_the_mask_says_where_a_face_is_that_dlib_misses(self, faces, real_photos, monkeypatch) -> None:  # type: ignore[no-untyped-def]
        seen = faces.photo(real_photos[0], None, ())
        assert seen is not None
        box = faces._detector(to_levels(real_photos[0]).numpy(), 0)[0]
        mask = torch.zeros(128, 128, dtype=torch.long)
        # Of a mask whose face is so that dlib's box is the one that it would have found.
        across, down = (box.right() - box.left()) / 1.1 / 4, (box.bottom() - box.top()) / 0.8 / 4
        left, top = box.left() / 4 + 0.07 * across, box.top() / 4 - 0.16 * down
        mask[round(top) : round(top + down), round(left) : round(left + across)] = 1
        monkeypatch.setattr(faces, "_detector", lambda *given: [])
        monkeypatch.setattr(faces, "_photos", {})
        assert faces.photo(real_photos[0], None, ()) is None
        guessed = faces.photo(real_photos[0], mask, (1,))
        assert guessed is not None
        assert float((guessed[1] - seen[1]).norm()) < 0.3

    def test_photos_are_embedded_once(self, faces, real_photos, monkeypatch) -> None:  # type: ignore[no-untyped-def]
        first = faces.photo(real_photos[1], None, ())
        monkeypatch.setattr(faces, "_network", None)
        again = faces.photo(real_photos[1].clone(), None, ())
        assert first is not None
        assert again is not None
        assert torch.equal(first[1], again[1])
