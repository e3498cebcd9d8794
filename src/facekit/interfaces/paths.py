"""Where facekit keeps what can be made again."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder of caches: ``FACEKIT_CACHE``, or ``facekit`` in the user's caches; it may not exist yet."""
    if chosen := os.environ.get("FACEKIT_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "facekit" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "facekit"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "facekit"
