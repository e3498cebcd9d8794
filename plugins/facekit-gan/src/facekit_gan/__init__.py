"""What the losses of generative adversarial networks ask of a training step, as functions of it."""

from .images import condition_of, fake, generate, real, shuffled_attributes, shuffled_style, style
from .outputs import discriminate
from .replay import ReplayPool

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
