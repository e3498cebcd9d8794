"""What a trained run can do: generate images from what its networks read."""

from facekit.inference.files import FolderItem, FolderResult
from facekit.inference.folder import generate_folder
from facekit.inference.given import parse_attributes, parse_region_references
from facekit.inference.loading import load
from facekit.inference.networks import InferenceNetworks
from facekit.inference.pipeline import FacePipeline
from facekit.inference.provenance import read_provenance, save_png

__all__ = [
    "FacePipeline",
    "FolderItem",
    "FolderResult",
    "InferenceNetworks",
    "generate_folder",
    "load",
    "parse_attributes",
    "parse_region_references",
    "read_provenance",
    "save_png",
]
