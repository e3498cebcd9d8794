"""What metrics of two looks do alike: bring the two results of a mask together."""

from __future__ import annotations

from torch import Tensor

from facekit.interfaces import FacekitError, Task


class TwoLooks:
    """Pairs the results of a mask in its own look and in another face's, by the key of the target face.

    The first to come is kept until the other does, so a runner that alternates tasks keeps few.

    Args:
        metric: whose, for errors.
    """

    TASKS: tuple[Task, ...] = ("reconstruction", "style_copy")

    def __init__(self, metric: str) -> None:
        self._metric = metric
        self._waiting: dict[str, tuple[Task, Tensor]] = {}

    def partner(self, key: str, task: Task, image: Tensor) -> Tensor | None:
        """Return the face's result in the other task; None when it has not come, and this one is kept.

        Raises:
            FacekitError: the face came in the same task before.
        """
        before, other = self._waiting.pop(key, (None, None))
        if other is None:
            self._waiting[key] = (task, image)
        elif before == task:
            raise FacekitError(f"{self._metric} saw face {key!r} twice in the task {task}")
        return other

    def require_all(self) -> None:
        """Raise FacekitError when faces came in one task only."""
        if self._waiting:
            raise FacekitError(
                f"{self._metric} saw {len(self._waiting)} faces in one task only",
                remedy="evaluate reconstruction and style_copy on the same faces",
            )
