"""The pairs behind a table of results, from the evaluations that the run folder keeps."""

from __future__ import annotations

from facekit.evaluation.store import BASELINE_PREFIX, read_evaluation
from facekit.figures.pairs import pair_lists
from facekit.interfaces import FacekitError
from facekit.report.results import Table
from facekit.training.run.folder import EVALUATIONS
from facekit.training.run.reading import RunRecord


def measured_pairs(record: RunRecord, table: Table) -> str:
    """Return the lists of pairs of the run's own last evaluation in a table; an empty string where none is kept.

    An evaluation that cannot be read is passed over and added to ``record.problems``.
    """
    # Names begin with the step, so the last comes first.
    for file in sorted((record.folder / EVALUATIONS).glob(f"*-{table.split}-*.json"), reverse=True):
        try:
            kept = read_evaluation(file)
        except FacekitError as error:
            record.problems.append(f"{EVALUATIONS}/{file.name}: {error.message}")
            continue
        if kept.protocol == table.protocol and not kept.weights.startswith(BASELINE_PREFIX):
            return pair_lists(kept.pairs, seed=kept.fields.get("task_seed", ""))
    return ""
