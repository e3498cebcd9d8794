"""What metrics of one task do alike: say whose results they look at."""

from __future__ import annotations

from facekit.interfaces import Task

from .task_options import TaskChoice


class OneTask:
    """Looks at the results of one task, which the recipe chooses.

    Args:
        choice: whose results.
    """

    def __init__(self, choice: TaskChoice) -> None:
        self.choice = choice

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The task whose results are looked at."""
        return self.choice.tasks

    @property
    def transfers(self) -> tuple[str, ...]:
        """The attributes whose transfer is looked at."""
        return self.choice.transfers
