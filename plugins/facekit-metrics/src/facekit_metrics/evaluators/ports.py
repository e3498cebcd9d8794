"""What the parts of evaluators' recipes give each other, by name. Imports no torch."""

from __future__ import annotations

from facekit.interfaces import Port

FACE_SEGMENTER, ATTRIBUTE_CLASSIFIER = "face_segmenter", "attribute_classifier"
"""The names of the networks in recipes."""

SEGMENTER_LOGITS = Port("segmenter.logits", ("batch", "classes", "half", "half"))
CLASSIFIER_LOGITS = Port("classifier.logits", ("batch", "attributes"))

MASK_LOGITS, ATTRIBUTE_LOGITS = "logits", "attribute_logits"
"""The names of the maps that samplers give beside the image."""

MASK_MAP = Port(f"generated.{MASK_LOGITS}", ("batch", "classes", "size", "size"))
ATTRIBUTE_MAP = Port(f"generated.{ATTRIBUTE_LOGITS}", ("batch", "attributes"))

KNOWN = "attributes_known"
"""The port that says which attributes a photo's dataset has (1), and which are not to be learned from it (0)."""
