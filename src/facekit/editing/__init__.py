"""What a trained run can do to a face: painting masks in the look of reference photos, and editing photos."""

from facekit.editing.edit_folder import edit_folder
from facekit.editing.files import FolderItem, FolderResult
from facekit.editing.folder import generate_folder
from facekit.editing.lint import MaskFinding, lint_mask
from facekit.editing.loading import load
from facekit.editing.photo import EditedFace, OpenFace, PhotoEditor
from facekit.editing.pipeline import FacePipeline
from facekit.editing.provenance import read_provenance, save_png
from facekit.editing.transfer import read_wishes, transfer_folder

__all__ = [
    "EditedFace",
    "FacePipeline",
    "FolderItem",
    "FolderResult",
    "MaskFinding",
    "OpenFace",
    "PhotoEditor",
    "edit_folder",
    "generate_folder",
    "lint_mask",
    "load",
    "read_provenance",
    "read_wishes",
    "save_png",
    "transfer_folder",
]
