"""What a trained run can do: generate images from what its networks read, and edit photos."""

from facekit.editing.attributes import parse_attributes
from facekit.editing.edit_folder import edit_folder
from facekit.editing.files import FolderItem, FolderResult
from facekit.editing.folder import generate_folder
from facekit.editing.inference import InferenceNetworks
from facekit.editing.lint import MaskFinding, lint_mask
from facekit.editing.loading import load
from facekit.editing.open_face import EditedFace, OpenFace
from facekit.editing.photo import PhotoEditor
from facekit.editing.pipeline import FacePipeline
from facekit.editing.provenance import read_provenance, save_png
from facekit.editing.tuning import FaceTuner, TunedFace, TuningOptions

__all__ = [
    "EditedFace",
    "FacePipeline",
    "FaceTuner",
    "FolderItem",
    "FolderResult",
    "InferenceNetworks",
    "MaskFinding",
    "OpenFace",
    "PhotoEditor",
    "TunedFace",
    "TuningOptions",
    "edit_folder",
    "generate_folder",
    "lint_mask",
    "load",
    "parse_attributes",
    "read_provenance",
    "save_png",
]
