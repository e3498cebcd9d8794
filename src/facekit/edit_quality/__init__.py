"""Edit quality: what edits of a run show inside the edited region, beside real photos, and what they do outside."""

from facekit.edit_quality.kinds import NAMED_EDITS, NamedEdit, named_edit
from facekit.edit_quality.runner import EditSettings, ScriptResult, evaluate_edits
from facekit.edit_quality.store import NUMBERS, write_results, write_sheet

__all__ = [
    "NAMED_EDITS",
    "NUMBERS",
    "EditSettings",
    "NamedEdit",
    "ScriptResult",
    "evaluate_edits",
    "named_edit",
    "write_results",
    "write_sheet",
]
