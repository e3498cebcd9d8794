"""What the losses of generative adversarial networks ask of a training step, as functions of it.

Importing the package imports no torch, since recipes name what its plugin module offers; what needs it is imported when
first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .images import condition_of, fake, generate, real, shuffled_attributes, shuffled_style, style
    from .outputs import discriminate
    from .replay import ReplayPool

_MODULES = {
    "ReplayPool": "replay",
    "condition_of": "images",
    "discriminate": "outputs",
    "fake": "images",
    "generate": "images",
    "real": "images",
    "shuffled_attributes": "images",
    "shuffled_style": "images",
    "style": "images",
}

__all__ = [
    "ReplayPool",
    "condition_of",
    "discriminate",
    "fake",
    "generate",
    "real",
    "shuffled_attributes",
    "shuffled_style",
    "style",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
