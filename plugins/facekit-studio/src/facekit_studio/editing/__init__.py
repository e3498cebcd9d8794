"""Editing photos with a trained run: scripts, compositing, edits of a part, tuning to a photo."""

from facekit_studio.editing.edit_folder import edit_folder
from facekit_studio.editing.lint import MaskFinding, lint_mask
from facekit_studio.editing.open_face import EditedFace, OpenFace
from facekit_studio.editing.photo import PhotoEditor
from facekit_studio.editing.tuning import FaceTuner, TunedFace, TuningOptions

__all__ = [
    "EditedFace",
    "FaceTuner",
    "MaskFinding",
    "OpenFace",
    "PhotoEditor",
    "TunedFace",
    "TuningOptions",
    "edit_folder",
    "lint_mask",
]
