from __future__ import annotations

import subprocess
import sys
import threading
import time
from functools import partial

import numpy as np
import pytest
import torch

from facekit.data.cache import prepare
from facekit.data.geometry import mirror_mask, mirror_photo
from facekit.data.loader import FaceLoader, fixed_batch, to_unit_range
from facekit.data.reference import ReferenceAugmentation
from facekit.interfaces import FacekitError

Reference = partial(ReferenceAugmentation, crop=0.7, mirror=True)


def tensors(batch):
    return batch.image, batch.mask, batch.reference.image, batch.reference.mask, batch.attributes


def same(first, second):
    return first.keys == second.keys and all(torch.equal(a, b) for a, b in zip(tensors(first), tensors(second)))


def loader_of(packed, **changes):
    options = {"batch": 4, "seed": 7, "mirror": True, "reference": Reference(), "workers": 0, **changes}
    return FaceLoader(packed, packed.rows("train"), **options)


def loader_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("facekit-loader")]


def test_a_batch_is_what_the_containers_promise(packed):
    batch = loader_of(packed).batch(0)
    assert batch.image.shape == batch.reference.image.shape == (4, 3, 32, 32)
    assert batch.mask.shape == batch.reference.mask.shape == (4, 32, 32)
    assert batch.image.dtype == batch.reference.image.dtype == batch.attributes.dtype == torch.float32
    assert batch.mask.dtype == batch.reference.mask.dtype == torch.int64
    assert batch.image.min() >= -1
    assert batch.image.max() <= 1
    assert set(batch.attributes.unique().tolist()) <= {0.0, 1.0}
    assert len(batch) == 4
    assert all(tensor.is_contiguous() for tensor in tensors(batch))


