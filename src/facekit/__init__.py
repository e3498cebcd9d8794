"""facekit: a plugin-based toolkit for generative face models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from facekit.version import __version__

if TYPE_CHECKING:
    from facekit.inference import load as load

__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    # Lazy, so that `import facekit` and the torch-free commands stay torch-free.
    if name == "load":
        from facekit.inference import load

        return load
    raise AttributeError(f"module 'facekit' has no attribute {name!r}")
