"""Edit scripts: small, replayable lists of operations on a mask and a look."""

from facekit_studio.editing.script.looks import BlendReference, Reference
from facekit_studio.editing.script.operation import EditContext, Operation
from facekit_studio.editing.script.operations import OPERATIONS
from facekit_studio.editing.script.script import (
    SCRIPT_FORMAT,
    EditScript,
    apply_script,
    parse_script,
    read_script,
    write_script,
)
from facekit_studio.editing.script.shapes import Runs

__all__ = [
    "OPERATIONS",
    "SCRIPT_FORMAT",
    "BlendReference",
    "EditContext",
    "EditScript",
    "Operation",
    "Reference",
    "Runs",
    "apply_script",
    "parse_script",
    "read_script",
    "write_script",
]