def test_all_256_grey_levels_keep_their_place():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    tensor = to_unit_range(levels)
    assert tensor.min() == -1
    assert tensor.max() == 1
    assert np.array_equal(((tensor + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy(), levels)


def test_a_batch_depends_on_seed_and_step_only(packed):
    loader = loader_of(packed)
    batches = [loader.batch(step) for step in range(6)]
    again = loader_of(packed)
    for step in (5, 0, 3):  # any order
        assert same(again.batch(step), batches[step])
    assert not same(batches[0], batches[1])
    assert not same(loader_of(packed, seed=8).batch(0), batches[0])


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_workers_change_nothing(packed, workers):
    plain = [loader_of(packed).batch(step) for step in range(3, 20)]
    ahead = list(loader_of(packed, workers=workers).prefetch(3, 20))
    assert len(ahead) == len(plain)
    assert all(same(a, b) for a, b in zip(ahead, plain))


def test_an_epoch_shows_every_face_once(packed):
    keys = [key for batch in loader_of(packed, batch=3).prefetch(0, 3) for key in batch.keys]
    assert sorted(keys) == sorted(packed.keys[row] for row in packed.rows("train"))


def test_micro_batches_and_ranks_share_one_stream(packed):
    whole = [key for step in range(4) for key in loader_of(packed, batch=6).batch(step).keys]
    parts = []
    for step in range(4):
        for micro in range(3):
            for rank in range(2):
                part = loader_of(packed, batch=1, accumulate=3, rank=rank, world_size=2)
                parts += part.batch(step, micro).keys
    assert parts == whole
    ahead = list(loader_of(packed, batch=2, accumulate=3).prefetch(1, 3))
    assert [key for batch in ahead for key in batch.keys] == whole[6:18]


def test_mirroring_mirrors_half_of_the_faces_and_swaps_left_and_right(packed):
    loader = loader_of(packed, batch=9, reference=ReferenceAugmentation())
    table = packed.label_map.mirror_table()
    rows = {packed.keys[row]: row for row in packed.rows("train")}
    mirrored = 0
    for step in range(20):
        batch = loader.batch(step)
        for image, mask, key in zip(batch.image, batch.mask, batch.keys):
            pixels = ((image + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
            own_image, own_mask = packed.images[rows[key]], packed.masks[rows[key]]
            if np.array_equal(pixels, own_image):
                assert np.array_equal(mask.numpy(), own_mask)
            else:
                assert np.array_equal(pixels, mirror_photo(own_image))
                assert np.array_equal(mask.numpy(), mirror_mask(own_mask, table))
                mirrored += 1
    assert 60 < mirrored < 120  # of 180
    unmirrored = loader_of(packed, mirror=False, reference=ReferenceAugmentation()).batch(0)
    assert same(unmirrored, fixed_batch(packed, [rows[key] for key in unmirrored.keys]))


def test_a_reference_is_the_same_face_and_keeps_its_mask(make_dataset, make_photo, tmp_path):
    packed = prepare(make_dataset(size=96), size=96, cache=tmp_path)
    batch = loader_of(packed, batch=9).batch(0)
    assert not torch.equal(batch.reference.image, batch.image)
    colours = torch.tensor([entry.colour for entry in packed.label_map.classes]) / 127.5 - 1
    table = torch.from_numpy(packed.label_map.mirror_table().astype(np.int64))
    straight = flipped = 0
    for image, mask in zip(batch.reference.image, batch.reference.mask):
        nearest = (image.permute(1, 2, 0)[:, :, None] - colours).norm(dim=-1).argmin(-1)
        # The drawn photo colours eyes by their class; a mirrored one still shows the colour of the other eye.
        agree, agree_swapped = (nearest == mask).float().mean(), (table[nearest] == mask).float().mean()
        assert max(agree, agree_swapped) > 0.97
        straight += bool(agree > agree_swapped)
        flipped += bool(agree_swapped > agree)
    assert straight
    assert flipped


def test_hidden_regions_are_missing_from_the_reference_alone(make_dataset, tmp_path):
    packed = prepare(make_dataset(size=32), size=32, cache=tmp_path)
    plain = loader_of(packed, reference=Reference(crop=1.0, mirror=False)).batch(3)
    hiding = loader_of(packed, reference=Reference(crop=1.0, mirror=False, hide_regions=0.5)).batch(3)
    assert torch.equal(hiding.image, plain.image)
    assert torch.equal(hiding.mask, plain.mask)
    changed = 0
    for mask, seen, image, photo in zip(hiding.mask, hiding.reference.mask, hiding.reference.image, hiding.image):
        assert set(seen.unique().tolist()) <= set(mask.unique().tolist())
        # The three largest regions keep their pixels, and what was not hidden its colours.
        for region in torch.bincount(mask.flatten()).argsort(descending=True)[:3]:
            assert bool((seen[mask == region] == region).all())
        assert torch.equal(image[:, seen == mask], photo[:, seen == mask])
        changed += len(mask.unique()) - len(seen.unique())
    assert changed
    with pytest.raises(ValueError, match="hide_regions"):
        loader_of(packed, reference=Reference(hide_regions=1.0))


def test_without_augmentation_the_reference_is_the_photo(packed):
    batch = loader_of(packed, reference=ReferenceAugmentation()).batch(2)
    assert torch.equal(batch.reference.image, batch.image)
    assert torch.equal(batch.reference.mask, batch.mask)


def test_fixed_batch_keeps_the_order_it_is_given(packed):
    batch = fixed_batch(packed, [5, 2])
    assert batch.keys == ("face-5", "face-2")
    assert np.array_equal(batch.mask.numpy(), packed.masks[[5, 2]])
    assert batch.attributes.numpy().tolist() == packed.attributes[[5, 2]].tolist()


def test_threads_end_with_the_iterator(packed):
    iterator = loader_of(packed, workers=3).prefetch(0, 10**9)
    next(iterator)
    assert loader_threads()
    iterator.close()
    assert not loader_threads()


def test_threads_end_when_the_loop_is_left_by_an_exception(packed):
    def train():
        for step, _ in enumerate(loader_of(packed, workers=2).prefetch(0, 10**9)):
            if step == 3:
                raise RuntimeError("a loss is not finite")

    with pytest.raises(RuntimeError, match="not finite"):
        train()
    deadline = time.monotonic() + 5
    while loader_threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not loader_threads()


def test_what_goes_wrong_in_a_thread_reaches_the_loop(packed):
    loader = loader_of(packed, workers=2)
    loader.rows = loader.rows + 1000  # rows that are not there
    with pytest.raises(IndexError):
        list(loader.prefetch(0, 5))
    assert not loader_threads()


def test_few_batches_are_made_ahead(packed):
    made = []

    class Counting(FaceLoader):
        def batch(self, step, micro=0):
            made.append(step)
            return super().batch(step, micro)

    iterator = Counting(packed, packed.rows("train"), batch=2, seed=0, workers=2).prefetch(0, 1000)
    next(iterator)
    time.sleep(0.3)
    assert len(made) <= 6
    iterator.close()


def test_ctrl_c_ends_the_process(packed, tmp_path):
    script = tmp_path / "loop.py"
    script.write_text(
        "import sys, time\n"
        "from pathlib import Path\n"
        "from facekit.data.loader import FaceLoader\nfrom facekit.data.store import PackedFaces\n"
        "packed = PackedFaces.open(Path(sys.argv[1]))\n"
        "for batch in FaceLoader(packed, packed.rows('train'), batch=2, seed=0, workers=2).prefetch(0, 10**9):\n"
        "    print('batch', flush=True)\n"
        "    time.sleep(0.01)\n"
    )
    import signal

    process = subprocess.Popen(
        [sys.executable, script, packed.folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "batch\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert "KeyboardInterrupt" in errors
    assert process.returncode != 0


@pytest.mark.parametrize(
    "wrong", [{"batch": 0}, {"accumulate": 0}, {"workers": -1}, {"rank": 2, "world_size": 2}, {"rank": -1}]
)
def test_arguments_out_of_range_are_refused(packed, wrong):
    with pytest.raises(ValueError):
        loader_of(packed, **wrong)


def test_no_faces_are_refused(packed):
    with pytest.raises(FacekitError, match="no faces"):
        FaceLoader(packed, [], batch=1, seed=0)
    with pytest.raises(ValueError, match="rows"):
        FaceLoader(packed, [0, 99], batch=1, seed=0)
    with pytest.raises(ValueError, match="micro-batch"):
        loader_of(packed).batch(0, 1)
