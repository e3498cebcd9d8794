"""Activation checkpointing: parts of the forward pass are computed again in the backward pass, and not kept until then.

Networks say which of their parts may be computed again (``facekit.interfaces.Recomputable``); here is how.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from facekit.interfaces import Recomputable, Recompute
from facekit.training.networks import FaceModel


def checkpointed(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function and keep its arguments for the backward pass, in place of what it computes on the way.

    The numbers are the same, bit for bit, and can be differentiated again.
    """
    if not torch.is_grad_enabled():
        return function(*arguments)
    # Parts that may be computed again draw nothing at random, so there is no random state to put back.
    return checkpoint(function, *arguments, use_reentrant=False, preserve_rng_state=False)


def recompute_activations(model: FaceModel, how: Recompute = checkpointed) -> list[str]:
    """Let the networks of a model, and the modules in them, call the parts that may be computed again by ``how``.

    Returns:
        the names of networks that have no such parts, and keep all their activations.
    """
    keeping = []
    for slot, network in model.named_children():
        parts = [module for module in network.modules() if isinstance(module, Recomputable)]
        for part in parts:
            part.recompute = how
        if not parts:
            keeping.append(slot)
    return keeping


def keeps_all(name: str) -> str:
    """Return the warning of a network that has no parts that may be computed again."""
    return (
        f"train.activation_checkpointing: the {name.replace('_', ' ')} keeps all its activations; it does not "
        "say what may be computed again"
    )
