from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facekit.data.sampling import augmentation_numbers, epoch_order, steps_for_epochs, stream, swapped_pairs
from facekit.interfaces import FacekitError


@given(seed=st.integers(0, 2**63), epoch=st.integers(0, 10**6), count=st.integers(1, 200))
def test_every_epoch_is_a_permutation(seed, epoch, count):
    assert sorted(epoch_order(seed, epoch, count).tolist()) == list(range(count))


@settings(deadline=None)
@given(
    seed=st.integers(0, 1000), count=st.integers(1, 30), start=st.integers(0, 200), lengths=st.lists(st.integers(1, 50))
)
def test_the_stream_is_the_same_however_it_is_cut(seed, count, start, lengths):
    whole = stream(seed, count, start, sum(lengths) or 1).tolist()
    pieces, position = [], start
    for length in lengths:
        pieces += stream(seed, count, position, length).tolist()
        position += length
    assert pieces == whole[: len(pieces)]


def test_the_stream_goes_through_epoch_after_epoch():
    taken = stream(5, 7, 0, 21).reshape(3, 7)
    assert all(sorted(epoch) == list(range(7)) for epoch in taken.tolist())
    assert len({tuple(epoch) for epoch in taken.tolist()}) == 3


def test_the_order_never_changes_between_versions():
    # Runs are resumed and compared by it: these numbers may never change.
    assert stream(0, 10, 0, 12).tolist() == [5, 3, 7, 8, 2, 4, 1, 0, 6, 9, 3, 5]
    assert np.allclose(augmentation_numbers(3, 17, 2), [0.5678515331038206, 0.09950192227114685], rtol=0, atol=1e-12)


def test_chance_differs_by_seed_and_position_and_is_even():
    numbers = np.stack([augmentation_numbers(1, position, 5) for position in range(2000)])
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert np.abs(numbers.mean(axis=0) - 0.5).max() < 0.03
    assert len(np.unique(numbers)) == numbers.size
    assert not np.array_equal(numbers[0], augmentation_numbers(2, 0, 5))
    assert np.abs(np.corrcoef(numbers.T) - np.eye(5)).max() < 0.08


@given(count=st.integers(2, 60), seed=st.integers(0, 10**6))
def test_swapped_pairs_give_every_face_another_face(count, seed):
    rows = list(range(100, 100 + count))
    pairs = swapped_pairs(rows, seed=seed)
    assert pairs[:, 0].tolist() == rows
    assert sorted(pairs[:, 1].tolist()) == rows
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert np.array_equal(pairs, swapped_pairs(rows, seed=seed))


def test_swapped_pairs_differ_by_seed_and_refuse_what_cannot_be_paired():
    assert not np.array_equal(swapped_pairs(range(50), seed=0), swapped_pairs(range(50), seed=1))
    with pytest.raises(FacekitError, match="at least 2"):
        swapped_pairs([4], seed=0)
    with pytest.raises(FacekitError, match="twice"):
        swapped_pairs([4, 5, 4], seed=0)


@pytest.mark.parametrize(
    ("epochs", "count", "batch", "accumulate", "world", "steps"),
    [(28, 400, 4, 1, 1, 2800), (1, 10, 4, 1, 1, 3), (10, 10, 4, 1, 1, 25), (1, 3, 8, 1, 1, 1), (2, 100, 5, 2, 2, 10)],
)
def test_steps_of_epochs(epochs, count, batch, accumulate, world, steps):
    assert steps_for_epochs(epochs, count, batch, accumulate=accumulate, world_size=world) == steps
