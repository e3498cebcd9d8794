"""Tolerance of installed distributions whose metadata is damaged."""

from __future__ import annotations

import os
from importlib import metadata

from pydantic import create_model


def tolerate_damaged_distributions() -> None:
    """Keep pydantic and torch usable where the entry points of one distribution cannot be read.

    Both ask for the entry points of all distributions, for extensions of their own, and fail when one of them is
    damaged: then not even ``facekit plugins doctor``, which names it, could be called. Extensions of pydantic and torch
    are not loaded in such a process.
    """
    try:
        create_model("FirstModel")  # pydantic looks for its extensions when the first class is made
    except Exception:
        try:
            metadata.entry_points()
        except Exception:  # whatever the files make of it; they are read again, one by one, where plugins are loaded
            os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
            os.environ.setdefault("TORCH_DEVICE_BACKEND_AUTOLOAD", "0")
        else:
            raise
