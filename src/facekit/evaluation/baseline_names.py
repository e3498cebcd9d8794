"""The names of the baselines, for whoever must know them without torch."""

from __future__ import annotations

REAL_PHOTOS = "real_photos"
"""The one that is none to beat: it shows the measure's own mistakes."""

BASELINE_NAMES = ("copy_reference", "mean_colour_per_region", "nearest_training_photo_by_mask", REAL_PHOTOS)
"""The keys of :data:`facekit.evaluation.BASELINES`."""
