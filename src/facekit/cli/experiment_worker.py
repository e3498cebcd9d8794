"""``python -m facekit.cli.experiment_worker JOB``: what a process of a sweep runs; not a command of users."""

from __future__ import annotations

import shlex
import sys
from functools import partial
from pathlib import Path


def main(file: Path) -> int:
    """Do the job of a file; return the exit code."""
    from facekit.cli.errors import exit_code_of
    from facekit.experiments.worker import Job, do
    from facekit.registry import load_registry
    from facekit.report import write_report

    job = Job.model_validate_json(file.read_text("utf-8"))
    plugins = [part for plugin in job.plugin_files for part in ("--plugin-file", str(plugin))]
    command = ["facekit", "run", str(job.recipe), "--out", str(job.folder), *plugins]
    try:
        registry = load_registry(*job.plugin_files)
        return do(job, registry=registry, command=shlex.join(command), report=partial(write_report, registry=registry))
    except Exception as error:
        return exit_code_of(error, debug=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
