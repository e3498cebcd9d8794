"""Whether runs suit the editing of photos, and each other."""

from __future__ import annotations

import numpy as np

from facekit.inference.given import needs_of
from facekit.inference.pipeline import FacePipeline
from facekit.interfaces import FacekitError, LabelMap
from facekit.sampling.inputs import MASK, REFERENCE, REFERENCE_MASK
from facekit_studio.editing.local import fills_holes
from facekit_studio.editing.script.masks import Ids


def check_edits_masks(pipeline: FacePipeline) -> None:
    """Check that photos can be edited with a run: by a mask, and at most a reference with its own mask, or by filling
    holes.

    Raises:
        FacekitError: the run reads no mask, or needs something else.
    """
    inputs = pipeline.inputs
    if fills_holes(inputs):
        return
    if not inputs.reads(MASK):
        raise FacekitError(
            f"this run reads no mask, so there is no mask to edit; {needs_of(inputs)}",
            where=str(pipeline.run),
            remedy="`facekit generate` generates with it from what it needs",
        )
    if inputs.needed - {MASK, REFERENCE, REFERENCE_MASK}:
        raise FacekitError(
            f"photos are edited by a mask and a reference, and this run needs more: {needs_of(inputs)}",
            where=str(pipeline.run),
            remedy="`facekit generate` generates with it from what it needs",
        )


def check_beside(local: FacePipeline, pipeline: FacePipeline) -> None:
    """Raise FacekitError where a run for local edits does not go with the run of whole faces."""
    if fills_holes(pipeline.inputs):
        raise FacekitError(
            "this run fills holes itself, so another one for local edits has nothing to do",
            where=str(pipeline.run),
            remedy="leave out --local, or give a run that generates whole faces as RUN",
        )
    if fills_holes(local.inputs) and local.label_map != pipeline.label_map:
        raise FacekitError(
            f"the run for local edits knows the classes of {local.label_map.name}, and the other one those of "
            f"{pipeline.label_map.name}",
            where=str(local.run),
            remedy="train both on data of one label map",
        )


def table_of(theirs: LabelMap, ours: LabelMap) -> Ids:
    """Return the run's id for each of the segmenter's."""
    if theirs.names == ours.names:
        return np.arange(256, dtype=np.uint8)
    if ours.of == theirs.name:
        table = np.zeros(256, dtype=np.uint8)
        table[: len(theirs)] = ours.merged_ids(theirs)
        return table
    raise FacekitError(
        f"the segmenter knows the classes of {theirs.name}, and the run paints those of {ours.name}",
        remedy="train a segmenter on data with the run's label map",
    )
