"""Which face comes when, and what chance does to it: pure functions of the seed and a position. Torch-free.

Only raw words of NumPy's Philox generator are used: their values are guaranteed not to change between versions of
NumPy, which those of ``permutation`` or ``random`` are not.
"""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from facekit.interfaces import FacekitError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# What a stream of random words is for; part of its key, so that no two uses share words.
_SHUFFLE, _AUGMENT, _PAIRS, _DONORS = 1, 2, 3, 4


def random_words(seed: int, purpose: int, position: int, count: int) -> NDArray[np.uint64]:
    """Return ``count`` random 64-bit words of a seed, a purpose and a position."""
    words: NDArray[np.uint64] = np.random.Philox(
        key=np.array([seed % 2**64, purpose], dtype=np.uint64),
        # The lowest word of the counter counts blocks of four words; the position stands above it.
        counter=np.array([0, position, 0, 0], dtype=np.uint64),
    ).random_raw(count)
    return words


def uniform(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return words as numbers in [0, 1), 53 bits each."""
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


@lru_cache(maxsize=8)
def epoch_order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """Return the order (count,) of an epoch: a permutation of 0..count-1."""
    order = np.argsort(random_words(seed, _SHUFFLE, epoch, count), kind="stable").astype(np.int64)
    order.setflags(write=False)  # shared through the cache
    return order


def stream(seed: int, count: int, start: int, length: int) -> NDArray[np.int64]:
    """Return ``length`` positions (0..count-1) of the endless stream of shuffled epochs, from position ``start``.

    Epochs follow each other without a gap: a batch at a border holds the last faces of one epoch and the first of
    the next, and no face is ever left out.
    """
    parts = []
    while length > 0:
        epoch, offset = divmod(start, count)
        part = epoch_order(seed, epoch, count)[offset : offset + length]
        parts.append(part)
        start += len(part)
        length -= len(part)
    return np.concatenate(parts)


def augmentation_numbers(seed: int, position: int, count: int) -> NDArray[np.float64]:
    """Return ``count`` random numbers in [0, 1) for the augmentation of the face at a position of the stream."""
    return uniform(random_words(seed, _AUGMENT, position, count))


def steps_for_epochs(epochs: float, count: int, batch: int, *, accumulate: int = 1, world_size: int = 1) -> int:
    """Return the number of steps (updates) that show ``count`` faces ``epochs`` times, rounded up; at least 1."""
    return max(1, math.ceil(epochs * count / (batch * accumulate * world_size) - 1e-9))


def swapped_pairs(rows: Sequence[int] | NDArray[np.int64], *, seed: int) -> NDArray[np.int64]:
    """Return pairs (n, 2) of target and reference rows: each row is once a target and once a reference, never both.

    The pairing is one random cycle through all rows (Sattolo's algorithm), the same for the same rows and seed.

    Raises:
        FacekitError: there are fewer than two rows, or a row occurs twice.
    """
    targets = np.asarray(rows, dtype=np.int64)
    if len(targets) < 2:
        raise FacekitError(f"faces can change looks only among at least 2; there are {len(targets)}")
    if len(np.unique(targets)) != len(targets):
        raise FacekitError("a face occurs twice among those that are to change looks")
    chances = uniform(random_words(seed, _PAIRS, len(targets), len(targets)))
    references = targets.copy()
    for last in range(len(targets) - 1, 0, -1):
        other = int(chances[last] * last)  # below `last`: that is what makes it a single cycle
        references[[last, other]] = references[[other, last]]
    return np.stack([targets, references], axis=1)


def drawn_donors(
    rows: Sequence[int] | NDArray[np.int64], donors: Sequence[int] | NDArray[np.int64], *, seed: int, purpose: str
) -> NDArray[np.int64]:
    """Return a donor for each row, (n,): all donors serve as often as each other, but for one time at most.

    Args:
        rows: the rows that get one, n of them.
        donors: the rows to draw from; at least one.
        seed: seed of the drawing.
        purpose: draws for other purposes are independent of this one.
    """
    chosen = np.asarray(donors, dtype=np.int64)
    # A position of its own for each purpose; the counter has 64 bits for it.
    position = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:8], "little")
    order = np.argsort(random_words(seed, _DONORS, position, len(chosen)), kind="stable")
    return chosen[order][np.arange(len(rows)) % len(chosen)]
