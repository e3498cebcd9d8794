"""Further arrays of samples: packed beside the photos, mirrored with them, and refused where they are not sound."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from facekit.data.cache import prepare
from facekit.data.checks import check_dataset
from facekit.data.loader import FaceLoader, fixed_batch
from facekit.data.reference import ReferenceAugmentation
from facekit.data.store import DamagedCache, PackedFaces
from facekit.interfaces import FacekitError, Finding


def extra_of(mask: np.ndarray, index: int) -> dict:
    """Return arrays of each dtype; the landmarks are the middles of the eyes, x and y in [-1, 1]."""
    points = [np.argwhere(mask == eye).mean(0)[::-1] for eye in (2, 3)]
    landmarks = (np.array(points) + 0.5) / len(mask) * 2 - 1
    return {
        "landmarks": landmarks.astype(np.float32),
        "age": np.array(20 + index, np.int32),
        "visible": np.array([index % 2 == 0, True]),
        "regions": mask[::8, ::8].copy(),
        "counts": np.array([index, -index], ">i8"),
    }


def mirror(extra: dict) -> dict:
    landmarks = extra["landmarks"][::-1]
    landmarks[:, 0] *= -1  # changes its argument, which must do no harm
    swap = np.array([0, 1, 3, 2, 4], np.uint8)
    return {
        "landmarks": landmarks,
        "age": extra["age"],
        "visible": extra["visible"][::-1],
        "regions": swap[extra["regions"][:, ::-1]],
        "counts": extra["counts"],
    }


@pytest.fixture
def make_faces(make_dataset, array_dataset):
    """Return a maker of faces with further arrays; a plain set, or one that can mirror them."""

    class Mirroring(array_dataset):
        def mirror_extra(self, extra):
            return mirror(extra)

    def make(*, mirrors=True, count=12):
        plain = make_dataset(count)
        samples = [replace(s, extra=extra_of(s.mask, index)) for index, s in enumerate(plain.samples)]
        kind = Mirroring if mirrors else array_dataset
        return kind(samples, plain.splits(), attribute_names=plain.attribute_names)

    return make


class TestPacking:
    def test_arrays_are_packed_under_their_names(self, make_faces, tmp_path):
        faces = make_faces()
        first = prepare(faces, size=32, cache=tmp_path)
        for packed in (first, PackedFaces.open(first.folder, verify=True)):
            assert packed.extra.keys() == {"landmarks", "age", "visible", "regions", "counts"}
            assert packed.extra["landmarks"].shape == (12, 2, 2)
            assert packed.extra["age"].shape == (12,)
            assert [packed.extra[n].dtype.name for n in ("landmarks", "age", "visible", "regions", "counts")] == [
                "float32",
                "int32",
                "bool",
                "uint8",
                "int64",
            ]
            for row, sample in enumerate(faces.samples):
                copies = {name: array.copy() for name, array in sample.extra.items()}
                for stored, wanted in ((packed.extra, sample.extra), (packed.mirrored_extra, mirror(copies))):
                    assert all(np.array_equal(stored[name][row], wanted[name]) for name in wanted)

    def test_a_set_that_cannot_mirror_packs_no_mirrored_arrays(self, make_faces, tmp_path):
        packed = prepare(make_faces(mirrors=False), size=32, cache=tmp_path)
        assert packed.extra.keys() == {"landmarks", "age", "visible", "regions", "counts"}
        assert packed.mirrored_extra == {}
        assert not list(packed.folder.glob("*mirrored*"))

    def test_a_set_that_learns_to_mirror_is_packed_again(self, make_faces, tmp_path):
        before = prepare(make_faces(mirrors=False), size=32, cache=tmp_path, name="faces")
        after = prepare(make_faces(), size=32, cache=tmp_path, name="faces")
        assert before.folder != after.folder
        assert after.mirrored_extra

    def test_the_fingerprint_covers_arrays_and_their_names(self, make_faces, tmp_path):
        prints = set()
        for number, (name, value) in enumerate((("age", 20), ("age", 99), ("years", 20))):
            faces = make_faces(mirrors=False)
            for sample in faces.samples:
                sample.extra.clear()
                sample.extra[name] = np.array([value], np.int64)
            prints.add(prepare(faces, size=16, cache=tmp_path / str(number)).fingerprint)
        assert len(prints) == 3

    def test_a_set_without_arrays_is_known_by_what_it_was(self, make_dataset, make_faces, tmp_path):
        faces = make_faces()
        faces.samples = [replace(sample, extra={}) for sample in faces.samples]
        packed, plain = prepare(faces, size=16, cache=tmp_path), prepare(make_dataset(), size=16, cache=tmp_path / "2")
        assert packed.fingerprint == plain.fingerprint
        assert "extra" not in json.loads((packed.folder / "index.json").read_text())
        assert packed.extra == packed.mirrored_extra == {}

    def test_a_damaged_array_is_found_and_packed_again(self, make_faces, tmp_path):
        packed = prepare(make_faces(), size=16, cache=tmp_path)
        file = packed.folder / "extra_2_mirrored.bin"
        file.write_bytes(bytes(len(file.read_bytes())))
        with pytest.raises(DamagedCache, match="not what was written"):
            PackedFaces.open(packed.folder)
        assert prepare(make_faces(), size=16, cache=tmp_path).fingerprint == packed.fingerprint

    def test_an_interrupted_build_goes_on(self, make_faces, tmp_path):
        faces = make_faces()
        faces.findings = {5: [Finding("error", "face-5.png", "bad")]}
        with pytest.raises(FacekitError, match="cannot be read"):
            prepare(faces, size=16, cache=tmp_path)
        faces.findings = {}
        faces.reads.clear()
        packed = prepare(faces, size=16, cache=tmp_path)
        assert faces.reads == list(range(5, 12))
        whole = prepare(make_faces(), size=16, cache=tmp_path / "whole")
        assert packed.fingerprint == whole.fingerprint


WRONG = {
    "missing": ({"age": None}, "face-3: the array 'age' is missing; sample face-0 has it"),
    "new": ({"depth": np.zeros(2, np.float32)}, "face-3: there is an array 'depth'; sample face-0 has none"),
    "shape": (
        {"landmarks": np.zeros((3, 2), np.float32)},
        r"face-3: the array 'landmarks' is float32 \(3, 2\); that of sample face-0 is float32 \(2, 2\)",
    ),
    "dtype": ({"age": np.array(1, np.int64)}, r"face-3: the array 'age' is int64 \(\); that of sample face-0 is int32"),
    "not finite": (
        {"landmarks": np.full((2, 2), np.inf, np.float32)},
        "face-3: the array 'landmarks' holds numbers that are not finite",
    ),
    "float64": ({"landmarks": np.zeros((2, 2))}, "face-3: the array 'landmarks' is of float64; arrays are of float32"),
    "list": ({"landmarks": [[0, 1], [1, 0]]}, "face-3: the array 'landmarks' is a list, not a numpy array"),
    "empty": ({"landmarks": np.zeros((0, 2), np.float32)}, r"face-3: the array 'landmarks' of shape \(0, 2\) holds no"),
    "taken": (
        {"reference.mask": np.zeros(2, np.uint8)},
        "face-3: the array 'reference.mask' has the name of something",
    ),
}


@pytest.fixture(params=WRONG)
def wrong(request, make_faces):
    """Faces of which one breaks its word, and what is said of it."""
    change, message = WRONG[request.param]
    faces = make_faces(mirrors=False)
    extra = {**faces.samples[3].extra, **change}
    faces.samples[3] = replace(faces.samples[3], extra={k: v for k, v in extra.items() if v is not None})
    return faces, message


class TestSound:
    def test_wrong_arrays_are_not_packed(self, wrong, tmp_path):
        faces, message = wrong
        with pytest.raises(FacekitError, match=message):
            prepare(faces, size=16, cache=tmp_path)

    def test_wrong_arrays_are_found_by_the_check(self, wrong):
        faces, message = wrong
        report = check_dataset(faces, size=32, workers=1)
        (finding,) = report.errors
        assert finding.where == "sample face-3"
        assert report.readable == 11
        with pytest.raises(FacekitError, match=message):
            raise FacekitError(finding.message, where=finding.where.removeprefix("sample "))

    def test_sound_arrays_are_not(self, make_faces):
        for size in (None, 32):
            assert check_dataset(make_faces(), size=size, workers=1).errors == ()

    def test_arrays_of_the_side_are_checked_at_the_side_that_is_wanted(self, make_faces, array_dataset):
        class Sized(array_dataset):
            def read(self, index, *, size=None):
                side = size or 40 + index
                return replace(super().read(index), extra={"depth": np.zeros((side, side), np.float32)})

        faces = make_faces()
        sized = Sized(faces.samples, faces.splits(), attribute_names=faces.attribute_names)
        assert check_dataset(sized, workers=1).errors == ()
        assert check_dataset(sized, size=32, workers=1).errors == ()

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda extra: {"landmarks": extra["landmarks"]}, "the mirrored array 'age' is missing; the original has"),
            (
                lambda extra: {**extra, "age": np.zeros(2, np.int32)},
                r"the mirrored array 'age' is int32 \(2,\); that of",
            ),
            (
                lambda extra: {**extra, "landmarks": extra["landmarks"] / 0},
                "the mirrored array 'landmarks' holds numbers",
            ),
            (lambda extra: None, "`extra` is a NoneType"),
        ],
    )
    @pytest.mark.filterwarnings("ignore:divide by zero")
    def test_what_cannot_stand_for_the_mirrored_is_refused(self, change, message, make_faces, tmp_path):
        faces = make_faces()
        faces.mirror_extra = change
        with pytest.raises(FacekitError, match=message) as caught:
            prepare(faces, size=16, cache=tmp_path)
        assert caught.value.where == "face-0"
        assert "mirror_extra" in caught.value.remedy
        assert {finding.where for finding in check_dataset(faces, workers=1).errors} == {
            f"sample {key}" for key in faces.keys
        }


class TestLoading:
    def test_batches_hold_tensors(self, make_faces, tmp_path):
        packed = prepare(make_faces(), size=32, cache=tmp_path)
        loaded = FaceLoader(packed, packed.rows("train"), batch=4, seed=0).batch(0)
        rows = [list(packed.keys).index(key) for key in loaded.keys]
        for batch in (loaded, fixed_batch(packed, rows)):
            dtypes = {name: tensor.dtype for name, tensor in batch.extra.items()}
            assert dtypes == {
                "landmarks": torch.float32,
                "visible": torch.float32,
                "age": torch.int64,
                "regions": torch.int64,
                "counts": torch.int64,
            }
            for name, tensor in batch.extra.items():
                assert np.array_equal(tensor.numpy(), packed.extra[name][rows])
            assert batch.condition.extra is batch.extra

    def test_mirrored_photos_have_mirrored_arrays(self, make_faces, tmp_path):
        packed = prepare(make_faces(), size=40, cache=tmp_path)
        rows = {key: row for row, key in enumerate(packed.keys)}
        loader = FaceLoader(packed, packed.rows("train"), batch=9, seed=0, mirror=True)
        flipped = 0
        for step in range(10):
            batch = loader.batch(step)
            for place, key in enumerate(batch.keys):
                is_mirrored = not np.array_equal(batch.mask[place].numpy(), packed.masks[rows[key]])
                flipped += is_mirrored
                stored = packed.mirrored_extra if is_mirrored else packed.extra
                for name, tensor in batch.extra.items():
                    assert np.array_equal(tensor[place].numpy(), stored[name][rows[key]])
                # And it is true: the landmarks are where the eyes of the batch are.
                seen = extra_of(batch.mask[place].numpy().astype(np.uint8), 0)["landmarks"]
                assert np.allclose(batch.extra["landmarks"][place].numpy(), seen, atol=1e-6)
        assert 25 < flipped < 65  # of 90

    def test_a_reference_that_is_drawn_apart_changes_nothing(self, make_faces, tmp_path):
        packed = prepare(make_faces(mirrors=False), size=32, cache=tmp_path)
        drawn = ReferenceAugmentation(crop=0.7, mirror=True)
        batch = FaceLoader(packed, packed.rows("train"), batch=9, seed=0, reference=drawn).batch(0)
        assert not torch.equal(batch.reference.image, batch.image)
        rows = [list(packed.keys).index(key) for key in batch.keys]
        assert np.array_equal(batch.extra["landmarks"].numpy(), packed.extra["landmarks"][rows])

    def test_photos_whose_arrays_cannot_be_mirrored_are_not_mirrored(self, make_faces, tmp_path):
        packed = prepare(make_faces(mirrors=False), size=32, cache=tmp_path)
        with pytest.raises(FacekitError, match="how a mirrored sample has its age, counts, landmarks") as caught:
            FaceLoader(packed, packed.rows("train"), batch=2, seed=0, mirror=True)
        assert caught.value.where == "data.mirror"
        assert "set it to false" in caught.value.remedy
        assert "mirror_extra" in caught.value.remedy
