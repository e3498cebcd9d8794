"""The statistics: against other implementations, and on cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from facekit.experiments.results import holm, paired_p, photo_means


def test_each_photo_counts_once_by_its_mean_over_the_seeds() -> None:
    assert photo_means([[1.0, 2.0, 3.0], [3.0, 4.0, 5.0]]) == (2.0, 3.0, 4.0)
    assert photo_means([[1.0, 2.0], [1.0]]) == (), "the seeds do not have the same photos"
    assert photo_means([[], []]) == ()
    assert photo_means([]) == ()


def test_more_seeds_do_not_make_photos_more_certain() -> None:
    random = np.random.default_rng(0)
    ours, theirs = random.normal(0.3, 1, 40), random.normal(0, 1, 40)
    one = paired_p(photo_means([ours.tolist()]), photo_means([theirs.tolist()]))
    many = paired_p(photo_means([ours.tolist()] * 5), photo_means([theirs.tolist()] * 5))
    assert many == pytest.approx(one), "values pooled over seeds would give a smaller p"


def test_paired_test_finds_a_shift_that_an_unpaired_one_would_not() -> None:
    random = np.random.default_rng(1)
    photos = random.normal(20, 6, 50)
    ours = photos + 0.4 + random.normal(0, 0.3, 50)
    assert paired_p(ours.tolist(), photos.tolist()) < 1e-6
    assert stats.mannwhitneyu(ours, photos).pvalue > 0.5
    assert paired_p(photos.tolist(), photos.tolist()) == 1.0


def test_paired_test_is_calibrated() -> None:
    random = np.random.default_rng(2)
    found = [paired_p(random.normal(0, 1, 30).tolist(), random.normal(0, 1, 30).tolist()) for _ in range(400)]
    assert 0.02 < np.mean(np.array(found) < 0.05) < 0.09


def test_values_that_cannot_be_paired_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be paired"):
        paired_p([1.0, 2.0], [1.0])


def test_holm_is_that_of_the_paper() -> None:
    # Worked by hand: sorted p times 4, 3, 2, 1, never below the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []
