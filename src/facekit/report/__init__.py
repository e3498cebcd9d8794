"""The static HTML report of a run."""

from facekit.report.write import write_report

__all__ = ["write_report"]
