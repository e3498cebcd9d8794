"""The names of the baselines, for whoever must know them without torch."""

from __future__ import annotations

BASELINE_NAMES = ("copy_reference", "mean_colour_per_region", "nearest_training_photo_by_mask")
"""The keys of :data:`facekit.evaluation.BASELINES`."""
