"""What a trained run can do to a face: painting masks in the look of reference photos, from Python and for folders."""

from facekit.editing.folder import FolderItem, FolderResult, generate_folder
from facekit.editing.pipeline import FacePipeline, load
from facekit.editing.provenance import read_provenance, save_png

__all__ = [
    "FacePipeline",
    "FolderItem",
    "FolderResult",
    "generate_folder",
    "load",
    "read_provenance",
    "save_png",
]
