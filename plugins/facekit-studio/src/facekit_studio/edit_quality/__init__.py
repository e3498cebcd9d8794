"""Edit quality: what edits of a run show inside the edited region, beside real photos, and what they do outside."""

from facekit_studio.edit_quality.kinds import NAMED_EDITS, NamedEdit, named_edit
from facekit_studio.edit_quality.runner import EditSettings, ScriptResult, evaluate_edits
from facekit_studio.edit_quality.store import NUMBERS, EditRecord, keep_in_run, write_results, write_sheet

__all__ = [
    "NAMED_EDITS",
    "NUMBERS",
    "EditRecord",
    "EditSettings",
    "NamedEdit",
    "ScriptResult",
    "evaluate_edits",
    "keep_in_run",
    "named_edit",
    "write_results",
    "write_sheet",
]
