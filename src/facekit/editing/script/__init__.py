"""Edit scripts: small, replayable lists of operations on a mask and a look."""

from facekit.editing.script.context import EditContext
from facekit.editing.script.looks import BlendReference, Reference
from facekit.editing.script.operation import Operation
from facekit.editing.script.operations import OPERATIONS
from facekit.editing.script.script import (
    SCRIPT_FORMAT,
    EditScript,
    apply_script,
    parse_script,
    read_script,
    write_script,
)
from facekit.editing.script.shapes import Runs

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
