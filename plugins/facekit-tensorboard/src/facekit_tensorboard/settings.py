"""Whether runs are written down for TensorBoard, and where: two environment variables, read when a run starts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from facekit.interfaces import FacekitError

SWITCH, FOLDER = "FACEKIT_TENSORBOARD", "FACEKIT_TENSORBOARD_DIR"
"""Names of the environment variables."""

IN_THE_RUN = "tensorboard"
"""Folder of the log in the run folder, where no other is asked for."""

MARK = "tfevents"
"""TensorBoard reads the files that have this in their names."""

_WORDS = {"": True, "on": True, "1": True, "yes": True, "true": True}
_WORDS |= {"off": False, "0": False, "no": False, "false": False}


@dataclass(frozen=True)
class Settings:
    """What the environment asks for.

    Args:
        on: write logs.
        folder: the folder of all logs, in which each run has one under its own name; None for a log in each run.
    """

    on: bool = True
    folder: Path | None = None

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read the environment variables.

        Raises:
            FacekitError: one of them says what cannot be understood or done.
        """
        environment = os.environ if environment is None else environment
        word = environment.get(SWITCH, "").strip().lower()
        if word not in _WORDS:
            raise FacekitError(
                f"{SWITCH} is {environment[SWITCH]!r}, which is neither on nor off",
                remedy=f"set {SWITCH}=off to write no TensorBoard logs; left out, it is on",
            )
        given = environment.get(FOLDER, "").strip()
        folder = Path(given).expanduser().absolute() if given else None
        if folder is not None and folder.exists() and not folder.is_dir():
            raise FacekitError(
                f"{FOLDER} names a file, not a folder", where=str(folder), remedy="name a folder; it is made if need be"
            )
        return cls(on=_WORDS[word], folder=folder)

    def log_of(self, run: Path) -> Path:
        """Return the folder of a run's log."""
        return run / IN_THE_RUN if self.folder is None else self.folder / run.resolve().name
